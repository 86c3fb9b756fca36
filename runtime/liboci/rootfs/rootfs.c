/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's file system, in the order in which it comes about: rootfs.h says which process
 * calls what.
 */
#include "rootfs/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

enum { MOST_FOLDERS_UP = PATH_MAX / 2 };

/* --- open ------------------------------------------------------------------------------------ */

static char *root_path(const struct rootfs_config *config)
{
	const char *path = config->spec->root_path;
	char *joined = NULL;

	if (*path == '/')
		return strdup(path);
	return asprintf(&joined, "%s/%s", config->bundle, path) < 0 ? NULL : joined;
}

/* What cannot be undone in a namespace that is shared with others. */
static int check_namespace(const struct rootfs_config *config, struct err *err)
{
	const struct oci_spec *spec = config->spec;

	if (spec->linux.namespaces[OCI_NS_MOUNT].present)
		return 0;
	if (spec->linux.masked_paths.count > 0)
		return err_set(err, -EINVAL, "linux.maskedPaths: needs a mount namespace");
	if (spec->linux.readonly_paths.count > 0)
		return err_set(err, -EINVAL, "linux.readonlyPaths: needs a mount namespace");
	return 0;
}

static int open_root(struct rootfs *rootfs, struct err *err)
{
	rootfs->root_fd = open(rootfs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfs->root_fd < 0)
		return err_set(err, -errno, "root.path: cannot open '%s': %s", rootfs->path,
			       strerror(errno));
	return 0;
}

int rootfs_open(struct rootfs **ret_rootfs, const struct rootfs_config *config, struct err *err)
{
	struct rootfs *rootfs;
	int r;

	if (!config->spec->root_path || !*config->spec->root_path)
		return err_set(err, -EINVAL, "root.path: missing");
	r = check_namespace(config, err);
	if (r < 0)
		return r;
	rootfs = calloc(1, sizeof(*rootfs));
	if (!rootfs)
		return err_set(err, -ENOMEM, "out of memory");
	rootfs->config = *config;
	/* pivot_root in a namespace that is not ours would move everybody's root. */
	rootfs->config.new_mount_namespace &= config->spec->linux.namespaces[OCI_NS_MOUNT].present;
	rootfs->spec = config->spec;
	rootfs->root_fd = -1;
	rootfs->bundle = strdup(config->bundle);
	rootfs->path = root_path(config);
	if (!rootfs->bundle || !rootfs->path) {
		(void)rootfs_free(rootfs);
		return err_set(err, -ENOMEM, "out of memory");
	}
	r = open_root(rootfs, err);
	if (r == 0)
		r = idmap_open(rootfs, err);
	if (r < 0) {
		(void)rootfs_free(rootfs);
		return r;
	}
	*ret_rootfs = rootfs;
	return 0;
}

struct rootfs *rootfs_free(struct rootfs *rootfs)
{
	if (!rootfs)
		return NULL;
	for (size_t i = 0; rootfs->idmapped && i < rootfs->spec->mount_count; i++)
		(void)fd_close(rootfs->idmapped[i]);
	free(rootfs->idmapped);
	(void)fd_close(rootfs->root_fd);
	free(rootfs->path);
	free(rootfs->bundle);
	free(rootfs);
	return NULL;
}

int rootfs_dir(const struct rootfs *rootfs)
{
	return rootfs->root_fd;
}

/* --- mount ----------------------------------------------------------------------------------- */

static bool is_shared(const struct rootfs *rootfs)
{
	return rootfs->spec->linux.rootfs_propagation & MS_SHARED;
}

/* Before anything else, so that no mount of ours reaches the host; what it mounts may still reach
 * us. The config's word is about the root, and comes when the root is entered: only "shared" is
 * wanted of what is mounted until then too, and "rprivate" cuts off all at once. */
static int set_namespace_propagation(const struct rootfs *rootfs, struct err *err)
{
	unsigned long propagation = rootfs->spec->linux.rootfs_propagation;

	if (!is_shared(rootfs) && propagation != (MS_PRIVATE | MS_REC))
		propagation = MS_SLAVE | MS_REC;
	if (mount(NULL, "/", NULL, propagation, NULL) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(err, -EINVAL,
			       "run from a chroot whose root is no mount point: mounts "
			       "could not be kept from the host");
	return err_set(err, -errno, "linux.rootfsPropagation: cannot set it for '/': %s",
		       strerror(errno));
}

/* pivot_root refuses a root whose parent mount is shared, and our bind would show on the host. The
 * parent mount's root is found by going up from the folder. */
static int make_parent_private(int folder_fd)
{
	int fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0), r = -ELOOP;

	for (int i = 0; fd >= 0 && i < MOST_FOLDERS_UP; i++) {
		struct statx st;
		int up;

		if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0)
			break;
		if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
			r = tree_set_propagation(fd, MS_PRIVATE);
			(void)close(fd);
			return r;
		}
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = up;
	}
	r = fd < 0 ? -errno : r;
	(void)fd_close(fd);
	return r;
}

/* pivot_root wants a mount: the root becomes one, with all that is mounted below it. The runtime's
 * own descriptor is of its mount namespace, so the path is opened again in ours. */
static int mount_root(struct rootfs *rootfs, struct err *err)
{
	cleanup_fd int tree_fd = -1;
	int r;

	rootfs->root_fd = fd_close(rootfs->root_fd);
	r = open_root(rootfs, err);
	if (r < 0 || !rootfs->config.new_mount_namespace)
		return r;
	r = is_shared(rootfs) ? make_parent_private(rootfs->root_fd) : 0;
	if (r == 0)
		r = tree_clone(rootfs->root_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &tree_fd);
	if (r == 0)
		r = tree_attach(tree_fd, rootfs->root_fd);
	if (r < 0)
		return err_set(err, r, "root.path: cannot bind '%s': %s", rootfs->path,
			       strerror(-r));
	(void)close(rootfs->root_fd);
	rootfs->root_fd = TAKE_FD(tree_fd);
	return 0;
}

static int mount_everything(struct rootfs *rootfs, struct err *err)
{
	int r = rootfs->config.new_mount_namespace ? set_namespace_propagation(rootfs, err) : 0;

	(void)(r || (r = mount_root(rootfs, err)) || (r = mount_all(rootfs, err)) ||
	       (r = devices_make(rootfs, err)));
	return r;
}

int rootfs_mount(struct rootfs *rootfs, struct err *err)
{
	/* Modes are then what is asked for, without a call more for each node. */
	mode_t mask = umask(0);
	int r = mount_everything(rootfs, err);

	(void)umask(mask);
	return r;
}

/* --- enter ----------------------------------------------------------------------------------- */

/* After pivot_root(".", ".") the old root lies on top of the new one, and umount2(".") takes the
 * topmost: no folder is needed for it, and no descriptor (pivot_root(2), NOTES). */
static int pivot(const struct rootfs *rootfs, struct err *err)
{
	cleanup_fd int old_fd =
		is_shared(rootfs) ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = 0;

	if (fchdir(rootfs->root_fd) < 0)
		return err_set(err, -errno, "cannot enter the root: %s", strerror(errno));
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(err, -errno, "pivot_root: %s", strerror(errno));
	/* The unmounting of a shared mount would take place on the host too. */
	if (is_shared(rootfs))
		r = tree_set_propagation(old_fd, MS_SLAVE | MS_REC);
	if (r < 0)
		return err_set(err, r, "cannot part from the old root: %s", strerror(-r));
	if (umount2(".", MNT_DETACH) < 0)
		return err_set(err, -errno, "cannot detach the old root: %s", strerror(errno));
	return 0;
}

static int change_root(const struct rootfs *rootfs, struct err *err)
{
	if (fchdir(rootfs->root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, -errno, "cannot change into the root: %s", strerror(errno));
	return 0;
}

static int set_readonly(const struct rootfs *rootfs, struct err *err)
{
	cleanup_fd int dev_fd = -1;
	int r = 0;

	if (rootfs->readonly_dev) {
		r = path_in_root_open(rootfs->root_fd, "/dev", 0, &dev_fd);
		if (r == 0)
			r = tree_set(dev_fd, 0, MOUNT_ATTR_RDONLY, 0);
	}
	if (r < 0)
		return err_set(err, r, "cannot make /dev read-only: %s", strerror(-r));
	if (!rootfs->spec->root_readonly)
		return 0;
	r = tree_set(rootfs->root_fd, 0, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? err_set(err, r, "root.readonly: %s", strerror(-r)) : 0;
}

static int set_propagation(const struct rootfs *rootfs, struct err *err)
{
	unsigned long propagation = rootfs->spec->linux.rootfs_propagation;
	int r;

	if (!rootfs->config.new_mount_namespace || propagation == 0)
		return 0;
	r = tree_set_propagation(rootfs->root_fd, propagation);
	return r < 0 ? err_set(err, r, "linux.rootfsPropagation: %s", strerror(-r)) : 0;
}

int rootfs_enter(struct rootfs *rootfs, struct err *err)
{
	int r;

	if (!rootfs->config.new_mount_namespace)
		r = change_root(rootfs, err);
	else if (rootfs->config.no_pivot)
		r = no_pivot_enter(rootfs, err);
	else
		r = pivot(rootfs, err);
	(void)(r || (r = masked_apply(rootfs, err)) || (r = set_readonly(rootfs, err)) ||
	       (r = set_propagation(rootfs, err)));
	return r;
}
