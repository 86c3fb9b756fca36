/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the mailbox: orders lie where the guest looks for them, and what no guest may
 * be asked, or what a guest may not answer, is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "mailbox_host.h"

static const struct mailbox_identity identity = { .generation = 7, .entropy = { 1, 2, 3 } };

static uint8_t *mailbox; /* of exactly its size: a sanitizer sees a step beyond */

static int setup(void **state)
{
	(void)state;
	mailbox = calloc(1, MAILBOX_BYTES);
	return mailbox ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(mailbox);
	return 0;
}

static const struct mailbox_header *header(void)
{
	return (const void *)mailbox;
}

static void test_request(void **state)
{
	static uint8_t large[MAILBOX_REQUEST_MAX + 1];
	struct err err = {};

	(void)state;
	assert_int_equal(mailbox_request_write(mailbox, MAILBOX_ORDER_REQUEST, &identity, 5, "abc",
					       3, &err), 0);
	assert_int_equal(header()->order, MAILBOX_ORDER_REQUEST);
	assert_int_equal(header()->generation, 7);
	assert_int_equal(header()->sequence, 5);
	assert_int_equal(header()->request_offset, MAILBOX_SMALL_REQUEST_OFFSET);
	assert_int_equal(header()->request_bytes, 3);
	assert_memory_equal(mailbox + MAILBOX_SMALL_REQUEST_OFFSET, "abc", 3);

	memset(large, 0x5a, sizeof(large));
	assert_int_equal(mailbox_request_write(mailbox, MAILBOX_ORDER_CREATE, &identity, 6, large,
					       MAILBOX_REQUEST_MAX, &err), 0);
	assert_int_equal(header()->request_offset, MAILBOX_REQUEST_OFFSET);
	assert_memory_equal(mailbox + MAILBOX_REQUEST_OFFSET, large, MAILBOX_REQUEST_MAX);
	assert_int_equal(mailbox[MAILBOX_RESPONSE_OFFSET], 0);

	/* What does not fit leaves the last order as it was. */
	assert_int_equal(mailbox_request_write(mailbox, MAILBOX_ORDER_REQUEST, &identity, 9, large,
					       MAILBOX_REQUEST_MAX + 1, &err), -EMSGSIZE);
	assert_int_equal(header()->sequence, 6);
	assert_int_equal(mailbox[MAILBOX_RESPONSE_OFFSET], 0);

	assert_int_equal(mailbox_request_write(mailbox, MAILBOX_ORDER_SLEEP, &identity, 10, NULL, 0,
					       &err), 0);
	assert_int_equal(header()->order, MAILBOX_ORDER_SLEEP);
	assert_int_equal(header()->request_bytes, 0);
}

static void test_file(void **state)
{
	const struct mailbox_file file = {
		.mode = S_IFREG | 0644, .path_bytes = 3, .offset = 9, .data_bytes = 4,
	};
	const uint8_t *at = mailbox + MAILBOX_SMALL_REQUEST_OFFSET;
	struct err err = {};

	(void)state;
	assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, "a/b", "data", &err), 0);
	assert_int_equal(header()->order, MAILBOX_ORDER_FILE);
	assert_int_equal(header()->request_offset, MAILBOX_SMALL_REQUEST_OFFSET);
	assert_int_equal(header()->request_bytes, sizeof(file) + 7);
	assert_memory_equal(at, &file, sizeof(file));
	assert_memory_equal(at + sizeof(file), "a/bdata", 7);
}

/* A piece fills the mailbox to its last byte, and one byte more is too many. */
static void test_file_room(void **state)
{
	static uint8_t data[MAILBOX_REQUEST_MAX];
	struct mailbox_file file = { .mode = S_IFREG, .path_bytes = 1 };
	struct err err = {};

	(void)state;
	file.data_bytes = mailbox_file_room(1);
	assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, "a", data, &err), 0);
	assert_int_equal(header()->request_bytes, MAILBOX_REQUEST_MAX);
	file.data_bytes++;
	assert_int_equal(mailbox_file_write(mailbox, &identity, 2, &file, "a", data, &err),
			 -EMSGSIZE);
	assert_int_equal(header()->sequence, 1);
	assert_int_equal(mailbox_file_room(4095), MAILBOX_REQUEST_MAX - sizeof(file) - 4095);
	assert_int_equal(mailbox_file_room(4096), 0);
	assert_int_equal(mailbox_file_room(UINT32_MAX), 0);
}

static void test_paths(void **state)
{
	static const char *const good[] = {
		"a", "a/b", ".a", "..a", "a..", "...", "a/.b/..c", "-"
	};
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a",
					   "a/../b", "./a", "a/." };
	struct mailbox_file file = { .mode = S_IFREG };
	struct err err = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		file.path_bytes = (uint32_t)strlen(good[i]);
		assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, good[i], NULL,
						    &err), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		file.path_bytes = (uint32_t)strlen(bad[i]);
		if (mailbox_file_write(mailbox, &identity, 1, &file, bad[i], NULL, &err) != -EINVAL)
			fail_msg("path '%s' is let through", bad[i]);
	}
	file.path_bytes = 3;
	assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, "a\0b", NULL, &err),
			 -EINVAL);
}

static void test_long_path(void **state)
{
	struct mailbox_file file = { .mode = S_IFREG, .path_bytes = 4095 };
	char path[4096];
	struct err err = {};

	(void)state;
	memset(path, 'a', sizeof(path));
	assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, path, NULL, &err), 0);
	file.path_bytes++;
	assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, path, NULL, &err),
			 -EINVAL);
}

static void test_types(void **state)
{
	static const uint32_t good[] = { S_IFREG, S_IFDIR, S_IFLNK };
	static const uint32_t bad[] = { 0, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFMT };
	struct mailbox_file file = { .path_bytes = 1 };
	struct err err = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		file.mode = good[i] | 0644;
		assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, "a", NULL, &err),
				 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		file.mode = bad[i] | 0644;
		assert_int_equal(mailbox_file_write(mailbox, &identity, 1, &file, "a", NULL, &err),
				 -EINVAL);
	}
}

static void test_create(void **state)
{
	struct {
		struct mailbox_create head;
		char config[4];
	} order = { .head = { .flags = MAILBOX_CREATE_DIRECT, .config_bytes = 4 }, .config = "{}" };
	struct mailbox_create create = {};
	struct err err = {};

	(void)state;
	assert_int_equal(mailbox_create_check(&order, sizeof(order), &create, &err), 0);
	assert_int_equal(create.flags, MAILBOX_CREATE_DIRECT);
	assert_int_equal(create.config_bytes, 4);
	assert_int_equal(mailbox_create_check(&order, sizeof(order) - 1, &create, &err), -EINVAL);
	assert_int_equal(mailbox_create_check(&order, sizeof(order.head) - 1, &create, &err),
			 -EINVAL);
	assert_int_equal(mailbox_create_check(&order, 0, &create, &err), -EINVAL);
	order.head.config_bytes = UINT32_MAX;
	assert_int_equal(mailbox_create_check(&order, sizeof(order), &create, &err), -EINVAL);
	order.head.config_bytes = 4;
	order.head.flags = 8;
	assert_int_equal(mailbox_create_check(&order, sizeof(order), &create, &err), -EINVAL);
}

static void answer(uint32_t offset, uint32_t bytes)
{
	struct mailbox_header *head = (void *)mailbox;

	head->guest_magic = MAILBOX_MAGIC;
	head->guest_version = MAILBOX_VERSION;
	head->response_offset = offset;
	head->response_bytes = bytes;
}

static void test_failure(void **state)
{
	char text[8] = "xxxxxxxx";

	(void)state;
	memcpy(mailbox + 4096, "no such file", 12);
	answer(4096, 12);
	assert_int_equal(mailbox_failure_read(mailbox, text, 7), 7);
	assert_memory_equal(text, "no suchx", 8);
	answer(4096, 2);
	assert_int_equal(mailbox_failure_read(mailbox, text, sizeof(text)), 2);
	answer(MAILBOX_BYTES - 1, 2);
	assert_int_equal(mailbox_failure_read(mailbox, text, sizeof(text)), 0);
	answer(UINT32_MAX, UINT32_MAX);
	assert_int_equal(mailbox_failure_read(mailbox, text, sizeof(text)), 0);
	memset(mailbox, 0, sizeof(struct mailbox_header));
	assert_int_equal(mailbox_failure_read(mailbox, text, sizeof(text)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
