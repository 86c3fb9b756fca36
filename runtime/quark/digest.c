/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of inputs.
 */
#include "digest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cleanup.h"
#include "file.h"

enum { FILE_MAX_BYTES = 512 << 20, PRINTED_MAX = 256 };

struct digest {
	XXH3_state_t *state; /* owned */
};

struct digest *digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));

	if (!digest)
		return NULL;
	digest->state = XXH3_createState();
	if (!digest->state || XXH3_128bits_reset(digest->state) != XXH_OK)
		return digest_free(digest);
	return digest;
}

struct digest *digest_free(struct digest *digest)
{
	if (digest)
		(void)XXH3_freeState(digest->state);
	free(digest);
	return NULL;
}

void digest_update(void *digest, const void *data, size_t bytes)
{
	(void)XXH3_128bits_update(((struct digest *)digest)->state, data, bytes);
}

void digest_text(struct digest *digest, const char *text)
{
	digest_update(digest, text, strlen(text) + 1);
}

void digest_printf(struct digest *digest, const char *format, ...)
{
	char text[PRINTED_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	digest_text(digest, text);
}

int digest_file(struct digest *digest, const char *name, const char *path, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	size_t bytes;
	int r;

	r = file_read(path, FILE_MAX_BYTES, &data, &bytes, err);
	if (r < 0)
		return r;
	digest_text(digest, name);
	digest_printf(digest, "%zu", bytes);
	digest_update(digest, data, bytes);
	return 0;
}

void digest_finish(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES])
{
	XXH128_hash_t hash = XXH3_128bits_digest(digest->state);

	(void)snprintf(ret_text, DIGEST_TEXT_BYTES, "%016llx%016llx",
		       (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}
