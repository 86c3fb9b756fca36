/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes config_decode and the store's record: a configuration that is accepted must come out of a
 * record as it went in.
 */
#include <stdlib.h>

#include "image_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void record(const char *text, size_t bytes)
{
	cleanup_free char *once = NULL, *twice = NULL;
	cleanup_image struct image *first = NULL;
	cleanup_image struct image *second = NULL;

	if (image_json_decode(text, bytes, "f", &first, NULL) < 0)
		return;
	if (image_json_encode(first, &once, NULL) < 0 ||
	    image_json_decode(once, strlen(once), "f", &second, NULL) < 0 ||
	    image_json_encode(second, &twice, NULL) < 0 || strcmp(once, twice) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_image struct image *image = image_new();
	cleanup_diff_ids struct diff_ids ids = { 0 };
	cleanup_free char *text = NULL;
	struct err err = { 0 };

	record((const char *)data, bytes);
	if (config_decode((const char *)data, bytes, image, &ids, &err) < 0) {
		if (!err.message[0] || strchr(err.message, '\n'))
			abort();
		return 0;
	}
	if (image_json_encode(image, &text, NULL) < 0)
		abort();
	record(text, strlen(text));
	return 0;
}
