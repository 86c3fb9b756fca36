/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a function with a compiler that is a script: how it is called, what its failure looks
 * like, which files come of it, and what the digest depends on.
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

#include <fts.h>

/* Each test has a folder with a function, a compiler, and the files of an installed quark. */
struct fixture {
	char root[64], function[80], work[80], compiler[80];
	struct build_paths paths;
	struct function_config config;
	char *files, *output;
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
	(void)snprintf(f->compiler, sizeof(f->compiler), "%s/cc", f->root);
	put(f, "cc", good_compiler, 0755);
	put(f, "quark.h", "header", 0644);
	put(f, "libquark.a", "library", 0644);
	put(f, "function/main.c", "int main;", 0644);
	put(f, "function/data/x.bin", "12345", 0600);
	put(f, "function/" FUNCTION_CONFIG_FILE,
	    "{\"libs\": [\"z\"], \"cflags\": [\"-DX\"], \"files\": [\"data/x.bin\"]}", 0644);
	f->paths = (struct build_paths){f->compiler, f->root, f->root};
	return function_config_read(&f->config, f->function, &f->err) < 0
		       ? -1
		       : function_config_complete(&f->config, &f->err);
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
	free(f->files);
	free(f->output);
	free(f);
	return 0;
}

/* Each time into a fresh folder. */
static int build(struct fixture *f)
{
	static unsigned int number;

	free(f->output);
	free(f->files);
	f->output = f->files = NULL;
	(void)snprintf(f->work, sizeof(f->work), "%s/work%u", f->root, number++);
	assert_int_equal(mkdir(f->work, 0700), 0);
	return function_build(&f->config, &f->paths, f->work, &f->files, &f->output, &f->err);
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
	cleanup_digest struct digest *digest = digest_new();

	assert_non_null(digest);
	f->paths.compiler = "no-such-compiler";
	assert_int_equal(build(f), -ENOENT);
	assert_non_null(strstr(f->err.message, "no-such-compiler"));
	assert_int_equal(function_digest(&f->config, &f->paths, digest, &f->err), -ENOENT);
}

static void test_compiler_prints_without_end(void **state)
{
	struct fixture *f = *state;

	put(f, "cc", "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\nexit 1\n", 0755);
	assert_int_equal(build(f), -ENOEXEC);
	assert_int_equal(strlen(f->output), COMPILER_OUTPUT_MAX);
}

/* --- the files ----------------------------------------------------------------------------- */

/* One line "mode size path" for each entry below. */
static void list(const char *folder, char *text, size_t room)
{
	char *roots[] = {(char *)folder, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *entry;
	size_t n = 0;

	assert_non_null(walk);
	text[0] = '\0';
	while ((entry = fts_read(walk)))
		if (entry->fts_info != FTS_DP && entry->fts_level > 0)
			n += (size_t)snprintf(text + n, room - n, "%o %lld %s\n",
					      entry->fts_statp->st_mode,
					      S_ISDIR(entry->fts_statp->st_mode)
						      ? 0ll
						      : (long long)entry->fts_statp->st_size,
					      entry->fts_path + strlen(folder) + 1);
	(void)fts_close(walk);
}

static void test_files_of_c(void **state)
{
	struct fixture *f = *state;
	char text[1024];

	assert_int_equal(build(f), 0);
	list(f->files, text, sizeof(text));
	assert_string_equal(text, "40755 0 function\n"
				  "40755 0 function/data\n"
				  "100644 5 function/data/x.bin\n"
				  "100755 8 function/function\n");
}

/* Whatever the caller's umask and the folder's permissions are. */
static void test_files_of_a_script(void **state)
{
	const mode_t umask_before = umask(077);
	struct fixture *f = *state;
	char text[1024], path[PATH_MAX];

	put(f, "function/run.sh", "#!/bin/sh\n", 0700);
	put(f, "function/.secret", "hidden", 0600);
	(void)snprintf(path, sizeof(path), "%s/link", f->function);
	assert_int_equal(symlink("/etc/shadow", path), 0);
	f->config.lang = LANG_SH;
	string_list_done(&f->config.files);
	assert_int_equal(build(f), 0);
	list(f->files, text, sizeof(text));
	(void)umask(umask_before);
	assert_string_equal(text, "40755 0 function\n"
				  "40755 0 function/data\n"
				  "100644 5 function/data/x.bin\n"
				  "100644 59 function/function.json\n"
				  "120777 11 function/link\n"
				  "100644 9 function/main.c\n"
				  "100755 10 function/run.sh\n");
}

static void test_file_behind_a_link(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/data/x.bin", f->function);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(build(f), -EXDEV);
	assert_non_null(strstr(f->err.message, "leads out of the folder"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../main.c", path), 0);
	assert_int_equal(build(f), 0);
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

	assert_int_equal(function_build(&f->config, &f->paths, "/nonexistent", &f->files,
					&f->output, &f->err),
			 -ENOENT);
}

/* --- the digest ---------------------------------------------------------------------------- */

static void digest_of(struct fixture *f, char ret_digest[DIGEST_TEXT_BYTES])
{
	cleanup_digest struct digest *digest = digest_new();

	assert_non_null(digest);
	if (function_digest(&f->config, &f->paths, digest, &f->err) < 0)
		fail_msg("%s", f->err.message);
	digest_finish(digest, ret_digest);
}

static void test_digest_is_stable(void **state)
{
	struct fixture *f = *state;
	char a[DIGEST_TEXT_BYTES], b[DIGEST_TEXT_BYTES];

	digest_of(f, a);
	put(f, "function/main.c", "int main;", 0644);
	put(f, "function/.main.c.swp", "an editor's", 0644);
	digest_of(f, b);
	assert_string_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), DIGEST_TEXT_BYTES - 1);
}

static void check_seen(struct fixture *f, const char *const *names, size_t count, const char *text)
{
	char before[DIGEST_TEXT_BYTES], after[DIGEST_TEXT_BYTES];

	for (size_t i = 0; i < count; i++) {
		digest_of(f, before);
		put(f, names[i], text, 0755);
		digest_of(f, after);
		if (strcmp(before, after) == 0)
			fail_msg("%s changed and the digest did not", names[i]);
	}
}

static void test_digest_sees_every_input(void **state)
{
	static const char *const of_c[] = {"function/main.c", "function/data/x.bin",
					   "function/new.h",  "quark.h",
					   "libquark.a",      "cc"};
	static const char *const of_script[] = {"function/main.c", "function/data/x.bin",
						"function/data/.y"};
	struct fixture *f = *state;
	char before[DIGEST_TEXT_BYTES], after[DIGEST_TEXT_BYTES], path[PATH_MAX];

	check_seen(f, of_c, ARRAY_SIZE(of_c), "something else");
	digest_of(f, before);
	f->config.lang = LANG_SH;
	digest_of(f, after);
	assert_string_not_equal(before, after);
	check_seen(f, of_script, ARRAY_SIZE(of_script), "another thing");
	digest_of(f, before);
	put(f, "function/data/x.bin", "another thing", 0644); /* no longer executable */
	digest_of(f, after);
	assert_string_not_equal(before, after);
	(void)snprintf(path, sizeof(path), "%s/link", f->function);
	assert_int_equal(symlink("a", path), 0);
	digest_of(f, before);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("b", path), 0);
	digest_of(f, after);
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
		TEST(test_files_of_c),
		TEST(test_files_of_a_script),
		TEST(test_file_behind_a_link),
		TEST(test_missing_file),
		TEST(test_missing_workdir),
		TEST(test_digest_is_stable),
		TEST(test_digest_sees_every_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
