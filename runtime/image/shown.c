/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names out of images in messages: an image must not be able to write to a terminal.
 */
#include "image_priv.h"

#include "text.h"

char *shown(const char *text, char *buf)
{
	size_t bytes = strnlen(text, SHOWN_BYTES - 4);
	const bool cut = text[bytes] != '\0';

	bytes = text_clean(buf, text, bytes);
	for (size_t i = 0; i < bytes; i++)
		if (buf[i] == '\n' || buf[i] == '\t')
			buf[i] = '?';
	memcpy(buf + bytes, cut ? "..." : "", cut ? 4 : 1);
	return buf;
}
