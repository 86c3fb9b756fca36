/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: folders sha256-ID with a root and its record, links in names/, a lock, workspaces.
 *
 * A folder comes into being and goes by one rename, whole. Nothing in it ever changes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "image_priv.h"

enum { ID_DIGITS = IMAGE_ID_BYTES - 1, ID_PREFIX_LEAST = 12, FOLDER_BYTES = 80 };

#define HEX "0123456789abcdef"
#define GONE_FOLDER "gone"

static int make_folder(int parent_fd, const char *path, struct err *err)
{
	if (mkdirat(parent_fd, path, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make the folder '%s': %s", path,
			       strerror(errno));
	return 0;
}

int image_store_open(struct image_store **ret_store, const char *folder, struct err *err)
{
	cleanup_image_store struct image_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_set(err, -ENOMEM, "out of memory");
	store->fd = -1;
	store->folder = strdup(folder);
	if (!store->folder)
		return err_set(err, -ENOMEM, "out of memory");
	r = make_folder(AT_FDCWD, folder, err);
	if (r < 0)
		return r;
	store->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", folder, strerror(errno));
	r = make_folder(store->fd, STORE_NAMES, err);
	if (r < 0)
		return r;
	*ret_store = TAKE_PTR(store);
	return 0;
}

struct image_store *image_store_free(struct image_store *store)
{
	if (!store)
		return NULL;
	(void)fd_close(store->fd);
	free(store->folder);
	free(store);
	return NULL;
}

bool store_folder_is_image(const char *entry)
{
	const size_t head = strlen(STORE_ID_HEAD);

	return strncmp(entry, STORE_ID_HEAD, head) == 0 &&
	       strspn(entry + head, HEX) == ID_DIGITS && !entry[head + ID_DIGITS];
}

static void folder_of(const char *id, char folder[FOLDER_BYTES])
{
	(void)snprintf(folder, FOLDER_BYTES, STORE_ID_HEAD "%s", id);
}

static int check_root(const struct image *image, const char *id, struct err *err)
{
	struct stat st;

	if (strcmp(image->id, id) != 0)
		return err_set(err, -EBADMSG, "it is the record of another image");
	if (stat(image->root_path, &st) < 0)
		return err_set(err, errno == ENOENT ? -EBADMSG : -errno, "cannot look at '%s': %s",
			       image->root_path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != image->root_bytes)
		return err_set(err, -EBADMSG, "'%s' is damaged", image->root_path);
	return 0;
}

int store_load(struct image_store *store, const char *id, struct image **ret_image,
	       struct err *err)
{
	cleanup_image struct image *image = NULL;
	cleanup_free char *path = NULL;
	cleanup_free uint8_t *text = NULL;
	char folder[FOLDER_BYTES];
	cleanup_fd int fd = -1;
	size_t bytes = 0;
	int r;

	folder_of(id, folder);
	fd = openat(store->fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, errno == ENOENT ? "no image %.12s"
							     : "cannot open the image %.12s", id);
	if (asprintf(&path, "%s/%s", store->folder, folder) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	r = file_read_in(fd, RECORD_FILE, &text, &bytes, err);
	if (r == 0)
		r = image_json_decode((const char *)text, bytes, path, &image, err);
	if (r == 0)
		r = check_root(image, id, err);
	if (r < 0)
		return err_prefix(err, r, "image %.12s", id);
	*ret_image = TAKE_PTR(image);
	return 0;
}

/* Moves an image's folder into a workspace, which takes it away. */
static int store_take_out(struct image_store *store, const char *id, struct err *err)
{
	cleanup_workspace struct workspace workspace = { .fd = -1 };
	char folder[FOLDER_BYTES];
	int r = workspace_init(&workspace, store, err);

	if (r < 0)
		return r;
	folder_of(id, folder);
	if (renameat(store->fd, folder, workspace.fd, GONE_FOLDER) < 0)
		return err_set(err, -errno, "cannot remove the image %.12s: %s", id,
			       strerror(errno));
	(void)fsync(store->fd);
	return 0;
}

static int move_in(struct image_store *store, const struct workspace *workspace,
		   const char *folder, const char *target, bool replace)
{
	if (renameat2(workspace->fd, folder, store->fd, target, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST && errno != ENOTEMPTY)
		return -errno;
	/* Somebody was faster, and has the same; or what is there is to go: then with ours. */
	if (replace &&
	    renameat2(workspace->fd, folder, store->fd, target, RENAME_EXCHANGE) < 0)
		return -errno;
	return 0;
}

int store_commit(struct image_store *store, struct workspace *workspace, const char *folder,
		 const char *id, bool replace, struct err *err)
{
	cleanup_fd int fd = openat(workspace->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char target[FOLDER_BYTES];
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	folder_of(id, target);
	if (r == 0)
		r = move_in(store, workspace, folder, target, replace);
	if (r == 0 && fsync(store->fd) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "cannot commit the image to '%s': %s", store->folder,
			       strerror(-r))
		     : 0;
}

struct ids {
	char (*items)[IMAGE_ID_BYTES]; /* owned */
	size_t count;
};

static void ids_done(struct ids *ids)
{
	free(ids->items);
}
#define cleanup_ids __attribute__((cleanup(ids_done)))

static int ids_add(struct ids *ids, const char *id)
{
	char (*more)[IMAGE_ID_BYTES] = reallocarray(ids->items, ids->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	ids->items = more;
	memcpy(more[ids->count++], id, IMAGE_ID_BYTES);
	return 0;
}

/* All images whose id begins with `prefix`. */
static int ids_list(const struct image_store *store, const char *prefix, struct ids *ids,
		    struct err *err)
{
	const size_t head = strlen(STORE_ID_HEAD);
	int fd = openat(store->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		r = -errno;
		(void)fd_close(fd);
		return err_set(err, r, "cannot read '%s': %s", store->folder, strerror(-r));
	}
	while (r == 0 && (entry = readdir(dir)))
		if (store_folder_is_image(entry->d_name) &&
		    strncmp(entry->d_name + head, prefix, strlen(prefix)) == 0)
			r = ids_add(ids, entry->d_name + head);
	(void)closedir(dir);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

static bool is_id_prefix(const char *text)
{
	const size_t digits = strspn(text, HEX);

	return !text[digits] && digits >= ID_PREFIX_LEAST && digits <= ID_DIGITS;
}

/* An id goes before a name: names come out of images, and must not hide another image. */
static int find(struct image_store *store, const char *text, char ret_id[IMAGE_ID_BYTES],
		struct err *err)
{
	cleanup_ids struct ids ids = { NULL, 0 };
	const char *bare = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	int r = is_id_prefix(bare) ? ids_list(store, bare, &ids, err) : 0;

	if (r < 0)
		return r;
	if (ids.count > 1)
		return err_set(err, -EINVAL, "more than one image's id begins with '%s'", bare);
	if (ids.count == 1) {
		memcpy(ret_id, ids.items[0], IMAGE_ID_BYTES);
		return 0;
	}
	r = names_get(store, text, ret_id);
	return r < 0 ? err_set(err, r, "no image '%s'", SHOWN(text)) : 0;
}

/* The first of its names, when it has one. */
static int take_name(struct image_store *store, struct image *image, struct err *err)
{
	cleanup_free struct name_row *rows = NULL;
	size_t count = 0;
	int r = names_list(store, &rows, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (strcmp(rows[i].id, image->id) == 0) {
			image_name_set(image->name, rows[i].name);
			break;
		}
	return r;
}

int image_open(struct image_store *store, const char *id_or_name, struct image **ret_image,
	       struct err *err)
{
	cleanup_image struct image *image = NULL;
	char id[IMAGE_ID_BYTES], named[IMAGE_ID_BYTES] = "";
	int r = find(store, id_or_name, id, err);

	if (r == 0)
		r = store_load(store, id, &image, err);
	if (r < 0)
		return r;
	if (names_get(store, id_or_name, named) == 0 && strcmp(named, id) == 0)
		image_name_set(image->name, id_or_name);
	else
		r = take_name(store, image, err);
	if (r == 0)
		*ret_image = TAKE_PTR(image);
	return r;
}

struct list {
	struct image **items; /* owned */
	size_t count;
};

static void list_done(struct list *list)
{
	image_list_free(list->items, list->count);
}
#define cleanup_list __attribute__((cleanup(list_done)))

static int list_add(struct image_store *store, struct list *list, const char *id, const char *name)
{
	cleanup_image struct image *image = NULL;
	struct image **more;
	int r = store_load(store, id, &image, NULL);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	image_name_set(image->name, name);
	more = reallocarray(list->items, list->count + 1, sizeof(struct image *));
	if (!more)
		return -ENOMEM;
	list->items = more;
	more[list->count++] = TAKE_PTR(image);
	return 0;
}

static int list_all_names(struct image_store *store, struct list *list, const char *id,
			  const struct name_row *rows, size_t row_count)
{
	bool named = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < row_count; i++)
		if (strcmp(rows[i].id, id) == 0) {
			r = list_add(store, list, id, rows[i].name);
			named = true;
		}
	return r < 0 || named ? r : list_add(store, list, id, "");
}

static int compare_images(const void *a, const void *b)
{
	const struct image *one = *(struct image *const *)a, *two = *(struct image *const *)b;
	const int r = strcmp(one->name, two->name);

	return r != 0 ? r : strcmp(one->id, two->id);
}

int image_list(struct image_store *store, struct image ***ret_images, size_t *ret_count,
	       struct err *err)
{
	cleanup_free struct name_row *rows = NULL;
	cleanup_list struct list list = { NULL, 0 };
	cleanup_ids struct ids ids = { NULL, 0 };
	size_t row_count = 0;
	int r = names_list(store, &rows, &row_count, err);

	if (r == 0)
		r = ids_list(store, "", &ids, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ids.count; i++)
		r = list_all_names(store, &list, ids.items[i], rows, row_count);
	if (r < 0)
		return err_set(err, r, "out of memory");
	if (list.count > 0)
		qsort(list.items, list.count, sizeof(struct image *), compare_images);
	*ret_count = list.count;
	*ret_images = TAKE_PTR(list.items);
	list.count = 0;
	return 0;
}

int image_remove(struct image_store *store, const char *id, struct err *err)
{
	char whole[IMAGE_ID_BYTES];
	int r = find(store, id, whole, err);

	if (r == 0)
		r = store_take_out(store, whole, err);
	return r < 0 ? r : names_remove(store, whole, err);
}

/* What removing the image gives back: nothing while a template has a hard link to its root. */
static uint64_t own_bytes(const struct image *image)
{
	struct stat st;

	if (stat(image->root_path, &st) < 0 || st.st_nlink > 1)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

/* An image with several names stands in the list several times. */
static bool any_used(const struct list *list, const struct image *image,
		     bool (*used)(void *context, const struct image *image), void *context)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i]->id, image->id) == 0 && used(context, list->items[i]))
			return true;
	return false;
}

int image_prune(struct image_store *store, bool (*used)(void *context, const struct image *image),
		void *context, uint64_t *ret_freed_bytes, struct err *err)
{
	cleanup_list struct list list = { NULL, 0 };
	uint64_t freed = 0;
	int r = workspace_sweep(store, err);

	if (r == 0)
		r = image_list(store, &list.items, &list.count, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		const struct image *image = list.items[i];
		const uint64_t bytes = own_bytes(image);

		if (access(image->root_path, F_OK) < 0 || any_used(&list, image, used, context))
			continue;
		r = image_remove(store, image->id, err);
		freed += bytes;
	}
	if (r == 0 && ret_freed_bytes)
		*ret_freed_bytes = freed;
	return r;
}
