/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process a function becomes: contract, arguments, environment, folder and user, for each
 * language and contract, with and without an image.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "function_process.h"

static char *no_strings[] = {NULL};

static struct image image_of(char **entrypoint, char **cmd)
{
	return (struct image){
		.entrypoint = entrypoint,
		.cmd = cmd,
		.env = no_strings,
		.label_names = no_strings,
		.label_values = no_strings,
		.working_dir = (char *)"/srv",
		.user_name = (char *)"",
	};
}

/* The arguments as one text. */
static const char *joined(const struct string_list *list)
{
	static char text[1024];

	text[0] = '\0';
	for (size_t i = 0; i < list->count; i++) {
		assert_true(strlen(text) + strlen(list->items[i]) + 2 < sizeof(text));
		(void)strcat(strcat(text, i ? " " : ""), list->items[i]);
	}
	return text;
}

static void test_arguments(void **state)
{
	static char *entrypoint[] = {(char *)"/entry", NULL}, *cmd[] = {(char *)"a b", NULL};
	static const struct {
		unsigned int lang, contract;
		const char *handler, *command;
		bool folder, has_image, has_entrypoint;
		const char *args;
	} cases[] = {
		{LANG_C, CONTRACT_LIBQUARK, NULL, NULL, true, false, false, "/function/function"},
		{LANG_C, CONTRACT_STDIO, NULL, NULL, true, false, false,
		 "/run/quark/bin/contract stdio -- /function/function"},
		{LANG_PYTHON, CONTRACT_LIBQUARK, "m.f", NULL, true, true, true,
		 "python3 -m quark m.f"},
		{LANG_PYTHON, CONTRACT_LIBQUARK, NULL, NULL, true, true, false,
		 "python3 -m quark handler.handler"},
		{LANG_NODE, CONTRACT_LIBQUARK, "m.f", NULL, true, true, false,
		 "node /run/quark/node/quark/run.js m.f"},
		{LANG_PYTHON, CONTRACT_STDIO, "x.py", NULL, true, true, true,
		 "/run/quark/bin/contract stdio -- python3 /function/x.py"},
		{LANG_NODE, CONTRACT_HTTP, NULL, NULL, true, true, false,
		 "/run/quark/bin/contract http -- node /function/handler.js"},
		{LANG_SH, CONTRACT_STDIO, "x.sh", NULL, true, true, false,
		 "/run/quark/bin/contract stdio -- /bin/sh /function/x.sh"},
		{LANG_NONE, CONTRACT_STDIO, NULL, "ruby", true, true, true,
		 "/run/quark/bin/contract stdio -- ruby"},
		{LANG_PYTHON, CONTRACT_STDIO, NULL, "pypy", true, true, true,
		 "/run/quark/bin/contract stdio -- pypy"},
		{LANG_NONE, CONTRACT_STDIO, NULL, NULL, false, true, true,
		 "/run/quark/bin/contract stdio -- /entry a b"},
		{LANG_NONE, CONTRACT_LIBQUARK, NULL, NULL, false, true, true, "/entry a b"},
		{LANG_NONE, CONTRACT_LAMBDA, NULL, NULL, false, true, true,
		 "/run/quark/bin/contract lambda -- /entry a b"},
		{LANG_NONE, CONTRACT_LAMBDA, "m.f", NULL, false, true, true,
		 "/run/quark/bin/contract lambda --handler m.f -- /entry m.f"},
		{LANG_NODE, CONTRACT_LAMBDA, "m.f", NULL, true, true, true,
		 "/run/quark/bin/contract lambda --handler m.f -- /entry m.f"},
		{LANG_NODE, CONTRACT_LAMBDA, "m.f", NULL, true, true, false,
		 "/run/quark/bin/contract lambda --handler m.f -- node "
		 "/function/node_modules/.bin/aws-lambda-ric m.f"},
		{LANG_PYTHON, CONTRACT_LAMBDA, "m.f", NULL, true, true, false,
		 "/run/quark/bin/contract lambda --handler m.f -- python3 -m awslambdaric m.f"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_function_process struct function_process process = {0};
		struct image image = image_of(cases[i].has_entrypoint ? entrypoint : no_strings,
					      cmd);
		char *command[] = {(char *)cases[i].command, NULL};
		struct function_config config = {
			.lang = cases[i].lang,
			.wake = WAKE_RUN0,
			.handler = (char *)cases[i].handler,
			.command = {command, cases[i].command ? 1 : 0},
		};
		struct err err = {0};

		(void)strcpy(config.folder, cases[i].folder ? "/f" : "");
		if (function_process_fill(&process, &config, cases[i].contract,
					  cases[i].has_image ? &image : NULL, &err) < 0)
			fail_msg("case %zu: %s", i, err.message);
		if (strcmp(joined(&process.args), cases[i].args) != 0)
			fail_msg("case %zu: '%s' is not '%s'", i, joined(&process.args),
				 cases[i].args);
		assert_string_equal(process.cwd, cases[i].folder ? "/function" : "/srv");
	}
}

static void test_options_of_the_contract(void **state)
{
	cleanup_function_process struct function_process process = {0};
	char *options[] = {(char *)"--port", (char *)"81", NULL};
	struct function_config config = {
		.folder = "/f",
		.lang = LANG_NODE,
		.wake = WAKE_RUN0,
		.contract_options = {options, 2},
	};
	struct image image = image_of(no_strings, no_strings);

	(void)state;
	assert_int_equal(
		function_process_fill(&process, &config, CONTRACT_HTTP, &image, NULL), 0);
	assert_string_equal(joined(&process.args), "/run/quark/bin/contract http --port 81 -- node "
						   "/function/handler.js");
}

static void test_nothing_to_run(void **state)
{
	static char *empty[] = {(char *)"", NULL};
	struct image nothing = image_of(no_strings, no_strings);
	struct image nameless = image_of(empty, no_strings);
	struct image good = image_of(no_strings, empty + 1);
	struct function_config config = {.wake = WAKE_RUN0};
	struct function_process process;
	struct err err = {0};

	(void)state;
	assert_int_equal(function_process_fill(&process, &config, CONTRACT_STDIO, &nothing, &err),
			 -EINVAL);
	assert_non_null(strstr(err.message, "names no program"));
	assert_int_equal(
		function_process_fill(&process, &config, CONTRACT_LIBQUARK, &nothing, &err),
		-EINVAL);
	assert_int_equal(function_process_fill(&process, &config, CONTRACT_STDIO, &nameless, &err),
			 -EINVAL);
	assert_non_null(strstr(err.message, "empty name"));
	config.handler = (char *)"m.f";
	assert_int_equal(function_process_fill(&process, &config, CONTRACT_STDIO, &good, &err),
			 -EINVAL);
	assert_non_null(strstr(err.message, "handler"));
}

static void check_env(const struct string_list *env, const char *name, const char *value)
{
	const char *found = string_list_value(env, name);

	if (!value && !found)
		return;
	if (!found || !value || strcmp(found, value) != 0)
		fail_msg("%s is '%s', not '%s'", name, found ? found : "(absent)",
			 value ? value : "(absent)");
}

static void test_environment_of_an_image(void **state)
{
	static char *image_env[] = {(char *)"PATH=/opt/bin", (char *)"PYTHONPATH=/opt/lib",
				    (char *)"MODE=slow", (char *)"QUARK_WAKE=direct",
				    (char *)"QUARK_MAILBOX_FD=0", (char *)"broken", NULL};
	static char *mine[] = {(char *)"MODE=fast", (char *)"X=a=b", NULL};
	cleanup_function_process struct function_process process = {0};
	struct function_config config = {
		.folder = "/f", .lang = LANG_PYTHON, .wake = WAKE_RUN0, .env = {mine, 2}};
	struct image image = image_of(no_strings, no_strings);

	(void)state;
	image.env = image_env;
	assert_int_equal(
		function_process_fill(&process, &config, CONTRACT_LIBQUARK, &image, NULL), 0);
	check_env(&process.env, "PATH", "/opt/bin");
	check_env(&process.env, "PYTHONPATH", "/run/quark/python:/opt/lib");
	check_env(&process.env, "NODE_PATH", "/run/quark/node");
	check_env(&process.env, "MODE", "fast");
	check_env(&process.env, "X", "a=b");
	check_env(&process.env, "QUARK_WAKE", "run0");
	check_env(&process.env, "QUARK_DOORBELL_FD", "3");
	check_env(&process.env, "QUARK_MAILBOX_FD", "4");
	for (size_t i = 0; i < process.env.count; i++)
		assert_string_not_equal(process.env.items[i], "broken");
}

static void test_environment_without_image(void **state)
{
	cleanup_function_process struct function_process process = {0};
	struct function_config config = {.folder = "/f", .lang = LANG_C, .wake = WAKE_DIRECT};

	(void)state;
	assert_int_equal(function_process_fill(&process, &config, CONTRACT_LIBQUARK, NULL, NULL),
			 0);
	check_env(&process.env, "PATH", "/usr/bin:/bin");
	check_env(&process.env, "HOME", "/tmp");
	check_env(&process.env, "PYTHONPATH", NULL);
	check_env(&process.env, "QUARK_WAKE", "direct");
	assert_int_equal(process.uid, FUNCTION_USER);
	assert_int_equal(process.gid, FUNCTION_USER);
	assert_null(process.groups);
}

static void test_user_of_an_image(void **state)
{
	cleanup_function_process struct function_process process = {0};
	static char *entrypoint[] = {(char *)"x", NULL};
	struct function_config config = {.wake = WAKE_RUN0};
	struct image image = image_of(entrypoint, no_strings);
	uint32_t groups[] = {5, 6};

	(void)state;
	image.uid = 33;
	image.gid = 34;
	image.groups = groups;
	image.group_count = 2;
	image.working_dir = (char *)"relative";
	assert_int_equal(function_process_fill(&process, &config, CONTRACT_STDIO, &image, NULL),
			 0);
	assert_int_equal(process.uid, 33);
	assert_int_equal(process.gid, 34);
	assert_int_equal(process.group_count, 2);
	assert_int_equal(process.groups[1], 6);
	assert_string_equal(process.cwd, "/");
	check_env(&process.env, "PATH",
		  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

static void test_contract(void **state)
{
	static char *names[] = {(char *)"other", (char *)CONTRACT_LABEL, NULL};
	static char *command[] = {(char *)"x", NULL};
	static const struct {
		unsigned int said;
		const char *label;
		unsigned int lang;
		bool command;
		int result; /* enum function_contract, or -errno */
	} cases[] = {
		{CONTRACT_NONE, NULL, LANG_C, false, CONTRACT_LIBQUARK},
		{CONTRACT_NONE, NULL, LANG_PYTHON, false, CONTRACT_LIBQUARK},
		{CONTRACT_NONE, NULL, LANG_PYTHON, true, CONTRACT_STDIO},
		{CONTRACT_NONE, NULL, LANG_NODE, false, CONTRACT_LIBQUARK},
		{CONTRACT_NONE, NULL, LANG_SH, false, CONTRACT_STDIO},
		{CONTRACT_NONE, NULL, LANG_NONE, false, CONTRACT_STDIO},
		{CONTRACT_NONE, "lambda", LANG_NONE, false, CONTRACT_LAMBDA},
		{CONTRACT_HTTP, "lambda", LANG_NONE, false, CONTRACT_HTTP},
		{CONTRACT_NONE, "grpc", LANG_NONE, false, -EINVAL},
		{CONTRACT_NONE, "", LANG_NONE, false, -EINVAL},
		{CONTRACT_HTTP, "grpc", LANG_NONE, false, CONTRACT_HTTP},
		{CONTRACT_LIBQUARK, NULL, LANG_SH, false, -EINVAL},
		{CONTRACT_NONE, "libquark", LANG_SH, false, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *values[] = {(char *)"http", (char *)cases[i].label, NULL};
		struct image image = image_of(no_strings, no_strings);
		const struct function_config config = {
			.lang = cases[i].lang,
			.contract = cases[i].said,
			.command = {command, cases[i].command ? 1 : 0},
		};
		enum function_contract contract = CONTRACT_NONE;
		struct err err = {0};
		int r;

		image.label_names = cases[i].label ? names : no_strings;
		image.label_values = values;
		r = function_contract(&config, &image, &contract, &err);
		if ((r < 0 ? r : (int)contract) != cases[i].result)
			fail_msg("case %zu: %d, contract %d, %s", i, r, (int)contract,
				 err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_options_of_the_contract),
		cmocka_unit_test(test_nothing_to_run),
		cmocka_unit_test(test_environment_of_an_image),
		cmocka_unit_test(test_environment_without_image),
		cmocka_unit_test(test_user_of_an_image),
		cmocka_unit_test(test_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
