/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function prints: line by line into the caller's log, and its end into error messages.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	OUTPUT_LINE_MAX = 4096, /* a longer line is logged in pieces: quark_log takes no more */
	OUTPUT_TAIL_BYTES = 1024,
};

struct output {
	int fd;		 /* owned: the read end of a pipe; -1: none, or its end was reached */
	size_t bytes;	 /* of a line that has not ended */
	size_t tail_bytes;
	char line[OUTPUT_LINE_MAX];
	char tail[OUTPUT_TAIL_BYTES + 1]; /* NUL-terminated */
};

/* Takes the read end over; forgets what came before. */
void output_open(struct output *output, int fd);

/* Reads once, when there is something to read (else it blocks). At the end of the output the rest
 * is logged and `fd` closed. */
void output_take(struct output *output);

/* Takes what is there already, also from a pipe that others still hold open, then closes it. */
void output_close(struct output *output);

/* The last bytes of what was printed, without the final newline. */
const char *output_tail(struct output *output);
