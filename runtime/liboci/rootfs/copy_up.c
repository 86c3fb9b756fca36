/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "tmpcopyup": the content of a folder of the image, copied into the tmpfs that will cover it.
 *
 * The image may do what it likes with names and links meanwhile: every entry is opened in its
 * folder's descriptor and never followed, and what is opened is looked at again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

enum {
	MOST_DEPTH = 128,
	COPY_BYTES = 1 << 30, /* in one call */
};

static int copy_folder(int from_fd, int to_fd, unsigned int depth);

static int copy_bytes(int from_fd, int to_fd)
{
	ssize_t n;

	do {
		n = sendfile(to_fd, from_fd, NULL, COPY_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* An O_PATH descriptor would not do, and a FIFO must not make us wait. */
static int open_entry(int folder_fd, const char *name, const struct stat *expected, int *ret_fd)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fd_stat(fd, &st) < 0 || (st.st_mode & S_IFMT) != (expected->st_mode & S_IFMT)) {
		(void)close(fd);
		return -ESTALE;
	}
	*ret_fd = fd;
	return 0;
}

static int copy_file(int from_fd, int to_fd, const char *name, const struct stat *st)
{
	cleanup_fd int source_fd = -1, copy_fd = -1;
	int r = open_entry(from_fd, name, st, &source_fd);

	if (r < 0)
		return r;
	copy_fd = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return copy_fd < 0 ? -errno : copy_bytes(source_fd, copy_fd);
}

static int copy_link(int from_fd, int to_fd, const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(from_fd, name, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return symlinkat(text, to_fd, name) < 0 ? -errno : 0;
}

static int copy_subfolder(int from_fd, int to_fd, const char *name, const struct stat *st,
			  unsigned int depth)
{
	cleanup_fd int source_fd = -1, copy_fd = -1;
	int r = open_entry(from_fd, name, st, &source_fd);

	if (r < 0)
		return r;
	if (mkdirat(to_fd, name, 0700) < 0)
		return -errno;
	copy_fd = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return copy_fd < 0 ? -errno : copy_folder(source_fd, copy_fd, depth + 1);
}

static int copy_by_type(int from_fd, int to_fd, const char *name, const struct stat *st,
			unsigned int depth)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		return copy_subfolder(from_fd, to_fd, name, st, depth);
	case S_IFREG:
		return copy_file(from_fd, to_fd, name, st);
	case S_IFLNK:
		return copy_link(from_fd, to_fd, name);
	default: /* devices, FIFOs, and sockets, which nobody listens at */
		return mknodat(to_fd, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0 ? -errno
											    : 0;
	}
}

/* Owner first: a change of owner takes the set-user-ID bit away. EINVAL: an owner that this user
 * namespace does not have. */
static int copy_attributes(int to_fd, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchownat(to_fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != EINVAL)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to_fd, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_entry(int from_fd, int to_fd, const char *name, unsigned int depth)
{
	struct stat st;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	r = copy_by_type(from_fd, to_fd, name, &st, depth);
	return r < 0 ? r : copy_attributes(to_fd, name, &st);
}

static int copy_folder(int from_fd, int to_fd, unsigned int depth)
{
	int fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 0), r = 0;
	struct dirent *entry;
	DIR *folder;

	if (depth > MOST_DEPTH)
		return -ELOOP;
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		r = -errno;
		(void)fd_close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(folder)))
		r = copy_entry(from_fd, to_fd, entry->d_name, depth);
	if (r == 0)
		r = -errno;
	(void)closedir(folder);
	return r;
}

int copy_up(int from_fd, int to_fd, struct err *err)
{
	int r = copy_folder(from_fd, to_fd, 0);

	return r < 0 ? err_set(err, r, "tmpcopyup: cannot copy the folder: %s", strerror(-r)) : 0;
}
