/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function's bytes as the contracts http and lambda read them: struct http_message and its body.
 *
 * The first byte of an input says whether it is a request or a response, and in pieces of how many
 * bytes the rest arrives. Whatever comes, nothing is written outside of the message and the room
 * for the response, texts end, and the pieces make no difference to what was understood.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "contracts/http_message.h"
#include "err.h"
#include "quark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Smaller than the mailbox's, so that inputs overflow it; the sanitizers look beyond its end. */
enum { ROOM_BYTES = BODY_SMALL_BYTES + 512 };

static char *room;

void *quark_response_buffer(void)
{
	return room;
}

size_t quark_response_max(void)
{
	return ROOM_BYTES;
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void texts_check(const struct http_message *message, const struct body *body)
{
	check(message->url_bytes <= HTTP_URL_MAX && !message->url[message->url_bytes]);
	check(message->name_bytes <= HTTP_NAME_MAX && !message->name[message->name_bytes]);
	check(message->value_bytes <= HTTP_VALUE_MAX && !message->value[message->value_bytes]);
	check(body->bytes <= ROOM_BYTES);
}

/* Feeds all of it, then the end of the connection when the message is not complete. */
static int read_in_pieces(struct http_message *message, struct body *body,
			  enum http_parser_type type, const uint8_t *data, size_t bytes,
			  size_t piece)
{
	struct err err = {0};
	int r = 0;

	*message = (struct http_message){.body = body, .wanted = "X-Wanted"};
	body_reset(body);
	http_message_begin(message, type);
	while (r == 0 && bytes > 0 && !message->complete) {
		size_t n = bytes < piece ? bytes : piece;

		r = http_message_feed(message, (const char *)data, n, &err);
		data += n;
		bytes -= n;
	}
	if (r == 0 && !message->complete)
		r = http_message_feed(message, NULL, 0, &err);
	check((r < 0) == (err.code != 0));
	check((r < 0) != message->complete);
	texts_check(message, body);
	(void)body_data(body);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct http_message whole, pieces;
	static struct body whole_body, pieces_body;
	enum http_parser_type type;
	size_t piece;
	char *kept;
	int r;

	if (bytes == 0)
		return 0;
	type = data[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
	piece = (size_t)(data[0] >> 1) + 1;
	room = malloc(ROOM_BYTES);
	check(room);
	r = read_in_pieces(&whole, &whole_body, type, data + 1, bytes - 1, bytes);
	kept = room;
	room = malloc(ROOM_BYTES);
	check(room);
	check(read_in_pieces(&pieces, &pieces_body, type, data + 1, bytes - 1, piece) == r ||
	      r < 0);
	if (r == 0) {
		check(pieces_body.bytes == whole_body.bytes &&
		      pieces_body.overflow == whole_body.overflow);
		check(!memcmp(whole_body.large ? kept : whole_body.small,
			      pieces_body.large ? room : pieces_body.small, whole_body.bytes));
		check(!strcmp(whole.url, pieces.url) && !strcmp(whole.value, pieces.value));
	}
	free(kept);
	free(room);
	room = NULL;
	return 0;
}
