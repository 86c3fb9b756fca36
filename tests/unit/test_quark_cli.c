/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark's command line: names, options, numbers and exit codes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "cli.h"

static void test_names(void **state)
{
	char long_name[65];

	(void)state;
	memset(long_name, 'a', 64);
	long_name[64] = '\0';
	static const char *const good[] = {"a", "0", "upper", "my-fn_2.0", "a..b"};
	static const char *const bad[] = {"",	  ".",	   "..",  ".a",	 "-a",	 "_a",
					  "A",	  "a/b",   "a b", "a\n", "../a", "ü",
					  "a\\b", "a\x7f"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_is_valid(bad[i]));
	assert_false(name_is_valid(long_name));
	assert_true(name_is_valid(long_name + 1));
}

static void test_name_error_names_the_name(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(name_check("no/good", &err), -EINVAL);
	assert_non_null(strstr(err.message, "no/good"));
	assert_int_equal(name_check("good", &err), 0);
}

static int never_run(struct cli *cli, int argc, char **argv)
{
	(void)cli;
	(void)argc;
	(void)argv;
	fail();
	return EXIT_ERROR;
}

static const struct verb verb = {
	.name = "verb", .summary = "s", .help = "verb\n", .least = 1, .most = 2, .run = never_run};
static const struct verb *const no_verbs[] = {NULL};

enum { OPT_LEVEL = OPT_VERB };

/* Parses as a verb does. Returns cli_getopt's last value; counts what came before. */
static int parse(struct cli *cli, char **argv, int *ret_code, unsigned int *ret_levels)
{
	static const struct option options[] = {{"level", required_argument, NULL, OPT_LEVEL}, {0}};
	int argc = 0;
	int option;

	while (argv[argc])
		argc++;
	optind = 0;
	*ret_levels = 0;
	while ((option = cli_getopt(cli, argc, argv, "", options, ret_code)) == OPT_LEVEL)
		++*ret_levels;
	return option;
}

static void test_common_options_anywhere(void **state)
{
	struct cli cli = {.verbs = no_verbs, .verb = &verb};
	char *argv[] = {"verb", "-q",	       "name", "--level", "x",	"--host-mode",
			"rig",	"--home=/h/h", "-v",   "--",	  "-q", NULL};
	unsigned int levels;
	int code;

	(void)state;
	assert_int_equal(parse(&cli, argv, &code, &levels), -1);
	assert_int_equal(levels, 1);
	assert_true(cli.quiet && cli.verbose);
	assert_int_equal(cli.mode, HOST_MODE_RIG);
	assert_string_equal(cli.home, "/h/h");
	assert_string_equal(argv[optind], "name");
	assert_string_equal(argv[optind + 1], "-q");
}

static void test_bad_options(void **state)
{
	static char *bad[][4] = {{"verb", "--nope", NULL},	   {"verb", "-x", NULL},
				 {"verb", "--level", NULL},	   {"verb", "--quiet=1", NULL},
				 {"verb", "--host-mode", "x", NULL}, {"verb", "--home", NULL}};
	unsigned int levels;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cli cli = {.verbs = no_verbs, .verb = &verb};
		int code = -1;

		assert_int_equal(parse(&cli, bad[i], &code, &levels), OPT_EXIT);
		assert_int_equal(code, EXIT_USAGE);
	}
}

static void test_argument_count(void **state)
{
	static const struct {
		char *argv[5];
		bool good;
	} lines[] = {{{"verb", NULL}, false},
		     {{"verb", "a", NULL}, true},
		     {{"verb", "a", "b", NULL}, true},
		     {{"verb", "a", "b", "c", NULL}, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct cli cli = {.verbs = no_verbs, .verb = &verb};
		int code = -1;
		char **argv;

		optind = 0;
		argv = (char **)(uintptr_t)lines[i].argv;
		assert_int_equal(cli_simple(&cli, (int)i + 1, argv, NULL, &code), lines[i].good);
		if (!lines[i].good)
			assert_int_equal(code, EXIT_USAGE);
	}
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {"",  "x",   "1x", "-1",  "+1",
					  " 1", "0",   "9",  "1.5", "99999999999999999999"};
	const struct cli cli = {.verbs = no_verbs, .verb = &verb};
	unsigned int value = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cli_number(&cli, "--vcpus", bad[i], 1, 8, &value));
	assert_int_equal(value, 77);
	assert_true(cli_number(&cli, "--vcpus", "8", 1, 8, &value));
	assert_int_equal(value, 8);
	assert_true(cli_number(&cli, "--vcpus", "1", 1, 8, &value));
	assert_int_equal(value, 1);
}

static void test_exit_codes(void **state)
{
	static const struct {
		int r, code;
	} table[] = {
		{0, 0},		   {-ENOENT, 6},  {-EBADMSG, 5}, {-EPROTONOSUPPORT, 5},
		{-ENOTSUP, 5},	   {-EPROTO, 4},  {-ENODEV, 7},	 {-ENOTRECOVERABLE, 4},
		{-ETIMEDOUT, 124}, {-ENOMEM, 1},  {-EIO, 1},	 {-ECONNRESET, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(exit_code_for(table[i].r), table[i].code);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_error_names_the_name),
		cmocka_unit_test(test_common_options_anywhere),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_argument_count),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_exit_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
