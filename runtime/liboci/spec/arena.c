/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: a list of blocks, the youngest in front, filled from the beginning. What does not fit
 * into a block gets one of its own size.
 */
#include "spec/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { BLOCK_BYTES = 8000 };

struct block {
	struct block *next; /* owned */
	size_t used, bytes;
	alignas(max_align_t) unsigned char data[];
};

struct oci_arena {
	struct block *blocks; /* owned */
	cJSON *document;      /* owned, may be NULL */
};

struct oci_arena *arena_new(void)
{
	return calloc(1, sizeof(struct oci_arena));
}

static struct block *block_add(struct oci_arena *arena, size_t bytes)
{
	const size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
	struct block *block = malloc(sizeof(*block) + size);

	if (!block)
		return NULL;
	*block = (struct block){ .next = arena->blocks, .bytes = size };
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct oci_arena *arena, size_t bytes)
{
	struct block *block = arena->blocks;
	void *piece;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!block || bytes > block->bytes - block->used)
		block = block_add(arena, bytes);
	if (!block)
		return NULL;
	piece = block->data + block->used;
	block->used += bytes;
	return memset(piece, 0, bytes);
}

void arena_own(struct oci_arena *arena, struct cJSON *document)
{
	arena->document = document;
}

struct oci_arena *arena_free(struct oci_arena *arena)
{
	if (!arena)
		return NULL;
	cJSON_Delete(arena->document);
	while (arena->blocks) {
		struct block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	free(arena);
	return NULL;
}
