/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding, listing and removing templates.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define MANIFEST_FILE "manifest.json"

static void cleanup_dir_p(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}
#define cleanup_dir __attribute__((cleanup(cleanup_dir_p)))

static bool is_path(const char *name)
{
	return strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int store_folder(const struct paths *paths, const char *name_or_path, char **ret_folder,
		 struct err *err)
{
	char *folder;

	if (is_path(name_or_path)) {
		folder = strdup(name_or_path);
	} else {
		int r = name_check(name_or_path, err);

		if (r < 0)
			return r;
		folder = paths_in_home(paths, TEMPLATES_FOLDER, name_or_path);
	}
	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_folder = folder;
	return 0;
}

/* The manifest is what makes a folder a template: it is written last. */
static int check_committed(const char *name, const char *folder, struct err *err)
{
	cleanup_free char *manifest = NULL;

	if (asprintf(&manifest, "%s/" MANIFEST_FILE, folder) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (access(manifest, F_OK) == 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(err, -ENOENT, "no template '%s': there is no '%s'", name, manifest);
	return err_set(err, -errno, "cannot look at '%s': %s", manifest, strerror(errno));
}

int store_open(const struct paths *paths, const char *name_or_path, struct template **ret_template,
	       struct err *err)
{
	cleanup_free char *folder = NULL;
	int r;

	r = store_folder(paths, name_or_path, &folder, err);
	if (r == 0)
		r = check_committed(name_or_path, folder, err);
	if (r < 0)
		return r;
	r = template_open(ret_template, folder, err);
	if (r == -ENOENT && err)
		err->code = -EBADMSG;
	return r == -ENOENT ? -EBADMSG : r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct store_names *names, const char *name)
{
	char **items = reallocarray(names->items, names->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	names->items = items;
	items[names->count] = strdup(name);
	return items[names->count++] ? 0 : -ENOMEM;
}

int store_list(const struct paths *paths, struct store_names *ret_names, struct err *err)
{
	return store_list_in(paths, TEMPLATES_FOLDER, ret_names, err);
}

int store_list_in(const struct paths *paths, const char *below, struct store_names *ret_names,
		  struct err *err)
{
	cleanup_free char *folder = paths_in_home(paths, below, NULL);
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r = 0;

	*ret_names = (struct store_names){0};
	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	dir = opendir(folder);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(err, -errno, "cannot read '%s': %s", folder, strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		if (name_is_valid(entry->d_name))
			r = add_name(ret_names, entry->d_name);
	if (r < 0) {
		store_names_done(ret_names);
		return err_set(err, r, "out of memory");
	}
	if (ret_names->count > 0)
		qsort(ret_names->items, ret_names->count, sizeof(char *), compare_names);
	return 0;
}

void store_names_done(struct store_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct store_names){0};
}

int folder_remove(const char *folder, struct err *err)
{
	cleanup_dir DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return err_set(err, -errno, "cannot read '%s': %s", folder, strerror(errno));
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			return err_set(err, -errno, "cannot remove '%s/%s': %s", folder,
				       entry->d_name, strerror(errno));
	}
	return rmdir(folder) < 0 ? err_set(err, -errno, "cannot remove '%s': %s", folder,
					   strerror(errno))
				 : 0;
}

int store_remove(const struct paths *paths, const char *name, struct err *err)
{
	cleanup_free char *folder = NULL, *gone = NULL;
	int r = name_check(name, err);

	if (r < 0)
		return r;
	folder = paths_in_home(paths, TEMPLATES_FOLDER, name);
	if (!folder || asprintf(&gone, "%s/" TEMPLATES_FOLDER "/.%s.%d", paths->home, name,
				(int)getpid()) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (rename(folder, gone) < 0)
		return err_set(err, -errno,
			       errno == ENOENT ? "no template '%s'" : "cannot remove template '%s'",
			       name);
	return folder_remove(gone, err);
}

uint64_t folder_disk_bytes(const char *folder)
{
	cleanup_dir DIR *dir = opendir(folder);
	struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_nlink == 1)
			bytes += (uint64_t)st.st_blocks * 512;
	return bytes;
}
