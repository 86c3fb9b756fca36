/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: no capability, and an allow-list of system calls.
 *
 * The filter is the second wall behind the VM boundary: a guest that has taken lumper over finds no
 * exec, no new file (in a shell), no network, and of ioctl only the requests that running a VM
 * needs. Memory can be mapped, but not executable. Anything else kills the process.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "lumper_priv.h"
#include "snapshot.h"

static const int common_calls[] = {
	SCMP_SYS(read),		 SCMP_SYS(write),	    SCMP_SYS(close),
	SCMP_SYS(recvmsg),	 SCMP_SYS(sendto),	    SCMP_SYS(pread64),
	SCMP_SYS(fstat),	 SCMP_SYS(newfstatat),	    SCMP_SYS(madvise),
	SCMP_SYS(munmap),	 SCMP_SYS(brk),		    SCMP_SYS(futex),
	SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(gettid),
	SCMP_SYS(getpid),	 SCMP_SYS(restart_syscall), SCMP_SYS(exit),
	SCMP_SYS(exit_group),	 SCMP_SYS(rseq),	    SCMP_SYS(sched_yield),
};

/* A boot writes its snapshot and talks to a terminal. */
static const int boot_calls[] = {
	SCMP_SYS(openat),	    SCMP_SYS(mkdirat),	  SCMP_SYS(mkdir),
	SCMP_SYS(renameat),	    SCMP_SYS(renameat2),  SCMP_SYS(rename),
	SCMP_SYS(unlinkat),	    SCMP_SYS(unlink),	  SCMP_SYS(rmdir), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),	    SCMP_SYS(flock),	  SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),	    SCMP_SYS(pwrite64),	  SCMP_SYS(pwritev),
	SCMP_SYS(preadv),	    SCMP_SYS(lseek),	  SCMP_SYS(getdents64),
	SCMP_SYS(getrandom),	    SCMP_SYS(poll),	  SCMP_SYS(ppoll),
	SCMP_SYS(mincore),	    SCMP_SYS(readv),	  SCMP_SYS(writev),
	SCMP_SYS(io_uring_setup),   SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register), SCMP_SYS(fcntl),	  SCMP_SYS(statx),
	SCMP_SYS(dup),		    SCMP_SYS(mremap),	  SCMP_SYS(rt_sigaction),
	SCMP_SYS(clock_nanosleep),  SCMP_SYS(sysinfo), /* qsort asks how much memory there is */
	SCMP_SYS(linkat), /* a base or an image into the template */
	SCMP_SYS(readlinkat),	    SCMP_SYS(alarm), /* a build: a function's link, a limit */
};

/* Requests beside vm_run_ioctls: what a capture reads, and terminal modes. */
static const unsigned long boot_ioctls[] = {
	KVM_GET_MP_STATE, KVM_GET_FPU,	   KVM_GET_XSAVE,	KVM_GET_XCRS, KVM_GET_VCPU_EVENTS,
	KVM_GET_DEBUGREGS, KVM_GET_IRQCHIP, KVM_GET_PIT2,	KVM_GET_CLOCK,
	0x5401 /* TCGETS */, 0x5402 /* TCSETS */, 0x5403 /* TCSETSW */, 0x5404 /* TCSETSF */,
	0x5413 /* TIOCGWINSZ */, 0,
};

static int allow_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

static int allow_ioctls(scmp_filter_ctx filter, const unsigned long *requests)
{
	int r = 0;

	for (; *requests && r == 0; requests++) {
		const struct scmp_arg_cmp is_request = {
			.arg = 1, .op = SCMP_CMP_EQ, .datum_a = *requests, .datum_b = 0,
		};

		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &is_request);
	}
	return r;
}

/* Memory may be mapped and protected, but never be executable from now on. */
static int allow_mappings(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp not_executable = {
		.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0,
	};
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);

	return r ? r : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					      &not_executable);
}

/* Signals to threads of this process only: a vCPU is kicked by one. */
static int allow_own_signals(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp is_us = {
		.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid(), .datum_b = 0,
	};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &is_us);
}

static int shut_filter(enum jail_profile profile, struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return err_set(err, -ENOMEM, "cannot make a syscall filter");
	(void)((r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)) ||
	       (r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)) ||
	       (r = allow_calls(filter, common_calls, ARRAY_SIZE(common_calls))) ||
	       (r = allow_mappings(filter)) || (r = allow_own_signals(filter)) ||
	       (r = allow_ioctls(filter, vm_run_ioctls)) ||
	       (r = allow_ioctls(filter, preparation_ioctls)));
	if (r == 0 && profile == JAIL_BOOT)
		(void)((r = allow_calls(filter, boot_calls, ARRAY_SIZE(boot_calls))) ||
		       (r = allow_ioctls(filter, boot_ioctls)) ||
		       (r = allow_ioctls(filter, recorder_ioctls)));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r ? err_set(err, r, "cannot load the syscall filter: %s", strerror(-r)) : 0;
}

/* All sets, and the bounding set too where we may still change it. */
static int drop_capabilities(struct err *err)
{
	cap_t none = cap_init();
	int r = 0;

	if (!none)
		return err_set(err, -ENOMEM, "out of memory");
	for (int capability = 0; cap_get_bound(capability) >= 0; capability++)
		(void)cap_drop_bound(capability);
	(void)cap_reset_ambient();
	if (cap_set_proc(none) < 0)
		r = err_set(err, -errno, "cannot drop capabilities: %s", strerror(errno));
	(void)cap_free(none);
	return r;
}

int jail_enter(enum jail_profile profile, struct err *err)
{
	int r = drop_capabilities(err);

	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	return shut_filter(profile, err);
}
