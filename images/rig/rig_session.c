/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session of rig-agent: one command, from the client's spec to its exit status.
 *
 * A session is a process of its own and owns the processes that it started: it is their reaper, and
 * when its client goes away it kills every one of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig_agent_priv.h"

/* One command and its pipes. Lives in a session process. */
struct session {
	int port;
	const struct config *config; /* borrowed */
	char *spec; /* owned */
	size_t spec_len;
	pid_t pid; /* the command and its process group; 0 before GO */
	int pidfd;
	int in, out[2]; /* pipes to and from the command, -1 when closed */
	bool exited;
	uint32_t status;
	size_t left[2]; /* after the exit: bytes in out[] that the command itself wrote */
	bool in_eof; /* close in once pending is written */
	uint8_t pending[RIG_CREDIT_BYTES]; /* STDIN that the pipe has not taken yet */
	size_t n_pending;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Calls kill() for every child of this process; returns how many there were. */
static unsigned kill_children(void)
{
	unsigned n = 0;
	pid_t pid;
	FILE *f = fopen("/proc/thread-self/children", "re");

	while (f && fscanf(f, "%d", &pid) == 1) {
		kill(pid, SIGKILL);
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* As their reaper we get the orphans of what dies, so this ends when no descendant is left. */
static void __attribute__((noreturn)) session_abort(struct session *s)
{
	if (s->pid > 0)
		kill(-s->pid, SIGKILL);
	while (kill_children() > 0)
		while (waitpid(-1, NULL, 0) > 0)
			kill_children();
	_exit(0);
}

static void session_send(struct session *s, enum rig_frame_type type, const void *payload,
			 size_t len)
{
	if (!port_send(s->port, type, payload, len))
		session_abort(s);
}

/* What the command wrote through a mapping must be the host's too before the host hears of the
 * exit. */
static void session_exit(struct session *s, uint32_t status)
{
	int fd;

	for (size_t i = 0; i < s->config->n_works; i++) {
		fd = open(s->config->works[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			syncfs(fd);
			close(fd);
		}
	}
	session_send(s, RIG_EXIT, &status, sizeof(status));
	_exit(0);
}

static void session_fail(struct session *s, uint32_t status, const char *what, const char *name,
			 int error)
{
	char text[PATH_MAX + 128];

	snprintf(text, sizeof(text), "%s '%s': %s", what, name, strerror(error));
	session_send(s, RIG_ERROR, text, strlen(text));
	session_exit(s, status);
}

/* Takes the next string of the spec; NULL when there is none. */
static char *spec_next(char **p, const char *end)
{
	char *string = *p;
	size_t left = (size_t)(end - string);
	size_t len = strnlen(string, left);

	if (len == left)
		return NULL;
	*p = string + len + 1;
	return string;
}

/* Splits a spec into cwd, argv and env, which point into it. Returns false when it is malformed. */
static bool spec_parse(struct session *s, char **ret_cwd, char ***ret_argv, char ***ret_env)
{
	struct rig_spec head;
	char *p = s->spec + sizeof(head), *end = s->spec + s->spec_len, **strings;
	size_t n;

	if (s->spec_len < sizeof(head))
		return false;
	memcpy(&head, s->spec, sizeof(head));
	n = (size_t)head.argc + head.envc;
	if (head.argc < 1 || n > s->spec_len)
		return false;
	strings = calloc(n + 2, sizeof(*strings));
	if (!strings)
		return false;
	*ret_cwd = spec_next(&p, end);
	*ret_argv = strings;
	*ret_env = strings + head.argc + 1;
	for (size_t i = 0; i < n; i++) {
		char *string = spec_next(&p, end);

		if (!string)
			return false;
		strings[i < head.argc ? i : i + 1] = string;
	}
	return *ret_cwd != NULL;
}

static void exec_child(const int fds[3], const char *cwd, char **argv, char **env, int report)
{
	struct {
		int where, error;
	} failure = {0};
	sigset_t none;

	sigemptyset(&none);
	setsid();
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	environ = env;
	if (chdir(cwd) == 0) {
		failure.where = 1;
		execvpe(argv[0], argv, env);
	}
	failure.error = errno;
	if (write(report, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

static void session_start(struct session *s)
{
	int in[2], out[2], err[2], report[2];
	char *cwd, **argv, **env;
	struct {
		int where, error;
	} failure;

	if (!spec_parse(s, &cwd, &argv, &env))
		session_abort(s);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
	    pipe2(report, O_CLOEXEC) < 0)
		session_fail(s, 125, "cannot make pipes for", argv[0], errno);
	s->pid = fork();
	if (s->pid < 0)
		session_fail(s, 125, "cannot fork for", argv[0], errno);
	if (s->pid == 0)
		exec_child((int[3]){in[0], out[1], err[1]}, cwd, argv, env, report[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	close(report[1]);
	if (read(report[0], &failure, sizeof(failure)) == sizeof(failure)) {
		waitpid(s->pid, NULL, 0);
		if (failure.where == 0)
			session_fail(s, 125,
				     "no such folder in the rig (share it with -w, or give --cwd):",
				     cwd, failure.error);
		session_fail(s, failure.error == ENOENT ? 127 : 126, "cannot run", argv[0],
			     failure.error);
	}
	close(report[0]);
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	s->in = in[1];
	s->out[0] = out[0];
	s->out[1] = err[0];
	for (int i = 0; i < 2; i++)
		fcntl(s->out[i], F_SETFL, O_NONBLOCK);
	fcntl(s->in, F_SETFL, O_NONBLOCK);
}

static void session_credit(struct session *s, size_t bytes)
{
	const uint32_t credit = (uint32_t)bytes;

	if (bytes > 0)
		session_send(s, RIG_CREDIT, &credit, sizeof(credit));
}

/* Writes what the pipe takes. A command that closed its stdin has read all that it ever will. */
static void session_feed(struct session *s)
{
	ssize_t n = 0;

	if (s->in >= 0 && s->n_pending > 0)
		n = write(s->in, s->pending, s->n_pending);
	if (n < 0 && errno != EAGAIN)
		close_fd(&s->in);
	if (s->in < 0)
		n = (ssize_t)s->n_pending;
	if (n > 0) {
		s->n_pending -= (size_t)n;
		memmove(s->pending, s->pending + n, s->n_pending);
		session_credit(s, (size_t)n);
	}
	if (s->in_eof && s->n_pending == 0)
		close_fd(&s->in);
}

static void on_spec(struct session *s, const uint8_t *payload, size_t len)
{
	if (s->pid > 0 || s->spec_len + len > RIG_SPEC_MAX)
		session_abort(s);
	memcpy(s->spec + s->spec_len, payload, len);
	s->spec_len += len;
}

/*
 * What the kernel knew of the work folders when the command was asked for has expired before it
 * starts. The kernel counts in jiffies of 4 ms, of which one may be lost at either end.
 */
static void on_go(struct session *s, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	if (s->pid > 0)
		session_abort(s);
	if (s->config->n_works > 0)
		usleep((s->config->work_cache_ms + 8) * 1000);
	session_start(s);
}

static void on_stdin(struct session *s, const uint8_t *payload, size_t len)
{
	if (s->n_pending + len > sizeof(s->pending))
		session_abort(s);
	memcpy(s->pending + s->n_pending, payload, len);
	s->n_pending += len;
	session_feed(s);
}

static void on_stdin_eof(struct session *s, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	s->in_eof = true;
	session_feed(s);
}

static void on_signal(struct session *s, const uint8_t *payload, size_t len)
{
	uint32_t number;

	if (len != sizeof(number))
		session_abort(s);
	memcpy(&number, payload, sizeof(number));
	if (s->pid > 0)
		kill(-s->pid, (int)number);
}

/* Reads and obeys one frame. Anything but a well-formed frame means that the client is gone. */
static void session_frame(struct session *s)
{
	static void (*const handlers[])(struct session *, const uint8_t *, size_t) = {
		[RIG_SPEC] = on_spec,		[RIG_GO] = on_go,	  [RIG_STDIN] = on_stdin,
		[RIG_STDIN_EOF] = on_stdin_eof, [RIG_SIGNAL] = on_signal,
	};
	uint8_t payload[RIG_PAYLOAD_MAX];
	struct rig_frame frame;

	if (!port_read(s->port, &frame, sizeof(frame)) || frame.magic != RIG_FRAME_MAGIC ||
	    frame.type < RIG_SPEC || frame.type > RIG_SIGNAL || frame.len > sizeof(payload) ||
	    !port_read(s->port, payload, frame.len))
		session_abort(s);
	handlers[frame.type](s, payload, frame.len);
}

/* Passes on one read of stdout (0) or stderr (1). */
static void session_output(struct session *s, int which)
{
	static uint8_t buf[RIG_OUTPUT_MAX];
	size_t max = sizeof(buf);
	ssize_t n;

	if (s->exited && s->left[which] < max)
		max = s->left[which];
	n = max > 0 ? read(s->out[which], buf, max) : 0;
	if (n > 0) {
		s->left[which] -= s->exited ? (size_t)n : 0;
		session_send(s, which == 0 ? RIG_STDOUT : RIG_STDERR, buf, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		close_fd(&s->out[which]);
	}
}

/*
 * The command has ended. What it wrote is in the pipes now; a process that it left behind may go on
 * to write there, which is nobody's business any more.
 */
static void session_reap(struct session *s)
{
	int status = 0, bytes;

	waitpid(s->pid, &status, 0);
	s->status = WIFSIGNALED(status) ? 128u + (uint32_t)WTERMSIG(status)
					: (uint32_t)WEXITSTATUS(status);
	s->exited = true;
	close_fd(&s->pidfd);
	for (int i = 0; i < 2; i++)
		s->left[i] = s->out[i] >= 0 && ioctl(s->out[i], FIONREAD, &bytes) == 0
				     ? (size_t)bytes
				     : 0;
}

static void session_drain(struct session *s)
{
	for (int i = 0; i < 2; i++)
		while (s->out[i] >= 0 && s->left[i] > 0)
			session_output(s, i);
}

static void session_step(struct session *s)
{
	struct pollfd fds[] = {
		{.fd = s->port, .events = POLLIN},
		{.fd = s->pid > 0 ? s->pidfd : -1, .events = POLLIN},
		{.fd = s->n_pending > 0 ? s->in : -1, .events = POLLOUT},
		{.fd = s->out[0], .events = POLLIN},
		{.fd = s->out[1], .events = POLLIN},
	};

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
		return;
	if (fds[0].revents & POLLIN)
		session_frame(s);
	else if (fds[0].revents)
		session_abort(s);
	if (fds[2].revents)
		session_feed(s);
	for (int i = 0; i < 2; i++)
		if (fds[3 + i].revents)
			session_output(s, i);
	if (fds[1].revents)
		session_reap(s);
}

void session_run(int port, const struct config *config, const struct rig_hello *hello)
{
	static struct session s;
	struct rig_welcome welcome;

	s = (struct session){
		.port = port, .config = config, .pidfd = -1, .in = -1, .out = {-1, -1}};
	s.spec = malloc(RIG_SPEC_MAX);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	memcpy(welcome.magic, RIG_WELCOME_MAGIC, sizeof(welcome.magic));
	memcpy(welcome.nonce, hello->nonce, sizeof(welcome.nonce));
	if (!s.spec || !port_write(port, &welcome, sizeof(welcome)))
		session_abort(&s);
	while (!s.exited)
		session_step(&s);
	session_drain(&s);
	session_exit(&s, s.status);
	_exit(0);
}
