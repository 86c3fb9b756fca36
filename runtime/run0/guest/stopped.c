/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping a process and having it make system calls, as a debugger does (ptrace(2)).
 *
 * The threads wait in system calls. Each call that is injected is one step over a system call
 * instruction of the vDSO; in the end the first thread gets its registers back, and what it waited
 * in is restarted by the kernel. Filters of seccomp are suspended for that thread meanwhile: they
 * are about what the function asks for.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "init.h"

enum {
	LINE_BYTES = 4352,
	VDSO_BYTES = 8192,
	WAIT_PAUSE_NS = 1000000,
	WAITS_MAX = 2000,
	SIGNALS_MAX = 64, /* that come before a thread stands still */
};

/* A thread that the kernel holds, in a vfork(2) for example, does not stop. */
static int wait_stop(int thread, int *ret_status)
{
	const struct timespec pause = {.tv_nsec = WAIT_PAUSE_NS};

	for (int i = 0; i < WAITS_MAX; i++) {
		const int r = waitpid(thread, ret_status, __WALL | WNOHANG);

		if (r < 0)
			return -errno;
		if (r > 0)
			return WIFSTOPPED(*ret_status) ? 0 : -ESRCH;
		(void)nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/* Stops it on its way, not before a signal: that would be lost. It gets it, and is asked again. */
static int stop_thread(int thread)
{
	int status, r;

	if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0)
		return -errno;
	for (int i = 0; i < SIGNALS_MAX; i++) {
		if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0)
			return -errno;
		r = wait_stop(thread, &status);
		if (r < 0 || status >> 16 == PTRACE_EVENT_STOP)
			return r;
		if (ptrace(PTRACE_CONT, thread, 0, (long)WSTOPSIG(status)) < 0)
			return -errno;
	}
	return -ETIMEDOUT;
}

static bool is_stopped(const struct stopped *stopped, int thread)
{
	for (size_t i = 0; i < stopped->count; i++)
		if (stopped->threads[i] == thread)
			return true;
	return false;
}

/* Those that are not stopped yet. Returns how many there were, or -errno. */
static int stop_more(struct stopped *stopped, int pid)
{
	char path[64];
	const struct dirent *entry;
	DIR *folder;
	int found = 0, r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	if (!folder)
		return -errno;
	while (r == 0 && (entry = readdir(folder))) {
		const int thread = atoi(entry->d_name);

		if (thread <= 0 || is_stopped(stopped, thread))
			continue;
		found++;
		r = stopped->count < STOPPED_THREADS_MAX ? stop_thread(thread) : -E2BIG;
		if (r == 0)
			stopped->threads[stopped->count++] = thread;
	}
	(void)closedir(folder);
	return r < 0 ? r : found;
}

/* --- calls ----------------------------------------------------------------------------------- */

static unsigned long find_syscall(int pid)
{
	static const uint8_t instruction[] = {0x0f, 0x05};
	static uint8_t code[VDSO_BYTES];
	static char line[LINE_BYTES];
	cleanup_file FILE *maps = NULL, *memory = NULL;
	unsigned long start = 0;
	const uint8_t *at;
	char path[64];
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps) && !strstr(line, "[vdso]"))
		line[0] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = fopen(path, "re");
	if (!memory || sscanf(line, "%lx", &start) != 1 || fseek(memory, (long)start, SEEK_SET) < 0)
		return 0;
	n = fread(code, 1, sizeof(code), memory);
	at = memmem(code, n, instruction, sizeof(instruction));
	return at ? start + (unsigned long)(at - code) : 0;
}

/* Nothing but the step itself may stop it. */
static int block_signals(int thread, uint64_t *ret_before)
{
	const uint64_t all_but_trap = ~(1ull << (SIGTRAP - 1));

	if (ptrace(PTRACE_GETSIGMASK, thread, sizeof(*ret_before), ret_before) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, thread, sizeof(all_but_trap), &all_but_trap) < 0)
		return -errno;
	return 0;
}

static int step(int thread)
{
	int status, r;

	if (ptrace(PTRACE_SINGLESTEP, thread, 0, 0) < 0)
		return -errno;
	r = wait_stop(thread, &status);
	return r < 0 || WSTOPSIG(status) == SIGTRAP ? r : -EINTR;
}

/* The registers after a step over the instruction there. */
static int step_over(int thread, struct user_regs_struct *regs)
{
	int r = ptrace(PTRACE_SETREGS, thread, 0, regs) < 0 ? -errno : step(thread);

	return r == 0 && ptrace(PTRACE_GETREGS, thread, 0, regs) < 0 ? -errno : r;
}

int stopped_call(const struct stopped *stopped, const struct stopped_arguments *arguments,
		 long *ret_result)
{
	const int thread = stopped->threads[0];
	struct user_regs_struct before, regs;
	uint64_t mask = 0;
	int r = block_signals(thread, &mask);

	if (r < 0)
		return r;
	if (ptrace(PTRACE_GETREGS, thread, 0, &before) < 0)
		return -errno;
	regs = before;
	regs.rip = stopped->syscall_address;
	regs.rax = (unsigned long)arguments->number;
	regs.rdi = arguments->a;
	regs.rsi = arguments->b;
	regs.rdx = arguments->c;
	regs.orig_rax = (unsigned long)-1; /* no system call to restart */
	r = step_over(thread, &regs);
	*ret_result = (long)regs.rax;
	if (ptrace(PTRACE_SETREGS, thread, 0, &before) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, thread, sizeof(mask), &mask) < 0)
		return r < 0 ? r : -errno;
	return r;
}

/* --- the process ----------------------------------------------------------------------------- */

int stopped_begin(struct stopped *ret_stopped, int pid)
{
	int r;

	*ret_stopped = (struct stopped){};
	/* One that still ran may have made another. */
	do {
		r = stop_more(ret_stopped, pid);
	} while (r > 0);
	if (r < 0 || ret_stopped->count == 0) {
		stopped_end(ret_stopped);
		return r < 0 ? r : -ESRCH;
	}
	/* A filter could end the process for a call that is not its own. */
	if (ptrace(PTRACE_SETOPTIONS, ret_stopped->threads[0], 0, PTRACE_O_SUSPEND_SECCOMP) == 0)
		ret_stopped->syscall_address = find_syscall(pid);
	return 0;
}

void stopped_end(struct stopped *stopped)
{
	for (size_t i = 0; i < stopped->count; i++)
		(void)ptrace(PTRACE_DETACH, stopped->threads[i], 0, 0);
	stopped->count = 0;
}
