/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums and digests, all by xxHash's XXH3. They tell damage, not malice: whoever can write a
 * template can also write its digests.
 *
 * Stateless but for struct memory_digest, which one thread owns.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum { READ_BYTES = 1 << 20 };

struct memory_digest {
	XXH3_state_t *state; /* owned */
};

uint64_t checksum64(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

static void hash_halves(XXH128_hash_t hash, uint64_t ret_digest[2])
{
	ret_digest[0] = hash.low64;
	ret_digest[1] = hash.high64;
}

void digest128(const void *data, size_t bytes, uint64_t ret_digest[2])
{
	hash_halves(XXH3_128bits(data, bytes), ret_digest);
}

static void cleanup_state_p(XXH3_state_t **state)
{
	(void)XXH3_freeState(*state);
}

int digest128_fd(int fd, uint64_t bytes, uint64_t ret_digest[2])
{
	__attribute__((cleanup(cleanup_state_p))) XXH3_state_t *state = XXH3_createState();
	cleanup_free uint8_t *buf = malloc(READ_BYTES);

	if (!state || !buf)
		return -ENOMEM;
	(void)XXH3_128bits_reset(state);
	for (uint64_t at = 0; at < bytes;) {
		size_t n = bytes - at < READ_BYTES ? (size_t)(bytes - at) : READ_BYTES;
		int r = file_pread_all(fd, buf, n, (off_t)at);

		if (r < 0)
			return r;
		(void)XXH3_128bits_update(state, buf, n);
		at += n;
	}
	hash_halves(XXH3_128bits_digest(state), ret_digest);
	return 0;
}

struct memory_digest *memory_digest_new(uint64_t memory_bytes,
					const struct snapshot_extent *extents, uint32_t count)
{
	struct memory_digest *digest = malloc(sizeof(*digest));

	if (!digest)
		return NULL;
	digest->state = XXH3_createState();
	if (!digest->state)
		return memory_digest_free(digest);
	(void)XXH3_128bits_reset(digest->state);
	(void)XXH3_128bits_update(digest->state, &memory_bytes, sizeof(memory_bytes));
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t place[] = {extents[i].offset, extents[i].bytes};

		(void)XXH3_128bits_update(digest->state, place, sizeof(place));
	}
	return digest;
}

struct memory_digest *memory_digest_free(struct memory_digest *digest)
{
	if (digest) {
		(void)XXH3_freeState(digest->state);
		free(digest);
	}
	return NULL;
}

void memory_digest_page(struct memory_digest *digest, uint64_t offset, const void *page)
{
	(void)XXH3_128bits_update(digest->state, &offset, sizeof(offset));
	(void)XXH3_128bits_update(digest->state, page, GUEST_PAGE_BYTES);
}

void memory_digest_end(const struct memory_digest *digest, uint64_t ret_digest[2])
{
	hash_halves(XXH3_128bits_digest(digest->state), ret_digest);
}

/* A page that is not zero mostly differs in its first words; else whole cache lines are tested. */
bool page_is_zero(const void *page)
{
	const uint64_t *words = page;

	for (size_t i = 0; i < GUEST_PAGE_BYTES / sizeof(*words); i += 8)
		if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] |
		    words[i + 5] | words[i + 6] | words[i + 7])
			return false;
	return true;
}
