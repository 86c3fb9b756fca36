/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from strangers: what may reach a terminal, and what comes of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "text.h"

#define TEXT(text) (text), sizeof(text) - 1

static const struct {
	const char *from;
	size_t from_bytes;
	const char *to;
} texts[] = {
	{ TEXT(""), "" },
	{ TEXT("plain\ttext\n"), "plain\ttext\n" },
	{ TEXT("\x1b[2J\x1b]0;title\x07"), "?[2J?]0;title?" },
	{ TEXT("a\r\nb\rc\r"), "a\nb?c?" },
	{ TEXT("nul\0del\x7f"), "nul?del?" },
	{ TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7"),
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7" },
	{ TEXT("c1 \x9b as a byte, \xc2\x9b in UTF-8"), "c1 ? as a byte, ?? in UTF-8" },
	{ TEXT("overlong \xc0\x9b \xe0\x80\x9b \xf0\x80\x80\x9b"), "overlong ?? ??? ????" },
	{ TEXT("surrogate \xed\xa0\x80, beyond \xf4\x90\x80\x80"), "surrogate ???, beyond ????" },
	{ TEXT("cut \xe2\x82"), "cut ??" },
	{ TEXT("cut by a letter \xe2\x82x"), "cut by a letter ??x" },
};

static void test_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		/* Of exactly that size, so that the sanitizer sees a read beyond it. */
		char *from = malloc(texts[i].from_bytes + !texts[i].from_bytes);
		size_t n;

		assert_non_null(from);
		memcpy(from, texts[i].from, texts[i].from_bytes);
		n = text_clean(from, from, texts[i].from_bytes);
		assert_int_equal(n, strlen(texts[i].to));
		assert_memory_equal(from, texts[i].to, n);
		free(from);
	}
}

static char *written(const char *text, size_t bytes, size_t *ret_bytes)
{
	char *out = NULL;
	FILE *file = open_memstream(&out, ret_bytes);

	assert_non_null(file);
	text_write_clean(file, text, bytes);
	assert_int_equal(fclose(file), 0);
	return out;
}

static void check_written(const char *text, const char *expected)
{
	size_t bytes;
	char *out = written(text, strlen(text), &bytes);

	assert_string_equal(out, expected);
	free(out);
}

static void test_lines(void **state)
{
	(void)state;
	check_written("", "\n");
	check_written("no end", "no end\n");
	check_written("an end\n", "an end\n");
	check_written("\x1b", "?\n");
}

/* Long texts go in pieces: no character and no line end may be lost where two of them meet. */
static void test_pieces(void **state)
{
	char text[5000], *out;
	size_t bytes;

	(void)state;
	for (size_t lead = 0; lead < 6; lead++) {
		size_t n = lead;

		memset(text, 'x', lead);
		while (n + 6 < sizeof(text)) {
			memcpy(text + n, "\xe2\x82\xac\xc3\xbc", 5);
			n += 5;
		}
		out = written(text, n, &bytes);
		assert_int_equal(bytes, n + 1);
		assert_memory_equal(out, text, n);
		free(out);
	}
	for (size_t at = 1000; at < 1100; at++) {
		memset(text, 'x', sizeof(text));
		memcpy(text + at, "\r\n", 2);
		out = written(text, sizeof(text), &bytes);
		assert_int_equal(bytes, sizeof(text)); /* one less, and the last line's end */
		assert_null(memchr(out, '?', bytes));
		free(out);
	}
	memset(text, 0xbf, sizeof(text)); /* never the begin of a character */
	out = written(text, sizeof(text), &bytes);
	assert_int_equal(bytes, sizeof(text) + 1);
	assert_int_equal(strspn(out, "?"), sizeof(text));
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
