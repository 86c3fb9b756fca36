/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_parser's callbacks over struct http_message.
 */
#include "http_message.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"

enum { STATUS_SWITCHING_PROTOCOLS = 101, STATUS_OK = 200 };

/* Appends to a text of at most `max` bytes; what does not fit is left out. */
static void text_append(char *text, size_t *bytes, size_t max, const char *data, size_t count)
{
	if (count > max - *bytes)
		count = max - *bytes;
	memcpy(text + *bytes, data, count);
	*bytes += count;
	text[*bytes] = '\0';
}

static int on_begin(struct http_parser *parser)
{
	struct http_message *message = parser->data;

	message->started = true;
	return 0;
}

static int on_url(struct http_parser *parser, const char *data, size_t bytes)
{
	struct http_message *message = parser->data;

	text_append(message->url, &message->url_bytes, HTTP_URL_MAX, data, bytes);
	return 0;
}

static int on_header_field(struct http_parser *parser, const char *data, size_t bytes)
{
	struct http_message *message = parser->data;

	if (message->in_value)
		message->name_bytes = 0;
	message->in_value = false;
	text_append(message->name, &message->name_bytes, HTTP_NAME_MAX, data, bytes);
	return 0;
}

static int on_header_value(struct http_parser *parser, const char *data, size_t bytes)
{
	struct http_message *message = parser->data;

	message->in_value = true;
	if (!strcasecmp(message->name, "Expect"))
		message->expect = true;
	if (message->wanted && !strcasecmp(message->name, message->wanted))
		text_append(message->value, &message->value_bytes, HTTP_VALUE_MAX, data, bytes);
	return 0;
}

/* 100 Continue and its like are followed by the response itself. */
static bool is_interim(const struct http_parser *parser)
{
	return parser->type == HTTP_RESPONSE && parser->status_code < STATUS_OK &&
	       parser->status_code != STATUS_SWITCHING_PROTOCOLS;
}

static int on_headers_complete(struct http_parser *parser)
{
	struct http_message *message = parser->data;

	if (message->on_head && !is_interim(parser))
		message->on_head(message, message->context);
	return 0;
}

static int on_body(struct http_parser *parser, const char *data, size_t bytes)
{
	struct http_message *message = parser->data;

	if (message->body && !is_interim(parser))
		body_append(message->body, data, bytes);
	return 0;
}

static int on_message_complete(struct http_parser *parser)
{
	struct http_message *message = parser->data;

	if (is_interim(parser))
		return 0;
	message->complete = true;
	message->keep_alive = http_should_keep_alive(parser) && !parser->upgrade;
	http_parser_pause(parser, 1);
	return 0;
}

static const struct http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void http_message_begin(struct http_message *message, enum http_parser_type type)
{
	http_parser_init(&message->parser, type);
	message->parser.data = message;
	http_parser_set_max_header_size(HTTP_HEAD_MAX);
	message->url_bytes = message->name_bytes = message->value_bytes = 0;
	message->url[0] = message->name[0] = message->value[0] = '\0';
	message->in_value = message->started = message->expect = false;
	message->complete = message->keep_alive = false;
}

int http_message_feed(struct http_message *message, const char *data, size_t bytes, struct err *err)
{
	size_t used = http_parser_execute(&message->parser, &settings, data, bytes);
	enum http_errno error = HTTP_PARSER_ERRNO(&message->parser);

	if (message->complete) {
		if (used != bytes)
			message->keep_alive = false;
		return 0;
	}
	if (bytes == 0)
		return err_set(err, -ECONNRESET,
			       "the connection was closed before a whole message");
	if (error != HPE_OK || used != bytes)
		return err_set(err, -EPROTO, "no valid HTTP: %s", http_errno_description(error));
	return 0;
}
