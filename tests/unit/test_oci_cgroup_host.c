/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real cgroups, in whichever layout the machine has: limits, processes, freezing, killing, removal.
 * Needs root, and says so where it cannot run.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "clock.h"
#include "err.h"

#define ID "unit-test"

static struct cgroup *cgroup;
static struct err err;

static bool runs_here(void)
{
	return geteuid() == 0 && strcmp(cgroup_layout(), "none") != 0 &&
	       access(CGROUP_ROOT, W_OK) == 0;
}

static void plan(const struct oci_resources *resources)
{
	const struct cgroup_config config = {
		.cgroups_path = "/run0-test/" ID, .id = ID, .resources = resources};

	assert_int_equal(cgroup_new(&cgroup, &config, &err), 0);
}

static void make(const struct oci_resources *resources)
{
	plan(resources);
	if (cgroup_make(cgroup, resources, &err) < 0)
		fail_msg("%s", err.message);
}

static int setup(void **state)
{
	(void)state;
	err = (struct err){0};
	cgroup = NULL;
	return 0;
}

/* The parent goes too, so that nothing is left of a test. */
static int teardown(void **state)
{
	char parent[128];

	(void)state;
	if (!cgroup)
		return 0;
	assert_int_equal(cgroup_remove(cgroup, &err), 0);
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		assert_int_equal(cgroup_folder(parent, sizeof(parent), &cgroup->hierarchies[i],
					       "/run0-test"), 0);
		assert_true(rmdir(parent) == 0 || errno == ENOENT);
	}
	cgroup = cgroup_free(cgroup);
	return 0;
}

#define NEEDS_ROOT()             \
	do {                     \
		(void)state;     \
		if (!runs_here()) \
			skip();  \
	} while (0)

static pid_t start(void (*body)(void))
{
	int gate[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		body();
		_exit(0);
	}
	(void)close(gate[0]);
	assert_int_equal(cgroup_enter(cgroup, pid, &err), 0);
	(void)close(gate[1]);
	return pid;
}

static void body_wait(void)
{
	for (;;)
		(void)pause();
}

static int end_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_file(enum cgroup_controller controller, const char *v1, const char *v2,
			const char *value_v1, const char *value_v2)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, controller);
	char text[256];

	assert_non_null(home);
	assert_true(cgroup_file_read(home->dir, home->v2 ? v2 : v1, text, sizeof(text)) > 0);
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, home->v2 ? value_v2 : value_v1);
}

static bool has(enum cgroup_controller controller, const char *v2_file)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, controller);

	if (!home || !home->v2)
		return home != NULL;
	(void)cgroup_enable(cgroup, 1u << controller);
	return faccessat(home->dir, v2_file, F_OK, 0) == 0;
}

/* Whether this machine has what a test is about: looked for in a cgroup without limits. */
static bool machine_has(enum cgroup_controller controller, const char *v2_file)
{
	bool found;

	make(NULL);
	found = has(controller, v2_file);
	teardown(NULL);
	cgroup = NULL;
	return found;
}

static void test_lifecycle(void **state)
{
	cleanup_free char *description = NULL;
	cleanup_free pid_t *pids = NULL;
	struct cgroup *again = NULL;
	size_t count;
	pid_t pid;

	NEEDS_ROOT();
	make(NULL);
	assert_int_equal(cgroup_pids(cgroup, &pids, &count, &err), 0);
	assert_int_equal(count, 0);
	pid = start(body_wait);
	description = cgroup_describe(cgroup);
	assert_int_equal(cgroup_open(&again, description, &err), 0);
	assert_int_equal(cgroup_pids(again, &pids, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pids[0], pid);
	assert_int_equal(cgroup_kill(again, SIGTERM, &err), 0);
	assert_true(WTERMSIG(end_of(pid)) == SIGTERM);
	assert_int_equal(cgroup_remove(again, &err), 0);
	assert_int_equal(cgroup_remove(again, &err), 0);
	again = cgroup_free(again);
}

/* With processes it is somebody's: it is not taken, and cleaning up after that harms nobody.
 * Without, it is what a killed runtime has left. */
static void test_in_use(void **state)
{
	const struct cgroup_config config = {.cgroups_path = "run0-test//./" ID, .id = "other"};
	struct cgroup *other = NULL;
	pid_t pid;

	NEEDS_ROOT();
	make(NULL);
	pid = start(body_wait);
	assert_int_equal(cgroup_new(&other, &config, &err), 0);
	assert_int_equal(cgroup_make(other, NULL, &err), -EEXIST);
	assert_non_null(strstr(err.message, "linux.cgroupsPath"));
	assert_int_equal(cgroup_remove(other, &err), 0);
	assert_int_equal(kill(pid, 0), 0);
	other = cgroup_free(other);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)end_of(pid);
	assert_int_equal(cgroup_new(&other, &config, &err), 0);
	assert_int_equal(cgroup_make(other, NULL, &err), 0);
	other = cgroup_free(other);
}

static void test_limits(void **state)
{
	const struct oci_resources first = {
		.pids_limit = {true, 17}, .memory.limit = {true, 64 << 20},
		.memory.reservation = {true, 32 << 20}, .cpu.shares = {true, 512},
		.cpu.quota = {true, 20000}, .cpu.period = {true, 50000}, .cpu.cpus = "0",
		.cpu.mems = "0"};
	const struct oci_resources second = {
		.pids_limit = {true, -1}, .memory.limit = {true, -1}, .cpu.quota = {true, -1},
		.cpu.period = {true, 100000}};

	NEEDS_ROOT();
	if (!machine_has(CGROUP_MEMORY, "memory.max") || !machine_has(CGROUP_CPUSET, "cpuset.cpus"))
		skip();
	make(&first);
	assert_file(CGROUP_PIDS, "pids.max", "pids.max", "17", "17");
	assert_file(CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max", "67108864", "67108864");
	assert_file(CGROUP_MEMORY, "memory.soft_limit_in_bytes", "memory.low", "33554432",
		    "33554432");
	assert_file(CGROUP_CPU, "cpu.shares", "cpu.weight", "512", "20");
	assert_file(CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max", "20000", "20000 50000");
	assert_file(CGROUP_CPU, "cpu.cfs_period_us", "cpu.max", "50000", "20000 50000");
	assert_file(CGROUP_CPUSET, "cpuset.cpus", "cpuset.cpus", "0", "0");
	assert_int_equal(cgroup_update(cgroup, &second, &err), 0);
	assert_file(CGROUP_PIDS, "pids.max", "pids.max", "max", "max");
	assert_file(CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max", "9223372036854771712",
		    "max");
	assert_file(CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max", "-1", "max 100000");
	assert_file(CGROUP_CPU, "cpu.shares", "cpu.weight", "512", "20");
}

/* A swap limit is never below the memory limit, so one of them goes first when both rise and the
 * other when both fall. */
static void test_memory_order(void **state)
{
	const struct oci_resources low = {.memory.limit = {true, 32 << 20},
					  .memory.swap = {true, 48 << 20}};
	const struct oci_resources high = {.memory.limit = {true, 128 << 20},
					   .memory.swap = {true, 256 << 20}};

	NEEDS_ROOT();
	if (!machine_has(CGROUP_MEMORY, "memory.swap.max"))
		skip();
	make(&low);
	assert_file(CGROUP_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max", "50331648",
		    "16777216");
	assert_int_equal(cgroup_update(cgroup, &high, &err), 0);
	assert_file(CGROUP_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max", "268435456",
		    "134217728");
	assert_int_equal(cgroup_update(cgroup, &low, &err), 0);
	assert_file(CGROUP_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max", "50331648",
		    "16777216");
}

static void test_burst_order(void **state)
{
	const struct oci_resources first = {
		.cpu.quota = {true, 20000}, .cpu.burst = {true, 10000}, .cpu.idle = {true, 0}};
	const struct oci_resources second = {
		.cpu.quota = {true, 5000}, .cpu.burst = {true, 4000}, .cpu.idle = {true, 1}};
	const struct oci_resources third = {
		.cpu.quota = {true, 30000}, .cpu.burst = {true, 30000}, .cpu.idle = {true, 0},
		.cpu.shares = {true, 1024}};

	NEEDS_ROOT();
	if (!machine_has(CGROUP_CPU, "cpu.max.burst"))
		skip();
	make(&first);
	assert_int_equal(cgroup_update(cgroup, &second, &err), 0);
	assert_file(CGROUP_CPU, "cpu.cfs_burst_us", "cpu.max.burst", "4000", "4000");
	assert_file(CGROUP_CPU, "cpu.idle", "cpu.idle", "1", "1");
	assert_int_equal(cgroup_update(cgroup, &third, &err), 0);
	assert_file(CGROUP_CPU, "cpu.cfs_burst_us", "cpu.max.burst", "30000", "30000");
	assert_file(CGROUP_CPU, "cpu.shares", "cpu.weight", "1024", "39");
}

/* A limit that cannot be set fails by its name, and nothing is left of the cgroup. */
static void test_errors_name_the_member(void **state)
{
	static struct oci_pair no_file = {"memory.nonsense", "1"};
	static const struct oci_hugepage_limit no_page = {"3MB", 1};
	const struct oci_resources resources[] = {
		{.unified = {&no_file, 1}},
		{.hugepages = (struct oci_hugepage_limit *)(uintptr_t)&no_page,
		 .hugepage_count = 1},
		{.cpu.cpus = "4000"},
		{.cpu.cpus = "x\033[2J"},
		{.memory.limit = {true, -7}},
	};
	static const char *const members[] = {
		"linux.resources.unified", "linux.resources.hugepageLimits",
		"linux.resources.cpu.cpus", "linux.resources.cpu.cpus",
		"linux.resources.memory.limit"};
	char folder[128];
	struct stat st;

	NEEDS_ROOT();
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const struct cgroup_config config = {.cgroups_path = "/run0-test/" ID, .id = ID};

		assert_int_equal(cgroup_new(&cgroup, &config, &err), 0);
		assert_true(cgroup_make(cgroup, &resources[i], &err) < 0);
		if (strncmp(err.message, members[i], strlen(members[i])) != 0)
			fail_msg("%s", err.message);
		assert_null(strchr(err.message, '\033'));
		cgroup = cgroup_free(cgroup);
		plan(NULL);
		for (size_t j = 0; j < cgroup->hierarchy_count; j++) {
			assert_int_equal(cgroup_folder(folder, sizeof(folder),
						       &cgroup->hierarchies[j],
						       "/run0-test/" ID), 0);
			assert_int_equal(stat(folder, &st), -1);
		}
		if (i + 1 < ARRAY_SIZE(resources))
			cgroup = cgroup_free(cgroup);
	}
}

static uint64_t cpu_used(void)
{
	struct cgroup_stats stats;

	assert_int_equal(cgroup_stats(cgroup, &stats, &err), 0);
	free(stats.memory_stat);
	return stats.cpu.total_ns;
}

static void body_spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

/* Frozen, it uses no CPU; killed while frozen, it ends. */
static void test_freeze(void **state)
{
	uint64_t before;
	pid_t pid;

	NEEDS_ROOT();
	make(NULL);
	pid = start(body_spin);
	assert_false(cgroup_is_frozen(cgroup));
	assert_int_equal(cgroup_freeze(cgroup, true, &err), 0);
	assert_true(cgroup_is_frozen(cgroup));
	before = cpu_used();
	(void)usleep(50000);
	assert_true(cpu_used() - before < 10000000);
	assert_int_equal(cgroup_freeze(cgroup, false, &err), 0);
	assert_false(cgroup_is_frozen(cgroup));
	before = cpu_used();
	(void)usleep(100000);
	assert_true(cpu_used() - before > 0);
	assert_int_equal(cgroup_freeze(cgroup, true, &err), 0);
	assert_int_equal(cgroup_kill(cgroup, SIGKILL, &err), 0);
	assert_int_equal(WTERMSIG(end_of(pid)), SIGKILL);
}

/* Cgroups that a container has made below its own, with a process in the lowest. */
static void test_remove_deep(void **state)
{
	const struct cgroup_hierarchy *main;
	int dir;
	pid_t pid;

	NEEDS_ROOT();
	make(NULL);
	main = cgroup_main(cgroup);
	dir = openat(main->dir, ".", O_PATH | O_CLOEXEC);
	for (int i = 0; i < 100; i++) {
		int next;

		assert_int_equal(mkdirat(dir, "deep", 0755), 0);
		assert_int_equal(mkdirat(dir, "beside", 0755), 0);
		next = openat(dir, "deep", O_PATH | O_CLOEXEC);
		(void)close(dir);
		dir = next;
	}
	pid = start(body_wait);
	if (pid > 0) {
		cleanup_free pid_t *pids = NULL;
		char text[16];
		size_t count;

		(void)snprintf(text, sizeof(text), "%d", pid);
		assert_int_equal(cgroup_file_write(dir, "cgroup.procs", text), 0);
		assert_int_equal(cgroup_pids(cgroup, &pids, &count, &err), 0);
		assert_int_equal(count, 1);
	}
	(void)close(dir);
	(void)signal(SIGCHLD, SIG_IGN); /* nobody reaps: the kernel does */
	assert_int_equal(cgroup_remove(cgroup, &err), 0);
	(void)signal(SIGCHLD, SIG_DFL);
}

static void fork_forever(void)
{
	for (;;)
		(void)fork();
}

/* A fork bomb, within a limit. */
static void test_remove_bomb(void **state)
{
	const struct oci_resources resources = {.pids_limit = {true, 50}};

	NEEDS_ROOT();
	if (!machine_has(CGROUP_PIDS, "pids.max"))
		skip();
	make(&resources);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)start(fork_forever);
	(void)usleep(20000);
	assert_int_equal(cgroup_remove(cgroup, &err), 0);
	(void)signal(SIGCHLD, SIG_DFL);
}

static void body_devices(void)
{
	int code = 0;

	if (open("/dev/null", O_RDWR) >= 0)
		code |= 1;
	if (open("/dev/kmsg", O_RDONLY) >= 0)
		code |= 2;
	if (mknod("/tmp/run0-test-node", S_IFCHR | 0600, makedev(1, 11)) == 0)
		code |= 4;
	(void)unlink("/tmp/run0-test-node");
	_exit(code);
}

/* kmsg is no device that every container has: without a rule refused, by one opened. */
static void test_devices(void **state)
{
	static struct oci_device_rule kmsg = {
		.allow = true, .type = 'c', .major = {true, 1}, .minor = {true, 11}, .read = true};
	static struct oci_device_rule all = {
		.type = 'a', .read = true, .write = true, .mknod = true, .allow = true};
	static struct oci_device_rule none = {
		.type = 'a', .read = true, .write = true, .mknod = true};
	const struct oci_resources allows = {.devices = &kmsg, .device_count = 1};
	const struct oci_resources allows_all = {.devices = &all, .device_count = 1};
	const struct oci_resources denies = {.devices = &none, .device_count = 1};
	int fd;

	NEEDS_ROOT();
	fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		skip();
	(void)close(fd);
	make(&allows_all);
	assert_int_equal(WEXITSTATUS(end_of(start(body_devices))), 7);
	assert_int_equal(cgroup_update(cgroup, &denies, &err), 0);
	assert_int_equal(WEXITSTATUS(end_of(start(body_devices))), 5);
	assert_int_equal(cgroup_update(cgroup, &allows, &err), 0);
	assert_int_equal(WEXITSTATUS(end_of(start(body_devices))), 7);
	assert_int_equal(cgroup_update(cgroup, &denies, &err), 0);
	assert_int_equal(WEXITSTATUS(end_of(start(body_devices))), 5);
	teardown(NULL);
	make(NULL);
	assert_int_equal(WEXITSTATUS(end_of(start(body_devices))), 5);
}

static void body_open_null(void)
{
	for (int i = 0; i < 20000; i++) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (fd < 0)
			_exit(1);
		(void)close(fd);
	}
}

/* New rules for a container that runs never take from it what both have. */
static void test_device_update_is_smooth(void **state)
{
	static struct oci_device_rule kmsg = {
		.allow = true, .type = 'c', .major = {true, 1}, .minor = {true, 11}, .read = true};
	const struct oci_resources allows = {.devices = &kmsg, .device_count = 1};
	const struct oci_resources denies = {
		.devices = (struct oci_device_rule[]){{.type = 'a', .read = true, .write = true,
						       .mknod = true}},
		.device_count = 1};
	int status = -1;
	pid_t pid;

	NEEDS_ROOT();
	make(&denies);
	pid = start(body_open_null);
	for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++)
		assert_int_equal(cgroup_update(cgroup, i % 2 ? &denies : &allows, &err), 0);
	assert_int_equal(status, 0);
}

/* Whether the calling process, a child, may go on as nobody and gets what is expected. */
static void body_rootless(void)
{
	const struct oci_resources limit = {.pids_limit = {true, 5}};
	const struct cgroup_config config = {
		.cgroups_path = "/run0-test/nobody", .id = ID, .rootless = true};
	struct cgroup *mine = NULL, *limited = NULL;
	pid_t *pids;
	size_t count;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(1);
	if (cgroup_new(&mine, &config, &err) < 0 || cgroup_make(mine, NULL, &err) < 0)
		_exit(2);
	if (cgroup_enter(mine, getpid(), &err) < 0 || cgroup_fd(mine) >= 0 ||
	    cgroup_pids(mine, &pids, &count, &err) < 0 || count != 0 ||
	    cgroup_freeze(mine, true, &err) < 0 || cgroup_kill(mine, SIGKILL, &err) < 0 ||
	    cgroup_remove(mine, &err) < 0)
		_exit(3);
	if (cgroup_new(&limited, &config, &err) < 0 || cgroup_make(limited, &limit, &err) >= 0)
		_exit(4);
	_exit(strncmp(err.message, "linux.resources.pids.limit: ", 28) == 0 &&
			      strstr(err.message, "denied") ? 0 : 5);
}

/* Without privileges a container without limits runs without a cgroup; one with limits does not. */
static void test_rootless(void **state)
{
	NEEDS_ROOT();
	make(NULL);
	assert_int_equal(end_of(start(body_rootless)), 0);
}

/* A container that has given controllers to a cgroup of its own keeps its processes there, and a
 * new one can only be there too. */
static void test_enter_delegated(void **state)
{
	char controllers[CGROUP_FILE_BYTES], plus[64], file[64], text[16];
	const struct cgroup_hierarchy *unified;
	cleanup_fd int child = -1;
	pid_t first, second;

	NEEDS_ROOT();
	make(NULL);
	unified = cgroup_unified(cgroup);
	if (!unified)
		skip();
	for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
		if (cgroup_controller_name(i, true))
			(void)cgroup_enable(cgroup, 1u << i);
	if (cgroup_file_read(unified->dir, "cgroup.controllers", controllers,
			     sizeof(controllers)) < 2)
		skip();
	controllers[strcspn(controllers, " \n")] = '\0';
	(void)snprintf(plus, sizeof(plus), "+%.32s", controllers);
	assert_int_equal(mkdirat(unified->dir, "inner", 0755), 0);
	child = openat(unified->dir, "inner", O_PATH | O_CLOEXEC);
	first = start(body_wait);
	(void)snprintf(text, sizeof(text), "%d", first);
	assert_int_equal(cgroup_file_write(child, "cgroup.procs", text), 0);
	assert_int_equal(cgroup_file_write(unified->dir, "cgroup.subtree_control", plus), 0);
	second = start(body_wait);
	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", second);
	assert_true(cgroup_file_read(AT_FDCWD, file, controllers, sizeof(controllers)) > 0);
	assert_non_null(strstr(controllers, "0::/run0-test/" ID "/inner\n"));
	assert_int_equal(kill(first, SIGKILL) | kill(second, SIGKILL), 0);
	(void)end_of(first);
	(void)end_of(second);
}

/* v1 refuses a limit below what is in use where it cannot be freed; v2 would kill. */
static void test_check_before_update(void **state)
{
	const struct oci_resources tiny = {.memory.limit = {true, 4096},
					   .memory.check_before_update = {true, true}};
	const struct cgroup_hierarchy *home;
	pid_t pid;

	NEEDS_ROOT();
	if (!machine_has(CGROUP_MEMORY, "memory.max"))
		skip();
	make(NULL);
	(void)cgroup_enable(cgroup, 1u << CGROUP_MEMORY);
	home = cgroup_home(cgroup, CGROUP_MEMORY);
	if (!home->v2)
		skip();
	pid = start(body_open_null);
	(void)end_of(pid);
	pid = start(body_wait);
	for (uint64_t usage = 0; usage <= 4096;)
		assert_int_equal(cgroup_file_read_number(home->dir, "memory.current", &usage), 0);
	assert_int_equal(cgroup_update(cgroup, &tiny, &err), -EBUSY);
	assert_non_null(strstr(err.message, "linux.resources.memory.limit"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)end_of(pid);
}

static void body_eat(void)
{
	for (;;) {
		char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory != MAP_FAILED)
			memset(memory, 1, 1 << 20);
	}
}

static void test_events(void **state)
{
	const struct oci_resources resources = {.memory.limit = {true, 16 << 20},
						.memory.swap = {true, 16 << 20}};
	struct cgroup_stats stats;
	uint64_t before;
	pid_t pid;

	NEEDS_ROOT();
	if (!machine_has(CGROUP_MEMORY, "memory.max"))
		skip();
	make(&resources);
	pid = start(body_wait);
	before = monotonic_ns();
	assert_int_equal(cgroup_wait_event(cgroup, 60, &err), 2);
	assert_true(monotonic_ns() - before >= 60000000);
	assert_int_equal(WTERMSIG(end_of(start(body_eat))), SIGKILL);
	assert_int_equal(cgroup_wait_event(cgroup, 5000, &err), 1);
	assert_int_equal(cgroup_wait_event(cgroup, 10, &err), 2);
	assert_int_equal(cgroup_stats(cgroup, &stats, &err), 0);
	assert_true(stats.memory.present && stats.memory.oom_kills == 1);
	assert_int_equal(stats.memory.limit, 16 << 20);
	assert_non_null(stats.memory_stat);
	free(stats.memory_stat);
	assert_int_equal(cgroup_kill(cgroup, SIGKILL, &err), 0);
	(void)end_of(pid);
	assert_int_equal(cgroup_wait_event(cgroup, 5000, &err), 0);
}

/* CLONE_INTO_CGROUP takes the descriptor, and there is one in v2 alone. */
static void test_descriptor(void **state)
{
	NEEDS_ROOT();
	plan(NULL);
	assert_int_equal(cgroup_fd(cgroup), -1);
	assert_int_equal(cgroup_make(cgroup, NULL, &err), 0);
	assert_int_equal(cgroup_fd(cgroup) >= 0, strcmp(cgroup_layout(), "v2") == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lifecycle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_burst_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_name_the_member, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freeze, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_deep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_bomb, setup, teardown),
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_update_is_smooth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rootless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enter_delegated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_before_update, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
