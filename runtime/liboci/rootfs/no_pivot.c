/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entering the root where pivot_root cannot: the first file system of the kernel (an initramfs) is
 * no mount that could be put elsewhere. The root is moved over "/", and chroot enters it.
 *
 * What was mounted before stays in the namespace, below the new root. A procfs or sysfs there, free
 * of masks, would let a user namespace inside mount another one as free (the kernel asks only
 * whether a fully visible one exists), so these are taken away first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

/* Mount points have blanks and backslashes as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		unsigned int byte;
		int n = 0;

		if (*text == '\\' && sscanf(text, "\\%3o%n", &byte, &n) == 1 && n == 4) {
			*to++ = (char)byte;
			text += n;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static bool is_revealing(const char *type)
{
	return strncmp(type, "proc ", 5) == 0 || strncmp(type, "sysfs ", 6) == 0;
}

static bool is_inside(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length]);
}

/* Detached, or, when it is locked there, covered. Busy ones do not exist for a detach. */
static int hide(const char *point)
{
	if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == ENOENT)
		return 0;
	return mount("tmpfs", point, "tmpfs", MS_RDONLY, "size=4k,nr_inodes=1") < 0 ? -errno : 0;
}

/* A line: "36 35 98:0 /root /point options - type source options". */
static int hide_line(char *line, const char *root)
{
	char *type = strstr(line, " - "), *field = line, *point = NULL;

	if (!type || !is_revealing(type + 3))
		return 0;
	for (int i = 0; i < 5 && field; i++)
		point = strsep(&field, " ");
	if (!point || !field)
		return 0;
	unescape(point);
	return is_inside(point, root) ? 0 : hide(point);
}

static int hide_revealing_mounts(const char *root, struct err *err)
{
	cleanup_file FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!file)
		return err_set(err, -errno, "cannot read /proc/self/mountinfo: %s",
			       strerror(errno));
	while (r == 0 && getline(&line, &room, file) > 0)
		r = hide_line(line, root);
	return r < 0 ? err_set(err, r, "cannot hide a mount of the host: %s", strerror(-r)) : 0;
}

int no_pivot_enter(const struct rootfs *rootfs, struct err *err)
{
	cleanup_free char *real = realpath(rootfs->path, NULL);
	int r;

	if (!real)
		return err_set(err, -errno, "root.path: '%s': %s", rootfs->path, strerror(errno));
	r = hide_revealing_mounts(real, err);
	if (r < 0)
		return r;
	if (fchdir(rootfs->root_fd) < 0)
		return err_set(err, -errno, "cannot enter the root: %s", strerror(errno));
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return err_set(err, -errno, "cannot move the root over '/': %s", strerror(errno));
	if (chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, -errno, "cannot change into the root: %s", strerror(errno));
	return 0;
}
