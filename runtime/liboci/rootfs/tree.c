/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts by descriptor: clone, attributes, attach, and the rules about what may be mounted where.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

enum { PROC_ROOT_INODE = 1 };

int tree_clone(int dir_fd, const char *path, unsigned int flags, int *ret_tree_fd)
{
	int fd = open_tree(dir_fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	if (fd < 0)
		return -errno;
	*ret_tree_fd = fd;
	return 0;
}

int tree_attach(int tree_fd, int target_fd)
{
	int r = move_mount(tree_fd, "", target_fd, "",
			   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);

	return r < 0 ? -errno : 0;
}

static int set_attributes(int tree_fd, unsigned int flags, struct mount_attr attr)
{
	int r = mount_setattr(tree_fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr));

	return r < 0 ? -errno : 0;
}

/* The attributes that a user namespace must not take away from a mount that it did not make. */
static uint64_t attributes_of(int tree_fd)
{
	static const struct {
		unsigned long flag;
		uint64_t attribute;
	} table[] = {
		{ ST_RDONLY, MOUNT_ATTR_RDONLY },
		{ ST_NOSUID, MOUNT_ATTR_NOSUID },
		{ ST_NODEV, MOUNT_ATTR_NODEV },
		{ ST_NOEXEC, MOUNT_ATTR_NOEXEC },
	};
	struct statfs fs;
	uint64_t attributes = 0;

	if (fstatfs(tree_fd, &fs) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if ((unsigned long)fs.f_flags & table[i].flag)
			attributes |= table[i].attribute;
	return attributes;
}

int tree_set(int tree_fd, unsigned int flags, uint64_t set, uint64_t clear)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };
	int r;

	if (!set && !clear)
		return 0;
	/* The kernel takes a new access time mode only together with all bits of the old. */
	if (set & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	r = set_attributes(tree_fd, flags, attr);
	if (r != -EPERM || !(clear & ~(uint64_t)MOUNT_ATTR__ATIME))
		return r;
	/* Locked: the source's own restrictions stay, as runc and crun have it. */
	attr.attr_clr &= ~attributes_of(tree_fd);
	return set_attributes(tree_fd, flags, attr);
}

int tree_set_propagation(int tree_fd, unsigned long propagation)
{
	const struct mount_attr attr = { .propagation = propagation & ~(unsigned long)MS_REC };

	return set_attributes(tree_fd, propagation & MS_REC ? AT_RECURSIVE : 0, attr);
}

int tree_set_attributes(int tree_fd, const struct oci_mount *mount, uint64_t not_now)
{
	int r = tree_set(tree_fd, 0, mount->attr_set & ~not_now, mount->attr_clear);

	return r < 0 ? r
		     : tree_set(tree_fd, AT_RECURSIVE, mount->rec_attr_set & ~not_now,
				mount->rec_attr_clear);
}

/* --- what may be mounted where --------------------------------------------------------------- */

static bool is_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The whole of a procfs, not some folder of one that a label could be written to in vain. */
static bool is_proc_root(int tree_fd)
{
	struct stat st;

	return tree_fd >= 0 && is_proc(tree_fd) && fd_stat(tree_fd, &st) == 0 &&
	       st.st_ino == PROC_ROOT_INODE;
}

/* Files of /proc that others may stand in for: they tell of limits, and nothing trusts them. */
static bool is_mountable_proc_file(const char *destination)
{
	static const char *const names[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(destination, names[i]) == 0)
			return true;
	return false;
}

int refuse_proc(int target_fd, const char *path, struct err *err)
{
	if (!is_proc(target_fd))
		return 0;
	return err_set(err, -EPERM, "'%s' leads into a procfs, where nothing may be mounted", path);
}

static bool is_below_proc(const char *destination)
{
	return strncmp(destination, "/proc/", 6) == 0;
}

static bool is_type(const struct mount_job *job, const char *type)
{
	return job->mount->type && strcmp(job->mount->type, type) == 0;
}

/* Security labels, masks and sysctls are written below /proc on the container's behalf, so a config
 * whose image or volume could lay something else there is refused (CVE-2019-16884): by the
 * destination's text here, and by the descriptor below. */
static int check_destination(const struct mount_job *job, int tree_fd, struct err *err)
{
	const char *destination = job->destination;

	if (job->mount->remount)
		return 0;
	if (strcmp(destination, "/proc") == 0 && !is_type(job, "proc") && !is_proc_root(tree_fd))
		return err_set(err, -EPERM, "only a procfs may be mounted onto '/proc'");
	if (is_below_proc(destination) && !is_mountable_proc_file(destination))
		return err_set(err, -EPERM, "nothing may be mounted onto '%s'", destination);
	return 0;
}

/* A link of the image that leads into /proc does not deceive a descriptor (CVE-2025-52881). What
 * check_destination has let pass below /proc is there by a way without links. */
static int check_target(const struct mount_job *job, int target_fd, struct err *err)
{
	if (job->mount->remount || is_below_proc(job->destination) ||
	    strcmp(job->destination, "/proc") == 0)
		return 0;
	return refuse_proc(target_fd, job->destination, err);
}

/* An image that makes /proc or /sys a link would have what is written there go elsewhere
 * (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642). */
static uint64_t resolve_flags(const struct mount_job *job)
{
	return is_type(job, "proc") || is_type(job, "sysfs") || is_below_proc(job->destination) ||
			       strcmp(job->destination, "/proc") == 0
		       ? RESOLVE_NO_SYMLINKS
		       : 0;
}

int mount_target(const struct mount_job *job, enum path_kind kind, int tree_fd, int *ret_fd,
		 struct err *err)
{
	uint64_t resolve = resolve_flags(job);
	cleanup_fd int fd = -1;
	int r = check_destination(job, tree_fd, err);

	if (r < 0)
		return r;
	r = path_in_root_make(job->rootfs->root_fd, job->destination, kind, resolve, &fd);
	if (r == -ELOOP && resolve)
		return err_set(err, r, "'%s' must not have symbolic links in it", job->destination);
	if (r < 0)
		return err_set(err, r, "cannot make '%s': %s", job->destination, strerror(-r));
	r = check_target(job, fd, err);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* What is mounted over the root itself is the root from then on. */
static int become_root(struct rootfs *rootfs, int tree_fd, struct err *err)
{
	int fd = fcntl(tree_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, -errno, "cannot duplicate a descriptor: %s", strerror(errno));
	(void)fd_close(rootfs->root_fd);
	rootfs->root_fd = fd;
	return 0;
}

static const char *why_not_attached(int tree_fd, int target_fd, int r)
{
	struct stat source, target;

	if (r == -EINVAL && fd_stat(tree_fd, &source) == 0 && fd_stat(target_fd, &target) == 0 &&
	    S_ISDIR(source.st_mode) != S_ISDIR(target.st_mode))
		return S_ISDIR(source.st_mode) ? "Not a directory" : "Is a directory";
	return strerror(-r);
}

int mount_attach(const struct mount_job *job, int tree_fd, int target_fd, struct err *err)
{
	int r = tree_attach(tree_fd, target_fd);

	if (r < 0)
		return err_set(err, r, "cannot mount onto '%s': %s", job->destination,
			       why_not_attached(tree_fd, target_fd, r));
	/* Not before: a mount onto a shared one becomes shared when it is attached. */
	if (job->mount->propagation)
		r = tree_set_propagation(tree_fd, job->mount->propagation);
	if (r < 0)
		return err_set(err, r, "cannot set the propagation of '%s': %s", job->destination,
			       strerror(-r));
	return strcmp(job->destination, "/") == 0 ? become_root(job->rootfs, tree_fd, err) : 0;
}
