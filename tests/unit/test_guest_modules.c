/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's modules: which are found beside a kernel, which are refused, and the archive that
 * they and the guest's own files become.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "file.h"
#include "file_tree.h"
#include "quark_paths.h"

#include "quark/build_initramfs.c"
#include "quark/guest_modules.c"

#define VERSION "6.1.0-test"
#define MODULES "lib/modules/" VERSION

struct fixture {
	char root[64], kernel[128];
	struct err err;
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[PATH_MAX];
	char *slash;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(make_folders(path, NULL), 0);
	*slash = '/';
	file = fopen(path, "we");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void put_module(const struct fixture *f, const struct row *row, const char *ending)
{
	char name[256];

	(void)snprintf(name, sizeof(name), MODULES "/%s.ko%s", row->path, ending);
	put(f, name, row->name);
}

static void drop_module(const struct fixture *f, const struct row *row)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/" MODULES "/%s.ko", f->root, row->path);
	assert_int_equal(unlink(path), 0);
}

static const struct row *row_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	fail_msg("no module %s", name);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	(void)strcpy(f->root, "/tmp/quark-test-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	(void)snprintf(f->kernel, sizeof(f->kernel), "%s/boot/vmlinuz-" VERSION, f->root);
	put(f, "boot/vmlinuz-" VERSION, "kernel");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		put_module(f, &table[i], "");
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = file_tree_remove(f->root, NULL);

	free(f);
	return r;
}

static void test_all(void **state)
{
	cleanup_guest_modules struct guest_modules modules = {.count = 0};
	struct fixture *f = *state;

	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), 0);
	assert_int_equal(modules.count, ARRAY_SIZE(table));
	for (unsigned int i = 0; i < modules.count; i++)
		assert_string_equal(modules.items[i].name, table[i].name);
	assert_false(modules.items[0].with_image);
	assert_true(modules.items[modules.count - 1].with_image);
}

/* Each module comes after what it depends on, as modinfo says of Debian's 6.1. */
static void test_order_of_loading(void **state)
{
	static const char *const pairs[][2] = {
		{"virtio_ring", "virtio"},	   {"virtio", "virtio_pci"},
		{"virtio_pci_modern_dev", "virtio_pci"}, {"virtio_pci_legacy_dev", "virtio_pci"},
		{"libnvdimm", "nd_btt"},	   {"nd_btt", "nd_pmem"},
		{"nd_virtio", "virtio_pmem"},	   {"virtio", "virtio_pmem"},
		{"libcrc32c", "erofs"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_true(row_of(pairs[i][0]) < row_of(pairs[i][1]));
}

static void test_missing(void **state)
{
	cleanup_guest_modules struct guest_modules modules = {.count = 0};
	struct fixture *f = *state;

	drop_module(f, row_of("libcrc32c"));
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), 0);
	assert_int_equal(modules.count, ARRAY_SIZE(table) - 1);
	guest_modules_done(&modules);
	drop_module(f, row_of("erofs"));
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.message, "erofs"));
	put(f, MODULES "/modules.builtin",
	    "kernel/fs/erofs/erofs_not.ko\nxkernel/fs/erofs/erofs.ko\n");
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), -ENOENT);
	put(f, MODULES "/modules.builtin", "kernel/a.ko\nkernel/fs/erofs/erofs.ko\n");
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), 0);
	assert_int_equal(modules.count, ARRAY_SIZE(table) - 2);
}

static void test_compressed(void **state)
{
	static const char *const endings[] = {".xz", ".zst", ".gz"};
	struct guest_modules modules;
	struct fixture *f = *state;

	drop_module(f, row_of("overlay"));
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		char path[PATH_MAX];

		put_module(f, row_of("overlay"), endings[i]);
		assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), -ENOTSUP);
		assert_non_null(strstr(f->err.message, endings[i]));
		assert_non_null(strstr(f->err.message, "overlay.ko"));
		(void)snprintf(path, sizeof(path), "%s/" MODULES "/%s.ko%s", f->root,
			       row_of("overlay")->path, endings[i]);
		assert_int_equal(unlink(path), 0);
	}
}

/* A kernel without modules beside it has all that is needed built in, as far as we can tell. */
static void test_none(void **state)
{
	struct guest_modules modules = {.count = 1};
	struct fixture *f = *state;
	char kernel[PATH_MAX];

	put(f, "boot/vmlinux", "kernel");
	(void)snprintf(kernel, sizeof(kernel), "%s/boot/vmlinux", f->root);
	assert_int_equal(guest_modules_find(&modules, kernel, &f->err), 0);
	assert_int_equal(modules.count, 0);
	put(f, "boot/vmlinuz-6.2.0", "kernel");
	(void)snprintf(kernel, sizeof(kernel), "%s/boot/vmlinuz-6.2.0", f->root);
	assert_int_equal(guest_modules_find(&modules, kernel, &f->err), 0);
	assert_int_equal(modules.count, 0);
}

static void digest_of(struct fixture *f, char ret_text[DIGEST_TEXT_BYTES])
{
	cleanup_guest_modules struct guest_modules modules = {.count = 0};
	cleanup_digest struct digest *digest = digest_new();

	assert_non_null(digest);
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), 0);
	assert_int_equal(guest_modules_digest(&modules, digest, &f->err), 0);
	digest_finish(digest, ret_text);
}

static void test_digest(void **state)
{
	char a[DIGEST_TEXT_BYTES], b[DIGEST_TEXT_BYTES];
	struct fixture *f = *state;

	digest_of(f, a);
	digest_of(f, b);
	assert_string_equal(a, b);
	put(f, MODULES "/kernel/fs/erofs/erofs.ko", "another");
	digest_of(f, b);
	assert_string_not_equal(a, b);
	drop_module(f, row_of("libcrc32c"));
	digest_of(f, a);
	assert_string_not_equal(a, b);
}

/* --- the archive ----------------------------------------------------------------------------- */

enum { NEWC_HEADER_BYTES = 110, NEWC_FIELD_DIGITS = 8 };

static unsigned long newc_field(const uint8_t *header, int index)
{
	char digits[NEWC_FIELD_DIGITS + 1] = {};

	memcpy(digits, header + 6 + index * NEWC_FIELD_DIGITS, NEWC_FIELD_DIGITS);
	return strtoul(digits, NULL, 16);
}

/* One line "mode size rdev name" for each entry; checks magic, alignment, owner and time, as the
 * kernel goes from one archive to the next. */
static void newc_list(const uint8_t *data, size_t bytes, char *text, size_t room)
{
	size_t at = 0, n = 0;

	while (at < bytes) {
		const uint8_t *h = data + at;
		const char *name = (const char *)h + NEWC_HEADER_BYTES;
		unsigned long size = newc_field(h, 6), name_bytes = newc_field(h, 11);

		if (*h == 0) {
			at += 4;
			continue;
		}
		assert_true(at + NEWC_HEADER_BYTES < bytes);
		assert_memory_equal(h, "070701", 6);
		for (int field = 2; field <= 3; field++)
			assert_int_equal(newc_field(h, field), 0);
		assert_int_equal(newc_field(h, 5), 0);
		assert_int_equal(strlen(name) + 1, name_bytes);
		at += ((NEWC_HEADER_BYTES + name_bytes + 3) & ~3ul) + ((size + 3) & ~3ul);
		n += (size_t)snprintf(text + n, room - n, "%lo %lu %lu:%lu %s\n", newc_field(h, 1),
				      size, newc_field(h, 9), newc_field(h, 10), name);
	}
}

static void write_first(const struct fixture *f, const char *name)
{
	cleanup_initramfs struct initramfs archive = {};
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
	assert_int_equal(initramfs_init(&archive, path, NULL), 0);
	initramfs_add_folder(&archive, "dev", 0755);
	initramfs_add_char_device(&archive, "dev/console", 0600, makedev(5, 1));
	assert_int_equal(initramfs_finish(&archive, NULL), 0);
	assert_int_equal(truncate(path, 361), 0); /* the padding behind the trailer may lack */
}

static void test_archive(void **state)
{
	cleanup_guest_modules struct guest_modules modules = {.count = 0};
	cleanup_initramfs struct initramfs archive = {};
	cleanup_free uint8_t *data = NULL;
	struct fixture *f = *state;
	char path[PATH_MAX], first[PATH_MAX], text[2048] = "";
	size_t bytes;

	write_first(f, "first");
	(void)snprintf(first, sizeof(first), "%s/first", f->root);
	(void)snprintf(path, sizeof(path), "%s/whole", f->root);
	assert_int_equal(guest_modules_find(&modules, f->kernel, &f->err), 0);
	assert_int_equal(initramfs_init(&archive, path, &f->err), 0);
	assert_int_equal(initramfs_add_archive(&archive, first, &f->err), 0);
	assert_int_equal(guest_modules_pack(&modules, &archive, &f->err), 0);
	assert_int_equal(initramfs_finish(&archive, &f->err), 0);

	assert_int_equal(file_read(path, 1 << 20, &data, &bytes, &f->err), 0);
	newc_list(data, bytes, text, sizeof(text));
	assert_non_null(strstr(text,
			       "40755 0 0:0 dev\n20600 0 5:1 dev/console\n0 0 0:0 TRAILER!!!\n"
			       "40755 0 0:0 modules\n100644 11 0:0 modules/virtio_ring.ko\n"));
	assert_non_null(strstr(text, "modules/order\n0 0 0:0 TRAILER!!!\n"));
	assert_non_null(memmem(data, bytes, "boot virtio_ring\nboot virtio\n", 29));
	assert_non_null(memmem(data, bytes, "boot overlay\nimage virtio_pmem\n", 31));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all),	   TEST(test_order_of_loading), TEST(test_missing),
		TEST(test_compressed), TEST(test_none),		TEST(test_digest),
		TEST(test_archive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
