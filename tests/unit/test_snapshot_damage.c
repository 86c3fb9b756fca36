/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates that were damaged on disk: whatever was flipped, cut, mixed or put in a file's place is
 * refused by name.
 */
#include "snapshot_folder.h"

#include <errno.h>

static void assert_open_refused(const char *folder, int code, const char *text)
{
	struct template *template = NULL;
	struct err err = {};

	if (template_open(&template, folder, &err) != code)
		fail_msg("not refused with %d: '%s'", code, err.message);
	assert_null(template);
	assert_one_line(&err);
	assert_non_null(strstr(err.message, folder));
	if (!strstr(err.message, text))
		fail_msg("'%s' does not say '%s'", err.message, text);
}

static void flip_bit(const char *path, uint64_t bit)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(file_pread_all(fd, &byte, 1, (off_t)(bit / 8)), 0);
	byte ^= (uint8_t)(1u << bit % 8);
	assert_int_equal(file_pwrite_all(fd, &byte, 1, (off_t)(bit / 8)), 0);
}

/* A flip that opening cannot see is found by verifying, which names the file. */
static void assert_flip_found(const struct fixture *f, const char *path, uint64_t bit)
{
	struct template *template;
	struct err err = {};

	flip_bit(path, bit);
	template = must_open(f->folder);
	assert_int_equal(template_verify(template, &err), -EBADMSG);
	assert_one_line(&err);
	assert_non_null(strstr(err.message, strrchr(path, '/') + 1));
	template_free(template);
	flip_bit(path, bit);
}

/* Flips in raw pages, holes and the mailbox included, are found by verifying. */
static void test_memory_flipped(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = FLIP_SEED;
	char path[160];

	must_capture(f, "upper");
	path_of(f, memory_of, path);
	print_message("200 flips, seed %d\n", FLIP_SEED);
	for (int i = 0; i < 200; i++) {
		uint64_t bit = sample_random(&seed) % (SAMPLE_MEMORY_BYTES * 8ull);

		if (i % 2) /* into a page that holds data */
			bit = (sample_random(&seed) % RUNS * 37 * PAGE) * 8 + bit % (PAGE * 8);
		assert_flip_found(f, path, bit);
	}
	assert_template(f->folder, "upper");
}

/* The same for a layer, its base and its image; in the layer also outside of its extents, where
 * nobody looks. */
static void test_layered_flipped(void **state)
{
	static const struct snapshot_file *(*const which[])(const struct manifest *) = {
		memory_of, base_of, image_of};
	struct fixture *f = *state;
	uint64_t seed = FLIP_SEED;
	char path[160];

	make_shared(f, f->parent);
	write_some(f);
	must_capture(f, "upper");
	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		path_of(f, which[i], path);
		for (int n = 0; n < 40; n++) {
			struct stat st;

			assert_int_equal(stat(path, &st), 0);
			assert_flip_found(f, path,
					  sample_random(&seed) % ((uint64_t)st.st_size * 8));
		}
	}
	assert_template(f->folder, "upper");
}

/* A file of any other size than the manifest says is refused by name. */
static void test_sizes_refused(void **state)
{
	static const struct snapshot_file *(*const which[])(const struct manifest *) = {
		memory_of, state_of, working_set_of, base_of, image_of};
	struct fixture *f = *state;
	cleanup_free struct working_set *set = sample_working_set();
	char path[160];

	make_shared(f, f->parent);
	write_some(f);

	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		struct stat st;

		must_capture(f, "upper");
		assert_int_equal(template_set_working_set(f->folder, set, NULL), 0);
		path_of(f, which[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size + 1), 0);
		assert_open_refused(f->folder, -EBADMSG, strrchr(path, '/') + 1);
		for (off_t bytes = st.st_size - 1; bytes > 0; bytes /= 2) {
			assert_int_equal(truncate(path, bytes), 0);
			assert_open_refused(f->folder, -EBADMSG, strrchr(path, '/') + 1);
		}
		if (which[i] == base_of) { /* which is cut now, too */
			drop_shared(f);
			(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
			f->memory = map_memory(MAP_ANONYMOUS, -1);
			fill_memory(f->memory, 11);
			make_shared(f, f->parent);
		}
	}
}

static void test_small_files_flipped(void **state)
{
	struct fixture *f = *state;
	cleanup_free struct working_set *set = memory_working_set();
	char path[160];

	must_capture(f, "upper");
	assert_int_equal(template_set_working_set(f->folder, set, NULL), 0);

	path_of(f, state_of, path);
	flip_bit(path, 8 * 1000);
	assert_open_refused(f->folder, -EBADMSG, "section '");
	flip_bit(path, 8 * 1000);
	path_of(f, working_set_of, path);
	flip_bit(path, 8 * 50);
	assert_open_refused(f->folder, -EBADMSG, "working set");
	flip_bit(path, 8 * 50);
	path_in(f, MANIFEST_NAME, path);
	flip_bit(path, 8 * 100);
	assert_open_refused(f->folder, -EBADMSG, MANIFEST_NAME);
	flip_bit(path, 8 * 100);
	assert_template(f->folder, "upper");
}

/* Each file is whole, but they are of two templates. */
static void test_mixed_files_refused(void **state)
{
	struct fixture *f = *state;
	cleanup_free uint8_t *other = NULL;
	char path[160];
	size_t bytes;

	f->state->realtime_ns++;
	must_capture(f, "other");
	path_of(f, state_of, path);
	assert_int_equal(file_read(path, SNAPSHOT_STATE_MAX_BYTES, &other, &bytes, NULL), 0);
	f->state->realtime_ns--;
	must_capture(f, "upper");
	path_of(f, state_of, path);
	{
		cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);

		assert_int_equal(file_pwrite_all(fd, other, bytes, 0), 0);
	}
	assert_open_refused(f->folder, -EBADMSG, "differs");
}

static void check_other_kinds(struct fixture *f,
			      const struct snapshot_file *(*which)(const struct manifest *))
{
	char path[160], aside[176];
	const char *name;

	path_of(f, which, path);
	name = strrchr(path, '/') + 1;
	(void)snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(rename(path, aside), 0);
	assert_open_refused(f->folder, -ENOENT, name);
	assert_int_equal(symlink(aside, path), 0);
	assert_open_refused(f->folder, -ELOOP, "symbolic link");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_open_refused(f->folder, -EINVAL, "not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_open_refused(f->folder, -EINVAL, "not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	assert_template(f->folder, "upper");
}

/* Only regular files of the folder itself are opened. */
static void test_other_kinds_of_files(void **state)
{
	static const struct snapshot_file *(*const which[])(const struct manifest *) = {
		memory_of, state_of, base_of, image_of};
	struct fixture *f = *state;
	char path[160];

	assert_open_refused(f->folder, -ENOENT, "cannot open");
	make_shared(f, f->parent);
	write_some(f);
	must_capture(f, "upper");
	for (size_t i = 0; i < ARRAY_SIZE(which); i++)
		check_other_kinds(f, which[i]);
	path_in(f, MANIFEST_NAME, path);
	assert_int_equal(unlink(path), 0);
	assert_open_refused(f->folder, -ENOENT, MANIFEST_NAME);
}

/* The base of another machine, in a manifest that is right about it. */
static void test_other_base(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	struct err err = {};

	make_shared(f, f->parent);
	write_some(f);
	f->base.digest[0] ^= 1;
	must_capture(f, "upper");
	template = must_open(f->folder);
	assert_int_equal(template_verify(template, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "base-"));
	template_free(template);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_memory_flipped),
		FOLDER_TEST(test_sizes_refused),
		FOLDER_TEST(test_small_files_flipped),
		FOLDER_TEST(test_mixed_files_refused),
		FOLDER_TEST(test_other_kinds_of_files),
		FOLDER_TEST(test_layered_flipped),
		FOLDER_TEST(test_other_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
