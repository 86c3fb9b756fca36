/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What JSON output needs beside cJSON: exact 64-bit numbers, bytes as text, and printing.
 *
 * cJSON's add functions fail only without memory, and then an object lacks members; json_print
 * cannot know, so callers check what they cannot do without.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cJSON keeps numbers as doubles, which are exact to 2^53 only. */
void json_add_u64(cJSON *object, const char *name, uint64_t value);

/* "encoding": "utf-8" and the text itself where `data` is UTF-8 without NUL; else "base64". */
int json_add_bytes(cJSON *object, const char *name, const uint8_t *data, size_t bytes);

bool utf8_is_valid(const uint8_t *data, size_t bytes);

/* NUL-terminated, to be freed; NULL when out of memory. */
char *base64_encode(const uint8_t *data, size_t bytes);

/* Prints to stdout and deletes `object`, which may be NULL: then memory ran out. Returns an exit
 * code. */
int json_print(cJSON *object);
