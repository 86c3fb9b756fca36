/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract http: the function is a server on 127.0.0.1, and each request is a POST to it, as
 * under OpenFaaS's of-watchdog.
 *
 * The connection that the first request takes is made before the snapshot. A server may close it
 * whenever it likes: when it did so before a byte of a response came, the request is sent once
 * more, over a new one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "body.h"
#include "child.h"
#include "cleanup.h"
#include "clock.h"
#include "contract.h"
#include "err.h"
#include "exit_codes.h"
#include "http_message.h"
#include "line.h"
#include "machine.h"
#include "socket.h"

#define HOOK_BEFORE_SNAPSHOT "/_quark/before-snapshot"
#define HOOK_AFTER_RESTORE "/_quark/after-restore"

enum {
	SLOT_SERVER = CHILD_POLL_FIRST,
	SLOT_COUNT,
	HEAD_BYTES = 1024, /* path and content type have at most 256 each */
	READ_BYTES = 16384,
	FAILURE_BYTES = 8192, /* of what the server says with a failure */
	READY_PAUSE_NS = 10 * 1000 * 1000,
	END_WAIT_MS = 200, /* between a closed connection and the news of its process's end */
};

struct http {
	const struct contract_options *options; /* borrowed */
	struct child child;
	struct http_message response;
	struct body body;
	int fd; /* owned: to the server; -1: none */
	bool failed; /* in a hook: `err` has the reason, and there will be no answer */
	struct err err;
	char post[HEAD_BYTES]; /* what all requests begin with, up to the length */
	size_t post_bytes;
	char read[READ_BYTES];
};

/* What is sent: a head, and perhaps a body. */
struct call {
	const char *head, *data;
	size_t head_bytes, data_bytes;
	uint64_t deadline_ns;
};

/* --- one exchange -------------------------------------------------------------------------- */

static int connection_open(struct http *h, struct err *err)
{
	int fd = socket_connect((uint16_t)h->options->port);

	if (fd < 0)
		return err_set(err, fd, "cannot connect to 127.0.0.1:%u: %s",
			       (unsigned int)h->options->port, strerror(-fd));
	h->fd = fd;
	return 0;
}

static int response_read(struct http *h, struct err *err)
{
	ssize_t n = recv(h->fd, h->read, sizeof(h->read), MSG_DONTWAIT);
	int r;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return err_set(err, -errno, "the connection to the function broke: %s",
			       strerror(errno));
	r = http_message_feed(&h->response, h->read, (size_t)n, err);
	if (r == 0 && !h->response.complete)
		socket_acknowledge(h->fd);
	return r;
}

/* Sends and receives at once: a server may answer before it has read all, or instead. */
static int exchange_step(struct http *h, struct socket_parts *parts, uint64_t deadline_ns,
			 struct err *err)
{
	int r = socket_write(h->fd, parts);
	short events = r == -EAGAIN ? POLLIN | POLLOUT : POLLIN;
	struct pollfd fds[SLOT_COUNT] = {[SLOT_SERVER] = {.fd = h->fd, .events = events}};

	if (r < 0 && r != -EAGAIN)
		parts->first = parts->count; /* its response may have come all the same */
	r = child_poll(&h->child, fds, SLOT_COUNT, deadline_ns);
	if (r < 0)
		return err_set(err, r, r == -ETIMEDOUT ? "the function did not answer in time"
						       : "cannot wait for the function");
	if (fds[SLOT_SERVER].revents & ~POLLOUT)
		return response_read(h, err);
	return h->child.ended ? child_ended(&h->child, err) : 0;
}

static int exchange_once(struct http *h, const struct call *call, struct err *err)
{
	struct socket_parts parts = {
		.parts = {{(void *)call->head, call->head_bytes},
			  {(void *)call->data, call->data_bytes}},
		.count = 2,
	};
	int r = 0;

	body_reset(&h->body);
	http_message_begin(&h->response, HTTP_RESPONSE);
	while (r == 0 && !h->response.complete && !h->body.overflow)
		r = exchange_step(h, &parts, call->deadline_ns, err);
	if (r < 0 || h->body.overflow || !h->response.keep_alive || parts.first < parts.count)
		h->fd = fd_close(h->fd);
	return r;
}

static bool is_closed(int r)
{
	return r == -ECONNRESET || r == -ECONNREFUSED || r == -EPIPE;
}

/* What is to be read before anything was asked is the connection's end, or bytes that would be
 * taken for the response. */
static bool is_stale(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* 0 with the response in h->response and h->body, which may have overflowed. */
static int exchange(struct http *h, const struct call *call, struct err *err)
{
	bool kept;
	int r = 0;

	if (h->fd >= 0 && is_stale(h->fd))
		h->fd = fd_close(h->fd);
	kept = h->fd >= 0;
	if (!kept)
		r = connection_open(h, err);
	if (r == 0)
		r = exchange_once(h, call, err);
	if (kept && is_closed(r) && !h->response.started) {
		r = connection_open(h, err);
		if (r == 0)
			r = exchange_once(h, call, err);
	}
	return r;
}

/* The same for a function that was ready: who closes may be about to end, which says more. */
static int exchange_ready(struct http *h, const struct call *call, struct err *err)
{
	int r = exchange(h, call, err);

	if (is_closed(r) && child_wait(&h->child, deadline_in(END_WAIT_MS)))
		return child_ended(&h->child, err);
	return r;
}

/* --- until the function is ready ----------------------------------------------------------- */

static struct call call_make(struct http *h, char head[HEAD_BYTES], const char *method,
			     const char *path, uint64_t deadline_ns)
{
	int n = snprintf(head, HEAD_BYTES,
			 "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 0\r\n\r\n",
			 method, path, (unsigned int)h->options->port);

	return (struct call){.head = head, .head_bytes = (size_t)n, .deadline_ns = deadline_ns};
}

/* Any status is an answer. */
static int ready_try(struct http *h, uint64_t deadline_ns, struct err *err)
{
	char head[HEAD_BYTES];
	struct call call;

	if (!h->options->ready_path)
		return connection_open(h, err);
	call = call_make(h, head, "GET", h->options->ready_path, deadline_ns);
	return exchange(h, &call, err);
}

static int ready_pause(struct http *h)
{
	struct pollfd fds[CHILD_POLL_FIRST];
	uint64_t until_ns = monotonic_ns() + READY_PAUSE_NS;
	int r = 0;

	while (r == 0 && !h->child.ended)
		r = child_poll(&h->child, fds, CHILD_POLL_FIRST, until_ns);
	return r == -ETIMEDOUT ? 0 : r;
}

static int ready_wait(struct http *h, struct err *err)
{
	uint64_t deadline_ns = deadline_in(h->options->start_timeout_ms);
	int r = ready_try(h, deadline_ns, err);

	while (r < 0 && !h->child.ended && monotonic_ns() < deadline_ns) {
		r = ready_pause(h);
		if (r == 0 && !h->child.ended)
			r = ready_try(h, deadline_ns, err);
		else
			r = -ECHILD;
	}
	if (r < 0 && h->child.ended)
		(void)child_ended(&h->child, err);
	return r < 0 ? err_prefix(err, r, "not ready") : 0;
}

/* --- hooks --------------------------------------------------------------------------------- */

static int hook_call(struct http *h, const char *path, uint64_t timeout_ms, struct err *err)
{
	char head[HEAD_BYTES];
	struct call call = call_make(h, head, "POST", path, deadline_in(timeout_ms));
	int r = exchange_ready(h, &call, err);

	if (r == 0 && h->response.parser.status_code / 100 != 2)
		r = err_set(err, -EPROTO, "HTTP %u: %.256s", h->response.parser.status_code,
			    body_data(&h->body));
	return r < 0 ? err_prefix(err, r, "hook %s", path) : 0;
}

/* The first request finds a connection that is there. */
static void connection_keep(struct http *h)
{
	if (h->fd < 0)
		(void)connection_open(h, NULL);
}

/* There must be no snapshot of a function that could not prepare itself for it. */
static void before_snapshot(void *context)
{
	struct http *h = context;

	if (hook_call(h, HOOK_BEFORE_SNAPSHOT, h->options->start_timeout_ms, &h->err) < 0) {
		machine_end("http", h->err.message);
		child_kill(&h->child);
		exit(EXIT_ERROR);
	}
	connection_keep(h);
}

/* A clone that could not make itself unique must answer nothing. */
static void after_restore(void *context)
{
	struct http *h = context;

	if (hook_call(h, HOOK_AFTER_RESTORE, h->options->timeout_ms, &h->err) < 0)
		h->failed = true;
}

/* --- requests ------------------------------------------------------------------------------ */

static void post_make(struct http *h)
{
	int n = snprintf(h->post, sizeof(h->post),
			 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: %s\r\n"
			 "Content-Length: ",
			 h->options->path, (unsigned int)h->options->port,
			 h->options->content_type);

	h->post_bytes = (size_t)n;
}

static void failure_answer(struct http *h)
{
	static char message[FAILURE_BYTES + sizeof("HTTP 65535: ")];

	(void)snprintf(message, sizeof(message), "HTTP %u: %.*s", h->response.parser.status_code,
		       FAILURE_BYTES, body_data(&h->body));
	(void)quark_fail(message);
}

static void answer(struct http *h)
{
	if (h->response.parser.status_code / 100 != 2)
		failure_answer(h);
	else if (h->body.overflow)
		machine_fail("the response is larger than %zu bytes", quark_response_max());
	else
		(void)quark_respond(h->body.large ? quark_response_buffer() : h->body.small,
				    h->body.bytes);
}

static void request_serve(struct http *h, const struct quark_request *request)
{
	struct line head = {.text = h->post, .bytes = h->post_bytes, .max = sizeof(h->post)};
	struct call call = {.head = h->post,
			    .data = request->data,
			    .data_bytes = request->bytes,
			    .deadline_ns = deadline_in(h->options->timeout_ms)};
	struct err err = {0};

	line_add_number(&head, request->bytes);
	line_add_text(&head, "\r\n\r\n");
	call.head_bytes = head.bytes;
	if (exchange_ready(h, &call, &err) < 0)
		machine_fail("%s", err.message);
	else
		answer(h);
}

static int http_serve(struct http *h, struct err *err)
{
	struct quark_request request;
	int r = 0;

	while (r == 0 && !h->child.ended) {
		connection_keep(h);
		r = machine_next(&request, err);
		if (r == 0 && h->failed)
			r = err_set(err, -EPROTO, "%s", h->err.message);
		if (r == 0)
			request_serve(h, &request);
	}
	return r < 0 ? r : child_ended(&h->child, err);
}

int http_run(const struct contract_options *options, struct err *err)
{
	static struct http state;
	static struct machine_hooks hooks;
	struct http *h = &state;
	char port[sizeof("PORT=65535")];
	char *const extra[] = {port, NULL};
	int r;

	*h = (struct http){.options = options, .fd = -1, .response.body = &h->body};
	hooks = (struct machine_hooks){before_snapshot, after_restore, h};
	(void)snprintf(port, sizeof(port), "PORT=%u", (unsigned int)options->port);
	post_make(h);
	r = child_init(&h->child, options->command, extra, err);
	if (r == 0)
		r = child_start_logged(&h->child, err);
	if (r == 0)
		r = ready_wait(h, err);
	if (r == 0 && options->hooks)
		r = machine_hooks_add(&hooks, err);
	if (r == 0)
		r = http_serve(h, err);
	return child_finish(&h->child, r);
}
