/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running other programs.
 */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "exit_codes.h"

void args_add(struct args *args, const char *item)
{
	if (args->count == ARGS_MAX)
		args->overflow = true;
	else
		args->items[args->count++] = item;
}

void args_add_all(struct args *args, const char *const *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		args_add(args, items[i]);
}

static int check_args(const struct args *args, struct err *err)
{
	if (args->overflow)
		return err_set(err, -E2BIG, "more than %d arguments", ARGS_MAX);
	return 0;
}

static char *const *args_argv(const struct args *args)
{
	return (char *const *)(const void *)args->items;
}

static int start_child(const struct args *args, const struct child_config *config,
		       const posix_spawnattr_t *attributes, pid_t *ret_pid)
{
	const int fds[] = {config->in, config->out, config->err};
	posix_spawn_file_actions_t actions;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	for (int i = 0; r == 0 && i < 3; i++)
		if (fds[i] >= 0)
			r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (r == 0)
		r = posix_spawn(ret_pid, args->items[0], &actions, attributes, args_argv(args),
				environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Returns whether the child ended in time; a child that cannot be watched is waited for. */
static bool ends_in_time(pid_t pid, unsigned int timeout_s)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds = {.fd = pidfd, .events = POLLIN};
	const uint64_t deadline_ns = monotonic_ns() + timeout_s * 1000000000ull;
	int r;

	do {
		const uint64_t now_ns = monotonic_ns();

		if (pidfd < 0)
			return true;
		r = poll(&fds, 1,
			 now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / 1000000u) + 1 : 0);
	} while (r < 0 && errno == EINTR);
	return r != 0;
}

static int wait_child(pid_t pid, unsigned int timeout_s)
{
	const bool in_time = timeout_s == 0 || ends_in_time(pid, timeout_s);
	int status;

	if (!in_time)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!in_time)
		return EXIT_TIMEOUT;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int child_run(const struct args *args, const struct child_config *config, int *ret_code,
	       struct err *err)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction interrupt, quit;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	pid_t pid = -1;
	int r = check_args(args, err);

	if (r < 0)
		return r;
	(void)sigaction(SIGINT, &ignore, &interrupt);
	(void)sigaction(SIGQUIT, &ignore, &quit);
	(void)sigemptyset(&defaults);
	(void)sigaddset(&defaults, SIGINT);
	(void)sigaddset(&defaults, SIGQUIT);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigdefault(&attributes, &defaults);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

	r = start_child(args, config, &attributes, &pid);
	if (r == 0)
		r = wait_child(pid, config->timeout_s);
	(void)posix_spawnattr_destroy(&attributes);
	(void)sigaction(SIGINT, &interrupt, NULL);
	(void)sigaction(SIGQUIT, &quit, NULL);
	if (r < 0)
		return err_set(err, r, "cannot run '%s': %s", args->items[0], strerror(-r));
	*ret_code = r;
	return 0;
}

int child_replace(const struct args *args, struct err *err)
{
	int r = check_args(args, err);

	if (r < 0)
		return r;
	(void)execv(args->items[0], args_argv(args));
	return err_set(err, -errno, "cannot run '%s': %s", args->items[0], strerror(errno));
}
