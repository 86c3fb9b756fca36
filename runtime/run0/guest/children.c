/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of processes: PID 1 reaps what run0 and the container leave to it, and tells why the
 * function ended.
 *
 * A signal handler has no other way to say something than file-scope memory, hence the counter. It
 * is a futex: who sleeps on it cannot miss an end that happens just before.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

uint32_t children_ended;

static void on_child(int signal_number)
{
	(void)signal_number;
	__atomic_fetch_add(&children_ended, 1, __ATOMIC_SEQ_CST);
}

/* Without SA_RESTART: a sleep on the futex has to end. */
int children_watch(struct init *init, struct err *err)
{
	const struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};

	(void)init;
	if (sigaction(SIGCHLD, &action, NULL) < 0)
		return err_set(err, -errno, "sigaction: %s", strerror(errno));
	return 0;
}

void children_signal_block(bool block)
{
	sigset_t children;

	(void)sigemptyset(&children);
	(void)sigaddset(&children, SIGCHLD);
	(void)sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &children, NULL);
}

/* Doorbell and mailbox become 3 and 4, all else closes on exec. */
static int spawn(const struct init *init, char *const argv[], pid_t *ret_pid)
{
	static char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t children;
	int r;

	(void)sigemptyset(&children);
	(void)sigaddset(&children, SIGCHLD);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	r = posix_spawn_file_actions_adddup2(&actions, init->doorbell_fd, 3);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, init->mailbox_fd, 4);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(&attributes, &children);
	if (r == 0)
		r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawn(ret_pid, argv[0], &actions, &attributes, argv, envp);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int child_run(const struct init *init, char *const argv[], int *ret_status)
{
	pid_t pid;
	int r = spawn(init, argv, &pid);

	if (r < 0)
		return r;
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int children_reap(const struct init *init, int *ret_status)
{
	int status = 0, ended = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == init->function) {
			*ret_status = status;
			ended = 1;
		}
	return ended;
}

/* memory.events has lines "NAME COUNT". */
static bool was_out_of_memory(const struct init *init)
{
	static const char name[] = "\noom_kill ";
	char text[512];
	const char *line;
	ssize_t n = init->memory_events_fd < 0 ?
			    -1 :
			    pread(init->memory_events_fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return false;
	text[n] = '\0';
	line = strstr(text, name);
	return line && strtoul(line + sizeof(name) - 1, NULL, 10) > 0;
}

static void describe_limit(const struct init *init, char *text, size_t size)
{
	char number[32] = "";
	ssize_t n = init->memory_max_fd < 0 ?
			    -1 :
			    pread(init->memory_max_fd, number, sizeof(number) - 1, 0);
	char *end;
	uint64_t bytes = n < 0 ? 0 : strtoull(number, &end, 10);

	if (bytes)
		(void)snprintf(text, size, "was killed: out of memory (limit %" PRIu64 " MiB)",
			       bytes >> 20);
	else
		(void)snprintf(text, size, "was killed: the machine was out of memory");
}

void children_describe_end(const struct init *init, int status, char *text, size_t size)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && was_out_of_memory(init))
		describe_limit(init, text, size);
	else if (WIFSIGNALED(status))
		(void)snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}
