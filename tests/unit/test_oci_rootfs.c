/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's root as the config wants it, looked at from inside. Needs root.
 */
#include "oci_container.h"

/* --- the usual container
 * -------------------------------------------------------------------------- */

static void check_devices(void)
{
	CHECK(is_device("/dev/null", 1, 3) && is_device("/dev/zero", 1, 5));
	CHECK(is_device("/dev/full", 1, 7) && is_device("/dev/random", 1, 8));
	CHECK(is_device("/dev/urandom", 1, 9) && is_device("/dev/tty", 5, 0));
	CHECK(has_mode("/dev/null", 0666) && has_mode("/dev/tty", 0666));
	CHECK(can_write("/dev/null"));
	CHECK(is_link_to("/dev/fd", "/proc/self/fd") &&
	      is_link_to("/dev/stdin", "/proc/self/fd/0"));
	CHECK(is_link_to("/dev/ptmx", "pts/ptmx") && is_link_to("/dev/stderr", "/proc/self/fd/2"));
}

static void check_masks(void)
{
	CHECK(is_device("/proc/timer_list", 1, 3) && is_device("/proc/keys", 1, 3));
	CHECK(is_folder_empty("/sys/firmware") && !can_make_in("/sys/firmware"));
	CHECK(has_flags("/sys/firmware", ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC));
	CHECK(has_flags("/proc/sys", ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC));
	CHECK(!can_write("/proc/sys/kernel/domainname"));
	CHECK(has_flags("/proc/uptime", ST_RDONLY | ST_NOSUID) && !has_flags("/proc", ST_RDONLY));
}

static void inside_defaults(struct situation *situation)
{
	CHECK(is_there("/marker") && !is_there(situation->bundle->path));
	CHECK(is_filesystem("/proc", PROC_SUPER_MAGIC) && is_link_to("/proc/self", "1"));
	CHECK(has_flags("/proc", ST_NOSUID | ST_NODEV | ST_NOEXEC));
	CHECK(is_filesystem("/dev", TMPFS_MAGIC) && has_mode("/dev", 0755));
	CHECK(is_filesystem("/dev/pts", DEVPTS_SUPER_MAGIC) && is_there("/dev/pts/ptmx"));
	CHECK(is_filesystem("/dev/shm", TMPFS_MAGIC) && has_mode("/dev/shm", 01777));
	CHECK(has_flags("/dev/shm", ST_NOSUID | ST_NODEV | ST_NOEXEC));
	CHECK(is_filesystem("/sys", SYSFS_MAGIC) && has_flags("/sys", ST_RDONLY | ST_NOSUID));
	CHECK(is_there("/sys/fs/cgroup") && has_flags("/sys/fs/cgroup", ST_RDONLY));
	CHECK(is_there("/sys/fs/cgroup/cgroup.procs") || is_there("/sys/fs/cgroup/memory/tasks"));
	check_devices();
	check_masks();
	CHECK(can_make_in("/"));
	/* Nothing of the host's is left to go back to. */
	CHECK(umount2("/", MNT_DETACH) < 0 || !is_there(situation->bundle->path));
}

static void test_defaults(void **state)
{
	struct situation situation = { .bundle = *state,
				       .inside = inside_defaults,
				       .other_umask = true };

	need_root();
	make_file(*state, "marker", "");
	use_defaults(&situation);
	run(&situation);
}

/* Version 1 without a cgroup namespace shows the container's own folders of the host's mounts. */
static void test_cgroup_namespace(void **state)
{
	struct situation situation = { .bundle = *state, .inside = inside_defaults };

	need_root();
	make_file(*state, "marker", "");
	use_defaults(&situation);
	situation.spec.linux.namespaces[OCI_NS_CGROUP].present = true;
	situation.cgroup_namespace = true;
	run(&situation);
	situation.user_namespace = true;
	run(&situation);
}

static void test_defaults_in_user_namespace(void **state)
{
	struct situation situation = { .bundle = *state,
				       .inside = inside_defaults,
				       .user_namespace = true };

	need_root();
	make_file(*state, "marker", "");
	use_defaults(&situation);
	run(&situation);
}

static void inside_readonly(struct situation *situation)
{
	(void)situation;
	CHECK(!can_make_in("/") && errno == EROFS);
	CHECK(!can_make_in("/dev") && errno == EROFS);
	CHECK(can_make_in("/dev/shm"));
	check_devices();
}

static void inside_one_user(struct situation *situation)
{
	(void)situation;
	CHECK(is_filesystem("/dev/pts", DEVPTS_SUPER_MAGIC) && is_device("/dev/null", 1, 3));
}

/* devpts is wanted with tty's group, which such a namespace does not have. */
static void test_user_namespace_of_one_user(void **state)
{
	struct situation situation = {
		.bundle = *state, .inside = inside_one_user, .user_namespace = true, .id_count = 1
	};

	need_root();
	use_defaults(&situation);
	run(&situation);
}

static void test_readonly(void **state)
{
	struct situation situation = { .bundle = *state, .inside = inside_readonly };
	struct oci_mount mounts[] = { PROC, DEV, SHM };

	need_root();
	make_folder(*state, "dev");
	make_folder(*state, "proc");
	mounts[1].attr_set |= MOUNT_ATTR_RDONLY;
	mounts[1].sb_flags = MS_RDONLY;
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	situation.spec.root_readonly = true;
	run(&situation);
	situation.user_namespace = true;
	run(&situation);
}

static void test_no_pivot(void **state)
{
	struct situation situation = { .bundle = *state,
				       .inside = inside_defaults,
				       .config.no_pivot = true };

	need_root();
	make_file(*state, "marker", "");
	use_defaults(&situation);
	run(&situation);
}

/* --- binds
 * ---------------------------------------------------------------------------------------- */

static void inside_binds(struct situation *situation)
{
	(void)situation;
	CHECK(holds("/etc/file", "outside"));
	CHECK(has_flags("/etc/file", ST_RDONLY | ST_NOSUID | ST_NODEV));
	CHECK(!can_write("/etc/file") && errno == EROFS);
	CHECK(holds("/data/file", "outside") && can_write("/data/file"));
	CHECK(is_link_to("/data-link", "file"));
	CHECK(holds("/dangling/made", "outside") && is_there("/dangling"));
	CHECK(is_link_to("/dangling", "run/there") && is_there("/run/there/made"));
}

static void test_binds(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle, .inside = inside_binds };
	char file[120], link[120];
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]",
		  .destination = "/etc/file",
		  .type = "bind",
		  .source = "outside/file",
		  .bind = true,
		  .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV },
		{ .path = "mounts[1]",
		  .destination = "/data",
		  .source = bundle->outside,
		  .bind = true,
		  .recursive = true,
		  .propagation = MS_PRIVATE | MS_REC },
		{ .path = "mounts[2]",
		  .destination = "/data-link",
		  .source = link,
		  .bind = true,
		  .copy_symlink = true },
		{ .path = "mounts[3]",
		  .destination = "/dangling/made",
		  .source = file,
		  .bind = true },
	};

	need_root();
	(void)snprintf(file, sizeof(file), "%s/file", bundle->outside);
	(void)snprintf(link, sizeof(link), "%s/link", bundle->outside);
	write_file(file, "outside");
	assert_int_equal(symlink("file", link), 0);
	make_link(bundle, "dangling", "run/there");
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
}

static void prepare_submount(struct situation *situation)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/below", situation->bundle->outside);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	CHECK(mount("tmpfs", path, "tmpfs", MS_NOSUID, NULL) == 0);
}

static void inside_recursive(struct situation *situation)
{
	(void)situation;
	CHECK(has_flags("/all/below", ST_RDONLY | ST_NOSUID) && has_flags("/all", ST_RDONLY));
	CHECK(has_flags("/top", ST_RDONLY) && !has_flags("/top/below", ST_RDONLY));
	CHECK(is_filesystem("/top/below", TMPFS_MAGIC));
	CHECK(!is_filesystem("/alone/below", TMPFS_MAGIC) || !has_flags("/alone/below", ST_NOSUID));
	CHECK(has_flags("/again", ST_NOEXEC) && !has_flags("/all", ST_NOEXEC));
}

static void test_recursive_attributes(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle,
				       .prepare = prepare_submount,
				       .inside = inside_recursive };
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]",
		  .destination = "/all",
		  .source = bundle->outside,
		  .bind = true,
		  .recursive = true,
		  .rec_attr_set = MOUNT_ATTR_RDONLY },
		{ .path = "mounts[1]",
		  .destination = "/top",
		  .source = bundle->outside,
		  .bind = true,
		  .recursive = true,
		  .attr_set = MOUNT_ATTR_RDONLY },
		{ .path = "mounts[2]",
		  .destination = "/alone",
		  .source = bundle->outside,
		  .bind = true },
		{ .path = "mounts[3]",
		  .destination = "/again",
		  .source = bundle->outside,
		  .bind = true },
		{ .path = "mounts[4]",
		  .destination = "/again",
		  .remount = true,
		  .bind = true,
		  .attr_set = MOUNT_ATTR_NOEXEC },
		{ .path = "mounts[5]", .destination = "/again", .propagation = MS_SHARED },
	};

	need_root();
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
}

static void test_bind_errors(void **state)
{
	static const struct {
		struct oci_mount mount;
		const char *message;
	} rows[] = {
		{ { .path = "mounts[0]",
		    .destination = "/x",
		    .source = "/none/such",
		    .bind = true },
		  "mounts[0]: source: cannot bind '/none/such': No such file" },
		{ { .path = "mounts[0]", .destination = "/x", .bind = true },
		  "mounts[0]: source: missing" },
		{ { .path = "mounts[0]", .destination = "/file", .source = "/etc", .bind = true },
		  "mounts[0]: cannot mount onto '/file': Not a directory" },
		{ { .path = "mounts[0]", .destination = "/x", .remount = true },
		  "mounts[0]: cannot remount '/x': No such file" },
		{ { .path = "mounts[0]",
		    .destination = "/file",
		    .remount = true,
		    .attr_set = MOUNT_ATTR_RDONLY },
		  "mounts[0]: cannot remount '/file': it is no mount point" },
		{ { .path = "mounts[0]", .destination = "/x", .type = "nonsense" },
		  "this kernel has no file system 'nonsense'" },
		{ { .path = "mounts[0]",
		    .destination = "/x",
		    .type = "tmpfs",
		    .data = "mode=755,nope=1" },
		  "mounts[0]: tmpfs: nope: tmpfs: Unknown parameter 'nope'" },
		{ { .path = "mounts[0]",
		    .destination = "/x",
		    .type = "tmpfs",
		    .data = "size=many" },
		  "mounts[0]: tmpfs: size: " },
	};

	need_root();
	make_file(*state, "file", "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_mount mount = rows[i].mount;
		struct situation situation = { .bundle = *state,
					       .expect_error = rows[i].message,
					       .spec = { .mounts = &mount, .mount_count = 1 } };

		run(&situation);
	}
}

/* --- idmapped mounts
 * ------------------------------------------------------------------------------ */

static void inside_idmap(struct situation *situation)
{
	(void)situation;
	CHECK(has_owner("/mapped/file", 5, 6));
	CHECK(has_owner("/plain/file", 65534, 65534));
	write_file("/mapped/new", "new");
	CHECK(has_owner("/mapped/new", 0, 0));
}

/* A tmpfs, for one, can be mapped since Linux 6.3. */
static void need_idmap(const struct situation *situation)
{
	struct oci_spec spec = situation->spec;
	const struct rootfs_config config = { .spec = &spec, .bundle = situation->bundle->path };
	struct rootfs *rootfs = NULL;
	struct err err = { 0 };

	spec.root_path = "rootfs";
	if (rootfs_open(&rootfs, &config, &err) == 0) {
		(void)rootfs_free(rootfs);
		return;
	}
	print_message("%s\n", err.message);
	assert_non_null(strstr(err.message, "cannot be mapped"));
	skip();
}

static void test_idmap(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle,
				       .inside = inside_idmap,
				       .user_namespace = true };
	struct oci_id_mapping mapping[] = { { 0, SUBORDINATE_ID, 1000 } };
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]",
		  .destination = "/mapped",
		  .source = "outside",
		  .bind = true,
		  .idmap = true,
		  .uid_mappings = { mapping, 1 },
		  .gid_mappings = { mapping, 1 } },
		{ .path = "mounts[1]", .destination = "/plain", .source = "outside", .bind = true },
	};
	char file[160];
	struct stat st;

	need_root();
	(void)snprintf(file, sizeof(file), "%s/file", bundle->outside);
	write_file(file, "");
	assert_int_equal(chown(file, 5, 6), 0);
	assert_int_equal(chmod(bundle->outside, 0777), 0);
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	need_idmap(&situation);
	run(&situation);
	(void)snprintf(file, sizeof(file), "%s/new", bundle->outside);
	assert_int_equal(lstat(file, &st), 0);
	assert_int_equal(st.st_uid, 0);
	/* No child of ours is left, nor has one been seen. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
}

static void test_idmap_errors(void **state)
{
	struct bundle *bundle = *state;
	struct oci_mount mount = { .path = "mounts[0]",
				   .destination = "/x",
				   .source = "outside",
				   .bind = true,
				   .idmap = true };
	struct oci_spec spec = { .root_path = "rootfs", .mounts = &mount, .mount_count = 1 };
	struct rootfs_config config = { .spec = &spec, .bundle = bundle->path };
	struct oci_id_mapping overlapping[] = { { 0, 1, 10 }, { 5, 50, 10 } };
	struct rootfs *rootfs = NULL;
	struct err err = { 0 };

	need_root();
	assert_int_equal(rootfs_open(&rootfs, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "mounts[0]: idmap: needs uidMappings"));
	mount.uid_mappings = mount.gid_mappings = (struct oci_id_mappings){ overlapping, 2 };
	assert_int_equal(rootfs_open(&rootfs, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "mounts[0]: uidMappings: "));
	mount.bind = false;
	assert_int_equal(rootfs_open(&rootfs, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "only for bind mounts"));
	assert_null(rootfs);
}

/* --- tmpfs
 * ---------------------------------------------------------------------------------------- */

static void inside_copy_up(struct situation *situation)
{
	(void)situation;
	CHECK(is_filesystem("/etc", TMPFS_MAGIC) && has_mode("/etc", 0750));
	CHECK(holds("/etc/sub/file", "content") && has_owner("/etc/sub/file", 7, 8));
	CHECK(has_mode("/etc/sub/file", 04755) && is_link_to("/etc/link", "/nowhere"));
	CHECK(has_flags("/etc", ST_RDONLY | ST_NOSUID) && !can_make_in("/etc"));
	CHECK(has_mode("/etc/fifo", 0644));
}

static void test_copy_up(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle, .inside = inside_copy_up };
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]",
		  .destination = "/etc",
		  .type = "tmpfs",
		  .source = "tmpfs",
		  .tmpcopyup = true,
		  .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID,
		  .sb_flags = MS_RDONLY },
	};
	char path[160];

	need_root();
	make_folder(bundle, "etc");
	make_folder(bundle, "etc/sub");
	make_file(bundle, "etc/sub/file", "content");
	make_link(bundle, "etc/link", "/nowhere");
	in_root(bundle, "etc/sub/file", path);
	assert_int_equal(chown(path, 7, 8), 0);
	assert_int_equal(chmod(path, 04755), 0);
	in_root(bundle, "etc/fifo", path);
	assert_int_equal(mkfifo(path, 0644), 0);
	in_root(bundle, "etc", path);
	assert_int_equal(chmod(path, 0750), 0);
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
}

/* --- devices
 * -------------------------------------------------------------------------------------- */

static void inside_devices(struct situation *situation)
{
	(void)situation;
	CHECK(is_device("/dev/net/tun", 10, 200) && has_mode("/dev/net/tun", 0622));
	CHECK(has_owner("/dev/net/tun", 3, 4));
	CHECK(is_device("/dev/null", 1, 3) && has_mode("/dev/null", 0600));
	CHECK(has_mode("/dev/pipe", 0666));
	CHECK(is_link_to("/dev/ptmx", "pts/ptmx"));
}

static void test_devices(void **state)
{
	struct situation situation = { .bundle = *state,
				       .inside = inside_devices,
				       .other_umask = true };
	struct oci_mount mounts[] = { PROC, DEV };
	struct oci_device_node devices[] = {
		{ .path = "/dev/net/tun",
		  .type = 'c',
		  .major = 10,
		  .minor = 200,
		  .file_mode = { true, 0622 },
		  .uid = { true, 3 },
		  .gid = { true, 4 } },
		{ .path = "/dev/null",
		  .type = 'c',
		  .major = 1,
		  .minor = 3,
		  .file_mode = { true, 0600 } },
		{ .path = "/dev/pipe", .type = 'p' },
		{ .path = "/dev/ptmx", .type = 'c', .major = 5, .minor = 2 },
	};

	need_root();
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	situation.spec.linux.devices = devices;
	situation.spec.linux.device_count = ARRAY_SIZE(devices);
	run(&situation);
}

static void inside_nothing_made(struct situation *situation)
{
	(void)situation;
	CHECK(is_folder_empty("/dev") && !is_there("/dev/null"));
}

static void test_bound_dev_is_left_alone(void **state)
{
	struct situation situation = { .bundle = *state, .inside = inside_nothing_made };
	struct oci_mount mount = {
		.path = "mounts[0]", .destination = "/dev/", .source = "outside", .bind = true
	};

	need_root();
	situation.spec.mounts = &mount;
	situation.spec.mount_count = 1;
	run(&situation);
}

/* --- console
 * -------------------------------------------------------------------------------------- */

static void make_console(struct situation *situation, struct rootfs *rootfs)
{
	int primary = -1, secondary = -1;
	struct err err = { 0 };
	struct winsize size;
	struct stat st;
	char text[8] = "";

	(void)situation;
	check_ok(rootfs_console(rootfs, 33, 77, 42, &primary, &secondary, &err), &err);
	CHECK(ioctl(secondary, TIOCGWINSZ, &size) == 0 && size.ws_row == 33 && size.ws_col == 77);
	CHECK(fstat(secondary, &st) == 0 && st.st_uid == 42 && st.st_gid == 5);
	CHECK(write(primary, "hello\n", 6) == 6 && read(secondary, text, 7) == 6);
	CHECK(fcntl(primary, F_GETFD) == FD_CLOEXEC && fcntl(secondary, F_GETFD) == FD_CLOEXEC);
}

static void inside_console(struct situation *situation)
{
	struct stat console, terminal;

	(void)situation;
	CHECK(stat("/dev/console", &console) == 0 && stat("/dev/pts/0", &terminal) == 0);
	CHECK(console.st_rdev == terminal.st_rdev && console.st_ino == terminal.st_ino);
	CHECK(!is_there("/dev/pts/1"));
}

static void test_console(void **state)
{
	struct situation situation = { .bundle = *state,
				       .mounted = make_console,
				       .inside = inside_console };

	need_root();
	use_defaults(&situation);
	run(&situation);
	situation.user_namespace = true;
	run(&situation);
}

/* --- propagation
 * ---------------------------------------------------------------------------------- */

static void prepare_shared(struct situation *situation)
{
	(void)situation;
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
}

static bool is_propagated(const char *point, const char *what)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], wanted[80];
	bool found = false;

	(void)snprintf(wanted, sizeof(wanted), " / %s ", point);
	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, " / ") && (strstr(line, wanted) || strcmp(point, "/") == 0))
			found |= strstr(line, what) != NULL;
	if (file)
		(void)fclose(file);
	return found;
}

static bool is_mounted_below(const char *path)
{
	cleanup_file FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], point[96];
	bool found = false;

	(void)snprintf(point, sizeof(point), " %s", path);
	while (file && fgets(line, sizeof(line), file))
		found |= strstr(line, point) != NULL;
	return found;
}

static void inside_shared(struct situation *situation)
{
	(void)situation;
	CHECK(is_propagated("/", "shared:"));
	CHECK(is_there("/marker"));
}

static void inside_private(struct situation *situation)
{
	(void)situation;
	CHECK(!is_propagated("/", "shared:") && !is_propagated("/", "master:"));
}

static void inside_slave(struct situation *situation)
{
	(void)situation;
	CHECK(!is_propagated("/", "shared:"));
}

static void test_propagation(void **state)
{
	static const struct {
		unsigned long propagation;
		void (*inside)(struct situation *);
	} rows[] = {
		{ 0, inside_slave },
		{ MS_SLAVE | MS_REC, inside_slave },
		{ MS_PRIVATE | MS_REC, inside_private },
		{ MS_SHARED, inside_shared },
		{ MS_SHARED | MS_REC, inside_shared },
		{ MS_UNBINDABLE, inside_slave },
	};
	struct oci_mount mounts[] = { PROC };

	need_root();
	make_file(*state, "marker", "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct situation situation = { .bundle = *state,
					       .prepare = prepare_shared,
					       .inside = rows[i].inside,
					       .spec = { .mounts = mounts, .mount_count = 1 } };

		situation.spec.linux.rootfs_propagation = rows[i].propagation;
		run(&situation);
	}
}

/* A namespace whose mounts are shared with the container's, as systemd's are with everybody's. */
static void run_below_shared(struct situation *situation)
{
	const struct bundle *bundle = situation->bundle;

	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("tmpfs", bundle->outside, "tmpfs", 0, NULL) == 0);
	CHECK(mount(bundle->path, bundle->path, NULL, MS_BIND | MS_REC, NULL) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	run(situation);
	CHECK(is_filesystem(bundle->outside, TMPFS_MAGIC) &&
	      is_filesystem("/proc", PROC_SUPER_MAGIC));
	CHECK(is_there("/proc/1/status"));
	/* Neither the root's bind nor what was mounted in it has come here. */
	CHECK(!is_mounted_below(bundle->root));
	_exit(0);
}

static void test_the_host_does_not_notice(void **state)
{
	static const unsigned long propagations[] = {
		0,        MS_SHARED,         MS_SHARED | MS_REC, MS_PRIVATE, MS_PRIVATE | MS_REC,
		MS_SLAVE, MS_SLAVE | MS_REC, MS_UNBINDABLE
	};
	struct oci_mount mounts[] = { PROC, DEV };

	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++) {
		struct situation situation = { .bundle = *state,
					       .spec = { .mounts = mounts, .mount_count = 2 } };
		pid_t pid;

		situation.spec.linux.rootfs_propagation = propagations[i];
		pid = fork();
		if (pid == 0)
			run_below_shared(&situation);
		assert_int_equal(wait_for(pid), 0);
	}
}

/* --- other
 * ---------------------------------------------------------------------------------------- */

static void inside_over_root(struct situation *situation)
{
	(void)situation;
	CHECK(is_there("/here") && !is_there("/marker"));
}

static void test_mount_over_the_root(void **state)
{
	struct bundle *bundle = *state;
	struct situation situation = { .bundle = bundle, .inside = inside_over_root };
	struct oci_mount mounts[] = {
		{ .path = "mounts[0]", .destination = "/.", .source = "outside", .bind = true },
		PROC
	};
	char path[200];

	need_root();
	(void)snprintf(path, sizeof(path), "%s/here", bundle->outside);
	write_file(path, "");
	make_file(bundle, "marker", "");
	situation.spec.mounts = mounts;
	situation.spec.mount_count = ARRAY_SIZE(mounts);
	run(&situation);
}

static void test_open_errors(void **state)
{
	struct bundle *bundle = *state;
	static const char *paths[] = { "/x" };
	struct oci_spec spec = { .root_path = "none" };
	struct rootfs_config config = { .spec = &spec, .bundle = bundle->path };
	struct rootfs *rootfs = NULL;
	struct err err = { 0 };

	assert_int_equal(rootfs_open(&rootfs, &config, &err), -ENOENT);
	assert_non_null(strstr(err.message, "root.path: cannot open"));
	spec.root_path = NULL;
	assert_int_equal(rootfs_open(&rootfs, &config, &err), -EINVAL);
	spec.root_path = "rootfs";
	spec.linux.masked_paths = (struct oci_strings){ paths, 1 };
	assert_int_equal(rootfs_open(&rootfs, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "linux.maskedPaths: needs a mount namespace"));
	assert_null(rootfs);
	assert_null(rootfs_free(NULL));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_defaults),
		CASE(test_defaults_in_user_namespace),
		CASE(test_cgroup_namespace),
		CASE(test_user_namespace_of_one_user),
		CASE(test_readonly),
		CASE(test_no_pivot),
		CASE(test_binds),
		CASE(test_recursive_attributes),
		CASE(test_bind_errors),
		CASE(test_idmap),
		CASE(test_idmap_errors),
		CASE(test_copy_up),
		CASE(test_devices),
		CASE(test_bound_dev_is_left_alone),
		CASE(test_console),
		CASE(test_propagation),
		CASE(test_the_host_does_not_notice),
		CASE(test_mount_over_the_root),
		CASE(test_open_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
