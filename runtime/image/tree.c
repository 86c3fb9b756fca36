/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking trees that strangers made: no link is followed, and depth costs neither stack nor
 * descriptors without bound.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "image_priv.h"

#define TRASH_HEAD ".deep-"

enum { REMOVE_DEPTH = 32 };

static void cleanup_dir_p(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}
#define cleanup_dir __attribute__((cleanup(cleanup_dir_p)))

/* A stream over the folder, with a descriptor and an offset of its own. */
static DIR *folder_read(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0) {
		const int saved = errno;

		(void)close(fd);
		errno = saved;
	}
	return dir;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int move_to_trash(int parent_fd, const char *name, struct workspace *workspace)
{
	char trash[32];

	for (;;) {
		(void)snprintf(trash, sizeof(trash), TRASH_HEAD "%u", workspace->trash_count++);
		if (renameat2(parent_fd, name, workspace->fd, trash, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
}

static int remove_at(int parent_fd, const char *name, struct workspace *workspace, int depth);

static int remove_contents(int parent_fd, const char *name, struct workspace *workspace, int depth)
{
	cleanup_dir DIR *dir = folder_read(parent_fd, name);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (!is_dots(entry->d_name))
			r = remove_at(dirfd(dir), entry->d_name, workspace, depth + 1);
	return r;
}

static int remove_at(int parent_fd, const char *name, struct workspace *workspace, int depth)
{
	int r;

	if (unlinkat(parent_fd, name, 0) == 0)
		return 0;
	/* Linux says EISDIR for a folder, POSIX EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth == REMOVE_DEPTH)
		return move_to_trash(parent_fd, name, workspace);
	r = remove_contents(parent_fd, name, workspace, depth);
	if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int tree_remove(int parent_fd, const char *name, struct workspace *workspace)
{
	return remove_at(parent_fd, name, workspace, 0);
}

int tree_clear(struct workspace *workspace)
{
	unsigned int before;
	int r;

	/* What was moved to the trash meanwhile may not have been seen by the walk over it. */
	do {
		before = workspace->trash_count;
		r = remove_contents(workspace->fd, ".", workspace, -1);
	} while (r == 0 && workspace->trash_count != before);
	return r;
}

struct seal {
	struct tree_totals totals;
	struct err *err;
};

static int seal_folder(struct seal *seal, int parent_fd, const char *name, int depth,
		       size_t path_bytes);

static int seal_entry(struct seal *seal, int folder_fd, const char *name, int depth,
		      size_t path_bytes)
{
	struct stat st;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(seal->err, -errno, "cannot look at '%s': %s", SHOWN(name),
			       strerror(errno));
	path_bytes += strlen(name) + 1;
	if (strlen(name) > TREE_NAME_MAX)
		return err_set(seal->err, -EFBIG, "the name '%s' has more than %d bytes",
			       SHOWN(name), TREE_NAME_MAX);
	if (path_bytes > TREE_PATH_MAX)
		return err_set(seal->err, -EFBIG, "the path of '%s' has more than %d bytes",
			       SHOWN(name), TREE_PATH_MAX);
	seal->totals.entries++;
	if (S_ISREG(st.st_mode))
		seal->totals.bytes += (uint64_t)st.st_size / (st.st_nlink > 0 ? st.st_nlink : 1);
	return S_ISDIR(st.st_mode) ? seal_folder(seal, folder_fd, name, depth + 1, path_bytes) : 0;
}

static int seal_folder(struct seal *seal, int parent_fd, const char *name, int depth,
		       size_t path_bytes)
{
	static const struct timespec times[2] = { { 0, 0 }, { 0, 0 } };
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r = 0;

	if (depth > NESTING_MAX)
		return err_set(seal->err, -EFBIG, "folders nest deeper than %d: '%s'", NESTING_MAX,
			       SHOWN(name));
	dir = folder_read(parent_fd, name);
	if (!dir)
		return err_set(seal->err, -errno, "cannot read '%s': %s", SHOWN(name),
			       strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		if (!is_dots(entry->d_name))
			r = seal_entry(seal, dirfd(dir), entry->d_name, depth, path_bytes);
	if (r == 0 && futimens(dirfd(dir), times) < 0)
		r = err_set(seal->err, -errno, "cannot set the time of '%s': %s", SHOWN(name),
			    strerror(errno));
	return r;
}

int tree_seal(int root_fd, struct tree_totals *ret_totals, struct err *err)
{
	struct seal seal = { .err = err };
	int r = seal_folder(&seal, root_fd, ".", 0, 0);

	if (r == 0)
		*ret_totals = seal.totals;
	return r;
}
