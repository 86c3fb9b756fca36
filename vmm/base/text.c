/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from strangers. Pure but for text_write_clean, whose stream is the caller's.
 */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"

enum { PIECE_BYTES = 1024, SEQUENCE_MAX = 4 };

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Length of the printable character at `at`, 0 when there is none. Well-formed UTF-8 by the table
 * in RFC 3629, section 4, but for the C1 controls (U+0080 to U+009F). */
static size_t character_bytes(const uint8_t *at, size_t left)
{
	static const struct {
		uint8_t first, last, bytes, second_least, second_most;
	} rows[] = {
		{ 0xc2, 0xc2, 2, 0xa0, 0xbf }, { 0xc3, 0xdf, 2, 0x80, 0xbf },
		{ 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
		{ 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf },
		{ 0xf4, 0xf4, 4, 0x80, 0x8f },
	};

	if (at[0] < 0x80)
		return (at[0] >= ' ' && at[0] != 0x7f) || at[0] == '\n' || at[0] == '\t';
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last || left < rows[i].bytes ||
		    at[1] < rows[i].second_least || at[1] > rows[i].second_most)
			continue;
		for (size_t j = 2; j < rows[i].bytes; j++)
			if (!is_continuation(at[j]))
				return 0;
		return rows[i].bytes;
	}
	return 0;
}

size_t text_clean(char *to, const void *from, size_t bytes)
{
	const uint8_t *at = from;
	size_t written = 0;

	for (size_t i = 0; i < bytes;) {
		size_t n = character_bytes(at + i, bytes - i);

		if (n == 0 && at[i] == '\r' && i + 1 < bytes && at[i + 1] == '\n') {
			i++;
			continue;
		}
		if (n == 0) {
			to[written++] = '?';
			i++;
		}
		for (; n > 0; n--)
			to[written++] = (char)at[i++];
	}
	return written;
}

/* Text in memory that a guest shares is copied before it is looked at. A character across two
 * pieces would be lost, so a piece does not end within one. */
void text_write_clean(FILE *out, const void *text, size_t bytes)
{
	const uint8_t *at = text;
	char piece[PIECE_BYTES];
	char last = 0;

	while (bytes > 0) {
		size_t n = bytes < sizeof(piece) ? bytes : sizeof(piece);
		size_t whole;

		for (whole = n; n < bytes && whole > n - SEQUENCE_MAX; whole--)
			if (!is_continuation(at[whole]) && at[whole - 1] != '\r')
				break;
		for (size_t i = 0; i < whole; i++)
			piece[i] = (char)at[i];
		at += whole;
		bytes -= whole;
		n = text_clean(piece, piece, whole);
		(void)fwrite(piece, 1, n, out);
		last = n ? piece[n - 1] : last;
	}
	if (last != '\n')
		(void)fputc('\n', out);
}
