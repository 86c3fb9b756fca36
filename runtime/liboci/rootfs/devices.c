/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes and the links beside them: the specification's defaults, and "linux.devices".
 *
 * Nodes are made by descriptor, with the mode that the config gives: rootfs_mount has cleared the
 * umask. Where making one is not permitted, the host's node is bound. A node that the image brought
 * along is used only if it is the same device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

enum {
	DEFAULT_MODE = 0666,
	MOST_MAJOR = 0xfff, /* as many bits as the kernel has */
	MOST_MINOR = 0xfffff,
	NULL_MAJOR = 1,
	NULL_MINOR = 3,
};

/* Runtime specification, config-linux.md, "Default Devices". */
static const struct oci_device_node default_devices[] = {
	{ .path = "/dev/null", .type = 'c', .major = NULL_MAJOR, .minor = NULL_MINOR },
	{ .path = "/dev/zero", .type = 'c', .major = 1, .minor = 5 },
	{ .path = "/dev/full", .type = 'c', .major = 1, .minor = 7 },
	{ .path = "/dev/random", .type = 'c', .major = 1, .minor = 8 },
	{ .path = "/dev/urandom", .type = 'c', .major = 1, .minor = 9 },
	{ .path = "/dev/tty", .type = 'c', .major = 5, .minor = 0 },
};

/* Runtime specification, runtime-linux.md, "Dev symbolic links"; "core" as the field has it. */
static const struct {
	const char *name, *target;
} default_links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "core", "/proc/kcore" },       { "ptmx", "pts/ptmx" },
};

static mode_t type_bits(char type)
{
	return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

static bool is_same_device(const struct stat *st, const struct oci_device_node *device)
{
	mode_t type = type_bits(device->type);

	return (st->st_mode & S_IFMT) == type &&
	       (type == S_IFIFO ||
		st->st_rdev == makedev((unsigned int)device->major, (unsigned int)device->minor));
}

/* --- by binding the host's ------------------------------------------------------------------- */

int devices_attach(int tree_fd, int folder_fd, const char *name, const char *path, struct err *err)
{
	cleanup_fd int target_fd = -1;
	struct stat st;
	int r;

	if (mknodat(folder_fd, name, S_IFREG | DEFAULT_MODE, 0) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make '%s': %s", path, strerror(errno));
	target_fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target_fd < 0 || fd_stat(target_fd, &st) < 0)
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
		return err_set(err, -ELOOP, "'%s' is a link or a folder in the image", path);
	r = refuse_proc(target_fd, path, err);
	if (r < 0)
		return r;
	r = tree_attach(tree_fd, target_fd);
	return r < 0 ? err_set(err, r, "cannot mount onto '%s': %s", path, strerror(-r)) : 0;
}

static int bind_device(int folder_fd, const char *name, const struct oci_device_node *device,
		       struct err *err)
{
	cleanup_fd int tree_fd = -1;
	struct stat st = {};
	int r = tree_clone(AT_FDCWD, device->path, 0, &tree_fd);

	if (r < 0)
		return err_set(err, r, "cannot bind the host's '%s': %s", device->path,
			       strerror(-r));
	if (fd_stat(tree_fd, &st) < 0 || !is_same_device(&st, device))
		return err_set(err, -ENODEV, "the host's '%s' is another device", device->path);
	return devices_attach(tree_fd, folder_fd, name, device->path, err);
}

/* --- by making it ---------------------------------------------------------------------------- */

static int check_existing(int folder_fd, const char *name, const struct oci_device_node *device,
			  struct err *err)
{
	struct stat st;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, -errno, "'%s': %s", device->path, strerror(errno));
	if (!is_same_device(&st, device))
		return err_set(err, -EEXIST, "'%s' is there already and is something else",
			       device->path);
	return 0;
}

static int set_owner(int folder_fd, const char *name, const struct oci_device_node *device,
		     struct err *err)
{
	uid_t uid = device->uid.set ? (uid_t)device->uid.value : 0;
	gid_t gid = device->gid.set ? (gid_t)device->gid.value : 0;

	/* What we make is root's already. */
	if (uid == 0 && gid == 0)
		return 0;
	if (fchownat(folder_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, -errno, "cannot give '%s' to %u:%u: %s", device->path, uid, gid,
			       strerror(errno));
	return 0;
}

static int make_device(const struct rootfs *rootfs, int folder_fd, const char *name,
		       const struct oci_device_node *device, struct err *err)
{
	mode_t mode = device->file_mode.set ? (mode_t)device->file_mode.value & 07777
					    : (mode_t)DEFAULT_MODE;
	bool is_fifo = device->type == 'p';

	if (device->major < 0 || device->major > MOST_MAJOR || device->minor < 0 ||
	    device->minor > MOST_MINOR)
		return err_set(err, -EINVAL, "'%s': no such device number", device->path);
	if (rootfs->config.new_user_namespace && !is_fifo)
		return bind_device(folder_fd, name, device, err);
	if (mknodat(folder_fd, name, type_bits(device->type) | mode,
		    makedev((unsigned int)device->major, (unsigned int)device->minor)) == 0)
		return set_owner(folder_fd, name, device, err);
	if (errno == EEXIST)
		return check_existing(folder_fd, name, device, err);
	if (errno == EPERM && !is_fifo)
		return bind_device(folder_fd, name, device, err);
	return err_set(err, -errno, "cannot make '%s': %s", device->path, strerror(errno));
}

/* `dev_fd` is the container's /dev, where nearly all devices are. */
static int make_at(const struct rootfs *rootfs, int dev_fd, const struct oci_device_node *device,
		   struct err *err)
{
	cleanup_fd int folder_fd = -1;
	char path[PATH_MAX];
	const char *name = "";
	int r = path_clean(device->path, path);

	if (r == 0 && strncmp(path, "/dev/", 5) == 0 && !strchr(path + 5, '/'))
		return make_device(rootfs, dev_fd, path + 5, device, err);
	if (r == 0)
		r = path_in_root_parent(rootfs->root_fd, path, &folder_fd, &name);
	if (r < 0)
		return err_set(err, r, "cannot make '%s': %s", device->path, strerror(-r));
	return make_device(rootfs, folder_fd, name, device, err);
}

/* --- all ------------------------------------------------------------------------------------- */

static bool is_configured(const struct oci_spec *spec, const char *path)
{
	for (size_t i = 0; i < spec->linux.device_count; i++)
		if (strcmp(spec->linux.devices[i].path, path) == 0)
			return true;
	return false;
}

static int make_defaults(const struct rootfs *rootfs, int dev_fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
		const struct oci_device_node *device = &default_devices[i];
		int r = is_configured(rootfs->spec, device->path)
				? 0
				: make_device(rootfs, dev_fd, device->path + 5, device, err);

		if (r < 0)
			return err_prefix(err, r, "default devices");
	}
	return 0;
}

static int make_configured(const struct rootfs *rootfs, int dev_fd, struct err *err)
{
	const struct oci_linux *linux_part = &rootfs->spec->linux;

	for (size_t i = 0; i < linux_part->device_count; i++) {
		/* That one is a link to the container's own devpts, whatever the config says. */
		int r = strcmp(linux_part->devices[i].path, "/dev/ptmx") == 0
				? 0
				: make_at(rootfs, dev_fd, &linux_part->devices[i], err);

		if (r < 0)
			return err_prefix(err, r, "linux.devices[%zu]", i);
	}
	return 0;
}

/* The image's own ptmx would be the host's; any other link that is there may stay. */
static int make_link(int dev_fd, const char *name, const char *target)
{
	if (symlinkat(target, dev_fd, name) == 0)
		return 0;
	if (errno != EEXIST || strcmp(name, "ptmx") != 0)
		return errno == EEXIST ? 0 : -errno;
	if (unlinkat(dev_fd, name, 0) < 0 || symlinkat(target, dev_fd, name) < 0)
		return -errno;
	return 0;
}

static int make_links(int dev_fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++) {
		int r = make_link(dev_fd, default_links[i].name, default_links[i].target);

		if (r < 0)
			return err_set(err, r, "cannot make the link '/dev/%s': %s",
				       default_links[i].name, strerror(-r));
	}
	return 0;
}

/* A /dev that the config binds is somebody else's: nothing is made in it. */
static bool is_dev_bound(const struct oci_spec *spec)
{
	char destination[PATH_MAX];

	for (size_t i = 0; i < spec->mount_count; i++)
		if (mount_is_bind(&spec->mounts[i]) && !spec->mounts[i].remount &&
		    path_clean(spec->mounts[i].destination, destination) == 0 &&
		    strcmp(destination, "/dev") == 0)
			return true;
	return false;
}

int devices_make(struct rootfs *rootfs, struct err *err)
{
	cleanup_fd int dev_fd = -1;
	int r;

	if (is_dev_bound(rootfs->spec))
		return 0;
	r = path_in_root_make(rootfs->root_fd, "/dev", PATH_FOLDER, 0, &dev_fd);
	if (r < 0)
		return err_set(err, r, "cannot open '/dev': %s", strerror(-r));
	(void)((r = make_configured(rootfs, dev_fd, err)) ||
	       (r = make_defaults(rootfs, dev_fd, err)) || (r = make_links(dev_fd, err)));
	return r;
}

int devices_open_null(const struct rootfs *rootfs, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st = {};
	int r = path_in_root_open(rootfs->root_fd, "/dev/null", RESOLVE_NO_SYMLINKS, &fd);

	if (r == 0 && fd_stat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, r, "cannot open the container's '/dev/null': %s", strerror(-r));
	if (!is_same_device(&st, &default_devices[0]))
		return err_set(err, -ENODEV, "the container's '/dev/null' is another file");
	*ret_fd = TAKE_FD(fd);
	return 0;
}
