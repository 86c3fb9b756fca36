/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark.node: what JavaScript cannot do for libquark: map the doorbell and the mailbox, ring, sleep
 * until run0 wakes the function, touch pages, and give OpenSSL new entropy.
 *
 * It is linked without a C library, makes its own system calls and declares the few functions of
 * Node-API (stable since Node 8, version 1) itself. So one file works with every C library and
 * every Node from 14 on, and nothing of Node is needed to build it. Node's program or libnode
 * resolves the names when it loads this file.
 *
 * The state is file-scope because the process has one mailbox. index.js calls from one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doorbell.h"
#include "mailbox.h"

/* --- Node-API, from https://nodejs.org/api/n-api.html ---------------------------------------- */

typedef struct napi_env_s *napi_env;
typedef struct napi_value_s *napi_value;
typedef struct napi_callback_info_s *napi_callback_info;
typedef int napi_status; /* 0: napi_ok */
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

napi_status napi_create_function(napi_env env, const char *name, size_t bytes,
				 napi_callback callback, void *data, napi_value *ret_function);
napi_status napi_set_named_property(napi_env env, napi_value object, const char *name,
				    napi_value value);
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv,
			     napi_value *ret_this, void **ret_data);
napi_status napi_get_value_uint32(napi_env env, napi_value value, uint32_t *ret_number);
napi_status napi_create_int32(napi_env env, int32_t number, napi_value *ret_value);
napi_status napi_create_external_arraybuffer(napi_env env, void *data, size_t bytes,
					     void (*finalize)(napi_env, void *, void *), void *hint,
					     napi_value *ret_buffer);

napi_value napi_register_module_v1(napi_env env, napi_value exports);

/* --- OpenSSL, where Node has it. The first is in all versions, the second says whether the first
 * worked; both are exported by Node's program, or by the libcrypto that Node uses. ------------ */

__attribute__((weak)) void RAND_add(const void *data, int bytes, double entropy_bytes);
__attribute__((weak)) int RAND_status(void);

/* --- Linux on x86-64 ------------------------------------------------------------------------- */

enum {
	SYS_MMAP = 9,
	SYS_FUTEX = 202,
	PROT_READ_WRITE = 3,
	MAP_SHARED = 1,
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	EINTR = 4,
	EAGAIN = 11,
	EINVAL = 22,
	EPROTO = 71,
	ERRNO_MAX = 4095,
};

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

/* --- the guest's side of the mailbox --------------------------------------------------------- */

static struct guest {
	volatile uint32_t *bell; /* NULL until both are mapped */
	uint8_t *mailbox;
} guest;

static volatile struct mailbox_header *header(void)
{
	return (volatile void *)guest.mailbox;
}

/* An address, or -errno. */
static long shared_map(uint32_t fd, size_t bytes)
{
	return system_call(SYS_MMAP, 0, (long)bytes, PROT_READ_WRITE, MAP_SHARED, (long)fd, 0);
}

static int guest_open(uint32_t bell_fd, uint32_t mailbox_fd)
{
	long mailbox, bell;

	if (guest.bell)
		return -EINVAL;
	mailbox = shared_map(mailbox_fd, MAILBOX_BYTES);
	if (mailbox < 0 && mailbox >= -ERRNO_MAX)
		return (int)mailbox;
	bell = shared_map(bell_fd, DOORBELL_BAR_BYTES);
	if (bell < 0 && bell >= -ERRNO_MAX)
		return (int)bell;
	guest.mailbox = (uint8_t *)mailbox;
	guest.bell = (volatile uint32_t *)(bell + DOORBELL_REGISTER_OFFSET);
	return 0;
}

/* Says that the function is at next(), and sleeps until PID 1 has made the clone its own machine. A
 * fresh mailbox does not hold ARRIVED any more, so any other value is waited on. */
static int run0_wait(void)
{
	volatile uint32_t *wake = &header()->wake;
	uint32_t value;

	__atomic_store_n(wake, MAILBOX_WAKE_ARRIVED, __ATOMIC_SEQ_CST);
	(void)system_call(SYS_FUTEX, (long)wake, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
	while ((value = __atomic_load_n(wake, __ATOMIC_ACQUIRE)) != MAILBOX_WAKE_GO) {
		long r = system_call(SYS_FUTEX, (long)wake, FUTEX_WAIT, (long)value, 0, 0, 0);

		if (r < 0 && r != -EAGAIN && r != -EINTR)
			return (int)r;
	}
	return 0;
}

/* Brings the pages that the host lists into this machine's second-stage page tables. */
static int pages_touch(void)
{
	uint32_t offset = header()->touch_offset;
	uint32_t count = header()->touch_count;
	const volatile uint64_t *list = (const volatile uint64_t *)(guest.mailbox + offset);

	if (count > MAILBOX_TOUCH_MAX || offset % sizeof(*list) ||
	    offset < MAILBOX_SMALL_REQUEST_OFFSET ||
	    (uint64_t)offset + count * sizeof(*list) > MAILBOX_BYTES)
		return -EPROTO;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t entry = list[i];
		uint8_t *at = (uint8_t *)(entry & ~MAILBOX_TOUCH_WRITE);

		/* Other threads of Node may run meanwhile: the addition is atomic. */
		if (entry & MAILBOX_TOUCH_WRITE)
			__asm__ volatile("lock addb $0, (%0)" : : "r"(at) : "memory", "cc");
		else
			(void)*(volatile uint8_t *)at;
	}
	return 0;
}

/* OpenSSL 3 and 1.1.1: the process's primary generator reseeds from the kernel and mixes the
 * host's entropy in; the generators of all threads see its new count and reseed before their next
 * output. 1: done; 0: refused; -1: there is no OpenSSL. */
static int openssl_reseed(void)
{
	uint8_t entropy[sizeof(header()->entropy)];

	if (!RAND_add || !RAND_status)
		return -1;
	for (size_t i = 0; i < sizeof(entropy); i++)
		entropy[i] = header()->entropy[i];
	RAND_add(entropy, sizeof(entropy), sizeof(entropy));
	return RAND_status() == 1;
}

/* --- what index.js calls --------------------------------------------------------------------- */

/* The first `count` arguments, as numbers; what is none counts as 0. */
static void arguments(napi_env env, napi_callback_info info, uint32_t *numbers, size_t count)
{
	napi_value values[2] = { NULL, NULL };
	size_t argc = count;

	(void)napi_get_cb_info(env, info, &argc, values, NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		numbers[i] = 0;
		if (i < argc)
			(void)napi_get_value_uint32(env, values[i], &numbers[i]);
	}
}

static napi_value number(napi_env env, int32_t value)
{
	napi_value result = NULL;

	(void)napi_create_int32(env, value, &result);
	return result;
}

/* open(bell fd, mailbox fd): the mailbox as an ArrayBuffer, or -errno. */
static napi_value js_open(napi_env env, napi_callback_info info)
{
	napi_value mailbox = NULL;
	uint32_t fds[2];
	int r;

	arguments(env, info, fds, 2);
	r = guest_open(fds[0], fds[1]);
	if (r < 0)
		return number(env, r);
	if (napi_create_external_arraybuffer(env, guest.mailbox, MAILBOX_BYTES, NULL, NULL,
					     &mailbox) != 0)
		return number(env, -EINVAL);
	return mailbox;
}

/* ring(value) */
static napi_value js_ring(napi_env env, napi_callback_info info)
{
	uint32_t value;

	arguments(env, info, &value, 1);
	if (guest.bell)
		doorbell_ring(guest.bell, value);
	return NULL;
}

/* wait(): 0 or -errno */
static napi_value js_wait(napi_env env, napi_callback_info info)
{
	(void)info;
	return number(env, guest.bell ? run0_wait() : -EINVAL);
}

/* touch(): 0 or -errno */
static napi_value js_touch(napi_env env, napi_callback_info info)
{
	(void)info;
	return number(env, guest.bell ? pages_touch() : -EINVAL);
}

/* reseed(): 1, 0 or -1 */
static napi_value js_reseed(napi_env env, napi_callback_info info)
{
	(void)info;
	return number(env, guest.bell ? openssl_reseed() : 0);
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env,
									  napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback call;
	} functions[] = {
		{ "open", js_open },   { "ring", js_ring },     { "wait", js_wait },
		{ "touch", js_touch }, { "reseed", js_reseed },
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		napi_value function;

		if (napi_create_function(env, functions[i].name, SIZE_MAX, functions[i].call, NULL,
					 &function) != 0 ||
		    napi_set_named_property(env, exports, functions[i].name, function) != 0)
			return NULL;
	}
	return exports;
}
