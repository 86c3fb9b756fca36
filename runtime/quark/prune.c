/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pruning.
 */
#include "prune.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "file_tree.h"
#include "lock.h"
#include "store.h"
#include "usage.h"

/* Removing and refreshing hold no lock that we could wait for, and take seconds. */
enum { LEFTOVER_AGE_S = 3600 };

struct pruning {
	const struct cli *cli;
	const struct prune_options *options;
	struct usage usage;
	uint64_t freed_bytes;
};

static void tell(struct pruning *pruning, const char *kind, const char *name, uint64_t bytes)
{
	pruning->freed_bytes += bytes;
	if (pruning->options->report)
		pruning->options->report(pruning->options->context, kind, name, bytes);
}

static int prune_templates(struct pruning *pruning, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < pruning->usage.template_count; i++) {
		const struct usage_template *template = &pruning->usage.templates[i];
		cleanup_free char *folder = paths_in_home(&pruning->cli->paths, TEMPLATES_FOLDER,
							  template->name);

		if (!template->refused)
			continue;
		if (!folder)
			return err_set(err, -ENOMEM, "out of memory");
		tell(pruning, "template", template->name, folder_disk_bytes(folder));
		if (!pruning->options->dry_run)
			r = store_remove(&pruning->cli->paths, template->name, err);
	}
	return r;
}

static int prune_bases(struct pruning *pruning, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < pruning->usage.base_count; i++) {
		const struct usage_base *base = &pruning->usage.bases[i];
		cleanup_free char *folder =
			paths_in_home(&pruning->cli->paths, BASES_FOLDER, base->name);

		if (base->users > 0)
			continue;
		if (!folder)
			return err_set(err, -ENOMEM, "out of memory");
		tell(pruning, "base", base->name, base->disk_bytes);
		if (!pruning->options->dry_run)
			r = file_tree_remove(folder, err);
	}
	return r;
}

static uint64_t file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_nlink == 1 ? (uint64_t)st.st_blocks * 512 : 0;
}

static int prune_image(struct pruning *pruning, struct image_store *store,
		       const struct image *image, struct err *err)
{
	if (usage_image_users(&pruning->usage, image) > 0)
		return 0;
	tell(pruning, "image", image->name[0] ? image->name : image->id,
	     file_bytes(image->root_path));
	return pruning->options->dry_run ? 0 : image_remove(store, image->id, err);
}

static bool image_is_used(void *context, const struct image *image)
{
	return usage_image_users(context, image) > 0;
}

/* One by one, to tell what goes; then the store removes what imports have left. */
static int prune_images(struct pruning *pruning, struct image_store *store, struct err *err)
{
	struct image **images = NULL;
	uint64_t left_bytes = 0;
	size_t count = 0;
	int r = image_list(store, &images, &count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = prune_image(pruning, store, images[i], err);
	image_list_free(images, count);
	if (r < 0 || pruning->options->dry_run)
		return r;
	r = image_prune(store, image_is_used, &pruning->usage, &left_bytes, err);
	if (r == 0 && left_bytes > 0)
		tell(pruning, "leftover", IMAGES_FOLDER, left_bytes);
	return r;
}

static bool is_old(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_mtime < time(NULL) - LEFTOVER_AGE_S;
}

/* Working folders: the lock that we hold keeps builds out. */
static bool is_work(int folder, const char *name)
{
	return strncmp(name, ".build.", strlen(".build.")) == 0 ||
	       (strncmp(name, ".refresh.", strlen(".refresh.")) == 0 && is_old(folder, name));
}

/* Templates that were being removed. */
static bool is_half_gone(int folder, const char *name)
{
	return name[0] == '.' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       is_old(folder, name);
}

static int prune_leftover(struct pruning *pruning, const char *folder, const char *name,
			  struct err *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	tell(pruning, "leftover", name, folder_disk_bytes(path));
	return pruning->options->dry_run ? 0 : file_tree_remove(path, err);
}

static int prune_leftovers(struct pruning *pruning, const char *folder,
			   bool (*is_leftover)(int folder, const char *name), struct err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return err_set(err, -errno, "cannot read '%s': %s", folder, strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		if (is_leftover(dirfd(dir), entry->d_name))
			r = prune_leftover(pruning, folder, entry->d_name, err);
	(void)closedir(dir);
	return r;
}

static int lock_below(const struct cli *cli, const char *below, int *ret_lock, struct err *err)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, below, NULL);

	return folder ? folder_lock(cli, folder, ret_lock, err)
		      : err_set(err, -ENOMEM, "out of memory");
}

static int prune_all(struct pruning *pruning, struct image_store *store, struct err *err)
{
	const struct paths *paths = &pruning->cli->paths;
	cleanup_free char *templates = paths_in_home(paths, TEMPLATES_FOLDER, NULL);
	int r = templates ? usage_read(paths, &pruning->usage, err)
			  : err_set(err, -ENOMEM, "out of memory");

	if (r == 0 && pruning->options->all)
		r = prune_templates(pruning, err);
	if (r == 0)
		r = prune_bases(pruning, err);
	if (r == 0)
		r = prune_images(pruning, store, err);
	if (r == 0)
		r = prune_leftovers(pruning, paths->home, is_work, err);
	return r == 0 ? prune_leftovers(pruning, templates, is_half_gone, err) : r;
}

int prune(const struct cli *cli, struct image_store *store, const struct prune_options *options,
	  uint64_t *ret_freed_bytes, struct err *err)
{
	struct pruning pruning = {.cli = cli, .options = options};
	cleanup_fd int templates = -1, bases = -1;
	int r;

	r = lock_below(cli, TEMPLATES_FOLDER, &templates, err);
	if (r == 0)
		r = lock_below(cli, BASES_FOLDER, &bases, err);
	if (r == 0)
		r = prune_all(&pruning, store, err);
	usage_done(&pruning.usage);
	if (r == 0)
		*ret_freed_bytes = pruning.freed_bytes;
	return r;
}
