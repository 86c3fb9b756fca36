/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that people write: decimal digits and nothing else, no sign and no space.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Reads the digits that `text` begins with; *ret_end is what follows them. False when there are
 * none, or too many for 64 bits. */
static inline bool number_take(const char *text, char **ret_end, uint64_t *ret_value)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_value = strtoull(text, ret_end, 10);
	return errno == 0;
}

/* The whole of `text` is a number from `least` to `most`. */
static inline bool number_parse(const char *text, uint64_t least, uint64_t most,
				uint64_t *ret_value)
{
	uint64_t value;
	char *end;

	if (!number_take(text, &end, &value) || *end || value < least || value > most)
		return false;
	*ret_value = value;
	return true;
}
