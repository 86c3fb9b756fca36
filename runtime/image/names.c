/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: one symbolic link each, in the store's folder "names", whose text is the id and
 * leads nowhere. A link is made in a workspace and moved in one step, and needs no lock. "/" is
 * written as "%", which names do not have (image_name_is_valid).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "image_priv.h"

#define FRESH_NAME "name"

static int names_open(const struct image_store *store)
{
	int fd = openat(store->fd, STORE_NAMES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void exchange(char *to, const char *from, char old, char new)
{
	do
		*to++ = (char)(*from == old ? new : *from);
	while (*from++);
}

static bool read_id(int fd, const char *file, char ret_id[IMAGE_ID_BYTES])
{
	char text[IMAGE_ID_BYTES + 1];
	const ssize_t n = readlinkat(fd, file, text, sizeof(text));

	if (n != IMAGE_ID_BYTES - 1)
		return false;
	memcpy(ret_id, text, IMAGE_ID_BYTES - 1);
	ret_id[IMAGE_ID_BYTES - 1] = '\0';
	return true;
}

int names_set(struct image_store *store, const struct workspace *workspace, const char *name,
	      const char *id, struct err *err)
{
	cleanup_fd int fd = names_open(store);
	char file[IMAGE_NAME_BYTES];
	int r = fd < 0 ? fd : 0;

	exchange(file, name, '/', '%');
	if (r == 0 && (symlinkat(id, workspace->fd, FRESH_NAME) < 0 ||
		       renameat(workspace->fd, FRESH_NAME, fd, file) < 0 || fsync(fd) < 0))
		r = -errno;
	return r < 0 ? err_set(err, r, "cannot give the image the name '%s': %s", name,
			       strerror(-r))
		     : 0;
}

int names_get(struct image_store *store, const char *name, char ret_id[IMAGE_ID_BYTES])
{
	cleanup_fd int fd = names_open(store);
	char file[IMAGE_NAME_BYTES];

	if (fd < 0 || !image_name_is_valid(name))
		return fd < 0 ? fd : -ENOENT;
	exchange(file, name, '/', '%');
	return read_id(fd, file, ret_id) ? 0 : -ENOENT;
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct name_row *)a)->name, ((const struct name_row *)b)->name);
}

static int add_row(struct name_row **rows, size_t *count, int fd, const char *file)
{
	struct name_row row, *more;

	if (strlen(file) >= IMAGE_NAME_BYTES || !read_id(fd, file, row.id))
		return 0;
	exchange(row.name, file, '%', '/');
	if (!image_name_is_valid(row.name))
		return 0;
	more = reallocarray(*rows, *count + 1, sizeof(row));
	if (!more)
		return -ENOMEM;
	*rows = more;
	more[(*count)++] = row;
	return 0;
}

int names_list(struct image_store *store, struct name_row **ret_rows, size_t *ret_count,
	       struct err *err)
{
	int fd = names_open(store), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct name_row *rows = NULL;
	struct dirent *entry;
	size_t count = 0;

	if (!dir) {
		(void)fd_close(fd);
		return err_set(err, fd < 0 ? fd : -errno, "cannot read the names in '%s'",
			       store->folder);
	}
	while (r == 0 && (entry = readdir(dir)))
		r = add_row(&rows, &count, dirfd(dir), entry->d_name);
	(void)closedir(dir);
	if (r < 0) {
		free(rows);
		return err_set(err, r, "out of memory");
	}
	if (count > 0)
		qsort(rows, count, sizeof(*rows), compare_rows);
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}

int names_remove(struct image_store *store, const char *id, struct err *err)
{
	cleanup_free struct name_row *rows = NULL;
	cleanup_fd int fd = names_open(store);
	char file[IMAGE_NAME_BYTES];
	size_t count = 0;
	int r = names_list(store, &rows, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (strcmp(rows[i].id, id) != 0)
			continue;
		exchange(file, rows[i].name, '/', '%');
		if (unlinkat(fd, file, 0) < 0 && errno != ENOENT)
			r = err_set(err, -errno, "cannot remove the name '%s': %s", rows[i].name,
				    strerror(errno));
	}
	return r;
}
