/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of AWS Lambda's Runtime API, version 2018-06-01: connections, what the function
 * asks for and reports over them, and the replies.
 *
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "body.h"
#include "child.h"
#include "http_message.h"

struct err;

enum {
	LAMBDA_CONNECTIONS_MAX = 16,
	LAMBDA_ID_BYTES = 36, /* of a UUID as text */
	LAMBDA_READ_BYTES = 16384,
};

/* What a request to the API means. */
enum lambda_call {
	LAMBDA_UNKNOWN,
	LAMBDA_NEXT,
	LAMBDA_RESPONSE,
	LAMBDA_ERROR,
	LAMBDA_INIT_ERROR,
	LAMBDA_RESTORE_NEXT,
	LAMBDA_RESTORE_ERROR,
	LAMBDA_OTHER_ID, /* a response or an error, but not of the invocation that is open */
};

struct lambda_api;

struct lambda_connection {
	struct lambda_api *api; /* borrowed */
	int fd;			/* owned; -1: the slot is free */
	enum lambda_call call;	/* of the message that arrives */
	struct http_message message;
};

struct lambda_api {
	struct child *child; /* borrowed */
	int listen_fd;	     /* owned */
	char id[LAMBDA_ID_BYTES + 1]; /* of the open invocation; empty without */

	/* The one body that is kept at a time, and whose it is; NULL: it is free. */
	struct body body;
	struct lambda_connection *body_owner;

	/* Who waits for a reply: GET invocation/next, GET restore/next. */
	struct lambda_connection *next, *restore_next;

	/* A whole message other than those two; the caller answers it and sets it to NULL. */
	struct lambda_connection *posted;

	struct lambda_connection connections[LAMBDA_CONNECTIONS_MAX];
	char read[LAMBDA_READ_BYTES];
};

int lambda_api_open(struct lambda_api *api, uint16_t port, struct child *child, struct err *err);

/* Waits once and takes what came. 0, -ETIMEDOUT or -errno. */
int lambda_api_step(struct lambda_api *api, uint64_t deadline_ns);

/* Sends a reply and gets ready for the connection's next message. `headers` are whole lines, or
 * empty. A connection that breaks meanwhile is closed: its owner will find out. */
void lambda_api_reply(struct lambda_api *api, struct lambda_connection *connection,
		      const char *status, const char *headers, size_t headers_bytes,
		      const char *data, size_t bytes);
