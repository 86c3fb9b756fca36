/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: what it forbids kills the process, and what a VM needs goes on working. Each case is a
 * child that shuts the jail around itself and then tries one thing.
 */
/* Before cmocka.h, whose macro `fail` would rewrite lumper's function. */
#include "lumper/lumper_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

/* System calls as they are: the library's wrappers may make others. */
static long do_execve(void)
{
	char *argv[] = { "true", NULL };

	return syscall(SYS_execve, "/bin/true", argv, argv + 1);
}

static long do_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static long do_socket(void)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long do_openat(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
}

static long do_readlinkat(void)
{
	char target[16];

	return syscall(SYS_readlinkat, AT_FDCWD, "/proc/self", target, sizeof(target));
}

static long do_alarm(void)
{
	return syscall(SYS_alarm, 0);
}

static long do_ptrace(void)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0);
}

static long do_kill(void)
{
	return syscall(SYS_kill, getppid(), 0);
}

/* To a thread of another process. */
static long do_signal_others(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long do_signal_self(void)
{
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0);
}

static long do_setuid(void)
{
	return syscall(SYS_setuid, 0);
}

static long do_mount(void)
{
	return syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static long do_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long do_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long do_map_code(void)
{
	return syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long do_protect_code(void)
{
	return syscall(SYS_mprotect, (uintptr_t)&do_protect_code & ~(PAGE - 1), PAGE,
		       PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long do_push_input(void)
{
	return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static long do_create_vm(void)
{
	return syscall(SYS_ioctl, 0, KVM_CREATE_VM, 0);
}

static long do_map_data(void)
{
	return syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
}

static long do_clock(void)
{
	struct timespec t;

	return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}

/* Allowed, so the kernel looks at the descriptor, and there is none. */
static long do_run(void)
{
	return syscall(SYS_ioctl, -1, KVM_RUN, 0) < 0 && errno == EBADF ? 0 : -1;
}

static long do_write(void)
{
	return syscall(SYS_write, STDERR_FILENO, "", 0);
}

enum { IN_SHELL = 1 << JAIL_SHELL, IN_BOOT = 1 << JAIL_BOOT };

static const struct attempt {
	const char *name;
	long (*run)(void);
	unsigned int allowed; /* in which profiles */
} attempts[] = {
	{ "execve", do_execve, 0 },
	{ "fork", do_fork, 0 },
	{ "socket", do_socket, 0 },
	{ "ptrace", do_ptrace, 0 },
	{ "kill", do_kill, 0 },
	{ "signal to others", do_signal_others, 0 },
	{ "setuid", do_setuid, 0 },
	{ "mount", do_mount, 0 },
	{ "bpf", do_bpf, 0 },
	{ "map code", do_map_code, 0 },
	{ "protect code", do_protect_code, 0 },
	{ "push terminal input", do_push_input, 0 },
	{ "create a VM", do_create_vm, 0 },
	{ "openat", do_openat, IN_BOOT },
	{ "readlinkat", do_readlinkat, IN_BOOT },
	{ "alarm", do_alarm, IN_BOOT },
	{ "io_uring_setup", do_uring, IN_BOOT },
	{ "map data", do_map_data, IN_BOOT | IN_SHELL },
	{ "read the clock", do_clock, IN_BOOT | IN_SHELL },
	{ "run a vCPU", do_run, IN_BOOT | IN_SHELL },
	{ "write", do_write, IN_BOOT | IN_SHELL },
	{ "signal to itself", do_signal_self, IN_BOOT | IN_SHELL },
};

enum { CHILD_DONE = 0, CHILD_NO_JAIL = 90 };

/* Not by _exit, and not declared _Noreturn: around both the sanitizers make calls of their own,
 * which the jail forbids. */
static long leave(int code)
{
	return syscall(SYS_exit_group, code);
}

/* Returns the status that waitpid gives. */
static int attempt_in_child(enum jail_profile profile, const struct attempt *attempt)
{
	struct err err = {};
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		static const struct rlimit no_core = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &no_core);
		if (jail_enter(profile, &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			(void)leave(CHILD_NO_JAIL);
		}
		(void)attempt->run();
		(void)leave(CHILD_DONE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_attempts(void **state)
{
	(void)state;
	for (enum jail_profile profile = JAIL_SHELL; profile <= JAIL_BOOT; profile++) {
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
			int status = attempt_in_child(profile, &attempts[i]);
			bool allowed = attempts[i].allowed & 1u << profile;
			bool done = WIFEXITED(status) && WEXITSTATUS(status) == CHILD_DONE;
			bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;

			if (allowed ? !done : !killed)
				fail_msg("profile %d: %s: wait status %#x", profile,
					 attempts[i].name, status);
		}
	}
}

/* What is allowed is also carried out. */
static long check_allowed(void)
{
	void *page = (void *)do_map_data();

	return leave(page == MAP_FAILED || do_clock() < 0 || do_run() < 0 || do_write() < 0 ||
		     do_signal_self() < 0);
}

static void test_allowed_works(void **state)
{
	static const struct attempt all = { "all", check_allowed, 0 };

	(void)state;
	assert_int_equal(attempt_in_child(JAIL_SHELL, &all), 0);
	assert_int_equal(attempt_in_child(JAIL_BOOT, &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_allowed_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
