/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one decoded configuration: small pieces that are released together, with the JSON
 * document from which the decoded strings are borrowed.
 */
#pragma once

#include <stddef.h>

struct cJSON;
struct oci_arena;

struct oci_arena *arena_new(void);

/* `bytes` zeroed bytes, aligned for any type; NULL when there are none. */
void *arena_alloc(struct oci_arena *arena, size_t bytes);

/* The document becomes the arena's. At most one. */
void arena_own(struct oci_arena *arena, struct cJSON *document);

struct oci_arena *arena_free(struct oci_arena *arena);
