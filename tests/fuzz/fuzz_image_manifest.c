/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes image_manifest_decode and manifest_select: what is refused is refused with one line.
 */
#include <stdlib.h>

#include "image_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_error(const struct err *err)
{
	if (!err->message[0] || strchr(err->message, '\n'))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_manifest struct manifest manifest = { .count = 0 };
	const struct descriptor *found = NULL;
	struct err err = { 0 };

	if (image_manifest_decode((const char *)data, bytes, MEDIA_NONE, &manifest, &err) < 0) {
		check_error(&err);
		return 0;
	}
	if (manifest.kind != MEDIA_INDEX)
		return 0;
	for (int i = 0; i < 4; i++) {
		found = NULL;
		if (manifest_select(&manifest, i & 1, i & 2 ? "tag" : NULL, &found, &err) < 0)
			check_error(&err);
		else if (found < manifest.items || found >= manifest.items + manifest.count)
			abort();
	}
	return 0;
}
