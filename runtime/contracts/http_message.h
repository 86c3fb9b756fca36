/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.1 message as it arrives in pieces: the function's response (contract http) or its
 * request to the Runtime API (contract lambda). http_parser reads it; this keeps what is wanted.
 */
#pragma once

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

#include "body.h"

struct err;

enum {
	HTTP_URL_MAX = 255,
	HTTP_NAME_MAX = 63,
	HTTP_VALUE_MAX = 255,
	/* Lambda's clients put traces of up to 1 MiB into a header. */
	HTTP_HEAD_MAX = (1 << 20) + (64 << 10),
};

struct http_message {
	struct http_parser parser;
	struct body *body;  /* borrowed; NULL: the body is thrown away */
	const char *wanted; /* borrowed: the header (or trailer) whose value is kept; may be NULL */

	/* Called once the head was read, before the body; may set `body`. May be NULL. */
	void (*on_head)(struct http_message *message, void *context);
	void *context;

	char url[HTTP_URL_MAX + 1]; /* cut when longer: no path that we know is */
	char name[HTTP_NAME_MAX + 1];
	char value[HTTP_VALUE_MAX + 1]; /* of `wanted`; empty without */
	size_t url_bytes, name_bytes, value_bytes;
	bool in_value;
	bool started;	 /* its first byte came */
	bool complete;	 /* and its last */
	bool keep_alive; /* of a complete one: another may follow on the connection */
	bool expect;	 /* it asks for 100 Continue before it sends the body */
};

/* Gets ready for the next message; body, wanted, on_head and context stay. */
void http_message_begin(struct http_message *message, enum http_parser_type type);

/* Takes `bytes` bytes, or with 0 the end of the connection. -EPROTO with what is wrong; -ECONNRESET
 * when the end came too early. What follows a complete message makes keep_alive false. */
int http_message_feed(struct http_message *message, const char *data, size_t bytes,
		      struct err *err);
