/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of probe share: the object that is being written, and the steps that look at
 * files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	FAILED_TO_WRITE = 97,
	TOO_MUCH_TEXT = 98,
	UNKNOWN_STEP = 99,
	TEXT_BYTES = 512 * 1024,
	FILE_BYTES = 64 * 1024,
};

struct probe {
	char *text; /* owned; TEXT_BYTES */
	size_t length;
	int out_fd;         /* owned, unless standard output */
	char **argv, **env; /* borrowed from main() */
};

/* JSON text. A comma comes before whatever does not follow an opening bracket or a colon. */
void put(struct probe *probe, const char *text, size_t length);
void put_string(struct probe *probe, const char *string);
void put_number(struct probe *probe, long long number);
void put_unsigned(struct probe *probe, unsigned long long number);
void open_bracket(struct probe *probe, const char *bracket);
void close_bracket(struct probe *probe, const char *bracket);
void put_name(struct probe *probe, const char *name);
void put_member(struct probe *probe, const char *name, long long number);
void put_text_member(struct probe *probe, const char *name, const char *text);

/* Errors by their names, "ok" for none; the second as an object. */
const char *error_name(int error);
void put_error(struct probe *probe, int error);

/* Writes the object in one piece, so that lines of several processes do not mix. */
void write_out(struct probe *probe);

/* Reads all that fits and ends it with a zero; -errno when it cannot be read. */
ssize_t read_file(const char *path, char *buffer, size_t size);

void take_stat(struct probe *probe, char *value);
void take_list(struct probe *probe, char *value);
void take_read(struct probe *probe, char *value);
void take_sysctl(struct probe *probe, char *value);
void take_access(struct probe *probe, char *value);
void take_write(struct probe *probe, char *value);
void take_mknod(struct probe *probe, char *value);
