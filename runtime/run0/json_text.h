/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as text, for the few small documents that the command itself makes: log lines, lists, and
 * the limits for `update`. The document is written into the caller's buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct json_text {
	char *to;     /* borrowed */
	size_t size;  /* of `to` */
	size_t bytes; /* written, without the zero at the end */
	bool is_full; /* something did not fit, and was left out whole */
};

static inline struct json_text json_text_to(char *buffer, size_t size)
{
	return (struct json_text){ .to = buffer, .size = size };
}

__attribute__((format(printf, 2, 3))) void json_add(struct json_text *json, const char *fmt, ...);

/* A string with its quotes. What is no well-formed UTF-8 becomes U+FFFD: JSON cannot hold it. */
void json_add_string(struct json_text *json, const char *text);

/* The same, of which a reader is content with the beginning when it does not fit: `reserve` bytes
 * are left for what comes after it. */
void json_add_string_cut(struct json_text *json, const char *text, size_t reserve);

/* A buffer of this size holds any string of so many bytes. */
#define JSON_STRING_BYTES(bytes) (6 * (bytes) + 3)
