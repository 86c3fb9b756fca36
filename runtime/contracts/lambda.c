/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract lambda: the function is a client of AWS Lambda's Runtime API, which is served here.
 *
 * The snapshot point is the function's first GET invocation/next, or the GET restore/next before
 * it, by which a runtime that knows SnapStart says that it has hooks to run after a restore: it is
 * then answered in each clone, and the clone is not ready until it asks for the invocation.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "child.h"
#include "cleanup.h"
#include "contract.h"
#include "err.h"
#include "lambda_api.h"
#include "lambda_env.h"
#include "line.h"
#include "machine.h"

#define NS_PER_MS 1000000u
#define REPLY_OK "{\"status\":\"OK\"}\n"

enum {
	HEADERS_BYTES = 800,
	/* Of the request's 64: the rest is the kernel's alone, as an id is not secret. */
	ENTROPY_ID_OFFSET = 48,
	EXIT_WAIT_MS = 2000, /* for a function that has reported why it ends */
	RESTORE_TIMEOUT_MS = 10000, /* as on Lambda: 10 s for hooks after a restore */
};

struct lambda {
	const struct contract_options *options; /* borrowed */
	struct child child;
	struct lambda_api api;
	struct lambda_env env;
	bool failed; /* the function cannot be used: `err` says why */
	bool ready;  /* it has asked for its first invocation */
	bool hooked; /* its hooks have run, by its one restore/next */
	uint64_t invocations;
	struct err err;
};

/* --- what the function reports ------------------------------------------------------------- */

struct reply_row {
	const char *status, *body;
};

static const struct reply_row reply_accepted = {"202 Accepted", REPLY_OK};
static const struct reply_row reply_not_found = {
	"404 Not Found",
	"{\"errorMessage\":\"No such path or method\",\"errorType\":\"NotFound\"}\n"};
static const struct reply_row reply_other_id = {
	"400 Bad Request",
	"{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n"};
static const struct reply_row reply_busy = {
	"403 Forbidden",
	"{\"errorMessage\":\"Another response is arriving\",\"errorType\":\"InvalidStateTransition\"}"
	"\n"};
static const struct reply_row reply_too_large = {
	"413 Request Entity Too Large",
	"{\"errorMessage\":\"The response is too large\",\"errorType\":\"RequestEntityTooLarge\"}\n"};

static void posted_reply(struct lambda *l, const struct reply_row *reply)
{
	struct lambda_connection *connection = l->api.posted;

	l->api.posted = NULL;
	lambda_api_reply(&l->api, connection, reply->status, "", 0, reply->body,
			 strlen(reply->body));
}

/* The error's document, as Lambda gives it to who invokes, or else its type. */
static const char *error_text(struct lambda *l)
{
	const struct http_message *message = &l->api.posted->message;

	if (l->api.body_owner == l->api.posted && l->api.body.bytes > 0)
		return body_data(&l->api.body);
	return message->value[0] ? message->value : "the function reported an error without a word";
}

/* The answer goes out first: the host need not wait for what the function is told. */
static void response_take(struct lambda *l)
{
	struct body *body = &l->api.body;

	if (l->api.body_owner != l->api.posted) {
		posted_reply(l, &reply_busy);
		return;
	}
	l->api.id[0] = '\0';
	if (body->overflow) {
		machine_fail("Function.ResponseSizeTooLarge: the response is larger than %zu bytes",
			     quark_response_max());
		posted_reply(l, &reply_too_large);
		return;
	}
	/* A trailer of a streamed response says that it broke off. */
	if (l->api.posted->message.value[0])
		(void)quark_fail(error_text(l));
	else
		(void)quark_respond(body->large ? quark_response_buffer() : body->small,
				    body->bytes);
	posted_reply(l, &reply_accepted);
}

static void error_take(struct lambda *l)
{
	l->api.id[0] = '\0';
	(void)quark_fail(error_text(l));
	posted_reply(l, &reply_accepted);
}

/* Of the initialisation, of the hooks after a restore, or of an exception that nobody caught: it is
 * the end of this function. */
static void end_take(struct lambda *l, const char *what)
{
	l->failed = true;
	(void)err_set(&l->err, -ECANCELED, "%s: %.256s", what, error_text(l));
	if (l->api.id[0])
		(void)quark_fail(error_text(l));
	l->api.id[0] = '\0';
	posted_reply(l, &reply_accepted);
}

static void posted_take(struct lambda *l)
{
	switch (l->api.posted->call) {
	case LAMBDA_RESPONSE:
		response_take(l);
		break;
	case LAMBDA_ERROR:
		error_take(l);
		break;
	case LAMBDA_INIT_ERROR:
		end_take(l, l->ready ? "the function gave up" : "the initialisation failed");
		break;
	case LAMBDA_RESTORE_ERROR:
		end_take(l, "a hook after the restore failed");
		break;
	case LAMBDA_OTHER_ID:
		posted_reply(l, &reply_other_id);
		break;
	default:
		posted_reply(l, &reply_not_found);
		break;
	}
}

/* --- waiting for the function -------------------------------------------------------------- */

static int step(struct lambda *l, uint64_t deadline_ns, struct err *err)
{
	int r = lambda_api_step(&l->api, deadline_ns);

	if (r == -ETIMEDOUT)
		return err_set(err, r, "the function did not answer in time");
	if (r < 0)
		return err_set(err, r, "cannot wait for the function: %s", strerror(-r));
	if (l->api.posted)
		posted_take(l);
	if (l->failed) {
		(void)child_wait(&l->child, deadline_in(EXIT_WAIT_MS));
		return err_set(err, l->err.code, "%s", l->err.message);
	}
	return l->child.ended ? child_ended(&l->child, err) : 0;
}

static void restore_reply(struct lambda *l)
{
	lambda_api_reply(&l->api, l->api.restore_next, "200 OK", "", 0, REPLY_OK, strlen(REPLY_OK));
}

static int wait_for_next(struct lambda *l, uint64_t timeout_ms, struct err *err)
{
	uint64_t deadline_ns = deadline_in(timeout_ms);
	int r = 0;

	while (r == 0 && !l->api.next) {
		/* Who asks again, later than for the snapshot, is not kept. */
		if (l->api.restore_next)
			restore_reply(l);
		r = step(l, deadline_ns, err);
	}
	return r;
}

static int wait_for_ready(struct lambda *l, struct err *err)
{
	uint64_t deadline_ns = deadline_in(l->options->start_timeout_ms);
	int r = 0;

	while (r == 0 && !l->api.next && !l->api.restore_next)
		r = step(l, deadline_ns, err);
	l->ready = r == 0;
	return r < 0 ? err_prefix(err, r, "not ready") : 0;
}

/* Lets a runtime that waits in restore/next run its hooks, until it asks for the invocation. */
static void hooks_let_run(struct lambda *l)
{
	struct err err = {0};

	if (l->api.next || l->failed)
		return;
	l->hooked = l->api.restore_next;
	if (wait_for_next(l, RESTORE_TIMEOUT_MS, &err) < 0) {
		l->failed = true;
		l->err = err;
	}
}

/* For each clone, and before that for warm-up: a runtime's hooks cannot be run twice, and a clone
 * for which they were not run is not unique. */
static void after_restore(void *context)
{
	struct lambda *l = context;

	if (l->hooked) {
		l->failed = true;
		(void)err_set(&l->err, -ENOTSUP,
			      "a runtime that asks for restore/next cannot be warmed up");
	}
	hooks_let_run(l);
}

/* --- invocations --------------------------------------------------------------------------- */

/* RFC 9562, version 4, from the clone's own entropy; the later ones of a clone differ in the last
 * eight bytes. */
static void id_make(struct lambda *l, const struct quark_request *request)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[16];
	uint64_t last;
	char *to = l->api.id;

	memcpy(bytes, request->entropy + ENTROPY_ID_OFFSET, sizeof(bytes));
	memcpy(&last, bytes + 8, sizeof(last));
	last += l->invocations++;
	memcpy(bytes + 8, &last, sizeof(last));
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	*to = '\0';
}

/* X-Ray's form: a time of 8 hexadecimal digits and 24 of an identity. */
static void trace_add(struct line *line, const struct lambda *l, uint64_t realtime_ns)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t seconds = (uint32_t)(realtime_ns / 1000000000u);
	char time[8];

	for (size_t i = 0; i < sizeof(time); i++)
		time[i] = digits[seconds >> (28 - 4 * i) & 15];
	line_add_text(line, "Lambda-Runtime-Trace-Id: Root=1-");
	line_add(line, time, sizeof(time));
	line_add_text(line, "-");
	line_add(line, l->api.id, 8);
	line_add(line, l->api.id + 9, 4);
	line_add(line, l->api.id + 24, 12);
	line_add_text(line, ";Sampled=0\r\n");
}

static void invocation_send(struct lambda *l, const struct quark_request *request)
{
	uint64_t timeout_ms = l->options->timeout_ms;
	char text[HEADERS_BYTES];
	struct line line = {.text = text, .max = sizeof(text)};

	id_make(l, request);
	line_add_text(&line, "Lambda-Runtime-Aws-Request-Id: ");
	line_add_text(&line, l->api.id);
	line_add_text(&line, "\r\nLambda-Runtime-Deadline-Ms: ");
	line_add_number(&line, request->realtime_ns / NS_PER_MS + timeout_ms);
	line_add_text(&line, "\r\nLambda-Runtime-Invoked-Function-Arn: ");
	line_add_text(&line, l->env.arn);
	line_add_text(&line, "\r\n");
	trace_add(&line, l, request->realtime_ns);
	lambda_api_reply(&l->api, l->api.next, "200 OK", text, line.bytes, request->data,
			 request->bytes);
}

/* Until the function has answered, or asks for the next invocation without an answer. */
static int invocation_wait(struct lambda *l, struct err *err)
{
	uint64_t deadline_ns = deadline_in(l->options->timeout_ms);
	int r = 0;

	while (r == 0 && l->api.id[0] && !l->api.next)
		r = step(l, deadline_ns, err);
	if (r == 0 && l->api.id[0])
		machine_fail("the function asked for the next invocation without an answer");
	if (r < 0)
		(void)quark_fail(err->message);
	l->api.id[0] = '\0';
	return r;
}

static int invocation_serve(struct lambda *l, struct err *err)
{
	struct quark_request request;
	int r = machine_next(&request, err);

	if (r == 0)
		hooks_let_run(l); /* unless libquark had it done */
	if (r == 0 && l->failed)
		r = err_set(err, -ECANCELED, "%s", l->err.message);
	if (r < 0)
		return r;
	invocation_send(l, &request);
	r = invocation_wait(l, err);
	return r < 0 ? r : wait_for_next(l, l->options->timeout_ms, err);
}

int lambda_run(const struct contract_options *options, struct err *err)
{
	static struct lambda state;
	static struct machine_hooks hooks;
	struct lambda *l = &state;
	int r;

	l->options = options;
	lambda_env_make(&l->env, options);
	hooks = (struct machine_hooks){NULL, after_restore, l};
	r = child_init(&l->child, options->command, l->env.list, err);
	if (r == 0)
		r = lambda_api_open(&l->api, (uint16_t)options->port, &l->child, err);
	if (r == 0)
		r = child_start_logged(&l->child, err);
	if (r == 0)
		r = wait_for_ready(l, err);
	if (r == 0)
		r = machine_hooks_add(&hooks, err);
	while (r == 0)
		r = invocation_serve(l, err);
	return child_finish(&l->child, r);
}
