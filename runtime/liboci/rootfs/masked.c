/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "maskedPaths" and "readonlyPaths".
 *
 * Each path is resolved once, inside the root that was just entered, and mounted onto by
 * descriptor. What covers a file is the container's /dev/null, by one descriptor that was checked
 * to be that device: an image or a neighbour that puts a link in its place would have us mount
 * whatever it points to, in writable form (CVE-2025-31133).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

/* What is mounted over paths; made when first needed. */
struct covers {
	const struct rootfs *rootfs; /* borrowed */
	int null_fd;                 /* owned: the container's /dev/null */
	int folder_fd;               /* owned: an empty read-only folder, attached by now */
};

static int make_folder(const struct rootfs *rootfs, int *ret_tree_fd, struct err *err)
{
	const struct filesystem filesystem = {
		.type = "tmpfs",
		.data = "mode=755",
		.mount_label = rootfs->spec->linux.mount_label,
		.sb_flags = MS_RDONLY,
		.attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			      MOUNT_ATTR_NOEXEC,
	};

	return filesystem_new(&filesystem, ret_tree_fd, err);
}

/* One superblock covers all folders. Its first mount is attached before it is copied, for the copy
 * of a detached mount needs a newer kernel. */
static int cover_folder(struct covers *covers, int target_fd, struct err *err)
{
	cleanup_fd int tree_fd = -1;
	int r;

	if (covers->folder_fd < 0)
		r = make_folder(covers->rootfs, &tree_fd, err);
	else
		r = tree_clone(covers->folder_fd, "", AT_EMPTY_PATH, &tree_fd);
	if (r == 0)
		r = tree_attach(tree_fd, target_fd);
	if (r == 0 && covers->folder_fd < 0)
		covers->folder_fd = TAKE_FD(tree_fd);
	return r;
}

static int cover_file(struct covers *covers, int target_fd, struct err *err)
{
	cleanup_fd int tree_fd = -1;
	int r = covers->null_fd < 0 ? devices_open_null(covers->rootfs, &covers->null_fd, err) : 0;

	if (r == 0)
		r = tree_clone(covers->null_fd, "", AT_EMPTY_PATH, &tree_fd);
	return r < 0 ? r : tree_attach(tree_fd, target_fd);
}

/* 1: there is no such path, and so nothing to protect. */
static int open_path(const struct rootfs *rootfs, const char *path, int *ret_fd)
{
	int r = path_in_root_open(rootfs->root_fd, path, 0, ret_fd);

	return r == -ENOENT || r == -ENOTDIR ? 1 : r;
}

/* Nobody would see what is mounted over the root: processes have it open already. */
static bool is_root(const struct rootfs *rootfs, int fd)
{
	const unsigned int wanted = STATX_INO | STATX_MNT_ID;
	struct statx root, other;

	return statx(rootfs->root_fd, "", AT_EMPTY_PATH, wanted, &root) == 0 &&
	       statx(fd, "", AT_EMPTY_PATH, wanted, &other) == 0 &&
	       root.stx_mnt_id == other.stx_mnt_id && root.stx_ino == other.stx_ino;
}

static int mask(struct covers *covers, const char *path, struct err *err)
{
	cleanup_fd int target_fd = -1;
	struct stat st;
	int r = open_path(covers->rootfs, path, &target_fd);

	if (r != 0)
		return r < 0 ? r : 0;
	if (is_root(covers->rootfs, target_fd))
		return -EINVAL;
	if (fd_stat(target_fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? cover_folder(covers, target_fd, err)
				   : cover_file(covers, target_fd, err);
}

/* A bind of the path onto itself; the restrictions that it has already stay, since only one is
 * added. Recursive, because a user namespace may not leave out what is mounted below. */
static int protect(const struct rootfs *rootfs, const char *path)
{
	cleanup_fd int target_fd = -1, tree_fd = -1;
	int r = open_path(rootfs, path, &target_fd);

	if (r != 0)
		return r < 0 ? r : 0;
	if (is_root(rootfs, target_fd))
		return tree_set(rootfs->root_fd, 0, MOUNT_ATTR_RDONLY, 0);
	r = tree_clone(target_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &tree_fd);
	if (r == 0)
		r = tree_set(tree_fd, 0, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? r : tree_attach(tree_fd, target_fd);
}

/* `err` may have been filled further down, with the reason in more words than errno has. */
static int fail(struct err *err, int r, const char *member, size_t index, const char *path)
{
	if (err && err->message[0])
		return err_prefix(err, r, "%s[%zu]: '%s'", member, index, path);
	return err_set(err, r, "%s[%zu]: '%s': %s", member, index, path, strerror(-r));
}

static int protect_all(const struct rootfs *rootfs, struct err *err)
{
	const struct oci_strings *paths = &rootfs->spec->linux.readonly_paths;

	for (size_t i = 0; i < paths->count; i++) {
		int r = protect(rootfs, paths->items[i]);

		if (r < 0)
			return fail(err, r, "linux.readonlyPaths", i, paths->items[i]);
	}
	return 0;
}

static int mask_all(const struct rootfs *rootfs, struct err *err)
{
	const struct oci_strings *paths = &rootfs->spec->linux.masked_paths;
	struct covers covers = { .rootfs = rootfs, .null_fd = -1, .folder_fd = -1 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < paths->count; i++) {
		r = mask(&covers, paths->items[i], err);
		if (r < 0)
			fail(err, r, "linux.maskedPaths", i, paths->items[i]);
	}
	(void)fd_close(covers.null_fd);
	(void)fd_close(covers.folder_fd);
	return r;
}

int masked_apply(struct rootfs *rootfs, struct err *err)
{
	int r;

	if (err)
		*err = (struct err){ 0 };
	r = protect_all(rootfs, err);
	return r < 0 ? r : mask_all(rootfs, err);
}
