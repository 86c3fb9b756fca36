/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libquark in the guest: next, respond, fail and log over the mailbox and the doorbell.
 *
 * What runs between the doorbell's return with a request and the doorbell of the answer decides the
 * start time of a clone: every page that it touches is a page that the host has to map. Therefore
 * this code calls no other library, lies together in .text.hot (which the linker puts beside main),
 * keeps its state in one struct, and the doorbell and mailbox are mapped where they share the page
 * tables of the program.
 *
 * The state is file-scope because the interface has no handle: a process has one mailbox. One
 * thread uses it.
 */
#include "quark.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doorbell.h"
#include "mailbox.h"

#define HOT __attribute__((section(".text.hot"), noinline))

enum {
	PAGE_BYTES = 4096,
	STACK_PREPARED_BYTES = 64 << 10,
};

#define GIB (1ull << 30)

struct guest {
	volatile uint32_t *bell; /* NULL until both are mapped */
	uint8_t *mailbox;
	uint64_t sequence; /* of the request being answered, 0 without one */
	uint64_t generation; /* whose first order has been seen */
	bool through_run0;   /* PID 1 stops at the doorbell for the snapshot, not this process */
	bool started;	     /* the first quark_next has prepared the program */
	bool arriving;	     /* the next wait is for PID 1 to say GO */
	uint8_t after_count; /* of hooks */

	/* Address space for the doorbell inside the program, so that it needs no page table of its
	 * own. Two pages, of which the aligned one is used: an aligned member would push this
	 * struct off the page of the function's own variables. */
	uint8_t bell_room[2 * PAGE_BYTES];
};

static struct guest guest;

/* Apart from the state above: a function without hooks touches none of this. */
struct hook {
	void (*run)(void *context);
	void *context;
};

static struct hooks {
	size_t before_count;
	struct hook before[QUARK_HOOKS_MAX], after[QUARK_HOOKS_MAX];
} hooks;

/* --- setting up, before the snapshot ------------------------------------------------------- */

static int env_fd(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long fd;

	if (!text || !*text)
		return -1;
	fd = strtol(text, &end, 10);
	return *end || fd < 0 || fd > INT32_MAX ? -1 : (int)fd;
}

static bool env_is_run0(void)
{
	const char *text = getenv(QUARK_ENV_WAKE);

	return text && !strcmp(text, "run0");
}

static void *page_of(void *address)
{
	return (void *)((uintptr_t)address & ~(uintptr_t)(PAGE_BYTES - 1));
}

static void *bell_map(int fd)
{
	void *at = page_of(guest.bell_room + PAGE_BYTES - 1);

	return mmap(at, DOORBELL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

/* Half-way up the program's GiB the mailbox shares its page directory; anywhere will do, too. */
static void *mailbox_map(int fd)
{
	void *wish = (void *)(((uintptr_t)&guest & ~(uintptr_t)(GIB - 1)) + GIB / 2);
	void *at;

	at = mmap(wish, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
		  0);
	if (at != MAP_FAILED && at != wish) { /* a kernel that does not know the flag */
		(void)munmap(at, MAILBOX_BYTES);
		at = MAP_FAILED;
	}
	if (at == MAP_FAILED)
		at = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at;
}

static int guest_open(void)
{
	int bell_fd = env_fd(QUARK_ENV_DOORBELL_FD);
	int mailbox_fd = env_fd(QUARK_ENV_MAILBOX_FD);
	void *bell, *mailbox;

	if (guest.bell)
		return 0;
	if (bell_fd < 0 || mailbox_fd < 0)
		return -ENODEV;
	mailbox = mailbox_map(mailbox_fd);
	if (mailbox == MAP_FAILED)
		return -ENODEV;
	bell = bell_map(bell_fd);
	if (bell == MAP_FAILED) {
		(void)munmap(mailbox, MAILBOX_BYTES);
		return -ENODEV;
	}

	guest.mailbox = mailbox;
	guest.through_run0 = guest.arriving = env_is_run0();
	guest.bell = (volatile uint32_t *)((uint8_t *)bell + DOORBELL_REGISTER_OFFSET);
	return 0;
}

/* The header, with the guest's mark on it: a restored clone gets a fresh mailbox, so whatever was
 * written before the snapshot is gone. */
static inline volatile struct mailbox_header *header_signed(void)
{
	volatile struct mailbox_header *header = (volatile void *)guest.mailbox;

	header->guest_magic = MAILBOX_MAGIC;
	header->guest_version = MAILBOX_VERSION;
	return header;
}

static void range_populate(void *start, void *end, int advice)
{
	uint8_t *from = page_of(start);

	if ((uint8_t *)end > from)
		(void)madvise(from, (size_t)((uint8_t *)end - from), advice);
}

/* Maps what the program will touch, so that no page fault enters the guest kernel after a restore.
 * An aid, so failures do not matter: what is not mapped is mapped when it is touched. */
static void program_prepare(void)
{
	extern char __executable_start[], etext[], __data_start[];
	uint8_t *stack = __builtin_frame_address(0);

	range_populate(__executable_start, etext, MADV_POPULATE_READ);
	range_populate(__data_start, guest.bell_room, MADV_POPULATE_WRITE);
	/* The heap follows the variables. */
	range_populate(guest.bell_room + sizeof(guest.bell_room), sbrk(0), MADV_POPULATE_WRITE);
	range_populate(stack - STACK_PREPARED_BYTES, stack, MADV_POPULATE_WRITE);
}

static void hooks_run(const struct hook *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].run(list[i].context);
}

/* The hooks come first: what they leave behind is prepared as well. */
__attribute__((cold, noinline)) static void snapshot_prepare(void)
{
	hooks_run(hooks.before, hooks.before_count);
	(void)header_signed();
	program_prepare();
}

__attribute__((cold)) static int guest_start(void)
{
	int r = guest_open();

	if (r < 0)
		return r;
	snapshot_prepare();
	guest.started = true;
	return 0;
}

__attribute__((cold, noinline)) static void hooks_run_after(void)
{
	hooks_run(hooks.after, guest.after_count);
}

/* --- the hot path -------------------------------------------------------------------------- */

/* Library memcpy lies on a page of its own (and its choice of variant on another). */
static inline void copy(void *to, const void *from, size_t bytes)
{
	size_t words = bytes / 8;

	bytes %= 8;
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* An offset below the area wraps round and is beyond its end. */
static inline bool within(uint64_t offset, uint64_t bytes, uint32_t area, uint32_t area_bytes)
{
	return offset - area <= area_bytes && bytes <= area_bytes - (offset - area);
}

/* Brings the pages that the host lists into this machine's second-stage page tables. */
HOT static int pages_touch(uint32_t offset, uint32_t count)
{
	const volatile uint64_t *list = (const volatile uint64_t *)(guest.mailbox + offset);

	if (count > MAILBOX_TOUCH_MAX || offset % sizeof(*list) ||
	    !within(offset, count * sizeof(*list), MAILBOX_SMALL_REQUEST_OFFSET,
		    MAILBOX_BYTES - MAILBOX_SMALL_REQUEST_OFFSET))
		return -EPROTO;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t entry = list[i];
		uint8_t *at = (uint8_t *)(entry & ~MAILBOX_TOUCH_WRITE);

		if (entry & MAILBOX_TOUCH_WRITE)
			__asm__ volatile("lock addb $0, (%0)" : : "r"(at) : "memory", "cc");
		else
			(void)*(volatile uint8_t *)at;
	}
	return 0;
}

/* The C library's syscall() and errno lie on pages of their own. */
static inline void call(long number, volatile void *a, long b, long c)
{
	register long no_timeout __asm__("r10") = 0;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(a), "S"(b), "d"(c), "r"(no_timeout)
			 : "rcx", "r11", "memory");
}

/* Sleeps until PID 1 has made this clone unique. To look for GO in a loop of sched_yield would
 * touch fewer pages, but a process that was running when the snapshot was taken has run, to the
 * scheduler of a clone, for as long as the template is old: once a timer interrupt comes first, the
 * other of the two is not scheduled for that long. A restored clone has a fresh mailbox, in which
 * the word is not what was stored here. */
HOT static void sleep_until_go(void)
{
	volatile uint32_t *wake = &header_signed()->wake;
	uint32_t seen;

	*wake = MAILBOX_WAKE_ARRIVED;
	call(SYS_futex, wake, FUTEX_WAKE, INT32_MAX);
	while ((seen = *wake) != MAILBOX_WAKE_GO)
		call(SYS_futex, wake, FUTEX_WAIT, (long)seen);
}

/* The first order of a clone that goes on with this program's work. */
static inline void generation_see(const volatile struct mailbox_header *header)
{
	uint64_t generation = header->generation;

	if (generation == guest.generation)
		return;
	guest.generation = generation;
	if (guest.after_count)
		hooks_run_after();
}

static inline int request_take(const volatile struct mailbox_header *header,
			       struct quark_request *ret_request)
{
	uint32_t offset = header->request_offset;
	uint32_t bytes = header->request_bytes;
	uint64_t sequence = header->sequence;

	if (sequence == 0)
		return -EPROTO;
	if (!within(offset, bytes, MAILBOX_SMALL_REQUEST_OFFSET, MAILBOX_SMALL_REQUEST_MAX) &&
	    !within(offset, bytes, MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_MAX))
		return -EPROTO;
	guest.sequence = sequence;
	ret_request->data = guest.mailbox + offset;
	ret_request->bytes = bytes;
	ret_request->generation = header->generation;
	ret_request->realtime_ns = header->realtime_ns;
	ret_request->entropy = guest.mailbox + offsetof(struct mailbox_header, entropy);
	return 0;
}

static inline int park(const volatile struct mailbox_header *header)
{
	int r = pages_touch(header->touch_offset, header->touch_count);

	return r < 0 ? r : 1;
}

/* The machine is going to be captured again. */
__attribute__((cold, noinline)) static int snapshot_again(void)
{
	snapshot_prepare();
	guest.arriving = guest.through_run0;
	return 1;
}

/* Carries out one order. 1: ring again; 0: there is a request. Comparisons, because the table of a
 * switch would be read from another page. */
static inline int order_take(struct quark_request *ret_request)
{
	const volatile struct mailbox_header *header = (const void *)guest.mailbox;
	uint32_t order;

	if (header->magic != MAILBOX_MAGIC || header->version != MAILBOX_VERSION)
		return -EPROTO;
	order = header->order;
	if (order == MAILBOX_ORDER_NONE)
		return 1;
	if (order == MAILBOX_ORDER_SLEEP)
		return snapshot_again();
	if (order != MAILBOX_ORDER_REQUEST && order != MAILBOX_ORDER_PARK)
		return -EPROTO;
	generation_see(header);
	return order == MAILBOX_ORDER_PARK ? park(header) : request_take(header, ret_request);
}

/* Stops this machine until the host has an order, or waits until PID 1 passes one on. */
static inline void order_wait(void)
{
	if (guest.arriving) {
		guest.arriving = false;
		sleep_until_go();
	} else {
		doorbell_ring(guest.bell, DOORBELL_READY);
	}
}

HOT static int answer(const void *data, size_t bytes, uint32_t doorbell)
{
	volatile struct mailbox_header *header;
	uint64_t offset = (uintptr_t)data - (uintptr_t)guest.mailbox;

	if (guest.sequence == 0)
		return -EINVAL;
	if (bytes > MAILBOX_RESPONSE_MAX)
		return -EMSGSIZE;
	if (!within(offset, bytes, MAILBOX_RESPONSE_OFFSET, MAILBOX_RESPONSE_MAX)) {
		offset = bytes <= MAILBOX_SMALL_RESPONSE_MAX ? MAILBOX_SMALL_RESPONSE_OFFSET
							     : MAILBOX_RESPONSE_OFFSET;
		copy(guest.mailbox + offset, data, bytes);
	}
	header = header_signed();
	header->response_offset = (uint32_t)offset;
	header->response_bytes = (uint32_t)bytes;
	header->guest_sequence = guest.sequence;
	guest.sequence = 0;
	doorbell_ring(guest.bell, doorbell);
	return 0;
}

HOT int quark_next(struct quark_request *ret_request)
{
	static const char unanswered[] = "the function did not answer";
	int r;

	if (!guest.started) {
		r = guest_start();
		if (r < 0)
			return r;
	}
	if (guest.sequence)
		(void)answer(unanswered, sizeof(unanswered) - 1, DOORBELL_FAILED);
	do {
		order_wait();
		r = order_take(ret_request);
	} while (r > 0);
	return r;
}

HOT int quark_respond(const void *data, size_t bytes)
{
	return answer(data, bytes, DOORBELL_DONE);
}

HOT void *quark_response_buffer(void)
{
	if (!guest.bell && guest_open() < 0)
		return NULL;
	return guest.mailbox + MAILBOX_RESPONSE_OFFSET;
}

/* --- the rest ------------------------------------------------------------------------------ */

int quark_fail(const char *message)
{
	size_t bytes = strnlen(message, MAILBOX_RESPONSE_MAX);

	return answer(message, bytes, DOORBELL_FAILED);
}

int quark_before_snapshot(void (*hook)(void *context), void *context)
{
	if (!hook)
		return -EINVAL;
	if (hooks.before_count == QUARK_HOOKS_MAX)
		return -ENOSPC;
	hooks.before[hooks.before_count++] = (struct hook){hook, context};
	return 0;
}

int quark_after_restore(void (*hook)(void *context), void *context)
{
	if (!hook)
		return -EINVAL;
	if (guest.after_count == QUARK_HOOKS_MAX)
		return -ENOSPC;
	hooks.after[guest.after_count++] = (struct hook){hook, context};
	return 0;
}

int quark_log(const char *format, ...)
{
	volatile struct mailbox_header *header;
	va_list args;
	int r, n;

	r = guest_open();
	if (r < 0)
		return r;
	va_start(args, format);
	n = vsnprintf((char *)guest.mailbox + MAILBOX_LOG_OFFSET, MAILBOX_LOG_MAX + 1, format,
		      args);
	va_end(args);
	if (n < 0)
		return -EINVAL;
	header = header_signed();
	header->log_bytes = n > (int)MAILBOX_LOG_MAX ? MAILBOX_LOG_MAX : (uint32_t)n;
	doorbell_ring(guest.bell, DOORBELL_LOG);
	return 0;
}

size_t quark_response_max(void)
{
	return MAILBOX_RESPONSE_MAX;
}
