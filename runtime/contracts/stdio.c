/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract stdio: a process for each request, which reads it from standard input and writes
 * the response to standard output, as under OpenFaaS's classic watchdog.
 *
 * Standard error goes to the log. Status 0 makes a response, any other a failure. Nothing of a
 * process outlives its request: its process group is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "body.h"
#include "child.h"
#include "cleanup.h"
#include "contract.h"
#include "err.h"
#include "machine.h"

enum {
	PIPE_BYTES = 65536, /* a pipe takes so much at once: pipe(7) */
	SLOT_OUT = CHILD_POLL_FIRST,
	SLOT_IN,
	SLOT_COUNT,
};

struct stdio {
	const struct contract_options *options; /* borrowed */
	struct child child;			/* its output is standard error */
	struct body body;
	int in, out; /* owned: our ends; -1: closed */
	const char *left; /* of the request, in the mailbox */
	size_t left_bytes;
};

static void ends_close(int ends[3])
{
	for (int i = 0; i < 3; i++)
		ends[i] = fd_close(ends[i]);
}

static int pipe_make(int *ret_read, int *ret_write, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "no pipe: %s", strerror(errno));
	*ret_read = ends[0];
	*ret_write = ends[1];
	return 0;
}

/* Our end is -1 when all is written, or the process does not want more. */
static void request_write(struct stdio *s)
{
	ssize_t n = 0;

	if (s->left_bytes > 0)
		n = write(s->in, s->left, s->left_bytes);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= 0) {
		s->left += n;
		s->left_bytes -= (size_t)n;
	}
	if (n < 0 || s->left_bytes == 0)
		s->in = fd_close(s->in);
}

/* A request that the pipe takes whole is there before the process is. */
static int process_start(struct stdio *s, const struct quark_request *request, struct err *err)
{
	int ends[3] = {-1, -1, -1};
	int err_end = -1, r;

	r = pipe_make(&ends[0], &s->in, err);
	if (r == 0)
		r = pipe_make(&s->out, &ends[1], err);
	if (r == 0)
		r = pipe_make(&err_end, &ends[2], err);
	if (r == 0) {
		output_open(&s->child.output, err_end);
		s->left = request->data;
		s->left_bytes = request->bytes;
		if (request->bytes > PIPE_BYTES)
			(void)fcntl(s->in, F_SETFL, O_NONBLOCK);
		request_write(s);
		r = child_start(&s->child, ends, err);
	}
	ends_close(ends);
	return r;
}

/* Reads once; at the end, our end is -1. */
static void response_read(struct stdio *s)
{
	size_t room;
	void *to = body_room(&s->body, &room);
	ssize_t n = read(s->out, to, room);

	if (n > 0)
		body_grow(&s->body, (size_t)n);
	else
		s->out = fd_close(s->out);
}

static int step(struct stdio *s, uint64_t deadline_ns)
{
	struct pollfd fds[SLOT_COUNT] = {
		[SLOT_OUT] = {.fd = s->out, .events = POLLIN},
		[SLOT_IN] = {.fd = s->in, .events = POLLOUT},
	};
	int r = child_poll(&s->child, fds, SLOT_COUNT, deadline_ns);

	if (r < 0)
		return r;
	if (fds[SLOT_OUT].revents)
		response_read(s);
	if (fds[SLOT_IN].revents)
		request_write(s);
	return s->body.overflow ? -EMSGSIZE : 0;
}

/* What an ended process left in the pipe, which others may hold open: they are not waited for. */
static int response_drain(struct stdio *s)
{
	while (s->out >= 0 && !s->body.overflow) {
		struct pollfd fd = {.fd = s->out, .events = POLLIN};

		if (poll(&fd, 1, 0) <= 0)
			break;
		response_read(s);
	}
	return s->body.overflow ? -EMSGSIZE : 0;
}

static int process_serve(struct stdio *s)
{
	uint64_t deadline_ns = deadline_in(s->options->timeout_ms);
	int r = 0;

	while (r == 0 && !s->child.ended)
		r = step(s, deadline_ns);
	if (r == 0)
		r = response_drain(s);
	child_kill(&s->child);
	output_close(&s->child.output);
	return r;
}

static void failure_answer(struct stdio *s)
{
	const char *tail = output_tail(&s->child.output);
	char text[CHILD_TEXT_BYTES];
	char message[CHILD_TEXT_BYTES + OUTPUT_TAIL_BYTES + 16];

	(void)snprintf(message, sizeof(message), "the function %s%s%s",
		       child_describe(&s->child, text), *tail ? ": " : "", tail);
	(void)quark_fail(message);
}

static void answer(struct stdio *s, int r)
{
	if (r == -ETIMEDOUT)
		machine_fail("the function did not end within %llu ms",
			     (unsigned long long)s->options->timeout_ms);
	else if (r == -EMSGSIZE)
		machine_fail("the response is larger than %zu bytes", quark_response_max());
	else if (r < 0)
		machine_fail("cannot wait for the function: %s", strerror(-r));
	else if (s->child.status != 0)
		failure_answer(s);
	else
		(void)quark_respond(s->body.large ? quark_response_buffer() : s->body.small,
				    s->body.bytes);
}

static void request_serve(struct stdio *s, const struct quark_request *request)
{
	struct err err = {0};
	int r;

	body_reset(&s->body);
	r = process_start(s, request, &err);
	if (r == 0)
		r = process_serve(s);
	s->in = fd_close(s->in);
	s->out = fd_close(s->out);
	if (err.code)
		machine_fail("%s", err.message);
	else
		answer(s, r);
}

int stdio_run(const struct contract_options *options, struct err *err)
{
	static struct stdio state;
	struct stdio *s = &state;
	struct quark_request request;
	int r;

	*s = (struct stdio){.options = options, .in = -1, .out = -1};
	r = child_init(&s->child, options->command, NULL, err);
	while (r == 0 && !s->child.signal_pending) {
		r = machine_next(&request, err);
		if (r == 0)
			request_serve(s, &request);
	}
	return r < 0 ? r : 128 + s->child.signal_pending;
}
