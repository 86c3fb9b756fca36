/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-pmem function as its driver sees it, and as one that lies to it does; no KVM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "boot_memory.h"
#include "cleanup.h"
#include "device/device.h"
#include "device/virtq.h"
#include "lumper.h"

#define MIB (1ull << 20)
#define BAR 0xd0001000ull
#define IMAGE_BYTES (6 * MIB)

/* Where the tests' driver has its rings and buffers. */
enum { DESC = 0x10000, AVAIL = 0x11000, USED = 0x12000, REQUEST = 0x13000, RESPONSE = 0x13100 };
enum { PCI, PMEM };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { ACKNOWLEDGED = 11, DRIVER_OK = 15, NEEDS_RESET = 64 };

struct machine {
	struct device_bus bus;
	struct guest_memory memory;
	struct pmem *pmem;
	bool level;
	unsigned int raised; /* how often */
	uint16_t offered;
};

static void set_irq(void *context, bool level)
{
	struct machine *machine = context;

	machine->raised += level && !machine->level;
	machine->level = level;
}

static uint64_t in(struct machine *machine, uint64_t offset, unsigned int bytes)
{
	uint64_t value = 0;

	bus_read(&machine->bus, BUS_MMIO, BAR + offset, (uint8_t *)&value, bytes);
	return value;
}

static void out(struct machine *machine, uint64_t offset, unsigned int bytes, uint64_t value)
{
	assert_false(bus_write(&machine->bus, BUS_MMIO, BAR + offset, (const uint8_t *)&value,
			       bytes, NULL));
}

static uint32_t config(struct machine *machine, unsigned int offset)
{
	uint32_t address = 0x80000000 | 2 << 11 | offset, value = 0;

	(void)bus_write(&machine->bus, BUS_PIO, 0xcf8, (const uint8_t *)&address, 4, NULL);
	bus_read(&machine->bus, BUS_PIO, 0xcfc, (uint8_t *)&value, 4);
	return value;
}

static void setup(struct machine *machine)
{
	struct pci *pci;

	*machine = (struct machine){ .memory = memory_new(32 * MIB) };
	bus_init(&machine->bus);
	pci = pci_new(&machine->bus);
	machine->pmem = pmem_new(&machine->bus, pci, &machine->memory, set_irq, machine);
	assert_non_null(machine->pmem);
	pmem_set_image(machine->pmem, IMAGE_BYTES);
}

static void teardown(struct machine *machine)
{
	bus_done(&machine->bus);
	memory_free(&machine->memory);
}

static void place_rings(struct machine *machine, uint64_t desc, uint64_t avail, uint64_t used)
{
	const uint64_t rings[] = { desc, avail, used };

	for (unsigned int i = 0; i < 3; i++) {
		out(machine, 32 + 8 * i, 4, rings[i] & 0xffffffff);
		out(machine, 36 + 8 * i, 4, rings[i] >> 32);
	}
	out(machine, 28, 2, 1);
}

static void agree(struct machine *machine)
{
	out(machine, 20, 1, 3);
	out(machine, 8, 4, 1);
	out(machine, 12, 4, 1);
	out(machine, 20, 1, ACKNOWLEDGED);
	assert_int_equal(in(machine, 20, 1), ACKNOWLEDGED);
}

static void start(struct machine *machine)
{
	agree(machine);
	place_rings(machine, DESC, AVAIL, USED);
	out(machine, 20, 1, DRIVER_OK);
}

static void put(struct machine *machine, uint64_t gpa, uint64_t value, unsigned int bytes)
{
	memcpy(guest_memory_at(&machine->memory, gpa, bytes), &value, bytes);
}

static uint64_t get(struct machine *machine, uint64_t gpa, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, guest_memory_at(&machine->memory, gpa, bytes), bytes);
	return value;
}

static void describe(struct machine *machine, unsigned int index, uint64_t gpa, uint32_t bytes,
		     uint16_t flags, uint16_t next)
{
	uint64_t at = DESC + index * 16;

	put(machine, at, gpa, 8);
	put(machine, at + 8, bytes, 4);
	put(machine, at + 12, flags, 2);
	put(machine, at + 14, next, 2);
}

static void offer(struct machine *machine, uint16_t head)
{
	put(machine, AVAIL + 4 + machine->offered % VIRTQ_SIZE_MAX * 2, head, 2);
	put(machine, AVAIL + 2, ++machine->offered, 2);
}

static void offer_request(struct machine *machine, uint32_t type)
{
	put(machine, REQUEST, type, 4);
	put(machine, RESPONSE, 0x55555555, 4);
	describe(machine, 4, REQUEST, 4, NEXT, 7);
	describe(machine, 7, RESPONSE, 4, WRITE, 0);
	offer(machine, 4);
}

static void notify(struct machine *machine)
{
	out(machine, 0x300, 2, 0);
}

/* --- as the specification has it ---------------------------------------------------------- */

static void test_identity(void **state)
{
	struct machine machine;
	unsigned int at, kinds = 0;

	(void)state;
	setup(&machine);
	assert_int_equal(config(&machine, 0), 0x105b1af4);
	assert_int_equal(config(&machine, 4) >> 16 & 0x10, 0x10);
	assert_int_equal(config(&machine, 0x3c) & 0xffff, 0x010a); /* INTA, line 10 */
	for (at = config(&machine, 0x34); at; at = config(&machine, at) >> 8 & 0xff) {
		uint32_t first = config(&machine, at);

		assert_int_equal(first & 0xff, 9);
		assert_int_equal(config(&machine, at + 4), 0); /* BAR 0 */
		assert_in_range(config(&machine, at + 8) + config(&machine, at + 12), 1, 4096);
		kinds |= 1u << (first >> 24);
	}
	assert_int_equal(kinds, 0x1e); /* common, notify, ISR, device */
	assert_int_equal(in(&machine, 0x200, 8), GUEST_IMAGE_GPA);
	assert_int_equal(in(&machine, 0x208, 4), IMAGE_BYTES);
	assert_int_equal(in(&machine, 0x20c, 4), 0);
	teardown(&machine);
}

static void test_features(void **state)
{
	struct machine machine;

	(void)state;
	setup(&machine);
	assert_int_equal(in(&machine, 4, 4), 0);
	out(&machine, 0, 4, 1);
	assert_int_equal(in(&machine, 4, 4), 1); /* VERSION_1 and nothing else */
	out(&machine, 20, 1, ACKNOWLEDGED);
	assert_int_equal(in(&machine, 20, 1), 3); /* not without VERSION_1 */
	out(&machine, 12, 4, 1 << 29);
	out(&machine, 8, 4, 1);
	out(&machine, 12, 4, 1);
	out(&machine, 20, 1, ACKNOWLEDGED);
	assert_int_equal(in(&machine, 20, 1), 3); /* nor with what was not offered */
	out(&machine, 20, 1, 0);
	agree(&machine);
	out(&machine, 12, 4, 0);
	assert_int_equal(in(&machine, 12, 4), 1); /* agreed: for good */
	teardown(&machine);
}

static void test_flush(void **state)
{
	static const uint32_t answers[] = { 0, 0xffffffff };
	struct machine machine;

	(void)state;
	setup(&machine);
	start(&machine);
	for (uint32_t i = 0; i < 3 * VIRTQ_SIZE_MAX; i++) {
		offer_request(&machine, i % 2);
		notify(&machine);
		assert_int_equal(get(&machine, RESPONSE, 4), answers[i % 2]);
		assert_int_equal(get(&machine, USED + 2, 2), i + 1);
		assert_int_equal(get(&machine, USED + 4 + i % VIRTQ_SIZE_MAX * 8, 4), 4);
		assert_int_equal(get(&machine, USED + 8 + i % VIRTQ_SIZE_MAX * 8, 4), 4);
		assert_int_equal(machine.raised, i + 1);
		assert_int_equal(in(&machine, 0x100, 1), 1);
		assert_false(machine.level);
	}
	put(&machine, AVAIL, 1, 2); /* no interrupt, please */
	offer_request(&machine, 0);
	notify(&machine);
	assert_int_equal(get(&machine, RESPONSE, 4), 0);
	assert_false(machine.level);
	teardown(&machine);
}

static void test_reset(void **state)
{
	struct machine machine;

	(void)state;
	setup(&machine);
	start(&machine);
	offer_request(&machine, 0);
	notify(&machine);
	assert_true(machine.level);
	out(&machine, 20, 1, 0);
	assert_false(machine.level);
	assert_int_equal(in(&machine, 20, 1), 0);
	assert_int_equal(in(&machine, 28, 2), 0);
	assert_int_equal(in(&machine, 32, 4), 0);
	assert_int_equal(in(&machine, 0x208, 4), IMAGE_BYTES);
	teardown(&machine);
}

/* Nothing is taken from a queue that is not ready. */
static void test_not_ready(void **state)
{
	struct machine machine;

	(void)state;
	setup(&machine);
	agree(&machine);
	place_rings(&machine, DESC, AVAIL, USED);
	offer_request(&machine, 0);
	notify(&machine);
	assert_int_equal(get(&machine, USED + 2, 2), 0);
	out(&machine, 20, 1, DRIVER_OK);
	out(&machine, 0x300, 2, 1); /* no such queue */
	assert_int_equal(get(&machine, USED + 2, 2), 0);
	notify(&machine);
	assert_int_equal(get(&machine, USED + 2, 2), 1);
	teardown(&machine);
}

static void test_queue_select(void **state)
{
	struct machine machine;

	(void)state;
	setup(&machine);
	out(&machine, 22, 2, 1);
	assert_int_equal(in(&machine, 24, 2), 0); /* there is no second one */
	out(&machine, 24, 2, 8);
	out(&machine, 32, 4, DESC);
	out(&machine, 22, 2, 0);
	assert_int_equal(in(&machine, 24, 2), VIRTQ_SIZE_MAX);
	assert_int_equal(in(&machine, 32, 4), 0);
	out(&machine, 24, 2, 8);
	assert_int_equal(in(&machine, 24, 2), 8);
	for (unsigned int bad = 0; bad < 4; bad++) {
		static const uint16_t sizes[] = { 0, 3, 32, 0x8000 };

		out(&machine, 24, 2, sizes[bad]);
		assert_int_equal(in(&machine, 24, 2), 8);
	}
	teardown(&machine);
}

/* --- lies --------------------------------------------------------------------------------- */

static void assert_given_up(struct machine *machine)
{
	assert_true(in(machine, 20, 1) & NEEDS_RESET);
	assert_int_equal(in(machine, 0x100, 1), 2);
	assert_int_equal(get(machine, USED + 2, 2), 0);
	out(machine, 20, 1, DRIVER_OK);
	assert_true(in(machine, 20, 1) & NEEDS_RESET);
	notify(machine); /* nothing happens any more */
	assert_false(machine->level);
}

static void test_rings_elsewhere(void **state)
{
	static const uint64_t places[][3] = {
		{ DESC + 8, AVAIL, USED },	     { DESC, AVAIL + 1, USED },
		{ DESC, AVAIL, USED + 2 },	     { 32 * MIB - 240, AVAIL, USED },
		{ DESC, 32 * MIB - 34, USED },	     { DESC, AVAIL, 32 * MIB - 128 },
		{ UINT64_MAX - 15, AVAIL, USED },    { DESC, UINT64_MAX - 1, USED },
		{ DESC, AVAIL, GUEST_IMAGE_GPA },    { DESC, AVAIL, GUEST_HOLE_START },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct machine machine;

		setup(&machine);
		agree(&machine);
		place_rings(&machine, places[i][0], places[i][1], places[i][2]);
		assert_int_equal(in(&machine, 28, 2), 0);
		out(&machine, 20, 1, DRIVER_OK);
		assert_given_up(&machine);
		teardown(&machine);
	}
}

static void break_circle(struct machine *machine)
{
	describe(machine, 0, REQUEST, 4, NEXT, 1);
	describe(machine, 1, REQUEST, 4, NEXT, 0);
	offer(machine, 0);
}

static void break_next(struct machine *machine)
{
	describe(machine, 0, REQUEST, 4, NEXT, VIRTQ_SIZE_MAX);
	offer(machine, 0);
}

static void break_head(struct machine *machine)
{
	offer(machine, 0xffff);
}

static void break_indirect(struct machine *machine)
{
	describe(machine, 0, REQUEST, 32, INDIRECT, 0);
	offer(machine, 0);
}

static void break_index(struct machine *machine)
{
	put(machine, AVAIL + 2, VIRTQ_SIZE_MAX + 1, 2);
}

static void test_broken_rings(void **state)
{
	static void (*const breaks[])(struct machine *) = { break_circle, break_next, break_head,
							    break_indirect, break_index };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		struct machine machine;

		setup(&machine);
		start(&machine);
		breaks[i](&machine);
		notify(&machine);
		assert_given_up(&machine);
		teardown(&machine);
	}
}

/* Chains that are no request come back with nothing written, and nothing is. */
static void test_no_requests(void **state)
{
	static const struct {
		uint64_t request, response;
		uint32_t request_bytes, response_bytes;
		uint16_t request_flags, response_flags;
	} chains[] = {
		{ REQUEST, RESPONSE, 3, 4, 0, WRITE },
		{ REQUEST, RESPONSE, 4, 3, 0, WRITE },
		{ REQUEST, RESPONSE, 4, 4, WRITE, WRITE },
		{ REQUEST, RESPONSE, 4, 4, 0, 0 },
		{ 32 * MIB - 3, RESPONSE, 4, 4, 0, WRITE },
		{ REQUEST, 32 * MIB - 3, 4, 4, 0, WRITE },
		{ REQUEST, UINT64_MAX - 1, 4, 4, 0, WRITE },
		{ REQUEST, GUEST_IMAGE_GPA, 4, 4, 0, WRITE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		struct machine machine;

		setup(&machine);
		start(&machine);
		put(&machine, RESPONSE, 0x55555555, 4);
		describe(&machine, 0, chains[i].request, chains[i].request_bytes,
			 chains[i].request_flags | NEXT, 1);
		describe(&machine, 1, chains[i].response, chains[i].response_bytes,
			 chains[i].response_flags, 0);
		offer(&machine, 0);
		notify(&machine);
		assert_int_equal(get(&machine, USED + 2, 2), 1);
		assert_int_equal(get(&machine, USED + 8, 4), 0);
		assert_int_equal(get(&machine, RESPONSE, 4), 0x55555555);
		teardown(&machine);
	}
}

/* --- state -------------------------------------------------------------------------------- */

struct saved {
	uint8_t data[VM_DEVICE_STATE_MAX];
	size_t bytes;
};

static struct saved save(struct machine *machine)
{
	struct device *device = machine->bus.devices[PMEM];
	struct saved saved = {};
	struct le_writer writer = { .buf = saved.data, .cap = sizeof(saved.data) };

	device->ops->save(device, &writer);
	assert_false(writer.bad);
	saved.bytes = writer.len;
	return saved;
}

static int load(struct machine *machine, const struct saved *saved, struct err *err)
{
	struct device *device = machine->bus.devices[PMEM];
	struct le_reader reader = { .buf = saved->data, .len = saved->bytes };
	int r = device->ops->check(device, reader, err);

	return r < 0 ? r : device->ops->load(device, &reader);
}

/* The driver goes on where it was, with the interrupt that it has not seen. */
static void test_restored(void **state)
{
	struct machine first, second;
	struct saved saved;

	(void)state;
	setup(&first);
	start(&first);
	offer_request(&first, 0);
	notify(&first);
	saved = save(&first);
	setup(&second);
	memcpy(second.memory.base, first.memory.base, MIB);
	second.offered = first.offered;
	second.level = true; /* the irqchip's state says so */
	assert_int_equal(load(&second, &saved, NULL), 0);
	assert_int_equal(in(&second, 0x100, 1), 1);
	assert_false(second.level);
	offer_request(&second, 0);
	notify(&second);
	assert_int_equal(get(&second, USED + 2, 2), 2);
	assert_int_equal(in(&second, 20, 1), DRIVER_OK);
	teardown(&first);
	teardown(&second);
}

static void test_other_image(void **state)
{
	struct machine machine;
	struct saved saved, empty;
	struct err err = {};

	(void)state;
	setup(&machine);
	saved = save(&machine);
	pmem_set_image(machine.pmem, 0);
	empty = save(&machine);
	assert_int_equal(load(&machine, &saved, &err), -EINVAL);
	assert_string_equal(err.message,
			    "the snapshot has an image of 6291456 bytes, this VM has none");
	pmem_set_image(machine.pmem, 2 * MIB);
	assert_int_equal(load(&machine, &saved, &err), -EINVAL);
	assert_string_equal(err.message,
			    "the snapshot has an image of 6291456 bytes, this VM one of 2097152");
	assert_int_equal(load(&machine, &empty, &err), 0); /* keeps what is mapped */
	assert_int_equal(in(&machine, 0x208, 4), 2 * MIB);
	teardown(&machine);
}

/* Offsets in the state: 8 status, 9 ISR, 10 and 14 selects, 18 features, 26 select, 28 the
 * queue. */
static void test_forged_states(void **state)
{
	static const struct {
		unsigned int at, bytes;
		uint64_t value;
	} forgeries[] = {
		{ 18, 8, 0 },	      { 18, 8, UINT64_MAX },
		{ 28, 2, 0 },	      { 28, 2, 3 },
		{ 28, 2, 32 },	      { 28, 2, 0x8000 },
		{ 30, 1, 2 },	      { 35, 8, DESC + 1 },
		{ 35, 8, 32 * MIB },  { 43, 8, UINT64_MAX - 1 },
		{ 51, 8, 1ull << 40 },
	};
	struct machine machine;

	(void)state;
	setup(&machine);
	start(&machine);
	for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
		struct saved saved = save(&machine);

		memcpy(saved.data + forgeries[i].at, &forgeries[i].value, forgeries[i].bytes);
		assert_int_equal(load(&machine, &saved, NULL), -EINVAL);
		teardown(&machine);
		setup(&machine);
		start(&machine);
	}
	for (size_t cut = 0; cut < save(&machine).bytes; cut++) {
		struct saved saved = save(&machine);

		saved.bytes = cut;
		assert_int_equal(load(&machine, &saved, NULL), -EINVAL);
		teardown(&machine);
		setup(&machine);
		start(&machine);
	}
	teardown(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_not_ready),
		cmocka_unit_test(test_queue_select),
		cmocka_unit_test(test_rings_elsewhere),
		cmocka_unit_test(test_broken_rings),
		cmocka_unit_test(test_no_requests),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_other_image),
		cmocka_unit_test(test_forged_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
