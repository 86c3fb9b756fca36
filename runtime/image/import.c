/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: from a source to a committed image.
 *
 *	source -> manifest and configuration -> (is it there?) -> layers -> seal -> user -> erofs
 *	-> record -> commit -> name
 *
 * Everything up to the commit lies in the workspace, which goes when this returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "image_priv.h"

#define TREE_FOLDER "root"
#define IMAGE_FOLDER "image"

struct import {
	struct image_store *store;
	const struct image_import_options *options;
	struct workspace *workspace;
	struct source *source;
	struct image *image; /* owned; what is being made */
	struct diff_ids diff_ids;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct image_import_options *options,
						       const char *format, ...)
{
	char text[SHOWN_BYTES];
	va_list arguments;

	if (!options->progress)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	options->progress(options->context, text);
}

static void import_done(struct import *import)
{
	import->image = image_free(import->image);
	diff_ids_done(&import->diff_ids);
}
#define cleanup_import __attribute__((cleanup(import_done)))

/* The last part of a path, without ".tar": what an image is called that has no name. */
static void name_from_path(const char *path, char name[IMAGE_NAME_BYTES])
{
	static const char *const ends[] = { ".tar.gz", ".tgz", ".tar" };
	size_t bytes = strlen(path);
	const char *start;

	while (bytes > 0 && path[bytes - 1] == '/')
		bytes--;
	for (start = path + bytes; start > path && start[-1] != '/'; start--)
		;
	bytes -= (size_t)(start - path);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const size_t length = strlen(ends[i]);

		if (bytes > length && strncmp(start + bytes - length, ends[i], length) == 0) {
			bytes -= length;
			break;
		}
	}
	(void)snprintf(name, IMAGE_NAME_BYTES, "%.*s", (int)(bytes < 128 ? bytes : 128), start);
}

static int open_path(const struct reference *reference, struct import *import, struct err *err)
{
	const bool archive = reference->kind == SOURCE_ARCHIVE;
	struct image_limits limits = import->options->limits;
	char name[IMAGE_NAME_BYTES];
	cleanup_fd int fd = open(reference->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
							  (archive ? 0 : O_DIRECTORY));

	if (fd < 0)
		return err_set(err, -errno, "cannot open it: %s", strerror(errno));
	name_from_path(reference->path, name);
	if (limits.unpacked_bytes == 0)
		limits.unpacked_bytes = LIMIT_UNPACKED_BYTES;
	if (!archive)
		return oci_layout_open(TAKE_FD(fd), name, reference->tag, import->source, err);
	tell(import->options, "unpacking the archive");
	return archive_open(fd, name, reference->tag, import->workspace, &limits, import->source,
			    err);
}

/* What is there and whole need not be made again. 1: it is. */
static int look_in_store(struct import *import, const char *id, struct image **ret_image)
{
	if (import->options->force || !*id)
		return 0;
	return store_load(import->store, id, ret_image, NULL) == 0;
}

static int unpack_layer(struct import *import, size_t i, struct unpack *unpack, struct err *err)
{
	const struct source_layer *layer = &import->source->layers[i];
	cleanup_fd int fd = -1;
	uint64_t bytes;
	int r;

	tell(import->options, "unpacking layer %zu of %zu", i + 1, import->source->layer_count);
	r = file_open_in(import->source->fd, layer->path, &fd, &bytes, err);
	if (r == 0 && layer->known && bytes != layer->bytes)
		r = err_set(err, -EBADMSG, "wrong size: %llu bytes, not %llu",
			    (unsigned long long)bytes, (unsigned long long)layer->bytes);
	if (r == 0)
		r = layer_unpack(fd, layer, &import->diff_ids.items[i], unpack, err);
	return r < 0 ? err_prefix(err, r, "layer %zu (%s)", i + 1, SHOWN(layer->path)) : 0;
}

static int unpack_layers(struct import *import, int root_fd, struct err *err)
{
	cleanup_unpack struct unpack unpack = { .root_fd = -1 };
	struct tree_totals totals;
	int r = 0;

	unpack_init(&unpack, root_fd, import->workspace, &import->options->limits);
	for (size_t i = 0; r == 0 && i < import->source->layer_count; i++)
		r = unpack_layer(import, i, &unpack, err);
	if (r == 0)
		r = tree_seal(root_fd, &totals, err);
	if (r == 0)
		import->image->unpacked_bytes = totals.bytes;
	return r;
}

static int make_tree(struct import *import, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = -1;

	if (mkdirat(import->workspace->fd, TREE_FOLDER, 0700) < 0 ||
	    mkdirat(import->workspace->fd, IMAGE_FOLDER, 0700) < 0)
		return err_set(err, -errno, "cannot make a folder: %s", strerror(errno));
	fd = openat(import->workspace->fd, TREE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return err_set(err, -errno, "cannot open a folder: %s", strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int write_record(struct import *import, struct err *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	int r;

	import->image->imported_s = (uint64_t)time(NULL);
	r = image_json_encode(import->image, &text, err);
	if (r < 0)
		return r;
	fd = openat(import->workspace->fd, IMAGE_FOLDER "/" RECORD_FILE,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "cannot write the record: %s", strerror(-r)) : 0;
}

static int make_image(struct import *import, struct err *err)
{
	cleanup_fd int root_fd = -1;
	int r = make_tree(import, &root_fd, err);

	if (r == 0)
		r = unpack_layers(import, root_fd, err);
	if (r == 0)
		r = user_resolve(root_fd, import->image, err);
	if (r < 0)
		return r;
	tell(import->options, "making the file system");
	r = erofs_make(import->workspace, TREE_FOLDER, IMAGE_FOLDER "/" ROOT_FILE,
		       import->options->limits.root_bytes, import->image, err);
	if (r == 0)
		r = write_record(import, err);
	/* Something damaged may be in its place: store_load did not take it. */
	return r < 0 ? r
		     : store_commit(import->store, import->workspace, IMAGE_FOLDER,
				    import->image->id, true, err);
}

static int read_config(struct import *import, struct err *err)
{
	const struct source *source = import->source;
	int r;

	import->image = image_new();
	if (!import->image)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(import->image->id, source->id, IMAGE_ID_BYTES);
	r = config_decode((const char *)source->config, source->config_bytes, import->image,
			  &import->diff_ids, err);
	if (r == 0 && import->diff_ids.count != source->layer_count)
		r = err_set(err, -EBADMSG, "%zu layers, but %zu in the configuration",
			    source->layer_count, import->diff_ids.count);
	return r;
}

/* A source whose blobs are at hand. */
static int import_source(struct import *import, struct image **ret_image, struct err *err)
{
	int r = look_in_store(import, import->source->id, ret_image);

	if (r != 0)
		return r < 0 ? r : 0;
	r = read_config(import, err);
	if (r == 0)
		r = make_image(import, err);
	return r < 0 ? r : store_load(import->store, import->source->id, ret_image, err);
}

static int import_registry(const struct reference *reference, struct import *import,
			   struct image **ret_image, struct err *err)
{
	const bool insecure = import->options->insecure_registry;
	char id[IMAGE_ID_BYTES] = "";
	int r;

	tell(import->options, "asking the registry");
	r = registry_id(reference->path, insecure, import->workspace, id, err);
	if (r < 0)
		return r;
	if (look_in_store(import, id, ret_image)) {
		image_name_set(import->source->name, reference->path);
		return 0;
	}
	tell(import->options, "pulling");
	r = registry_open(reference->path, insecure, import->workspace, import->source, err);
	return r < 0 ? r : import_source(import, ret_image, err);
}

static int import_reference(const struct reference *reference, struct import *import,
			    struct image **ret_image, struct err *err)
{
	const char *name = import->source->name;
	cleanup_image struct image *image = NULL;
	int r;

	if (reference->kind == SOURCE_REGISTRY) {
		r = import_registry(reference, import, &image, err);
	} else {
		r = open_path(reference, import, err);
		if (r == 0)
			r = import_source(import, &image, err);
	}
	if (r == 0 && *name)
		r = names_set(import->store, import->workspace, name, image->id, err);
	if (r < 0)
		return r;
	image_name_set(image->name, name);
	*ret_image = TAKE_PTR(image);
	return 0;
}

int image_import(struct image_store *store, const char *source_text,
		 const struct image_import_options *options, struct image **ret_image,
		 struct err *err)
{
	static const struct image_import_options none = { .force = false };
	cleanup_reference struct reference reference = { .path = NULL };
	cleanup_workspace struct workspace workspace = { .fd = -1 };
	cleanup_source struct source source = { .fd = -1 };
	cleanup_import struct import import = {
		.store = store,
		.options = options ? options : &none,
		.workspace = &workspace,
		.source = &source,
	};
	int r = reference_parse(source_text, &reference, err);

	if (r == 0)
		r = workspace_init(&workspace, store, err);
	if (r == 0)
		r = import_reference(&reference, &import, ret_image, err);
	return r < 0 ? err_prefix(err, r, "cannot import '%s'", SHOWN(source_text)) : 0;
}
