/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: answers what time it is, by the vDSO, by system call and by the request itself, in
 * nanoseconds. Shows that the clocks of a restored machine are right.
 */
#include <inttypes.h>
#include <quark.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static uint64_t by_vdso(clockid_t clock)
{
	struct timespec t = {};

	(void)clock_gettime(clock, &t);
	return ns(&t);
}

static uint64_t by_syscall(clockid_t clock)
{
	struct timespec t = {};

	(void)syscall(SYS_clock_gettime, clock, &t);
	return ns(&t);
}

int main(void)
{
	struct quark_request request;
	char text[256];

	(void)by_vdso(CLOCK_REALTIME); /* finds the vDSO before the snapshot */
	while (quark_next(&request) == 0) {
		uint64_t vdso = by_vdso(CLOCK_REALTIME);
		uint64_t call = by_syscall(CLOCK_REALTIME);
		uint64_t monotonic = by_vdso(CLOCK_MONOTONIC);
		int n = snprintf(text, sizeof(text),
				 "{\"realtime_ns\":%" PRIu64 ",\"realtime_syscall_ns\":%" PRIu64
				 ",\"monotonic_ns\":%" PRIu64 ",\"request_realtime_ns\":%" PRIu64
				 "}\n",
				 vdso, call, monotonic, request.realtime_ns);

		if (quark_respond(text, (size_t)n) < 0)
			return 1;
	}
	return 1;
}
