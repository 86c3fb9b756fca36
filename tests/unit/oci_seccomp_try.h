/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system call under a filter: a child loads it and makes the call. What comes back is left in
 * memory that both share, as a filter may refuse everything but exit_group.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "process/seccomp.h"

enum { KILLED = -10000, NOT_LOADED = -10001, X32_BIT = 0x40000000 };

#define NAMES(...)                                                              \
	{                                                                       \
		(const char *[]){ __VA_ARGS__ },                                \
			sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *) \
	}
#define NUMBER(n) { .set = true, .value = (n) }

/* A system call as it is, by its table's number; i386 ones through the old gate. */
struct call {
	bool i386;
	long number, args[3];
};

static inline long call_i386(long number)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(0), "c"(0), "d"(0)
			 : "memory");
	return (int)result;
}

static inline long make_call(const struct call *call)
{
	long result;

	if (call->i386)
		return call_i386(call->number);
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(call->number), "D"(call->args[0]), "S"(call->args[1]),
			   "d"(call->args[2])
			 : "rcx", "r11", "memory");
	return result;
}

static inline long *shared_long(void)
{
	long *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

/* A child that ends by what it is sent: cmocka has handlers, which would go on with the tests. */
static inline pid_t fork_child(void)
{
	static const int signals[] = { SIGSYS, SIGSEGV, SIGABRT };
	const pid_t pid = fork();

	assert_true(pid >= 0);
	for (size_t i = 0; pid == 0 && i < ARRAY_SIZE(signals); i++)
		(void)signal(signals[i], SIG_DFL);
	return pid;
}

/* What the call returns under the filter, or one of the above. */
static inline long try_filter(const struct seccomp_filter *filter, const struct call *call)
{
	long *result = shared_long();
	long answer;
	pid_t pid;
	int status, listener;

	pid = fork_child();
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    (filter && seccomp_filter_load(filter, &listener, NULL) < 0)) {
			*result = NOT_LOADED;
			_exit(0);
		}
		*result = make_call(call);
		for (;;)
			(void)syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	answer = WIFSIGNALED(status) ? KILLED : *result;
	(void)munmap(result, sizeof(*result));
	return answer;
}
