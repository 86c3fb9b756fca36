/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers for JSON output.
 */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "exit_codes.h"

void json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	(void)cJSON_AddRawToObject(object, name, text);
}

/* Length of the sequence at `data`, 0 when it is none: RFC 3629, so no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t utf8_sequence(const uint8_t *data, size_t bytes)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = {{0x80, 0x00, 0},
		     {0xe0, 0xc0, 0x80},
		     {0xf0, 0xe0, 0x800},
		     {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		uint32_t c = data[0] & (uint8_t)~forms[i].mask;

		if ((data[0] & forms[i].mask) != forms[i].lead)
			continue;
		if (bytes <= i)
			return 0;
		for (size_t j = 1; j <= i; j++) {
			if ((data[j] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (data[j] & 0x3f);
		}
		if (c < forms[i].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return 0;
		return i + 1;
	}
	return 0;
}

bool utf8_is_valid(const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		size_t n = utf8_sequence(data, bytes);

		if (n == 0)
			return false;
		data += n;
		bytes -= n;
	}
	return true;
}

char *base64_encode(const uint8_t *data, size_t bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	enum { PADDING = 64 };
	char *text = malloc((bytes + 2) / 3 * 4 + 1);
	char *at = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < bytes; i += 3) {
		const size_t left = bytes - i;
		const uint32_t group = (uint32_t)data[i] << 16 |
				       (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				       (left > 2 ? data[i + 2] : 0);

		*at++ = digits[group >> 18];
		*at++ = digits[group >> 12 & 63];
		*at++ = digits[left > 1 ? group >> 6 & 63 : PADDING];
		*at++ = digits[left > 2 ? group & 63 : PADDING];
	}
	*at = '\0';
	return text;
}

int json_add_bytes(cJSON *object, const char *name, const uint8_t *data, size_t bytes)
{
	/* A response lies in memory that its maker may still write to: copy, then look. */
	cleanup_free uint8_t *copy = malloc(bytes + 1);
	const bool text = copy && memcpy(copy, data, bytes) && utf8_is_valid(copy, bytes) &&
			  !memchr(copy, 0, bytes);
	cleanup_free char *value = NULL;

	if (!copy)
		return -ENOMEM;
	copy[bytes] = '\0';
	value = text ? (char *)TAKE_PTR(copy) : base64_encode(copy, bytes);
	if (!value || !cJSON_AddStringToObject(object, "encoding", text ? "utf-8" : "base64") ||
	    !cJSON_AddStringToObject(object, name, value))
		return -ENOMEM;
	return 0;
}

int json_print(cJSON *object)
{
	cleanup_free char *text = object ? cJSON_Print(object) : NULL;

	cJSON_Delete(object);
	if (!text) {
		fputs("quark: out of memory\n", stderr);
		return EXIT_ERROR;
	}
	puts(text);
	return EXIT_OK;
}
