/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes manifest_decode: each input as it is, and as the beginning of a text that ends in the
 * right checksum. What decodes must, once encoded, decode and encode to the same text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "snapshot_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { TAIL_BYTES = 42 }; /* the checksum member and a NUL */

static void decode(const char *text, size_t bytes)
{
	cleanup_free char *once = NULL, *twice = NULL;
	struct manifest manifest;
	struct err err = {};
	size_t once_bytes, twice_bytes;

	if (manifest_decode(&manifest, text, bytes, &err) < 0) {
		if (!err.message[0] || strchr(err.message, '\n'))
			abort();
		return;
	}
	if (manifest_encode(&manifest, &once, &once_bytes, NULL) < 0 ||
	    manifest_decode(&manifest, once, once_bytes, NULL) < 0 ||
	    manifest_encode(&manifest, &twice, &twice_bytes, NULL) < 0 ||
	    once_bytes != twice_bytes || memcmp(once, twice, once_bytes) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_free char *text = malloc(bytes + TAIL_BYTES);

	if (!text || bytes > SNAPSHOT_MANIFEST_MAX_BYTES)
		return 0;
	decode((const char *)data, bytes);

	/* Inputs that are whole manifests lose their tail first. */
	if (bytes >= TAIL_BYTES && memcmp(data + bytes - 3, "\n}\n", 3) == 0)
		bytes -= TAIL_BYTES - 1;
	memcpy(text, data, bytes);
	bytes += (size_t)snprintf(text + bytes, TAIL_BYTES,
				  "\"checksum\":\t\"xxh3-64:%016" PRIx64 "\"\n}\n",
				  checksum64(data, bytes));
	decode(text, bytes);
	return 0;
}
