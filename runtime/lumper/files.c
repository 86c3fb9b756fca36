/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through a function's own files.
 *
 * Files get root as owner and modes of two kinds, as in a version control system: a template must
 * not depend on the umask of whoever checked the function out, and a function that may write into
 * its own program is none that we want.
 */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

enum {
	PATH_BYTES_MAX = 4096, /* with NUL, as the kernel has it */
	MODE_PLAIN = 0644,
	MODE_PROGRAM = 0755,
};

struct walk {
	files_take *take;
	void *context;
	unsigned int count, depth;
	char path[PATH_BYTES_MAX];
	size_t path_bytes;
	uint8_t data[MAILBOX_REQUEST_MAX];
};

static int fail_path(const struct walk *walk, int r, const char *what, struct err *err)
{
	return err_set(err, r, "cannot read '%s': %s", walk->path, what);
}

static int give(struct walk *walk, uint32_t mode, uint64_t offset, size_t bytes, struct err *err)
{
	const struct mailbox_file file = {
		.mode = mode,
		.path_bytes = (uint32_t)walk->path_bytes,
		.offset = offset,
		.data_bytes = (uint32_t)bytes,
	};

	return walk->take(walk->context, &file, walk->path, walk->data, err);
}

/* As much as there is, up to `bytes`. */
static ssize_t read_piece(int fd, uint8_t *data, size_t bytes)
{
	size_t have = 0;

	while (have < bytes) {
		ssize_t n = read(fd, data + have, bytes - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int give_file(struct walk *walk, int fd, mode_t mode, struct err *err)
{
	const uint32_t room = mailbox_file_room((uint32_t)walk->path_bytes);
	const uint32_t kept = S_IFREG | (mode & S_IXUSR ? MODE_PROGRAM : MODE_PLAIN);
	uint64_t offset = 0;
	ssize_t n;

	/* An empty file is a piece, too. */
	do {
		int r;

		n = read_piece(fd, walk->data, room);
		if (n < 0)
			return fail_path(walk, (int)n, strerror((int)-n), err);
		if (n == 0 && offset > 0)
			break;
		r = give(walk, kept, offset, (size_t)n, err);
		if (r)
			return r;
		offset += (uint64_t)n;
	} while (n == (ssize_t)room);
	return 0;
}

static int give_link(struct walk *walk, int folder, const char *name, struct err *err)
{
	ssize_t n = readlinkat(folder, name, (char *)walk->data, PATH_BYTES_MAX);

	if (n < 0)
		return fail_path(walk, -errno, strerror(errno), err);
	if (n == 0 || n == PATH_BYTES_MAX)
		return fail_path(walk, -EINVAL, "a symbolic link that leads too far", err);
	return give(walk, S_IFLNK | 0777, 0, (size_t)n, err);
}

static int walk_folder(struct walk *walk, int fd, struct err *err);

static int give_folder(struct walk *walk, int fd, struct err *err)
{
	int r = give(walk, S_IFDIR | MODE_PROGRAM, 0, 0, err);

	return r ? r : walk_folder(walk, fd, err);
}

/* What was a file when it was looked at may be another when it is opened: the opened one counts. A
 * FIFO would let an open wait. */
static int give_entry(struct walk *walk, int folder, const char *name, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_path(walk, -errno, strerror(errno), err);
	if (S_ISLNK(st.st_mode))
		return give_link(walk, folder, name, err);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return fail_path(walk, -EINVAL, "neither a file, a folder nor a symbolic link",
				 err);
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_path(walk, -errno, strerror(errno), err);
	if (S_ISDIR(st.st_mode))
		return give_folder(walk, fd, err);
	if (S_ISREG(st.st_mode))
		return give_file(walk, fd, st.st_mode, err);
	return fail_path(walk, -EINVAL, "neither a file, a folder nor a symbolic link", err);
}

static int walk_entry(struct walk *walk, int folder, const char *name, struct err *err)
{
	const size_t before = walk->path_bytes, length = strlen(name);
	const size_t slash = before > 0;
	int r;

	if (before + slash + length >= sizeof(walk->path))
		return fail_path(walk, -ENAMETOOLONG, "a path in it is too long", err);
	if (++walk->count > FILES_MAX)
		return err_set(err, -E2BIG, "there are more than %d files", FILES_MAX);
	if (slash)
		walk->path[before] = '/';
	memcpy(walk->path + before + slash, name, length + 1);
	walk->path_bytes = before + slash + length;
	r = give_entry(walk, folder, name, err);
	walk->path[before] = '\0';
	walk->path_bytes = before;
	return r;
}

static int is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk_folder(struct walk *walk, int fd, struct err *err)
{
	struct dirent **entries = NULL;
	int count, r = 0;

	if (walk->depth == FILES_DEPTH_MAX)
		return err_set(err, -E2BIG, "folders lie more than %d deep", FILES_DEPTH_MAX);
	count = scandirat(fd, ".", &entries, is_entry, by_name);
	if (count < 0)
		return fail_path(walk, -errno, strerror(errno), err);
	walk->depth++;
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = walk_entry(walk, fd, entries[i]->d_name, err);
		free(entries[i]);
	}
	walk->depth--;
	free(entries);
	return r;
}

int files_walk(int fd, files_take *take, void *context, struct err *err)
{
	cleanup_free struct walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return err_set(err, -ENOMEM, "out of memory");
	walk->take = take;
	walk->context = context;
	return walk_folder(walk, fd, err);
}
