/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before the base is captured: what the first container would change in the machine for good is
 * changed now, and memory that is free holds zeros.
 *
 * A function's layer holds what differs from the base. The kernel patches its own code when a
 * facility is used for the first time (static keys), and fills its caches; what a boot leaves in
 * freed pages would be stored in the base, and later in each layer that such a page falls into.
 *
 * Nothing here is needed for a function to run, so nothing here is an error.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

#define REHEARSAL_CGROUP CGROUP_FOLDER "/rehearsal"

/* Left alone, so that the kernel need not reclaim. What lies beyond the most was never in use. */
#define FREE_KEPT_BYTES (6ull << 20)
#define FREE_SCRUBBED_MAX (48ull << 20)

static void allow_everything(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog filter = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* The first process of a PID namespace, with everything else of its own too. */
static void be_a_container(void)
{
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)sethostname("rehearsal", 9);
	allow_everything();
}

static void rehearse(void)
{
	const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
			  CLONE_NEWCGROUP;
	pid_t pid;

	if (text_write(REHEARSAL_CGROUP "/cgroup.procs", "0") < 0 || unshare(flags) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		be_a_container();
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

/* The kernel clears each page that it gives to a process. */
static void scrub(void)
{
	struct sysinfo info;
	uint64_t bytes;
	void *at;

	if (sysinfo(&info) < 0)
		return;
	bytes = (uint64_t)info.freeram * info.mem_unit;
	if (bytes <= FREE_KEPT_BYTES)
		return;
	bytes -= FREE_KEPT_BYTES;
	if (bytes > FREE_SCRUBBED_MAX)
		bytes = FREE_SCRUBBED_MAX;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return;
	/* Page by page: huge pages would leave the fragments, which are what was in use. */
	(void)madvise(at, bytes, MADV_NOHUGEPAGE);
	(void)madvise(at, bytes, MADV_POPULATE_WRITE);
	(void)munmap(at, bytes);
}

int machine_settle(struct init *init, struct err *err)
{
	uint8_t byte;
	pid_t pid;

	(void)init;
	(void)err;
	/* Blocks until the kernel's generator is ready for good. */
	(void)getrandom(&byte, sizeof(byte), 0);
	(void)mkdir(REHEARSAL_CGROUP, 0755);
	pid = fork();
	if (pid == 0) {
		rehearse();
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	(void)rmdir(REHEARSAL_CGROUP);
	scrub();
	return 0;
}
