/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and priorities that the runtime sets on the container's first process from outside, with
 * its own privileges: inside, they may be lacking.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process.h"

enum { TEXT_BYTES = 48 };

static int write_oom_score(pid_t pid, int64_t value)
{
	char path[TEXT_BYTES], text[TEXT_BYTES];
	cleanup_fd int fd = -1;
	int bytes;

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	bytes = snprintf(text, sizeof(text), "%lld", (long long)value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)bytes) < 0)
		return -errno;
	return 0;
}

static int set_oom_score(pid_t pid, const struct oci_process *process, bool rootless,
			 struct err *err)
{
	int r = 0;

	if (process->oom_score_adj.set)
		r = write_oom_score(pid, process->oom_score_adj.value);
	if (rootless && (r == -EACCES || r == -EPERM))
		return 0;
	return r < 0 ? err_set(err, r, "process.oomScoreAdj: cannot set %lld: %s",
			       (long long)process->oom_score_adj.value, strerror(-r)) :
		       0;
}

static int set_rlimits(pid_t pid, const struct oci_process *process, struct err *err)
{
	for (size_t i = 0; i < process->rlimit_count; i++) {
		const struct oci_rlimit *limit = &process->rlimits[i];
		const struct rlimit64 value = { .rlim_cur = limit->soft, .rlim_max = limit->hard };

		if (syscall(SYS_prlimit64, pid, limit->resource, &value, NULL) < 0)
			return err_set(err, -errno,
				       "process.rlimits[%zu]: cannot set %s to %llu (of %llu): %s",
				       i, limit->name, (unsigned long long)limit->soft,
				       (unsigned long long)limit->hard, strerror(errno));
	}
	return 0;
}

static int set_scheduler(pid_t pid, const struct oci_scheduler *scheduler, struct err *err)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = (uint32_t)scheduler->policy,
		.sched_flags = scheduler->flags,
		.sched_nice = scheduler->nice,
		.sched_priority = (uint32_t)scheduler->priority,
		.sched_runtime = scheduler->runtime_ns,
		.sched_deadline = scheduler->deadline_ns,
		.sched_period = scheduler->period_ns,
	};

	if (scheduler->present && syscall(SYS_sched_setattr, pid, &attr, 0) < 0)
		return err_set(err, -errno, "process.scheduler: %s", strerror(errno));
	return 0;
}

static int set_io_priority(pid_t pid, const struct oci_io_priority *priority, struct err *err)
{
	if (priority->present &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid,
		    IOPRIO_PRIO_VALUE(priority->class, priority->priority)) < 0)
		return err_set(err, -errno, "process.ioPriority: %s", strerror(errno));
	return 0;
}

int process_limit(pid_t pid, const struct oci_process *process, bool rootless, struct err *err)
{
	int r = set_oom_score(pid, process, rootless, err);

	if (r == 0)
		r = set_scheduler(pid, &process->scheduler, err);
	if (r == 0)
		r = set_io_priority(pid, &process->io_priority, err);
	return r < 0 ? r : set_rlimits(pid, process, err);
}
