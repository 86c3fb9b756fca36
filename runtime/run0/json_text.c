/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as text. Nothing here allocates.
 */
#include "json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

enum { PIECE_MAX = 8 };

void json_add(struct json_text *json, const char *fmt, ...)
{
	const size_t left = json->size - json->bytes;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(json->to + json->bytes, left, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < left) {
		json->bytes += (size_t)n;
		return;
	}
	json->is_full = true;
	if (left > 0)
		json->to[json->bytes] = '\0';
}

/* How many bytes the character at `at` has: 1 for anything that is not UTF-8. */
static size_t sequence_bytes(const unsigned char *at)
{
	const size_t wanted = *at < 0xc2 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
	size_t n = 1;

	while (n < wanted && (at[n] & 0xc0) == 0x80)
		n++;
	return n == wanted ? n : 1;
}

/* One character as JSON has it. Returns how many bytes of `at` it stands for. */
static size_t escape(const unsigned char *at, char piece[PIECE_MAX], size_t *ret_bytes)
{
	const size_t n = sequence_bytes(at);

	if (*at < ' ' || *at == 0x7f)
		*ret_bytes = (size_t)snprintf(piece, PIECE_MAX, "\\u%04x", *at);
	else if (*at == '"' || *at == '\\')
		*ret_bytes = (size_t)snprintf(piece, PIECE_MAX, "\\%c", *at);
	else {
		*ret_bytes = text_clean(piece, at, n);
		if (memcmp(piece, at, n) != 0)
			*ret_bytes = (size_t)snprintf(piece, PIECE_MAX, "\\ufffd");
	}
	return n;
}

/* Copies until `end`; what is there of the text is always whole characters. */
static bool add_characters(struct json_text *json, const char *text, size_t end)
{
	const unsigned char *at = (const unsigned char *)text;
	char piece[PIECE_MAX];
	size_t n;

	while (*at) {
		at += escape(at, piece, &n);
		if (json->bytes + n >= end)
			return false;
		memcpy(json->to + json->bytes, piece, n);
		json->bytes += n;
	}
	return true;
}

void json_add_string(struct json_text *json, const char *text)
{
	const size_t start = json->bytes;

	json_add(json, "\"");
	if (json->is_full)
		return;
	if (!add_characters(json, text, json->size)) {
		json->bytes = start;
		json->is_full = true;
		json->to[start] = '\0';
		return;
	}
	json_add(json, "\"");
}

void json_add_string_cut(struct json_text *json, const char *text, size_t reserve)
{
	const size_t kept = reserve + 2;

	json_add(json, "\"");
	if (json->is_full || json->size < json->bytes + kept)
		return;
	(void)add_characters(json, text, json->size - kept);
	json_add(json, "\"");
}
