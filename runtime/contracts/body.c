/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response that arrives in pieces: small in the struct, large in the mailbox.
 */
#include "body.h"

#include <string.h>

#include "quark.h"

void body_reset(struct body *body)
{
	body->bytes = 0;
	body->large = body->overflow = false;
}

static size_t body_max(const struct body *body)
{
	return body->large ? quark_response_max() : (size_t)BODY_SMALL_BYTES;
}

static char *body_base(struct body *body)
{
	return body->large ? quark_response_buffer() : body->small;
}

void *body_room(struct body *body, size_t *ret_bytes)
{
	if (!body->large && body->bytes == BODY_SMALL_BYTES) {
		memcpy(quark_response_buffer(), body->small, body->bytes);
		body->large = true;
	}
	*ret_bytes = body_max(body) - body->bytes;
	if (*ret_bytes == 0) { /* the room is large, so the small one is free */
		*ret_bytes = 1;
		return body->small;
	}
	return body_base(body) + body->bytes;
}

void body_grow(struct body *body, size_t bytes)
{
	if (bytes > body_max(body) - body->bytes)
		body->overflow = true;
	else
		body->bytes += bytes;
}

void body_append(struct body *body, const void *data, size_t bytes)
{
	const char *from = data;

	while (bytes > 0 && !body->overflow) {
		size_t room;
		char *to = body_room(body, &room);

		room = bytes < room ? bytes : room;
		memcpy(to, from, room);
		body_grow(body, room);
		from += room;
		bytes -= room;
	}
}

const char *body_data(struct body *body)
{
	char *base = body_base(body);

	if (!body->large || body->bytes < quark_response_max())
		base[body->bytes] = '\0';
	return base;
}
