/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks, one after the other.
 *
 * posix_spawn copies no page tables, resets signal handlers and reports a failed exec. The state is
 * a memfd and no pipe: a hook that does not read it cannot stop us. A hook leads a process group of
 * its own, which a time-out ends as a whole.
 */
#include "container/hooks.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "container/container.h"
#include "err.h"
#include "file.h"
#include "spec/spec.h"

/* Half of what 64 bits hold in milliseconds: no time-out that is longer would end. */
#define MOST_SECONDS (INT64_MAX / 2000)

enum { MEMBER_BYTES = 64 };

/* A hook's place in the config and its file, for messages. */
#define HOOK_FORMAT "%s '%s'"
#define HOOK_ARGS(member, hook) (member), (hook)->path

static int state_open(const char *state_json)
{
	cleanup_fd int fd = memfd_create("state", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	/* At an offset: the hook finds the file at its beginning. */
	r = file_pwrite_all(fd, state_json, strlen(state_json), 0);
	return r < 0 ? r : TAKE_FD(fd);
}

/* A NULL-terminated copy; `first` when there is nothing to copy. NULL when out of memory. */
static char **vector_of(const struct oci_strings *strings, const char *first)
{
	char **vector = calloc(strings->count + 2, sizeof(*vector));

	if (!vector)
		return NULL;
	if (strings->count == 0)
		vector[0] = (char *)(uintptr_t)first; /* posix_spawn writes to none of them */
	for (size_t i = 0; i < strings->count; i++)
		vector[i] = (char *)(uintptr_t)strings->items[i];
	return vector;
}

/* No signal is blocked in the hook, and none ignored. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(attributes, &none);
	(void)posix_spawnattr_setsigdefault(attributes, &all);
	(void)posix_spawnattr_setpgroup(attributes, 0);
	return -posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
						     POSIX_SPAWN_SETSIGMASK |
						     POSIX_SPAWN_SETSIGDEF);
}

static int spawn_with_stdin(const struct oci_hook *hook, int state_fd, char **args, char **env,
			    pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = -posix_spawn_file_actions_adddup2(&actions, state_fd, STDIN_FILENO);
		if (r == 0)
			r = set_attributes(&attributes);
		if (r == 0)
			r = -posix_spawn(ret_pid, hook->path, &actions, &attributes, args, env);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int spawn(const struct oci_hook *hook, const char *state_json, pid_t *ret_pid)
{
	cleanup_free char **args = vector_of(&hook->args, hook->path);
	cleanup_free char **env = vector_of(&hook->env, NULL);
	cleanup_fd int state_fd = -1;

	if (!args || !env)
		return -ENOMEM;
	state_fd = state_open(state_json);
	if (state_fd < 0)
		return state_fd;
	return spawn_with_stdin(hook, state_fd, args, env, ret_pid);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 1 when the process has ended, 0 when the time is over. */
static int await_end(pid_t pid, int64_t timeout_s)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	const int64_t most_s = timeout_s < MOST_SECONDS ? timeout_s : MOST_SECONDS;
	const int64_t end_ms = now_ms() + most_s * 1000;

	if (fd < 0)
		return -errno;
	for (;;) {
		struct pollfd ended = { .fd = fd, .events = POLLIN };
		const int64_t left_ms = end_ms - now_ms();
		const int n = poll(&ended, 1,
				   left_ms > INT_MAX ? INT_MAX : left_ms < 0 ? 0 : (int)left_ms);

		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && left_ms <= 0)
			return 0;
	}
}

static int reap(pid_t pid, siginfo_t *ret_end)
{
	int r;

	do
		r = waitid(P_PID, (id_t)pid, ret_end, WEXITED);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* The leader is not reaped before, so the group's number is still its own. */
static void kill_group(pid_t pid)
{
	siginfo_t end;

	(void)kill(-pid, SIGKILL);
	(void)reap(pid, &end);
}

static int judge(const siginfo_t *end, const struct oci_hook *hook, const char *member,
		 struct err *err)
{
	if (end->si_code != CLD_EXITED)
		return err_set(err, -ECANCELED, HOOK_FORMAT ": killed by signal %d",
			       HOOK_ARGS(member, hook), end->si_status);
	if (end->si_status != 0)
		return err_set(err, -ECANCELED, HOOK_FORMAT ": exit status %d",
			       HOOK_ARGS(member, hook), end->si_status);
	return 0;
}

static int await_hook(pid_t pid, const struct oci_hook *hook, const char *member, struct err *err)
{
	siginfo_t end = { 0 };
	int r = hook->timeout.set ? await_end(pid, hook->timeout.value) : 1;

	if (r <= 0)
		kill_group(pid);
	if (r == 0)
		return err_set(err, -ETIMEDOUT, HOOK_FORMAT ": killed after %lld seconds",
			       HOOK_ARGS(member, hook), (long long)hook->timeout.value);
	if (r > 0)
		r = reap(pid, &end);
	if (r < 0)
		return err_set(err, r, HOOK_FORMAT ": cannot wait for it: %s",
			       HOOK_ARGS(member, hook), strerror(-r));
	return judge(&end, hook, member, err);
}

static int run_hook(const struct oci_hook *hook, const char *member, const char *state_json,
		    struct err *err)
{
	pid_t pid;
	int r;

	if (hook->timeout.set && hook->timeout.value <= 0)
		return err_set(err, -EINVAL, "%s.timeout: not above zero", member);
	r = spawn(hook, state_json, &pid);
	if (r < 0)
		return err_set(err, r, HOOK_FORMAT ": cannot run it: %s", HOOK_ARGS(member, hook),
			       strerror(-r));
	return await_hook(pid, hook, member, err);
}

static int run_numbered(const struct oci_hooks *hooks, size_t number, const char *name,
			const char *state_json, struct err *err)
{
	char member[MEMBER_BYTES];

	(void)snprintf(member, sizeof(member), "%s[%zu]", name, number);
	return run_hook(&hooks->items[number], member, state_json, err);
}

int hooks_run(const struct oci_hooks *hooks, const char *name, const char *state_json,
	      struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < hooks->count; i++)
		r = run_numbered(hooks, i, name, state_json, err);
	return r;
}

void hooks_run_all(const struct oci_hooks *hooks, const char *name, const char *state_json,
		   const struct oci_runtime *runtime)
{
	for (size_t i = 0; i < hooks->count; i++) {
		struct err err = {};

		if (run_numbered(hooks, i, name, state_json, &err) < 0)
			runtime_warn(runtime, "%s", err.message);
	}
}
