/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's terminal, in its own devpts, and /dev/console.
 *
 * Nothing here believes a path: the folder is checked to be a devpts, the far end comes from the
 * near one (TIOCGPTPEER), and what is mounted onto /dev/console is that descriptor, not
 * "/dev/pts/0", which somebody could have replaced by then (CVE-2025-52565).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

enum { DEVPTS_MAGIC = 0x1cd1 };

/* "pts" may be a link in no sane /dev, but "/dev" itself may be one in an image. */
static int open_primary(int dev_fd, int *ret_fd, struct err *err)
{
	cleanup_fd int pts_fd =
		openat(dev_fd, "pts", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	int fd;

	if (pts_fd < 0 || fstatfs(pts_fd, &fs) < 0 || fs.f_type != DEVPTS_MAGIC)
		return err_set(err, -ENXIO, "process.terminal: needs a devpts mounted at /dev/pts");
	fd = openat(pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "process.terminal: cannot open /dev/pts/ptmx: %s",
			       strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int open_secondary(int primary_fd, int *ret_fd, struct err *err)
{
	int unlock = 0, fd;

	if (ioctl(primary_fd, TIOCSPTLCK, &unlock) < 0)
		return err_set(err, -errno, "process.terminal: cannot unlock it: %s",
			       strerror(errno));
	fd = ioctl(primary_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "process.terminal: cannot open its other end: %s",
			       strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int set_size(int primary_fd, unsigned int height, unsigned int width, struct err *err)
{
	const struct winsize size = {
		.ws_row = (unsigned short)height,
		.ws_col = (unsigned short)width,
	};

	if (height == 0 && width == 0)
		return 0;
	if (height > UINT16_MAX || width > UINT16_MAX)
		return err_set(err, -EINVAL, "process.consoleSize: larger than a terminal can be");
	if (ioctl(primary_fd, TIOCSWINSZ, &size) < 0)
		return err_set(err, -errno, "process.consoleSize: %s", strerror(errno));
	return 0;
}

/* The group is the devpts's own business (its option "gid"). */
static int set_owner(int secondary_fd, uid_t uid, struct err *err)
{
	struct stat st;

	if (fd_stat(secondary_fd, &st) == 0 && st.st_uid == uid)
		return 0;
	if (fchown(secondary_fd, uid, (gid_t)-1) < 0)
		return err_set(err, -errno, "process.terminal: cannot give it to user %u: %s", uid,
			       strerror(errno));
	return 0;
}

static int mount_console(int dev_fd, int secondary_fd, struct err *err)
{
	cleanup_fd int tree_fd = -1;
	int r = tree_clone(secondary_fd, "", AT_EMPTY_PATH, &tree_fd);

	if (r < 0)
		return err_set(err, r, "cannot bind the terminal: %s", strerror(-r));
	return devices_attach(tree_fd, dev_fd, "console", "/dev/console", err);
}

int rootfs_console(struct rootfs *rootfs, unsigned int height, unsigned int width, uid_t uid,
		   int *ret_primary, int *ret_secondary, struct err *err)
{
	cleanup_fd int dev_fd = -1, primary_fd = -1, secondary_fd = -1;
	int r = path_in_root_open(rootfs->root_fd, "/dev", 0, &dev_fd);

	if (r < 0)
		return err_set(err, r, "process.terminal: cannot open /dev: %s", strerror(-r));
	(void)((r = open_primary(dev_fd, &primary_fd, err)) ||
	       (r = open_secondary(primary_fd, &secondary_fd, err)) ||
	       (r = set_size(primary_fd, height, width, err)) ||
	       (r = set_owner(secondary_fd, uid, err)) ||
	       (r = mount_console(dev_fd, secondary_fd, err)));
	if (r < 0)
		return r;
	*ret_primary = TAKE_FD(primary_fd);
	*ret_secondary = TAKE_FD(secondary_fd);
	return 0;
}
