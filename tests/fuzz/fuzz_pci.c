/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest's port and MMIO accesses against all devices that a VM has, without KVM.
 *
 * An input is a series of accesses of ACCESS_BYTES: what (read, write, or save and load again),
 * where, and the data. Whatever comes, no device leaves its memory (the sanitizers look), an event
 * has a kind, the mailbox is a place in guest RAM, and a state that was saved can be loaded and is
 * then the same.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cleanup.h"
#include "device/device.h"
#include "lumper.h"
#include "mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { ACCESS_BYTES = 12, MEMORY_BYTES = 64 << 20 };

enum { DO_READ, DO_WRITE, DO_RELOAD, DO_INPUT, DOS };

struct machine {
	struct device_bus bus;
	struct serial *serial;
	struct doorbell *doorbell;
	struct guest_memory memory; /* none: fuzz_pmem.c has some for the queue */
	uint8_t crash_flag[2];
	bool irq_level;
};

struct saved_devices {
	size_t bytes[BUS_DEVICES_MAX];
	uint8_t data[BUS_DEVICES_MAX][VM_DEVICE_STATE_MAX];
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void set_irq(void *context, bool level)
{
	((struct machine *)context)->irq_level = level;
}

static void take_output(void *context, const uint8_t *data, size_t bytes)
{
	volatile uint8_t sum = 0;

	(void)context;
	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + data[i]);
}

static void machine_init(struct machine *machine)
{
	struct pci *pci;

	*machine = (struct machine){};
	bus_init(&machine->bus);
	machine->serial = serial_new(&machine->bus, set_irq, machine, take_output, NULL);
	pci = pci_new(&machine->bus);
	check(machine->serial && pci);
	machine->doorbell = doorbell_new(&machine->bus, pci, MEMORY_BYTES);
	check(machine->doorbell &&
	      pmem_new(&machine->bus, pci, &machine->memory, set_irq, machine));
	check(reset_new(&machine->bus, machine->crash_flag) == 0 &&
	      acpi_pm_new(&machine->bus) == 0);
}

static void save_all(const struct device_bus *bus, struct saved_devices *saved)
{
	for (unsigned int i = 0; i < bus->device_count; i++) {
		struct le_writer writer = { .buf = saved->data[i], .cap = VM_DEVICE_STATE_MAX };

		bus->devices[i]->ops->save(bus->devices[i], &writer);
		check(!writer.bad);
		saved->bytes[i] = writer.len;
	}
}

/* A second save must not differ from what was loaded. */
static void reload(struct device_bus *bus)
{
	static struct saved_devices before, after;

	save_all(bus, &before);
	for (unsigned int i = 0; i < bus->device_count; i++) {
		struct le_reader reader = { .buf = before.data[i], .len = before.bytes[i] };

		check(bus->devices[i]->ops->load(bus->devices[i], &reader) == 0);
		check(!reader.bad && reader.pos == reader.len);
	}
	save_all(bus, &after);
	for (unsigned int i = 0; i < bus->device_count; i++)
		check(before.bytes[i] == after.bytes[i] &&
		      memcmp(before.data[i], after.data[i], before.bytes[i]) == 0);
}

/* Half of all MMIO accesses go near the functions' BARs, where random ones would never come. */
static uint64_t address_of(const uint8_t access[ACCESS_BYTES], enum bus_space space)
{
	uint64_t address = access[1] | (uint64_t)access[2] << 8;

	if (space == BUS_PIO)
		return address;
	if (access[3] & 1)
		return PCI_WINDOW_START + address % (2 * DOORBELL_BAR_BYTES);
	return address << 16 | access[3];
}

static void check_mailbox(const struct machine *machine)
{
	uint64_t gpa = doorbell_mailbox_gpa(machine->doorbell);

	check(gpa % MAILBOX_BYTES == 0 && gpa <= MEMORY_BYTES - MAILBOX_BYTES);
}

static void make_access(struct machine *machine, const uint8_t access[ACCESS_BYTES])
{
	static struct vm_event event;
	enum bus_space space = access[0] & 4 ? BUS_MMIO : BUS_PIO;
	unsigned int bytes = 1u << (access[0] >> 3 & 3);
	uint64_t address = address_of(access, space);
	uint8_t data[8];

	memcpy(data, access + 4, sizeof(data));
	switch (access[0] % DOS) {
	case DO_READ:
		bus_read(&machine->bus, space, address, data, bytes);
		break;
	case DO_WRITE:
		event.kind = 0;
		check(bus_write(&machine->bus, space, address, data, bytes, &event) ==
		      (event.kind != 0));
		check_mailbox(machine);
		break;
	case DO_RELOAD:
		reload(&machine->bus);
		break;
	case DO_INPUT:
		check(serial_input(machine->serial, data, bytes) <= bytes);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct machine machine;

	machine_init(&machine);
	for (; bytes >= ACCESS_BYTES; data += ACCESS_BYTES, bytes -= ACCESS_BYTES)
		make_access(&machine, data);
	bus_done(&machine.bus);
	return 0;
}
