/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container in the foreground: signals one way, bytes both ways, and in the end its status.
 */
#include "container/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "oci.h"
#include "spec/spec.h"

/* --- console socket --------------------------------------------------------------------------- */

int terminal_send(const char *path, int primary, struct err *err)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	char name[] = "/dev/ptmx"; /* what the primary end was opened as */
	struct iovec part = { .iov_base = name, .iov_len = strlen(name) };
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "console socket '%s': the path is too long",
			       path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, -errno, "cannot connect to the console socket '%s': %s", path,
			       strerror(errno));
	memcpy(CMSG_DATA(&control.header), &primary, sizeof(primary));
	if (sendmsg(fd, &packet, MSG_NOSIGNAL) < 0)
		return err_set(err, -errno, "cannot send the terminal to '%s': %s", path,
			       strerror(errno));
	return 0;
}

/* --- foreground ------------------------------------------------------------------------------- */

static bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Faults of our own and signals that cannot be blocked are not the container's; nor is what the
 * caller has decided to ignore, as nohup(1) does: blocked, it would be seen here. */
static void forwarded(sigset_t *set)
{
	static const int often_ignored[] = { SIGHUP, SIGINT, SIGQUIT };
	static const int ours[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS,
				    SIGPIPE, SIGTTIN, SIGTTOU, SIGTSTP };

	(void)sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)sigdelset(set, ours[i]);
	for (size_t i = 0; i < ARRAY_SIZE(often_ignored); i++)
		if (is_ignored(often_ignored[i]))
			(void)sigdelset(set, often_ignored[i]);
}

void foreground_block(sigset_t *ret_old)
{
	sigset_t set;

	forwarded(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &set, ret_old);
}

void foreground_unblock(const sigset_t *old)
{
	const struct timespec now = { 0 };
	sigset_t pipe;

	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	if (!sigismember(old, SIGPIPE))
		(void)sigtimedwait(&pipe, NULL, &now);
	(void)sigprocmask(SIG_SETMASK, old, NULL);
}

void terminal_take_size(struct oci_process *process, int terminal_fd)
{
	struct winsize size;

	if (!process || !process->terminal || terminal_fd < 0 ||
	    ioctl(terminal_fd, TIOCGWINSZ, &size) < 0)
		return;
	process->console_height = size.ws_row;
	process->console_width = size.ws_col;
}

struct relay {
	int signals;	 /* signalfd */
	int primary;	 /* -1: no terminal */
	int terminal_fd; /* the caller's, whose size counts; -1: none */
	bool input_open;
	pid_t pid;
	/* Read, and not taken by the terminal yet: a program that does not read its input must not
	 * keep us from its output, or from signals for it. */
	char input[4096];
	size_t input_at, input_bytes;
};

static void copy_size(const struct relay *relay)
{
	struct winsize size;

	if (relay->primary >= 0 && relay->terminal_fd >= 0 &&
	    ioctl(relay->terminal_fd, TIOCGWINSZ, &size) == 0)
		(void)ioctl(relay->primary, TIOCSWINSZ, &size);
}

/* True: the process has ended. */
static bool handle_signals(const struct relay *relay, int *ret_wait_status)
{
	struct signalfd_siginfo info;

	if (read(relay->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD)
		return waitpid(relay->pid, ret_wait_status, WNOHANG) == relay->pid;
	if (info.ssi_signo == SIGWINCH && relay->primary >= 0)
		copy_size(relay);
	else
		(void)kill(relay->pid, (int)info.ssi_signo);
	return false;
}

static bool is_for_later(ssize_t count)
{
	return count < 0 && (errno == EINTR || errno == EAGAIN);
}

/* False at the end of the output, or when its reader is gone. */
static bool copy(int from, int to)
{
	char bytes[4096];
	ssize_t count = read(from, bytes, sizeof(bytes));

	if (is_for_later(count))
		return true;
	return count > 0 && file_write_all(to, bytes, (size_t)count) == 0;
}

static void write_input(struct relay *relay)
{
	ssize_t count = write(relay->primary, relay->input + relay->input_at,
			      relay->input_bytes - relay->input_at);

	if (count >= 0)
		relay->input_at += (size_t)count;
	else if (!is_for_later(count))
		relay->input_at = relay->input_bytes = 0;
}

static void read_input(struct relay *relay)
{
	ssize_t count = read(STDIN_FILENO, relay->input, sizeof(relay->input));

	if (count > 0) {
		relay->input_at = 0;
		relay->input_bytes = (size_t)count;
	} else if (!is_for_later(count)) {
		relay->input_open = false;
	}
}

static bool step(struct relay *relay, int *ret_wait_status)
{
	const bool pending = relay->input_at < relay->input_bytes;
	struct pollfd fds[] = {
		{ .fd = relay->signals, .events = POLLIN },
		{ .fd = relay->primary, .events = (short)(POLLIN | (pending ? POLLOUT : 0)) },
		{ .fd = relay->input_open && !pending ? STDIN_FILENO : -1, .events = POLLIN },
	};

	if (poll(fds, relay->primary >= 0 ? ARRAY_SIZE(fds) : 1, -1) < 0)
		return false;
	if (fds[1].revents & ~POLLOUT && !copy(relay->primary, STDOUT_FILENO))
		relay->primary = -1;
	if (relay->primary >= 0 && fds[1].revents & POLLOUT)
		write_input(relay);
	if (relay->primary >= 0 && fds[2].revents)
		read_input(relay);
	return fds[0].revents && handle_signals(relay, ret_wait_status);
}

/* What the program wrote last is still in the terminal when its end is known. */
static void drain(const struct relay *relay)
{
	struct pollfd fd = { .fd = relay->primary, .events = POLLIN };

	while (relay->primary >= 0 && poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN))
		if (!copy(relay->primary, STDOUT_FILENO))
			break;
}

static void tell(const struct oci_runtime *runtime, int primary, bool begins)
{
	if (primary >= 0 && runtime->relaying)
		runtime->relaying(runtime->context, begins);
}

int foreground_wait(const struct oci_runtime *runtime, pid_t pid, int primary, int terminal_fd,
		    int *ret_status, struct err *err)
{
	struct relay relay = { .primary = primary,
			       .terminal_fd = terminal_fd,
			       .input_open = true,
			       .pid = pid };
	int status = 0;
	sigset_t set;

	forwarded(&set);
	relay.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (relay.signals < 0)
		return err_set(err, -errno, "signalfd: %s", strerror(errno));
	if (primary >= 0)
		(void)fcntl(primary, F_SETFL, O_RDWR | O_NONBLOCK);
	tell(runtime, primary, true);
	/* It may have been changed since the process was made. */
	copy_size(&relay);
	/* It may have ended before its signal had anywhere to go. */
	if (waitpid(pid, &status, WNOHANG) != pid)
		while (!step(&relay, &status))
			;
	drain(&relay);
	tell(runtime, primary, false);
	(void)close(relay.signals);
	*ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}
