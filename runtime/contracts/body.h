/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response while it arrives, in pieces.
 *
 * A small one is kept here, since libquark puts it into the mailbox's first page, which is there
 * anyway; one that grows goes on in the mailbox's own room for large responses, and is not copied
 * again. So at most one body at a time can be large.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { BODY_SMALL_BYTES = 2048 };

struct body {
	size_t bytes;
	bool large, overflow; /* overflow: more came than a response can have */
	char small[BODY_SMALL_BYTES + 1];
};

void body_reset(struct body *body);

/* Room to read into, and how much; then how many bytes came. When the body is full, the room is
 * for the byte that makes it overflow. */
void *body_room(struct body *body, size_t *ret_bytes);
void body_grow(struct body *body, size_t bytes);

void body_append(struct body *body, const void *data, size_t bytes);

/* The bytes, with a NUL behind them where there is room for it. */
const char *body_data(struct body *body);
