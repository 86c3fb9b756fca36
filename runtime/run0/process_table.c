/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of processes. A process chooses its own name and command line, so both are cleaned
 * before they are printed. One that ends while it is looked at is left out.
 */
#include "process_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "text.h"

enum {
	STAT_BYTES = 1024,
	COMMAND_BYTES = 4096,
	PASSWD_BYTES = 1024,
	CELL_BYTES = 40,
	USER_WIDTH = 8,
	DAY_S = 86400,
	HOUR_S = 3600,
	MINUTE_S = 60,
	TTY_MAJOR = 4,
	TTY_COUNT = 64, /* of major 4; then come serial lines */
	PTS_MAJOR_FIRST = 136,
	PTS_MAJOR_LAST = 143,
	PTS_PER_MAJOR = 256,
};

struct process {
	pid_t pid;
	int parent, tty;
	uid_t uid;
	uint64_t user_ticks, kernel_ticks, start_ticks; /* start: since boot */
	char command[COMMAND_BYTES];
};

struct clocks {
	time_t now_s, boot_s;
	uint64_t ticks_per_s;
};

int process_table_check_options(char *const *options, int count, struct err *err)
{
	for (int i = 0; i < count; i++) {
		const char *letters = options[i] + (options[i][0] == '-');

		if (!*letters || letters[strspn(letters, "ef")])
			return err_set(err, -EINVAL,
				       "ps option '%s' is not known here: the table is that of "
				       "ps -ef",
				       options[i]);
	}
	return 0;
}

static struct clocks read_clocks(void)
{
	struct timespec now = { 0 };
	struct timespec up = { 0 };
	const long ticks_per_s = sysconf(_SC_CLK_TCK);

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	return (struct clocks){
		.now_s = now.tv_sec,
		.boot_s = now.tv_sec - up.tv_sec,
		.ticks_per_s = ticks_per_s > 0 ? (uint64_t)ticks_per_s : 100,
	};
}

/* At most size - 1 bytes of a file of the process, with a zero behind; -1 when it is gone. */
static ssize_t read_some(int folder, const char *name, char *to, size_t size)
{
	cleanup_fd int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, to, size - 1);
	if (n >= 0)
		to[n] = '\0';
	return n;
}

/* proc(5): the name stands in parentheses and may hold any character, a closing one included. */
static bool read_stat(int folder, struct process *process, char **ret_name, char stat[STAT_BYTES])
{
	char *name, *end;

	if (read_some(folder, "stat", stat, STAT_BYTES) <= 0)
		return false;
	name = strchr(stat, '(');
	end = strrchr(stat, ')');
	if (!name || !end || end < name)
		return false;
	*end = '\0';
	*ret_name = name + 1;
	return sscanf(end + 1,
		      " %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		      " %*d %*d %*d %*d %*d %*d %" SCNu64,
		      &process->parent, &process->tty, &process->user_ticks, &process->kernel_ticks,
		      &process->start_ticks) == 5;
}

static void read_uid(int folder, struct process *process)
{
	char status[COMMAND_BYTES];
	const char *line;
	unsigned int uid;

	if (read_some(folder, "status", status, sizeof(status)) <= 0)
		return;
	line = strstr(status, "\nUid:");
	if (line && sscanf(line, "\nUid: %*u %u", &uid) == 1)
		process->uid = uid;
}

static void clean_line(char *text, size_t bytes)
{
	bytes = text_clean(text, text, bytes);
	text[bytes] = '\0';
	for (char *at = text; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = '?';
}

/* The arguments with spaces between; a kernel thread or a zombie has none but has a name. */
static void read_command(int folder, struct process *process, const char *name)
{
	ssize_t n = read_some(folder, "cmdline", process->command, sizeof(process->command));

	while (n > 0 && !process->command[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (!process->command[i])
			process->command[i] = ' ';
	if (n <= 0)
		n = snprintf(process->command, sizeof(process->command), "[%s]", name);
	clean_line(process->command, (size_t)n);
}

static bool read_process(struct process *process, pid_t pid)
{
	char stat[STAT_BYTES];
	char path[CELL_BYTES];
	cleanup_fd int folder = -1;
	struct stat st;
	char *name;

	*process = (struct process){ .pid = pid };
	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &st) < 0)
		return false;
	process->uid = st.st_uid;
	read_uid(folder, process);
	if (!read_stat(folder, process, &name, stat))
		return false;
	read_command(folder, process, name);
	return true;
}

/* From the file alone: what NSS could ask takes a network. A name that is too wide for the column
 * gives way to the number, as in ps. */
static void format_user(uid_t uid, char cell[CELL_BYTES])
{
	cleanup_file FILE *file = fopen("/etc/passwd", "re");
	struct passwd entry, *found;
	char buffer[PASSWD_BYTES];

	(void)snprintf(cell, CELL_BYTES, "%u", uid);
	while (file && fgetpwent_r(file, &entry, buffer, sizeof(buffer), &found) == 0)
		if (entry.pw_uid == uid && strlen(entry.pw_name) <= USER_WIDTH) {
			(void)snprintf(cell, CELL_BYTES, "%s", entry.pw_name);
			clean_line(cell, strlen(cell));
			return;
		}
}

static void format_tty(int tty, char cell[CELL_BYTES])
{
	const unsigned int number = major((dev_t)tty);
	const unsigned int index = minor((dev_t)tty);

	if (number >= PTS_MAJOR_FIRST && number <= PTS_MAJOR_LAST)
		(void)snprintf(cell, CELL_BYTES, "pts/%u",
			       (number - PTS_MAJOR_FIRST) * PTS_PER_MAJOR + index);
	else if (number == TTY_MAJOR && index < TTY_COUNT)
		(void)snprintf(cell, CELL_BYTES, "tty%u", index);
	else if (number == TTY_MAJOR)
		(void)snprintf(cell, CELL_BYTES, "ttyS%u", index - TTY_COUNT);
	else
		(void)snprintf(cell, CELL_BYTES, "?");
}

/* The hour when it was less than a day ago, else the date. */
static void format_start(const struct clocks *clocks, time_t start_s, char cell[CELL_BYTES])
{
	struct tm tm;
	size_t n = 0;

	if (localtime_r(&start_s, &tm))
		n = clocks->now_s - start_s < DAY_S ? strftime(cell, CELL_BYTES, "%H:%M", &tm)
						    : strftime(cell, CELL_BYTES, "%b%d", &tm);
	if (n == 0)
		(void)snprintf(cell, CELL_BYTES, "?");
}

/* Percent of one CPU since the start. */
static unsigned int cpu_percent(const struct clocks *clocks, time_t start_s, uint64_t used_ticks)
{
	const time_t elapsed_s = clocks->now_s - start_s;

	if (elapsed_s <= 0)
		return 0;
	return (unsigned int)(used_ticks * 100 / clocks->ticks_per_s / (uint64_t)elapsed_s);
}

static void print_process(const struct clocks *clocks, const struct process *process)
{
	const uint64_t ticks = process->user_ticks + process->kernel_ticks;
	const uint64_t used_s = ticks / clocks->ticks_per_s;
	const time_t start_s =
		clocks->boot_s + (time_t)(process->start_ticks / clocks->ticks_per_s);
	char user[CELL_BYTES], tty[CELL_BYTES], start[CELL_BYTES];

	format_user(process->uid, user);
	format_tty(process->tty, tty);
	format_start(clocks, start_s, start);
	printf("%-*s %7d %7d %2u %5s %-8s %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " %s\n",
	       USER_WIDTH, user, process->pid, process->parent, cpu_percent(clocks, start_s, ticks),
	       start, tty, used_s / HOUR_S, used_s / MINUTE_S % 60, used_s % MINUTE_S,
	       process->command);
}

void process_table_print(const pid_t *pids, size_t count)
{
	const struct clocks clocks = read_clocks();
	struct process process;

	printf("%-*s %7s %7s %2s %5s %-8s %8s %s\n", USER_WIDTH, "UID", "PID", "PPID", "C", "STIME",
	       "TTY", "TIME", "CMD");
	for (size_t i = 0; i < count; i++)
		if (read_process(&process, pids[i]))
			print_process(&clocks, &process);
}
