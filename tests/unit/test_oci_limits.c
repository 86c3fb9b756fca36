/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and priorities that are set on another process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process.h"

/* A child that waits to be limited, and to be killed. */
static pid_t start_sleeper(void)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	return pid;
}

static void end_sleeper(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static int oom_score(pid_t pid)
{
	char path[64], text[16] = { 0 };
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	return atoi(text); /* NOLINT: the kernel's */
}

static void test_limits(void **state)
{
	struct oci_rlimit limits[] = { { RLIMIT_NOFILE, "RLIMIT_NOFILE", 100, 200 },
				       { RLIMIT_CORE, "RLIMIT_CORE", 0, 0 } };
	struct oci_process process = { 0 };
	const pid_t pid = start_sleeper();
	struct rlimit limit;

	(void)state;
	process.rlimits = limits;
	process.rlimit_count = 2;
	process.oom_score_adj = (struct oci_number){ true, 500 };
	process.scheduler = (struct oci_scheduler){ true, .policy = SCHED_BATCH, .nice = 5 };
	process.io_priority = (struct oci_io_priority){ true, IOPRIO_CLASS_BE, 6 };
	assert_int_equal(process_limit(pid, &process, false, NULL), 0);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &limit), 0);
	assert_int_equal(limit.rlim_cur, 100);
	assert_int_equal(limit.rlim_max, 200);
	assert_int_equal(oom_score(pid), 500);
	assert_int_equal(sched_getscheduler(pid), SCHED_BATCH);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)pid), 5);
	assert_int_equal(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid),
			 IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
	end_sleeper(pid);
}

static void test_limit_errors_name_the_member(void **state)
{
	struct oci_rlimit limits[] = { { RLIMIT_CORE, "RLIMIT_CORE", 0, 0 },
				       { RLIMIT_NOFILE, "RLIMIT_NOFILE", 300, 200 } };
	struct oci_process process = { 0 };
	const pid_t pid = start_sleeper();
	struct err err = { 0 };

	(void)state;
	process.rlimits = limits;
	process.rlimit_count = 2;
	assert_int_equal(process_limit(pid, &process, true, &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, "process.rlimits[1]: cannot set RLIMIT_NOFILE"),
			 err.message);
	process.rlimit_count = 0;
	process.oom_score_adj = (struct oci_number){ true, 5000 };
	assert_int_equal(process_limit(pid, &process, true, &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, "process.oomScoreAdj: cannot set 5000"), err.message);
	process.oom_score_adj.set = false;
	process.scheduler = (struct oci_scheduler){ .present = true, .policy = 77 };
	assert_int_equal(process_limit(pid, &process, true, &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, "process.scheduler: "), err.message);
	process.scheduler.present = false;
	process.io_priority = (struct oci_io_priority){ true, 7, 0 };
	assert_int_equal(process_limit(pid, &process, true, &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, "process.ioPriority: "), err.message);
	end_sleeper(pid);
}

static void give_up_resource(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)syscall(SYS_capget, &header, data);
	data[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
	data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
	(void)syscall(SYS_capset, &header, data);
}

/* Lowering is a privilege: its lack is an error, unless no privilege was expected. */
static void test_oom_score_without_privilege(void **state)
{
	const struct oci_process process = { .oom_score_adj = { true, -1 } };
	const pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		give_up_resource();
		_exit(process_limit(getpid(), &process, false, NULL) == -EACCES &&
		      process_limit(getpid(), &process, true, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limit_errors_name_the_member),
		cmocka_unit_test(test_oom_score_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
