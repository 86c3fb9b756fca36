/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures that fail or are killed: no moment at which that happens leaves anything but the old
 * template or the new one.
 */
#include "snapshot_folder.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* --- killed at every step --------------------------------------------------------------------- */

struct killer {
	int countdown;
};

static void kill_at_step(void *context, const char *name)
{
	struct killer *killer = context;

	(void)name;
	if (killer->countdown-- == 0)
		(void)kill(getpid(), SIGKILL);
}

static struct working_set *set_of(const struct fixture *f)
{
	return is_layered(f) ? sample_working_set() : memory_working_set();
}

/* Captures "new" in a child that is killed before the n-th step. True when it got to the end. */
static bool capture_killed_at(struct fixture *f, int n, const struct working_set *set)
{
	struct killer killer = {.countdown = n};
	const struct capture_config config = {
		.step = kill_at_step,
		.step_context = &killer,
		.working_set = set,
	};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(capture(f, "new", config, NULL) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

/* Returns whether the folder holds the new template; the old one must be there otherwise. */
static bool is_new(const struct fixture *f, const char *old)
{
	struct template *template = NULL;
	struct err err = {};
	bool new;

	if (!old && template_open(&template, f->folder, &err) == -ENOENT)
		return false;
	template_free(template);
	template = must_open(f->folder);
	new = strcmp(template_manifest(template)->function, "new") == 0;
	template_free(template);
	assert_template(f->folder, new ? "new" : old);
	return new;
}

static void check_killed(struct fixture *f, const char *old)
{
	cleanup_free struct working_set *set = set_of(f);
	bool done = false, switched = false;
	int step;

	for (step = 0; !done; step++) {
		remove_folder(f->folder);
		if (old)
			must_capture(f, old);
		f->memory[37 * PAGE + 7] ^= 0xff;
		done = capture_killed_at(f, step, set);
		if (is_new(f, old))
			switched = true;
		else
			assert_false(switched); /* never back */

		/* Whatever was left, the next capture works and leaves nothing behind. */
		must_capture(f, "next");
		assert_template(f->folder, "next");
		assert_int_equal(count_entries(f->folder), files_of_template(f));
	}
	assert_true(switched);
	print_message("killed at each of %d steps\n", step - 1);
	assert_true(step - 1 >= (is_layered(f) ? 14 : 10));
}

/* Base and image are as they were, whatever became of the templates that linked them. */
static void assert_shared_unchanged(const struct fixture *f)
{
	struct shared_file now;

	assert_int_equal(template_verify(f->base_template, NULL), 0);
	assert_int_equal(shared_file_digest(f->image.fd, &now, NULL), 0);
	assert_memory_equal(now.digest, f->image.digest, sizeof(now.digest));
}

static void test_killed_replacing(void **state)
{
	check_killed(*state, "old");
}

static void test_killed_in_empty_folder(void **state)
{
	check_killed(*state, NULL);
}

static void test_killed_with_base(void **state)
{
	struct fixture *f = *state;

	make_shared(f, f->parent);
	write_some(f);
	check_killed(f, "old");
	assert_shared_unchanged(f);
}

static void test_killed_with_base_in_empty_folder(void **state)
{
	struct fixture *f = *state;

	make_shared(f, f->parent);
	write_some(f);
	check_killed(f, NULL);
	assert_shared_unchanged(f);
}

/* Links that cannot be made: both are copied, and the copying is killed. */
static void test_killed_while_copying(void **state)
{
	char other[] = "/tmp/snapshot-other-XXXXXX";
	struct fixture *f = *state;

	assert_non_null(mkdtemp(other));
	make_shared(f, other);
	write_some(f);
	check_killed(f, "old");
	assert_shared_unchanged(f);
	drop_shared(f);
	assert_int_equal(rmdir(other), 0);
}

/* --- failing ---------------------------------------------------------------------------------- */

/* Page I/O that fails with EIO at its n-th batch. */
struct page_io {
	int countdown;
};

static int failing_open(struct page_io **ret_io, unsigned int depth)
{
	struct page_io *io = malloc(sizeof(*io));

	(void)depth;
	assert_non_null(io);
	io->countdown = 2;
	*ret_io = io;
	return 0;
}

static int failing_write(struct page_io *io, int fd, const struct page_extent *extents,
			 size_t count)
{
	(void)fd;
	(void)extents;
	(void)count;
	return io->countdown-- > 0 ? 0 : -EIO;
}

static void failing_close(struct page_io *io)
{
	free(io);
}

static const struct page_io_ops failing_ops = {
	.name = "failing",
	.open = failing_open,
	.write = failing_write,
	.close = failing_close,
};

static void test_write_error(void **state)
{
	const struct capture_config config = {.page_io = &failing_ops};
	struct fixture *f = *state;
	struct err err = {};

	assert_int_equal(capture(f, "new", config, &err), -EIO);
	assert_one_line(&err);
	assert_int_equal(count_entries(f->folder), -1); /* made and removed again */
	must_capture(f, "old");
	assert_int_equal(capture(f, "new", config, &err), -EIO);
	assert_non_null(strstr(err.message, "memory-"));
	assert_template(f->folder, "old");
	assert_int_equal(count_entries(f->folder), files_of_template(f));
}

/* From its n-th step on, every call of one system call fails with EIO. */
struct saboteur {
	int countdown;
	uint32_t system_call;
};

static void forbid_at_step(void *context, const char *name)
{
	struct saboteur *saboteur = context;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, saboteur->system_call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {ARRAY_SIZE(filter), filter};

	(void)name;
	if (saboteur->countdown-- != 0)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(2);
}

/* Captures "new" in a child; returns what it returned. */
static int capture_sabotaged(struct fixture *f, struct saboteur saboteur)
{
	cleanup_free struct working_set *set = set_of(f);
	const struct capture_config config = {
		.step = forbid_at_step,
		.step_context = &saboteur,
		.page_io = &page_io_sync_ops,
		.working_set = set,
	};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = {};
		int r = capture(f, "new", config, &err);

		_exit(r == 0 ? 0 : r == -EIO && err.message[0] ? 1 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Every system call that can fail for want of space or by a broken disk, from every step on. A
 * failure leaves the old template and nothing else; only after the rename, when it is not known
 * which of the two is durable, both keep their files. */
static void check_failing(struct fixture *f)
{
	static const uint32_t system_calls[] = {SYS_openat, SYS_write,	SYS_pwrite64,
						SYS_fsync,  SYS_renameat, SYS_ftruncate};
	int failures = 0;

	for (size_t i = 0; i < ARRAY_SIZE(system_calls); i++)
		for (int step = 0; step < 22; step++) {
			int result;

			must_capture(f, "old");
			result = capture_sabotaged(f, (struct saboteur){step, system_calls[i]});
			if (result > 1)
				fail_msg("system call %u at step %d: exit %d", system_calls[i],
					 step, result);
			failures += result;
			if (result == 0)
				assert_true(is_new(f, "old"));
			else if (!is_new(f, "old"))
				assert_int_equal(count_entries(f->folder), files_of_template(f));
		}
	must_capture(f, "next");
	assert_int_equal(count_entries(f->folder), files_of_template(f));
	print_message("%d captures failed\n", failures);
	assert_true(failures > 40);
}

static void test_failing_at_every_step(void **state)
{
	check_failing(*state);
}

static void test_failing_with_base(void **state)
{
	struct fixture *f = *state;

	make_shared(f, f->parent);
	write_some(f);
	check_failing(f);
	assert_shared_unchanged(f);
}

/* Without linkat, the template is the same, of copies; nothing of the original is written. */
static void test_linkat_refused(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	struct stat st;

	make_shared(f, f->parent);
	write_some(f);
	must_capture(f, "old");
	assert_int_equal(capture_sabotaged(f, (struct saboteur){0, SYS_linkat}), 0);
	assert_template(f->folder, "new");
	template = must_open(f->folder);
	assert_memory_is(template, f->memory);
	assert_int_equal(fstat(template_base_fd(template), &st), 0);
	assert_int_equal(st.st_nlink, 1);
	template_free(template);
	assert_shared_unchanged(f);
}

static void test_state_refused(void **state)
{
	struct fixture *f = *state;
	struct err err = {};

	must_capture(f, "old");
	f->state->mailbox_gpa = 4096;
	assert_int_equal(capture(f, "new", (struct capture_config){}, &err), -EINVAL);
	assert_one_line(&err);
	assert_template(f->folder, "old");
	assert_int_equal(count_entries(f->folder), files_of_template(f));
}

static void check_no_space(struct fixture *f, const struct page_io_ops *page_io, int code)
{
	struct err err = {};

	assert_int_equal(
		capture(f, "new", (struct capture_config){.page_io = page_io}, &err), code);
	assert_one_line(&err);
	assert_template(f->folder, "old");
	assert_int_equal(count_entries(f->folder), files_of_template(f));
}

/* A limit on the size of files: the memory layer's cannot even be set. */
static void test_file_size_limit(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, limit;

	must_capture(f, "old");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	check_no_space(f, NULL, -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	must_capture(f, "new");
	assert_template(f->folder, "new");
}

/* A real file system that runs full in the middle of the memory layer. */
static void test_disk_full(void **state)
{
	struct fixture *f = *state;

	if (mount("snapshot-test", f->parent, "tmpfs", 0, "size=2m,mode=0700") < 0) {
		print_message("cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	must_capture(f, "old");
	check_no_space(f, &page_io_sync_ops, -ENOSPC);
	check_no_space(f, NULL, -ENOSPC);
}

/* A folder on a tmpfs of every size, from too small for anything to large enough for all: base and
 * image are copied, so the space may end in any file. */
static void test_disk_full_with_base(void **state)
{
	char other[] = "/tmp/snapshot-other-XXXXXX";
	struct fixture *f = *state;
	int failed = 0, pages = 1;
	bool done = false;

	assert_non_null(mkdtemp(other));
	make_shared(f, other);
	write_some(f);
	for (; !done; pages += pages < 60 ? 5 : 61) {
		char size[64];
		struct err err = {};
		int r;

		(void)snprintf(size, sizeof(size), "nr_blocks=%d,mode=0700", pages);
		if (mount("snapshot-test", f->parent, "tmpfs", 0, size) < 0) {
			print_message("cannot mount a tmpfs: %s\n", strerror(errno));
			break;
		}
		r = capture(f, "new", (struct capture_config){}, &err);
		done = r == 0;
		if (done) {
			assert_template(f->folder, "new");
		} else {
			assert_int_equal(r, -ENOSPC);
			assert_one_line(&err);
			assert_int_equal(count_entries(f->folder), -1);
			failed++;
		}
		assert_int_equal(umount2(f->parent, 0), 0);
	}
	print_message("%d sizes were too small\n", failed);
	assert_shared_unchanged(f);
	drop_shared(f);
	assert_int_equal(rmdir(other), 0);
	assert_true(failed > 10 || !done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST_IN_MEMORY(test_killed_replacing),
		FOLDER_TEST_IN_MEMORY(test_killed_in_empty_folder),
		FOLDER_TEST_IN_MEMORY(test_killed_with_base),
		FOLDER_TEST_IN_MEMORY(test_killed_with_base_in_empty_folder),
		FOLDER_TEST_IN_MEMORY(test_killed_while_copying),
		FOLDER_TEST(test_write_error),
		FOLDER_TEST_IN_MEMORY(test_failing_at_every_step),
		FOLDER_TEST_IN_MEMORY(test_failing_with_base),
		FOLDER_TEST(test_linkat_refused),
		FOLDER_TEST(test_state_refused),
		FOLDER_TEST(test_file_size_limit),
		FOLDER_TEST(test_disk_full),
		FOLDER_TEST(test_disk_full_with_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
