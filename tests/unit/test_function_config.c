/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function.json: what is taken, what is refused and with which words, and what a folder without one
 * gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "quark/function_allowed.c"
#include "quark/function_config.c"

static int parse(const char *text, struct function_config *ret_config, struct err *err)
{
	return function_config_parse(ret_config, text, strlen(text), err);
}

static void test_defaults(void **state)
{
	cleanup_function_config struct function_config config = {};
	struct err err = {};

	(void)state;
	assert_int_equal(parse("{}", &config, &err), 0);
	assert_int_equal(config.memory_mib, 0);
	assert_int_equal(config.vcpus, 0);
	assert_int_equal(config.cpu_template, CPU_TEMPLATE_PORTABLE);
	assert_int_equal(config.sources.count, 0);
	assert_null(config.libs.items);
	assert_int_equal(config.lang, LANG_NONE);
	assert_null(config.image);
}

static void test_every_member(void **state)
{
	cleanup_function_config struct function_config config = {};
	struct err err = {};

	(void)state;
	assert_int_equal(
		parse(" {\"sources\": [\"a.c\", \"sub/b.c\"], \"libs\": [\"png\", \"z\"],\n"
		      "\"cflags\": [\"-DX=1\", \"-O3\"], \"files\": [\"data/x.bin\"],\n"
		      "\"memory_mib\": 8192, \"vcpus\": 8, \"cpu\": \"host\"} \n",
		      &config, &err),
		0);
	assert_int_equal(config.sources.count, 2);
	assert_string_equal(config.sources.items[1], "sub/b.c");
	assert_null(config.sources.items[2]);
	assert_string_equal(config.libs.items[1], "z");
	assert_string_equal(config.cflags.items[0], "-DX=1");
	assert_string_equal(config.files.items[0], "data/x.bin");
	assert_int_equal(config.memory_mib, 8192);
	assert_int_equal(config.vcpus, 8);
	assert_int_equal(config.cpu_template, CPU_TEMPLATE_HOST);
}

static void test_members_of_languages(void **state)
{
	cleanup_function_config struct function_config config = {};
	struct err err = {};

	(void)state;
	assert_int_equal(
		parse("{\"lang\": \"python\", \"handler\": \"pkg/main.handle\","
		      "\"image\": \"../images/python.tar\", \"contract\": \"lambda\","
		      "\"contract_options\": [\"--port\", \"9001\"],"
		      "\"command\": [\"sh\", \"-c\", \"exec ./x\\n\"],"
		      "\"env\": {\"A\": \"1\", \"B_2\": \"x=y \\u00e4\"},"
		      "\"wake\": \"direct\", \"pure\": true, \"warm_up\": 10000,"
		      "\"memory_limit_mib\": 1}",
		      &config, &err),
		0);
	assert_int_equal(config.lang, LANG_PYTHON);
	assert_string_equal(config.handler, "pkg/main.handle");
	assert_string_equal(config.image, "../images/python.tar");
	assert_int_equal(config.contract, CONTRACT_LAMBDA);
	assert_string_equal(config.contract_options.items[1], "9001");
	assert_string_equal(config.command.items[2], "exec ./x\n");
	assert_string_equal(config.env.items[0], "A=1");
	assert_string_equal(config.env.items[1], "B_2=x=y \xc3\xa4");
	assert_int_equal(config.wake, WAKE_DIRECT);
	assert_true(config.pure);
	assert_int_equal(config.warm_up, 10000);
	assert_int_equal(config.memory_limit_mib, 1);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"", "not JSON"},
		{"{", "not JSON"},
		{"[]", "not a JSON object"},
		{"null", "not a JSON object"},
		{"{} {}", "something follows"},
		{"{\"source\": []}", "unknown member 'source'"},
		{"{\"vcpus\": 1, \"vcpus\": 2}", "'vcpus' stands there twice"},
		{"{\"libs\": [\"z\"], \"libs\": [\"m\"]}", "'libs' stands there twice"},
		{"{\"sources\": \"a.c\"}", "'sources' is not a list"},
		{"{\"sources\": [1]}", "no string"},
		{"{\"sources\": [\"\"]}", "not allowed"},
		{"{\"sources\": [\"a.o\"]}", "'a.o' is not allowed"},
		{"{\"sources\": [\".c\"]}", "not allowed"},
		{"{\"sources\": [\"/etc/a.c\"]}", "not allowed"},
		{"{\"sources\": [\"../a.c\"]}", "not allowed"},
		{"{\"sources\": [\"b/../../a.c\"]}", "not allowed"},
		{"{\"sources\": [\"b//a.c\"]}", "not allowed"},
		{"{\"sources\": [\"-x.c\"]}", "not allowed"},
		{"{\"sources\": [\"@x.c\"]}", "not allowed"},
		{"{\"sources\": [\"a\\n.c\"]}", "not allowed"},
		{"{\"files\": [\"data/\"]}", "not allowed"},
		{"{\"files\": [\"..\"]}", "not allowed"},
		{"{\"libs\": [\"-lz\"]}", "not allowed"},
		{"{\"libs\": [\"z -Wl,x\"]}", "not allowed"},
		{"{\"libs\": [\"../z\"]}", "not allowed"},
		{"{\"cflags\": [\"@options\"]}", "not allowed"},
		{"{\"cflags\": [\"-o/etc/x\"]}", "not allowed"},
		{"{\"cflags\": [\"-fplugin=./x.so\"]}", "not allowed"},
		{"{\"cflags\": [\"-Wl,-T,x\"]}", "not allowed"},
		{"{\"cflags\": [\"-fopt-info-all=x\"]}", "not allowed"},
		{"{\"cflags\": [\"-fdump-tree-all\"]}", "not allowed"},
		{"{\"cflags\": [\"-fprofile-use=/x\"]}", "not allowed"},
		{"{\"cflags\": [\"-wrapper\"]}", "not allowed"},
		{"{\"cflags\": [\"-B.\"]}", "not allowed"},
		{"{\"cflags\": [\"-specs=x\"]}", "not allowed"},
		{"{\"memory_mib\": 30}", "an even number from 32 to 8192"},
		{"{\"memory_mib\": 8194}", "from 32 to 8192"},
		{"{\"memory_mib\": 65}", "even"},
		{"{\"memory_mib\": 64.5}", "even"},
		{"{\"memory_mib\": -64}", "even"},
		{"{\"memory_mib\": 1e300}", "even"},
		{"{\"memory_mib\": \"64\"}", "even"},
		{"{\"vcpus\": 0}", "a whole number from 1 to 8"},
		{"{\"vcpus\": 9}", "from 1 to 8"},
		{"{\"vcpus\": null}", "from 1 to 8"},
		{"{\"cpu\": \"fast\"}", "neither"},
		{"{\"cpu\": 1}", "neither"},
		{"{\"lang\": \"cobol\"}", "not one of c, python, node or sh"},
		{"{\"lang\": \"\"}", "not one of"},
		{"{\"lang\": 1}", "not one of"},
		{"{\"contract\": \"grpc\"}", "libquark, stdio, http or lambda"},
		{"{\"wake\": \"late\"}", "run0 or direct"},
		{"{\"pure\": 1}", "neither true nor false"},
		{"{\"warm_up\": 10001}", "from 0 to 10000"},
		{"{\"handler\": 1}", "'handler' is no string"},
		{"{\"handler\": \"\"}", "not allowed"},
		{"{\"handler\": \"-c\"}", "not allowed"},
		{"{\"handler\": \"../x.y\"}", "not allowed"},
		{"{\"handler\": \"/x.y\"}", "not allowed"},
		{"{\"handler\": \"a b\"}", "not allowed"},
		{"{\"handler\": \"a;b\"}", "not allowed"},
		{"{\"image\": \"\"}", "not allowed"},
		{"{\"image\": \"--x\"}", "not allowed"},
		{"{\"image\": \"a\\nb\"}", "not allowed"},
		{"{\"command\": \"ls\"}", "'command' is not a list"},
		{"{\"env\": [\"A=1\"]}", "'env' is not an object"},
		{"{\"env\": {\"A\": 1}}", "'A' is no string"},
		{"{\"env\": {\"\": \"1\"}}", "not allowed"},
		{"{\"env\": {\"A=B\": \"1\"}}", "not allowed"},
		{"{\"env\": {\"1A\": \"1\"}}", "not allowed"},
		{"{\"env\": {\"A\": \"1\", \"A\": \"2\"}}", "twice"},
		{"{\"env\": {\"QUARK_WAKE\": \"direct\"}}", "not allowed"},
		{"{\"env\": {\"A B\": \"1\"}}", "not allowed"},
		{"{\"memory_limit_mib\": 0}", "from 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct function_config config = {};
		struct err err = {};

		if (parse(cases[i].text, &config, &err) != -EINVAL)
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(err.message, cases[i].words))
			fail_msg("%s: '%s' does not say '%s'", cases[i].text, err.message,
				 cases[i].words);
		assert_null(config.sources.items);
	}
}

/* A list of `count` items, each `length` characters. */
static char *list_text(size_t count, size_t length)
{
	char *text = malloc(32 + count * (length + 3)), *at = text;

	assert_non_null(text);
	at += sprintf(at, "{\"libs\": [");
	for (size_t i = 0; i < count; i++) {
		at += sprintf(at, "%s\"", i ? "," : "");
		memset(at, 'z', length);
		at += length;
		at += sprintf(at, "\"");
	}
	(void)sprintf(at, "]}");
	return text;
}

static void test_bounds_of_lists(void **state)
{
	static const struct {
		size_t count, length;
		int result;
	} cases[] = {
		{FUNCTION_LIST_MAX, 1, 0},
		{FUNCTION_LIST_MAX + 1, 1, -EINVAL},
		{1, FUNCTION_NAME_MAX, 0},
		{1, FUNCTION_NAME_MAX + 1, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_function_config struct function_config config = {};
		cleanup_free char *text = list_text(cases[i].count, cases[i].length);

		assert_int_equal(parse(text, &config, NULL), cases[i].result);
	}
}

static void test_text_needs_no_nul(void **state)
{
	cleanup_function_config struct function_config config = {};

	(void)state;
	assert_int_equal(function_config_parse(&config, "{\"vcpus\": 2}9", 12, NULL), 0);
	assert_int_equal(config.vcpus, 2);
}

/* --- folders ------------------------------------------------------------------------------- */

struct folder {
	char path[64];
};

static int folder_make(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	if (!folder)
		return -1;
	*state = folder;
	(void)strcpy(folder->path, "/tmp/quark-test-XXXXXX");
	return mkdtemp(folder->path) ? 0 : -1;
}

static void folder_path(const struct folder *folder, const char *name, char path[128])
{
	(void)snprintf(path, 128, "%s/%s", folder->path, name);
}

static void folder_put(const struct folder *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	folder_path(folder, name, path);
	file = fopen(path, "we");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int folder_remove(void **state)
{
	static const char *const names[] = {"a.c", "b.c",	"c.c",
					    "a.h", ".hidden.c", FUNCTION_CONFIG_FILE};
	struct folder *folder = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		folder_path(folder, names[i], path);
		(void)unlink(path);
	}
	(void)rmdir(folder->path);
	free(folder);
	return 0;
}

static int read_whole(const struct folder *folder, struct function_config *config, struct err *err)
{
	int r = function_config_read(config, folder->path, err);

	return r < 0 ? r : function_config_complete(config, err);
}

static void test_folder_without_config(void **state)
{
	cleanup_function_config struct function_config config = {};
	const struct folder *folder = *state;
	struct err err = {};

	/* No file system lists them in order by chance: neither as made nor the other way round. */
	folder_put(folder, "b.c", "");
	folder_put(folder, "a.c", "");
	folder_put(folder, "c.c", "");
	folder_put(folder, "a.h", "");
	folder_put(folder, ".hidden.c", "");
	assert_int_equal(read_whole(folder, &config, &err), 0);
	assert_int_equal(config.sources.count, 3);
	assert_string_equal(config.sources.items[0], "a.c");
	assert_string_equal(config.sources.items[1], "b.c");
	assert_string_equal(config.sources.items[2], "c.c");
	assert_string_equal(config.folder, folder->path);
	assert_int_equal(config.lang, LANG_C);
	assert_int_equal(config.wake, WAKE_RUN0);
	assert_int_equal(config.memory_mib, 96);
	assert_int_equal(config.vcpus, 1);
}

static void test_folder_with_config(void **state)
{
	cleanup_function_config struct function_config config = {};
	const struct folder *folder = *state;
	struct err err = {};

	folder_put(folder, "a.c", "");
	folder_put(folder, "b.c", "");
	folder_put(folder, FUNCTION_CONFIG_FILE, "{\"sources\": [\"b.c\"], \"vcpus\": 3}");
	assert_int_equal(read_whole(folder, &config, &err), 0);
	assert_int_equal(config.sources.count, 1);
	assert_string_equal(config.sources.items[0], "b.c");
	assert_int_equal(config.vcpus, 3);
}

static void test_bad_folders(void **state)
{
	cleanup_function_config struct function_config config = {};
	const struct folder *folder = *state;
	struct err err = {};

	assert_int_equal(function_config_read(&config, "/nonexistent/folder", &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/folder"));
	assert_int_equal(read_whole(folder, &config, &err), -ENOENT);
	assert_non_null(strstr(err.message, "no C file"));
	folder_put(folder, FUNCTION_CONFIG_FILE, "{\"vcpus\": 99}");
	assert_int_equal(function_config_read(&config, folder->path, &err), -EINVAL);
	assert_non_null(strstr(err.message, FUNCTION_CONFIG_FILE "': 'vcpus'"));
}

/* What goes together and what does not; the folder has a C file. */
static void test_completing(void **state)
{
	static const struct {
		const char *text, *words; /* NULL: it is complete */
	} cases[] = {
		{"{\"lang\": \"python\", \"image\": \"i\"}", NULL},
		{"{\"lang\": \"sh\", \"image\": \"i\", \"handler\": \"x.sh\"}", NULL},
		{"{\"command\": [\"x\"], \"image\": \"i\"}", NULL},
		{"{\"lang\": \"c\", \"image\": \"i\", \"libs\": [\"z\"]}", NULL},
		{"{\"wake\": \"direct\", \"pure\": true}", NULL},
		{"{\"pure\": true}", NULL},
		{"{\"memory_mib\": 64, \"memory_limit_mib\": 64}", NULL},
		{"{\"lang\": \"python\"}", "needs an image"},
		{"{\"command\": [\"x\"]}", "needs an image"},
		{"{\"lang\": \"python\", \"image\": \"i\", \"libs\": [\"z\"]}",
		 "'libs' does not go with a function of this language (python)"},
		{"{\"lang\": \"node\", \"image\": \"i\", \"sources\": [\"a.c\"]}", "'sources'"},
		{"{\"handler\": \"a.b\"}", "'handler' does not go"},
		{"{\"lang\": \"c\", \"command\": [\"x\"]}", "'command' does not go"},
		{"{\"lang\": \"sh\", \"image\": \"i\", \"handler\": \"a\", \"command\": [\"x\"]}",
		 "which is it"},
		{"{\"wake\": \"direct\"}", "--pure"},
		{"{\"wake\": \"direct\", \"pure\": false}", "--pure"},
		{"{\"memory_limit_mib\": 98}", "more than the guest's 96 MiB"},
	};
	const struct folder *folder = *state;

	folder_put(folder, "a.c", "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_function_config struct function_config config = {};
		struct err err = {};
		int r;

		folder_put(folder, FUNCTION_CONFIG_FILE, cases[i].text);
		r = read_whole(folder, &config, &err);
		if (r != (cases[i].words ? -EINVAL : 0))
			fail_msg("%s: %d, %s", cases[i].text, r, err.message);
		if (cases[i].words && !strstr(err.message, cases[i].words))
			fail_msg("%s: '%s' does not say '%s'", cases[i].text, err.message,
				 cases[i].words);
	}
}

static void test_memory_fits_the_root(void **state)
{
	const struct folder *folder = *state;
	cleanup_function_config struct function_config config = {};

	folder_put(folder, FUNCTION_CONFIG_FILE, "{\"lang\": \"sh\", \"image\": \"i\"}");
	assert_int_equal(read_whole(folder, &config, NULL), 0);
	assert_int_equal(config.memory_mib, FUNCTION_IMAGE_MEMORY_MIB);
	assert_int_equal(config.sources.count, 0);
}

static void test_oversized_config(void **state)
{
	const struct folder *folder = *state;
	cleanup_free char *text = malloc(FUNCTION_CONFIG_MAX_BYTES + 2);
	struct function_config config;

	assert_non_null(text);
	memset(text, ' ', FUNCTION_CONFIG_MAX_BYTES + 1);
	text[FUNCTION_CONFIG_MAX_BYTES + 1] = 0;
	folder_put(folder, FUNCTION_CONFIG_FILE, text);
	assert_int_equal(function_config_read(&config, folder->path, NULL), -EFBIG);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_member),
		cmocka_unit_test(test_members_of_languages),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds_of_lists),
		cmocka_unit_test(test_text_needs_no_nul),
		FOLDER_TEST(test_folder_without_config),
		FOLDER_TEST(test_folder_with_config),
		FOLDER_TEST(test_bad_folders),
		FOLDER_TEST(test_completing),
		FOLDER_TEST(test_memory_fits_the_root),
		FOLDER_TEST(test_oversized_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
