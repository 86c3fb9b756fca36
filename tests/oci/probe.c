/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: tells as JSON what a process sees from inside a container.
 *
 * A static program, so that it runs in an otherwise empty root file system. Each argument is a
 * step, NAME or NAME=VALUE, and they are taken in order: most add a member of the argument's own
 * text to one object, which is written in one piece at the end (or at `flush`, `exit` or `wait`);
 * some act. What is not asked for is not looked at. An unknown step ends it with status 99.
 */
#include "probe_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LINE_FIELDS 64
#define FDS_LOOKED_AT 256

struct step {
	const char *name;
	void (*take)(struct probe *probe, char *value);
	bool silent; /* adds no member */
};

/* Who it is. */

static void take_ids(struct probe *probe, char *value)
{
	gid_t groups[256];
	const int count = getgroups(COUNT(groups), groups);

	(void)value;
	open_bracket(probe, "{");
	put_member(probe, "pid", getpid());
	put_member(probe, "ppid", getppid());
	put_member(probe, "sid", getsid(0));
	put_member(probe, "pgid", getpgid(0));
	put_member(probe, "uid", getuid());
	put_member(probe, "euid", geteuid());
	put_member(probe, "gid", getgid());
	put_member(probe, "egid", getegid());
	put_name(probe, "groups");
	open_bracket(probe, "[");
	for (int i = 0; i < count; i++)
		put_number(probe, groups[i]);
	close_bracket(probe, "]");
	close_bracket(probe, "}");
}

static void put_bits(struct probe *probe, const char *name, uint64_t bits)
{
	put_name(probe, name);
	put_unsigned(probe, bits);
}

struct cap_header {
	uint32_t version;
	int pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};

static void take_caps(struct probe *probe, char *value)
{
	struct cap_header header = { .version = 0x20080522 };
	struct cap_data low_high[2] = { { 0 } };
	uint64_t bounding = 0, ambient = 0;

	(void)value;
	syscall(SYS_capget, &header, low_high);
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			bounding |= UINT64_C(1) << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			ambient |= UINT64_C(1) << cap;
	}
#define BOTH(set) (low_high[0].set | (uint64_t)low_high[1].set << 32)
	open_bracket(probe, "{");
	put_bits(probe, "effective", BOTH(effective));
	put_bits(probe, "permitted", BOTH(permitted));
	put_bits(probe, "inheritable", BOTH(inheritable));
	put_bits(probe, "bounding", bounding);
	put_bits(probe, "ambient", ambient);
	close_bracket(probe, "}");
#undef BOTH
}

static void take_privileges(struct probe *probe, char *value)
{
	(void)value;
	open_bracket(probe, "{");
	put_member(probe, "no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	put_member(probe, "seccomp", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	close_bracket(probe, "}");
}

static void take_rlimits(struct probe *probe, char *value)
{
	static const char *const names[] = {
		"CPU",     "FSIZE", "DATA",  "STACK",      "CORE",     "RSS",  "NPROC",  "NOFILE",
		"MEMLOCK", "AS",    "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
	};
	struct rlimit limit;

	(void)value;
	open_bracket(probe, "{");
	for (size_t i = 0; i < COUNT(names); i++) {
		if (getrlimit((__rlimit_resource_t)i, &limit))
			continue;
		put_name(probe, names[i]);
		open_bracket(probe, "[");
		put_unsigned(probe, limit.rlim_cur);
		put_unsigned(probe, limit.rlim_max);
		close_bracket(probe, "]");
	}
	close_bracket(probe, "}");
}

static void take_umask(struct probe *probe, char *value)
{
	const mode_t mask = umask(0);

	(void)value;
	umask(mask);
	put_number(probe, mask);
}

/* As the kernel has it: sched_getattr(2) has no wrapper. */
struct schedule {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static void take_schedule(struct probe *probe, char *value)
{
	struct schedule schedule = { .size = sizeof(schedule) };
	const long io = syscall(SYS_ioprio_get, 1, 0);

	(void)value;
	if (syscall(SYS_sched_getattr, 0, &schedule, sizeof(schedule), 0)) {
		put_error(probe, errno);
		return;
	}
	open_bracket(probe, "{");
	put_member(probe, "policy", schedule.policy);
	put_member(probe, "flags", (long long)schedule.flags);
	put_member(probe, "nice", schedule.nice);
	put_member(probe, "priority", schedule.priority);
	put_member(probe, "runtime", (long long)schedule.runtime);
	put_member(probe, "deadline", (long long)schedule.deadline);
	put_member(probe, "period", (long long)schedule.period);
	put_member(probe, "io_class", io >> 13);
	put_member(probe, "io_level", io & 0x1fff);
	close_bracket(probe, "}");
}

static void take_cpus(struct probe *probe, char *value)
{
	cpu_set_t cpus;

	(void)value;
	open_bracket(probe, "[");
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &cpus))
				put_number(probe, cpu);
	close_bracket(probe, "]");
}

static void take_personality(struct probe *probe, char *value)
{
	(void)value;
	put_number(probe, personality(0xffffffff));
}

/* What it was given. */

static void put_strings(struct probe *probe, char **strings)
{
	open_bracket(probe, "[");
	for (; *strings; strings++)
		put_string(probe, *strings);
	close_bracket(probe, "]");
}

static void take_env(struct probe *probe, char *value)
{
	(void)value;
	put_strings(probe, probe->env);
}

static void take_args(struct probe *probe, char *value)
{
	(void)value;
	put_strings(probe, probe->argv);
}

static void take_cwd(struct probe *probe, char *value)
{
	char path[4096];

	(void)value;
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		put_error(probe, errno);
	else
		put_string(probe, path);
}

static void take_stdin(struct probe *probe, char *value)
{
	char *text = malloc(FILE_BYTES);
	size_t length = 0;
	ssize_t n;

	(void)value;
	while (length < FILE_BYTES - 1 && (n = read(0, text + length, FILE_BYTES - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	put_string(probe, text);
	free(text);
}

/* Opens /proc only when it is there: a container without it still has descriptors. */
static void take_fds(struct probe *probe, char *value)
{
	char name[16], path[32], target[512];

	(void)value;
	open_bracket(probe, "{");
	for (int fd = 0; fd < FDS_LOOKED_AT; fd++) {
		if (fcntl(fd, F_GETFD) < 0 || (fd == probe->out_fd && fd != 1))
			continue;
		snprintf(name, sizeof(name), "%d", fd);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		const ssize_t n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		put_text_member(probe, name, target);
	}
	close_bracket(probe, "}");
}

static void take_tty(struct probe *probe, char *value)
{
	struct winsize size = { 0 };
	const int controlling = open("/dev/tty", O_RDWR | O_CLOEXEC);

	(void)value;
	ioctl(0, TIOCGWINSZ, &size);
	open_bracket(probe, "{");
	put_member(probe, "stdin", isatty(0));
	put_member(probe, "stdout", isatty(1));
	put_member(probe, "stderr", isatty(2));
	put_member(probe, "rows", size.ws_row);
	put_member(probe, "columns", size.ws_col);
	put_member(probe, "controlling", controlling >= 0);
	put_member(probe, "foreground", tcgetpgrp(0) == getpgrp());
	close_bracket(probe, "}");
	if (controlling >= 0)
		close(controlling);
}

static void take_keyring(struct probe *probe, char *value)
{
	char text[256] = "";

	(void)value;
	if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text)) < 0)
		put_error(probe, errno);
	else
		put_string(probe, text);
}

/* Where it is. */

static void take_uts(struct probe *probe, char *value)
{
	struct utsname names;

	(void)value;
	uname(&names);
	open_bracket(probe, "{");
	put_text_member(probe, "hostname", names.nodename);
	put_text_member(probe, "domainname", names.domainname);
	close_bracket(probe, "}");
}

static void take_namespaces(struct probe *probe, char *value)
{
	static const char *const names[] = {
		"user", "pid", "net", "mnt", "ipc", "uts", "cgroup", "time",
	};
	char path[64];
	struct stat st;

	(void)value;
	open_bracket(probe, "{");
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (!stat(path, &st))
			put_member(probe, names[i], (long long)st.st_ino);
	}
	close_bracket(probe, "}");
}

static void take_clocks(struct probe *probe, char *value)
{
	struct timespec monotonic, boottime;

	(void)value;
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_BOOTTIME, &boottime);
	open_bracket(probe, "{");
	put_member(probe, "monotonic", monotonic.tv_sec * 1000000000LL + monotonic.tv_nsec);
	put_member(probe, "boottime", boottime.tv_sec * 1000000000LL + boottime.tv_nsec);
	close_bracket(probe, "}");
}

/* The fields of one line of mountinfo: see proc(5). Optional ones end at "-". */
static void put_mount(struct probe *probe, char *line)
{
	char *fields[LINE_FIELDS], *save;
	size_t count = 0, dash = 6;

	for (char *f = strtok_r(line, " ", &save); f && count < LINE_FIELDS;
	     f = strtok_r(NULL, " ", &save))
		fields[count++] = f;
	while (dash < count && strcmp(fields[dash], "-"))
		dash++;
	if (dash + 3 >= count)
		return;
	open_bracket(probe, "{");
	put_text_member(probe, "root", fields[3]);
	put_text_member(probe, "target", fields[4]);
	put_text_member(probe, "options", fields[5]);
	put_name(probe, "propagation");
	open_bracket(probe, "[");
	for (size_t i = 6; i < dash; i++)
		put_string(probe, fields[i]);
	close_bracket(probe, "]");
	put_text_member(probe, "type", fields[dash + 1]);
	put_text_member(probe, "source", fields[dash + 2]);
	put_text_member(probe, "super", fields[dash + 3]);
	close_bracket(probe, "}");
}

static void take_mounts(struct probe *probe, char *value)
{
	char *text = malloc(FILE_BYTES), *save;
	const ssize_t length = read_file("/proc/self/mountinfo", text, FILE_BYTES);

	(void)value;
	if (length < 0) {
		put_error(probe, (int)-length);
	} else {
		open_bracket(probe, "[");
		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save))
			put_mount(probe, line);
		close_bracket(probe, "]");
	}
	free(text);
}

/* syscall=NUMBER[,ARGUMENT]...: numbers only. */
static void take_syscall(struct probe *probe, char *value)
{
	unsigned long arguments[7] = { 0 };
	size_t count = 0;
	char *save;
	long r;

	for (char *word = strtok_r(value, ",", &save); word && count < COUNT(arguments);
	     word = strtok_r(NULL, ",", &save))
		arguments[count++] = strtoul(word, NULL, 0);
	r = syscall((long)arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
		    arguments[5], arguments[6]);
	if (r < 0)
		put_error(probe, errno);
	else
		put_number(probe, r);
}

static void take_label(struct probe *probe, char *value)
{
	put_string(probe, value);
}

/* hog=MIB: touches that much memory. */
static void take_hog(struct probe *probe, char *value)
{
	const size_t bytes = strtoul(value, NULL, 10) << 20;
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		put_error(probe, errno);
		return;
	}
	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	put_string(probe, "ok");
}

/* fork=N: children that wait; how many there are in the end. */
static void take_fork(struct probe *probe, char *value)
{
	const unsigned long wanted = strtoul(value, NULL, 10);
	unsigned long made = 0;
	pid_t pid;

	while (made < wanted && (pid = fork()) >= 0) {
		if (!pid)
			for (;;)
				pause();
		made++;
	}
	put_number(probe, (long long)made);
}

/* Steps that add nothing. */

/* out=PATH, or out=+PATH to append. */
static void take_out(struct probe *probe, char *value)
{
	const int append = *value == '+';

	probe->out_fd = open(value + append,
			     O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
	if (probe->out_fd < 0)
		_exit(FAILED_TO_WRITE);
}

static void take_flush(struct probe *probe, char *value)
{
	(void)value;
	write_out(probe);
}

static void take_exit(struct probe *probe, char *value)
{
	write_out(probe);
	_exit(atoi(value));
}

static void take_raise(struct probe *probe, char *value)
{
	write_out(probe);
	raise(atoi(value));
}

static void take_sleep(struct probe *probe, char *value)
{
	const long ms = strtol(value, NULL, 10);

	(void)probe;
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static void end_by_signal(int signal)
{
	_exit(100 + signal);
}

/* trap=SIGNAL: end with status 100 + SIGNAL when it comes. The first process has no defaults. */
static void take_trap(struct probe *probe, char *value)
{
	(void)probe;
	signal(atoi(value), end_by_signal);
}

static void take_wait(struct probe *probe, char *value)
{
	(void)value;
	write_out(probe);
	for (;;)
		pause();
}

static void take_fail_unless(struct probe *probe, char *value)
{
	struct stat st;

	(void)probe;
	if (stat(value, &st))
		_exit(1);
}

static const struct step steps[] = {
	{ "access", take_access, false },
	{ "args", take_args, false },
	{ "caps", take_caps, false },
	{ "clocks", take_clocks, false },
	{ "cpus", take_cpus, false },
	{ "cwd", take_cwd, false },
	{ "env", take_env, false },
	{ "exit", take_exit, true },
	{ "fail-unless", take_fail_unless, true },
	{ "fds", take_fds, false },
	{ "flush", take_flush, true },
	{ "fork", take_fork, false },
	{ "hog", take_hog, false },
	{ "ids", take_ids, false },
	{ "keyring", take_keyring, false },
	{ "label", take_label, false },
	{ "list", take_list, false },
	{ "mknod", take_mknod, false },
	{ "mounts", take_mounts, false },
	{ "namespaces", take_namespaces, false },
	{ "out", take_out, true },
	{ "personality", take_personality, false },
	{ "privileges", take_privileges, false },
	{ "raise", take_raise, true },
	{ "read", take_read, false },
	{ "rlimits", take_rlimits, false },
	{ "schedule", take_schedule, false },
	{ "sleep", take_sleep, true },
	{ "stat", take_stat, false },
	{ "stdin", take_stdin, false },
	{ "syscall", take_syscall, false },
	{ "sysctl", take_sysctl, false },
	{ "trap", take_trap, true },
	{ "tty", take_tty, false },
	{ "umask", take_umask, false },
	{ "uts", take_uts, false },
	{ "wait", take_wait, true },
	{ "write", take_write, false },
};

static const struct step *find_step(const char *argument)
{
	const size_t length = strcspn(argument, "=");

	for (size_t i = 0; i < COUNT(steps); i++)
		if (strlen(steps[i].name) == length && !memcmp(steps[i].name, argument, length))
			return &steps[i];
	return NULL;
}

static void take(struct probe *probe, const char *argument)
{
	const struct step *step = find_step(argument);
	char value[4096];

	if (!step)
		_exit(UNKNOWN_STEP);
	snprintf(value, sizeof(value), "%s",
		 argument[strlen(step->name)] ? argument + strlen(step->name) + 1 : "");
	if (!step->silent) {
		if (!probe->length)
			put(probe, "{", 1);
		put_name(probe, argument);
	}
	step->take(probe, value);
}

int main(int argc, char **argv, char **env)
{
	struct probe probe = { .text = malloc(TEXT_BYTES), .out_fd = 1, .argv = argv, .env = env };

	for (int i = 1; i < argc; i++)
		take(&probe, argv[i]);
	write_out(&probe);
	free(probe.text);
	return 0;
}
