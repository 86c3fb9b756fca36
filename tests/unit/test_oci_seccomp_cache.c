/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of compiled filters: it gives back what was compiled, or nothing. Whoever could put
 * another program there would switch a container's filter off.
 */
#include "oci_seccomp_try.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "process/seccomp_priv.h"

static const struct call getppid_call = { .number = SYS_getppid };

static struct oci_seccomp_rule cached_rules[] = {
	{ .names = NAMES("getppid"), .action = "SCMP_ACT_ERRNO", .errno_ret = NUMBER(88) },
};
static const struct oci_seccomp cached = {
	.default_action = "SCMP_ACT_ALLOW",
	.rules = cached_rules,
	.rule_count = 1,
	.text = "{\"a\":1}",
};

static void make_cache(char path[48])
{
	strcpy(path, "/tmp/oci-seccomp-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static void remove_cache(const char *path)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

/* The only file there; fails when there is another. */
static void only_file(const char *folder, char path[320])
{
	DIR *listing = opendir(folder);
	const struct dirent *entry;
	int files = 0;

	assert_non_null(listing);
	while ((entry = readdir(listing))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		(void)snprintf(path, 320, "%s/%s", folder, entry->d_name);
		files++;
	}
	(void)closedir(listing);
	assert_int_equal(files, 1);
}

static void build(const char *folder)
{
	struct seccomp_filter *filter;

	assert_int_equal(seccomp_filter_new(&filter, &cached, folder, NULL), 0);
	assert_int_equal(try_filter(filter, &getppid_call), -88);
	filter = seccomp_filter_free(filter);
}

static bool is_cached(const char *folder)
{
	struct bpf_program fresh, kept;
	bool same;

	if (!seccomp_cache_load(folder, &cached, &kept))
		return false;
	assert_int_equal(seccomp_compile(&cached, &fresh, NULL), 0);
	same = fresh.count == kept.count &&
	       !memcmp(fresh.instructions, kept.instructions,
		       fresh.count * sizeof(struct sock_filter));
	fresh = bpf_program_done(&fresh);
	kept = bpf_program_done(&kept);
	assert_true(same);
	return true;
}

static void test_cache_gives_what_was_compiled(void **state)
{
	struct oci_seccomp other = cached;
	struct bpf_program program;
	char folder[48], path[320];
	struct stat st;

	(void)state;
	make_cache(folder);
	assert_false(is_cached(folder));
	build(folder);
	only_file(folder, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_true(is_cached(folder));
	other.text = "{\"a\":2}";
	assert_false(seccomp_cache_load(folder, &other, &program));
	other.text = NULL;
	assert_false(seccomp_cache_load(folder, &other, &program));
	remove_cache(folder);
	/* Made when it is missing. */
	build(folder);
	assert_true(is_cached(folder));
	remove_cache(folder);
}

/* What is there is used: a program that allows everything, put there under the profile's key, does
 * not refuse what the profile refuses. That is why the tests below matter. */
static void test_cache_is_used(void **state)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	const struct bpf_program program = { allow, 1 };
	struct seccomp_filter *filter;
	char folder[48];

	(void)state;
	make_cache(folder);
	seccomp_cache_store(folder, &cached, &program);
	assert_int_equal(seccomp_filter_new(&filter, &cached, folder, NULL), 0);
	assert_int_equal(try_filter(filter, &getppid_call), getpid());
	filter = seccomp_filter_free(filter);
	remove_cache(folder);
}

static void flip(const char *path, off_t at)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void test_every_damaged_byte_is_found(void **state)
{
	char folder[48], path[320];
	struct stat st;

	(void)state;
	make_cache(folder);
	build(folder);
	only_file(folder, path);
	assert_int_equal(stat(path, &st), 0);
	for (off_t i = 0; i < st.st_size; i++) {
		flip(path, i);
		assert_false(is_cached(folder));
		flip(path, i);
	}
	assert_true(is_cached(folder));
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		assert_int_equal(truncate(path, size), 0);
		assert_false(is_cached(folder));
	}
	/* Rebuilt, in its place. */
	build(folder);
	only_file(folder, path);
	assert_true(is_cached(folder));
	assert_int_equal(truncate(path, st.st_size + 1), 0);
	assert_false(is_cached(folder));
	remove_cache(folder);
}

static int set_mode(const char *path)
{
	return chmod(path, 0640);
}

static int set_owner(const char *path)
{
	return geteuid() == 0 ? chown(path, 4321, (gid_t)-1) : chmod(path, 0644);
}

static int replace_by_link(const char *path)
{
	char other[340];

	(void)snprintf(other, sizeof(other), "%s.moved", path);
	return rename(path, other) < 0 ? -1 : symlink(other, path);
}

static int replace_by_fifo(const char *path)
{
	return unlink(path) < 0 ? -1 : mkfifo(path, 0600);
}

static void test_untrusted_files_are_refused(void **state)
{
	int (*const spoil[])(const char *path) = { set_mode, set_owner, replace_by_link,
						   replace_by_fifo };
	char folder[48], path[320];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spoil); i++) {
		make_cache(folder);
		build(folder);
		only_file(folder, path);
		assert_int_equal(spoil[i](path), 0);
		assert_false(is_cached(folder));
		build(folder);
		assert_true(is_cached(folder));
		remove_cache(folder);
	}
}

static void test_untrusted_folder_is_refused(void **state)
{
	char folder[48], other[56];

	(void)state;
	make_cache(folder);
	build(folder);
	assert_int_equal(chmod(folder, 0770), 0);
	assert_false(is_cached(folder));
	build(folder); /* which works without a cache */
	assert_int_equal(chmod(folder, 0700), 0);
	assert_true(is_cached(folder));
	(void)snprintf(other, sizeof(other), "%s.link", folder);
	assert_int_equal(symlink(folder, other), 0);
	assert_false(is_cached(other));
	assert_int_equal(unlink(other), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(folder, 4321, (gid_t)-1), 0);
		assert_false(is_cached(folder));
	}
	remove_cache(folder);
	build("/proc/none/cache");
}

static void test_cache_is_bounded(void **state)
{
	char folder[48], path[320];

	(void)state;
	make_cache(folder);
	for (int i = 0; i < 256; i++) {
		(void)snprintf(path, sizeof(path), "%s/%032x", folder, i);
		assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
	}
	build(folder);
	only_file(folder, path);
	/* What does not look like ours stays. */
	for (int i = 0; i < 256; i++) {
		(void)snprintf(path, sizeof(path), "%s/%031x", folder, i);
		assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
	}
	assert_true(is_cached(folder));
	build(folder);
	assert_int_equal(access(path, F_OK), 0);
	assert_true(is_cached(folder));
	remove_cache(folder);
}

/* In a child, where nothing may be asserted: 0, or what went wrong. */
static int build_often(const char *folder)
{
	struct bpf_program fresh;
	int bad = seccomp_compile(&cached, &fresh, NULL) < 0;

	for (int round = 0; round < 100 && !bad; round++) {
		struct bpf_program kept = { 0 };
		struct seccomp_filter *filter;

		bad = seccomp_filter_new(&filter, &cached, folder, NULL) < 0;
		filter = bad ? NULL : seccomp_filter_free(filter);
		if (!bad && seccomp_cache_load(folder, &cached, &kept))
			bad = kept.count != fresh.count ||
			      memcmp(kept.instructions, fresh.instructions,
				     fresh.count * sizeof(struct sock_filter)) != 0;
		kept = bpf_program_done(&kept);
	}
	fresh = bpf_program_done(&fresh);
	return bad;
}

/* Four at once, while the file is damaged again and again: all get the right filter. */
static void test_cache_by_many(void **state)
{
	char folder[48], path[320];
	pid_t pids[4];
	int status;

	(void)state;
	make_cache(folder);
	build(folder);
	only_file(folder, path);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork_child();
		if (pids[i] == 0) {
			_exit(build_often(folder));
		}
	}
	for (int round = 0; round < 60; round++) {
		const int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0)
			(void)!pwrite(fd, "damage", 6, 30);
		(void)fd_close(fd);
		(void)usleep(1000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	build(folder);
	assert_true(is_cached(folder));
	remove_cache(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_gives_what_was_compiled),
		cmocka_unit_test(test_cache_is_used),
		cmocka_unit_test(test_every_damaged_byte_is_found),
		cmocka_unit_test(test_untrusted_files_are_refused),
		cmocka_unit_test(test_untrusted_folder_is_refused),
		cmocka_unit_test(test_cache_is_bounded),
		cmocka_unit_test(test_cache_by_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
