/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack: tries what a program that wants out of its container tries, and tells how it ended.
 *
 * A static program, so that it runs in an otherwise empty root file system. Each argument is a
 * step, NAME or NAME=VALUE, taken in order; each adds one member of the argument's own text to a
 * JSON object: "ok", the name of an error, or what was found. Parts of a value are divided by
 * commas. What would harm the host if it succeeded is only opened. An unknown step ends it with
 * status 99.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { PARTS = 4, TEXT_BYTES = 4096, UNKNOWN_STEP = 99, MOST_PIDS = 1 << 16 };

/* What a step has to say; filled by it. */
static const char *error_name(void)
{
	return strerrorname_np(errno);
}

static void tell_result(char *text, bool well)
{
	snprintf(text, TEXT_BYTES, "%s", well ? "ok" : error_name());
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Files. */

/* open=r|w,PATH */
static void take_open(char *parts[PARTS], char *text)
{
	const int fd =
		open(parts[1], (parts[0][0] == 'w' ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY);

	tell_result(text, fd >= 0);
	if (fd >= 0)
		close(fd);
}

/* write=PATH,TEXT */
static void take_write(char *parts[PARTS], char *text)
{
	const int fd = open(parts[0], O_WRONLY);

	tell_result(text, fd >= 0 && write(fd, parts[1], strlen(parts[1])) >= 0);
	if (fd >= 0)
		close(fd);
}

/* read=PATH: "ok", a space, and how the file begins. */
static void take_read(char *parts[PARTS], char *text)
{
	const int fd = open(parts[0], O_RDONLY | O_NONBLOCK);
	char start[200];
	const ssize_t bytes = fd < 0 ? -1 : read(fd, start, sizeof(start) - 1);

	tell_result(text, bytes >= 0);
	for (ssize_t i = 0; i < bytes; i++)
		if (start[i] < ' ' || start[i] > '~')
			start[i] = ' ';
	if (bytes >= 0)
		snprintf(text, TEXT_BYTES, "ok %.*s", (int)bytes, start);
	if (fd >= 0)
		close(fd);
}

/* list=PATH: how many entries, but for "." and "..". */
static void take_list(char *parts[PARTS], char *text)
{
	DIR *folder = opendir(parts[0]);
	int count = -2;

	if (!folder) {
		tell_result(text, false);
		return;
	}
	while (readdir(folder))
		count++;
	closedir(folder);
	snprintf(text, TEXT_BYTES, "%d", count);
}

/* mknod=b|c,MAJOR,MINOR,PATH */
static void take_mknod(char *parts[PARTS], char *text)
{
	const dev_t device = makedev((unsigned int)atoi(parts[1]), (unsigned int)atoi(parts[2]));

	tell_result(text,
		    mknod(parts[3], (parts[0][0] == 'b' ? S_IFBLK : S_IFCHR) | 0600, device) == 0);
}

/* Mounts. */

/* bind=SOURCE,TARGET */
static void take_bind(char *parts[PARTS], char *text)
{
	tell_result(text, mount(parts[0], parts[1], NULL, MS_BIND, NULL) == 0);
}

/* mount=TYPE,TARGET,DATA */
static void take_mount(char *parts[PARTS], char *text)
{
	tell_result(text, mount("none", parts[1], parts[0], 0, parts[2]) == 0);
}

/* remount=TARGET: writable. */
static void take_remount(char *parts[PARTS], char *text)
{
	tell_result(text, mount(NULL, parts[0], NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
}

static void take_umount(char *parts[PARTS], char *text)
{
	tell_result(text, umount2(parts[0], MNT_DETACH) == 0);
}

/* What it has been given. */

static void take_fds(char *parts[PARTS], char *text)
{
	size_t length = 0;

	(void)parts;
	text[0] = '\0';
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			length += (size_t)snprintf(text + length, TEXT_BYTES - length, "%s%d",
						   length ? " " : "", fd);
}

static void take_cwd(char *parts[PARTS], char *text)
{
	(void)parts;
	if (syscall(SYS_getcwd, text, TEXT_BYTES) < 0)
		tell_result(text, false);
}

/* caps: the effective ones, in hexadecimal as the kernel prints them. */
static void take_caps(char *parts[PARTS], char *text)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];

	(void)parts;
	tell_result(text, false);
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %31s", text) == 1)
			break;
	if (file)
		fclose(file);
}

/* The kernel. */

static void take_module(char *parts[PARTS], char *text)
{
	static const char no_module[] = "no module";

	(void)parts;
	tell_result(text, syscall(SYS_init_module, no_module, sizeof(no_module), "") == 0);
}

/* key=NAME: reads a key of type "user" from the session keyring. */
static void take_key(char *parts[PARTS], char *text)
{
	const long key =
		syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", parts[0], 0);
	char content[64] = "";

	if (key < 0 || syscall(SYS_keyctl, KEYCTL_READ, key, content, sizeof(content) - 1) < 0)
		tell_result(text, false);
	else
		snprintf(text, TEXT_BYTES, "ok %s", content);
}

/* tiocsti=FD: takes the terminal as its own, then types a character into it. */
static void take_tiocsti(char *parts[PARTS], char *text)
{
	const int fd = atoi(parts[0]);

	(void)ioctl(fd, TIOCSCTTY, 1);
	tell_result(text, ioctl(fd, TIOCSTI, "x") == 0);
}

/* The runtime, seen from inside. */

static bool is_number(const char *name)
{
	return *name && name[strspn(name, "0123456789")] == '\0';
}

/* Whether it runs our program, as far as we may know: that is known before its name has changed. */
static bool is_own_program(const char *pid)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
	       own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

/* Whether the process is the runtime's: it is not called as we are, and does not run our
 * program. */
static bool is_foreign(const char *pid)
{
	static char own[32];
	char path[64], name[32] = "";
	int fd;

	if (!own[0]) {
		fd = open("/proc/self/comm", O_RDONLY);
		if (fd < 0 || read(fd, own, sizeof(own) - 1) <= 0)
			return false;
		close(fd);
	}
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, name, sizeof(name) - 1) <= 0)
		name[0] = '\0';
	close(fd);
	return name[0] && strcmp(name, own) != 0 && !is_own_program(pid);
}

/* Calls `look` for processes of the runtime until the time is over, or it returns true. */
static int hunt(long ms, bool (*look)(const char *pid, void *context), void *context)
{
	const long end = now_ms() + ms;
	int seen = 0;

	while (now_ms() < end) {
		DIR *folder = opendir("/proc");
		struct dirent *entry;
		bool done = false;

		while (folder && !done && (entry = readdir(folder)))
			if (is_number(entry->d_name) && is_foreign(entry->d_name)) {
				seen++;
				done = look(entry->d_name, context);
			}
		if (folder)
			closedir(folder);
		if (done)
			break;
	}
	return seen;
}

static bool hold_program(const char *pid, void *context)
{
	int *fd = context;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	/* It may have become a program of the container's meanwhile. */
	if (*fd >= 0 && !is_foreign(pid)) {
		close(*fd);
		*fd = -1;
	}
	return *fd >= 0;
}

/* Tries to overwrite the file of a descriptor until nobody runs it any more. */
static void overwrite(int fd, long ms, char *text)
{
	const long end = now_ms() + ms;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		const int again = open(path, O_WRONLY);

		tell_result(text, again >= 0 && write(again, "#!overwritten\n", 14) == 14);
		if (again >= 0)
			close(again);
		usleep(1000);
	} while (strcmp(text, "ETXTBSY") == 0 && now_ms() < end);
}

/* reopen=FD,MS: FD is of the runtime's program. */
static void take_reopen(char *parts[PARTS], char *text)
{
	overwrite(atoi(parts[0]), atol(parts[1]), text);
}

/* hold=HUNT_MS,MS: takes hold of the program of a process of the runtime, and overwrites it
 * later. */
static void take_hold(char *parts[PARTS], char *text)
{
	int fd = -1;
	const int seen = hunt(atol(parts[0]), hold_program, &fd);

	if (fd < 0)
		snprintf(text, TEXT_BYTES, "%s", seen ? "no access" : "unseen");
	else
		overwrite(fd, atol(parts[1]), text);
}

struct access {
	unsigned int files, traced, memory, folders;
};

static bool opens(const char *pid, const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	if (fd >= 0)
		close(fd);
	return fd >= 0 && is_foreign(pid);
}

/* Descriptors that it has open; `ret_folders` of them are folders: a path leads out through
 * each. */
static unsigned int open_descriptors(const char *pid, unsigned int *ret_folders)
{
	unsigned int count = 0;

	for (int fd = 3; fd < 64; fd++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, fd);
		if (stat(path, &st) < 0 || !is_foreign(pid))
			continue;
		count++;
		*ret_folders += S_ISDIR(st.st_mode);
	}
	return count;
}

static bool can_trace(const char *pid)
{
	const pid_t number = atoi(pid);
	bool foreign;

	if (ptrace(PTRACE_SEIZE, number, NULL, NULL) < 0)
		return false;
	foreign = is_foreign(pid);
	if (ptrace(PTRACE_INTERRUPT, number, NULL, NULL) == 0 &&
	    waitpid(number, NULL, __WALL) == number)
		ptrace(PTRACE_DETACH, number, NULL, NULL);
	return foreign;
}

static bool can_read_memory(const char *pid)
{
	char byte;
	const struct iovec here = {.iov_base = &byte, .iov_len = 1};
	const struct iovec there = {.iov_base = (void *)16, .iov_len = 1}; /* unmapped */

	return process_vm_readv(atoi(pid), &here, 1, &there, 1, 0) < 0 && errno == EFAULT &&
	       is_foreign(pid);
}

static bool look_at(const char *pid, void *context)
{
	static const char *const names[] = {"exe", "root", "cwd", "mem"};
	struct access *access = context;

	access->files += open_descriptors(pid, &access->folders);
	for (size_t i = 0; i < COUNT(names); i++)
		access->files += opens(pid, names[i]);
	access->memory += can_read_memory(pid);
	access->traced += can_trace(pid);
	return false;
}

/* spy=MS: all ways into a process of the runtime. "unseen", or how often each was open. */
static void take_spy(char *parts[PARTS], char *text)
{
	struct access access = {0};

	if (!hunt(atol(parts[0]), look_at, &access))
		snprintf(text, TEXT_BYTES, "unseen");
	else
		snprintf(text, TEXT_BYTES, "files %d traced %d memory %d folders %d",
			 access.files > 0, access.traced > 0, access.memory > 0,
			 access.folders > 0);
}

/* Waiting. */

/* ready: tells so on a line of its own, before everything else. */
static void take_ready(char *parts[PARTS], char *text)
{
	(void)parts;
	(void)!write(STDOUT_FILENO, "ready\n", 6);
	tell_result(text, true);
}

static void take_wait(char *parts[PARTS], char *text)
{
	(void)parts;
	(void)text;
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*take)(char *parts[PARTS], char *text);
} steps[] = {
	{"bind", take_bind},	   {"caps", take_caps},	    {"cwd", take_cwd},
	{"fds", take_fds},	   {"hold", take_hold},	    {"key", take_key},
	{"list", take_list},	   {"mknod", take_mknod},   {"module", take_module},
	{"mount", take_mount},	   {"open", take_open},	    {"read", take_read},
	{"ready", take_ready},	   {"remount", take_remount}, {"reopen", take_reopen},
	{"spy", take_spy},	   {"tiocsti", take_tiocsti}, {"umount", take_umount},
	{"wait", take_wait},	   {"write", take_write},
};

/* `value` is cut at its commas; the last part may have some. */
static void take(const char *name, size_t length, char *value, char *text)
{
	char empty[] = "", *parts[PARTS] = {empty, empty, empty, empty};

	for (size_t i = 0; i < PARTS && value; i++)
		parts[i] = i + 1 < PARTS ? strsep(&value, ",") : value;
	for (size_t i = 0; i < COUNT(steps); i++)
		if (strlen(steps[i].name) == length && !memcmp(steps[i].name, name, length)) {
			steps[i].take(parts, text);
			return;
		}
	_exit(UNKNOWN_STEP);
}

static void put_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

int main(int argc, char **argv)
{
	static char text[TEXT_BYTES];

	for (int i = 1; i < argc; i++) {
		const size_t length = strcspn(argv[i], "=");
		char value[TEXT_BYTES] = "";

		if (argv[i][length])
			snprintf(value, sizeof(value), "%s", argv[i] + length + 1);
		take(argv[i], length, value, text);
		fputs(i == 1 ? "{" : ", ", stdout);
		put_string(argv[i]);
		fputs(": ", stdout);
		put_string(text);
	}
	puts("}");
	return 0;
}
