/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whiteouts: image-spec's layer.md, "Whiteouts".
 *
 * They hide what lower layers have, never what their own layer has, wherever in the layer they
 * stand. So the present layer's entries are marked, by folder and name, not by path: two paths may
 * lead to one folder. A folder goes when nothing is left in it and it is not marked itself.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include "image_priv.h"

enum { MARKS_FIRST = 1024 };

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define VISITS_PER_ENTRY 16 /* the most that opaque folders in folders may look at */

static void key_of(ino_t folder, const char *name, uint64_t key[2])
{
	const size_t bytes = strnlen(name, NAME_MAX);
	uint8_t pair[sizeof(folder) + NAME_MAX];
	XXH128_hash_t hash;

	memcpy(pair, &folder, sizeof(folder));
	memcpy(pair + sizeof(folder), name, bytes);
	hash = XXH3_128bits(pair, sizeof(folder) + bytes);
	key[0] = hash.low64 | 1; /* an empty slot is zero */
	key[1] = hash.high64;
}

/* The key's slot, or the empty one where it belongs. */
static uint64_t *slot_of(const struct marks *marks, const uint64_t key[2])
{
	size_t i = (size_t)key[1] & (marks->size - 1);

	while (marks->slots[i][0] &&
	       (marks->slots[i][0] != key[0] || marks->slots[i][1] != key[1]))
		i = (i + 1) & (marks->size - 1);
	return marks->slots[i];
}

static int marks_grow(struct marks *marks)
{
	struct marks more = { .size = marks->size ? marks->size * 2 : MARKS_FIRST };

	more.slots = calloc(more.size, sizeof(*more.slots));
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; i < marks->size; i++)
		if (marks->slots[i][0])
			memcpy(slot_of(&more, marks->slots[i]), marks->slots[i],
			       sizeof(*marks->slots));
	more.used = marks->used;
	free(marks->slots);
	*marks = more;
	return 0;
}

int marks_add(struct marks *marks, ino_t folder, const char *name)
{
	uint64_t key[2], *slot;
	int r = marks->used >= marks->size / 2 ? marks_grow(marks) : 0;

	if (r < 0)
		return r;
	key_of(folder, name, key);
	slot = slot_of(marks, key);
	if (!slot[0]) {
		memcpy(slot, key, sizeof(key));
		marks->used++;
	}
	return 0;
}

bool marks_have(const struct marks *marks, ino_t folder, const char *name)
{
	uint64_t key[2];

	if (marks->used == 0)
		return false;
	key_of(folder, name, key);
	return slot_of(marks, key)[0] != 0;
}

void marks_clear(struct marks *marks)
{
	if (marks->used > 0)
		memset(marks->slots, 0, marks->size * sizeof(*marks->slots));
	marks->used = 0;
}

void marks_done(struct marks *marks)
{
	free(marks->slots);
	*marks = (struct marks){ 0 };
}

static int sweep(struct unpack *unpack, DIR *dir, int depth, struct err *err);

static int sweep_child(struct unpack *unpack, int folder_fd, const char *name, int depth,
		       struct err *err)
{
	cleanup_fd int fd = openat(folder_fd, name, FOLDER_FLAGS);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r;

	if (!dir)
		return err_set(err, -errno, "cannot read '%s': %s", SHOWN(name), strerror(errno));
	TAKE_FD(fd);
	r = sweep(unpack, dir, depth + 1, err);
	(void)closedir(dir);
	return r;
}

/* `folder` is the inode of folder_fd. */
static int hide(struct unpack *unpack, int folder_fd, ino_t folder, const char *name, int depth,
		struct err *err)
{
	const bool kept = marks_have(&unpack->marks, folder, name);
	struct stat st;
	int r = 0;

	if (++unpack->visits > unpack->limits.entries * VISITS_PER_ENTRY)
		return err_set(err, -EFBIG, "whiteouts hide more than %llu entries",
			       (unsigned long long)unpack->limits.entries * VISITS_PER_ENTRY);
	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : err_set(err, -errno, "cannot look at '%s': %s",
						 SHOWN(name), strerror(errno));
	if (S_ISDIR(st.st_mode))
		r = sweep_child(unpack, folder_fd, name, depth, err);
	if (r < 0 || kept)
		return r;
	if (unlinkat(folder_fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 &&
	    errno != ENOTEMPTY && errno != EEXIST)
		return err_set(err, -errno, "cannot remove '%s': %s", SHOWN(name),
			       strerror(errno));
	return 0;
}

static int sweep(struct unpack *unpack, DIR *dir, int depth, struct err *err)
{
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (depth > NESTING_MAX)
		return err_set(err, -EFBIG, "folders nest deeper than %d", NESTING_MAX);
	if (fstat(dirfd(dir), &st) < 0)
		return err_set(err, -errno, "cannot look at a folder: %s", strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = hide(unpack, dirfd(dir), st.st_ino, entry->d_name, depth, err);
	return r;
}

int whiteout_name(struct unpack *unpack, int parent_fd, const char *name, struct err *err)
{
	struct stat st;

	if (fstat(parent_fd, &st) < 0)
		return err_set(err, -errno, "cannot look at a folder: %s", strerror(errno));
	return hide(unpack, parent_fd, st.st_ino, name, 0, err);
}

int whiteout_folder(struct unpack *unpack, int folder_fd, struct err *err)
{
	return sweep_child(unpack, folder_fd, ".", 0, err);
}
