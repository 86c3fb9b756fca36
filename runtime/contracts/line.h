/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of an HTTP head, put together without printf: that would touch pages of its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct line {
	char *text; /* borrowed; no NUL */
	size_t bytes, max;
};

/* What does not fit is left out: who knows the parts makes room for them. */
static inline void line_add(struct line *line, const char *data, size_t bytes)
{
	if (bytes > line->max - line->bytes)
		bytes = line->max - line->bytes;
	memcpy(line->text + line->bytes, data, bytes);
	line->bytes += bytes;
}

static inline void line_add_text(struct line *line, const char *text)
{
	line_add(line, text, strlen(text));
}

static inline void line_add_number(struct line *line, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	line_add(line, digits + at, sizeof(digits) - at);
}
