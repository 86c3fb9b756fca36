/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1's view of orders: what it refuses, and that files land where they should and nowhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "run0/guest/files.c"
#include "run0/guest/orders.c"

#define TEXT_BYTES 256

struct state {
	uint8_t *mailbox;
	char outer[64], root[80]; /* folders */
	int root_fd;
};

static int setup(void **ret_state)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return -1;
	state->mailbox = calloc(1, MAILBOX_BYTES);
	(void)snprintf(state->outer, sizeof(state->outer), "/tmp/quark-orders.XXXXXX");
	if (!state->mailbox || !mkdtemp(state->outer))
		return -1;
	(void)snprintf(state->root, sizeof(state->root), "%s/root", state->outer);
	if (mkdir(state->root, 0755) < 0)
		return -1;
	state->root_fd = open(state->root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	*ret_state = state;
	return state->root_fd < 0 ? -1 : 0;
}

static int teardown(void **of)
{
	struct state *state = *of;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", state->outer);
	(void)close(state->root_fd);
	free(state->mailbox);
	free(state);
	return system(command);
}

static struct mailbox_header *order_make(struct state *state, uint32_t kind, uint32_t bytes)
{
	struct mailbox_header *header = (void *)state->mailbox;

	*header = (struct mailbox_header){
		.magic = MAILBOX_MAGIC,
		.version = MAILBOX_VERSION,
		.order = kind,
		.request_offset = MAILBOX_REQUEST_OFFSET,
		.request_bytes = bytes,
		.sequence = 7,
		.generation = 9,
	};
	return header;
}

static int take(struct state *state, struct order *ret_order, struct err *err)
{
	return order_read(state->mailbox, ret_order, err);
}

static void test_order_is_copied(void **of)
{
	struct order order;
	struct err err = {};

	(void)order_make(*of, MAILBOX_ORDER_FILE, 100);
	assert_int_equal(take(*of, &order, &err), 0);
	assert_int_equal(order.kind, MAILBOX_ORDER_FILE);
	assert_int_equal(order.offset, MAILBOX_REQUEST_OFFSET);
	assert_int_equal(order.bytes, 100);
	assert_int_equal(order.sequence, 7);
	assert_int_equal(order.generation, 9);
}

static void test_bad_headers_are_refused(void **of)
{
	static const struct {
		uint32_t offset, bytes;
	} bad[] = {
		{0, 1},
		{MAILBOX_SMALL_REQUEST_OFFSET, MAILBOX_SMALL_REQUEST_MAX + 1},
		{MAILBOX_SMALL_REQUEST_OFFSET - 1, 1},
		{MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_MAX + 1},
		{MAILBOX_REQUEST_OFFSET + MAILBOX_REQUEST_MAX, 1},
		{MAILBOX_REQUEST_OFFSET + 1, UINT32_MAX},
		{UINT32_MAX, UINT32_MAX},
		{MAILBOX_BYTES, 0},
	};
	static const uint32_t with_payload[] = {MAILBOX_ORDER_REQUEST, MAILBOX_ORDER_FILE,
						MAILBOX_ORDER_CREATE, MAILBOX_ORDER_GATHER};
	struct mailbox_header *header = order_make(*of, MAILBOX_ORDER_CREATE, 1);
	struct order order;
	struct err err = {};

	for (size_t i = 0; i < ARRAY_SIZE(bad) * ARRAY_SIZE(with_payload); i++) {
		header->order = with_payload[i / ARRAY_SIZE(bad)];
		header->request_offset = bad[i % ARRAY_SIZE(bad)].offset;
		header->request_bytes = bad[i % ARRAY_SIZE(bad)].bytes;
		assert_int_equal(take(*of, &order, &err), -EPROTO);
	}
	/* Orders without a payload say nothing about one. */
	header->order = MAILBOX_ORDER_NONE;
	assert_int_equal(take(*of, &order, &err), 0);
	header->version++;
	assert_int_equal(take(*of, &order, &err), -EPROTO);
	header->version--;
	header->magic++;
	assert_int_equal(take(*of, &order, &err), -EPROTO);
}

/* Writes a FILE order and takes it, as PID 1 does. */
static int put(struct state *state, const char *path, uint32_t mode, uint64_t offset,
	       const char *data, struct err *err)
{
	static struct file_order file;
	const struct mailbox_file head = {
		.mode = mode,
		.path_bytes = (uint32_t)strlen(path),
		.offset = offset,
		.data_bytes = (uint32_t)strlen(data),
		.owner = geteuid(),
	};
	uint8_t *to = state->mailbox + MAILBOX_REQUEST_OFFSET;
	struct order order;
	int r;

	(void)order_make(state, MAILBOX_ORDER_FILE,
			 (uint32_t)sizeof(head) + head.path_bytes + head.data_bytes);
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), path, head.path_bytes);
	memcpy(to + sizeof(head) + head.path_bytes, data, head.data_bytes);
	assert_int_equal(order_read(state->mailbox, &order, err), 0);
	r = file_order_read(state->mailbox, &order, &file, err);
	return r < 0 ? r : file_put(&file, state->root_fd, err);
}

static void put_ok(struct state *state, const char *path, uint32_t mode, uint64_t offset,
		   const char *data)
{
	struct err err = {};

	if (put(state, path, mode, offset, data, &err) < 0)
		fail_msg("%s: %s", path, err.message);
}

static void expect_text(struct state *state, const char *path, mode_t mode, const char *text)
{
	char found[TEXT_BYTES] = "";
	int fd = openat(state->root_fd, path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	(void)close(fd);
	assert_string_equal(found, text);
	assert_int_equal(st.st_mode, mode);
}

static void test_files_are_made_with_their_folders(void **of)
{
	put_ok(*of, "a/b/c", S_IFREG | 0640, 0, "first");
	put_ok(*of, "a/b/c", S_IFREG | 0640, 5, " second");
	expect_text(*of, "a/b/c", S_IFREG | 0640, "first second");
	/* Offset 0 begins it anew, with another mode. */
	put_ok(*of, "a/b/c", S_IFREG | 04755, 0, "new");
	expect_text(*of, "a/b/c", S_IFREG | 04755, "new");
	put_ok(*of, "a/b", S_IFDIR | 0700, 0, "");
	put_ok(*of, "link", S_IFLNK | 0777, 0, "a/b/c");
	expect_text(*of, "link", S_IFREG | 04755, "new");
	put_ok(*of, "link", S_IFREG | 0600, 0, "no link any more");
	expect_text(*of, "a/b/c", S_IFREG | 04755, "new");
	put_ok(*of, "empty", S_IFREG | 0600, 0, "");
	expect_text(*of, "empty", S_IFREG | 0600, "");
}

static void test_bad_files_are_refused(void **of)
{
	static const struct {
		const char *path;
		uint32_t mode;
		uint64_t offset;
		const char *data;
		int r;
	} bad[] = {
		{"", S_IFREG, 0, "x", -EPROTO},
		{"/etc/passwd", S_IFREG, 0, "x", -EPROTO},
		{"..", S_IFREG, 0, "x", -EPROTO},
		{"../x", S_IFREG, 0, "x", -EPROTO},
		{"a/../../x", S_IFREG, 0, "x", -EPROTO},
		{"a/..", S_IFDIR, 0, "", -EPROTO},
		{".", S_IFDIR, 0, "", -EPROTO},
		{"a/./b", S_IFREG, 0, "x", -EPROTO},
		{"a//b", S_IFREG, 0, "x", -EPROTO},
		{"a/", S_IFDIR, 0, "", -EPROTO},
		{"a", S_IFCHR | 0600, 0, "", -EPROTO},
		{"a", S_IFIFO | 0600, 0, "", -EPROTO},
		{"a", 0600, 0, "x", -EPROTO},
		{"a", S_IFREG | 0x100000, 0, "x", -EPROTO},
		{"a", S_IFDIR | 0755, 0, "x", -EPROTO},
		{"a", S_IFLNK | 0777, 0, "", -EPROTO},
		{"a", S_IFLNK | 0777, 1, "x", -EPROTO},
		{"a", S_IFREG | 0644, UINT64_MAX, "x", -EPROTO},
		{"a", S_IFREG | 0644, INT64_MAX, "x", -EPROTO},
		{"new", S_IFREG | 0644, 1, "x", -ENOENT},
		{"file", S_IFREG | 0644, 9, "gap", -ESPIPE},
		{"file", S_IFREG | 0644, 1, "again", -ESPIPE},
		{"file/below", S_IFREG | 0644, 0, "x", -ENOTDIR},
		{"folder", S_IFREG | 0644, 0, "x", -EISDIR},
		{"file", S_IFDIR | 0755, 0, "", -ENOTDIR},
	};

	put_ok(*of, "file", S_IFREG | 0644, 0, "1234");
	put_ok(*of, "folder", S_IFDIR | 0755, 0, "");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {};

		if (put(*of, bad[i].path, bad[i].mode, bad[i].offset, bad[i].data, &err) !=
		    bad[i].r)
			fail_msg("%zu '%s': %d %s", i, bad[i].path, err.code, err.message);
		assert_true(*err.message);
	}
	expect_text(*of, "file", S_IFREG | 0644, "1234");
}

/* Lengths that do not add up, and a NUL in a path. */
static void test_bad_lengths_are_refused(void **of)
{
	static const struct mailbox_file bad[] = {
		{.mode = S_IFREG, .path_bytes = 1, .data_bytes = UINT32_MAX},
		{.mode = S_IFREG, .path_bytes = UINT32_MAX, .data_bytes = 1},
		{.mode = S_IFREG, .path_bytes = FILE_PATH_MAX + 1, .data_bytes = 0},
		{.mode = S_IFREG, .path_bytes = 0, .data_bytes = 10},
		{.mode = S_IFREG, .path_bytes = 10, .data_bytes = 1},
		{.mode = S_IFREG, .path_bytes = 10, .data_bytes = 0}, /* of zeros */
	};
	struct state *state = *of;
	struct file_order file;
	struct order order;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {};

		(void)order_make(state, MAILBOX_ORDER_FILE, sizeof(bad[i]) + 10);
		memcpy(state->mailbox + MAILBOX_REQUEST_OFFSET, &bad[i], sizeof(bad[i]));
		assert_int_equal(order_read(state->mailbox, &order, &err), 0);
		assert_int_equal(file_order_read(state->mailbox, &order, &file, &err), -EPROTO);
	}
	order.bytes = sizeof(struct mailbox_file) - 1;
	assert_int_equal(file_order_read(state->mailbox, &order, &file, NULL), -EPROTO);
}

/* The folder beside the root is what a link tries to reach. Without RESOLVE_IN_ROOT it would: the
 * same link, followed plainly, does. */
static void test_links_do_not_lead_out(void **of)
{
	struct state *state = *of;
	char outside[96], target[160];
	struct err err = {};
	struct stat st;

	(void)snprintf(outside, sizeof(outside), "%s/outside", state->outer);
	assert_int_equal(mkdir(outside, 0755), 0);
	put_ok(state, "up", S_IFLNK | 0777, 0, "../outside");
	put_ok(state, "absolute", S_IFLNK | 0777, 0, outside);
	assert_int_equal(fstatat(state->root_fd, "up/.", &st, 0), 0);
	assert_int_equal(fstatat(state->root_fd, "absolute/.", &st, 0), 0);
	/* Inside the root there are no such folders: the links dangle. */
	assert_int_equal(put(state, "up/x", S_IFREG | 0644, 0, "x", &err), -EEXIST);
	assert_int_equal(put(state, "absolute/x", S_IFREG | 0644, 0, "x", &err), -EEXIST);
	put_ok(state, "outside", S_IFDIR | 0755, 0, "");
	put_ok(state, "up/x", S_IFREG | 0644, 0, "inside");
	expect_text(state, "outside/x", S_IFREG | 0644, "inside");
	(void)snprintf(target, sizeof(target), "%s/x", outside);
	assert_int_equal(stat(target, &st), -1);
}

static void test_create_orders(void **of)
{
	static const struct {
		struct mailbox_create head;
		uint32_t bytes; /* of the order */
		int r;
	} orders[] = {
		{{.flags = 0, .config_bytes = 2}, 10, 0},
		{{.flags = MAILBOX_CREATE_IMAGE | MAILBOX_CREATE_DIRECT, .config_bytes = 2}, 10, 0},
		{{.flags = 8, .config_bytes = 2}, 10, -EPROTO},
		{{.flags = 0, .config_bytes = 3}, 10, -EPROTO},
		{{.flags = 0, .config_bytes = UINT32_MAX}, 7, -EPROTO},
		{{.flags = 0, .config_bytes = UINT32_MAX - 7}, 0, -EPROTO},
	};
	struct state *state = *of;

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct create_order create;
		struct order order;
		struct err err = {};

		(void)order_make(state, MAILBOX_ORDER_CREATE, orders[i].bytes);
		memcpy(state->mailbox + MAILBOX_REQUEST_OFFSET, &orders[i].head,
		       sizeof(orders[i].head));
		assert_int_equal(order_read(state->mailbox, &order, &err), 0);
		assert_int_equal(create_order_read(state->mailbox, &order, &create, &err),
				 orders[i].r);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order_is_copied),
		TEST(test_bad_headers_are_refused),
		TEST(test_files_are_made_with_their_folders),
		TEST(test_bad_files_are_refused),
		TEST(test_bad_lengths_are_refused),
		TEST(test_links_do_not_lead_out),
		TEST(test_create_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
