/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking trees, by fts(3). Each entry is opened relative to its folder without following links, so
 * that one that changes under way is refused rather than followed.
 */
#include "file_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

enum { COPY_CHUNK = 64 << 10 };

/* Told of each entry; `path` is relative to the tree's root. */
struct visitor {
	int (*visit)(const struct visitor *visitor, const FTSENT *entry, const char *path,
		     struct err *err);
	const char *to; /* copies: the folder */
	void (*update)(void *context, const void *data, size_t bytes);
	void *context;
};

/* --- the walk -------------------------------------------------------------------------------- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_left_out(const FTSENT *entry)
{
	return (entry->fts_level == 1 && entry->fts_name[0] == '.') ||
	       strcmp(entry->fts_name, "__pycache__") == 0;
}

static int check_entry(const FTSENT *entry, uint64_t *left_bytes, struct err *err)
{
	switch (entry->fts_info) {
	case FTS_D:
	case FTS_SL:
	case FTS_SLNONE:
		return 0;
	case FTS_F:
		if ((uint64_t)entry->fts_statp->st_size > *left_bytes)
			return err_set(err, -EFBIG, "the function's files have more than %d MiB",
				       FILE_TREE_MAX_BYTES >> 20);
		*left_bytes -= (uint64_t)entry->fts_statp->st_size;
		return 0;
	case FTS_DEFAULT:
		return err_set(err, -EINVAL, "'%s' is neither file, folder nor symbolic link",
			       entry->fts_path);
	default:
		return err_set(err, -entry->fts_errno, "cannot read '%s': %s", entry->fts_path,
			       strerror(entry->fts_errno));
	}
}

static int walk_all(FTS *walk, size_t root_bytes, const struct visitor *visitor, struct err *err)
{
	uint64_t left_bytes = FILE_TREE_MAX_BYTES;
	unsigned int entries = 0;
	FTSENT *entry;
	int r = 0;

	for (errno = 0; r == 0 && (entry = fts_read(walk)); errno = 0) {
		if (entry->fts_info == FTS_DP)
			continue;
		if (entry->fts_level > 0 && is_left_out(entry)) {
			(void)fts_set(walk, entry, FTS_SKIP);
			continue;
		}
		r = check_entry(entry, &left_bytes, err);
		if (r == 0 && ++entries > FILE_TREE_ENTRIES_MAX)
			r = err_set(err, -E2BIG, "the function has more than %d files",
				    FILE_TREE_ENTRIES_MAX);
		if (r == 0 && entry->fts_level > 0)
			r = visitor->visit(visitor, entry, entry->fts_path + root_bytes + 1, err);
	}
	if (r == 0 && errno)
		r = err_set(err, -errno, "cannot list the function's folder: %s", strerror(errno));
	return r;
}

static int tree_walk(const char *folder, const struct visitor *visitor, struct err *err)
{
	char *roots[] = {(char *)folder, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	int r;

	if (!walk)
		return err_set(err, -errno, "cannot list '%s': %s", folder, strerror(errno));
	r = walk_all(walk, strlen(folder), visitor, err);
	(void)fts_close(walk);
	return r;
}

/* --- copying --------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to)
{
	cleanup_free uint8_t *chunk = malloc(COPY_CHUNK);

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(from, chunk, COPY_CHUNK);
		int r;

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : file_write_all(to, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
}

/* Permissions in the guest do not depend on the umask of who built. */
static mode_t mode_of(const struct stat *st)
{
	return S_ISDIR(st->st_mode) || (st->st_mode & 0111) ? 0755 : 0644;
}

static int copy_file(int from, const struct stat *st, const char *path)
{
	cleanup_fd int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (to < 0 || fchmod(to, mode_of(st)) < 0)
		return -errno;
	return copy_bytes(from, to);
}

static int copy_link(const char *from, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlink(target, path) < 0 ? -errno : 0;
}

static int make_folder(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return chmod(path, 0755) < 0 ? -errno : 0;
}

static int copy_regular(const char *from, const char *path)
{
	cleanup_fd int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? copy_file(fd, &st, path) : -ESTALE;
}

static int visit_copy(const struct visitor *visitor, const FTSENT *entry, const char *path,
		      struct err *err)
{
	cleanup_free char *to = NULL;
	int r;

	if (asprintf(&to, "%s/%s", visitor->to, path) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (entry->fts_info == FTS_D)
		r = make_folder(to);
	else if (entry->fts_info == FTS_F)
		r = copy_regular(entry->fts_accpath, to);
	else
		r = copy_link(entry->fts_accpath, to);
	return r < 0 ? err_set(err, r, "cannot copy '%s': %s", entry->fts_path, strerror(-r)) : 0;
}

int file_tree_copy(const char *from, const char *to, struct err *err)
{
	const struct visitor visitor = {.visit = visit_copy, .to = to};

	return tree_walk(from, &visitor, err);
}

/* The folders above an item, which is allowed: it has no "..". */
static int make_parents(char *path, size_t from)
{
	int r = 0;

	for (size_t i = from; r == 0 && path[i]; i++) {
		if (path[i] != '/')
			continue;
		path[i] = '\0';
		r = make_folder(path);
		path[i] = '/';
	}
	return r;
}

static int open_beneath(const char *folder, const char *item)
{
	cleanup_fd int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if (root < 0)
		return -errno;
	fd = syscall(SYS_openat2, root, item, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int copy_opened(int fd, const char *item, const char *path, struct err *err)
{
	char source[32];
	struct stat st;
	int r = fstat(fd, &st) < 0 ? -errno : 0;

	if (r == 0 && S_ISDIR(st.st_mode)) {
		r = make_folder(path);
		(void)snprintf(source, sizeof(source), "/proc/self/fd/%d/.", fd);
		return r < 0 ? err_set(err, r, "cannot make '%s': %s", path, strerror(-r))
			     : file_tree_copy(source, path, err);
	}
	if (r == 0)
		r = !S_ISREG(st.st_mode)	  ? -EINVAL :
		    st.st_size > FILE_TREE_MAX_BYTES ? -EFBIG :
						  copy_file(fd, &st, path);
	return r < 0 ? err_set(err, r, "cannot copy '%s': %s", item, strerror(-r)) : 0;
}

int file_tree_copy_item(const char *from, const char *item, const char *to, struct err *err)
{
	cleanup_fd int fd = open_beneath(from, item);
	cleanup_free char *path = NULL;
	int r;

	if (fd < 0)
		return err_set(err, fd, "cannot read '%s' in '%s': %s", item, from,
			       fd == -EXDEV ? "a link leads out of the folder" : strerror(-fd));
	if (asprintf(&path, "%s/%s", to, item) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = make_parents(path, strlen(to) + 1);
	if (r < 0)
		return err_set(err, r, "cannot make a folder for '%s': %s", path, strerror(-r));
	return copy_opened(fd, item, path, err);
}

/* --- digesting ------------------------------------------------------------------------------- */

static void update_text(const struct visitor *visitor, const char *text)
{
	visitor->update(visitor->context, text, strlen(text) + 1);
}

static int digest_bytes(const struct visitor *visitor, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free uint8_t *chunk = malloc(COPY_CHUNK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (!chunk)
		return -ENOMEM;
	while ((n = read(fd, chunk, COPY_CHUNK)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			visitor->update(visitor->context, chunk, (size_t)n);
	}
	return 0;
}

static int digest_contents(const struct visitor *visitor, const FTSENT *entry)
{
	char target[PATH_MAX];
	ssize_t n;

	if (entry->fts_info == FTS_F)
		return digest_bytes(visitor, entry->fts_accpath);
	if (entry->fts_info == FTS_D)
		return 0;
	n = readlink(entry->fts_accpath, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	update_text(visitor, target);
	return 0;
}

/* The length stands before the bytes, so that no two trees look alike. */
static int visit_digest(const struct visitor *visitor, const FTSENT *entry, const char *path,
			struct err *err)
{
	const struct stat *st = entry->fts_statp;
	char head[64];
	int r;

	(void)snprintf(head, sizeof(head), "%o %o %lld", st->st_mode & S_IFMT, mode_of(st),
		       entry->fts_info == FTS_F ? (long long)st->st_size : 0);
	update_text(visitor, path);
	update_text(visitor, head);
	r = digest_contents(visitor, entry);
	return r < 0 ? err_set(err, r, "cannot read '%s': %s", entry->fts_path, strerror(-r)) : 0;
}

int file_tree_digest(const char *folder,
		     void (*update)(void *context, const void *data, size_t bytes),
		     void *context, struct err *err)
{
	const struct visitor visitor = {
		.visit = visit_digest,
		.update = update,
		.context = context,
	};

	return tree_walk(folder, &visitor, err);
}

/* --- removing -------------------------------------------------------------------------------- */

int file_tree_remove(const char *folder, struct err *err)
{
	char *roots[] = {(char *)folder, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int r = 0;

	if (!walk)
		return err_set(err, -errno, "cannot list '%s': %s", folder, strerror(errno));
	while ((entry = fts_read(walk))) {
		if (entry->fts_info == FTS_D)
			continue;
		if (unlinkat(AT_FDCWD, entry->fts_accpath,
			     entry->fts_info == FTS_DP ? AT_REMOVEDIR : 0) < 0 && r == 0)
			r = err_set(err, -errno, "cannot remove '%s': %s", entry->fts_path,
				    strerror(errno));
	}
	(void)fts_close(walk);
	return r;
}
