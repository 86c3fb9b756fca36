/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quark prints and passes on: JSON, quantities, and the guest's kernel command line.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/boot.h"
#include "cleanup.h"
#include "format.h"
#include "guest_cmdline.h"
#include "json.h"
#include "snapshot.h"

static bool valid(const char *text)
{
	return utf8_is_valid((const uint8_t *)text, strlen(text));
}

/* The bounds of RFC 3629, each from both sides. */
static void test_utf8(void **state)
{
	static const char *const good[] = {"", "abc", "\x7f", "\xc2\x80", "\xdf\xbf",
					   "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
					   "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
					   "a\xc3\xbcz"};
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
					  "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80",
					  "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
					  "ok\xfe"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(valid(bad[i]));
}

/* The vectors of RFC 4648. */
static void test_base64(void **state)
{
	static const struct {
		const char *plain, *coded;
	} table[] = {{"", ""},		   {"f", "Zg=="},	  {"fo", "Zm8="},
		     {"foo", "Zm9v"},	   {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		     {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		cleanup_free char *coded = base64_encode((const uint8_t *)table[i].plain,
							 strlen(table[i].plain));

		assert_non_null(coded);
		assert_string_equal(coded, table[i].coded);
	}
}

static void test_json_bytes(void **state)
{
	static const struct {
		const char *data;
		size_t bytes;
		const char *text;
	} table[] = {
		{"a\"b\n", 4, "{\"encoding\":\"utf-8\",\"r\":\"a\\\"b\\n\"}"},
		{"", 0, "{\"encoding\":\"utf-8\",\"r\":\"\"}"},
		{"\xff", 1, "{\"encoding\":\"base64\",\"r\":\"/w==\"}"},
		{"a\0b", 3, "{\"encoding\":\"base64\",\"r\":\"YQBi\"}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		cJSON *object = cJSON_CreateObject();
		cleanup_free char *text = NULL;

		assert_int_equal(json_add_bytes(object, "r", (const uint8_t *)table[i].data,
						table[i].bytes),
				 0);
		text = cJSON_PrintUnformatted(object);
		cJSON_Delete(object);
		assert_string_equal(text, table[i].text);
	}
}

static void test_json_numbers_are_exact(void **state)
{
	cJSON *object = cJSON_CreateObject();
	cleanup_free char *text = NULL;

	(void)state;
	json_add_u64(object, "n", UINT64_MAX);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	assert_string_equal(text, "{\"n\":18446744073709551615}");
}

static void test_quantities(void **state)
{
	static const struct {
		void (*format)(uint64_t value, char text[FORMAT_BYTES]);
		uint64_t value;
		const char *text;
	} table[] = {
		{format_size, 0, "0 B"},
		{format_size, 1023, "1023 B"},
		{format_size, 1536, "1.50 KiB"},
		{format_size, 64u << 20, "64 MiB"},
		{format_size, UINT64_MAX, "17179869184.0 GiB"},
		{format_age, 59, "59 s"},
		{format_age, 90, "1.50 min"},
		{format_age, 86400, "1 d"},
		{format_ns, 999, "999 ns"},
		{format_ns, 1210000, "1.21 ms"},
		{format_ns, 12345678900, "12.3 s"},
	};
	char text[FORMAT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		table[i].format(table[i].value, text);
		assert_string_equal(text, table[i].text);
	}
	assert_string_equal(cpu_template_name(CPU_TEMPLATE_HOST), "host");
	assert_string_equal(cpu_template_name(9), "unknown");
}

/* Whole words only. */
static bool has_option(const char *cmdline, const char *option)
{
	const size_t n = strlen(option);

	for (const char *at = cmdline; (at = strstr(at, option)); at += n)
		if ((at == cmdline || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

static void test_guest_cmdline(void **state)
{
	static const char *const needed[] = {"console=ttyS0", "clocksource=kvm-clock",
					     "hugepages=1", "rdinit=/init", "panic=-1"};
	char cmdline[512], again[512];
	struct err err = {0};
	size_t bytes;

	(void)state;
	assert_int_equal(guest_cmdline(cmdline, sizeof(cmdline), &err), 0);
	bytes = strlen(cmdline) + 1;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		assert_true(has_option(cmdline, needed[i]));
	assert_null(strstr(cmdline, "  "));
	assert_int_not_equal(cmdline[bytes - 2], ' ');

	/* It fits where it goes, and into exactly its own size, but into nothing less. */
	assert_true(bytes <= BOOT_CMDLINE_MAX);
	assert_true(bytes <= sizeof(((struct manifest *)NULL)->cmdline));
	assert_int_equal(guest_cmdline(again, bytes, &err), 0);
	assert_string_equal(again, cmdline);
	assert_int_equal(guest_cmdline(again, bytes - 1, &err), -ENOBUFS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_json_bytes),
		cmocka_unit_test(test_json_numbers_are_exact),
		cmocka_unit_test(test_quantities),
		cmocka_unit_test(test_guest_cmdline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
