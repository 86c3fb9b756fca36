/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From root to the program: what a process is after process_become and process_exec, seen by the
 * kernel's own account of it (/proc/self/status), and what it cannot do.
 *
 * Each case is a child whose stdout is a pipe. It needs root, as a runtime inside its container has
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process.h"
#include "process/seccomp.h"

#define BIT(capability) (UINT64_C(1) << (capability))

enum { USER = 54321, GROUP = 54322, OUTPUT_BYTES = 16384, FAILED = 99 };

static const char *const cat_status[] = { "/bin/cat", "/proc/self/status" };
static const char *const list_fds[] = { "/bin/ls", "/proc/self/fd" };

/* What a case starts from; it changes its own copy. */
static struct oci_process process_for(const char *const *args, size_t count)
{
	return (struct oci_process){
		.args = { (const char **)(uintptr_t)args, count },
		.cwd = "/",
	};
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* In the child: becomes and executes; a failure is what it prints. */
static void run_program(const struct process_context *context)
{
	struct err err = { 0 };

	if (process_become(context, &err) == 0)
		(void)process_exec(context->process, context->process->args.items[0], &err);
	(void)!write(STDOUT_FILENO, err.message, strlen(err.message));
	_exit(FAILED);
}

/* Forks; the child's stdout is read until it ends. */
static bool in_child(int *ret_fd, pid_t *ret_pid)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (*ret_pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		return true;
	}
	(void)close(ends[1]);
	*ret_fd = ends[0];
	return false;
}

static int collect(int fd, pid_t pid, char output[OUTPUT_BYTES])
{
	size_t bytes = 0;
	ssize_t n;
	int status;

	while (bytes < OUTPUT_BYTES - 1 &&
	       (n = read(fd, output + bytes, OUTPUT_BYTES - 1 - bytes)) > 0)
		bytes += (size_t)n;
	output[bytes] = '\0';
	(void)close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const struct process_context *context, char output[OUTPUT_BYTES])
{
	pid_t pid;
	int fd;

	if (in_child(&fd, &pid))
		run_program(context);
	return collect(fd, pid, output);
}

/* The rest of the line that begins so, without space in front. */
static const char *field(const char *status, const char *name)
{
	static char text[512];
	const char *at = strstr(status, name);

	assert_non_null(at);
	at += strlen(name);
	at += strspn(at, "\t ");
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "\n"), at);
	return text;
}

static uint64_t mask(const char *status, const char *name)
{
	return strtoull(field(status, name), NULL, 16);
}

static void test_user_groups_umask(void **state)
{
	uint32_t gids[] = { 7, 54400 };
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	process.user = (struct oci_user){ .uid = USER, .gid = GROUP, .umask = { true, 0137 },
					  .additional_gids = gids, .additional_gid_count = 2 };
	assert_int_equal(run(&context, output), 0);
	assert_string_equal(field(output, "Uid:"), "54321\t54321\t54321\t54321");
	assert_string_equal(field(output, "Gid:"), "54322\t54322\t54322\t54322");
	assert_non_null(strstr(field(output, "Groups:"), "7 54400"));
	assert_string_equal(field(output, "Umask:"), "0137");
	process.user.umask.set = false;
	process.user.additional_gid_count = 0;
	assert_int_equal(run(&context, output), 0);
	assert_string_equal(field(output, "Umask:"), "0022");
	assert_null(strstr(field(output, "Groups:"), "7"));
}

static void assert_sets(const char *status, uint64_t inheritable, uint64_t permitted,
			uint64_t effective, uint64_t bounding, uint64_t ambient)
{
	assert_int_equal(mask(status, "CapInh:"), inheritable);
	assert_int_equal(mask(status, "CapPrm:"), permitted);
	assert_int_equal(mask(status, "CapEff:"), effective);
	assert_int_equal(mask(status, "CapBnd:"), bounding);
	assert_int_equal(mask(status, "CapAmb:"), ambient);
}

static void test_no_capabilities_object_leaves_none(void **state)
{
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	assert_int_equal(run(&context, output), 0);
	assert_sets(output, 0, 0, 0, 0, 0);
}

static void test_root_has_its_bounding_set(void **state)
{
	const uint64_t some = BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_AUDIT_READ);
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	process.capabilities = (struct oci_capabilities){ true, some, some, 0, some, 0, NULL };
	assert_int_equal(run(&context, output), 0);
	assert_sets(output, 0, some, some, some, 0);
}

static void test_user_has_ambient_only(void **state)
{
	const uint64_t some = BIT(CAP_CHOWN) | BIT(CAP_KILL), ambient = BIT(CAP_KILL);
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	process.user.uid = USER;
	process.capabilities = (struct oci_capabilities){ true, some, some, ambient, some,
							  ambient | BIT(CAP_CHOWN), NULL };
	/* CAP_CHOWN is ambient without being inheritable: no effect, as in runc and crun. */
	assert_int_equal(run(&context, output), 0);
	assert_sets(output, ambient, ambient, ambient, some, ambient);
	process.no_new_privileges = true;
	assert_int_equal(run(&context, output), 0);
	assert_sets(output, ambient, ambient, ambient, some, ambient);
	assert_string_equal(field(output, "NoNewPrivs:"), "1");
}

static void give_up(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)syscall(SYS_capget, &header, data);
	data[capability / 32].permitted &= ~(1u << capability % 32);
	data[capability / 32].effective &= ~(1u << capability % 32);
	(void)syscall(SYS_capset, &header, data);
}

static void test_refused_capabilities_are_named(void **state)
{
	const uint64_t boot = BIT(CAP_SYS_BOOT), kill_ = BIT(CAP_KILL);
	static const struct {
		struct oci_capabilities sets;
		const char *message;
	} cases[] = {
		{ { true, boot, boot, 0, boot, 0, NULL },
		  "process.capabilities.permitted: cap_sys_boot is" },
		{ { true, kill_, kill_, 0, 0, 0, NULL },
		  "process.capabilities.effective: cap_kill is" },
		{ { true, 0, kill_, kill_, kill_, 0, NULL },
		  "process.capabilities.inheritable: cap_kill is" },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_process process = process_for(cat_status, 2);
		const struct process_context context = { .process = &process,
							 .seccomp_socket = -1 };
		char output[OUTPUT_BYTES];
		pid_t pid;
		int fd;

		process.capabilities = cases[i].sets;
		if (in_child(&fd, &pid)) {
			give_up(CAP_SYS_BOOT);
			run_program(&context);
		}
		assert_int_equal(collect(fd, pid, output), FAILED);
		assert_ptr_equal(strstr(output, cases[i].message), output);
	}
}

/* --- the program's file ---------------------------------------------------------------------- */

static void make_file(const char *folder, const char *name, mode_t mode)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* A folder that everyone may enter. */
static void make_folder(char path[32])
{
	strcpy(path, "/tmp/oci-process-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_int_equal(chmod(path, 0755), 0);
}

static void remove_folder(const char *path)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

struct find_case {
	const char *name, *path, *cwd; /* "%" is the folder */
	uid_t uid;
	uint64_t effective;
	int result;
	const char *found; /* or a part of the message */
};

static void expand(char to[256], const char *text, const char *folder)
{
	const char *mark = strchr(text, '%');

	(void)snprintf(to, 256, "%.*s%s%s", (int)(mark ? (size_t)(mark - text) : strlen(text)),
		       text, mark ? folder : "", mark ? mark + 1 : "");
}

static void find_one(const struct find_case *test, const char *folder)
{
	char name[256], path[256], cwd[256], found[256];
	const char *args[] = { name }, *env[] = { "PATH=/nowhere", path };
	struct oci_process process = process_for(args, 1);
	cleanup_free char *program = NULL;
	struct err err = { 0 };
	int r;

	expand(name, test->name, folder);
	expand(path, test->path, folder);
	expand(cwd, test->cwd, folder);
	expand(found, test->found, folder);
	process.env = (struct oci_strings){ env, 2 };
	process.cwd = cwd;
	process.user = (struct oci_user){ .uid = test->uid, .gid = test->uid };
	process.capabilities.effective = test->effective;
	r = process_find_program(&process, &program, &err);
	if (r != test->result)
		fail_msg("'%s' by '%s': %d %s", name, path, r, err.message);
	if (r == 0)
		assert_string_equal(program, found);
	else
		assert_non_null(strstr(err.message, found));
}

static void test_find_program(void **state)
{
	static const struct find_case cases[] = {
		{ "good", "PATH=/none:%", "/", 0, 0, 0, "%/good" },
		{ "%/good", "X=", "/", USER, 0, 0, "%/good" },
		{ "good", "X=%", "/", 0, 0, -ENOENT,
		  "\"good\": executable file not found in $PATH" },
		{ "%/none", "X=", "/", 0, 0, -ENOENT, "No such file or directory" },
		{ "%/plain", "X=", "/", 0, 0, -EACCES, "Permission denied" },
		{ "plain", "PATH=%", "/", 0, 0, -EACCES, "Permission denied" },
		{ "plain", "PATH=%:%", "/", USER, 0, -EACCES, "Permission denied" },
		{ "folder", "PATH=%", "/", 0, 0, -EACCES, "Permission denied" },
		/* Only root may execute it, or enter the folder. */
		{ "private", "PATH=%", "/", USER, 0, -EACCES, "Permission denied" },
		{ "private", "PATH=%", "/", 0, 0, 0, "%/private" },
		{ "%/closed/good", "X=", "/", USER, 0, -EACCES, "Permission denied" },
		{ "%/closed/good", "X=", "/", USER, BIT(CAP_DAC_OVERRIDE), 0, "%/closed/good" },
		{ "./good", "X=", "%", 0, 0, 0, "./good" },
		{ "good", "PATH=", "%", 0, 0, 0, "good" },
		{ "good", "PATH=/none:", "%", 0, 0, 0, "good" },
		{ "./good", "X=", "%/none", 0, 0, -ENOENT, "No such file" },
		{ "", "X=", "/", 0, 0, -ENOENT, "process.args[0]" },
	};
	char folder[32], closed[64];

	(void)state;
	need_root();
	make_folder(folder);
	make_file(folder, "good", 0755);
	make_file(folder, "plain", 0644);
	make_file(folder, "private", 0700);
	(void)snprintf(closed, sizeof(closed), "%s/folder", folder);
	assert_int_equal(mkdir(closed, 0755), 0);
	(void)snprintf(closed, sizeof(closed), "%s/closed", folder);
	assert_int_equal(mkdir(closed, 0700), 0);
	make_file(closed, "good", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		find_one(&cases[i], folder);
	/* The looking leaves no trace. */
	assert_int_equal(geteuid(), 0);
	assert_int_equal(access("/etc/shadow", R_OK), 0);
	remove_folder(folder);
}

static void test_find_without_path_or_arguments(void **state)
{
	static const char *const sh[] = { "sh" };
	struct oci_process process = process_for(sh, 1);
	cleanup_free char *program = NULL;

	(void)state;
	assert_int_equal(process_find_program(&process, &program, NULL), 0);
	assert_string_equal(program, "/bin/sh");
	process.args.count = 0;
	assert_int_equal(process_find_program(&process, &program, NULL), -EINVAL);
}

/* --- the working folder ----------------------------------------------------------------------- */

static void test_working_folder(void **state)
{
	static const char *const pwd[] = { "/bin/pwd" };
	struct oci_process process = process_for(pwd, 1);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char folder[32], cwd[64], expected[80], output[OUTPUT_BYTES];
	struct stat st;

	(void)state;
	need_root();
	make_folder(folder);
	(void)snprintf(cwd, sizeof(cwd), "%s//a/b/", folder);
	(void)snprintf(expected, sizeof(expected), "%s/a/b\n", folder);
	process.cwd = cwd;
	process.user.umask = (struct oci_number){ true, 0777 };
	process.user.uid = USER;
	assert_int_equal(run(&context, output), 0);
	assert_string_equal(output, expected);
	assert_int_equal(stat(cwd, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	/* Root enters what the user may not, as in runc. */
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(run(&context, output), 0);
	process.cwd = "/etc/passwd";
	assert_int_equal(run(&context, output), FAILED);
	assert_non_null(strstr(output, "process.cwd: cannot enter '/etc/passwd': Not a directory"));
	remove_folder(folder);
}

/* In a child: a root of its own with /proc, which holds a descriptor of the root outside. */
static int enter_small_root(const char *folder)
{
	char path[64];
	int outside;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", folder, "tmpfs", 0, NULL) < 0)
		_exit(1);
	(void)snprintf(path, sizeof(path), "%s/proc", folder);
	if (mkdir(path, 0755) < 0 || mount("proc", path, "proc", 0, NULL) < 0)
		_exit(2);
	outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (outside < 0 || chroot(folder) < 0 || chdir("/") < 0)
		_exit(3);
	return outside;
}

static void test_working_folder_outside(void **state)
{
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char folder[32], made[64], cwd[128], output[OUTPUT_BYTES];
	pid_t pid;
	int fd;

	(void)state;
	need_root();
	make_folder(folder);
	(void)snprintf(made, sizeof(made), "%s/made", folder);

	/* The attack works where nobody looks: the file is not in the small root. */
	if (in_child(&fd, &pid)) {
		const int outside = enter_small_root(folder);

		(void)snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", outside);
		_exit(chdir(cwd) == 0 && access("/etc/passwd", F_OK) < 0 &&
		      access("etc/passwd", R_OK) == 0 ? 77 : 78);
	}
	assert_int_equal(collect(fd, pid, output), 77);

	if (in_child(&fd, &pid)) {
		(void)snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", enter_small_root(folder));
		process.cwd = cwd;
		run_program(&context);
	}
	assert_int_equal(collect(fd, pid, output), FAILED);
	assert_non_null(strstr(output, "is outside of the container's root"));

	/* Nor is a folder made out there. */
	if (in_child(&fd, &pid)) {
		(void)snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d/tmp/oci-made",
			       enter_small_root(folder));
		process.cwd = cwd;
		run_program(&context);
	}
	assert_int_equal(collect(fd, pid, output), FAILED);
	assert_non_null(strstr(output, "process.cwd"));
	assert_int_equal(access("/tmp/oci-made", F_OK), -1);
	remove_folder(folder);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void test_descriptors(void **state)
{
	struct oci_process process = process_for(list_fds, 2);
	struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];
	pid_t pid;
	int fd;

	(void)state;
	need_root();
	context.preserve_fds = 2;
	if (in_child(&fd, &pid)) {
		(void)!close_range(3, ~0u, 0);
		(void)dup2(0, 3);	      /* handed on */
		(void)fcntl(0, F_DUPFD_CLOEXEC, 4); /* ours, in a place that is not used */
		(void)dup2(0, 5);	      /* beyond */
		(void)dup2(0, 900);
		run_program(&context);
	}
	assert_int_equal(collect(fd, pid, output), 0);
	assert_string_equal(output, "0\n1\n2\n3\n4\n"); /* 4: ls itself */
}

/* Whether the program at that path is executed, in a process that holds `folder` close-on-exec. */
static void test_no_program_through_a_descriptor(void **state)
{
	char path[64];
	const char *const args[] = { path };
	struct oci_process process = process_for(args, 1);
	struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];
	const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *const argv[] = { path, NULL };
	pid_t pid;
	int fd;

	(void)state;
	need_root();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/bin/true", root);
	/* Close-on-exec does not stop it. */
	if (in_child(&fd, &pid)) {
		(void)execve(path, argv, argv + 1);
		_exit(FAILED);
	}
	assert_int_equal(collect(fd, pid, output), 0);
	assert_int_equal(run(&context, output), FAILED);
	assert_non_null(strstr(output, "No such file or directory"));
	(void)close(root);
}

static void test_kept_descriptors_live_until_exec(void **state)
{
	struct oci_process process = process_for(list_fds, 2);
	struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];
	struct err err = { 0 };
	pid_t pid;
	int fd;

	(void)state;
	need_root();
	if (in_child(&fd, &pid)) {
		const int high = fcntl(1, F_DUPFD_CLOEXEC, 40), low = fcntl(1, F_DUPFD_CLOEXEC, 20);
		const int other = fcntl(1, F_DUPFD_CLOEXEC, 30);

		context.keep_fds[1] = high;
		context.keep_fds[2] = low;
		context.keep_fds[3] = -1;
		if (process_become(&context, &err) < 0 || fcntl(high, F_GETFD) < 0 ||
		    fcntl(low, F_GETFD) < 0 || fcntl(other, F_GETFD) >= 0)
			_exit(1);
		(void)process_exec(&process, "/bin/ls", &err);
		_exit(2);
	}
	assert_int_equal(collect(fd, pid, output), 0);
	assert_string_equal(output, "0\n1\n2\n3\n");
}

static void test_many_arguments(void **state)
{
	enum { COUNT = 3000 };
	static const char *args[COUNT];
	struct oci_process process = process_for(args, COUNT);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	for (size_t i = 0; i < COUNT; i++)
		args[i] = "x";
	args[0] = "/bin/echo";
	process.env = (struct oci_strings){ args, COUNT };
	assert_int_equal(run(&context, output), 0);
	assert_int_equal(strlen(output), 2 * (COUNT - 1));
}

/* --- the filter ------------------------------------------------------------------------------- */

/* A profile that refuses everything by which a process becomes another. */
static struct seccomp_filter *filter_against_change(void)
{
	static const char *names[] = { "setuid", "setresuid", "setresgid", "setgroups", "capset",
				       "prctl", "close_range", "chdir", "umask", "personality" };
	struct oci_seccomp_rule rule = { .names = { names, ARRAY_SIZE(names) },
					 .action = "SCMP_ACT_KILL_PROCESS" };
	const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule,
					     .rule_count = 1 };
	struct seccomp_filter *filter;

	assert_int_equal(seccomp_filter_new(&filter, &seccomp, NULL, NULL), 0);
	return filter;
}

static void test_filter_comes_last(void **state)
{
	static const char *const lowest[] = { "/bin/sed", "-n", "/^Cap/p;/^Seccomp:/p;/^NoNew/p",
					      "/proc/self/status" };
	struct oci_process process = process_for(lowest, 4);
	struct process_context context = { .process = &process, .seccomp_socket = -1 };
	const uint64_t some = BIT(CAP_KILL);
	char output[OUTPUT_BYTES];
	struct seccomp_filter *filter;

	(void)state;
	need_root();
	filter = filter_against_change();
	context.seccomp = filter;
	process.user.uid = USER;
	process.capabilities =
		(struct oci_capabilities){ true, some, some, some, some, some, NULL };
	for (int round = 0; round < 2; round++) {
		process.no_new_privileges = round == 1;
		assert_int_equal(run(&context, output), 0);
		assert_string_equal(field(output, "Seccomp:"), "2");
		assert_string_equal(field(output, "NoNewPrivs:"), round ? "1" : "0");
		/* In particular not CAP_SYS_ADMIN, by which the filter was loaded. */
		assert_sets(output, some, some, some, some, some);
	}
	filter = seccomp_filter_free(filter);
}

/* --- labels, personality ---------------------------------------------------------------------- */

static void test_labels(void **state)
{
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	process.apparmor_profile = "unconfined";
	assert_int_equal(run(&context, output), 0);
	process.apparmor_profile = "no-such-profile";
	assert_int_equal(run(&context, output), FAILED);
	assert_string_equal(output, access("/proc/self/attr/apparmor", F_OK) < 0 ?
			    "process.apparmorProfile: this kernel has no AppArmor" :
			    "process.apparmorProfile: refused: No such file or directory");
	if (access("/sys/fs/selinux", F_OK) == 0)
		return;
	process.apparmor_profile = NULL;
	process.selinux_label = "system_u:system_r:container_t:s0";
	assert_int_equal(run(&context, output), FAILED);
	assert_ptr_equal(strstr(output, "process.selinuxLabel: "), output);
	assert_non_null(strstr(output, "SELinux"));
}

/* A mount over /proc would take the label: a file that anyone can write has the right name. */
static void test_label_needs_real_proc(void **state)
{
	struct oci_process process = process_for(cat_status, 2);
	const struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];
	pid_t pid;
	int fd;

	(void)state;
	need_root();
	process.selinux_label = "label";
	if (in_child(&fd, &pid)) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", "/proc", "tmpfs", 0, NULL) < 0 ||
		    mkdir("/proc/thread-self", 0755) < 0 ||
		    mkdir("/proc/thread-self/attr", 0755) < 0)
			_exit(1);
		make_file("/proc/thread-self/attr", "exec", 0666);
		run_program(&context);
	}
	assert_int_equal(collect(fd, pid, output), FAILED);
	assert_string_equal(output, "process.selinuxLabel: the container's /proc is not procfs");
}

static void test_personality(void **state)
{
	static const char *const args[] = { "/bin/cat", "/proc/self/personality" };
	struct oci_process process = process_for(args, 2);
	struct process_context context = { .process = &process, .seccomp_socket = -1 };
	char output[OUTPUT_BYTES];

	(void)state;
	need_root();
	context.personality = (struct oci_number){ true, PER_LINUX32 };
	assert_int_equal(run(&context, output), 0);
	assert_string_equal(output, "00000008\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_groups_umask),
		cmocka_unit_test(test_no_capabilities_object_leaves_none),
		cmocka_unit_test(test_root_has_its_bounding_set),
		cmocka_unit_test(test_user_has_ambient_only),
		cmocka_unit_test(test_refused_capabilities_are_named),
		cmocka_unit_test(test_find_program),
		cmocka_unit_test(test_find_without_path_or_arguments),
		cmocka_unit_test(test_working_folder),
		cmocka_unit_test(test_working_folder_outside),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_no_program_through_a_descriptor),
		cmocka_unit_test(test_kept_descriptors_live_until_exec),
		cmocka_unit_test(test_many_arguments),
		cmocka_unit_test(test_filter_comes_last),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_label_needs_real_proc),
		cmocka_unit_test(test_personality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
