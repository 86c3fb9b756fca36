/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image layouts: image-spec's image-layout.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_priv.h"

bool oci_layout_is_at(int fd)
{
	struct stat st;

	return fstatat(fd, "oci-layout", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* A digest holds nothing but its algorithm's name and digits, so the path leads into the layout. */
static void blob_path(const struct source *source, const struct digest *digest,
		      char path[SOURCE_PATH_BYTES])
{
	const char *hex = digest_hex(digest);
	const int head = (int)(hex - digest->text) - 1;

	if (source->layout == BLOBS_OCI)
		(void)snprintf(path, SOURCE_PATH_BYTES, "blobs/%.*s/%s", head, digest->text, hex);
	else
		(void)snprintf(path, SOURCE_PATH_BYTES, "%s", hex);
}

/* A document, checked against its descriptor. */
static int blob_read(const struct source *source, const struct descriptor *descriptor,
		     uint8_t **ret_data, size_t *ret_bytes, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	char path[SOURCE_PATH_BYTES];
	size_t bytes = 0;
	int r;

	blob_path(source, &descriptor->digest, path);
	r = file_read_in(source->fd, path, &data, &bytes, err);
	if (r < 0)
		return r;
	if (bytes != descriptor->bytes)
		return err_set(err, -EBADMSG, "'%s' has %zu bytes, not %llu", path, bytes,
			       (unsigned long long)descriptor->bytes);
	r = digest_check(&descriptor->digest, data, bytes, err);
	if (r < 0)
		return err_prefix(err, r, "'%s'", path);
	*ret_data = TAKE_PTR(data);
	*ret_bytes = bytes;
	return 0;
}

static int take_layers(struct source *source, const struct manifest *manifest, struct err *err)
{
	source->layers = calloc(manifest->count + 1, sizeof(*source->layers));
	if (!source->layers)
		return err_set(err, -ENOMEM, "out of memory");
	source->layer_count = manifest->count;
	for (size_t i = 0; i < manifest->count; i++) {
		struct source_layer *layer = &source->layers[i];

		layer->known = true;
		layer->digest = manifest->items[i].digest;
		layer->bytes = manifest->items[i].bytes;
		layer->kind = manifest->items[i].kind;
		blob_path(source, &layer->digest, layer->path);
	}
	return 0;
}

static int take_manifest(struct source *source, const struct manifest *manifest, const char *text,
			 size_t bytes, struct err *err)
{
	struct digest id;
	int r = digest_sha256(text, bytes, &id, err);

	if (r < 0)
		return r;
	memcpy(source->id, digest_hex(&id), IMAGE_ID_BYTES);
	r = blob_read(source, &manifest->config, &source->config, &source->config_bytes, err);
	return r < 0 ? r : take_layers(source, manifest, err);
}

int oci_manifest_open(struct source *source, const char *text, size_t bytes, enum media_kind kind,
		      struct err *err)
{
	cleanup_manifest struct manifest manifest = { .count = 0 };
	int r = image_manifest_decode(text, bytes, kind, &manifest, err);

	if (r < 0)
		return r;
	if (manifest.kind != MEDIA_MANIFEST)
		return err_set(err, -EBADMSG, "the manifest is an index");
	return take_manifest(source, &manifest, text, bytes, err);
}

/* Docker's own annotation is the full name; the standard one is often a mere tag. */
static void take_name(struct source *source, const struct descriptor *descriptor,
		      const char *fallback)
{
	char name[2 * IMAGE_NAME_BYTES];

	if (*descriptor->full_name)
		(void)snprintf(name, sizeof(name), "%s", descriptor->full_name);
	else if (strpbrk(descriptor->ref_name, ":/"))
		(void)snprintf(name, sizeof(name), "%s", descriptor->ref_name);
	else
		(void)snprintf(name, sizeof(name), "%.255s%s%s", fallback,
			       *descriptor->ref_name ? ":" : "", descriptor->ref_name);
	image_name_set(source->name, name);
}

/* Goes down one level: `text` was an index. */
static int descend(struct source *source, bool top, const char *fallback, const char *tag,
		   uint8_t **text, size_t *bytes, enum media_kind *kind, struct err *err)
{
	cleanup_manifest struct manifest index = { .count = 0 };
	const struct descriptor *next = NULL;
	uint8_t *data = NULL;
	int r = image_manifest_decode((const char *)*text, *bytes, *kind, &index, err);

	if (r < 0)
		return r;
	if (index.kind == MEDIA_MANIFEST)
		return 1;
	r = manifest_select(&index, top, tag, &next, err);
	if (r == 0)
		r = blob_read(source, next, &data, bytes, err);
	if (r < 0)
		return r;
	if (top)
		take_name(source, next, fallback);
	free(*text);
	*text = data;
	*kind = next->kind;
	return 0;
}

int oci_layout_open(int fd, const char *fallback_name, const char *tag, struct source *source,
		    struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	enum media_kind kind = MEDIA_INDEX;
	size_t bytes = 0;
	int r;

	source->fd = fd;
	source->layout = BLOBS_OCI;
	r = file_read_in(fd, "index.json", &text, &bytes, err);
	for (int depth = 0; r == 0; depth++) {
		if (depth > INDEX_DEPTH_MAX)
			return err_set(err, -EBADMSG, "indexes nest deeper than %d",
				       INDEX_DEPTH_MAX);
		r = descend(source, depth == 0, fallback_name, tag, &text, &bytes, &kind, err);
	}
	return r < 0 ? r : oci_manifest_open(source, (const char *)text, bytes, kind, err);
}
