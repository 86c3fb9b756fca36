/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a function with a compiler that is a script: how it is called, what its failure looks
 * like, what the initramfs holds, and what the digest depends on.
 */
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

#include "quark/build_args.c"
#include "quark/build_digest.c"
#include "quark/build_function.c"
#include "quark/build_initramfs.c"
#include "quark/function_config.c"

/* Each test has a folder with a function, a compiler, and the files of an installed quark. */
struct fixture {
	char root[64], function[80], work[80], compiler[80], kernel[80], init[80];
	struct build_paths paths;
	struct function_config config;
	char initrd[PATH_MAX];
	char *output;
	struct err err;
};

static void put(const struct fixture *f, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
	file = fopen(path, "we");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void folder(const struct fixture *f, const char *name, char *ret_path, size_t room)
{
	(void)snprintf(ret_path, room, "%s/%s", f->root, name);
	assert_int_equal(mkdir(ret_path, 0755), 0);
}

/* Prints where and with what it was called, and writes the program named by -o. */
static const char good_compiler[] = "#!/bin/sh\n"
				    "echo \"cwd $(pwd)\"\n"
				    "for arg in \"$@\"; do echo \"arg $arg\"; done\n"
				    "env | sort | sed 's/^/env /'\n"
				    "while [ \"$1\" != -o ]; do shift; done\n"
				    "echo program >\"$2\"\n";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char data[80];

	if (!f)
		return -1;
	*state = f;
	(void)strcpy(f->root, "/tmp/quark-test-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	folder(f, "function", f->function, sizeof(f->function));
	folder(f, "function/data", data, sizeof(data));
	folder(f, "work", f->work, sizeof(f->work));
	(void)snprintf(f->compiler, sizeof(f->compiler), "%s/cc", f->root);
	(void)snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->root);
	(void)snprintf(f->init, sizeof(f->init), "%s/init", f->root);
	put(f, "cc", good_compiler, 0755);
	put(f, "kernel", "kernel", 0644);
	put(f, "init", "PID 1", 0755);
	put(f, "quark.h", "header", 0644);
	put(f, "libquark.a", "library", 0644);
	put(f, "function/main.c", "int main;", 0644);
	put(f, "function/data/x.bin", "12345", 0600);
	put(f, "function/" FUNCTION_CONFIG_FILE,
	    "{\"libs\": [\"z\"], \"cflags\": [\"-DX\"], \"files\": [\"data/x.bin\"]}", 0644);
	f->paths = (struct build_paths){f->compiler, f->root, f->root, f->init};
	return function_config_read(&f->config, f->function, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char *roots[] = {f->root, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	while (walk && (entry = fts_read(walk)))
		if (entry->fts_info != FTS_D)
			(void)remove(entry->fts_path);
	if (walk)
		(void)fts_close(walk);
	function_config_done(&f->config);
	free(f->output);
	free(f);
	return 0;
}

static int build(struct fixture *f)
{
	free(f->output);
	f->output = NULL;
	return function_build(&f->config, &f->paths, f->work, f->initrd, &f->output, &f->err);
}

static void assert_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || at[strlen(line)] != '\n' || (at != text && at[-1] != '\n'))
		fail_msg("no line '%s' in:\n%s", line, text);
}

/* --- the compiler -------------------------------------------------------------------------- */

static void test_compiler_call(void **state)
{
	struct fixture *f = *state;
	char line[256];

	(void)setenv("CPATH", "/leaks/into/the/build", 1);
	assert_int_equal(build(f), 0);
	(void)snprintf(line, sizeof(line), "cwd %s", f->function);
	assert_line(f->output, line);
	assert_line(f->output, "arg -static");
	assert_line(f->output, "arg -DX");
	assert_line(f->output, "arg main.c");
	assert_line(f->output, "arg -lz");
	(void)snprintf(line, sizeof(line), "arg %s/libquark.a", f->root);
	assert_line(f->output, line);
	assert_line(f->output, "env LC_ALL=C");
	assert_null(strstr(f->output, "CPATH"));
}

static void test_compiler_fails(void **state)
{
	struct fixture *f = *state;

	put(f, "cc", "#!/bin/sh\necho 'main.c:1: broken' >&2\nexit 3\n", 0755);
	assert_int_equal(build(f), -ENOEXEC);
	assert_string_equal(f->output, "main.c:1: broken\n");
	assert_non_null(strstr(f->err.message, "status 3"));
}

static void test_compiler_is_killed(void **state)
{
	struct fixture *f = *state;

	put(f, "cc", "#!/bin/sh\nkill -9 $$\n", 0755);
	assert_int_equal(build(f), -ENOEXEC);
	assert_non_null(strstr(f->err.message, "status 137"));
}

static void test_compiler_is_missing(void **state)
{
	struct fixture *f = *state;
	char digest[FUNCTION_DIGEST_BYTES];

	f->paths.compiler = "no-such-compiler";
	assert_int_equal(build(f), -ENOENT);
	assert_non_null(strstr(f->err.message, "no-such-compiler"));
	assert_int_equal(function_digest(&f->config, &f->paths, f->kernel, digest, &f->err),
			 -ENOENT);
}

static void test_compiler_prints_without_end(void **state)
{
	struct fixture *f = *state;

	put(f, "cc", "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\nexit 1\n", 0755);
	assert_int_equal(build(f), -ENOEXEC);
	assert_int_equal(strlen(f->output), COMPILER_OUTPUT_MAX);
}

/* --- the initramfs ------------------------------------------------------------------------- */

enum { NEWC_HEADER_BYTES = 110, NEWC_FIELD_DIGITS = 8 };

static unsigned long newc_field(const uint8_t *header, int index)
{
	char digits[NEWC_FIELD_DIGITS + 1] = {};

	memcpy(digits, header + 6 + index * NEWC_FIELD_DIGITS, NEWC_FIELD_DIGITS);
	return strtoul(digits, NULL, 16);
}

/* One line "mode size rdev name" for each entry; checks magic, owner, time and the trailer. */
static void newc_list(const uint8_t *data, size_t bytes, char *text, size_t room)
{
	size_t at = 0, n = 0;

	for (;;) {
		const uint8_t *h = data + at;
		const char *name = (const char *)h + NEWC_HEADER_BYTES;
		unsigned long size, name_bytes;

		assert_true(at + NEWC_HEADER_BYTES < bytes);
		assert_memory_equal(h, "070701", 6);
		for (int field = 2; field <= 3; field++)
			assert_int_equal(newc_field(h, field), 0);
		assert_int_equal(newc_field(h, 5), 0);
		size = newc_field(h, 6);
		name_bytes = newc_field(h, 11);
		assert_int_equal(strlen(name) + 1, name_bytes);
		at += (NEWC_HEADER_BYTES + name_bytes + 3) & ~3ul;
		if (strcmp(name, "TRAILER!!!") == 0)
			break;
		n += (size_t)snprintf(text + n, room - n, "%lo %lu %lu:%lu %s\n", newc_field(h, 1),
				      size, newc_field(h, 9), newc_field(h, 10), name);
		at += (size + 3) & ~3ul;
	}
	assert_int_equal(at, bytes);
}

static void test_initramfs(void **state)
{
	struct fixture *f = *state;
	cleanup_free uint8_t *data = NULL;
	char text[1024];
	size_t bytes;

	assert_int_equal(build(f), 0);
	assert_int_equal(file_read(f->initrd, 1 << 20, &data, &bytes, &f->err), 0);
	newc_list(data, bytes, text, sizeof(text));
	assert_string_equal(text, "40755 0 0:0 dev\n"
				  "40755 0 0:0 proc\n"
				  "40755 0 0:0 sys\n"
				  "40755 0 0:0 tmp\n"
				  "40755 0 0:0 function\n"
				  "20600 0 5:1 dev/console\n"
				  "100755 5 0:0 init\n"
				  "100755 8 0:0 function/function\n"
				  "40755 0 0:0 function/data\n"
				  "100644 5 0:0 function/data/x.bin\n");
}

static void test_same_inputs_same_initramfs(void **state)
{
	struct fixture *f = *state;
	cleanup_free uint8_t *first = NULL, *second = NULL;
	size_t first_bytes, second_bytes;

	assert_int_equal(build(f), 0);
	assert_int_equal(file_read(f->initrd, 1 << 20, &first, &first_bytes, &f->err), 0);
	assert_int_equal(build(f), 0);
	assert_int_equal(file_read(f->initrd, 1 << 20, &second, &second_bytes, &f->err), 0);
	assert_int_equal(first_bytes, second_bytes);
	assert_memory_equal(first, second, first_bytes);
}

static void test_missing_file(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/data/x.bin", f->function);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(build(f), -ENOENT);
	assert_non_null(strstr(f->err.message, "data/x.bin"));
}

static void test_missing_workdir(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->work), 0);
	assert_int_equal(build(f), -ENOENT);
}

/* --- the digest ---------------------------------------------------------------------------- */

static void digest(struct fixture *f, char ret_digest[FUNCTION_DIGEST_BYTES])
{
	if (function_digest(&f->config, &f->paths, f->kernel, ret_digest, &f->err) < 0)
		fail_msg("%s", f->err.message);
}

static void test_digest_is_stable(void **state)
{
	struct fixture *f = *state;
	char a[FUNCTION_DIGEST_BYTES], b[FUNCTION_DIGEST_BYTES];

	digest(f, a);
	put(f, "function/main.c", "int main;", 0644);
	put(f, "function/.main.c.swp", "an editor's", 0644);
	digest(f, b);
	assert_string_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), FUNCTION_DIGEST_BYTES - 1);
}

static void test_digest_sees_every_input(void **state)
{
	static const char *const names[] = {"function/main.c",	   "function/data/x.bin",
					    "function/new.h",	   "init",
					    "quark.h",		   "libquark.a",
					    "kernel",		   "cc"};
	struct fixture *f = *state;
	char before[FUNCTION_DIGEST_BYTES], after[FUNCTION_DIGEST_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		digest(f, before);
		put(f, names[i], "something else", 0755);
		digest(f, after);
		if (strcmp(before, after) == 0)
			fail_msg("%s changed and the digest did not", names[i]);
	}
	digest(f, before);
	f->config.memory_mib += 2;
	digest(f, after);
	assert_string_not_equal(before, after);
	f->config.vcpus++;
	digest(f, before);
	assert_string_not_equal(before, after);
	f->config.cpu_template = CPU_TEMPLATE_HOST;
	digest(f, after);
	assert_string_not_equal(before, after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_compiler_call),
		TEST(test_compiler_fails),
		TEST(test_compiler_is_killed),
		TEST(test_compiler_is_missing),
		TEST(test_compiler_prints_without_end),
		TEST(test_initramfs),
		TEST(test_same_inputs_same_initramfs),
		TEST(test_missing_file),
		TEST(test_missing_workdir),
		TEST(test_digest_is_stable),
		TEST(test_digest_sees_every_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
