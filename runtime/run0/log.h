/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log that --log names, in runc's form: containerd's shim and podman look there for the reason
 * of a failure, and take the last line whose level is "error".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum log_level { LEVEL_DEBUG, LEVEL_WARNING, LEVEL_ERROR };
enum { LOG_LINE_BYTES = 4096, LOG_MESSAGE_BYTES = 1024 };

struct log {
	const char *path; /* borrowed from argv; NULL: there is standard error alone */
	bool json, debug;
};

/* One line with its newline into `line`; returns its length. A message that is too long is cut. */
size_t log_format(char line[LOG_LINE_BYTES], bool json, enum log_level level, time_t now,
		  const char *message);

/* Adds a line to the log. Errors go to standard error as well, "run0: message"; warnings do when
 * there is no log. Debug messages are dropped unless log->debug. Never fails: a log that cannot be
 * written is told of on standard error. */
void log_write(const struct log *log, enum log_level level, const char *message);
