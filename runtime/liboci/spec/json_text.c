/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a value of a parsed document.
 *
 * cJSON does not say where a value stood. Its tree keeps the order of the text though, so counting
 * members and elements from the root leads there. The text is known to be JSON by cJSON's notion;
 * every step is bounded all the same, and any surprise is NULL.
 */
#include <string.h>

#include "spec/json_fields.h"

struct cursor {
	const char *at, *end;
};

static void skip_space(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (unsigned char)*cursor->at <= ' ')
		cursor->at++;
}

/* Most strings have no escape: then the first quotation mark is the end. */
static bool skip_string(struct cursor *cursor)
{
	const char *at = cursor->at + 1, *const end = cursor->end;
	const char *quote = memchr(at, '"', (size_t)(end - at));

	if (!quote)
		return false;
	if (quote[-1] == '\\') {
		while (at < end && *at != '"')
			at += *at == '\\' ? 2 : 1;
		quote = at;
	}
	cursor->at = quote + 1;
	return quote < end;
}

static bool skip_nested(struct cursor *cursor)
{
	size_t depth = 0;

	while (cursor->at < cursor->end) {
		switch (*cursor->at) {
		case '"':
			if (!skip_string(cursor))
				return false;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		default:
			break;
		}
		cursor->at++;
		if (depth == 0)
			return true;
	}
	return false;
}

static bool skip_value(struct cursor *cursor)
{
	skip_space(cursor);
	if (cursor->at == cursor->end)
		return false;
	if (*cursor->at == '"')
		return skip_string(cursor);
	if (*cursor->at == '{' || *cursor->at == '[')
		return skip_nested(cursor);
	while (cursor->at < cursor->end && (unsigned char)*cursor->at > ' ' &&
	       !strchr(",]}", *cursor->at))
		cursor->at++;
	return true;
}

static bool skip_char(struct cursor *cursor, char c)
{
	skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

static bool skip_key(struct cursor *cursor)
{
	skip_space(cursor);
	return cursor->at < cursor->end && *cursor->at == '"' && skip_string(cursor) &&
	       skip_char(cursor, ':');
}

/* From before an object or array to before its child `index`. */
static bool enter(struct cursor *cursor, bool object, size_t index)
{
	if (!skip_char(cursor, object ? '{' : '['))
		return false;
	for (;;) {
		if (object && !skip_key(cursor))
			return false;
		skip_space(cursor);
		if (index-- == 0)
			return true;
		if (!skip_value(cursor) || !skip_char(cursor, ','))
			return false;
	}
}

static size_t index_in_parent(const struct json_value *value)
{
	const cJSON *item;
	size_t index = 0;

	cJSON_ArrayForEach(item, value->parent->item) {
		if (item == value->item)
			break;
		index++;
	}
	return index;
}

static bool find(const struct json_value *value, struct cursor *cursor)
{
	if (value->parent)
		return find(value->parent, cursor) &&
		       enter(cursor, cJSON_IsObject(value->parent->item), index_in_parent(value));
	*cursor = (struct cursor){ .at = value->reader->text,
				   .end = value->reader->text + value->reader->bytes };
	/* cJSON passes over a byte order mark. */
	if (value->reader->bytes >= 3 && memcmp(cursor->at, "\xef\xbb\xbf", 3) == 0)
		cursor->at += 3;
	skip_space(cursor);
	return true;
}

const char *json_text_of(const struct json_value *value, size_t *ret_bytes)
{
	struct cursor cursor;
	const char *begin;

	if (!find(value, &cursor))
		return NULL;
	begin = cursor.at;
	if (!skip_value(&cursor))
		return NULL;
	*ret_bytes = (size_t)(cursor.at - begin);
	return begin;
}
