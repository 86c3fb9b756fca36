/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: shell scripts that leave notes in a folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "container/hooks.h"
#include "err.h"
#include "file.h"
#include "spec/spec.h"

enum { NOTE_BYTES = 4096 };

static char folder[] = "/tmp/oci-hooks-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "cd / && rm -rf %s", folder);
	return system(command) == 0 && chdir("/") == 0 ? 0 : -1;
}

/* A hook that is a shell with this script; `args` is storage for its arguments. */
static struct oci_hook shell(const char *script, const char *args[4])
{
	args[0] = "sh";
	args[1] = "-c";
	args[2] = script;
	args[3] = NULL;
	return (struct oci_hook){ .path = "/bin/sh", .args = { args, 3 } };
}

static const char *note(const char *name)
{
	static char text[NOTE_BYTES];
	cleanup_fd int fd = open(name, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return "(none)";
	text[n] = '\0';
	return text;
}

static int run_one(struct oci_hook hook, const char *state_json, struct err *err)
{
	const struct oci_hooks hooks = { &hook, 1 };

	return hooks_run(&hooks, "hooks.prestart", state_json, err);
}

static void test_order_and_stdin(void **state)
{
	const char *args[3][4];
	struct oci_hook list[] = {
		shell("echo one >> order; cat >> state", args[0]),
		shell("echo two >> order; cat >> state", args[1]),
		shell("echo three >> order", args[2]),
	};
	const struct oci_hooks hooks = { list, 3 }, none = { NULL, 0 };

	(void)state;
	assert_int_equal(hooks_run(&hooks, "hooks.poststart", "{\"id\":\"a\"}\n", NULL), 0);
	assert_string_equal(note("order"), "one\ntwo\nthree\n");
	assert_string_equal(note("state"), "{\"id\":\"a\"}\n{\"id\":\"a\"}\n");
	assert_int_equal(hooks_run(&none, "hooks.poststart", "{}", NULL), 0);
}

/* Both kinds of hook would hang a runtime that writes to a pipe, or be killed by its closing. */
static void test_state_that_nobody_reads(void **state)
{
	enum { BYTES = 1 << 20 };
	cleanup_free char *big = malloc(BYTES + 1);
	const char *args[4];

	(void)state;
	memset(big, 'x', BYTES);
	big[BYTES] = '\0';
	assert_int_equal(run_one(shell("exit 0", args), big, NULL), 0);
	assert_int_equal(run_one(shell("exec < /dev/null; exit 0", args), big, NULL), 0);
	assert_int_equal(run_one(shell("wc -c > size", args), big, NULL), 0);
	assert_int_equal(atoi(note("size")), BYTES);
}

static void test_environment_and_arguments(void **state)
{
	const char *args[] = { "name", "-c", "echo $0 $1 $WHAT > args; env > env", "zero",
			       "first" };
	const char *env[] = { "WHAT=this", "PATH=/bin:/usr/bin" };
	struct oci_hook hook = { .path = "/bin/sh", .args = { args, 5 }, .env = { env, 2 } };
	static const char *const variables[] = { "HOME=", "USER=", "SECRET=" };

	(void)state;
	assert_int_equal(setenv("SECRET", "ours", 1), 0);
	assert_int_equal(run_one(hook, "{}", NULL), 0);
	assert_string_equal(note("args"), "zero first this\n");
	assert_non_null(strstr(note("env"), "WHAT=this"));
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		assert_null(strstr(note("env"), variables[i]));
	/* Without args the path is argv[0]. */
	hook = (struct oci_hook){ .path = "/bin/true" };
	assert_int_equal(run_one(hook, "{}", NULL), 0);
}

static void test_failure_stops(void **state)
{
	const char *args[3][4];
	struct oci_hook list[] = { shell("echo a >> order", args[0]), shell("exit 3", args[1]),
				   shell("echo c >> order", args[2]) };
	const struct oci_hooks hooks = { list, 3 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(hooks_run(&hooks, "hooks.createRuntime", "{}", &err), -ECANCELED);
	assert_string_equal(note("order"), "a\n");
	assert_string_equal(err.message, "hooks.createRuntime[1] '/bin/sh': exit status 3");
	assert_int_equal(run_one(shell("kill -TERM $$", args[0]), "{}", &err), -ECANCELED);
	assert_string_equal(err.message, "hooks.prestart[0] '/bin/sh': killed by signal 15");
	assert_int_equal(run_one((struct oci_hook){ .path = "/none/x" }, "{}", &err), -ENOENT);
	assert_ptr_equal(strstr(err.message, "hooks.prestart[0] '/none/x': cannot run it: "),
			 err.message);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static bool is_running(const char *pid_text)
{
	char path[64], line[256] = "";
	cleanup_fd int fd = -1;
	const char *after;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", atoi(pid_text));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
		return false;
	after = strrchr(line, ')');
	return after && after[2] != 'Z';
}

static void test_timeout_kills_the_group(void **state)
{
	const char *args[4];
	struct oci_hook hook = shell("trap '' TERM; sleep 60 & echo $! > child;"
				     "echo $$ > self; wait", args);
	struct timespec start;
	struct err err = { 0 };

	(void)state;
	hook.timeout = (struct oci_number){ true, 1 };
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(run_one(hook, "{}", &err), -ETIMEDOUT);
	assert_true(seconds_since(&start) >= 1 && seconds_since(&start) < 20);
	assert_string_equal(err.message, "hooks.prestart[0] '/bin/sh': killed after 1 seconds");
	for (int i = 0; i < 100 && is_running(note("child")); i++)
		(void)usleep(10000);
	assert_true(atoi(note("child")) > 0);
	assert_false(is_running(note("child")));
	assert_false(is_running(note("self")));
	/* Nothing is left to be waited for. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_timeout_in_time(void **state)
{
	const char *args[4];
	struct oci_hook hook = shell("exit 0", args);
	struct err err = { 0 };

	(void)state;
	hook.timeout = (struct oci_number){ true, INT64_MAX };
	assert_int_equal(run_one(hook, "{}", NULL), 0);
	hook.timeout.value = 0;
	assert_int_equal(run_one(hook, "{}", &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, "hooks.prestart[0].timeout: "), err.message);
	hook = shell("exit 9", args);
	hook.timeout = (struct oci_number){ true, 30 };
	assert_int_equal(run_one(hook, "{}", NULL), -ECANCELED);
}

/* Neither our signal mask, nor what we ignore, nor our descriptors. */
static void test_nothing_is_inherited(void **state)
{
	const char *args[4];
	const struct oci_hook hook = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status > signals;"
					   "ls /proc/self/fd > fds", args);
	sigset_t blocked, old;

	(void)state;
	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigaddset(&blocked, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &blocked, &old);
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run_one(hook, "{}", NULL), 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	assert_non_null(strstr(note("signals"), "SigBlk:\t0000000000000000\n"));
	/* The C library leaves its own two, above 31, ignored. */
	assert_int_equal(strtoull(strstr(note("signals"), "SigIgn:") + 7, NULL, 16) & 0x7fffffff,
			 0);
	assert_null(strstr(note("fds"), "9"));
}

/* The place of the state's descriptor may be stdin's own. */
static void test_without_stdin(void **state)
{
	const char *args[4];
	const struct oci_hook hook = shell("cat > state", args);
	const int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100);
	int r;

	(void)state;
	(void)close(STDIN_FILENO);
	r = run_one(hook, "{\"x\":0}", NULL);
	(void)dup2(kept, STDIN_FILENO);
	(void)close(kept);
	assert_int_equal(r, 0);
	assert_string_equal(note("state"), "{\"x\":0}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_stdin, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_state_that_nobody_reads, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_environment_and_arguments, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_failure_stops, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_timeout_kills_the_group, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_timeout_in_time, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_nothing_is_inherited, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_without_stdin, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
