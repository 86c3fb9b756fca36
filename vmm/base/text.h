/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from strangers on its way to a terminal or a log.
 *
 * What a guest prints, a function's error message, or a string out of a file may hold escape
 * sequences, by which a terminal can be made to lie, to type, or to hang.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Copies at most `bytes` bytes and returns how many it wrote: printable ASCII, well-formed UTF-8,
 * newline and tab as they are; "\r\n" as a newline; a question mark for every byte of anything
 * else, C0 and C1 control characters included. `to` may be `from`. */
size_t text_clean(char *to, const void *from, size_t bytes);

/* The same, to a stream; ends the last line, also an empty one. */
void text_write_clean(FILE *out, const void *text, size_t bytes);
