/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the container's first process.
 *
 * In the plain case one clone3() makes it in all new namespaces at once and already in its cgroup.
 * Joining a PID namespace, or a user namespace that is to own the new ones, takes effect only for
 * children of the process that joins: then a stage in between joins, makes the first process as its
 * sibling (CLONE_PARENT), tells its pid and ends.
 */
#include "container/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "container/sync.h"
#include "err.h"
#include "file.h"
#include "spec/spec.h"

static const struct {
	uint64_t flag;
	const char *name;
} types[OCI_NS_COUNT] = {
	[OCI_NS_USER] = { CLONE_NEWUSER, "user" },
	[OCI_NS_PID] = { CLONE_NEWPID, "pid" },
	[OCI_NS_NETWORK] = { CLONE_NEWNET, "network" },
	[OCI_NS_MOUNT] = { CLONE_NEWNS, "mount" },
	[OCI_NS_IPC] = { CLONE_NEWIPC, "ipc" },
	[OCI_NS_UTS] = { CLONE_NEWUTS, "uts" },
	[OCI_NS_CGROUP] = { CLONE_NEWCGROUP, "cgroup" },
	[OCI_NS_TIME] = { CLONE_NEWTIME, "time" },
};

enum { BY_CHILD = CLONE_NEWCGROUP | CLONE_NEWTIME };

/* --- joins ------------------------------------------------------------------------------------ */

static int open_namespace(const struct oci_namespace *namespace, size_t type, struct err *err)
{
	cleanup_fd int fd = open(namespace->path, O_RDONLY | O_CLOEXEC);
	int found;

	if (fd < 0)
		return err_set(err, -errno, "linux.namespaces: %s namespace '%s': %s",
			       types[type].name, namespace->path, strerror(errno));
	found = ioctl(fd, NS_GET_NSTYPE);
	if (found < 0 || (uint64_t)found != types[type].flag)
		return err_set(err, -EINVAL, "linux.namespaces: '%s' is not a %s namespace",
			       namespace->path, types[type].name);
	return TAKE_FD(fd);
}

int namespaces_open(struct namespace_joins *ret_joins, const struct oci_linux *linux_part,
		    struct err *err)
{
	struct namespace_joins joins = { .pidfd = -1 };

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		joins.fds[i] = -1;
	for (size_t i = 0; i < OCI_NS_COUNT; i++) {
		if (!linux_part->namespaces[i].path)
			continue;
		joins.fds[i] = open_namespace(&linux_part->namespaces[i], i, err);
		if (joins.fds[i] < 0) {
			int r = joins.fds[i];

			namespace_joins_done(&joins);
			return r;
		}
	}
	*ret_joins = joins;
	return 0;
}

void namespace_joins_done(struct namespace_joins *joins)
{
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		joins->fds[i] = fd_close(joins->fds[i]);
	joins->pidfd = fd_close(joins->pidfd);
}

/* The user namespace comes in the middle: with the caller's privileges all others can be joined
 * whoever owns them; what is refused before may be allowed to the user namespace's root. */
static int join_all(const struct namespace_joins *joins, struct err *err)
{
	bool joined[OCI_NS_COUNT] = {};

	if (joins->pidfd >= 0 && setns(joins->pidfd, (int)joins->pidfd_flags) < 0)
		return err_set(err, -errno, "cannot join the container's namespaces: %s",
			       strerror(errno));
	for (size_t i = OCI_NS_USER + 1; i < OCI_NS_COUNT; i++)
		joined[i] = joins->fds[i] < 0 || setns(joins->fds[i], (int)types[i].flag) == 0;
	if (joins->fds[OCI_NS_USER] >= 0 && setns(joins->fds[OCI_NS_USER], CLONE_NEWUSER) < 0)
		return err_set(err, -errno, "linux.namespaces: cannot join the user namespace: %s",
			       strerror(errno));
	for (size_t i = OCI_NS_USER + 1; i < OCI_NS_COUNT; i++)
		if (!joined[i] && setns(joins->fds[i], (int)types[i].flag) < 0)
			return err_set(err, -errno,
				       "linux.namespaces: cannot join the %s namespace: %s",
				       types[i].name, strerror(errno));
	return 0;
}

static bool has_joins(const struct namespace_joins *joins)
{
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (joins->fds[i] >= 0)
			return true;
	return joins->pidfd >= 0;
}

/* --- making the process ----------------------------------------------------------------------- */

/* Returns as fork() does. */
static pid_t clone_process(uint64_t flags, int cgroup_fd)
{
	struct clone_args arguments = {
		.flags = flags,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (cgroup_fd >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* Once inside a PID namespace that others live in, nobody there may look through /proc at the
 * descriptors, the memory or the program of a process that still is the runtime's. */
static int run_stage(const struct spawn *spawn)
{
	struct err err = {};
	pid_t pid;
	int r;

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	r = join_all(spawn->joins, &err);
	if (r == 0) {
		pid = clone_process(spawn->new_flags | CLONE_PARENT, -1);
		if (pid == 0)
			return spawn->child(spawn->context);
		r = pid < 0 ? err_set(&err, -errno, "clone3: %s", strerror(errno)) : pid;
	}
	if (r < 0)
		(void)sync_send(spawn->socket, SYNC_FAILED, r, err.message, -1);
	else
		(void)sync_send(spawn->socket, SYNC_PID, r, NULL, -1);
	return r < 0;
}

static int spawn_by_stage(const struct spawn *spawn, int parent_socket, pid_t *ret_pid,
			  struct err *err)
{
	struct sync_message message;
	pid_t stage = clone_process(0, -1);
	int status = 0, r;

	if (stage < 0)
		return err_set(err, -errno, "clone3: %s", strerror(errno));
	if (stage == 0)
		_exit(run_stage(spawn));
	/* It ends when it has spoken. We have the other end of the socket open too, so that nobody
	 * would tell us of a stage that was killed. */
	while (waitpid(stage, &status, 0) < 0 && errno == EINTR)
		;
	r = WIFEXITED(status) ? sync_receive(parent_socket, &message, NULL) : -ESRCH;
	if (r < 0)
		return err_set(err, r, "the process that joins the namespaces died");
	if (message.kind != SYNC_PID)
		return err_set(err, message.number, "%s", message.text);
	*ret_pid = message.number;
	return 0;
}

int namespaces_spawn(const struct spawn *spawn, int parent_socket, pid_t *ret_pid,
		     bool *ret_in_cgroup, struct err *err)
{
	pid_t pid;

	*ret_in_cgroup = false;
	if (has_joins(spawn->joins))
		return spawn_by_stage(spawn, parent_socket, ret_pid, err);
	pid = clone_process(spawn->new_flags, spawn->cgroup_fd);
	if (pid < 0)
		return err_set(err, -errno, "cannot make the container's process: %s",
			       strerror(errno));
	if (pid == 0)
		_exit(spawn->child(spawn->context));
	*ret_in_cgroup = spawn->cgroup_fd >= 0;
	*ret_pid = pid;
	return 0;
}

static uint64_t flags_of(const struct oci_linux *linux_part, bool with_path)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (linux_part->namespaces[i].present &&
		    (with_path || !linux_part->namespaces[i].path))
			flags |= types[i].flag;
	return flags;
}

uint64_t namespaces_new_flags(const struct oci_linux *linux_part)
{
	return flags_of(linux_part, false) & ~(uint64_t)BY_CHILD;
}

uint64_t namespaces_all_flags(const struct oci_linux *linux_part)
{
	return flags_of(linux_part, true);
}

/* --- in the child ----------------------------------------------------------------------------- */

int namespaces_open_time_offsets(const struct oci_linux *linux_part, int *ret_fd, struct err *err)
{
	static const char path[] = "/proc/self/timens_offsets";
	int fd;

	if (!linux_part->monotonic.set && !linux_part->boottime.set)
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		/* A stage made us, so our own files are the host's root's, which our maker is not:
		 * for this one call neighbours of the same user may look into us. */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
	if (fd < 0)
		return err_set(err, -errno, "linux.timeOffsets: %s: %s", path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int append_offset(char *text, size_t bytes, const char *clock,
			 const struct oci_time_offset *offset)
{
	return offset->set ? snprintf(text, bytes, "%s %lld %lld\n", clock,
				      (long long)offset->seconds, (long long)offset->nanoseconds)
			   : 0;
}

/* In one piece: the kernel takes no second write. */
static int set_time_offsets(const struct oci_linux *linux_part, int file, struct err *err)
{
	char text[160];
	int length;

	if (file < 0)
		return 0;
	length = append_offset(text, sizeof(text), "monotonic", &linux_part->monotonic);
	length += append_offset(text + length, sizeof(text) - (size_t)length, "boottime",
				&linux_part->boottime);
	if (write(file, text, (size_t)length) < 0)
		return err_set(err, -errno, "linux.timeOffsets: %s", strerror(errno));
	return 0;
}

/* unshare() makes a time namespace for children only; setns() then moves this process, which has
 * one thread, into it. */
static int unshare_time(const struct oci_linux *linux_part, int offsets_file, struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	if (unshare(CLONE_NEWTIME) < 0)
		return err_set(err, -errno, "linux.namespaces: cannot make a time namespace: %s",
			       strerror(errno));
	r = set_time_offsets(linux_part, offsets_file, err);
	if (r < 0)
		return r;
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return err_set(err, -errno, "linux.namespaces: cannot enter the time namespace: %s",
			       strerror(errno));
	return 0;
}

int namespaces_unshare(const struct oci_linux *linux_part, int time_offsets, struct err *err)
{
	uint64_t flags = flags_of(linux_part, false);

	if ((flags & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, -errno, "linux.namespaces: cannot make a cgroup namespace: %s",
			       strerror(errno));
	if (flags & CLONE_NEWTIME)
		return unshare_time(linux_part, time_offsets, err);
	return 0;
}
