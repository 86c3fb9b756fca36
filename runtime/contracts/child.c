/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting, watching and reaping the function's process.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_priv.h"
#include "cleanup.h"
#include "clock.h"
#include "err.h"

#define NS_PER_MS 1000000ull

enum {
	/* A process that was killed is gone soon, unless the kernel is in trouble. */
	KILL_WAIT_MS = 5000,
	/* Of the last output, in a struct err beside how the child ended. */
	ERR_TAIL_BYTES = ERR_MESSAGE_BYTES - CHILD_TEXT_BYTES - 32,
};

uint64_t deadline_in(uint64_t ms)
{
	return ms ? monotonic_ns() + ms * NS_PER_MS : 0;
}

/* --- before the first start ---------------------------------------------------------------- */

/* Those that ask a process to end, whether it is there or not yet. */
static bool is_end(int number)
{
	return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

/* The signals that a person or a runtime sends. Those of a fault stay what they are. */
static int signals_take(struct child *child, struct err *err)
{
	static const int taken[] = {SIGCHLD, SIGTERM, SIGINT,  SIGHUP,	SIGQUIT, SIGUSR1,
				    SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		(void)sigaddset(&set, taken[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &child->signals_before);
	/* A function that does not read is an error of write, not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	child->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (child->signal_fd < 0)
		return err_set(err, -errno, "no descriptor for signals: %s", strerror(errno));
	return 0;
}

int child_init(struct child *child, char *const *command, char *const *extra, struct err *err)
{
	int r;

	*child = (struct child){.signal_fd = -1, .argv = command, .output.fd = -1};
	child->path = command_find(command[0], err);
	if (!child->path)
		return -ENOENT;
	child->environment = environment_make(extra);
	if (!child->environment)
		return err_set(err, -ENOMEM, "out of memory");
	r = signals_take(child, err);
	/* Outside of a PID namespace, too, what the function leaves behind is ours to reap. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return r;
}

/* --- start --------------------------------------------------------------------------------- */

/* Between vfork and exec: our memory, so nothing but system calls. */
static _Noreturn void child_exec(const struct child *child, const int fds[3], volatile int *error)
{
	(void)setpgid(0, 0);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0 && dup2(fds[i], i) < 0)
			goto failed;
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &child->signals_before, NULL);
	(void)execve(child->path, child->argv, child->environment);
failed:
	*error = errno;
	_exit(127);
}

int child_start(struct child *child, const int fds[3], struct err *err)
{
	volatile int error = 0;
	pid_t pid;

	pid = vfork();
	if (pid == 0)
		child_exec(child, fds, &error);
	if (pid < 0)
		return err_set(err, -errno, "cannot start a process: %s", strerror(errno));
	if (error) {
		(void)waitpid(pid, NULL, 0);
		return err_set(err, -error, "cannot run '%s': %s", child->path, strerror(error));
	}
	child->pid = pid;
	child->ended = false;
	return 0;
}

int child_start_logged(struct child *child, struct err *err)
{
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "no pipe: %s", strerror(errno));
	output_open(&child->output, ends[0]);
	r = child_start(child, (const int[]){null, ends[1], ends[1]}, err);
	(void)close(ends[1]);
	return r;
}

/* --- watching ------------------------------------------------------------------------------ */

static void children_reap(struct child *child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != child->pid || child->ended)
			continue;
		child->ended = true;
		child->status = status;
	}
}

static void signals_read(struct child *child)
{
	struct signalfd_siginfo info;

	while (read(child->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int number = (int)info.ssi_signo;

		if (number == SIGCHLD)
			continue;
		if (child->pid && !child->ended)
			(void)kill(child->pid, number);
		else if (is_end(number))
			child->signal_pending = number;
	}
	children_reap(child);
}

/* For poll: -1 without a deadline, and rounded up, as poll must not return before it. */
static int ms_left(uint64_t deadline_ns)
{
	uint64_t now = deadline_ns ? monotonic_ns() : 0;

	if (!deadline_ns)
		return -1;
	if (now >= deadline_ns)
		return 0;
	return (int)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

int child_poll(struct child *child, struct pollfd *fds, size_t count, uint64_t deadline_ns)
{
	int left = ms_left(deadline_ns);
	int n;

	if (left == 0)
		return -ETIMEDOUT;
	fds[CHILD_POLL_SIGNALS] = (struct pollfd){.fd = child->signal_fd, .events = POLLIN};
	fds[CHILD_POLL_OUTPUT] = (struct pollfd){.fd = child->output.fd, .events = POLLIN};
	n = poll(fds, count, left);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[CHILD_POLL_OUTPUT].revents)
		output_take(&child->output);
	if (fds[CHILD_POLL_SIGNALS].revents)
		signals_read(child);
	return 0;
}

bool child_wait(struct child *child, uint64_t deadline_ns)
{
	struct pollfd fds[CHILD_POLL_FIRST];

	while (child->pid && !child->ended)
		if (child_poll(child, fds, ARRAY_SIZE(fds), deadline_ns) < 0)
			return false;
	return true;
}

/* --- the end ------------------------------------------------------------------------------- */

/* Whether any of our children, zombies too, is of the child's process group. */
static bool group_is_there(const struct child *child)
{
	siginfo_t info;

	return waitid(P_PGID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void child_kill(struct child *child)
{
	struct pollfd fds[CHILD_POLL_FIRST];
	uint64_t deadline_ns;

	/* The group may outlive the child: its number is not given away before the group is
	 * gone. */
	if (!child->pid || (kill(-child->pid, SIGKILL) < 0 && child->ended))
		return;
	deadline_ns = deadline_in(KILL_WAIT_MS);
	for (children_reap(child); group_is_there(child); children_reap(child))
		if (child_poll(child, fds, ARRAY_SIZE(fds), deadline_ns) < 0)
			break;
}

const char *child_describe(const struct child *child, char text[CHILD_TEXT_BYTES])
{
	int status = child->status;

	if (!child->ended)
		(void)snprintf(text, CHILD_TEXT_BYTES, "is still running");
	else if (WIFSIGNALED(status))
		(void)snprintf(text, CHILD_TEXT_BYTES, "was killed by signal %d (%s)",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, CHILD_TEXT_BYTES, "ended with status %d",
			       WEXITSTATUS(status));
	return text;
}

int child_ended(struct child *child, struct err *err)
{
	char text[CHILD_TEXT_BYTES];
	const char *tail;

	output_close(&child->output);
	tail = output_tail(&child->output);
	if (strlen(tail) > ERR_TAIL_BYTES)
		tail += strlen(tail) - ERR_TAIL_BYTES;
	return err_set(err, -ECHILD, "the function %s%s%s", child_describe(child, text),
		       *tail ? ": " : "", tail);
}

int child_finish(struct child *child, int r)
{
	bool ended = child->pid && child->ended;

	child_kill(child);
	output_close(&child->output);
	if (!ended)
		return r;
	if (WIFSIGNALED(child->status))
		return 128 + WTERMSIG(child->status);
	return WEXITSTATUS(child->status);
}
