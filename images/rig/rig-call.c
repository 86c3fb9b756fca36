/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig-call: the host's end of a rig, used by the script `rig`.
 *
 *	rig-call exec --state DIR [OPTION]... -- COMMAND...	runs a command in that folder's rig
 *	rig-call ping --state DIR [--wait SECONDS]		waits until the agent answers
 *	rig-call child PARENT [--listen SOCKET] -- COMMAND...	runs a program that dies with PARENT
 *	rig-call beat PARENT SOCKET	interrupts the rig four times a second (see `beat` in rig)
 *
 * exec takes one of the rig's ports by locking its file, connects, and passes bytes: its own stdin
 * to the command, the command's stdout and stderr to its own, signals, and the exit status.
 * Whatever way it ends, closing the connection ends the command. Single-threaded. Protocol:
 * rig_wire.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "rig_wire.h"

#define EXIT_RIG 125 /* the rig failed, not the command */
#define EXIT_TIMEOUT 124
#define LISTEN_FD 3
#define LOCK_RETRY_MS 50
#define BEAT_MS 250
#define GRACE_MS 5000 /* for the agent to report the end of a command that was killed */

struct options {
	const char *state;
	const char *cwd;
	double timeout_s; /* 0: none */
	double wait_s;
	const char *env[256]; /* "K=V", or "K" for the caller's value */
	uint32_t n_env;
	char **argv;
	uint32_t argc;
};

struct call {
	const struct options *options; /* borrowed */
	int dir; /* the rig's folder */
	int port; /* locked file of the port in use; released when the process ends */
	unsigned number;
	int sock;
	int signals; /* signalfd of what the caller may send us */
	size_t credit; /* STDIN bytes that may still be sent */
	bool in_open;
	bool timed_out;
	unsigned interrupts;
	int64_t deadline_ms; /* 0: none */
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "rig: %s\n", text);
	exit(EXIT_RIG);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void __attribute__((noreturn)) die_lost(const struct call *call)
{
	die("the rig in '%s' has died: see '%s/log' and '%s/console', then `rig start`",
	    call->options->state, call->options->state, call->options->state);
}

/* ---- connection ---- */

/* Tells the idle timer that the rig is in use. */
static void touch_used(const struct call *call)
{
	utimensat(call->dir, "used", NULL, 0);
}

/* The number of a signal that has come, or 0. */
static int next_signal(const struct call *call)
{
	struct signalfd_siginfo info;

	return read(call->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

/* Waits for fd, or for a signal, which ends the program: the command has not begun. */
static bool wait_early(const struct call *call, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = call->signals, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};
	int number;

	poll(fds, 2, timeout_ms);
	number = fds[0].revents ? next_signal(call) : 0;
	if (number)
		exit(128 + number);
	return fds[1].revents != 0;
}

static bool lock_port(struct call *call, unsigned number)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "port%u.lock", number);
	fd = openat(call->dir, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return false;
	}
	call->port = fd;
	call->number = number;
	return true;
}

/* Takes any free port; while there is none, this is the queue. */
static void take_port(struct call *call)
{
	char name[32];
	unsigned n;

	for (;;) {
		for (n = 0; n < RIG_PORTS_MAX; n++) {
			snprintf(name, sizeof(name), "port%u.lock", n);
			if (faccessat(call->dir, name, F_OK, 0) < 0)
				break;
			if (lock_port(call, n))
				return;
		}
		if (n == 0)
			die("no rig is up in '%s': run `rig start`", call->options->state);
		wait_early(call, -1, LOCK_RETRY_MS);
	}
}

/* An instruction-clock rig is stopped while nobody uses it; see pause_unused() in the script. */
static void wake_rig(const struct call *call)
{
	char text[32] = "";
	int fd = openat(call->dir, "qemu.pid", O_RDONLY | O_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0) {
		pid = (pid_t)strtol(text, NULL, 10);
		if (pid > 1)
			kill(pid, SIGCONT);
	}
	close(fd);
}

static void connect_port(struct call *call)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	/* By way of the folder's fd, so that a long path does not matter. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/port%u.sock", call->dir,
		 call->number);
	call->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (call->sock < 0)
		die("cannot make a socket: %s", strerror(errno));
	if (connect(call->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die_lost(call);
}

static void send_all(const struct call *call, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = send(call->sock, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die_lost(call);
		p += n;
		len -= (size_t)n;
	}
}

static void send_frame(const struct call *call, enum rig_frame_type type, const void *payload,
		       size_t len)
{
	uint8_t buf[sizeof(struct rig_frame) + RIG_PAYLOAD_MAX];
	const struct rig_frame frame = {
		.magic = RIG_FRAME_MAGIC, .type = type, .len = (uint32_t)len};

	memcpy(buf, &frame, sizeof(frame));
	if (len > 0)
		memcpy(buf + sizeof(frame), payload, len);
	send_all(call, buf, sizeof(frame) + len);
}

static void recv_all(const struct call *call, void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = recv(call->sock, p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die_lost(call);
		p += n;
		len -= (size_t)n;
	}
}

/* Skips what the agent still had to say to a client before us. */
static bool wait_welcome(const struct call *call, const struct rig_hello *hello,
			 int64_t deadline_ms)
{
	struct rig_welcome wanted;
	uint8_t buf[sizeof(wanted)];
	size_t have = 0;
	ssize_t n;

	memcpy(wanted.magic, RIG_WELCOME_MAGIC, sizeof(wanted.magic));
	memcpy(wanted.nonce, hello->nonce, sizeof(wanted.nonce));
	for (;;) {
		int64_t left = deadline_ms - now_ms();

		if (left <= 0)
			return false;
		if (!wait_early(call, call->sock, (int)left))
			continue;
		n = recv(call->sock, buf + have, sizeof(buf) - have, 0);
		if (n <= 0)
			die_lost(call);
		have += (size_t)n;
		while (have > 0 && memcmp(buf, &wanted, have) != 0)
			memmove(buf, buf + 1, --have);
		if (have == sizeof(buf))
			return true;
	}
}

static void greet(struct call *call)
{
	static const uint8_t pad[RIG_PAD_BYTES];
	struct rig_hello hello;
	struct timespec wall;

	memcpy(hello.magic, RIG_HELLO_MAGIC, sizeof(hello.magic));
	if (getrandom(hello.nonce, sizeof(hello.nonce), 0) != sizeof(hello.nonce))
		die("no random bytes: %s", strerror(errno));
	clock_gettime(CLOCK_REALTIME, &wall);
	hello.wall_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec;
	send_all(call, pad, sizeof(pad));
	send_all(call, &hello, sizeof(hello));
	if (!wait_welcome(call, &hello, now_ms() + (int64_t)(call->options->wait_s * 1000)))
		die("the rig in '%s' did not answer within %g s", call->options->state,
		    call->options->wait_s);
}

/* Signals are read from a descriptor, so that none is missed between two polls. */
static int open_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void call_open(struct call *call, const struct options *options)
{
	*call = (struct call){.options = options, .sock = -1, .credit = RIG_CREDIT_BYTES};
	call->signals = open_signals();
	if (call->signals < 0)
		die("cannot make a signalfd: %s", strerror(errno));
	call->dir = open(options->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (call->dir < 0)
		die("no rig is up in '%s': run `rig start`", options->state);
	take_port(call);
	touch_used(call);
	wake_rig(call);
	connect_port(call);
	greet(call);
}

/* ---- the command ---- */

static void spec_add(char *spec, size_t *len, const void *data, size_t n)
{
	if (*len + n > RIG_SPEC_MAX)
		die("the command and its environment are longer than %u bytes", RIG_SPEC_MAX);
	memcpy(spec + *len, data, n);
	*len += n;
}

/* "K=V" as it is; "K" with the caller's value, nothing when it has none. */
static bool spec_add_env(char *spec, size_t *len, const char *entry)
{
	const char *value = strchr(entry, '=') ? "" : getenv(entry);

	if (!value)
		return false;
	spec_add(spec, len, entry, strlen(entry));
	if (!strchr(entry, '='))
		spec_add(spec, len, "=", 1);
	spec_add(spec, len, value, strlen(value) + 1);
	return true;
}

static void send_spec(const struct call *call)
{
	const struct options *options = call->options;
	struct rig_spec head = {.argc = options->argc};
	char *spec = malloc(RIG_SPEC_MAX);
	size_t len = sizeof(head), n;

	if (!spec)
		die("out of memory");
	spec_add(spec, &len, options->cwd, strlen(options->cwd) + 1);
	for (uint32_t i = 0; i < options->argc; i++)
		spec_add(spec, &len, options->argv[i], strlen(options->argv[i]) + 1);
	for (uint32_t i = 0; i < options->n_env; i++)
		head.envc += spec_add_env(spec, &len, options->env[i]);
	memcpy(spec, &head, sizeof(head));
	for (size_t at = 0; at < len; at += n) {
		n = len - at < RIG_PAYLOAD_MAX ? len - at : RIG_PAYLOAD_MAX;
		send_frame(call, RIG_SPEC, spec + at, n);
	}
	send_frame(call, RIG_GO, NULL, 0);
	free(spec);
}

static void send_signal(const struct call *call, int number)
{
	const uint32_t value = (uint32_t)number;

	send_frame(call, RIG_SIGNAL, &value, sizeof(value));
}

static void forward_stdin(struct call *call)
{
	uint8_t buf[RIG_PAYLOAD_MAX];
	size_t max = call->credit < sizeof(buf) ? call->credit : sizeof(buf);
	ssize_t n = read(STDIN_FILENO, buf, max);

	if (n > 0) {
		send_frame(call, RIG_STDIN, buf, (size_t)n);
		call->credit -= (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		send_frame(call, RIG_STDIN_EOF, NULL, 0);
		call->in_open = false;
	}
}

/* The first signal goes to the command; who asks twice wants to leave. */
static void forward_signal(struct call *call)
{
	int number = next_signal(call);

	if (number == 0)
		return;
	if (++call->interrupts > 1)
		exit(128 + number);
	send_signal(call, number);
}

/*
 * Writes in pieces that a pipe with room takes whole, and looks at signals while it has none. A
 * reader of ours that went away ends the command, as it would without the rig.
 */
static void write_output(struct call *call, int fd, const uint8_t *buf, size_t len)
{
	size_t piece;
	ssize_t n;

	while (len > 0) {
		struct pollfd fds[] = {
			{.fd = fd, .events = POLLOUT},
			{.fd = call->signals, .events = POLLIN},
		};

		poll(fds, 2, -1);
		if (fds[1].revents)
			forward_signal(call);
		if (!fds[0].revents)
			continue;
		piece = len < PIPE_BUF ? len : PIPE_BUF;
		n = write(fd, buf, piece);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			exit(errno == EPIPE ? 128 + SIGPIPE : EXIT_RIG);
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
}

static uint32_t frame_value(const uint8_t *payload, size_t len)
{
	uint32_t value = 0;

	if (len != sizeof(value))
		die("the rig's agent sent a bad frame");
	memcpy(&value, payload, sizeof(value));
	return value;
}

/* Handles one frame; returns the exit status that it carries, or -1. */
static int receive_frame(struct call *call)
{
	static uint8_t payload[RIG_OUTPUT_MAX];
	struct rig_frame frame;

	recv_all(call, &frame, sizeof(frame));
	if (frame.magic != RIG_FRAME_MAGIC || frame.len > sizeof(payload))
		die("the rig's agent sent a bad frame");
	recv_all(call, payload, frame.len);
	switch (frame.type) {
	case RIG_STDOUT:
		write_output(call, STDOUT_FILENO, payload, frame.len);
		return -1;
	case RIG_STDERR:
		write_output(call, STDERR_FILENO, payload, frame.len);
		return -1;
	case RIG_CREDIT:
		call->credit += frame_value(payload, frame.len);
		return -1;
	case RIG_ERROR:
		fprintf(stderr, "rig: %.*s\n", (int)frame.len, (const char *)payload);
		return -1;
	case RIG_EXIT:
		return (int)frame_value(payload, frame.len);
	default:
		die("the rig's agent sent a bad frame");
	}
}

static void time_out(struct call *call)
{
	if (call->timed_out)
		exit(EXIT_TIMEOUT);
	fprintf(stderr, "rig: timed out after %g s: %s\n", call->options->timeout_s,
		call->options->argv[0]);
	call->timed_out = true;
	call->deadline_ms = now_ms() + GRACE_MS;
	send_signal(call, SIGKILL);
}

static int poll_timeout_ms(const struct call *call)
{
	int64_t left = call->deadline_ms - now_ms();

	if (call->deadline_ms == 0)
		return -1;
	return left <= 0 ? 0 : (left > 60000 ? 60000 : (int)left);
}

static int call_run(struct call *call)
{
	int status = -1;

	send_spec(call);
	call->in_open = true;
	if (call->options->timeout_s > 0)
		call->deadline_ms = now_ms() + (int64_t)(call->options->timeout_s * 1000);
	while (status < 0) {
		struct pollfd fds[] = {
			{.fd = call->sock, .events = POLLIN},
			{.fd = call->in_open && call->credit > 0 ? STDIN_FILENO : -1,
			 .events = POLLIN},
			{.fd = call->signals, .events = POLLIN},
		};

		poll(fds, 3, poll_timeout_ms(call));
		if (fds[2].revents)
			forward_signal(call);
		if (fds[0].revents)
			status = receive_frame(call);
		if (fds[1].revents && status < 0)
			forward_stdin(call);
		if (call->deadline_ms && status < 0 && now_ms() >= call->deadline_ms)
			time_out(call);
	}
	touch_used(call);
	return call->timed_out ? EXIT_TIMEOUT : status;
}

/* ---- verbs ---- */

static double parse_seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value < 1e9))
		die("'%s' is not a number of seconds", text);
	return value;
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{"state", required_argument, NULL, 's'}, {"cwd", required_argument, NULL, 'd'},
		{"env", required_argument, NULL, 'e'},	 {"timeout", required_argument, NULL, 't'},
		{"wait", required_argument, NULL, 'w'},	 {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		if (c == 's')
			options->state = optarg;
		else if (c == 'd')
			options->cwd = optarg;
		else if (c == 't')
			options->timeout_s = parse_seconds(optarg);
		else if (c == 'w')
			options->wait_s = parse_seconds(optarg);
		else if (c != 'e')
			exit(EXIT_RIG);
		else if (options->n_env < sizeof(options->env) / sizeof(options->env[0]))
			options->env[options->n_env++] = optarg;
		else
			die("too many --env");
	}
	options->argv = argv + optind;
	options->argc = (uint32_t)(argc - optind);
	if (!options->state)
		die("rig-call needs --state");
}

static int verb_exec(int argc, char **argv)
{
	struct options options = {.cwd = "/", .wait_s = 30};
	struct call call;

	parse_options(&options, argc, argv);
	if (options.argc == 0)
		die("no command");
	call_open(&call, &options);
	return call_run(&call);
}

static int verb_ping(int argc, char **argv)
{
	struct options options = {.cwd = "/", .wait_s = 30};
	struct call call;

	parse_options(&options, argc, argv);
	call_open(&call, &options);
	return 0;
}

/* The listener is there before the program runs, so that nobody has to wait for the program. */
static void listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		die("socket path too long: '%s'", path);
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
		die("cannot listen at '%s': %s", path, strerror(errno));
	if (fd != LISTEN_FD && (dup2(fd, LISTEN_FD) < 0 || close(fd) < 0))
		die("cannot move the socket: %s", strerror(errno));
}

/* Zeros, which a port skips, for ever. The first connections may come before QEMU listens. */
static int verb_beat(int argc, char **argv)
{
	const struct timespec period = {.tv_nsec = BEAT_MS * 1000000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3 || strlen(argv[2]) >= sizeof(addr.sun_path))
		die("usage: rig-call beat PARENT SOCKET");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != (pid_t)strtol(argv[1], NULL, 10))
		return EXIT_RIG;
	memcpy(addr.sun_path, argv[2], strlen(argv[2]));
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		nanosleep(&period, NULL);
	while (send(fd, "", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&period, NULL);
	return 0;
}

static int verb_child(int argc, char **argv)
{
	pid_t parent = argc > 1 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	int at = 2;

	if (argc > at + 1 && !strcmp(argv[at], "--listen")) {
		listen_at(argv[at + 1]);
		at += 2;
	}
	if (argc < at + 2 || strcmp(argv[at], "--") != 0)
		die("usage: rig-call child PARENT [--listen SOCKET] -- COMMAND...");
	/* A parent that died before the call leaves us with another one. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return EXIT_RIG;
	execvp(argv[at + 1], argv + at + 1);
	die("cannot run '%s': %s", argv[at + 1], strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{"exec", verb_exec},
		{"ping", verb_ping},
		{"child", verb_child},
		{"beat", verb_beat},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	die("usage: rig-call exec|ping|child|beat ... (see `rig --help`)");
}
