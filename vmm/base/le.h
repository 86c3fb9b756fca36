/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded little-endian encoding and decoding, the only way bytes enter or leave files.
 *
 * A cursor never leaves its buffer: the first access that would sets `bad`, after which writes are
 * dropped and reads give zero. Callers check `bad` once, at the end of a section.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct le_writer {
	uint8_t *buf; /* borrowed */
	size_t cap, len;
	bool bad;
};

struct le_reader {
	const uint8_t *buf; /* borrowed */
	size_t len, pos;
	bool bad;
};

/* Room for `n` bytes, or NULL (and `bad`) when they do not fit. */
static inline uint8_t *le_room(struct le_writer *w, size_t n)
{
	uint8_t *at;

	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	at = w->buf + w->len;
	w->len += n;
	return at;
}

/* The next `n` bytes, or NULL (and `bad`) when fewer are left. */
static inline const uint8_t *le_take(struct le_reader *r, size_t n)
{
	const uint8_t *at;

	if (r->bad || n > r->len - r->pos) {
		r->bad = true;
		return NULL;
	}
	at = r->buf + r->pos;
	r->pos += n;
	return at;
}

/* `width` is 1 to 8 bytes. x86-64 is little-endian: the low bytes of `value` are the encoding. */
static inline void le_put(struct le_writer *w, uint64_t value, size_t width)
{
	uint8_t *at = le_room(w, width);

	if (at)
		memcpy(at, &value, width);
}

static inline uint64_t le_get(struct le_reader *r, size_t width)
{
	const uint8_t *at = le_take(r, width);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, width);
	return value;
}

static inline void le_put_bytes(struct le_writer *w, const void *bytes, size_t n)
{
	uint8_t *at = le_room(w, n);

	if (at && n)
		memcpy(at, bytes, n);
}

static inline void le_get_bytes(struct le_reader *r, void *bytes, size_t n)
{
	const uint8_t *at = le_take(r, n);

	if (at && n)
		memcpy(bytes, at, n);
}
