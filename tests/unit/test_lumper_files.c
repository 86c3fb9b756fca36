/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that lumper build sends: sorted, complete, the same whatever the umask, and nothing from
 * outside of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lumper/files.h"

enum { LIST_BYTES = 4096 };

struct tree {
	char path[32];
	int fd;
	char list[LIST_BYTES]; /* a line for each piece: mode, offset, bytes, path */
	uint64_t sum;	       /* of the data, in order */
	unsigned int pieces, stop_at;
};

static struct tree tree;

static int setup(void **state)
{
	(void)state;
	tree = (struct tree){ .path = "/tmp/quark-files-XXXXXX" };
	if (!mkdtemp(tree.path))
		return -1;
	tree.fd = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tree.fd < 0;
}

/* One test makes paths that are longer than a system call takes. */
static int teardown(void **state)
{
	char command[64];

	(void)state;
	(void)close(tree.fd);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", tree.path);
	return system(command);
}

static void put(const char *name, const void *data, size_t bytes, mode_t mode)
{
	int fd = openat(tree.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, bytes), bytes);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static int take(void *context, const struct mailbox_file *file, const char *path, const void *data,
		struct err *err)
{
	size_t used = strlen(tree.list);
	const uint8_t *bytes = data;

	assert_ptr_equal(context, &tree);
	assert_int_equal(file->path_bytes, strlen(path));
	assert_int_equal(file->owner, 0);
	(void)snprintf(tree.list + used, LIST_BYTES - used, "%o %llu %u %s\n", file->mode,
		       (unsigned long long)file->offset, file->data_bytes, path);
	for (uint32_t i = 0; i < file->data_bytes; i++)
		tree.sum = tree.sum * 31 + bytes[i];
	if (++tree.pieces == tree.stop_at)
		return 42;
	(void)err;
	return 0;
}

static int walk(struct err *err)
{
	tree.list[0] = '\0';
	tree.pieces = 0;
	return files_walk(tree.fd, take, &tree, err);
}

static void test_order(void **state)
{
	struct err err = {};

	(void)state;
	assert_int_equal(mkdirat(tree.fd, "b", 0700), 0);
	put("b/z", "1", 1, 0600);
	put("b/a", "22", 2, 0700);
	put("a", "", 0, 0444);
	put("c", "x", 1, 04755);
	put("B", "x", 1, 0666);
	assert_int_equal(symlinkat("../../etc/passwd", tree.fd, "l"), 0);
	assert_int_equal(walk(&err), 0);
	assert_string_equal(tree.list, "100644 0 1 B\n"
				       "100644 0 0 a\n"
				       "40755 0 0 b\n"
				       "100755 0 2 b/a\n"
				       "100644 0 1 b/z\n"
				       "100755 0 1 c\n"
				       "120777 0 16 l\n");
}

/* The pieces lie one behind the other and hold all bytes; none is empty but that of an empty
 * file. */
static void test_pieces(void **state)
{
	const uint32_t room = mailbox_file_room(1);
	uint8_t *data = calloc(2, room);
	char expected[128];
	uint64_t sum = 0;
	struct err err = {};

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < 2ul * room; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < 2ul * room; i++)
		sum = sum * 31 + data[i];
	put("f", data, 2ul * room, 0644);
	assert_int_equal(walk(&err), 0);
	(void)snprintf(expected, sizeof(expected), "100644 0 %u f\n100644 %u %u f\n", room, room,
		       room);
	assert_string_equal(tree.list, expected);
	assert_int_equal(tree.sum, sum);

	put("f", data, room + 1, 0644);
	assert_int_equal(walk(&err), 0);
	(void)snprintf(expected, sizeof(expected), "100644 0 %u f\n100644 %u 1 f\n", room, room);
	assert_string_equal(tree.list, expected);
	free(data);
}

static void test_link_to_folder_is_no_way(void **state)
{
	struct err err = {};

	(void)state;
	assert_int_equal(symlinkat("/", tree.fd, "root"), 0);
	assert_int_equal(walk(&err), 0);
	assert_string_equal(tree.list, "120777 0 1 root\n");
}

static void test_refusals(void **state)
{
	char name[300];
	int fd = dup(tree.fd);
	struct err err = {};

	(void)state;
	assert_int_equal(mkfifoat(tree.fd, "fifo", 0600), 0);
	assert_int_equal(walk(&err), -EINVAL);
	assert_non_null(strstr(err.message, "'fifo'"));
	assert_int_equal(unlinkat(tree.fd, "fifo", 0), 0);

	for (int i = 0; i < FILES_DEPTH_MAX; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	assert_int_equal(walk(&err), -E2BIG);
	/* Sixteen times 255 bytes are more than a path may have. */
	memset(name, 'n', 255);
	name[255] = '\0';
	assert_int_equal(renameat(tree.fd, "d", tree.fd, "e"), 0);
	(void)close(fd);
	fd = dup(tree.fd);
	for (int i = 0; i < 17; i++) {
		int next;

		assert_int_equal(mkdirat(fd, name, 0700), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	assert_int_equal(unlinkat(tree.fd, "e", AT_REMOVEDIR), -1);
	assert_int_equal(renameat(tree.fd, "e", tree.fd, "z"), 0);
	assert_int_equal(walk(&err), -ENAMETOOLONG);
}

static void test_taker_ends_it(void **state)
{
	struct err err = {};

	(void)state;
	put("a", "1", 1, 0644);
	put("b", "2", 1, 0644);
	put("c", "3", 1, 0644);
	tree.stop_at = 2;
	assert_int_equal(walk(&err), 42);
	assert_int_equal(tree.pieces, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_to_folder_is_no_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taker_ends_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
