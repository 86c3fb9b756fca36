/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes and manifests: image-spec's image-index.md, manifest.md and descriptor.md, and Docker's
 * manifest lists and schema 2, which have the same members.
 */
#include <errno.h>

#include "image_priv.h"
#include "json_read.h"

#define SYSTEM "linux"
#define ARCHITECTURE "amd64"

static int decode_digest(const cJSON *object, struct descriptor *descriptor, struct err *err)
{
	const char *text = NULL;
	int r = json_read_text(object, "digest", &text, err);

	if (r < 0)
		return r;
	if (!text)
		return err_set(err, -EBADMSG, "a descriptor has no \"digest\"");
	return digest_parse(text, &descriptor->digest, err);
}

static int decode_platform(const cJSON *object, struct descriptor *descriptor, struct err *err)
{
	const cJSON *platform = NULL;
	int r = json_read_object(object, "platform", &platform, err);

	if (r == 0)
		r = json_read_text_into(platform, "os", descriptor->os, sizeof(descriptor->os),
					err);
	if (r == 0)
		r = json_read_text_into(platform, "architecture", descriptor->architecture,
					sizeof(descriptor->architecture), err);
	if (r == 0)
		r = json_read_text_into(platform, "variant", descriptor->variant,
					sizeof(descriptor->variant), err);
	return r;
}

static int decode_annotations(const cJSON *object, struct descriptor *descriptor, struct err *err)
{
	const cJSON *notes = NULL;
	int r = json_read_object(object, "annotations", &notes, err);

	if (r == 0)
		r = json_read_text_into(notes, "org.opencontainers.image.ref.name",
					descriptor->ref_name, sizeof(descriptor->ref_name), err);
	if (r == 0)
		r = json_read_text_into(notes, "io.containerd.image.name", descriptor->full_name,
					sizeof(descriptor->full_name), err);
	return r;
}

static int decode_descriptor(const cJSON *object, struct descriptor *descriptor, struct err *err)
{
	int r;

	*descriptor = (struct descriptor){ .bytes = 0 };
	if (!cJSON_IsObject(object))
		return err_set(err, -EBADMSG, "a descriptor is no object");
	r = json_read_text_into(object, "mediaType", descriptor->media_type,
				sizeof(descriptor->media_type), err);
	if (r == 0)
		r = decode_digest(object, descriptor, err);
	if (r == 0)
		r = json_read_number(object, "size", UINT64_MAX, &descriptor->bytes, err);
	if (r == 0 && descriptor->bytes == UINT64_MAX)
		r = err_set(err, -EBADMSG, "a descriptor has no \"size\"");
	if (r == 0)
		r = decode_platform(object, descriptor, err);
	if (r == 0)
		r = decode_annotations(object, descriptor, err);
	descriptor->kind = media_kind_of(descriptor->media_type);
	return r;
}

/* What a document is, by its own words and by the descriptor that led to it. A document that could
 * be read as both is a trap (CVE-2021-41190). */
static int document_kind(const cJSON *root, enum media_kind kind, enum media_kind *ret_kind,
			 struct err *err)
{
	const bool index = cJSON_HasObjectItem(root, "manifests");
	const bool manifest = cJSON_HasObjectItem(root, "layers") ||
			      cJSON_HasObjectItem(root, "config");
	const char *media_type = NULL;
	enum media_kind own;
	int r = json_read_text(root, "mediaType", &media_type, err);

	if (r < 0)
		return r;
	own = media_kind_of(media_type);
	if (own == MEDIA_SCHEMA1 || cJSON_HasObjectItem(root, "fsLayers"))
		return err_set(err, -EBADMSG, "the manifest is of Docker's schema 1, which is "
					      "obsolete");
	if (own != MEDIA_NONE && own != MEDIA_INDEX && own != MEDIA_MANIFEST)
		return err_set(err, -EBADMSG, "unknown media type '%s' of a manifest",
			       SHOWN(media_type));
	if (index == manifest)
		return err_set(err, -EBADMSG, "a document is neither index nor manifest, or both");
	*ret_kind = index ? MEDIA_INDEX : MEDIA_MANIFEST;
	if ((own != MEDIA_NONE && own != *ret_kind) || (kind != MEDIA_NONE && kind != *ret_kind))
		return err_set(err, -EBADMSG, "a manifest is of another media type than it says");
	return 0;
}

static int check_layer(const struct descriptor *layer, struct err *err)
{
	if (layer->kind == MEDIA_NON_DISTRIBUTABLE)
		return err_set(err, -EBADMSG, "layer %.19s... is not distributable ('%s')",
			       layer->digest.text, SHOWN(layer->media_type));
	if (!media_is_layer(layer->kind))
		return err_set(err, -EBADMSG, "unknown media type '%s' of layer %.19s...",
			       SHOWN(layer->media_type), layer->digest.text);
	return 0;
}

static int decode_config(const cJSON *root, struct manifest *manifest, struct err *err)
{
	int r = decode_descriptor(cJSON_GetObjectItemCaseSensitive(root, "config"),
				  &manifest->config, err);

	if (r == 0 && manifest->config.kind != MEDIA_CONFIG)
		r = err_set(err, -EBADMSG, "no container image: its configuration is '%s'",
			    SHOWN(manifest->config.media_type));
	return r;
}

static int decode_items(const cJSON *root, struct manifest *manifest, struct err *err)
{
	const bool index = manifest->kind == MEDIA_INDEX;
	const cJSON *array = NULL, *item;
	int r = json_read_array(root, index ? "manifests" : "layers",
				index ? INDEX_MANIFESTS_MAX : LAYERS_MAX, &array, err);

	if (r < 0)
		return r;
	manifest->items = calloc((array ? (size_t)cJSON_GetArraySize(array) : 0) + 1,
				 sizeof(*manifest->items));
	if (!manifest->items)
		return err_set(err, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, array) {
		struct descriptor *descriptor = &manifest->items[manifest->count++];

		r = decode_descriptor(item, descriptor, err);
		if (r == 0 && !index)
			r = check_layer(descriptor, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int image_manifest_decode(const char *text, size_t bytes, enum media_kind kind,
		    struct manifest *ret_manifest, struct err *err)
{
	cleanup_manifest struct manifest manifest = { .count = 0 };
	cleanup_json cJSON *root = NULL;
	uint64_t version = 0;
	int r = json_read(text, bytes, "the manifest", &root, err);

	if (r == 0)
		r = json_read_number(root, "schemaVersion", 2, &version, err);
	if (r == 0)
		r = document_kind(root, kind, &manifest.kind, err);
	if (r == 0 && version != 2)
		r = err_set(err, -EBADMSG, "the manifest is of schema %llu, not 2",
			    (unsigned long long)version);
	if (r == 0 && manifest.kind == MEDIA_MANIFEST)
		r = decode_config(root, &manifest, err);
	if (r == 0)
		r = decode_items(root, &manifest, err);
	if (r < 0)
		return r;
	*ret_manifest = manifest;
	manifest.items = NULL;
	return 0;
}

void manifest_done(struct manifest *manifest)
{
	free(manifest->items);
	*manifest = (struct manifest){ .count = 0 };
}

/* Attestations of buildkit have the platform unknown/unknown. amd64's variants v2 to v4 are for
 * newer CPUs than every host has. */
static bool fits(const struct descriptor *descriptor)
{
	if (descriptor->kind != MEDIA_INDEX && descriptor->kind != MEDIA_MANIFEST &&
	    descriptor->kind != MEDIA_NONE)
		return false;
	if (!*descriptor->os && !*descriptor->architecture)
		return true;
	return strcmp(descriptor->os, SYSTEM) == 0 &&
	       strcmp(descriptor->architecture, ARCHITECTURE) == 0 &&
	       (!*descriptor->variant || strcmp(descriptor->variant, "v1") == 0);
}

/* `tag` is all of a name in the layout, or what is behind its last colon. */
static bool has_tag(const struct descriptor *descriptor, const char *tag)
{
	const char *names[] = { descriptor->ref_name, descriptor->full_name };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *colon = strrchr(names[i], ':');

		if (strcmp(names[i], tag) == 0 || (colon && strcmp(colon + 1, tag) == 0))
			return true;
	}
	return false;
}

static int refuse_none(const struct manifest *index, const char *tag, struct err *err)
{
	for (size_t i = 0; i < index->count; i++) {
		const struct descriptor *item = &index->items[i];

		if (tag && !has_tag(item, tag))
			continue;
		if (item->kind == MEDIA_SCHEMA1)
			return err_set(err, -EBADMSG, "the manifest is of Docker's schema 1, "
						      "which is obsolete");
		if (item->kind == MEDIA_UNKNOWN)
			return err_set(err, -EBADMSG, "unknown media type '%s' in an index",
				       SHOWN(item->media_type));
		return err_set(err, -EBADMSG, "no image for " SYSTEM "/" ARCHITECTURE
					      ", but for %s/%s",
			       *item->os ? SHOWN(item->os) : "?", SHOWN(item->architecture));
	}
	if (tag)
		return err_set(err, -ENOENT, "no image has the tag '%s'", SHOWN(tag));
	return err_set(err, -EBADMSG, "an index lists no image");
}

int manifest_select(const struct manifest *index, bool top, const char *tag,
		    const struct descriptor **ret_descriptor, struct err *err)
{
	const struct descriptor *found = NULL;

	for (size_t i = 0; i < index->count; i++) {
		const struct descriptor *item = &index->items[i];

		if (!fits(item) || (top && tag && !has_tag(item, tag)))
			continue;
		if (!found)
			found = item;
		else if (top && strcmp(found->digest.text, item->digest.text) != 0)
			return err_set(err, -EINVAL,
				       "it holds several images, say which: SOURCE:%s, SOURCE:%s",
				       SHOWN(found->ref_name), SHOWN(item->ref_name));
	}
	if (!found)
		return refuse_none(index, top ? tag : NULL, err);
	*ret_descriptor = found;
	return 0;
}
