/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libimage: names in layers, names of images, marks, users.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "image_priv.h"

static void entry_paths(void **state)
{
	static const struct {
		const char *name, *path; /* NULL: refused */
	} rows[] = {
		{ "a", "a" },	    { "./a/b/", "a/b" }, { "a//b/./c", "a/b/c" }, { "./", "" },
		{ "", "" },	    { "..a/b..", "..a/b.." }, { "...", "..." },	  { "/a", NULL },
		{ "..", NULL },	    { "a/..", NULL },	 { "a/../b", NULL },	  { "./..", NULL },
		{ "a/b/../c", NULL },
	};
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int r = entry_path(rows[i].name, path, NULL);

		assert_int_equal(r, rows[i].path ? 0 : -EBADMSG);
		if (rows[i].path)
			assert_string_equal(path, rows[i].path);
	}
}

static void entry_path_limits(void **state)
{
	char name[2 * PATH_MAX], path[PATH_MAX];

	(void)state;
	memset(name, 'x', TREE_NAME_MAX + 1);
	name[TREE_NAME_MAX + 1] = '\0';
	assert_int_equal(entry_path(name, path, NULL), -EFBIG);
	name[TREE_NAME_MAX] = '\0';
	assert_int_equal(entry_path(name, path, NULL), 0);
	for (size_t i = 0; i <= NESTING_MAX; i++)
		memcpy(name + 2 * i, "a/", 3);
	assert_int_equal(entry_path(name, path, NULL), -EFBIG);
	assert_int_equal(entry_path(name + 2, path, NULL), 0);
	memset(name, '/', sizeof(name));
	name[0] = 'a';
	name[PATH_MAX] = '\0';
	assert_int_equal(entry_path(name, path, NULL), -EFBIG);
	name[PATH_MAX - 1] = '\0';
	assert_int_equal(entry_path(name, path, NULL), 0);
}

static void links(void **state)
{
	static const struct {
		const char *path, *text;
		bool inside;
	} rows[] = {
		{ "a", "b", true },	   { "a", "../b", false },   { "d/a", "../b", true },
		{ "d/a", "../../b", false }, { "a", "/../../b", true }, { "a", "b/../c", true },
		{ "a", "b/../../c", false }, { "a", "./.././b", false }, { "d/a", "..", true },
		{ "a", "..b/...", true },  { "d/e/a", "x/../../../y", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(link_stays_inside(rows[i].path, rows[i].text), rows[i].inside);
}

static void image_names(void **state)
{
	char name[IMAGE_NAME_BYTES + 1], set[IMAGE_NAME_BYTES];

	(void)state;
	assert_true(image_name_is_valid("127.0.0.1:5000/a/b_c@sha256:00"));
	for (const char *const *bad = (const char *const[]){ "", "-a", ".a", "/a", "a b", "a%b",
							      "a\n", "a\x80", NULL }; *bad; bad++)
		assert_false(image_name_is_valid(*bad));
	memset(name, 'a', sizeof(name));
	name[IMAGE_NAME_BYTES] = '\0';
	assert_false(image_name_is_valid(name));
	image_name_set(set, name);
	assert_string_equal(set, "");
	name[IMAGE_NAME_BYTES - 1] = '\0';
	image_name_set(set, name);
	assert_string_equal(set, name);
}

static void text_is_shown_clean(void **state)
{
	char name[1000];

	(void)state;
	assert_string_equal(SHOWN("a\x1b[2J\n\t\xff"), "a?[2J???");
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(strlen(SHOWN(name)), SHOWN_BYTES - 1);
}

static void marks(void **state)
{
	struct marks marks = { 0 };
	char name[16];

	(void)state;
	assert_false(marks_have(&marks, 1, "a"));
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(marks_add(&marks, (ino_t)(i % 3), name), 0);
		assert_int_equal(marks_add(&marks, (ino_t)(i % 3), name), 0);
	}
	assert_int_equal(marks.used, 5000);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_true(marks_have(&marks, (ino_t)(i % 3), name));
		assert_false(marks_have(&marks, (ino_t)(i % 3 + 1), name));
	}
	marks_clear(&marks);
	assert_false(marks_have(&marks, 0, "0"));
	marks_done(&marks);
}

struct user_case {
	const char *user;
	int r;
	uint32_t uid, gid;
	size_t groups;
};

static void write_in(int folder_fd, const char *name, const char *text)
{
	cleanup_fd int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void users(void **state)
{
	static const struct user_case rows[] = {
		{ "", 0, 0, 0, 1 },	   { "bob", 0, 5, 6, 2 },    { "5", 0, 5, 6, 2 },
		{ "9", 0, 9, 0, 0 },	   { "bob:", 0, 5, 6, 2 },   { "bob:wheel", 0, 5, 10, 0 },
		{ "9:11", 0, 9, 11, 0 },   { "7", 0, 70, 8, 0 },     { "eve", -EBADMSG, 0, 0, 0 },
		{ "bad", -EBADMSG, 0, 0, 0 }, { "bob:x", -EBADMSG, 0, 0, 0 },
		{ "-1", -EBADMSG, 0, 0, 0 }, { "2147483648", -EBADMSG, 0, 0, 0 },
	};
	char folder[] = "/tmp/quark-users.XXXXXX", command[64];
	cleanup_fd int fd = open(mkdtemp(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(mkdirat(fd, "etc", 0700), 0);
	write_in(fd, "etc/passwd", "root:x:0:0:::\n# no line\nbad:x:::\nbob:x:5:6:a:b:c:d:e\n"
				   "7:x:70:8\nbob:x:50:60::");
	write_in(fd, "etc/group", "root:x:0:root\nwheel:x:10:bob,root2\nw:x:11:a,bob\nx:x::bob\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_image struct image *image = image_new();

		free(image->user_name);
		image->user_name = strdup(rows[i].user);
		assert_int_equal(user_resolve(fd, image, NULL), rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_int_equal(image->uid, rows[i].uid);
		assert_int_equal(image->gid, rows[i].gid);
		assert_int_equal(image->group_count, rows[i].groups);
	}
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_paths),	 cmocka_unit_test(entry_path_limits),
		cmocka_unit_test(links),	 cmocka_unit_test(image_names),
		cmocka_unit_test(text_is_shown_clean), cmocka_unit_test(marks),
		cmocka_unit_test(users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
