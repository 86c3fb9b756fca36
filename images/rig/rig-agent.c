// SPDX-License-Identifier: Apache-2.0
/*
 * rig-agent: PID 1 of the rig.
 *
 * Builds the rig's view of the machine (the host's root file system under a writable overlay, the
 * work folders, tmpfs, one cgroup v2 tree), then serves commands: one process for each
 * virtio-serial port, one session process for each command. Static, and the only file in the
 * initramfs that runs.
 *
 * Everything is single-threaded. A session owns the processes that it started: it is their reaper,
 * and when its client goes away it kills every one of them. Protocol: rig_wire.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig_wire.h"

#define PORTS_MAX 16
#define WORKS_MAX 64
#define NEW_ROOT "/new"
#define CLIENT_GRACE_MS 2000
#define CLOCK_STEP_NS 250000000 /* a wall clock that is off by less is left alone */

/* From /rig.conf in the initramfs: one "KEY VALUE" a line. */
struct config {
	char *modules[32];
	size_t n_modules;
	char *works[WORKS_MAX]; /* the n-th has the virtiofs tag "workN" */
	size_t n_works;
	bool writable_root;
	unsigned n_ports;
	unsigned work_cache_ms; /* how long names and attributes of work folders may be old */
};

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

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "rig-agent: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
}

/* Without its mounts the rig is of no use: say why on the console, and end the machine. */
static void __attribute__((noreturn)) fatal(const char *what, const char *name)
{
	say("%s '%s': %s", what, name, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void make_dirs(const char *path)
{
	char buf[PATH_MAX];

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return;
	for (char *p = buf + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(buf, 0755);
		*p = '/';
	}
	mkdir(buf, 0755);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		say("cannot write '%s' to '%s': %s", text, path, strerror(errno));
	close(fd);
}

/* ---- the machine: everything up to the first command ---- */

static void config_read(struct config *config)
{
	char *line = NULL, *value;
	size_t size = 0;
	FILE *f = fopen("/rig.conf", "re");

	if (!f)
		fatal("cannot open", "/rig.conf");
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(line, "module") && config->n_modules < 32)
			config->modules[config->n_modules++] = strdup(value);
		else if (!strcmp(line, "work") && config->n_works < WORKS_MAX)
			config->works[config->n_works++] = strdup(value);
		else if (!strcmp(line, "writable-root"))
			config->writable_root = true;
		else if (!strcmp(line, "ports"))
			config->n_ports = (unsigned)strtoul(value, NULL, 10);
		else if (!strcmp(line, "work-cache-ms"))
			config->work_cache_ms = (unsigned)strtoul(value, NULL, 10);
	}
	free(line);
	fclose(f);
	if (config->n_ports < 1 || config->n_ports > PORTS_MAX) {
		errno = EINVAL;
		fatal("bad number of ports in", "/rig.conf");
	}
}

static void load_module(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		fatal("cannot load module", name);
	close(fd);
}

static void mount_or_die(const char *type, const char *source, const char *target,
			 unsigned long flags, const char *data)
{
	make_dirs(target);
	if (mount(source, target, type, flags, data) < 0)
		fatal("cannot mount", target);
}

static void mount_root(const struct config *config)
{
	if (!config->writable_root) {
		mount_or_die("virtiofs", "root", NEW_ROOT, MS_RDONLY, NULL);
		return;
	}
	mount_or_die("virtiofs", "root", "/lower", MS_RDONLY, NULL);
	mount_or_die("tmpfs", "tmpfs", "/rw", 0, "mode=755");
	make_dirs("/rw/upper");
	make_dirs("/rw/work");
	mount_or_die("overlay", "rig", NEW_ROOT, 0,
		     "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");
}

static void mount_system(void)
{
	static const struct {
		const char *type, *target, *data;
	} table[] = {
		{"proc", NEW_ROOT "/proc", NULL},
		{"sysfs", NEW_ROOT "/sys", NULL},
		{"devtmpfs", NEW_ROOT "/dev", NULL},
		{"devpts", NEW_ROOT "/dev/pts", "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", NEW_ROOT "/dev/shm", "mode=1777"},
		{"mqueue", NEW_ROOT "/dev/mqueue", NULL},
		{"tmpfs", NEW_ROOT "/tmp", "mode=1777"},
		{"tmpfs", NEW_ROOT "/var/tmp", "mode=1777"},
		{"tmpfs", NEW_ROOT "/run", "mode=755"},
		{"cgroup2", NEW_ROOT "/sys/fs/cgroup", NULL},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		mount_or_die(table[i].type, table[i].type, table[i].target, 0, table[i].data);
}

static void mount_works(const struct config *config)
{
	char tag[32], target[PATH_MAX];

	for (size_t i = 0; i < config->n_works; i++) {
		snprintf(tag, sizeof(tag), "work%zu", i);
		if (snprintf(target, sizeof(target), NEW_ROOT "%s", config->works[i]) >=
		    (int)sizeof(target)) {
			errno = ENAMETOOLONG;
			fatal("cannot mount", config->works[i]);
		}
		mount_or_die("virtiofs", tag, target, 0, NULL);
	}
}

static void enter_root(void)
{
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		fatal("cannot enter", NEW_ROOT);
}

static void enable_cgroups(void)
{
	char names[512] = "", *save = NULL, word[64];
	int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, names, sizeof(names) - 1) < 0)
		fatal("cannot read", "cgroup.controllers");
	close(fd);
	for (char *name = strtok_r(names, " \n", &save); name;
	     name = strtok_r(NULL, " \n", &save)) {
		snprintf(word, sizeof(word), "+%.60s", name);
		write_file("/sys/fs/cgroup/cgroup.subtree_control", word);
	}
}

static void loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		say("cannot bring up lo: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* devtmpfs has neither of these, and shells and compilers expect them. */
static void dev_links(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			say("cannot link '%s': %s", links[i][1], strerror(errno));
}

static void machine_setup(const struct config *config)
{
	const struct rlimit files = {.rlim_cur = 65536, .rlim_max = 1024 * 1024};

	for (size_t i = 0; i < config->n_modules; i++)
		load_module(config->modules[i]);
	mount_root(config);
	mount_system();
	mount_works(config);
	enter_root();
	enable_cgroups();
	loopback_up();
	dev_links();
	chmod("/dev/kvm", 0666);
	umask(022);
	if (sethostname("rig", 3) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		say("cannot set host name or limits: %s", strerror(errno));
}

/* ---- the port: a byte stream to one client ---- */

/*
 * Reads what is there, at least one byte. Without a client the driver calls the port readable and
 * returns 0, so there is nothing to poll for; but its SIGIO tells of connections and of data. The
 * signal stays blocked and is waited for, so that none is missed.
 */
static size_t port_read_any(int port, void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLIN};
	sigset_t set;
	ssize_t n;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	for (;;) {
		n = read(port, buf, len);
		if (n > 0)
			return (size_t)n;
		if (n == 0)
			sigwaitinfo(&set, NULL);
		else
			poll(&pfd, 1, -1);
	}
}

/*
 * The port says that its client is gone. The driver learns of clients and of data from two queues,
 * and may hand out the first bytes of a new client before it hears that the old one went and this
 * one came. So a client is gone for good only when none is there for a while. (When there is
 * another one by then, what it sends is no frame, and ends the session too.)
 */
static bool port_has_client(int port)
{
	struct pollfd pfd = {.fd = port};

	for (int ms = 0; ms < CLIENT_GRACE_MS; ms += 5) {
		poll(&pfd, 1, 0);
		if (!(pfd.revents & POLLHUP))
			return true;
		usleep(5000);
	}
	return false;
}

static bool port_read(int port, void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLIN};
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = read(port, p, len);
		if (n == 0 && !port_has_client(port))
			return false;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n <= 0) {
			poll(&pfd, 1, -1);
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool port_write(int port, const void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLOUT};
	const uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = write(port, p, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		poll(&pfd, 1, -1);
		if ((pfd.revents & POLLHUP) && !port_has_client(port))
			return false;
	}
	return true;
}

/* Header and payload in one write: each write is a trip to the host. */
static bool port_send(int port, enum rig_frame_type type, const void *payload, size_t len)
{
	static uint8_t buf[sizeof(struct rig_frame) + RIG_OUTPUT_MAX];
	const struct rig_frame frame = {
		.magic = RIG_FRAME_MAGIC, .type = type, .len = (uint32_t)len};

	memcpy(buf, &frame, sizeof(frame));
	if (len > 0)
		memcpy(buf + sizeof(frame), payload, len);
	return port_write(port, buf, sizeof(frame) + len);
}

/* Skips zeros and what a dead client left, up to the next hello. */
static void port_hello(int port, struct rig_hello *ret_hello)
{
	uint8_t buf[sizeof(*ret_hello)];
	size_t have = 0, skip;

	for (;;) {
		have += port_read_any(port, buf + have, sizeof(buf) - have);
		for (skip = 0; skip < have; skip++)
			if (!memcmp(buf + skip, RIG_HELLO_MAGIC, have - skip < 8 ? have - skip : 8))
				break;
		have -= skip;
		memmove(buf, buf + skip, have);
		if (have == sizeof(buf))
			break;
	}
	memcpy(ret_hello, buf, sizeof(buf));
}

static void clock_follow(uint64_t wall_ns)
{
	struct timespec now, wall = {
				     .tv_sec = (time_t)(wall_ns / 1000000000u),
				     .tv_nsec = (long)(wall_ns % 1000000000u),
			     };
	int64_t off;

	clock_gettime(CLOCK_REALTIME, &now);
	off = (int64_t)wall_ns - (int64_t)now.tv_sec * 1000000000 - now.tv_nsec;
	if (off > CLOCK_STEP_NS || off < -CLOCK_STEP_NS)
		clock_settime(CLOCK_REALTIME, &wall);
}

/* ---- the session: one command ---- */

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

static void __attribute__((noreturn))
session_run(int port, const struct config *config, const struct rig_hello *hello)
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

/* ---- ports ---- */

/* Finds the device of the port with a name such as "rig.0"; the numbers of devices are not ours. */
static int port_open(unsigned number)
{
	char path[PATH_MAX], name[64], wanted[64];
	struct dirent *entry;
	DIR *dir = opendir("/sys/class/virtio-ports");
	int fd = -1;

	snprintf(wanted, sizeof(wanted), RIG_PORT_NAME "%u\n", number);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strcmp(name, wanted)) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void __attribute__((noreturn)) port_serve(unsigned number, const struct config *config)
{
	struct rig_hello hello;
	sigset_t set;
	pid_t pid;
	int port;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* The driver learns of its ports a moment after it was loaded. */
	for (int tries = 0; (port = port_open(number)) < 0 && tries < 1000; tries++)
		usleep(10000);
	if (port < 0)
		fatal("cannot open", RIG_PORT_NAME);
	fcntl(port, F_SETOWN, getpid());
	fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC);
	for (;;) {
		port_hello(port, &hello);
		clock_follow(hello.wall_ns);
		pid = fork();
		if (pid == 0)
			session_run(port, config, &hello);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		else
			say("cannot fork: %s", strerror(errno));
	}
}

static pid_t port_spawn(unsigned number, const struct config *config)
{
	pid_t pid = fork();

	if (pid == 0)
		port_serve(number, config);
	return pid;
}

int main(void)
{
	static struct config config;
	pid_t servers[PORTS_MAX], pid;

	if (getpid() != 1) {
		fprintf(stderr, "rig-agent runs as PID 1 of a rig only\n");
		return 1;
	}
	config_read(&config);
	machine_setup(&config);
	for (unsigned i = 0; i < config.n_ports; i++)
		servers[i] = port_spawn(i, &config);
	/* From here on PID 1 only reaps, and replaces a server that something killed. */
	while ((pid = wait(NULL)) > 0 || errno == EINTR)
		for (unsigned i = 0; i < config.n_ports; i++)
			if (pid == servers[i])
				servers[i] = port_spawn(i, &config);
	fatal("no child is left", "rig-agent");
}
