/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of template folders share: the sample machine with memory, a folder of its own for
 * every test, and what is asked of a committed template.
 */
#pragma once

#include "snapshot_sample.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mailbox.h"

enum { PAGE = 4096, RUNS = 200 };

/* A folder of its own for every test, the sample machine, and its memory; for a test that wants
 * them, a base with that memory, an image, and memory mapped from that base. */
struct fixture {
	char parent[64];
	char folder[80];
	struct vm_state *state;
	uint8_t *memory;
	int fds;
	char base_folder[80], image_path[80]; /* empty: not made */
	struct template *base_template;
	struct shared_file base, image;
};

static inline uint8_t *map_memory(int flags, int fd)
{
	void *at = mmap(NULL, SAMPLE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, fd,
			0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

/* Runs of pages with gaps; more runs than one batch of writes takes. */
static inline void fill_memory(uint8_t *memory, uint64_t seed)
{
	for (size_t i = 0; i < RUNS; i++)
		sample_fill(&seed, memory + i * 37 * PAGE + 1, (i % 3 + 1) * PAGE - 2);
	memory[SAMPLE_MEMORY_BYTES - 1] = 1;
	memset(memory + SAMPLE_MAILBOX_GPA, 0xee, MAILBOX_BYTES);
}

static inline int setup_in(void **ret_state, const char *folder)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fds = open_fds();
	(void)snprintf(f->parent, sizeof(f->parent), "%s/snapshot-capture-XXXXXX", folder);
	assert_non_null(mkdtemp(f->parent));
	(void)snprintf(f->folder, sizeof(f->folder), "%s/template", f->parent);
	f->state = sample_state();
	f->memory = map_memory(MAP_ANONYMOUS, -1);
	fill_memory(f->memory, 11);
	*ret_state = f;
	return 0;
}

static inline int setup(void **ret_state)
{
	return setup_in(ret_state, "/tmp");
}

/* For the tests that capture a hundred times: what a kill leaves does not depend on the disk, but
 * how long an fsync takes does. */
static inline int setup_in_memory(void **ret_state)
{
	return setup_in(ret_state, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline int count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count;
}

static inline void remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
	(void)rmdir(folder);
}

static inline void drop_shared(struct fixture *f)
{
	if (!f->base_folder[0])
		return;
	template_free(f->base_template);
	(void)close(f->image.fd);
	(void)unlink(f->image_path);
	remove_folder(f->base_folder);
	f->base_folder[0] = '\0';
}

/* Every test ends with as many descriptors as it began with, and without children. */
static inline int teardown(void **state)
{
	struct fixture *f = *state;

	remove_folder(f->folder);
	drop_shared(f);
	(void)umount2(f->parent, MNT_DETACH); /* of test_disk_full */
	assert_int_equal(rmdir(f->parent), 0);
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	assert_int_equal(open_fds(), f->fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	free(f->state);
	free(f);
	return 0;
}

static inline bool is_layered(const struct fixture *f)
{
	return f->base_folder[0] != '\0';
}

/* Manifest, state and memory, and what a layered template has beside. */
static inline int files_of_template(const struct fixture *f)
{
	return is_layered(f) ? 5 : 3;
}

/* A layer over the base, with the image, when the fixture has them. */
static inline int capture(const struct fixture *f, const char *function,
			  struct capture_config config, struct err *err)
{
	struct manifest description = {};

	(void)snprintf(description.function, sizeof(description.function), "%s", function);
	config.folder = f->folder;
	config.description = &description;
	if (is_layered(f)) {
		config.base = &f->base;
		config.image = &f->image;
	}
	return capture_write(f->state, f->memory, &config, err);
}

static inline void must_capture(const struct fixture *f, const char *function)
{
	struct err err = {};

	if (capture(f, function, (struct capture_config){}, &err) < 0)
		fail_msg("%s", err.message);
}

static inline struct template *must_open(const char *folder)
{
	struct template *template = NULL;
	struct err err = {};

	if (template_open(&template, folder, &err) < 0)
		fail_msg("%s", err.message);
	return template;
}

/* The committed template is whole and is `function`'s. */
static inline void assert_template(const char *folder, const char *function)
{
	struct template *template = must_open(folder);
	struct err err = {};

	if (template_verify(template, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(template_manifest(template)->function, function);
	template_free(template);
}

/* Data between the places where the tests write, enough for extents of their own. */
static inline void fill_dense(uint8_t *memory)
{
	static const size_t zones[] = {405, 2453, 4510}; /* pages */
	uint64_t seed = 31;

	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		for (size_t n = 0; n < 600; n++)
			sample_fill(&seed, memory + (zones[i] + n) * PAGE, 16);
}

/* Below `parent`: the fixture's, or another file system's folder. */
static inline void make_shared(struct fixture *f, const char *parent)
{
	struct capture_config config = {};
	struct err err = {};
	uint64_t seed = 5;
	uint8_t page[PAGE];

	(void)snprintf(f->base_folder, sizeof(f->base_folder), "%s/base", parent);
	config.folder = f->base_folder;
	(void)snprintf(f->image_path, sizeof(f->image_path), "%s/image", parent);
	fill_dense(f->memory);
	if (capture_write(f->state, f->memory, &config, &err) < 0)
		fail_msg("%s", err.message);
	f->base_template = must_open(f->base_folder);
	f->base.fd = template_memory_fd(f->base_template);
	f->base.bytes = template_manifest(f->base_template)->memory.bytes;
	memcpy(f->base.digest, template_manifest(f->base_template)->memory.digest, 16);

	f->image.fd = open(f->image_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(f->image.fd >= 0);
	assert_int_equal(ftruncate(f->image.fd, SAMPLE_IMAGE_BYTES), 0);
	for (size_t at = 0; at < SAMPLE_IMAGE_BYTES; at += 50 * PAGE) {
		sample_fill(&seed, page, sizeof(page));
		assert_int_equal(file_pwrite_all(f->image.fd, page, PAGE, (off_t)at), 0);
	}
	if (shared_file_digest(f->image.fd, &f->image, &err) < 0)
		fail_msg("%s", err.message);
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	f->memory = map_memory(0, f->base.fd);
}

/* What the clone of a base wrote, here and there. */
static inline void write_some(struct fixture *f)
{
	uint64_t seed = 77;

	for (size_t i = 0; i < 24; i++)
		sample_fill(&seed, f->memory + (i % 6 * 1024 + i / 6 * 60 + 5) * PAGE,
			    3 * PAGE / 2);
}

/* Memory as a restore maps it: the base, and the extents over it. */
static inline uint8_t *map_template(const struct template *template)
{
	const struct manifest *manifest = template_manifest(template);
	int base = template_base_fd(template), fd = template_memory_fd(template);
	uint8_t *at = map_memory(0, base >= 0 ? base : fd);

	for (uint32_t i = 0; i < manifest->extent_count; i++) {
		const struct snapshot_extent *extent = &manifest->extents[i];

		void *piece = mmap(at + extent->offset, extent->bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_FIXED, fd, (off_t)extent->offset);

		assert_ptr_not_equal(piece, MAP_FAILED);
	}
	return at;
}

/* All of it but the mailbox, which reads as zeros. */
static inline void assert_memory_is(const struct template *template, const uint8_t *memory)
{
	const size_t after = SAMPLE_MAILBOX_GPA + MAILBOX_BYTES;
	uint8_t *file = map_template(template);

	assert_memory_equal(file, memory, SAMPLE_MAILBOX_GPA);
	for (size_t i = SAMPLE_MAILBOX_GPA; i < after; i += PAGE)
		assert_true(page_is_zero(file + i));
	assert_memory_equal(file + after, memory + after, SAMPLE_MEMORY_BYTES - after);
	(void)munmap(file, SAMPLE_MEMORY_BYTES);
}

static inline void path_in(const struct fixture *f, const char *name, char path[160])
{
	(void)snprintf(path, 160, "%s/%s", f->folder, name);
}

/* The name of one file of the committed template, from its manifest. */
static inline void path_of(const struct fixture *f,
			   const struct snapshot_file *(*which)(const struct manifest *),
			   char path[160])
{
	struct template *template = must_open(f->folder);

	path_in(f, which(template_manifest(template))->name, path);
	template_free(template);
}

static inline const struct snapshot_file *state_of(const struct manifest *m)
{
	return &m->state;
}

static inline const struct snapshot_file *working_set_of(const struct manifest *m)
{
	return &m->working_set;
}

static inline const struct snapshot_file *base_of(const struct manifest *m)
{
	return &m->base;
}

static inline const struct snapshot_file *image_of(const struct manifest *m)
{
	return &m->image;
}

static inline const struct snapshot_file *memory_of(const struct manifest *m)
{
	return &m->memory;
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FOLDER_TEST_IN_MEMORY(name) \
	cmocka_unit_test_setup_teardown(name, setup_in_memory, teardown)
