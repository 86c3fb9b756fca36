/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images and neighbours that want out: links, exchanges, false devices, a /proc that is none. Needs
 * root.
 */
#include "oci_container.h"

/* --- attacks
 * -------------------------------------------------------------------------------------- */

static void inside_attack(struct situation *situation)
{
	(void)situation;
	CHECK(is_filesystem("/target/shm", TMPFS_MAGIC));
	CHECK(is_there("/tmp/evil/pts"));
}

/* What a mount by path does to a link. */
static void prepare_naive(struct situation *situation)
{
	char path[160];

	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	in_root(situation->bundle, "naive", path);
	CHECK(mount("tmpfs", path, "tmpfs", 0, NULL) == 0);
	CHECK(is_filesystem(situation->bundle->outside, TMPFS_MAGIC));
	CHECK(umount2(situation->bundle->outside, MNT_DETACH) == 0);
}

/* A target that is a link out of the root is a path inside it. */
static void test_symlinked_targets(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle,
				       .prepare = prepare_naive,
				       .inside = inside_attack };
	struct oci_mount mounts[] = { DEVPTS, SHM };
	char path[200];

	need_root();
	(void)snprintf(path, sizeof(path), "%s/pts", bundle->outside);
	make_folder(bundle, "dev");
	make_link(bundle, "dev/pts", "../../../../../../../tmp/evil/pts");
	make_link(bundle, "dev/shm", "/target/shm");
	make_link(bundle, "naive", bundle->outside);
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
	assert_false(is_there("/tmp/evil"));
	assert_false(is_there(path));
}

static void test_proc_rules(void **state)
{
	static const struct {
		struct oci_mount mount;
		const char *message;
	} rows[] = {
		{ { .path = "mounts[1]", .destination = "/proc", .type = "tmpfs" },
		  "mounts[1]: only a procfs may be mounted onto '/proc'" },
		{ { .path = "mounts[1]",
		    .destination = "/proc/../proc/",
		    .source = "/tmp",
		    .bind = true },
		  "only a procfs may be mounted onto '/proc'" },
		{ { .path = "mounts[1]",
		    .destination = "/proc",
		    .source = "/proc/sys",
		    .bind = true },
		  "only a procfs may be mounted onto '/proc'" },
		{ { .path = "mounts[1]", .destination = "/proc/self/attr", .type = "tmpfs" },
		  "nothing may be mounted onto '/proc/self/attr'" },
		{ { .path = "mounts[1]", .destination = "/link/sys", .type = "tmpfs" },
		  "'/link/sys' leads into a procfs" },
		{ { .path = "mounts[1]", .destination = "/attr", .source = "/tmp", .bind = true },
		  "'/attr' leads into a procfs" },
	};

	need_root();
	make_link(*state, "link", "proc");
	make_link(*state, "attr", "/proc/thread-self/attr");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_mount mounts[] = { PROC, rows[i].mount };
		struct situation situation = { .bundle = *state,
					       .expect_error = rows[i].message,
					       .spec = { .mounts = mounts, .mount_count = 2 } };

		run(&situation);
	}
}

static void inside_proc_files(struct situation *situation)
{
	(void)situation;
	CHECK(holds("/proc/uptime", "fake") && is_filesystem("/proc/self", PROC_SUPER_MAGIC));
}

static void test_proc_files_may_be_covered(void **state)
{
	struct situation situation = { .bundle = *state, .inside = inside_proc_files };
	struct oci_mount mounts[] = {
		PROC,
		{ .path = "mounts[1]",
		  .destination = "/proc/uptime",
		  .source = "rootfs/uptime",
		  .bind = true },
	};

	need_root();
	make_file(*state, "uptime", "fake");
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
	mounts[0] = (struct oci_mount){ .path = "mounts[0]",
					.destination = "/proc",
					.source = "/proc",
					.bind = true,
					.recursive = true };
	run(&situation);
}

static void test_proc_must_not_be_a_link(void **state)
{
	struct situation situation = {
		.bundle = *state,
		.expect_error = "mounts[0]: '/proc' must not have symbolic links in it"
	};
	struct oci_mount mounts[] = { PROC };

	need_root();
	make_folder(*state, "etc");
	make_link(*state, "proc", "etc");
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
}

/* A /dev/null that is another file would be mounted over the path to be masked (CVE-2025-31133). */
static void swap_null(struct situation *situation, struct rootfs *rootfs)
{
	(void)situation;
	CHECK(unlinkat(rootfs_dir(rootfs), "dev/null", 0) == 0);
	CHECK(symlinkat("/proc/sys/kernel/core_pattern", rootfs_dir(rootfs), "dev/null") == 0);
}

static void replace_null(struct situation *situation, struct rootfs *rootfs)
{
	(void)situation;
	CHECK(unlinkat(rootfs_dir(rootfs), "dev/null", 0) == 0);
	CHECK(mknodat(rootfs_dir(rootfs), "dev/null", S_IFREG | 0666, 0) == 0);
}

static void test_masks_want_the_real_null(void **state)
{
	struct situation situation = {
		.bundle = *state,
		.mounted = swap_null,
		.expect_error =
			"linux.maskedPaths[1]: '/proc/timer_list': cannot open the container's"
	};

	need_root();
	use_defaults(&situation);
	run(&situation);
	situation.mounted = replace_null;
	situation.expect_error = "'/proc/timer_list': the container's '/dev/null' is another file";
	run(&situation);
}

static void inside_masked_link(struct situation *situation)
{
	(void)situation;
	CHECK(is_device("/inside", 1, 3) || is_link_to("/inside", "secret"));
	CHECK(is_device("/secret", 1, 3));
}

static void test_masks_stay_inside(void **state)
{
	static const char *paths[] = { "/inside", "/out", "/file/below", "relative" };
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle, .inside = inside_masked_link };
	struct oci_mount mounts[] = { PROC, DEV };
	char path[200];

	need_root();
	(void)snprintf(path, sizeof(path), "%s/file", bundle->outside);
	write_file(path, "untouched");
	make_file(bundle, "secret", "secret");
	make_file(bundle, "file", "");
	make_link(bundle, "inside", "secret");
	make_link(bundle, "out", path);
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	situation.spec.linux.masked_paths = (struct oci_strings){ paths, ARRAY_SIZE(paths) };
	run(&situation);
	assert_true(holds(path, "untouched"));
}

/* Whether a new user namespace could mount a procfs of its own. */
static bool can_mount_proc(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
			_exit(2);
		pid = fork();
		if (pid == 0)
			_exit(mount("proc", "/mnt", "proc", 0, NULL) < 0 ? 1 : 0);
		status = wait_for(pid);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
	}
	status = wait_for(pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 2);
	return WEXITSTATUS(status) == 0;
}

/* Without pivot_root the host's procfs stays below the new root: free of masks, it would allow
 * another one that is as free. */
static void prepare_reveal(struct situation *situation)
{
	(void)situation;
	CHECK(can_mount_proc());
}

static void inside_no_reveal(struct situation *situation)
{
	(void)situation;
	CHECK(is_device("/proc/timer_list", 1, 3));
	CHECK(!can_mount_proc());
}

static void test_no_pivot_hides_the_host(void **state)
{
	static const char *paths[] = { "/proc/timer_list" };
	struct situation situation = { .bundle = *state,
				       .config.no_pivot = true,
				       .prepare = prepare_reveal,
				       .inside = inside_no_reveal };
	struct oci_mount mounts[] = { PROC, DEV };

	need_root();
	make_folder(*state, "mnt");
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	situation.spec.linux.masked_paths = (struct oci_strings){ paths, 1 };
	run(&situation);
	situation.prepare = NULL; /* there all of it is locked, and covered instead */
	situation.user_namespace = true;
	run(&situation);
}

/* Exchanges a folder of a volume for a link that leads out, until it is killed. */
static pid_t start_exchanging(const struct bundle *bundle)
{
	char folder[160], link[160];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	in_root(bundle, "volume/swap", folder);
	in_root(bundle, "volume/evil", link);
	for (;;)
		(void)renameat2(AT_FDCWD, folder, AT_FDCWD, link, RENAME_EXCHANGE);
}

/* In the container's namespace, the folder outside has no mount in it and no entry. */
static void check_outside(struct situation *situation, struct rootfs *rootfs)
{
	cleanup_file FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], point[96];

	(void)rootfs;
	(void)snprintf(point, sizeof(point), " %s", situation->bundle->outside);
	CHECK(file);
	while (fgets(line, sizeof(line), file))
		CHECK(!strstr(line, point));
	CHECK(is_folder_empty(situation->bundle->outside));
}

static void test_exchanged_target(void **state)
{
	struct bundle *bundle = *state;
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]", .destination = "/volume/swap/a/b", .type = "tmpfs" },
		{ .path = "mounts[1]", .destination = "/volume/swap/c", .type = "tmpfs" },
		{ .path = "mounts[2]", .destination = "/volume/swap", .type = "tmpfs" },
	};
	pid_t pid;

	need_root();
	make_folder(bundle, "volume");
	make_folder(bundle, "volume/swap");
	make_link(bundle, "volume/evil", bundle->outside);
	pid = start_exchanging(bundle);
	for (int i = 0; i < RACE_ROUNDS; i++) {
		struct situation situation = { .bundle = bundle,
					       .mounted = check_outside,
					       .spec = { .mounts = mounts,
							 .mount_count = ARRAY_SIZE(mounts) } };

		run(&situation);
	}
	(void)kill(pid, SIGKILL);
	(void)wait_for(pid);
	assert_true(is_folder_empty(bundle->outside));
}

static void test_wrong_device_is_an_error(void **state)
{
	struct situation situation = {
		.bundle = *state,
		.expect_error =
			"default devices: '/dev/zero' is there already and is something else"
	};
	char path[160];

	need_root();
	make_folder(*state, "dev");
	in_root(*state, "dev/null", path);
	assert_int_equal(mknod(path, S_IFCHR | 0666, makedev(1, 3)), 0); /* the right one is not */
	in_root(*state, "dev/zero", path);
	assert_int_equal(mknod(path, S_IFCHR | 0666, makedev(1, 1)), 0); /* /dev/mem */
	run(&situation);
}

static void refuse_console(struct situation *situation, struct rootfs *rootfs)
{
	int primary = -1, secondary = -1;
	struct err err = { 0 };

	(void)situation;
	CHECK(rootfs_console(rootfs, 0, 0, 0, &primary, &secondary, &err) < 0);
	CHECK(primary == -1 && secondary == -1);
	CHECK(strstr(err.message, "/dev/pts") || strstr(err.message, "/dev/console"));
}

static void test_console_errors(void **state)
{
	struct situation situation = { .bundle = *state, .mounted = refuse_console };
	struct oci_mount pts = DEVPTS;

	need_root();
	make_folder(*state, "dev");
	make_folder(*state, "dev/pts");
	run(&situation);
	make_link(*state, "dev/console", "/file");
	make_file(*state, "file", "");
	situation.spec.mounts = &pts;
	situation.spec.mount_count = 1;
	run(&situation);
}

/* The host's nosuid is locked in a user namespace: "suid" is then asked for in vain. */
static void inside_locked(struct situation *situation)
{
	(void)situation;
	CHECK(has_flags("/sys-host", ST_NOSUID | ST_NODEV | ST_RDONLY));
	CHECK(mount(NULL, "/sys-host", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0);
	CHECK(errno == EPERM);
}

static void test_locked_flags(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle,
				       .inside = inside_locked,
				       .user_namespace = true };
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]",
		  .destination = "/sys-host",
		  .source = bundle->outside,
		  .bind = true,
		  .recursive = true,
		  .attr_set = MOUNT_ATTR_RDONLY,
		  .attr_clear = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV },
	};
	pid_t pid;

	need_root();
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	pid = fork();
	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNS) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		CHECK(mount("tmpfs", bundle->outside, "tmpfs", MS_NOSUID | MS_NODEV, NULL) == 0);
		run(&situation);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_locked_flags),
		CASE(test_wrong_device_is_an_error),
		CASE(test_console_errors),
		CASE(test_symlinked_targets),
		CASE(test_proc_rules),
		CASE(test_proc_files_may_be_covered),
		CASE(test_proc_must_not_be_a_link),
		CASE(test_masks_want_the_real_null),
		CASE(test_masks_stay_inside),
		CASE(test_no_pivot_hides_the_host),
		CASE(test_exchanged_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
