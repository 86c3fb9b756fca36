/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log. It is opened for each line and closed again, so that no descriptor of it is around while
 * a container is made; nearly always there is no line at all.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "json_text.h"
#include "text.h"

static const char *const level_names[] = {
	[LEVEL_DEBUG] = "debug",
	[LEVEL_WARNING] = "warning",
	[LEVEL_ERROR] = "error",
};

/* What comes after the message in the longest form. */
enum { TAIL_BYTES = sizeof(",\"time\":\"-2147483648-00-00T00:00:00Z\"}\n") };

/* UTC, so that no time zone file is read. */
static void print_time(char *to, size_t size, time_t now)
{
	struct tm tm;

	if (!gmtime_r(&now, &tm) || strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(to, size, "1970-01-01T00:00:00Z");
}

size_t log_format(char line[LOG_LINE_BYTES], bool json, enum log_level level, time_t now,
		  const char *message)
{
	struct json_text text = json_text_to(line, LOG_LINE_BYTES);
	char time[48];

	print_time(time, sizeof(time), now);
	if (json)
		json_add(&text, "{\"level\":\"%s\",\"msg\":", level_names[level]);
	else
		json_add(&text, "time=\"%s\" level=%s msg=", time, level_names[level]);
	json_add_string_cut(&text, message, TAIL_BYTES);
	if (json)
		json_add(&text, ",\"time\":\"%s\"}\n", time);
	else
		json_add(&text, "\n");
	return text.bytes;
}

/* One write, so that lines of several processes do not mix; one line, whatever an argument that it
 * quotes has in it. */
static void write_to_stderr(const char *prefix, const char *message)
{
	char line[LOG_LINE_BYTES];
	size_t n;

	(void)snprintf(line, sizeof(line) - 1, "run0: %s%s", prefix, message);
	n = text_clean(line, line, strlen(line));
	for (size_t i = 0; i < n; i++)
		line[i] = line[i] == '\n' ? '?' : line[i];
	line[n++] = '\n';
	(void)file_write_all(STDERR_FILENO, line, n);
}

/* No O_NONBLOCK: a FIFO is a log too, as it is for runc, and waits for its reader. */
static int append(const char *path, const char *line, size_t bytes)
{
	cleanup_fd int fd = -1;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return -errno;
	return file_write_all(fd, line, bytes);
}

static void write_to_log(const struct log *log, enum log_level level, const char *message)
{
	char line[LOG_LINE_BYTES];
	char problem[LOG_MESSAGE_BYTES];
	size_t n = log_format(line, log->json, level, time(NULL), message);
	int r;

	if (!log->path) {
		(void)file_write_all(STDERR_FILENO, line, n);
		return;
	}
	r = append(log->path, line, n);
	if (r == 0)
		return;
	(void)snprintf(problem, sizeof(problem), "cannot write the log '%s': %s", log->path,
		       strerror(-r));
	write_to_stderr("", problem);
}

void log_write(const struct log *log, enum log_level level, const char *message)
{
	static const char *const prefixes[] = {
		[LEVEL_DEBUG] = "debug: ",
		[LEVEL_WARNING] = "warning: ",
		[LEVEL_ERROR] = "",
	};

	if (level == LEVEL_DEBUG && !log->debug)
		return;
	if (log->path || log->json)
		write_to_log(log, level, message);
	if (!log->json || log->path)
		if (level == LEVEL_ERROR || !log->path)
			write_to_stderr(prefixes[level], message);
}
