/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libquark against a host that lives inside the doorbell: each ring calls the next step of a
 * script, synchronously, as the real store stops the guest until the host has acted.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"

/* The real doorbell stays out of the way of the one below. */
#define doorbell_ring doorbell_ring_real
#include "libquark/doorbell.h"
#undef doorbell_ring

static void doorbell_ring(volatile uint32_t *bell, uint32_t value);

#include "libquark/quark.c"

enum { RINGS_MAX = 16 };

typedef void step_fn(volatile struct mailbox_header *header);

static struct host {
	int bell_fd, mailbox_fd;
	uint8_t *bell, *mailbox; /* the host's own mappings */
	step_fn *const *steps;	 /* what the host does at each ring; NULL: nothing */
	size_t step_count;
	uint32_t rings[RINGS_MAX];
	size_t ring_count;
} host;

/* Beyond the script the host breaks the magic, which ends every wait. */
static void step_break(volatile struct mailbox_header *header)
{
	header->magic = 0;
}

static void doorbell_ring(volatile uint32_t *bell, uint32_t value)
{
	size_t n = host.ring_count++;
	volatile struct mailbox_header *header = (void *)host.mailbox;
	volatile uint32_t *register_seen = (void *)(host.bell + DOORBELL_REGISTER_OFFSET);

	doorbell_ring_real(bell, value);
	assert_int_equal(*register_seen, value);
	assert_true(n < RINGS_MAX);
	host.rings[n] = value;
	if (n >= host.step_count)
		step_break(header);
	else if (host.steps[n])
		host.steps[n](header);
}

static int setup(void **state)
{
	char text[16];

	(void)state;
	host = (struct host){.bell_fd = memfd_create("bell", MFD_CLOEXEC),
			     .mailbox_fd = memfd_create("mailbox", MFD_CLOEXEC)};
	if (ftruncate(host.bell_fd, DOORBELL_BAR_BYTES) < 0 ||
	    ftruncate(host.mailbox_fd, MAILBOX_BYTES) < 0)
		return -1;
	host.bell = mmap(NULL, DOORBELL_BAR_BYTES, PROT_READ, MAP_SHARED, host.bell_fd, 0);
	host.mailbox =
		mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, host.mailbox_fd, 0);
	(void)snprintf(text, sizeof(text), "%d", host.bell_fd);
	(void)setenv(QUARK_ENV_DOORBELL_FD, text, 1);
	(void)snprintf(text, sizeof(text), "%d", host.mailbox_fd);
	(void)setenv(QUARK_ENV_MAILBOX_FD, text, 1);
	(void)unsetenv(QUARK_ENV_WAKE);
	return host.bell == MAP_FAILED || host.mailbox == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	if (guest.bell) {
		(void)munmap(guest.mailbox, MAILBOX_BYTES);
		guest.bell = NULL;
		guest.sequence = guest.generation = 0;
		guest.started = guest.arriving = guest.through_run0 = false;
		guest.after_count = 0;
		hooks = (struct hooks){};
	}
	(void)munmap(host.mailbox, MAILBOX_BYTES);
	(void)munmap(host.bell, DOORBELL_BAR_BYTES);
	(void)close(host.bell_fd);
	(void)close(host.mailbox_fd);
	return 0;
}

static volatile struct mailbox_header *host_header(void)
{
	return (void *)host.mailbox;
}

static void script(step_fn *const *steps, size_t count)
{
	host.steps = steps;
	host.step_count = count;
}

/* A well-formed order with the small request "hello", in a mailbox that has seen no guest yet. */
static void step_request(volatile struct mailbox_header *header)
{
	header->guest_magic = header->guest_version = 0;
	header->magic = MAILBOX_MAGIC;
	header->version = MAILBOX_VERSION;
	header->order = MAILBOX_ORDER_REQUEST;
	header->generation = 77;
	header->realtime_ns = 1234567890;
	header->request_offset = MAILBOX_SMALL_REQUEST_OFFSET;
	header->request_bytes = 5;
	header->sequence++;
	memset((void *)header->entropy, 0xa5, sizeof(header->entropy));
	memcpy(host.mailbox + MAILBOX_SMALL_REQUEST_OFFSET, "hello", 5);
}

static void step_none(volatile struct mailbox_header *header)
{
	step_request(header);
	header->order = MAILBOX_ORDER_NONE;
}

/* Asks for the first request and gets step_request's. */
static void next_ok(struct quark_request *ret_request)
{
	static step_fn *const steps[] = {step_request, NULL, NULL, NULL};

	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(quark_next(ret_request), 0);
}

static void test_request_arrives(void **state)
{
	struct quark_request request;

	(void)state;
	next_ok(&request);
	assert_int_equal(host.ring_count, 1);
	assert_int_equal(host.rings[0], DOORBELL_READY);
	assert_int_equal(request.bytes, 5);
	assert_memory_equal(request.data, "hello", 5);
	assert_int_equal(request.generation, 77);
	assert_int_equal(request.realtime_ns, 1234567890);
	for (int i = 0; i < 64; i++)
		assert_int_equal(request.entropy[i], 0xa5);
}

static void test_order_none_rings_again(void **state)
{
	static step_fn *const steps[] = {step_none, step_none, step_request};
	struct quark_request request;

	(void)state;
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(quark_next(&request), 0);
	assert_int_equal(host.ring_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(host.rings[i], DOORBELL_READY);
}

/* --- headers that must be refused ---------------------------------------------------------- */

static void bad_magic(volatile struct mailbox_header *h)
{
	step_request(h);
	h->magic ^= 1;
}

static void bad_version(volatile struct mailbox_header *h)
{
	step_request(h);
	h->version++;
}

static void bad_order(volatile struct mailbox_header *h)
{
	step_request(h);
	h->order = 99;
}

static void bad_sequence(volatile struct mailbox_header *h)
{
	step_request(h);
	h->sequence = 0;
}

static void request_at(volatile struct mailbox_header *h, uint32_t offset, uint32_t bytes)
{
	step_request(h);
	h->request_offset = offset;
	h->request_bytes = bytes;
}

static void bad_offset_in_header(volatile struct mailbox_header *h)
{
	request_at(h, 0, 5);
}

static void bad_small_too_long(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_SMALL_REQUEST_OFFSET, MAILBOX_SMALL_REQUEST_MAX + 1);
}

static void bad_large_too_long(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_MAX + 1);
}

static void bad_end_one_beyond(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_REQUEST_OFFSET + MAILBOX_REQUEST_MAX - 1, 2);
}

static void bad_sum_overflows(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_REQUEST_OFFSET + 1, UINT32_MAX);
}

static void bad_offset_beyond(volatile struct mailbox_header *h)
{
	request_at(h, UINT32_MAX, 1);
}

static void touch_at(volatile struct mailbox_header *h, uint32_t offset, uint32_t count)
{
	step_request(h);
	h->order = MAILBOX_ORDER_PARK;
	h->touch_offset = offset;
	h->touch_count = count;
}

static void bad_touch_too_many(volatile struct mailbox_header *h)
{
	touch_at(h, MAILBOX_REQUEST_OFFSET, MAILBOX_TOUCH_MAX + 1);
}

static void bad_touch_count_overflows(volatile struct mailbox_header *h)
{
	touch_at(h, MAILBOX_REQUEST_OFFSET, UINT32_MAX);
}

static void bad_touch_at_end(volatile struct mailbox_header *h)
{
	touch_at(h, MAILBOX_BYTES - 8, 2);
}

static void bad_touch_beyond(volatile struct mailbox_header *h)
{
	touch_at(h, MAILBOX_BYTES, 1);
}

static void bad_touch_unaligned(volatile struct mailbox_header *h)
{
	touch_at(h, MAILBOX_REQUEST_OFFSET + 4, 1);
}

static void bad_touch_in_header(volatile struct mailbox_header *h)
{
	touch_at(h, 0, 1);
}

static void test_bad_headers_are_refused(void **state)
{
	static step_fn *const bad[] = {
		bad_magic,	     bad_version,	   bad_order,
		bad_sequence,	     bad_offset_in_header, bad_small_too_long,
		bad_large_too_long,  bad_end_one_beyond,   bad_sum_overflows,
		bad_offset_beyond,   bad_touch_too_many,   bad_touch_count_overflows,
		bad_touch_at_end,    bad_touch_beyond,	   bad_touch_unaligned,
		bad_touch_in_header,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct quark_request request;

		host.ring_count = 0;
		script(&bad[i], 1);
		if (quark_next(&request) != -EPROTO)
			fail_msg("case %zu was not refused", i);
		assert_int_equal(host.ring_count, 1);
		assert_int_equal(quark_respond("x", 1), -EINVAL);
	}
}

static void edge_small_full(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_SMALL_REQUEST_OFFSET, MAILBOX_SMALL_REQUEST_MAX);
}

static void edge_large_full(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_MAX);
}

static void edge_empty_at_end(volatile struct mailbox_header *h)
{
	request_at(h, MAILBOX_REQUEST_OFFSET + MAILBOX_REQUEST_MAX, 0);
}

static void test_largest_requests_are_taken(void **state)
{
	static step_fn *const good[] = {edge_small_full, edge_large_full, edge_empty_at_end};
	static const size_t bytes[] = {MAILBOX_SMALL_REQUEST_MAX, MAILBOX_REQUEST_MAX, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct quark_request request;

		host.ring_count = 0;
		script(&good[i], 1);
		assert_int_equal(quark_next(&request), 0);
		assert_int_equal(request.bytes, bytes[i]);
		assert_int_equal(quark_respond("", 0), 0);
	}
}

/* --- parking ------------------------------------------------------------------------------- */

enum { TOUCHED_PAGES = 4, ERROR_CODE_WRITE = 2 };

/* Pages without access; the fault handler notes what was tried and lets it pass. */
static struct {
	uint8_t *pages;
	bool read[TOUCHED_PAGES], written[TOUCHED_PAGES];
} touched;

static void on_fault(int number, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;
	size_t page = (size_t)((uint8_t *)info->si_addr - touched.pages) / PAGE_BYTES;

	(void)number;
	if (page >= TOUCHED_PAGES)
		abort();
	if (u->uc_mcontext.gregs[REG_ERR] & ERROR_CODE_WRITE)
		touched.written[page] = true;
	else
		touched.read[page] = true;
	(void)mprotect(touched.pages + page * PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE);
}

static void step_park(volatile struct mailbox_header *h)
{
	uint64_t *list = (uint64_t *)(host.mailbox + MAILBOX_REQUEST_OFFSET);

	list[0] = (uintptr_t)touched.pages;
	list[1] = (uintptr_t)(touched.pages + 2 * PAGE_BYTES) | MAILBOX_TOUCH_WRITE;
	touch_at(h, MAILBOX_REQUEST_OFFSET, 2);
}

static void test_park_touches_the_list(void **state)
{
	static step_fn *const steps[] = {step_park, step_request};
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
	struct quark_request request;

	(void)state;
	touched.pages = mmap(NULL, TOUCHED_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(touched.pages, MAP_FAILED);
	memset(touched.pages, 0x5a, TOUCHED_PAGES * PAGE_BYTES);
	assert_int_equal(mprotect(touched.pages, TOUCHED_PAGES * PAGE_BYTES, PROT_NONE), 0);

	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(sigaction(SIGSEGV, &action, &old), 0);
	assert_int_equal(quark_next(&request), 0);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);

	assert_int_equal(host.ring_count, 2);
	assert_int_equal(host.rings[1], DOORBELL_READY);
	assert_true(touched.read[0] && !touched.written[0]);
	assert_true(touched.written[2]);
	assert_false(touched.read[1] || touched.written[1] || touched.read[3] ||
		     touched.written[3]);
	assert_int_equal(touched.pages[0], 0x5a);
	assert_int_equal(touched.pages[2 * PAGE_BYTES], 0x5a);
	(void)munmap(touched.pages, TOUCHED_PAGES * PAGE_BYTES);
}

/* --- waking through run0 ------------------------------------------------------------------- */

/* PID 1 of this test: waits until the function has arrived, lets it wait, puts a fresh mailbox in
 * place as a restore does, and says GO. */
struct run0 {
	pthread_t thread;
	bool arrived, gone; /* GO was said */
};

static void *run0_play(void *context)
{
	static const struct timespec while_waiting = {.tv_nsec = 50000000};
	volatile struct mailbox_header *header = (void *)host.mailbox;
	struct run0 *run0 = context;

	while (header->wake != MAILBOX_WAKE_ARRIVED)
		(void)sched_yield();
	run0->arrived = header->guest_magic == MAILBOX_MAGIC;
	header->wake = MAILBOX_WAKE_ASLEEP;
	(void)nanosleep(&while_waiting, NULL);
	step_request(header);
	__atomic_store_n(&run0->gone, true, __ATOMIC_SEQ_CST);
	header->wake = MAILBOX_WAKE_GO;
	(void)syscall(SYS_futex, &header->wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	return NULL;
}

static void run0_start(struct run0 *run0)
{
	*run0 = (struct run0){};
	assert_int_equal(pthread_create(&run0->thread, NULL, run0_play, run0), 0);
}

static void run0_end(struct run0 *run0)
{
	assert_true(__atomic_load_n(&run0->gone, __ATOMIC_SEQ_CST));
	assert_int_equal(pthread_join(run0->thread, NULL), 0);
	assert_true(run0->arrived);
}

static void step_sleep(volatile struct mailbox_header *header)
{
	step_request(header);
	header->order = MAILBOX_ORDER_SLEEP;
}

static void test_run0_wakes_the_function(void **state)
{
	static step_fn *const steps[] = {NULL, step_request, NULL, step_sleep};
	static const uint32_t rings[] = {DOORBELL_DONE, DOORBELL_READY, DOORBELL_DONE,
					 DOORBELL_READY};
	struct quark_request request;
	struct run0 run0;

	(void)state;
	(void)setenv(QUARK_ENV_WAKE, "run0", 1);
	script(steps, ARRAY_SIZE(steps));
	run0_start(&run0);
	assert_int_equal(quark_next(&request), 0);
	run0_end(&run0);
	assert_int_equal(host.ring_count, 0);
	assert_memory_equal(request.data, "hello", 5);
	/* From then on it rings itself, until it is told to sleep. */
	assert_int_equal(quark_respond("x", 1), 0);
	assert_int_equal(quark_next(&request), 0);
	assert_int_equal(quark_respond("x", 1), 0);
	run0_start(&run0);
	assert_int_equal(quark_next(&request), 0);
	run0_end(&run0);
	assert_int_equal(host.ring_count, ARRAY_SIZE(rings));
	assert_memory_equal(host.rings, rings, sizeof(rings));
}

static void test_other_ways_to_wake_are_direct(void **state)
{
	static const char *const ways[] = {"direct", "", "run00"};
	struct quark_request request;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		(void)setenv(QUARK_ENV_WAKE, ways[i], 1);
		host.ring_count = 0;
		next_ok(&request);
		assert_int_equal(host.ring_count, 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* --- hooks --------------------------------------------------------------------------------- */

static char trace[64];

static void hook_note(void *context)
{
	const char *name = context;

	assert_true(strlen(trace) + strlen(name) < sizeof(trace));
	(void)strcat(trace, name);
}

static void hooks_set(void)
{
	static char names[][2] = {"b", "c", "r", "s"};

	trace[0] = 0;
	assert_int_equal(quark_before_snapshot(hook_note, names[0]), 0);
	assert_int_equal(quark_before_snapshot(hook_note, names[1]), 0);
	assert_int_equal(quark_after_restore(hook_note, names[2]), 0);
	assert_int_equal(quark_after_restore(hook_note, names[3]), 0);
}

static void step_next_generation(volatile struct mailbox_header *header)
{
	step_request(header);
	header->generation = 78;
}

static void step_park_nothing(volatile struct mailbox_header *header)
{
	step_request(header);
	header->order = MAILBOX_ORDER_PARK;
	header->touch_offset = MAILBOX_REQUEST_OFFSET;
	header->touch_count = 0;
	header->generation = 78;
}

/* READY: before. First order of a generation, parking included: after. Not for NONE. */
static void test_hooks_run_once_per_generation(void **state)
{
	static step_fn *const steps[] = {step_none, step_request, NULL, step_request, NULL,
					 step_sleep, step_park_nothing, step_next_generation};
	struct quark_request request;

	(void)state;
	hooks_set();
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(quark_next(&request), 0);
	assert_string_equal(trace, "bcrs");
	assert_int_equal(quark_respond("x", 1), 0);
	assert_int_equal(quark_next(&request), 0);
	assert_string_equal(trace, "bcrs");
	assert_int_equal(quark_respond("x", 1), 0);
	assert_int_equal(quark_next(&request), 0);
	assert_string_equal(trace, "bcrsbcrs");
	assert_int_equal(host.ring_count, 8);
}

static void test_hooks_run_through_run0(void **state)
{
	struct quark_request request;
	struct run0 run0;

	(void)state;
	(void)setenv(QUARK_ENV_WAKE, "run0", 1);
	hooks_set();
	run0_start(&run0);
	assert_int_equal(quark_next(&request), 0);
	run0_end(&run0);
	assert_string_equal(trace, "bcrs");
}

static void test_hooks_have_a_limit(void **state)
{
	(void)state;
	assert_int_equal(quark_before_snapshot(NULL, NULL), -EINVAL);
	assert_int_equal(quark_after_restore(NULL, NULL), -EINVAL);
	for (int i = 0; i < QUARK_HOOKS_MAX; i++) {
		assert_int_equal(quark_before_snapshot(hook_note, trace), 0);
		assert_int_equal(quark_after_restore(hook_note, trace), 0);
	}
	assert_int_equal(quark_before_snapshot(hook_note, trace), -ENOSPC);
	assert_int_equal(quark_after_restore(hook_note, trace), -ENOSPC);
	hooks = (struct hooks){};
	guest.after_count = 0;
}

/* --- answers ------------------------------------------------------------------------------- */

static void expect_answer(uint32_t doorbell, uint32_t offset, const void *data, size_t bytes)
{
	assert_int_equal(host.ring_count, 2);
	assert_int_equal(host.rings[1], doorbell);
	assert_int_equal(host_header()->guest_magic, MAILBOX_MAGIC);
	assert_int_equal(host_header()->guest_version, MAILBOX_VERSION);
	assert_int_equal(host_header()->response_offset, offset);
	assert_int_equal(host_header()->response_bytes, bytes);
	assert_int_equal(host_header()->guest_sequence, host_header()->sequence);
	assert_memory_equal(host.mailbox + offset, data, bytes);
}

/* Answers of every length near 8 bytes and around the border between small and large. */
static void test_answers_go_to_their_area(void **state)
{
	static const size_t lengths[] = {0, 1, 7, 8, 9, MAILBOX_SMALL_RESPONSE_MAX,
					 MAILBOX_SMALL_RESPONSE_MAX + 1, MAILBOX_RESPONSE_MAX};
	uint8_t *data = malloc(MAILBOX_RESPONSE_MAX);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < MAILBOX_RESPONSE_MAX; i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t bytes = lengths[i];
		uint32_t offset = bytes <= MAILBOX_SMALL_RESPONSE_MAX
					  ? MAILBOX_SMALL_RESPONSE_OFFSET
					  : MAILBOX_RESPONSE_OFFSET;
		struct quark_request request;

		host.ring_count = 0;
		next_ok(&request);
		assert_int_equal(quark_respond(data, bytes), 0);
		expect_answer(DOORBELL_DONE, offset, data, bytes);
		if (bytes < MAILBOX_SMALL_RESPONSE_MAX)
			assert_int_equal(host.mailbox[offset + bytes], 0);
		memset(host.mailbox + offset, 0, bytes);
	}
	free(data);
}

static void test_answer_in_place_is_not_copied(void **state)
{
	struct quark_request request;
	uint8_t *buffer;

	(void)state;
	next_ok(&request);
	buffer = quark_response_buffer();
	memcpy(buffer + 100, "in place", 8);
	assert_int_equal(quark_respond(buffer + 100, 8), 0);
	expect_answer(DOORBELL_DONE, MAILBOX_RESPONSE_OFFSET + 100, "in place", 8);
	assert_int_equal(host.mailbox[MAILBOX_SMALL_RESPONSE_OFFSET], 0);
}

static void test_echo_of_the_request(void **state)
{
	struct quark_request request;

	(void)state;
	next_ok(&request);
	assert_int_equal(quark_respond(request.data, request.bytes), 0);
	expect_answer(DOORBELL_DONE, MAILBOX_SMALL_RESPONSE_OFFSET, "hello", 5);
}

static void test_too_large_can_still_fail(void **state)
{
	struct quark_request request;

	(void)state;
	next_ok(&request);
	assert_int_equal(quark_respond(quark_response_buffer(), MAILBOX_RESPONSE_MAX + 1),
			 -EMSGSIZE);
	assert_int_equal(quark_respond("", SIZE_MAX), -EMSGSIZE);
	assert_int_equal(host.ring_count, 1);
	assert_int_equal(quark_fail("too large"), 0);
	expect_answer(DOORBELL_FAILED, MAILBOX_SMALL_RESPONSE_OFFSET, "too large", 9);
}

static void test_one_answer_per_request(void **state)
{
	struct quark_request request;

	(void)state;
	assert_int_equal(quark_respond("x", 1), -EINVAL);
	next_ok(&request);
	assert_int_equal(quark_respond("x", 1), 0);
	assert_int_equal(quark_respond("x", 1), -EINVAL);
	assert_int_equal(quark_fail("x"), -EINVAL);
	assert_int_equal(host.ring_count, 2);
}

static void test_unanswered_request_fails(void **state)
{
	static step_fn *const steps[] = {step_request, NULL, step_request};
	static const uint32_t rings[] = {DOORBELL_READY, DOORBELL_FAILED, DOORBELL_READY};
	struct quark_request request;

	(void)state;
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(quark_next(&request), 0);
	assert_int_equal(quark_next(&request), 0);
	assert_int_equal(host.ring_count, 3);
	assert_memory_equal(host.rings, rings, sizeof(rings));
	assert_int_equal(host_header()->response_bytes, 27);
	assert_memory_equal(host.mailbox + MAILBOX_SMALL_RESPONSE_OFFSET,
			    "the function did not answer", 27);
	assert_int_equal(quark_respond("x", 1), 0);
}

static void test_second_request_on_the_same_machine(void **state)
{
	static step_fn *const steps[] = {step_request, NULL, step_request, NULL};
	struct quark_request request;

	(void)state;
	script(steps, ARRAY_SIZE(steps));
	for (uint64_t i = 1; i <= 2; i++) {
		assert_int_equal(quark_next(&request), 0);
		assert_int_equal(quark_respond("x", 1), 0);
		assert_int_equal(host_header()->guest_sequence, i);
	}
	assert_int_equal(host.ring_count, 4);
}

/* --- log ----------------------------------------------------------------------------------- */

static void test_log_before_the_first_request(void **state)
{
	(void)state;
	script((step_fn *const[]){NULL}, 1);
	assert_int_equal(quark_log("%s %d", "warm", 1), 0);
	assert_int_equal(host.rings[0], DOORBELL_LOG);
	assert_int_equal(host_header()->log_bytes, 6);
	assert_memory_equal(host.mailbox + MAILBOX_LOG_OFFSET, "warm 1", 6);
}

static void test_long_log_is_cut(void **state)
{
	static char text[3 * MAILBOX_LOG_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	script((step_fn *const[]){NULL}, 1);
	assert_int_equal(quark_log("%s", text), 0);
	assert_int_equal(host_header()->log_bytes, MAILBOX_LOG_MAX);
	assert_int_equal(host.mailbox[MAILBOX_LOG_OFFSET + MAILBOX_LOG_MAX - 1], 'x');
	assert_int_equal(host.mailbox[MAILBOX_LOG_OFFSET + MAILBOX_LOG_MAX + 1], 0);
}

/* --- without doorbell and mailbox ---------------------------------------------------------- */

static void test_without_descriptors(void **state)
{
	static const char *const bad[] = {NULL,	 "", "x", "-1", "3x", "99999999999999999999",
					  "1023"};
	struct quark_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bad[i])
			(void)setenv(QUARK_ENV_MAILBOX_FD, bad[i], 1);
		else
			(void)unsetenv(QUARK_ENV_MAILBOX_FD);
		assert_int_equal(quark_next(&request), -ENODEV);
		assert_int_equal(quark_log("x"), -ENODEV);
		assert_null(quark_response_buffer());
	}
	assert_int_equal(host.ring_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_arrives),
		TEST(test_order_none_rings_again),
		TEST(test_bad_headers_are_refused),
		TEST(test_largest_requests_are_taken),
		TEST(test_park_touches_the_list),
		TEST(test_run0_wakes_the_function),
		TEST(test_other_ways_to_wake_are_direct),
		TEST(test_hooks_run_once_per_generation),
		TEST(test_hooks_run_through_run0),
		TEST(test_hooks_have_a_limit),
		TEST(test_answers_go_to_their_area),
		TEST(test_answer_in_place_is_not_copied),
		TEST(test_echo_of_the_request),
		TEST(test_too_large_can_still_fail),
		TEST(test_one_answer_per_request),
		TEST(test_unanswered_request_fails),
		TEST(test_second_request_on_the_same_machine),
		TEST(test_log_before_the_first_request),
		TEST(test_long_log_is_cut),
		TEST(test_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
