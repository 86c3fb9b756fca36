/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a function's output on their way to quark_log.
 */
#include "output.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "quark.h"

/* Who prints without end is not read without end. */
enum { DRAIN_READS_MAX = 64 };

void output_open(struct output *output, int fd)
{
	output->fd = fd;
	output->bytes = output->tail_bytes = 0;
	output->tail[0] = '\0';
}

static void tail_keep(struct output *output, const char *data, size_t bytes)
{
	size_t kept = output->tail_bytes;

	if (bytes > OUTPUT_TAIL_BYTES) {
		data += bytes - OUTPUT_TAIL_BYTES;
		bytes = OUTPUT_TAIL_BYTES;
	}
	if (kept > OUTPUT_TAIL_BYTES - bytes) {
		size_t drop = kept + bytes - OUTPUT_TAIL_BYTES;

		memmove(output->tail, output->tail + drop, kept - drop);
		kept -= drop;
	}
	memcpy(output->tail + kept, data, bytes);
	output->tail_bytes = kept + bytes;
	output->tail[output->tail_bytes] = '\0';
}

static void line_log(const char *line, size_t bytes)
{
	(void)quark_log("%.*s", (int)bytes, line);
}

/* Logs the whole lines of the buffer, and the rest too when it fills the buffer or `at_end`. */
static void lines_log(struct output *output, bool at_end)
{
	char *from = output->line;
	size_t left = output->bytes;
	char *newline;

	while ((newline = memchr(from, '\n', left))) {
		line_log(from, (size_t)(newline - from));
		left -= (size_t)(newline + 1 - from);
		from = newline + 1;
	}
	if (left > 0 && (at_end || left == OUTPUT_LINE_MAX)) {
		line_log(from, left);
		left = 0;
	}
	memmove(output->line, from, left);
	output->bytes = left;
}

static void output_end(struct output *output)
{
	lines_log(output, true);
	output->fd = fd_close(output->fd);
}

void output_take(struct output *output)
{
	char *to = output->line + output->bytes;
	ssize_t n;

	if (output->fd < 0)
		return;
	n = read(output->fd, to, OUTPUT_LINE_MAX - output->bytes);
	if (n <= 0) {
		output_end(output);
		return;
	}
	tail_keep(output, to, (size_t)n);
	output->bytes += (size_t)n;
	lines_log(output, false);
}

void output_close(struct output *output)
{
	for (int i = 0; i < DRAIN_READS_MAX && output->fd >= 0; i++) {
		struct pollfd poll_fd = {.fd = output->fd, .events = POLLIN};

		if (poll(&poll_fd, 1, 0) <= 0)
			break;
		output_take(output);
	}
	if (output->fd >= 0)
		output_end(output);
}

const char *output_tail(struct output *output)
{
	while (output->tail_bytes > 0 && output->tail[output->tail_bytes - 1] == '\n')
		output->tail[--output->tail_bytes] = '\0';
	return output->tail;
}
