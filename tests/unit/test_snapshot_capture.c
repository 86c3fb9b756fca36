/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture and opening on a real file system: what is written is read back, and readers and writers
 * of one folder do not disturb each other.
 */
#include "snapshot_folder.h"

#include <errno.h>
#include <sys/file.h>

static void assert_memory_file(const struct template *template, const uint8_t *memory)
{
	struct stat st;

	assert_memory_is(template, memory);
	assert_int_equal(fstat(template_memory_fd(template), &st), 0);
	assert_int_equal(st.st_size, SAMPLE_MEMORY_BYTES);
	assert_true(st.st_blocks * 512 < SAMPLE_MEMORY_BYTES / 2);
}

static void check_capture(struct fixture *f, const struct page_io_ops *page_io)
{
	cleanup_free struct working_set *set = memory_working_set();
	const struct capture_config config = {.page_io = page_io, .working_set = set};
	struct template *template;
	struct err err = {};
	uint64_t pages = 1;

	for (size_t i = 0; i < RUNS; i++)
		pages += i % 3 + 1;
	for (size_t i = 0; i < RUNS; i++) /* what lies in the mailbox is not counted */
		for (size_t n = 0; n < i % 3 + 1; n++)
			pages -= (i * 37 + n) * PAGE - SAMPLE_MAILBOX_GPA < MAILBOX_BYTES;

	if (capture(f, "upper", config, &err) < 0)
		fail_msg("%s", err.message);
	template = must_open(f->folder);
	assert_memory_file(template, f->memory);
	assert_int_equal(template_manifest(template)->nonzero_pages, pages);
	assert_string_equal(template_manifest(template)->created, "2023-11-14T22:13:20Z");
	assert_string_equal(template_manifest(template)->wake, "");
	assert_int_equal(template_state(template)->vcpus[1].regs.rip, f->state->vcpus[1].regs.rip);
	assert_int_equal(template_working_set(template)->count, 3);
	assert_true(template_state_fd(template) >= 0);
	assert_true(template_working_set_fd(template) >= 0);
	assert_int_equal(template_verify(template, &err), 0);
	template_free(template);
	assert_int_equal(count_entries(f->folder), 4);
}

static void test_capture_sync(void **state)
{
	check_capture(*state, &page_io_sync_ops);
}

static void test_capture_default(void **state)
{
	print_message("page I/O by %s\n", page_io_default()->name);
	check_capture(*state, NULL);
}

/* A clone's memory: its template mapped copy-on-write. Pages it never touched are in the file. */
static void test_capture_of_clone(void **state)
{
	struct fixture *f = *state;
	struct template *parent;
	uint8_t *first = f->memory;

	must_capture(f, "parent");
	parent = must_open(f->folder);
	f->memory = map_memory(0, template_memory_fd(parent));
	f->memory[37 * PAGE + 7] ^= 0xff;
	first[37 * PAGE + 7] ^= 0xff;
	f->memory[5 << 20] = 1;
	first[5 << 20] = 1;
	must_capture(f, "clone");
	template_free(parent);
	(void)munmap(f->memory, SAMPLE_MEMORY_BYTES);
	f->memory = first;

	assert_template(f->folder, "clone");
	parent = must_open(f->folder);
	assert_memory_file(parent, first);
	template_free(parent);
}

/* Equal contents have equal digests, wherever the holes are. */
static void test_digest_ignores_holes(void **state)
{
	struct fixture *f = *state;
	cleanup_free uint8_t *contents = malloc(SAMPLE_MEMORY_BYTES);
	struct memory_summary before, after;
	struct template *template;
	cleanup_fd int fd = -1;
	char path[160];

	must_capture(f, "upper");
	path_of(f, memory_of, path);
	template = must_open(f->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(memory_layer_read(fd, SAMPLE_MEMORY_BYTES, NULL, 0, &before, NULL), 0);
	assert_int_equal(file_pread_all(fd, contents, SAMPLE_MEMORY_BYTES, 0), 0);
	assert_int_equal(file_pwrite_all(fd, contents, SAMPLE_MEMORY_BYTES, 0), 0);
	assert_int_equal(memory_layer_read(fd, SAMPLE_MEMORY_BYTES, NULL, 0, &after, NULL), 0);
	assert_memory_equal(before.digest, after.digest, sizeof(before.digest));
	assert_int_equal(before.nonzero_pages, after.nonzero_pages);
	assert_int_equal(template_verify(template, NULL), 0);

	/* One page moved by one page is other contents. */
	memmove(contents + 38 * PAGE, contents + 37 * PAGE, PAGE);
	memset(contents + 37 * PAGE, 0, PAGE);
	assert_int_equal(file_pwrite_all(fd, contents, SAMPLE_MEMORY_BYTES, 0), 0);
	assert_int_equal(template_verify(template, NULL), -EBADMSG);
	template_free(template);
}

static void test_working_set_added_and_replaced(void **state)
{
	struct fixture *f = *state;
	cleanup_free struct working_set *set = memory_working_set();
	struct template *template;
	struct err err = {};

	assert_int_equal(template_set_working_set(f->folder, set, &err), -ENOENT);
	assert_one_line(&err);
	assert_int_equal(count_entries(f->folder), -1);

	must_capture(f, "upper");
	assert_int_equal(template_set_working_set(f->folder, set, &err), 0);
	set->count = 2;
	assert_int_equal(template_set_working_set(f->folder, set, &err), 0);
	template = must_open(f->folder);
	assert_int_equal(template_working_set(template)->count, 2);
	template_free(template);
	assert_template(f->folder, "upper");
	assert_int_equal(count_entries(f->folder), 4);

	set->entries[1].offset = SAMPLE_MEMORY_BYTES;
	assert_int_equal(template_set_working_set(f->folder, set, &err), -EINVAL);
	assert_template(f->folder, "upper");
	must_capture(f, "lower");
	assert_int_equal(count_entries(f->folder), 3);
}

/* A template that is open stays whole while it is replaced. */
static void test_open_template_survives_replacement(void **state)
{
	struct fixture *f = *state;
	struct template *old;

	must_capture(f, "old");
	old = must_open(f->folder);
	f->memory[37 * PAGE + 7] ^= 0xff;
	must_capture(f, "new");
	assert_int_equal(template_verify(old, NULL), 0);
	assert_string_equal(template_manifest(old)->function, "old");
	template_free(old);
	assert_template(f->folder, "new");
}

/* Readers take no lock: each finds one template or the other. */
static void test_open_during_replacement(void **state)
{
	struct fixture *f = *state;
	int opened = 0, status;
	pid_t pid;

	must_capture(f, "upper");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < 50; i++)
			if (capture(f, "upper", (struct capture_config){}, NULL) < 0)
				_exit(1);
		_exit(0);
	}
	for (; waitpid(pid, &status, WNOHANG) == 0; opened++)
		template_free(must_open(f->folder));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	print_message("opened %d times while replaced 50 times\n", opened);
	assert_true(opened > 0);
}

static void test_two_writers(void **state)
{
	struct fixture *f = *state;
	struct err err = {};
	cleanup_fd int fd = -1;

	must_capture(f, "first");
	fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(capture(f, "second", (struct capture_config){}, &err), -EBUSY);
	assert_one_line(&err);
	assert_template(f->folder, "first");
	assert_int_equal(count_entries(f->folder), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_capture_sync),
		FOLDER_TEST(test_capture_default),
		FOLDER_TEST(test_capture_of_clone),
		FOLDER_TEST(test_digest_ignores_holes),
		FOLDER_TEST(test_working_set_added_and_replaced),
		FOLDER_TEST(test_open_template_survives_replacement),
		FOLDER_TEST_IN_MEMORY(test_open_during_replacement),
		FOLDER_TEST(test_two_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
