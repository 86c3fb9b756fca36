/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of builds.
 */
#include "build_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "progress.h"

#define LAYOUT_FILE "oci-layout"

enum source_kind { SOURCE_NOTHING, SOURCE_ARCHIVE, SOURCE_LAYOUT, SOURCE_FOLDER };

static enum source_kind kind_of_folder(const char *folder)
{
	cleanup_free char *file = NULL;
	struct stat st;

	if (asprintf(&file, "%s/" LAYOUT_FILE, folder) < 0)
		return SOURCE_NOTHING;
	return stat(file, &st) == 0 ? SOURCE_LAYOUT : SOURCE_FOLDER;
}

static enum source_kind kind_of(const char *path)
{
	const char *colon = strrchr(path, ':');
	cleanup_free char *layout = NULL;
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? kind_of_folder(path) : SOURCE_ARCHIVE;
	if (!colon || strchr(colon, '/'))
		return SOURCE_NOTHING;
	layout = strndup(path, (size_t)(colon - path));
	if (!layout || stat(layout, &st) < 0 || !S_ISDIR(st.st_mode))
		return SOURCE_NOTHING;
	return kind_of_folder(layout) == SOURCE_LAYOUT ? SOURCE_LAYOUT : SOURCE_NOTHING;
}

/* Neither a name of an image nor a reference begins so. */
static bool looks_like_path(const char *text)
{
	return text[0] == '/' || text[0] == '.' || text[0] == '~' || text[0] == '\0';
}

static int refuse_path(const char *source, struct err *err)
{
	return err_set(err, -ENOENT, "there is no folder or file '%s'", source);
}

int source_is_image(const char *source, bool *ret_is_image, struct err *err)
{
	const enum source_kind kind = kind_of(source);

	if (kind == SOURCE_NOTHING && looks_like_path(source))
		return refuse_path(source, err);
	*ret_is_image = kind != SOURCE_FOLDER;
	return 0;
}

bool reference_is_loopback(const char *reference)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const size_t n = strlen(hosts[i]);

		if (strncmp(reference, hosts[i], n) == 0 &&
		    (reference[n] == ':' || reference[n] == '/'))
			return true;
	}
	return false;
}

int images_open(const struct cli *cli, struct image_store **ret_store, struct err *err)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, IMAGES_FOLDER, NULL);
	int r;

	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	r = make_folders(folder, err);
	return r < 0 ? r : image_store_open(ret_store, folder, err);
}

static void say_step(void *context, const char *what)
{
	const struct cli *cli = context;

	if (cli->verbose)
		cli_say(cli, "%s", what);
}

int source_import(const struct cli *cli, struct image_store *store, const char *source,
		  const struct source_options *options, struct image **ret_image, struct err *err)
{
	const struct image_import_options import = {
		.progress = say_step,
		.context = (void *)cli,
		.insecure_registry = options->insecure_registry || reference_is_loopback(source),
		.force = options->force,
	};
	struct progress progress;
	int r;

	if (kind_of(source) == SOURCE_FOLDER)
		return err_set(err, -EINVAL, "the folder '%s' has no file '" LAYOUT_FILE "'",
			       source);
	if (kind_of(source) == SOURCE_NOTHING && looks_like_path(source))
		return refuse_path(source, err);
	progress_begin(&progress, "importing the image", cli->quiet);
	r = image_import(store, source, &import, ret_image, err);
	progress_end(&progress);
	return r;
}

int source_stored(struct image_store *store, const char *name, struct image **ret_image,
		  struct err *err)
{
	const char *last = strrchr(name, '/');
	cleanup_free char *latest = NULL;
	int r = image_open(store, name, ret_image, err);

	if (r != -ENOENT || strpbrk(last ? last : name, ":@"))
		return r;
	if (asprintf(&latest, "%s:latest", name) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return image_open(store, latest, ret_image, err);
}

/* A fresh path of `source` as seen from `folder`. */
static char *seen_from(const char *folder, const char *source)
{
	char *path;

	if (!folder || source[0] == '/')
		return strdup(source);
	return asprintf(&path, "%s/%s", folder, source) < 0 ? NULL : path;
}

int source_image(const struct cli *cli, struct image_store *store, const char *source,
		 const char *folder, const struct source_options *options,
		 struct image **ret_image, struct err *err)
{
	cleanup_free char *path = seen_from(folder, source);
	int r;

	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	if (kind_of(path) != SOURCE_NOTHING)
		return source_import(cli, store, path, options, ret_image, err);
	if (looks_like_path(source))
		return refuse_path(path, err);
	r = source_stored(store, source, ret_image, err);
	return r == -ENOENT ? source_import(cli, store, source, options, ret_image, err) : r;
}
