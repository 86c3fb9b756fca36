/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's program under attack from its container (CVE-2019-5736).
 *
 * This program is victim and attacker. The victim is a copy of it, which does as a runtime does: it
 * protects itself, or does not, and executes the container's program. The container's program is a
 * script whose interpreter is /proc/self/exe, so that the kernel runs the runtime once more,
 * inside; the attacker takes a descriptor of its executable while it runs, and opens that for
 * writing when it has ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "oci.h"

enum { USER = 54321, PATH_BYTES = 64, TEXT_BYTES = 512 };

/* --- the victim ------------------------------------------------------------------------------- */

/* Says what it is, and waits for the end of its stdin. */
static int hold(void)
{
	char name[16], exe[64] = "", text[TEXT_BYTES];
	struct statvfs fs;
	int bytes;

	(void)prctl(PR_GET_NAME, name);
	(void)!readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	(void)statvfs("/proc/self/exe", &fs);
	bytes = snprintf(text, sizeof(text), "%s %s %s\n", name,
			 fs.f_flag & ST_RDONLY ? "read-only" : "writable", exe);
	(void)!write(STDOUT_FILENO, text, (size_t)bytes);
	(void)!read(STDIN_FILENO, text, 1);
	return 0;
}

/* victim protect|bare SCRIPT|- */
static int be_victim(char **argv, char **envp)
{
	char *script_argv[] = { argv[3], NULL };
	struct err err = { 0 };

	if (!strcmp(argv[2], "protect") && oci_protect_self(argv, envp, &err) < 0) {
		(void)!write(STDOUT_FILENO, err.message, strlen(err.message));
		return 1;
	}
	if (!strcmp(argv[3], "-"))
		return hold();
	(void)execve(argv[3], script_argv, envp);
	return 2;
}

/* --- the stage -------------------------------------------------------------------------------- */

struct stage {
	char folder[PATH_BYTES], program[PATH_BYTES + 16], script[PATH_BYTES + 16];
};

static void write_file(const char *path, const void *data, size_t bytes)
{
	cleanup_fd int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, bytes), 0);
}

static void stage_make(struct stage *stage)
{
	static const char script[] = "#!/proc/self/exe\n";
	uint8_t *data;
	size_t bytes;

	strcpy(stage->folder, "/tmp/oci-protect-XXXXXX");
	assert_non_null(mkdtemp(stage->folder));
	assert_int_equal(chmod(stage->folder, 0755), 0);
	(void)snprintf(stage->program, sizeof(stage->program), "%s/victim", stage->folder);
	(void)snprintf(stage->script, sizeof(stage->script), "%s/script", stage->folder);
	assert_int_equal(file_read("/proc/self/exe", 64 << 20, &data, &bytes, NULL), 0);
	write_file(stage->program, data, bytes);
	write_file(stage->script, script, sizeof(script) - 1);
	free(data);
}

static void stage_clear(const struct stage *stage)
{
	char command[PATH_BYTES + 16];

	(void)snprintf(command, sizeof(command), "rm -rf %s", stage->folder);
	assert_int_equal(system(command), 0);
}

struct victim {
	pid_t pid;
	int in, out;
	char said[TEXT_BYTES];
};

static void drop_sys_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0);
	(void)syscall(SYS_capget, &header, data);
	data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	(void)syscall(SYS_capset, &header, data);
}

/* `as`: 0 as we are, USER that user, -1 as we are but without CAP_SYS_ADMIN. */
static struct victim victim_start(const struct stage *stage, const char *mode, const char *script,
				  int as, const char *variable)
{
	char *argv[] = { "/some/where/victim", "victim", (char *)(uintptr_t)mode,
			 (char *)(uintptr_t)script, NULL };
	char *envp[] = { "PATH=/bin", "ASAN_OPTIONS=detect_leaks=0", (char *)(uintptr_t)variable,
			 NULL };
	struct victim victim = { 0 };
	int in[2], out[2];
	ssize_t n;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	victim.pid = fork();
	if (victim.pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		if (as < 0)
			drop_sys_admin();
		if (as > 0 && (setgid(USER) < 0 || setuid(USER) < 0))
			_exit(1);
		(void)execve(stage->program, argv, envp);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	victim.in = in[1];
	victim.out = out[0];
	n = read(victim.out, victim.said, sizeof(victim.said) - 1);
	assert_true(n >= 0);
	return victim;
}

static int victim_end(struct victim *victim)
{
	int status;

	victim->in = fd_close(victim->in);
	victim->out = fd_close(victim->out);
	assert_int_equal(waitpid(victim->pid, &status, 0), victim->pid);
	return status;
}

/* The attack, as the user that the test runs as. Returns 0 when the program was written to. */
static int attack(const struct stage *stage, const char *mode, const char *script, int as)
{
	struct victim victim = victim_start(stage, mode, script, as, NULL);
	char path[PATH_BYTES];
	cleanup_fd int held = -1, writing = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)victim.pid);
	held = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(held >= 0);
	/* While it runs, nobody can. */
	assert_int_equal(open(path, O_WRONLY | O_CLOEXEC), -1);
	assert_true(errno == ETXTBSY || errno == EROFS || errno == EPERM);
	assert_int_equal(victim_end(&victim), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	writing = open(path, O_WRONLY | O_CLOEXEC);
	if (writing < 0)
		return -errno;
	return pwrite(writing, "attacked", 8, 0) == 8 ? 0 : -errno;
}

static bool is_attacked(const struct stage *stage)
{
	cleanup_fd int fd = open(stage->program, O_RDONLY | O_CLOEXEC);
	char head[8] = "";

	assert_int_equal(file_pread_all(fd, head, sizeof(head), 0), 0);
	return !memcmp(head, "attacked", 8);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_bare_program_is_overwritten(void **state)
{
	struct stage stage;

	(void)state;
	stage_make(&stage);
	assert_int_equal(attack(&stage, "bare", stage.script, 0), 0);
	assert_true(is_attacked(&stage));
	stage_clear(&stage);
}

static void test_read_only_bind(void **state)
{
	struct stage stage;
	struct victim victim;

	(void)state;
	if (geteuid() != 0)
		skip();
	stage_make(&stage);
	victim = victim_start(&stage, "protect", "-", 0, NULL);
	/* Its name is that of argv[0] again; its executable has no path. */
	assert_string_equal(victim.said, "victim read-only /\n");
	assert_int_equal(victim_end(&victim), 0);
	assert_int_equal(attack(&stage, "protect", "-", 0), -EROFS);
	assert_int_equal(attack(&stage, "protect", stage.script, 0), -EROFS);
	assert_false(is_attacked(&stage));
	/* And by those who made it, the program can be replaced as ever. */
	assert_int_equal(unlink(stage.program), 0);
	stage_clear(&stage);
}

static void test_sealed_copy_of_root(void **state)
{
	struct stage stage;
	int r;

	(void)state;
	if (geteuid() != 0)
		skip();
	stage_make(&stage);
	r = attack(&stage, "protect", stage.script, -1);
	assert_int_equal(r, -EPERM);
	assert_false(is_attacked(&stage));
	stage_clear(&stage);
}

/* An ordinary user: the file is root's, is the user's own, is for all to write. */
static void test_sealed_copy_only_where_it_is_needed(void **state)
{
	static const struct {
		uid_t owner;
		mode_t mode;
		bool copied;
	} cases[] = { { 0, 0755, false }, { USER, 0755, true }, { USER, 0555, true },
		      { 0, 0777, true } };
	struct stage stage;

	(void)state;
	if (geteuid() != 0)
		skip();
	stage_make(&stage);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct victim victim;

		assert_int_equal(chown(stage.program, cases[i].owner, 0), 0);
		assert_int_equal(chmod(stage.program, cases[i].mode), 0);
		victim = victim_start(&stage, "protect", "-", USER, NULL);
		assert_int_equal(!!strstr(victim.said, "victim writable /memfd:run0"),
				 cases[i].copied);
		assert_int_equal(!!strstr(victim.said, stage.program), !cases[i].copied);
		assert_int_equal(victim_end(&victim), 0);
	}
	stage_clear(&stage);
}

/* Without a test as root: the user who runs this owns the copy. */
static void test_sealed_copy_withstands(void **state)
{
	struct stage stage;

	(void)state;
	if (geteuid() == 0)
		skip();
	stage_make(&stage);
	assert_int_equal(attack(&stage, "protect", stage.script, 0), -EPERM);
	assert_false(is_attacked(&stage));
	stage_clear(&stage);
}

/* The mark of a second start on a program that is not protected is an error, no second try. */
static void test_no_loop(void **state)
{
	struct stage stage;
	struct victim victim;

	(void)state;
	stage_make(&stage);
	victim = victim_start(&stage, "protect", "-", 0, "OCI_PROTECTED_PROGRAM=1");
	assert_string_equal(victim.said, "this program is still writable after its second start");
	assert_int_equal(WEXITSTATUS(victim_end(&victim)), 1);
	stage_clear(&stage);
}

int main(int argc, char **argv, char **envp)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare_program_is_overwritten),
		cmocka_unit_test(test_read_only_bind),
		cmocka_unit_test(test_sealed_copy_of_root),
		cmocka_unit_test(test_sealed_copy_only_where_it_is_needed),
		cmocka_unit_test(test_sealed_copy_withstands),
		cmocka_unit_test(test_no_loop),
	};

	if (argc == 4 && !strcmp(argv[1], "victim"))
		return be_victim(argv, envp);
	if (!strcmp(argv[0], "/proc/self/exe"))
		return hold(); /* the script's interpreter */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
