/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build's SOURCE is, what options do to a config, and the trees of files that go into
 * guests.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "build.h"
#include "build_source.h"
#include "cleanup.h"
#include "digest.h"
#include "file_tree.h"

struct fixture {
	char root[64];
	struct err err;
};

static const char *at(const struct fixture *f, const char *name)
{
	static char paths[4][256];
	static unsigned int turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", f->root, name);
	return path;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	FILE *file = fopen(at(f, name), "we");

	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void folder(const struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0755), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	(void)strcpy(f->root, "/tmp/quark-test-XXXXXX");
	return mkdtemp(f->root) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = file_tree_remove(f->root, NULL);

	free(f);
	return r;
}

/* --- sources --------------------------------------------------------------------------------- */

static void test_sources(void **state)
{
	static const struct {
		const char *name;
		int result; /* 1: an image */
	} cases[] = {
		{"layout", 1},	   {"layout:tag", 1}, {"layout/", 1}, {"save.tar", 1},
		{"function", 0},   {"function/", 0},  {"missing", -ENOENT},
		{"function:x", -ENOENT}, {"layout:a/b", -ENOENT},
	};
	static const char *const references[] = {"python:3", "localhost:5000/a/b:1", "a",
						 "docker.io/library/x@sha256:0"};
	struct fixture *f = *state;
	bool is_image;

	folder(f, "layout");
	put(f, "layout/oci-layout", "{}");
	put(f, "save.tar", "");
	folder(f, "function");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = source_is_image(at(f, cases[i].name), &is_image, &f->err);

		if ((r < 0 ? r : is_image) != cases[i].result)
			fail_msg("%s: %d", cases[i].name, r < 0 ? r : is_image);
	}
	for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
		assert_int_equal(source_is_image(references[i], &is_image, &f->err), 0);
		assert_true(is_image);
	}
	assert_int_equal(source_is_image("", &is_image, &f->err), -ENOENT);
	assert_int_equal(source_is_image("./nothing", &is_image, &f->err), -ENOENT);
}

static void test_loopback(void **state)
{
	static const char *const loopback[] = {"localhost:5000/a", "127.0.0.1:1/a:2",
					       "[::1]:5000/a", "localhost/a"};
	static const char *const others[] = {"localhost.example/a", "127.0.0.10:1/a",
					     "example.org/localhost:1", "a", "127.0.0.1",
					     "127.0.0.1.example:80/a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(loopback); i++)
		assert_true(reference_is_loopback(loopback[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(reference_is_loopback(others[i]));
}

/* --- options --------------------------------------------------------------------------------- */

static void test_merge(void **state)
{
	cleanup_function_config struct function_config config = {};
	char *items[] = {(char *)"A=2", (char *)"B=3", NULL};
	const struct build_options options = {
		.handler = "new.f",
		.lang = LANG_PYTHON,
		.memory_mib = 256,
		.has_warm_up = true,
		.pure = true,
		.env = {items, 2},
	};

	(void)state;
	config.lang = LANG_NODE;
	config.contract = CONTRACT_HTTP;
	config.warm_up = 7;
	config.vcpus = 2;
	config.cpu_template = CPU_TEMPLATE_HOST;
	config.handler = strdup("old.f");
	config.image = strdup("old");
	assert_int_equal(string_list_set(&config.env, "A=1"), 0);
	assert_int_equal(build_merge(&config, &options, NULL), 0);
	assert_int_equal(config.lang, LANG_PYTHON);
	assert_int_equal(config.contract, CONTRACT_HTTP);
	assert_int_equal(config.memory_mib, 256);
	assert_int_equal(config.vcpus, 2);
	assert_int_equal(config.warm_up, 0);
	assert_int_equal(config.cpu_template, CPU_TEMPLATE_HOST);
	assert_true(config.pure);
	assert_string_equal(config.handler, "new.f");
	assert_string_equal(config.image, "old");
	assert_int_equal(config.env.count, 2);
	assert_string_equal(config.env.items[0], "A=2");
	assert_string_equal(config.env.items[1], "B=3");
}

static void test_contract_of_inputs(void **state)
{
	(void)state;
	assert_string_equal(inputs_contract("libquark-0123"), "libquark");
	assert_string_equal(inputs_contract("lambda-"), "lambda");
	assert_string_equal(inputs_contract("0123abcd-0123"), "");
	assert_string_equal(inputs_contract("http"), "");
	assert_string_equal(inputs_contract(""), "");
	assert_string_equal(inputs_contract("-x"), "");
}

/* --- trees ----------------------------------------------------------------------------------- */

static void digest_tree(struct fixture *f, const char *name, char ret_text[DIGEST_TEXT_BYTES])
{
	cleanup_digest struct digest *digest = digest_new();

	assert_non_null(digest);
	assert_int_equal(file_tree_digest(at(f, name), digest_update, digest, &f->err), 0);
	digest_finish(digest, ret_text);
}

/* A copy has the digest of what it was made of, and what is left out is in neither. */
static void test_copy_of_a_tree(void **state)
{
	char a[DIGEST_TEXT_BYTES], b[DIGEST_TEXT_BYTES];
	struct fixture *f = *state;

	folder(f, "from");
	folder(f, "from/sub");
	folder(f, "from/sub/.kept");
	folder(f, "from/.git");
	folder(f, "from/sub/__pycache__");
	put(f, "from/sub/x", "text");
	put(f, "from/.git/config", "secret");
	put(f, "from/sub/__pycache__/x.pyc", "stale");
	assert_int_equal(symlink("/nowhere", at(f, "from/sub/link")), 0);
	folder(f, "to");
	assert_int_equal(file_tree_copy(at(f, "from"), at(f, "to"), &f->err), 0);
	digest_tree(f, "from", a);
	digest_tree(f, "to", b);
	assert_string_equal(a, b);
	assert_int_equal(access(at(f, "to/sub/.kept"), F_OK), 0);
	assert_int_equal(access(at(f, "to/.git"), F_OK), -1);
	assert_int_equal(access(at(f, "to/sub/__pycache__"), F_OK), -1);
	put(f, "from/.git/config", "other");
	digest_tree(f, "from", b);
	assert_string_equal(a, b);
}

/* The same bytes in other places are another tree. */
static void test_trees_differ(void **state)
{
	char texts[4][DIGEST_TEXT_BYTES];
	struct fixture *f = *state;

	folder(f, "a");
	put(f, "a/x", "yz");
	digest_tree(f, "a", texts[0]);
	put(f, "a/x", "y");
	put(f, "a/z", "");
	digest_tree(f, "a", texts[1]);
	assert_int_equal(unlink(at(f, "a/z")), 0);
	folder(f, "a/z");
	digest_tree(f, "a", texts[2]);
	assert_int_equal(rmdir(at(f, "a/z")), 0);
	assert_int_equal(symlink("y", at(f, "a/z")), 0);
	digest_tree(f, "a", texts[3]);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(texts[i], texts[j]);
}

static void test_strange_files(void **state)
{
	struct fixture *f = *state;

	folder(f, "a");
	folder(f, "to");
	assert_int_equal(mkfifo(at(f, "a/pipe"), 0600), 0);
	assert_int_equal(file_tree_copy(at(f, "a"), at(f, "to"), &f->err), -EINVAL);
	assert_non_null(strstr(f->err.message, "a/pipe"));
	assert_int_equal(file_tree_copy_item(at(f, "a"), "pipe", at(f, "to"), &f->err), -EINVAL);
}

static void test_large_files(void **state)
{
	struct fixture *f = *state;

	folder(f, "a");
	folder(f, "to");
	put(f, "a/large", "");
	assert_int_equal(truncate(at(f, "a/large"), (off_t)FILE_TREE_MAX_BYTES + 1), 0);
	assert_int_equal(file_tree_copy(at(f, "a"), at(f, "to"), &f->err), -EFBIG);
	assert_int_equal(file_tree_copy_item(at(f, "a"), "large", at(f, "to"), &f->err), -EFBIG);
}

static void test_items(void **state)
{
	struct fixture *f = *state;

	folder(f, "a");
	folder(f, "a/deep");
	folder(f, "a/deep/down");
	put(f, "a/deep/down/x", "1");
	put(f, "secret", "s");
	assert_int_equal(symlink("..", at(f, "a/up")), 0);
	assert_int_equal(symlink("deep", at(f, "a/down")), 0);
	folder(f, "to");
	assert_int_equal(file_tree_copy_item(at(f, "a"), "deep/down/x", at(f, "to"), &f->err), 0);
	assert_int_equal(access(at(f, "to/deep/down/x"), F_OK), 0);
	assert_int_equal(file_tree_copy_item(at(f, "a"), "down", at(f, "to"), &f->err), 0);
	assert_int_equal(access(at(f, "to/down/down/x"), F_OK), 0);
	assert_int_equal(file_tree_copy_item(at(f, "a"), "up/secret", at(f, "to"), &f->err),
			 -EXDEV);
	assert_int_equal(file_tree_copy_item(at(f, "a"), "up", at(f, "to"), &f->err), -EXDEV);
	assert_int_equal(access(at(f, "to/up"), F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sources),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_contract_of_inputs),
		TEST(test_copy_of_a_tree),
		TEST(test_trees_differ),
		TEST(test_strange_files),
		TEST(test_large_files),
		TEST(test_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
