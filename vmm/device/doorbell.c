/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doorbell: a PCI function with ivshmem's identity and BAR0 (QEMU docs/specs/ivshmem-spec.txt),
 * of which one register does something. A 32-bit store to it stops the vCPU with an event; what the
 * store means is mailbox.h's matter.
 *
 * The mailbox's address is accepted once. PID 1 gives it before any function runs, so that a
 * function, which holds the doorbell but must not choose where the host writes, cannot move it.
 */
#include <errno.h>
#include <stdlib.h>

#include "boot/boot.h"
#include "clock.h"
#include "device.h"
#include "lumper.h"
#include "mailbox.h"

#define DOORBELL_SLOT 1u
#define DOORBELL_CLASS 0x05000001u
#define DOORBELL_SUBSYSTEM 0x11001af4u

struct doorbell {
	struct device device;
	struct pci_function function;
	uint64_t memory_bytes;
	uint64_t mailbox_gpa; /* 0: not registered */
};

/* Interrupt mask, interrupt status and position all read as zero. */
static void doorbell_read(struct device *device, unsigned int region, uint64_t offset,
			  uint8_t *data, unsigned int bytes)
{
	uint64_t time = clock_ns(CLOCK_REALTIME);

	(void)device;
	(void)region;
	memset(data, 0, bytes);
	if (offset == DOORBELL_TIME_OFFSET && bytes == sizeof(time))
		memcpy(data, &time, sizeof(time));
}

static void register_mailbox(struct doorbell *doorbell, uint32_t value)
{
	uint64_t gpa = (uint64_t)(value >> DOORBELL_ARGUMENT_SHIFT) << MAILBOX_SHIFT;
	uint64_t offset;

	if (doorbell->mailbox_gpa || !gpa ||
	    !guest_gpa_to_offset(doorbell->memory_bytes, gpa, &offset))
		return;
	doorbell->mailbox_gpa = gpa;
}

/* Hot path: no lock. */
static bool doorbell_write(struct device *device, unsigned int region, uint64_t offset,
			   const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	struct doorbell *doorbell = (struct doorbell *)device;
	uint32_t value;

	(void)region;
	if (offset != DOORBELL_REGISTER_OFFSET || bytes != 4)
		return false;
	memcpy(&value, data, sizeof(value));
	if ((value & DOORBELL_VALUE_MASK) == DOORBELL_MAILBOX) {
		register_mailbox(doorbell, value);
		return false;
	}
	event->kind = VM_EVENT_DOORBELL;
	event->doorbell = value;
	return true;
}

static void doorbell_save(const struct device *device, struct le_writer *writer)
{
	le_put(writer, ((const struct doorbell *)device)->mailbox_gpa, 8);
}

static int doorbell_load(struct device *device, struct le_reader *reader)
{
	struct doorbell *doorbell = (struct doorbell *)device;
	uint64_t gpa = le_get(reader, 8);
	uint64_t offset;

	if (gpa && (gpa % MAILBOX_BYTES ||
		    !guest_gpa_to_offset(doorbell->memory_bytes, gpa, &offset)))
		return -EINVAL;
	doorbell->mailbox_gpa = gpa;
	return 0;
}

static void doorbell_free(struct device *device)
{
	free(device);
}

static const struct device_ops doorbell_ops = {
	.name = "doorbell",
	.version = 1,
	.lockless = true,
	.read = doorbell_read,
	.write = doorbell_write,
	.save = doorbell_save,
	.load = doorbell_load,
	.free = doorbell_free,
};

struct doorbell *doorbell_new(struct device_bus *bus, struct pci *pci, uint64_t memory_bytes)
{
	struct doorbell *doorbell = calloc(1, sizeof(*doorbell));

	if (!doorbell)
		return NULL;
	*doorbell = (struct doorbell){
		.device.ops = &doorbell_ops,
		.memory_bytes = memory_bytes,
		.function = {
			.config = {
				[0] = DOORBELL_PCI_DEVICE << 16 | DOORBELL_PCI_VENDOR,
				[1] = 2, /* memory decoding on */
				[2] = DOORBELL_CLASS,
				[4] = (uint32_t)PCI_WINDOW_START,
				[11] = DOORBELL_SUBSYSTEM,
			},
			.writable = {
				[1] = 7,
				[3] = 0xff,
				[4] = ~(DOORBELL_BAR_BYTES - 1),
				[15] = 0xff,
			},
		},
	};
	bus_add_device(bus, &doorbell->device);
	doorbell->function.bar0 = bus_add_region(bus, &doorbell->device, BUS_MMIO, 0,
						 PCI_WINDOW_START, DOORBELL_BAR_BYTES);
	pci_add(pci, DOORBELL_SLOT, &doorbell->function);
	return doorbell;
}

uint64_t doorbell_mailbox_gpa(const struct doorbell *doorbell)
{
	return doorbell->mailbox_gpa;
}
