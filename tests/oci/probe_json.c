/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe's output: one JSON object, built in memory.
 */
#include "probe_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void put(struct probe *probe, const char *text, size_t length)
{
	if (probe->length + length > TEXT_BYTES)
		_exit(TOO_MUCH_TEXT);
	memcpy(probe->text + probe->length, text, length);
	probe->length += length;
}

static void put_comma(struct probe *probe)
{
	const char last = probe->length ? probe->text[probe->length - 1] : '{';

	if (!strchr("{[:", last))
		put(probe, ",", 1);
}

void put_string(struct probe *probe, const char *string)
{
	char escape[8];

	put_comma(probe);
	put(probe, "\"", 1);
	for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
		if (*c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\') {
			put(probe, (const char *)c, 1);
			continue;
		}
		snprintf(escape, sizeof(escape), "\\u%04x", *c);
		put(probe, escape, strlen(escape));
	}
	put(probe, "\"", 1);
}

void put_number(struct probe *probe, long long number)
{
	char text[24];

	put_comma(probe);
	snprintf(text, sizeof(text), "%lld", number);
	put(probe, text, strlen(text));
}

void put_unsigned(struct probe *probe, unsigned long long number)
{
	char text[24];

	put_comma(probe);
	snprintf(text, sizeof(text), "%llu", number);
	put(probe, text, strlen(text));
}

void open_bracket(struct probe *probe, const char *bracket)
{
	put_comma(probe);
	put(probe, bracket, 1);
}

void close_bracket(struct probe *probe, const char *bracket)
{
	put(probe, bracket, 1);
}

void put_name(struct probe *probe, const char *name)
{
	put_string(probe, name);
	put(probe, ":", 1);
}

void put_member(struct probe *probe, const char *name, long long number)
{
	put_name(probe, name);
	put_number(probe, number);
}

void put_text_member(struct probe *probe, const char *name, const char *text)
{
	put_name(probe, name);
	put_string(probe, text);
}

const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";

	return name ? name : "unknown";
}

void put_error(struct probe *probe, int error)
{
	open_bracket(probe, "{");
	put_text_member(probe, "error", error_name(error));
	close_bracket(probe, "}");
}

void write_out(struct probe *probe)
{
	if (!probe->length)
		return;
	put(probe, "}\n", 2);
	for (size_t done = 0; done < probe->length;) {
		const ssize_t n = write(probe->out_fd, probe->text + done, probe->length - done);
		if (n <= 0)
			_exit(FAILED_TO_WRITE);
		done += (size_t)n;
	}
	probe->length = 0;
}
