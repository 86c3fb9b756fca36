/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver of the virtio-pmem function, without KVM: accesses to its registers, whatever
 * contents in its rings, and states that no device saved.
 *
 * An input is a series of steps of STEP_BYTES: what, where, and the data. Whatever comes, the
 * device stays in the guest's memory (the sanitizers look: it is a heap block of its own), the
 * guest cannot make it do much work at once, its interrupt follows its status register, and a state
 * that was saved can be loaded and is then the same.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "device/device.h"
#include "device/virtq.h"
#include "lumper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { STEP_BYTES = 12, MEMORY_BYTES = 16 << 10, DEVICE = 1 };

enum { DO_READ, DO_WRITE, DO_POKE, DO_NOTIFY, DO_SET_UP, DO_RELOAD, DO_LOAD, DO_OFFER, DOS };

#define BAR (PCI_WINDOW_START + 0x1000)
#define ISR (BAR + 0x100)
#define NOTIFY (BAR + 0x300)

struct machine {
	struct device_bus bus;
	struct pmem *pmem;
	struct guest_memory memory;
	uint64_t desc, avail; /* where the last set-up put them */
	bool irq_level;
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

static void machine_init(struct machine *machine)
{
	struct pci *pci;

	*machine = (struct machine){
		.memory = { .base = calloc(1, MEMORY_BYTES), .bytes = MEMORY_BYTES },
	};
	bus_init(&machine->bus);
	pci = pci_new(&machine->bus);
	check(machine->memory.base && pci);
	machine->pmem = pmem_new(&machine->bus, pci, &machine->memory, set_irq, machine);
	check(machine->pmem);
	pmem_set_image(machine->pmem, GUEST_IMAGE_ALIGN_BYTES);
}

static void machine_done(struct machine *machine)
{
	bus_done(&machine->bus);
	free(machine->memory.base);
}

static void write_register(struct machine *machine, uint64_t address, uint64_t value,
			   unsigned int bytes)
{
	static struct vm_event event;

	check(!bus_write(&machine->bus, BUS_MMIO, address, (const uint8_t *)&value, bytes, &event));
}

/* What reads as pending raised the line, and reading lowers it. */
static void check_interrupt(struct machine *machine)
{
	bool level = machine->irq_level;
	uint8_t isr;

	bus_read(&machine->bus, BUS_MMIO, ISR, &isr, 1);
	check(isr <= 3 && (isr != 0) == level && !machine->irq_level);
}

/* As a driver does, up to DRIVER_OK: what `data` says is where the rings are. */
static void set_up(struct machine *machine, const uint8_t data[8])
{
	const struct {
		unsigned int offset, bytes;
		uint64_t value;
	} writes[] = {
		{ 20, 1, 0 },	 { 20, 1, 3 },
		{ 8, 4, 1 },	 { 12, 4, 1 },
		{ 20, 1, 11 },	 { 22, 2, 0 },
		{ 24, 2, data[0] },
		{ 32, 4, (uint64_t)data[1] << 8 | (data[2] & 0xf0) },
		{ 40, 4, (uint64_t)data[3] << 8 | data[4] },
		{ 48, 4, (uint64_t)data[5] << 8 | data[6] },
		{ 28, 2, 1 },	 { 20, 1, 15 },
	};

	machine->desc = writes[7].value;
	machine->avail = writes[8].value;
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		write_register(machine, BAR + writes[i].offset, writes[i].value, writes[i].bytes);
}

static void poke(struct machine *machine, uint64_t gpa, uint64_t value, uint64_t bytes)
{
	void *at = guest_memory_at(&machine->memory, gpa, bytes);

	if (at)
		memcpy(at, &value, bytes);
}

/* A chain as a driver makes it, but for what `data` changes: a request of 0 at address `at`, the
 * response behind it. */
static void offer(struct machine *machine, uint64_t at, const uint8_t data[8])
{
	uint8_t *index = guest_memory_at(&machine->memory, machine->avail + 2, 1);

	if (!index)
		return;
	poke(machine, machine->desc, at, 8);
	poke(machine, machine->desc + 8, 4 ^ data[0], 4);
	poke(machine, machine->desc + 12, 1 ^ data[1], 2);
	poke(machine, machine->desc + 14, 1 ^ data[2], 2);
	poke(machine, machine->desc + 16, at + 4 + ((uint64_t)data[3] << 56), 8);
	poke(machine, machine->desc + 24, 4 ^ data[4], 4);
	poke(machine, machine->desc + 28, 2 ^ data[5], 2);
	poke(machine, at, data[6], 4);
	poke(machine, machine->avail + 4 + *index % VIRTQ_SIZE_MAX * 2, data[7], 2);
	(*index)++;
}

static struct le_writer save(struct machine *machine, uint8_t buf[VM_DEVICE_STATE_MAX])
{
	struct le_writer writer = { .buf = buf, .cap = VM_DEVICE_STATE_MAX };
	struct device *device = machine->bus.devices[DEVICE];

	device->ops->save(device, &writer);
	check(!writer.bad);
	return writer;
}

static void reload(struct machine *machine)
{
	static uint8_t before[VM_DEVICE_STATE_MAX], after[VM_DEVICE_STATE_MAX];
	struct device *device = machine->bus.devices[DEVICE];
	struct le_writer writer = save(machine, before);
	struct le_reader reader = { .buf = before, .len = writer.len };

	check(device->ops->check(device, reader, NULL) == 0);
	check(device->ops->load(device, &reader) == 0 && !reader.bad && reader.pos == reader.len);
	check(save(machine, after).len == writer.len && memcmp(before, after, writer.len) == 0);
}

/* A saved state with `data` somewhere in it. One that is refused leaves an unusable device. The
 * line is the irqchip's, which a restore loads too. */
static bool load_forged(struct machine *machine, uint64_t at, const uint8_t data[8])
{
	uint8_t state[VM_DEVICE_STATE_MAX] = {};
	struct device *device = machine->bus.devices[DEVICE];
	struct le_reader reader = { .buf = state, .len = save(machine, state).len };

	memcpy(state + at % (reader.len - 8), data, 8);
	if (device->ops->check(device, reader, NULL) < 0)
		return true;
	if (device->ops->load(device, &reader) < 0)
		return false;
	machine->irq_level = state[9] & 3; /* behind image and status */
	return true;
}

static bool make_step(struct machine *machine, const uint8_t step[STEP_BYTES])
{
	uint64_t at = step[1] | (uint64_t)step[2] << 8;
	unsigned int bytes = 1u << (step[0] >> 4 & 3);
	uint8_t data[8];

	memcpy(data, step + 4, sizeof(data));
	switch (step[0] % DOS) {
	case DO_READ:
		bus_read(&machine->bus, BUS_MMIO, BAR + at % 4096, data, bytes);
		break;
	case DO_WRITE:
		(void)bus_write(&machine->bus, BUS_MMIO, BAR + at % 4096, data, bytes, NULL);
		break;
	case DO_POKE:
		memcpy(machine->memory.base + at % (MEMORY_BYTES - 8), data, 8);
		break;
	case DO_NOTIFY:
		write_register(machine, NOTIFY, 0, 2);
		check_interrupt(machine);
		break;
	case DO_SET_UP:
		set_up(machine, data);
		break;
	case DO_RELOAD:
		reload(machine);
		break;
	case DO_LOAD:
		return load_forged(machine, at, data);
	case DO_OFFER:
		offer(machine, at, data);
		break;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct machine machine;
	bool usable = true;

	machine_init(&machine);
	for (; usable && bytes >= STEP_BYTES; data += STEP_BYTES, bytes -= STEP_BYTES)
		usable = make_step(&machine, data);
	if (usable)
		check_interrupt(&machine);
	machine_done(&machine);
	return 0;
}
