/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the manifests of templates and bases.
 */
#include "usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calibration.h"
#include "cleanup.h"
#include "store.h"

static bool same_digest(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

static bool same_file(const struct snapshot_file *a, const struct snapshot_file *b)
{
	return a->name[0] && b->name[0] && same_digest(a->digest, b->digest);
}

bool file_is_image(const struct snapshot_file *file, const struct image *image)
{
	return file->name[0] && file->bytes == image->root_bytes &&
	       same_digest(file->digest, image->root_digest);
}

static void read_template(const struct paths *paths, char *name, struct usage_template *ret_row)
{
	cleanup_template struct template *template = NULL;

	*ret_row = (struct usage_template){.name = name, .refused = true};
	if (store_open(paths, name, &template, NULL) < 0)
		return;
	ret_row->refused = false;
	ret_row->base = template_manifest(template)->base;
	ret_row->image = template_manifest(template)->image;
}

/* A base's memory layer is linked into its calibration, and goes with it: not shared for that. */
static uint64_t linked_bytes(const char *folder, const struct snapshot_file *memory)
{
	cleanup_free char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", folder, memory->name) < 0 || stat(path, &st) < 0)
		return 0;
	return st.st_nlink == 2 ? (uint64_t)st.st_blocks * 512 : 0;
}

static uint64_t calibration_bytes(const char *folder, const struct snapshot_file *memory)
{
	cleanup_free char *below = NULL;
	struct stat st;

	if (asprintf(&below, "%s/" CALIBRATION_NAME, folder) < 0 || stat(below, &st) < 0)
		return 0;
	return folder_disk_bytes(below) + linked_bytes(folder, memory);
}

static int read_base(const struct paths *paths, char *name, struct usage_base *ret_row)
{
	cleanup_template struct template *template = NULL;
	cleanup_free char *folder = paths_in_home(paths, BASES_FOLDER, name);

	*ret_row = (struct usage_base){.name = name, .refused = true};
	if (!folder)
		return -ENOMEM;
	ret_row->disk_bytes = folder_disk_bytes(folder);
	if (template_open(&template, folder, NULL) < 0)
		return 0;
	ret_row->refused = false;
	ret_row->memory = template_manifest(template)->memory;
	ret_row->disk_bytes += calibration_bytes(folder, &ret_row->memory);
	return 0;
}

static int read_templates(const struct paths *paths, struct usage *usage, struct err *err)
{
	struct store_names names = {0};
	int r = store_list(paths, &names, err);

	if (r < 0)
		return r;
	usage->templates = calloc(names.count + 1, sizeof(*usage->templates));
	for (size_t i = 0; usage->templates && i < names.count; i++)
		read_template(paths, TAKE_PTR(names.items[i]),
			      &usage->templates[usage->template_count++]);
	store_names_done(&names);
	return usage->templates ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int read_bases(const struct paths *paths, struct usage *usage, struct err *err)
{
	struct store_names names = {0};
	int r = store_list_in(paths, BASES_FOLDER, &names, err);

	if (r < 0)
		return r;
	usage->bases = calloc(names.count + 1, sizeof(*usage->bases));
	if (!usage->bases)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = read_base(paths, TAKE_PTR(names.items[i]), &usage->bases[usage->base_count++]);
	store_names_done(&names);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

static void count_users(struct usage *usage)
{
	for (size_t b = 0; b < usage->base_count; b++)
		for (size_t t = 0; t < usage->template_count; t++)
			if (same_file(&usage->bases[b].memory, &usage->templates[t].base))
				usage->bases[b].users++;
}

int usage_read(const struct paths *paths, struct usage *ret_usage, struct err *err)
{
	cleanup_usage struct usage usage = {0};
	int r = read_templates(paths, &usage, err);

	if (r == 0)
		r = read_bases(paths, &usage, err);
	if (r < 0)
		return r;
	count_users(&usage);
	*ret_usage = usage;
	usage = (struct usage){0};
	return 0;
}

void usage_done(struct usage *usage)
{
	for (size_t i = 0; i < usage->template_count; i++)
		free(usage->templates[i].name);
	for (size_t i = 0; i < usage->base_count; i++)
		free(usage->bases[i].name);
	free(usage->templates);
	free(usage->bases);
	*usage = (struct usage){0};
}

const struct usage_base *usage_base_of(const struct usage *usage, const struct snapshot_file *file)
{
	for (size_t i = 0; i < usage->base_count; i++)
		if (same_file(&usage->bases[i].memory, file))
			return &usage->bases[i];
	return NULL;
}

unsigned int usage_image_users(const struct usage *usage, const struct image *image)
{
	unsigned int users = 0;

	for (size_t i = 0; i < usage->template_count; i++)
		users += file_is_image(&usage->templates[i].image, image);
	return users;
}
