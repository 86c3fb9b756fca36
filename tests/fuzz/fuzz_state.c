/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes state_decode. Checksums would stop almost every input at the door, so each input is tried
 * as it is and then with its checksums made right. What decodes must encode to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "snapshot_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { HEADER_BYTES = 40, SECTION_BYTES = 24, AT_LENGTH = 16 };

static void decode(const uint8_t *data, size_t bytes)
{
	cleanup_free struct vm_state *state = malloc(sizeof(*state));
	cleanup_free uint8_t *again = malloc(bytes ? bytes : 1);
	struct err err = {};
	size_t again_bytes;

	if (!state || !again)
		return;
	if (state_decode(state, data, bytes, &err) < 0) {
		if (!err.message[0])
			abort();
		return;
	}
	if (state_encode(state, again, bytes, &again_bytes, NULL) < 0 || again_bytes != bytes ||
	    memcmp(again, data, bytes) != 0)
		abort();
}

static void seal(uint8_t *checksum, const uint8_t *from, size_t bytes)
{
	uint64_t value = checksum64(from, bytes);

	memcpy(checksum, &value, sizeof(value));
}

/* Total size, and every checksum that has its place in the file. */
static void repair(uint8_t *file, size_t bytes)
{
	size_t at = HEADER_BYTES;
	uint64_t total = bytes;

	if (bytes < HEADER_BYTES)
		return;
	memcpy(file + 24, &total, sizeof(total));
	seal(file + 32, file, 32);
	while (bytes - at >= SECTION_BYTES) {
		uint32_t length;
		size_t section;

		memcpy(&length, file + at + AT_LENGTH, sizeof(length));
		section = SECTION_BYTES + ((size_t)length + 7) / 8 * 8;
		if (section > bytes - at)
			break;
		seal(file + at, file + at + 8, section - 8);
		at += section;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_free uint8_t *copy = malloc(bytes ? bytes : 1);

	if (!copy || bytes > SNAPSHOT_STATE_MAX_BYTES)
		return 0;
	decode(data, bytes);
	memcpy(copy, data, bytes);
	repair(copy, bytes);
	decode(copy, bytes);
	return 0;
}
