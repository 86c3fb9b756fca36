/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives: what `docker save` writes, and OCI layouts in a tar.
 *
 * The members of an archive come in any order, so it is unpacked into the workspace first, by the
 * same rules as a layer. Docker's own form has no manifest with digests of blobs: the image's id is
 * then that of its configuration (as `docker images` shows it), which names the layers' diff_ids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "image_priv.h"
#include "json_read.h"

#define ARCHIVE_FOLDER "archive"
#define ARCHIVE_EXTRA_BYTES (64ull << 20) /* beside layers */

static bool has_name(const cJSON *image, const char *tag, const char **ret_name)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(image, "RepoTags"), *item;

	cJSON_ArrayForEach(item, names) {
		const char *name = cJSON_IsString(item) ? item->valuestring : "";
		const char *colon = strrchr(name, ':');

		if (!tag || strcmp(name, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0)) {
			*ret_name = name;
			return true;
		}
	}
	return !tag;
}

static int select_image(const cJSON *root, const char *tag, const cJSON **ret_image,
			const char **ret_name, struct err *err)
{
	const cJSON *item, *found = NULL;

	if (!cJSON_IsArray(root))
		return err_set(err, -EBADMSG, "manifest.json is no array");
	cJSON_ArrayForEach(item, root) {
		const char *name = "";

		if (!cJSON_IsObject(item))
			return err_set(err, -EBADMSG, "manifest.json holds something that is no "
						      "object");
		if (!has_name(item, tag, &name))
			continue;
		if (found)
			return err_set(err, -EINVAL,
				       "it holds several images, say which: SOURCE:%s, SOURCE:%s",
				       SHOWN(*ret_name), SHOWN(name));
		found = item;
		*ret_name = name;
	}
	if (!found && tag)
		return err_set(err, -ENOENT, "no image has the tag '%s'", SHOWN(tag));
	if (!found)
		return err_set(err, -EBADMSG, "manifest.json lists no image");
	*ret_image = found;
	return 0;
}

/* "blobs/sha256/DIGITS" and "DIGITS.json" promise a digest. */
static int check_promise(const char *path, const struct digest *digest, struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *hex = slash ? slash + 1 : path;
	const size_t digits = strspn(hex, "0123456789abcdef");

	if (digits != 64 || (hex[digits] && strcmp(hex + digits, ".json") != 0))
		return 0;
	if (strncmp(hex, digest_hex(digest), digits) != 0)
		return err_set(err, -EBADMSG, "'%s': wrong digest: it is %.19s...", SHOWN(path),
			       digest->text);
	return 0;
}

static int take_config(const cJSON *image, struct source *source, struct err *err)
{
	const char *path = NULL;
	struct digest digest;
	int r = json_read_text(image, "Config", &path, err);

	if (r < 0)
		return r;
	if (!path)
		return err_set(err, -EBADMSG, "manifest.json names no \"Config\"");
	r = file_read_in(source->fd, path, &source->config, &source->config_bytes, err);
	if (r == 0)
		r = digest_sha256(source->config, source->config_bytes, &digest, err);
	if (r == 0)
		r = check_promise(path, &digest, err);
	if (r == 0)
		memcpy(source->id, digest_hex(&digest), IMAGE_ID_BYTES);
	return r;
}

static int take_layers(const cJSON *image, struct source *source, struct err *err)
{
	const cJSON *array = NULL, *item;
	int r = json_read_array(image, "Layers", LAYERS_MAX, &array, err);

	if (r < 0)
		return r;
	source->layers = calloc((array ? (size_t)cJSON_GetArraySize(array) : 0) + 1,
				sizeof(*source->layers));
	if (!source->layers)
		return err_set(err, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, array) {
		struct source_layer *layer = &source->layers[source->layer_count++];

		if (!cJSON_IsString(item) || strlen(item->valuestring) >= sizeof(layer->path))
			return err_set(err, -EBADMSG, "malformed \"Layers\" in manifest.json");
		memcpy(layer->path, item->valuestring, strlen(item->valuestring) + 1);
	}
	return 0;
}

static int docker_open(const char *tag, struct source *source, struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	cleanup_json cJSON *root = NULL;
	const cJSON *image = NULL;
	const char *name = "";
	size_t bytes = 0;
	int r = file_read_in(source->fd, "manifest.json", &text, &bytes, err);

	if (r < 0)
		return r;
	r = json_read((const char *)text, bytes, "manifest.json", &root, err);
	if (r == 0)
		r = select_image(root, tag, &image, &name, err);
	if (r == 0)
		r = take_config(image, source, err);
	if (r == 0)
		r = take_layers(image, source, err);
	if (r == 0)
		image_name_set(source->name, name);
	return r;
}

static int unpack_archive(int fd, struct workspace *workspace, const struct image_limits *limits,
			  int *ret_fd, struct err *err)
{
	const struct image_limits more = {
		.unpacked_bytes = limits->unpacked_bytes > UINT64_MAX - ARCHIVE_EXTRA_BYTES
					  ? UINT64_MAX
					  : limits->unpacked_bytes + ARCHIVE_EXTRA_BYTES,
		.entries = limits->entries,
	};
	const struct source_layer whole = { .kind = MEDIA_NONE };
	cleanup_unpack struct unpack unpack = { .root_fd = -1 };
	cleanup_fd int folder_fd = -1;
	int r;

	if (mkdirat(workspace->fd, ARCHIVE_FOLDER, 0700) < 0)
		return err_set(err, -errno, "cannot make a folder: %s", strerror(errno));
	folder_fd = openat(workspace->fd, ARCHIVE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return err_set(err, -errno, "cannot open a folder: %s", strerror(errno));
	unpack_init(&unpack, folder_fd, workspace, &more);
	unpack.layers = false;
	unpack.owners = false;
	r = layer_unpack(fd, &whole, NULL, &unpack, err);
	if (r == 0)
		*ret_fd = TAKE_FD(folder_fd);
	return r;
}

int archive_open(int fd, const char *fallback_name, const char *tag, struct workspace *workspace,
		 const struct image_limits *limits, struct source *source, struct err *err)
{
	int r = unpack_archive(fd, workspace, limits, &source->fd, err);

	if (r < 0)
		return r;
	if (oci_layout_is_at(source->fd))
		return oci_layout_open(source->fd, fallback_name, tag, source, err);
	return docker_open(tag, source, err);
}
