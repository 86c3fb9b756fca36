/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates that are a layer over a base: whatever the VM wrote, base and extents together are its
 * memory again; base and image are shared and stay as they are.
 */
#include "snapshot_folder.h"

#include <errno.h>

static const struct manifest *manifest_of(const struct template *template)
{
	return template_manifest(template);
}

/* Captures, opens and checks all that can be asked of a layered template. */
static struct template *layer(struct fixture *f)
{
	struct template *template;
	struct err err = {};

	must_capture(f, "layer");
	template = must_open(f->folder);
	assert_memory_is(template, f->memory);
	if (template_verify(template, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(count_entries(f->folder), files_of_template(f));
	assert_int_equal(template_verify(f->base_template, NULL), 0);
	return template;
}

static void setup_layered(struct fixture *f)
{
	make_shared(f, f->parent);
	f->memory[SAMPLE_MAILBOX_GPA + 5] = 1; /* never captured */
}

static void assert_is_link(int fd, int other)
{
	struct stat a, b;

	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(other, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_dev, b.st_dev);
	assert_int_equal(a.st_nlink, 2);
}

static void test_all_equal(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	struct stat st;

	setup_layered(f);
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 0);
	assert_int_equal(manifest_of(template)->nonzero_pages, 0);
	assert_int_equal(fstat(template_memory_fd(template), &st), 0);
	assert_int_equal(st.st_size, SAMPLE_MEMORY_BYTES);
	assert_int_equal(st.st_blocks, 0);
	assert_is_link(template_base_fd(template), f->base.fd);
	assert_is_link(template_image_fd(template), f->image.fd);
	template_free(template);
}

/* The mailbox stays out, even in the middle of the one extent. */
static void test_all_different(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	uint64_t seed = 4;

	setup_layered(f);
	for (size_t at = 0; at < SAMPLE_MEMORY_BYTES; at += PAGE)
		sample_fill(&seed, f->memory + at, 16);
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 1);
	assert_int_equal(manifest_of(template)->nonzero_pages,
			 (SAMPLE_MEMORY_BYTES - MAILBOX_BYTES) / PAGE);
	template_free(template);
}

static void test_first_and_last_page(void **state)
{
	struct fixture *f = *state;
	struct template *template;

	setup_layered(f);
	f->memory[0] ^= 1;
	f->memory[SAMPLE_MEMORY_BYTES - 1] ^= 2;
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 2);
	assert_int_equal(manifest_of(template)->extents[0].offset, 0);
	assert_int_equal(manifest_of(template)->extents[0].bytes, PAGE);
	assert_int_equal(manifest_of(template)->extents[1].offset, SAMPLE_MEMORY_BYTES - PAGE);
	template_free(template);
}

/* A page that became zero is in an extent, as a hole: the base's must not show through. */
static void test_zero_over_data(void **state)
{
	struct fixture *f = *state;
	struct template *template;

	setup_layered(f);
	assert_false(page_is_zero(f->memory + 37 * PAGE));
	memset(f->memory + 37 * PAGE, 0, PAGE);
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 1);
	assert_int_equal(manifest_of(template)->extents[0].offset, 37 * PAGE);
	assert_int_equal(manifest_of(template)->extents[0].bytes, PAGE);
	assert_int_equal(manifest_of(template)->nonzero_pages, 0);
	template_free(template);
}

/* Written, but with what was there before: equal by content. */
static void test_same_contents(void **state)
{
	struct fixture *f = *state;
	struct template *template;

	setup_layered(f);
	for (size_t at = 0; at < SAMPLE_MEMORY_BYTES; at += PAGE)
		((volatile uint8_t *)f->memory)[at] ^= 1;
	for (size_t at = 0; at < SAMPLE_MEMORY_BYTES; at += PAGE)
		((volatile uint8_t *)f->memory)[at] ^= 1;
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 0);
	template_free(template);
}

/* Memory that was never mapped from the base: every page counts by its contents, and what was never
 * touched is zero. */
static void test_memory_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct template *template;

	setup_layered(f);
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	f->memory = map_memory(MAP_ANONYMOUS, -1);
	template = layer(f);
	assert_true(manifest_of(template)->extent_count > 0);
	assert_int_equal(manifest_of(template)->nonzero_pages, 0);
	template_free(template);
	fill_memory(f->memory, 11);
	fill_dense(f->memory);
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 0);
	template_free(template);
}

/* The base has data where this VM's mailbox is; a clone finds zeros all the same. */
static void test_mailbox_over_data(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	const uint64_t gpa = f->state->mailbox_gpa;

	f->state->mailbox_gpa = 20 << 20;
	make_shared(f, f->parent);
	f->state->mailbox_gpa = gpa;
	assert_false(page_is_zero(f->memory + gpa));
	template = layer(f);
	assert_int_equal(manifest_of(template)->extent_count, 1);
	assert_int_equal(manifest_of(template)->extents[0].offset, gpa);
	assert_int_equal(manifest_of(template)->extents[0].bytes, MAILBOX_BYTES);
	template_free(template);
}

/* Random writes, a clone of the clone, and so on: each is a layer over the one base. */
static void test_generations(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 99;

	setup_layered(f);
	for (int i = 0; i < 8; i++) {
		struct template *template;
		uint8_t *next;

		for (int n = 0; n < 30; n++) {
			size_t page = sample_random(&seed) % 6 * 1024 + sample_random(&seed) % 400;
			size_t bytes = sample_random(&seed) % (5 * PAGE);

			if (n % 4)
				sample_fill(&seed, f->memory + page * PAGE, bytes);
			else
				memset(f->memory + page * PAGE, 0, bytes);
		}
		template = layer(f);
		assert_true(manifest_of(template)->extent_count >= 4);
		next = map_template(template);
		(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
		f->memory = next;
		template_free(template);
	}
}

/* The layer alone says which extents it means: equal pages under others have another digest. */
static void test_digest_has_extents(void **state)
{
	const struct snapshot_extent one[] = {{0, PAGE}}, other[] = {{0, 2 * PAGE}};
	struct fixture *f = *state;
	struct memory_summary a, b, whole;

	setup_layered(f);
	assert_int_equal(memory_layer_read(f->base.fd, f->base.bytes, one, 1, &a, NULL), 0);
	assert_int_equal(memory_layer_read(f->base.fd, f->base.bytes, other, 1, &b, NULL), 0);
	assert_int_equal(memory_layer_read(f->base.fd, f->base.bytes, NULL, 0, &whole, NULL), 0);
	assert_memory_not_equal(a.digest, b.digest, sizeof(a.digest));
	assert_memory_not_equal(a.digest, whole.digest, sizeof(a.digest));
	assert_memory_equal(whole.digest, f->base.digest, sizeof(whole.digest));
}

/* --- sharing ---------------------------------------------------------------------------------- */

static void check_copied(struct fixture *f)
{
	struct template *template;
	struct stat st, original;

	write_some(f);
	template = layer(f);
	assert_int_equal(fstat(template_base_fd(template), &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, SAMPLE_MEMORY_BYTES);
	assert_true(st.st_blocks * 512 < SAMPLE_MEMORY_BYTES / 2); /* sparse, as it was */
	assert_int_equal(fstat(template_image_fd(template), &st), 0);
	assert_int_equal(fstat(f->image.fd, &original), 0);
	assert_int_not_equal(st.st_ino == original.st_ino && st.st_dev == original.st_dev, true);
	template_free(template);
}

static void test_other_file_system(void **state)
{
	char other[] = "/dev/shm/snapshot-other-XXXXXX";
	struct fixture *f = *state;

	if (!mkdtemp(other)) {
		print_message("no /dev/shm\n");
		skip();
	}
	make_shared(f, other);
	check_copied(f);
	drop_shared(f);
	assert_int_equal(rmdir(other), 0);
}

/* Nothing is left to link to, but the descriptors are good. */
static void test_removed_files(void **state)
{
	struct fixture *f = *state;
	char path[160];

	make_shared(f, f->parent);
	(void)snprintf(path, sizeof(path), "%s/%s", f->base_folder,
		       template_manifest(f->base_template)->memory.name);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(f->image_path), 0);
	check_copied(f);
}

/* The base may be replaced, or removed with its folder: the template is complete by itself. */
static void test_survives_its_base(void **state)
{
	struct fixture *f = *state;
	const struct capture_config config = {.folder = f->base_folder};

	setup_layered(f);
	write_some(f);
	must_capture(f, "layer");
	assert_int_equal(capture_write(f->state, f->memory, &config, NULL), 0);
	assert_template(f->folder, "layer");
	drop_shared(f);
	assert_template(f->folder, "layer");
}

/* A replaced template takes its own links away, and no one else's. */
static void test_replaced_many_times(void **state)
{
	struct fixture *f = *state;
	cleanup_free struct working_set *set = sample_working_set();
	struct template *template;

	setup_layered(f);
	for (int i = 0; i < 5; i++) {
		f->memory[i * 100 * PAGE] ^= 1;
		template_free(layer(f));
		assert_int_equal(template_set_working_set(f->folder, set, NULL), 0);
	}
	template = must_open(f->folder);
	assert_is_link(template_base_fd(template), f->base.fd);
	assert_int_equal(template_working_set(template)->count, 4);
	template_free(template);
	assert_template(f->folder, "layer");
	assert_int_equal(count_entries(f->folder), 6);
}

static void test_wrong_sizes(void **state)
{
	struct fixture *f = *state;
	struct err err = {};

	setup_layered(f);
	must_capture(f, "old");
	f->base.bytes -= MAILBOX_BYTES;
	assert_int_equal(capture(f, "new", (struct capture_config){}, &err), -EINVAL);
	assert_one_line(&err);
	f->base.bytes += MAILBOX_BYTES;
	for (uint64_t bytes = 0; bytes <= 2 * SAMPLE_IMAGE_BYTES; bytes += 1 << 20) {
		f->image.bytes = bytes;
		if (bytes == SAMPLE_IMAGE_BYTES)
			continue;
		assert_int_equal(capture(f, "new", (struct capture_config){}, &err), -EINVAL);
		assert_one_line(&err);
	}
	f->image.bytes = SAMPLE_IMAGE_BYTES;
	assert_template(f->folder, "old");
	assert_int_equal(count_entries(f->folder), 5);
}

/* A base that is shorter than it was said to be is no source of zeros. */
static void test_cut_base(void **state)
{
	struct fixture *f = *state;
	struct err err = {};

	setup_layered(f);
	must_capture(f, "old");
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	f->memory = map_memory(MAP_ANONYMOUS, -1);
	{
		char path[160];

		(void)snprintf(path, sizeof(path), "%s/%s", f->base_folder,
			       template_manifest(f->base_template)->memory.name);
		assert_int_equal(truncate(path, SAMPLE_MEMORY_BYTES / 2), 0);
		assert_int_equal(capture(f, "new", (struct capture_config){}, &err), -EINVAL);
		assert_one_line(&err);
		assert_int_equal(truncate(path, SAMPLE_MEMORY_BYTES), 0);
	}
	assert_int_equal(count_entries(f->folder), 5);
}

/* Entries of an image that is not there, or beyond it. */
static void test_working_set_of_image(void **state)
{
	struct fixture *f = *state;
	cleanup_free struct working_set *set = sample_working_set();
	const struct capture_config config = {.working_set = set};
	struct template *template;
	struct err err = {};

	assert_int_equal(capture(f, "whole", config, &err), -EINVAL);
	assert_int_equal(count_entries(f->folder), -1);
	setup_layered(f);
	assert_int_equal(capture(f, "layer", config, &err), 0);
	template = must_open(f->folder);
	assert_int_equal(template_working_set(template)->entries[3].flags, WORKING_SET_IMAGE);
	template_free(template);
	set->entries[3].offset = SAMPLE_IMAGE_BYTES;
	assert_int_equal(template_set_working_set(f->folder, set, &err), -EINVAL);
	assert_template(f->folder, "layer");
}

static void test_shared_digest(void **state)
{
	struct fixture *f = *state;
	struct shared_file file = {};
	cleanup_free uint8_t *data = malloc(SAMPLE_IMAGE_BYTES);
	uint64_t digest[2];
	cleanup_fd int fd = -1;
	struct err err = {};

	setup_layered(f);
	assert_int_equal(file_pread_all(f->image.fd, data, SAMPLE_IMAGE_BYTES, 0), 0);
	digest128(data, SAMPLE_IMAGE_BYTES, digest);
	assert_int_equal(shared_file_digest(f->image.fd, &file, &err), 0);
	assert_int_equal(file.fd, f->image.fd);
	assert_int_equal(file.bytes, SAMPLE_IMAGE_BYTES);
	assert_memory_equal(file.digest, digest, sizeof(digest));
	assert_int_equal(ftruncate(f->image.fd, 12345), 0); /* not a whole number of anything */
	digest128(data, 12345, digest);
	assert_int_equal(shared_file_digest(f->image.fd, &file, &err), 0);
	assert_memory_equal(file.digest, digest, sizeof(digest));
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(shared_file_digest(fd, &file, &err), -EINVAL);
	assert_one_line(&err);
}

/* --- what is known without a look ------------------------------------------------------------- */

static enum page_kind kind_of(const uint8_t *memory, int file_fd, size_t page)
{
	static enum page_kind kinds[RESIDENCY_BLOCK_PAGES];
	struct residency *residency;

	assert_int_equal(residency_open(&residency, memory, SAMPLE_MEMORY_BYTES, file_fd, NULL), 0);
	residency_block(residency, page / RESIDENCY_BLOCK_PAGES * RESIDENCY_BLOCK_PAGES * PAGE,
			kinds);
	residency_free(residency);
	return kinds[page % RESIDENCY_BLOCK_PAGES];
}

/* A mistake here loses a page of a snapshot: only a page of this file, at its own place, in a
 * private mapping, not yet written, is known to be the file's. */
static void test_pages_of_the_file(void **state)
{
	struct fixture *f = *state;
	volatile uint8_t *bytes;
	uint8_t *moved;

	setup_layered(f);
	bytes = f->memory;
	assert_int_equal(kind_of(f->memory, f->base.fd, 700), PAGE_OF_FILE);
	(void)bytes[700 * PAGE];
	assert_int_equal(kind_of(f->memory, f->base.fd, 700), PAGE_OF_FILE);
	bytes[700 * PAGE] ^= 0;
	assert_int_equal(kind_of(f->memory, f->base.fd, 700), PAGE_UNKNOWN);
	assert_int_equal(kind_of(f->memory, f->base.fd, 701), PAGE_OF_FILE);
	assert_int_equal(madvise(f->memory + 700 * PAGE, PAGE, MADV_POPULATE_WRITE), 0);
	assert_int_equal(kind_of(f->memory, f->base.fd, 700), PAGE_UNKNOWN);
	assert_int_equal(kind_of(f->memory, f->image.fd, 701), PAGE_UNKNOWN);
	assert_int_equal(kind_of(f->memory, -1, 701), PAGE_UNKNOWN);

	/* A part of it from elsewhere in the same file. */
	moved = f->memory + (8 << 20);
	assert_ptr_equal(mmap(moved, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
			      f->base.fd, 0),
			 moved);
	assert_int_equal(kind_of(f->memory, f->base.fd, (9 << 20) / PAGE), PAGE_UNKNOWN);
	assert_int_equal(kind_of(f->memory, f->base.fd, (13 << 20) / PAGE), PAGE_OF_FILE);
	assert_int_equal(munmap(moved, 4 << 20), 0);
	assert_ptr_equal(mmap(moved, 4 << 20, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0),
			 moved);
	assert_int_equal(kind_of(f->memory, f->base.fd, (9 << 20) / PAGE), PAGE_ZERO);
}

static struct memory_summary summary_of(const struct fixture *f, bool has_mapped, int mapped_fd)
{
	const struct memory_source source = {
		.base = f->memory,
		.bytes = SAMPLE_MEMORY_BYTES,
		.page_io = &page_io_sync_ops,
		.has_mapped = has_mapped,
		.mapped_fd = mapped_fd,
	};
	struct memory_summary summary;
	struct err err = {};
	FILE *file = tmpfile();

	assert_non_null(file);
	if (memory_layer_write(fileno(file), &source, NULL, NULL, &summary, &err) < 0)
		fail_msg("%s", err.message);
	(void)fclose(file);
	return summary;
}

/* A whole layer of memory that is mapped from a file: what is skipped for the file's holes is the
 * same as what a look at each page finds, also where the file is not what is mapped. */
static void test_holes_of_what_is_mapped(void **state)
{
	struct fixture *f = *state;
	struct memory_summary looked, known, other;

	setup_layered(f);
	f->memory[5 * PAGE] ^= 1;		  /* a hole of the file */
	memset(f->memory + 37 * PAGE, 0, PAGE); /* its data */
	looked = summary_of(f, false, -1);
	known = summary_of(f, true, f->base.fd);
	other = summary_of(f, true, f->image.fd);
	assert_memory_equal(&known, &looked, sizeof(known));
	assert_memory_equal(&other, &looked, sizeof(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_holes_of_what_is_mapped),
		FOLDER_TEST(test_all_equal),
		FOLDER_TEST(test_all_different),
		FOLDER_TEST_IN_MEMORY(test_first_and_last_page),
		FOLDER_TEST_IN_MEMORY(test_zero_over_data),
		FOLDER_TEST_IN_MEMORY(test_same_contents),
		FOLDER_TEST_IN_MEMORY(test_memory_of_its_own),
		FOLDER_TEST_IN_MEMORY(test_mailbox_over_data),
		FOLDER_TEST_IN_MEMORY(test_generations),
		FOLDER_TEST_IN_MEMORY(test_digest_has_extents),
		FOLDER_TEST(test_other_file_system),
		FOLDER_TEST(test_removed_files),
		FOLDER_TEST_IN_MEMORY(test_survives_its_base),
		FOLDER_TEST_IN_MEMORY(test_replaced_many_times),
		FOLDER_TEST_IN_MEMORY(test_wrong_sizes),
		FOLDER_TEST_IN_MEMORY(test_cut_base),
		FOLDER_TEST_IN_MEMORY(test_working_set_of_image),
		FOLDER_TEST_IN_MEMORY(test_shared_digest),
		FOLDER_TEST(test_pages_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
