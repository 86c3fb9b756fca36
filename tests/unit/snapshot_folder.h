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

/* A folder of its own for every test, the sample machine, and its memory. */
struct fixture {
	char parent[64];
	char folder[80];
	struct vm_state *state;
	uint8_t *memory;
	int fds;
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

/* Every test ends with as many descriptors as it began with, and without children. */
static inline int teardown(void **state)
{
	struct fixture *f = *state;

	remove_folder(f->folder);
	(void)umount2(f->parent, MNT_DETACH); /* of test_disk_full */
	assert_int_equal(rmdir(f->parent), 0);
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	assert_int_equal(open_fds(), f->fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	free(f->state);
	free(f);
	return 0;
}

static inline int capture(const struct fixture *f, const char *function,
			  struct capture_config config, struct err *err)
{
	struct manifest description = {};

	(void)snprintf(description.function, sizeof(description.function), "%s", function);
	config.folder = f->folder;
	config.description = &description;
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

static inline const struct snapshot_file *memory_of(const struct manifest *m)
{
	return &m->memory;
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FOLDER_TEST_IN_MEMORY(name) \
	cmocka_unit_test_setup_teardown(name, setup_in_memory, teardown)
