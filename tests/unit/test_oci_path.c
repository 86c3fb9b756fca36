/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of a container: what an image writes into them never leads out of its root.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "rootfs/path_in_root.h"

enum { LEAST_ROUNDS = 2000, MOST_ROUNDS = 20000 };

/* A folder with "root", the container's, and "outside", which nothing may reach. */
struct place {
	char path[64];
	int root_fd, outside_fd;
};

static int make_folder(int folder_fd, const char *name)
{
	int fd;

	assert_int_equal(mkdirat(folder_fd, name, 0755), 0);
	fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	static struct place place;
	cleanup_fd int fd = -1;

	(void)snprintf(place.path, sizeof(place.path), "/tmp/test_oci_path.XXXXXX");
	assert_non_null(mkdtemp(place.path));
	fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place.root_fd = make_folder(fd, "root");
	place.outside_fd = make_folder(fd, "outside");
	*state = &place;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static int teardown(void **state)
{
	struct place *place = *state;

	(void)close(place->root_fd);
	(void)close(place->outside_fd);
	return nftw(place->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void link_to(int folder_fd, const char *name, const char *target)
{
	assert_int_equal(symlinkat(target, folder_fd, name), 0);
}

static bool exists(int folder_fd, const char *path)
{
	struct stat st;

	return fstatat(folder_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_same(int fd, int folder_fd, const char *path)
{
	struct stat a, b;

	assert_int_equal(fstat(fd, &a), 0);
	return fstatat(folder_fd, path, &b, 0) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void assert_makes(const struct place *place, const char *path, enum path_kind kind,
			 const char *expected)
{
	cleanup_fd int fd = -1;
	struct stat st;

	assert_int_equal(path_in_root_make(place->root_fd, path, kind, 0, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(S_ISDIR(st.st_mode), kind == PATH_FOLDER);
	assert_true(is_same(fd, place->root_fd, expected));
}

static void assert_nothing_outside(const struct place *place)
{
	cleanup_fd int fd = openat(place->outside_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 2);
}

/* --- by text --------------------------------------------------------------------------------- */

static void test_clean(void **state)
{
	static const struct {
		const char *path, *clean;
	} rows[] = {
		{ "/", "/" },
		{ "", "/" },
		{ "//", "/" },
		{ ".", "/" },
		{ "..", "/" },
		{ "/../..", "/" },
		{ "/a", "/a" },
		{ "a", "/a" },
		{ "/a/", "/a" },
		{ "//a///b//", "/a/b" },
		{ "/a/./b/.", "/a/b" },
		{ "/a/../b", "/b" },
		{ "/a/b/../../../c", "/c" },
		{ "/proc/../etc", "/etc" },
		{ "/...", "/..." },
		{ "/..a/.b", "/..a/.b" },
	};
	char clean[PATH_MAX], path[PATH_MAX + 8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(path_clean(rows[i].path, clean), 0);
		assert_string_equal(clean, rows[i].clean);
	}
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(path_clean(path, clean), -ENAMETOOLONG);
	path[PATH_MAX - 2] = '\0';
	assert_int_equal(path_clean(path, clean), 0);
	assert_int_equal(strlen(clean), PATH_MAX - 1);
}

/* --- what is there --------------------------------------------------------------------------- */

static void test_open_stays_inside(void **state)
{
	const struct place *place = *state;
	static const char *const targets[] = { "/inside", "../../inside", "../../../../../inside",
					       "/../../inside" };
	cleanup_fd int folder_fd = make_folder(place->root_fd, "inside");
	int fd = -1;

	(void)folder_fd;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		link_to(place->root_fd, "link", targets[i]);
		assert_int_equal(path_in_root_open(place->root_fd, "/link", 0, &fd), 0);
		assert_true(is_same(fd, place->root_fd, "inside"));
		fd = fd_close(fd);
		assert_int_equal(
			path_in_root_open(place->root_fd, "/link", RESOLVE_NO_SYMLINKS, &fd),
			-ELOOP);
		assert_int_equal(unlinkat(place->root_fd, "link", 0), 0);
	}
	link_to(place->root_fd, "link", "../outside");
	assert_true(faccessat(place->root_fd, "link/.", F_OK, 0) == 0); /* what an open would do */
	assert_int_equal(path_in_root_open(place->root_fd, "/link", 0, &fd), -ENOENT);
}

/* --- what is made ---------------------------------------------------------------------------- */

static void test_make(void **state)
{
	const struct place *place = *state;

	assert_makes(place, "/", PATH_FOLDER, ".");
	assert_makes(place, "/a/b/c", PATH_FOLDER, "a/b/c");
	assert_makes(place, "/a/b/c", PATH_FOLDER, "a/b/c");
	assert_makes(place, "/a/b/file", PATH_FILE, "a/b/file");
	assert_makes(place, "d//./e/", PATH_FOLDER, "d/e");
	assert_makes(place, "/new/../other", PATH_FOLDER, "other");
}

static void test_make_through_a_file(void **state)
{
	const struct place *place = *state;
	int fd = -1;

	assert_makes(place, "/file", PATH_FILE, "file");
	assert_int_equal(path_in_root_make(place->root_fd, "/file/x", PATH_FOLDER, 0, &fd),
			 -ENOTDIR);
	assert_int_equal(fd, -1);
}

static void test_make_follows_dangling_links_inside(void **state)
{
	const struct place *place = *state;

	link_to(place->root_fd, "resolv.conf", "../run/systemd/stub.conf");
	assert_makes(place, "/resolv.conf", PATH_FILE, "run/systemd/stub.conf");
	link_to(place->root_fd, "absolute", "/made/here");
	assert_makes(place, "/absolute/below", PATH_FOLDER, "made/here/below");
	link_to(place->root_fd, "up", "../../../../../../tmp/x");
	assert_makes(place, "/up/y", PATH_FOLDER, "tmp/x/y");
	link_to(place->root_fd, "first", "second/third");
	link_to(place->root_fd, "second", "fourth/../fifth");
	assert_makes(place, "/first", PATH_FOLDER, "fifth/third");
	assert_false(exists(place->outside_fd, "x"));
	assert_nothing_outside(place);
}

static void test_make_never_leaves(void **state)
{
	const struct place *place = *state;
	char absolute[96], attack[128];

	(void)snprintf(absolute, sizeof(absolute), "%s/outside", place->path);
	(void)snprintf(attack, sizeof(attack), "%s/attack", absolute + 1);
	link_to(place->root_fd, "absolute", absolute);
	link_to(place->root_fd, "relative", "../outside");
	/* What a runtime does that makes the folder by its path. */
	assert_int_equal(mkdirat(place->root_fd, "relative/attack", 0755), 0);
	assert_true(exists(place->outside_fd, "attack"));
	assert_int_equal(unlinkat(place->outside_fd, "attack", AT_REMOVEDIR), 0);

	assert_makes(place, "/relative/attack", PATH_FOLDER, "outside/attack");
	assert_makes(place, "/absolute/attack", PATH_FOLDER, attack);
	assert_nothing_outside(place);
}

static void test_make_without_links(void **state)
{
	const struct place *place = *state;
	int fd = -1;

	link_to(place->root_fd, "proc", "elsewhere");
	assert_int_equal(
		path_in_root_make(place->root_fd, "/proc", PATH_FOLDER, RESOLVE_NO_SYMLINKS, &fd),
		-ELOOP);
	assert_false(exists(place->root_fd, "elsewhere"));
	assert_int_equal(
		path_in_root_make(place->root_fd, "/sys", PATH_FOLDER, RESOLVE_NO_SYMLINKS, &fd),
		0);
	(void)close(fd);
}

static void test_make_is_bounded(void **state)
{
	const struct place *place = *state;
	char name[NAME_MAX + 3] = "/", text[4000];
	int fd = -1;

	link_to(place->root_fd, "self", "self");
	assert_int_equal(path_in_root_make(place->root_fd, "/self", PATH_FOLDER, 0, &fd), -ELOOP);
	link_to(place->root_fd, "one", "two/x");
	link_to(place->root_fd, "two", "one/y");
	assert_int_equal(path_in_root_make(place->root_fd, "/one", PATH_FOLDER, 0, &fd), -ELOOP);
	memset(name + 1, 'n', NAME_MAX + 1);
	assert_int_equal(path_in_root_make(place->root_fd, name, PATH_FOLDER, 0, &fd),
			 -ENAMETOOLONG);
	/* A link that doubles the way at each step. */
	for (size_t i = 0; i + 6 < sizeof(text); i += 5)
		(void)snprintf(text + i, 6, "%s", "long/");
	link_to(place->root_fd, "long", text);
	assert_true(path_in_root_make(place->root_fd, "/long", PATH_FOLDER, 0, &fd) < 0);
	assert_int_equal(fd, -1);
}

static void test_magic_links_are_refused(void **state)
{
	cleanup_fd int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[64];
	int fd = -1;

	(void)state;
	/* A descriptor of this process leads to the whole machine's root. */
	cleanup_fd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)snprintf(path, sizeof(path), "/%d/fd/%d", (int)getpid(), root_fd);
	assert_int_equal(path_in_root_open(proc_fd, path, 0, &fd), -ELOOP);
	assert_int_equal(path_in_root_make(proc_fd, path, PATH_FOLDER, 0, &fd), -ELOOP);
}

static void test_parent(void **state)
{
	const struct place *place = *state;
	const char *name = NULL;
	int fd = -1;

	assert_int_equal(path_in_root_parent(place->root_fd, "/", &fd, &name), -EINVAL);
	assert_int_equal(path_in_root_parent(place->root_fd, "/top", &fd, &name), 0);
	assert_string_equal(name, "top");
	assert_true(is_same(fd, place->root_fd, "."));
	(void)close(fd);
	assert_int_equal(path_in_root_parent(place->root_fd, "/dev/net/tun", &fd, &name), 0);
	assert_string_equal(name, "tun");
	assert_true(is_same(fd, place->root_fd, "dev/net"));
	assert_false(exists(place->root_fd, "dev/net/tun"));
	(void)close(fd);
}

/* --- while somebody exchanges it ------------------------------------------------------------- */

/* Another process of the image's exchanges a folder for a link that leads out, as fast as it can.
 */
static pid_t start_exchanging(const struct place *place)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (;;)
		(void)renameat2(place->root_fd, "swap", place->root_fd, "evil", RENAME_EXCHANGE);
}

static void test_exchange_while_making(void **state)
{
	const struct place *place = *state;
	unsigned int escaped = 0;
	int round;
	pid_t pid;

	(void)close(make_folder(place->root_fd, "swap"));
	link_to(place->root_fd, "evil", "../outside");
	pid = start_exchanging(place);
	assert_true(pid > 0);
	for (round = 0; round < MOST_ROUNDS && (round < LEAST_ROUNDS || !escaped); round++) {
		struct stat st;
		int fd = -1;

		/* The attack works on who looks first and acts later. */
		if (fstatat(place->root_fd, "swap", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode) && usleep(1) == 0 &&
		    mkdirat(place->root_fd, "swap/naive", 0755) == 0)
			(void)unlinkat(place->root_fd, "swap/naive", AT_REMOVEDIR);
		escaped += unlinkat(place->outside_fd, "naive", AT_REMOVEDIR) == 0;

		(void)path_in_root_make(place->root_fd, "/swap/made/below", PATH_FOLDER, 0, &fd);
		(void)fd_close(fd);
		if (exists(place->outside_fd, "made"))
			break;
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	print_message("the naive way escaped %u of %d times\n", escaped, round);
	assert_false(exists(place->outside_fd, "made"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test_setup_teardown(test_open_stays_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_through_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_follows_dangling_links_inside, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_make_never_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_without_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_is_bounded, setup, teardown),
		cmocka_unit_test(test_magic_links_are_refused),
		cmocka_unit_test_setup_teardown(test_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exchange_while_making, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
