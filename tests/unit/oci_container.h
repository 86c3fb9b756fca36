/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container for tests: namespaces of a child process, a bundle below /tmp, a spec written by
 * hand, and a function that runs in the finished root as process 1.
 *
 * A check that fails in a child prints itself and ends the child, which fails the test.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs.h"
#include "spec/spec.h"

enum {
	SUBORDINATE_ID = 100000, /* what 0 of the user namespace is on the host */
	SUBORDINATE_COUNT = 65536,
	RACE_ROUNDS = 40,
};

/* A bundle below /tmp: "rootfs", and beside it "outside", which nothing may reach. */
struct bundle {
	char path[64];
	char root[80], outside[80];
};

struct situation {
	struct bundle *bundle;
	struct oci_spec spec;
	struct rootfs_config config;
	bool user_namespace, cgroup_namespace, other_umask;
	unsigned int id_count;               /* of the user namespace; 0: SUBORDINATE_COUNT */
	const char *expect_error;            /* part of the message; then nothing may succeed */
	void (*prepare)(struct situation *); /* in the mount namespace, before rootfs_mount */
	/* Between rootfs_mount and rootfs_enter. */
	void (*mounted)(struct situation *, struct rootfs *);
	void (*inside)(struct situation *); /* in the finished root */
};

/* --- in the child ---------------------------------------------------------------------------- */

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)dprintf(STDERR_FILENO, "%s:%d: %s (%s)\n", __FILE__, __LINE__,       \
				      #condition, strerror(errno));                                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void check_ok(int r, const struct err *err)
{
	if (r < 0)
		(void)dprintf(STDERR_FILENO, "%d: %s\n", r, err->message);
	CHECK(r == 0);
}

static inline bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline bool is_filesystem(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == magic;
}

static inline bool has_flags(const char *path, unsigned long flags)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (fs.f_flag & flags) == flags;
}

static inline bool is_device(const char *path, unsigned int device_major, unsigned int device_minor)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(device_major, device_minor);
}

static inline bool has_mode(const char *path, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && (st.st_mode & 07777) == mode;
}

static inline bool has_owner(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_uid == uid && st.st_gid == gid;
}

static inline bool is_link_to(const char *path, const char *target)
{
	char text[256];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return n > 0 && strcmp(text, target) == 0;
}

static inline bool holds(const char *path, const char *content)
{
	char text[256];
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return n >= 0 && strcmp(text, content) == 0;
}

static inline bool can_write(const char *path)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0;
}

static inline bool can_make_in(const char *folder)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/made", folder);
	if (mkdir(path, 0755) < 0)
		return false;
	(void)rmdir(path);
	return true;
}

static inline bool is_folder_empty(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_nlink == 2;
}

static inline void write_file(const char *path, const char *content)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content))
		(void)dprintf(STDERR_FILENO, "cannot write %s\n", path);
}

/* Process 1 of the container. */
static inline void build(struct situation *situation, struct rootfs *rootfs)
{
	struct err err = { 0 };
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (situation->prepare)
		situation->prepare(situation);
	if (situation->other_umask)
		(void)umask(077);
	r = rootfs_mount(rootfs, &err);
	if (r == 0 && situation->mounted)
		situation->mounted(situation, rootfs);
	if (r == 0)
		r = rootfs_enter(rootfs, &err);
	if (situation->expect_error) {
		CHECK(r < 0 && err.code == r);
		if (!strstr(err.message, situation->expect_error))
			(void)dprintf(STDERR_FILENO, "message: %s\n", err.message);
		CHECK(strstr(err.message, situation->expect_error));
		_exit(0);
	}
	check_ok(r, &err);
	if (situation->other_umask)
		CHECK(umask(0) == 077);
	if (situation->inside)
		situation->inside(situation);
	_exit(0);
}

static inline int wait_for(pid_t pid)
{
	int status = -1;

	(void)waitpid(pid, &status, 0);
	return status;
}

static inline void write_map(pid_t pid, const char *name, unsigned int count)
{
	char path[64], text[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	(void)snprintf(text, sizeof(text), "0 %d %u", SUBORDINATE_ID, count);
	write_file(path, text);
}

/* Makes the namespaces, waits until it is mapped, and becomes the parent of process 1. */
static inline void become_container(struct situation *situation, struct rootfs *rootfs, int go_fd)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
	char byte;
	pid_t pid;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(unshare(situation->user_namespace ? CLONE_NEWUSER : 0) == 0);
	CHECK(write(go_fd, "u", 1) == 1 && read(go_fd, &byte, 1) == 1);
	if (situation->user_namespace)
		CHECK(setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0);
	CHECK(unshare(flags | (situation->cgroup_namespace ? CLONE_NEWCGROUP : 0)) == 0);
	pid = fork();
	if (pid == 0)
		build(situation, rootfs);
	_exit(wait_for(pid) == 0 ? 0 : 1);
}

static inline void run(struct situation *situation)
{
	struct rootfs *rootfs = NULL;
	struct err err = { 0 };
	int sockets[2];
	char byte;
	pid_t pid;

	situation->spec.root_path = "rootfs";
	situation->spec.linux.namespaces[OCI_NS_MOUNT].present = true;
	situation->spec.linux.namespaces[OCI_NS_USER].present = situation->user_namespace;
	situation->config.spec = &situation->spec;
	situation->config.bundle = situation->bundle->path;
	situation->config.new_mount_namespace = true;
	situation->config.new_network_namespace = true;
	situation->config.new_user_namespace = situation->user_namespace;
	if (situation->user_namespace)
		assert_int_equal(chown(situation->bundle->root, SUBORDINATE_ID, SUBORDINATE_ID), 0);
	if (rootfs_open(&rootfs, &situation->config, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	if (pid == 0)
		become_container(situation, rootfs, sockets[1]);
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	if (situation->user_namespace) {
		unsigned int count = situation->id_count ? situation->id_count : SUBORDINATE_COUNT;

		write_map(pid, "uid_map", count);
		write_map(pid, "gid_map", count);
	}
	assert_int_equal(write(sockets[0], "g", 1), 1);
	assert_int_equal(wait_for(pid), 0);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	(void)rootfs_free(rootfs);
}

/* --- bundles --------------------------------------------------------------------------------- */

static inline int setup(void **state)
{
	static struct bundle bundle;

	*state = &bundle;
	if (geteuid() != 0)
		return 0;
	(void)snprintf(bundle.path, sizeof(bundle.path), "/tmp/test_oci_rootfs.XXXXXX");
	if (!mkdtemp(bundle.path) || chmod(bundle.path, 0755) < 0)
		return -1;
	(void)snprintf(bundle.root, sizeof(bundle.root), "%s/rootfs", bundle.path);
	(void)snprintf(bundle.outside, sizeof(bundle.outside), "%s/outside", bundle.path);
	return mkdir(bundle.root, 0755) || mkdir(bundle.outside, 0755) ? -1 : 0;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline int teardown(void **state)
{
	struct bundle *bundle = *state;

	return geteuid() == 0
		       ? nftw(bundle->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT)
		       : 0;
}

static inline void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("needs root\n");
	skip();
}

static inline void in_root(const struct bundle *bundle, const char *name, char ret_path[160])
{
	(void)snprintf(ret_path, 160, "%s/%s", bundle->root, name);
}

static inline void make_folder(const struct bundle *bundle, const char *name)
{
	char path[160];

	in_root(bundle, name, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static inline void make_link(const struct bundle *bundle, const char *name, const char *target)
{
	char path[160];

	in_root(bundle, name, path);
	assert_int_equal(symlink(target, path), 0);
}

static inline void make_file(const struct bundle *bundle, const char *name, const char *content)
{
	char path[160];

	in_root(bundle, name, path);
	write_file(path, content);
}

#define PROC                                                                                       \
	{                                                                                          \
		.path = "mounts[0]", .destination = "/proc", .type = "proc", .source = "proc",     \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC               \
	}
#define DEV                                                                                        \
	{                                                                                          \
		.path = "mounts[1]", .destination = "/dev", .type = "tmpfs", .source = "tmpfs",    \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,                            \
		.attr_clear = MOUNT_ATTR__ATIME, .data = "mode=755,size=65536k"                    \
	}
#define DEVPTS                                                                                     \
	{                                                                                          \
		.path = "mounts[2]", .destination = "/dev/pts", .type = "devpts",                  \
		.source = "devpts", .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,             \
		.data = "newinstance,ptmxmode=0666,mode=0620,gid=5"                                \
	}
#define SHM                                                                                        \
	{                                                                                          \
		.path = "mounts[3]", .destination = "/dev/shm", .type = "tmpfs", .source = "shm",  \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,              \
		.data = "mode=1777,size=65536k"                                                    \
	}
#define MQUEUE                                                                                     \
	{                                                                                          \
		.path = "mounts[4]", .destination = "/dev/mqueue", .type = "mqueue",               \
		.source = "mqueue",                                                                \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC               \
	}
#define SYSFS                                                                                      \
	{                                                                                          \
		.path = "mounts[5]", .destination = "/sys", .type = "sysfs", .source = "sysfs",    \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |             \
			    MOUNT_ATTR_RDONLY,                                                     \
		.sb_flags = MS_RDONLY                                                              \
	}
#define CGROUP                                                                                     \
	{                                                                                          \
		.path = "mounts[6]", .destination = "/sys/fs/cgroup", .type = "cgroup",            \
		.source = "cgroup",                                                                \
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |             \
			    MOUNT_ATTR_RDONLY,                                                     \
		.sb_flags = MS_RDONLY                                                              \
	}

static const char *masked[] = { "/proc/acpi",          "/proc/timer_list",  "/proc/keys",
				"/proc/latency_stats", "/proc/sched_debug", "/proc/nothing",
				"/sys/firmware",       "/proc/scsi" };
static const char *readonly[] = { "/proc/bus",           "/proc/fs",    "/proc/irq", "/proc/sys",
				  "/proc/sysrq-trigger", "/proc/uptime" };

/* What containerd and docker ask for. */
static struct oci_mount default_mounts[] = { PROC, DEV, DEVPTS, SHM, MQUEUE, SYSFS, CGROUP };

static inline void use_defaults(struct situation *situation)
{
	struct oci_spec *spec = &situation->spec;

	spec->mounts = default_mounts;
	spec->mount_count = ARRAY_SIZE(default_mounts);
	spec->linux.masked_paths = (struct oci_strings){ masked, ARRAY_SIZE(masked) };
	spec->linux.readonly_paths = (struct oci_strings){ readonly, ARRAY_SIZE(readonly) };
}
