/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark's home folder, requests, and the programs that it runs.
 */
#include <errno.h>
#include <fcntl.h>
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

#include "child.h"
#include "cleanup.h"
#include "clock.h"
#include "exit_codes.h"
#include "mailbox.h"
#include "request.h"
#include "store.h"

struct fixture {
	char base[32];
	struct paths paths;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	(void)strcpy(fixture.base, "/tmp/test_store.XXXXXX");
	if (!mkdtemp(fixture.base) || paths_init(&fixture.paths, fixture.base, NULL) < 0)
		return -1;
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char templates[64];

	(void)snprintf(templates, sizeof(templates), "%s/" TEMPLATES_FOLDER, fixture->base);
	(void)folder_remove(templates, NULL);
	paths_done(&fixture->paths);
	return folder_remove(fixture->base, NULL);
}

static void write_file(const char *path, const char *data, size_t bytes)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

/* A folder that holds a manifest of nonsense. */
static void make_template(const struct fixture *fixture, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/" TEMPLATES_FOLDER "/%s", fixture->base, name);
	assert_int_equal(make_folders(path, NULL), 0);
	(void)strcat(path, "/manifest.json");
	write_file(path, "{}", 2);
}

static void test_paths(void **state)
{
	struct fixture *fixture = *state;
	struct paths *paths = &fixture->paths;
	struct paths relative;
	struct err err = {0};

	assert_string_equal(paths->home, fixture->base);
	assert_int_equal(strncmp(paths->lumper, paths->prefix, strlen(paths->prefix)), 0);
	assert_int_equal(paths_init(&relative, "some/where", &err), 0);
	assert_int_equal(relative.home[0], '/');
	assert_non_null(strstr(relative.home, "/some/where"));
	paths_done(&relative);
}

static void test_folder_of_a_template(void **state)
{
	struct fixture *fixture = *state;
	static const char *const places[] = {"/a/b", "./x", ".", "..", "x/"};
	struct err err = {0};
	char expected[128];
	char *folder;

	assert_int_equal(store_folder(&fixture->paths, "name", &folder, &err), 0);
	(void)snprintf(expected, sizeof(expected), "%s/" TEMPLATES_FOLDER "/name", fixture->base);
	assert_string_equal(folder, expected);
	free(folder);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(store_folder(&fixture->paths, places[i], &folder, &err), 0);
		assert_string_equal(folder, places[i]);
		free(folder);
	}
	assert_int_equal(store_folder(&fixture->paths, "No", &folder, &err), -EINVAL);
}

static void test_list(void **state)
{
	struct fixture *fixture = *state;
	struct store_names names;
	struct err err = {0};

	assert_int_equal(store_list(&fixture->paths, &names, &err), 0);
	assert_int_equal(names.count, 0);
	make_template(fixture, "b");
	make_template(fixture, "a");
	make_template(fixture, ".hidden");
	assert_int_equal(store_list(&fixture->paths, &names, &err), 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.items[0], "a");
	assert_string_equal(names.items[1], "b");
	store_names_done(&names);
}

static void test_open_and_remove(void **state)
{
	struct fixture *fixture = *state;
	struct template *template = NULL;
	struct err err = {0};

	assert_int_equal(store_open(&fixture->paths, "a", &template, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "/a'"));
	assert_int_equal(store_remove(&fixture->paths, "a", &err), 0);
	assert_int_equal(store_open(&fixture->paths, "a", &template, &err), -ENOENT);
	assert_int_equal(store_remove(&fixture->paths, "a", &err), -ENOENT);
	assert_int_equal(store_remove(&fixture->paths, "../b", &err), -EINVAL);
	assert_int_equal(store_remove(&fixture->paths, "b", &err), 0);
	assert_int_equal(store_remove(&fixture->paths, ".hidden", &err), -EINVAL);
	assert_null(template);
}

static void test_remove_hidden_leftover(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/" TEMPLATES_FOLDER "/.hidden", fixture->base);
	assert_true(folder_disk_bytes(path) > 0);
	assert_int_equal(folder_remove(path, NULL), 0);
	assert_int_equal(folder_disk_bytes(path), 0);
}

static void expect_request(const char *source, const char *data, size_t bytes)
{
	struct request request = {0};
	struct err err = {0};
	cleanup_fd int fd = -1;
	char copy[64];

	assert_int_equal(request_read(&request, source, &err), 0);
	assert_int_equal(request.bytes, bytes);
	assert_memory_equal(request.data, data, bytes);
	assert_int_equal(request_open(&request, &fd, &err), 0);
	assert_int_equal(read(fd, copy, sizeof(copy)), bytes);
	assert_memory_equal(copy, data, bytes);
	request_done(&request);
	assert_null(request.data);
}

static void test_requests(void **state)
{
	struct fixture *fixture = *state;
	struct request request = {0};
	struct err err = {0};
	char path[64];

	(void)snprintf(path, sizeof(path), "@%s/request", fixture->base);
	write_file(path + 1, "a\0b\n", 4);
	expect_request(NULL, "", 0);
	expect_request("", "", 0);
	expect_request("text", "text", 4);
	expect_request(path, "a\0b\n", 4);
	assert_int_equal(unlink(path + 1), 0);
	assert_int_equal(request_read(&request, path, &err), -ENOENT);
	assert_non_null(strstr(err.message, path + 1));
	assert_null(request.data);
}

static void test_request_size(void **state)
{
	struct fixture *fixture = *state;
	struct request request = {0};
	struct err err = {0};
	char path[64];

	(void)snprintf(path, sizeof(path), "@%s/request", fixture->base);
	write_file(path + 1, "", 0);
	assert_int_equal(truncate(path + 1, MAILBOX_REQUEST_MAX), 0);
	assert_int_equal(request_read(&request, path, &err), 0);
	assert_int_equal(request.bytes, MAILBOX_REQUEST_MAX);
	request_done(&request);
	assert_int_equal(truncate(path + 1, MAILBOX_REQUEST_MAX + 1), 0);
	assert_int_equal(request_read(&request, path, &err), -EMSGSIZE);
	assert_null(request.data);
	assert_int_equal(unlink(path + 1), 0);
}

static int run_shell(const char *script, unsigned int timeout_s)
{
	struct child_config config = CHILD_INHERIT;
	struct args args = {0};
	struct err err = {0};
	int code = -1;

	config.timeout_s = timeout_s;
	ARGS_ADD(&args, "/bin/sh", "-c", script);
	assert_int_equal(child_run(&args, &config, &code, &err), 0);
	return code;
}

static void test_children(void **state)
{
	const uint64_t before = monotonic_ns();
	struct child_config config = CHILD_INHERIT;
	struct args args = {0};
	struct err err = {0};
	int code;

	(void)state;
	assert_int_equal(run_shell("exit 0", 0), 0);
	assert_int_equal(run_shell("exit 42", 60), 42);
	assert_int_equal(run_shell("kill -TERM $$", 60), 128 + 15);
	assert_int_equal(run_shell("exec sleep 60", 1), EXIT_TIMEOUT);
	assert_true(monotonic_ns() - before < 30000000000u);

	ARGS_ADD(&args, "/no/such/program");
	assert_int_equal(child_run(&args, &config, &code, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/no/such/program"));
}

static void test_child_files(void **state)
{
	cleanup_fd int out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct child_config config = {.in = -1, .out = out, .err = out};
	struct args args = {0};
	struct err err = {0};
	char text[16] = "";
	int code;

	(void)state;
	assert_true(out >= 0);
	ARGS_ADD(&args, "/bin/sh", "-c", "echo one; echo two >&2");
	assert_int_equal(child_run(&args, &config, &code, &err), 0);
	assert_int_equal(pread(out, text, sizeof(text) - 1, 0), 8);
	assert_string_equal(text, "one\ntwo\n");
}

static void test_too_many_arguments(void **state)
{
	struct child_config config = CHILD_INHERIT;
	struct args args = {0};
	struct err err = {0};
	int code;

	(void)state;
	for (int i = 0; i < ARGS_MAX; i++)
		args_add(&args, "/bin/true");
	assert_int_equal(child_run(&args, &config, &code, &err), 0);
	args_add(&args, "x");
	assert_int_equal(child_run(&args, &config, &code, &err), -E2BIG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_folder_of_a_template),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_open_and_remove),
		cmocka_unit_test(test_remove_hidden_leftover),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_request_size),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_child_files),
		cmocka_unit_test(test_too_many_arguments),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
