/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media types of the image specification (media-types.md) and of Docker's image manifest, schema 2.
 */
#include "image_priv.h"

#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

static const struct {
	const char *text;
	enum media_kind kind;
} types[] = {
	{ OCI "index.v1+json", MEDIA_INDEX },
	{ OCI "manifest.v1+json", MEDIA_MANIFEST },
	{ OCI "config.v1+json", MEDIA_CONFIG },
	{ OCI "layer.v1.tar", MEDIA_LAYER },
	{ OCI "layer.v1.tar+gzip", MEDIA_LAYER_GZIP },
	{ OCI "layer.v1.tar+zstd", MEDIA_LAYER_ZSTD },
	{ OCI "layer.nondistributable.v1.tar", MEDIA_NON_DISTRIBUTABLE },
	{ OCI "layer.nondistributable.v1.tar+gzip", MEDIA_NON_DISTRIBUTABLE },
	{ OCI "layer.nondistributable.v1.tar+zstd", MEDIA_NON_DISTRIBUTABLE },
	{ DOCKER "distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ DOCKER "distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ DOCKER "distribution.manifest.v1+json", MEDIA_SCHEMA1 },
	{ DOCKER "distribution.manifest.v1+prettyjws", MEDIA_SCHEMA1 },
	{ DOCKER "container.image.v1+json", MEDIA_CONFIG },
	{ DOCKER "image.rootfs.diff.tar", MEDIA_LAYER },
	{ DOCKER "image.rootfs.diff.tar.gzip", MEDIA_LAYER_GZIP },
	{ DOCKER "image.rootfs.diff.tar.zstd", MEDIA_LAYER_ZSTD },
	{ DOCKER "image.rootfs.foreign.diff.tar", MEDIA_NON_DISTRIBUTABLE },
	{ DOCKER "image.rootfs.foreign.diff.tar.gzip", MEDIA_NON_DISTRIBUTABLE },
};

enum media_kind media_kind_of(const char *media_type)
{
	if (!media_type || !*media_type)
		return MEDIA_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].text, media_type) == 0)
			return types[i].kind;
	return MEDIA_UNKNOWN;
}
