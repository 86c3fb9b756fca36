/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wake: what PID 1 does between a restore and the function's first instruction.
 *
 * A clone starts here, in the instruction after the doorbell, and everything until the function
 * runs is part of its start time. Each page that is touched first costs ten thousand instructions,
 * a system call a few hundred. So the code from the doorbell to GO is one function that fits into
 * one page, calls no library and reads no constants from elsewhere (it is compiled without vector
 * registers, whose constants would lie apart), and all that it writes is on the stack's page, the
 * machine id's and the mailbox.
 *
 * The word `wake` of the mailbox is a futex: the function sleeps until GO, PID 1 until ARRIVED. A
 * restored clone has a fresh mailbox and so finds ASLEEP; whoever looks again waits for what he
 * needs, whatever he saw before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "doorbell.h"
#include "init.h"

#define HOT __attribute__((section(".text.hot"), noinline))
/* A function smaller than its alignment crosses no border of pages. */
#define IN_ONE_PAGE __attribute__((aligned(2048)))
#define INLINE inline __attribute__((always_inline))

enum {
	ENTROPY_BYTES = 64,
	NAME_WORDS = 3,
	MACHINE_ID_BYTES = 16,
	NAME_BYTES = 6, /* of the hostname, in binary, after its prefix */
	NAME_PREFIX_BYTES = sizeof("quark-") - 1,
	ALL_WAITERS = INT32_MAX,
	SETTLE_NS = 100000000,
};

/* As struct rand_pool_info, which ends in an open array. */
struct pool {
	int entropy_bits;
	int bytes;
	uint64_t data[ENTROPY_BYTES / sizeof(uint64_t)];
};

struct identity {
	struct pool pool;
	uint64_t random[NAME_WORDS];
	volatile char name[NAME_PREFIX_BYTES + 2 * NAME_BYTES];
};

static INLINE long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

/* --- identity -------------------------------------------------------------------------------- */

static INLINE char hex_digit(unsigned int nibble)
{
	return (char)(nibble + (nibble < 10 ? '0' : 'a' - 10));
}

static INLINE void hex_put(volatile char *to, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		to[2 * i] = hex_digit(bytes[i] >> 4);
		to[2 * i + 1] = hex_digit(bytes[i] & 15);
	}
}

/* The host's entropy is mixed in and credited, then every generator in the kernel gets a new key
 * from the pool: what this process and all others draw afterwards, no other clone draws. */
static INLINE long reseed(const struct init *init, struct pool *pool)
{
	const volatile struct mailbox_header *header = (const volatile void *)init->mailbox;
	const volatile uint64_t *entropy = (const volatile uint64_t *)header->entropy;
	long r;

	pool->entropy_bits = 8 * ENTROPY_BYTES;
	pool->bytes = ENTROPY_BYTES;
	for (size_t i = 0; i < ENTROPY_BYTES / sizeof(uint64_t); i++)
		pool->data[i] = entropy[i];
	r = call(SYS_ioctl, init->random_fd, RNDADDENTROPY, (long)pool, 0);
	return r < 0 ? r : call(SYS_ioctl, init->random_fd, RNDRESEEDCRNG, 0, 0);
}

/* A version 4 UUID, as systemd has it. */
static INLINE void machine_id_store(char *file, uint8_t *id)
{
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	hex_put(file, id, MACHINE_ID_BYTES);
}

static INLINE long name_set(struct identity *identity)
{
	/* Written out, and volatile: a constant would be read from another page. */
	identity->name[0] = 'q';
	identity->name[1] = 'u';
	identity->name[2] = 'a';
	identity->name[3] = 'r';
	identity->name[4] = 'k';
	identity->name[5] = '-';
	hex_put(identity->name + NAME_PREFIX_BYTES,
		(const uint8_t *)identity->random + MACHINE_ID_BYTES, NAME_BYTES);
	return call(SYS_sethostname, (long)identity->name, sizeof(identity->name), 0, 0);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of one number: a keyed function from whose values
 * nobody learns its key. */
#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

static INLINE void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTATE(v[1], 13) ^ v[0];
	v[0] = ROTATE(v[0], 32);
	v[2] += v[3];
	v[3] = ROTATE(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTATE(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTATE(v[1], 17) ^ v[2];
	v[2] = ROTATE(v[2], 32);
}

static INLINE uint64_t sip_hash(const uint64_t key[2], uint64_t number)
{
	const uint64_t words[] = {number, 8ull << 56}; /* the second is the message's length */
	uint64_t v[] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};

	for (int i = 0; i < 2; i++) {
		v[3] ^= words[i];
		sip_round(v);
		sip_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Names come from the same entropy, but not by way of the kernel: getrandom would cost ten pages
 * more. Names are public, so what they are made of must not be told by them. */
static INLINE int renew(const struct init *init, const char **ret_step)
{
	struct identity identity;
	long r;

	*ret_step = "reseed the kernel's random numbers";
	r = reseed(init, &identity.pool);
	if (r < 0)
		return (int)r;
	for (uint64_t i = 0; i < NAME_WORDS; i++)
		identity.random[i] = sip_hash(identity.pool.data, i);
	machine_id_store(init->machine_id, (uint8_t *)identity.random);
	*ret_step = "set the machine's name";
	return (int)name_set(&identity);
}

int identity_renew(struct init *init, const char **ret_step)
{
	return renew(init, ret_step);
}

/* --- the doorbell ---------------------------------------------------------------------------- */

/* The kernel has work of its own after so much has started: grace periods of RCU, timers, work
 * queues. What is not done when the snapshot is taken, each clone does before its function runs. */
static void let_kernel_settle(void)
{
	const struct timespec pause = {.tv_nsec = SETTLE_NS};

	(void)call(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

/* Not to be captured: a machine whose function has ended meanwhile. Its end stays to be reaped. */
static int function_lives(const struct init *init)
{
	siginfo_t info = {};
	const int options = WEXITED | WNOHANG | WNOWAIT;

	return waitid(P_PID, (id_t)init->function, &info, options) == 0 && info.si_pid == 0 ?
		       0 :
		       -ECHILD;
}

/* No clone comes here, but one that is captured again. */
__attribute__((cold, noinline)) static int prepare_capture(const struct init *init, uint32_t order)
{
	int r = 0;

	if (order == MAILBOX_ORDER_GATHER)
		r = gather(init);
	else if (order != MAILBOX_ORDER_NONE)
		r = -EPROTO;
	let_kernel_settle();
	return r < 0 ? r : function_lives(init);
}

/* From the doorbell to GO, and in a clone to the first end of a process. SIGCHLD is blocked. 0, or
 * the -errno of *ret_step. */
HOT IN_ONE_PAGE static int stop_and_wake(const struct init *init, const char **ret_step)
{
	volatile struct mailbox_header *header = (volatile void *)init->mailbox;
	const uint64_t no_signals = 0;
	uint32_t order;
	int r;

	*ret_step = "take the host's order";
	for (;;) {
		doorbell_ring(init->bell, DOORBELL_READY);
		if (header->magic != MAILBOX_MAGIC || header->version != MAILBOX_VERSION)
			return -EPROTO;
		order = header->order;
		if (order == MAILBOX_ORDER_REQUEST || order == MAILBOX_ORDER_PARK)
			break;
		r = prepare_capture(init, order);
		if (r < 0)
			return r;
	}
	if (!(init->create_flags & MAILBOX_CREATE_NO_IDENTITY)) {
		r = renew(init, ret_step);
		if (r < 0)
			return r;
	}
	header->wake = MAILBOX_WAKE_GO;
	(void)call(SYS_futex, (long)&header->wake, FUTEX_WAKE, ALL_WAITERS, 0);
	/* The function waits for this CPU. In the machine that made it, it may come back (SLEEP).
	 * In a clone only its end is of interest, and that is the cheapest way to wait for it. */
	if (header->generation != init->created_generation)
		(void)call(SYS_rt_sigsuspend, (long)&no_signals, sizeof(uint64_t), 0, 0);
	return 0;
}

/* Sleeps until the function has arrived at next() (0) or has ended (1). Either word that changed
 * before the sleep ends it at once, so nothing is missed. */
static int wait_for_arrival(struct init *init, int *ret_status, struct err *err)
{
	volatile struct mailbox_header *header = (volatile void *)init->mailbox;

	for (;;) {
		const uint32_t ended = __atomic_load_n(&children_ended, __ATOMIC_SEQ_CST);
		const uint32_t wake = header->wake;
		struct futex_waitv words[] = {
			{.val = ended, .uaddr = (uintptr_t)&children_ended,
			 .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
			{.val = wake, .uaddr = (uintptr_t)&header->wake, .flags = FUTEX_32},
		};
		const bool direct = init->create_flags & MAILBOX_CREATE_DIRECT;
		long r;

		if (ended != init->ends_seen && children_reap(init, ret_status))
			return 1;
		init->ends_seen = ended;
		if (wake == MAILBOX_WAKE_ARRIVED && !direct)
			return 0;
		r = call(SYS_futex_waitv, (long)words, direct ? 1 : 2, 0, 0);
		if (r < 0 && r != -EAGAIN && r != -EINTR)
			return err_set(err, (int)r, "futex_waitv: %s", strerror((int)-r));
	}
}

/* The function can end while the kernel settles. */
static int wait_for_quiet_arrival(struct init *init, int *ret_status, struct err *err)
{
	int r = wait_for_arrival(init, ret_status, err);

	if (r != 0)
		return r;
	let_kernel_settle();
	return wait_for_arrival(init, ret_status, err);
}

int wake_loop(struct init *init, int *ret_status, struct err *err)
{
	const char *step = NULL;
	int r = 0;

	while (r == 0) {
		r = wait_for_quiet_arrival(init, ret_status, err);
		if (r != 0)
			return r < 0 ? r : 0;
		init->was_ready = true;
		mailbox_sign(init);
		children_signal_block(true);
		r = stop_and_wake(init, &step);
		children_signal_block(false);
		if (r < 0)
			err_set(err, r, "cannot %s: %s", step, strerror(-r));
	}
	return r;
}
