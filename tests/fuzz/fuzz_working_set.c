/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes working_set_decode: each input as it is, and with its checksum made right. What decodes
 * must encode to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "snapshot_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { MEMORY_BYTES = 64 << 20, IMAGE_BYTES = 16 << 20 };

static void decode(const uint8_t *data, size_t bytes)
{
	cleanup_free struct working_set *set = malloc(sizeof(*set));
	uint8_t again[WORKING_SET_FILE_MAX_BYTES];
	struct err err = {};
	size_t again_bytes;

	if (!set)
		return;
	if (working_set_decode(set, MEMORY_BYTES, IMAGE_BYTES, data, bytes, &err) < 0) {
		if (!err.message[0])
			abort();
		return;
	}
	if (working_set_encode(set, again, sizeof(again), &again_bytes) < 0 ||
	    again_bytes != bytes || memcmp(again, data, bytes) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_free uint8_t *copy = malloc(bytes ? bytes : 1);
	uint64_t checksum;

	if (!copy)
		return 0;
	decode(data, bytes);
	if (bytes < sizeof(checksum))
		return 0;
	memcpy(copy, data, bytes);
	checksum = checksum64(copy, bytes - sizeof(checksum));
	memcpy(copy + bytes - sizeof(checksum), &checksum, sizeof(checksum));
	decode(copy, bytes);
	return 0;
}
