/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects into structs. Pure: nothing here keeps state outside its arguments.
 */
#include "spec/json_fields.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "spec/arena.h"
#include "spec/spec.h"

enum { PATH_BYTES = 160, MESSAGE_BYTES = 200, NAME_SHOWN = 60 };

/* The first integer that a double cannot tell from its neighbour. */
static const double inexact = 9007199254740992.0; /* 2^53 */
static const double two_to_63 = 9223372036854775808.0;
static const double two_to_64 = 18446744073709551616.0;

/* --- errors ---------------------------------------------------------------------------------- */

/* "a.b[3]" into `to`, whose length so far is returned. */
static size_t path_write(const struct json_value *value, char *to, size_t bytes)
{
	size_t used = value->parent ? path_write(value->parent, to, bytes) : 0;
	int n;

	if (!value->name && !value->parent)
		n = 0;
	else if (value->name)
		n = snprintf(to + used, bytes - used, "%s%.*s", used ? "." : "", NAME_SHOWN,
			     value->name);
	else
		n = snprintf(to + used, bytes - used, "[%zu]", value->index);
	if (n < 0 || (size_t)n >= bytes - used)
		return bytes - 1;
	return used + (size_t)n;
}

__attribute__((format(printf, 2, 0))) static int fail_list(const struct json_value *value,
							   const char *fmt, va_list args)
{
	char path[PATH_BYTES] = "";
	char message[MESSAGE_BYTES];

	(void)path_write(value, path, sizeof(path));
	(void)vsnprintf(message, sizeof(message), fmt, args);
	(void)err_set(value->reader->err, -EINVAL, "%s: %s", path[0] ? path : "config", message);
	return -EINVAL;
}

int json_fail(const struct json_value *value, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = fail_list(value, fmt, args);
	va_end(args);
	return r;
}

int json_fail_member(const struct json_value *value, const char *name, const char *fmt, ...)
{
	const struct json_value member = {
		.reader = value->reader, .parent = value, .name = name
	};
	va_list args;
	int r;

	va_start(args, fmt);
	r = fail_list(&member, fmt, args);
	va_end(args);
	return r;
}

int json_fail_memory(const struct json_value *value)
{
	return err_set(value->reader->err, -ENOMEM, "out of memory");
}

/* --- objects --------------------------------------------------------------------------------- */

/* The row's number, or `count`. */
static size_t find_field(const struct json_table *table, const char *name)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (table->fields[i].name[0] == name[0] && strcmp(table->fields[i].name, name) == 0)
			break;
	return i;
}

static int check_required(const struct json_value *value, const struct json_table *table,
			  uint64_t present)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->fields[i].required && !(present & UINT64_C(1) << i))
			return json_fail_member(value, table->fields[i].name, "missing");
	return 0;
}

int json_members(const struct json_value *value, const struct json_table *table, void *to)
{
	uint64_t seen = 0, present = 0;
	const cJSON *item;

	if (!cJSON_IsObject(value->item))
		return json_fail(value, "not an object");
	cJSON_ArrayForEach(item, value->item) {
		const struct json_value member = { .item = item,
						   .reader = value->reader,
						   .parent = value,
						   .name = item->string };
		const size_t i = find_field(table, item->string);
		int r;

		if (i == table->count)
			continue;
		if (seen & UINT64_C(1) << i)
			return json_fail(&member, "stands there twice");
		seen |= UINT64_C(1) << i;
		if (cJSON_IsNull(item))
			continue;
		present |= UINT64_C(1) << i;
		r = table->fields[i].decode(&member, &table->fields[i],
					    (char *)to + table->fields[i].offset);
		if (r < 0)
			return r;
	}
	return check_required(value, table, present);
}

int json_object(const struct json_value *value, const struct json_field *field, void *to)
{
	return json_members(value, field->table, to);
}

int json_present_object(const struct json_value *value, const struct json_field *field, void *to)
{
	*(bool *)to = true;
	return json_members(value, field->table, to);
}

/* --- lists ----------------------------------------------------------------------------------- */

static size_t count_items(const cJSON *parent)
{
	const cJSON *item;
	size_t count = 0;

	cJSON_ArrayForEach(item, parent)
		count++;
	return count;
}

static int decode_elements(const struct json_value *value, const struct json_field *field, char *to)
{
	struct json_value element = { .reader = value->reader, .parent = value };
	const cJSON *item;

	cJSON_ArrayForEach(item, value->item) {
		int r;

		element.item = item;
		r = field->element->decode(&element, field->element, to);
		if (r < 0)
			return r;
		element.index++;
		to += field->element_bytes;
	}
	return 0;
}

/* The count stands in the same struct as the pointer at `to`. */
int json_list(const struct json_value *value, const struct json_field *field, void *to)
{
	size_t *count = (size_t *)(void *)((char *)to - field->offset + field->count_offset);
	const size_t most = field->most_items ? field->most_items : JSON_ITEMS_MAX;
	size_t n;
	void *items;
	int r;

	if (!cJSON_IsArray(value->item))
		return json_fail(value, "not an array");
	n = count_items(value->item);
	if (n == 0 && field->not_empty)
		return json_fail(value, "empty");
	if (n == 0)
		return 0;
	if (n > most)
		return json_fail(value, "more than %zu elements", most);
	items = arena_alloc(value->reader->arena, (n + 1) * field->element_bytes);
	if (!items)
		return json_fail_memory(value);
	r = decode_elements(value, field, items);
	if (r < 0)
		return r;
	memcpy(to, &items, sizeof(items));
	*count = n;
	return 0;
}

const struct json_field json_text_element = { .decode = json_text };
const struct json_field json_path_element = { .decode = json_path };

/* --- maps ------------------------------------------------------------------------------------ */

static bool has_pair(const struct oci_pairs *pairs, const char *name)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].name, name) == 0)
			return true;
	return false;
}

static int add_pair(const struct json_value *member, const struct json_field *field,
		    struct oci_pairs *pairs)
{
	if (!member->name[0])
		return json_fail(member, "a member without a name");
	if (field->allows_name && !field->allows_name(member->name))
		return json_fail(member, "not a name that is allowed here");
	if (!cJSON_IsString(member->item))
		return json_fail(member, "not a string");
	if (has_pair(pairs, member->name))
		return json_fail(member, "stands there twice");
	pairs->items[pairs->count++] =
		(struct oci_pair){ .name = member->name, .value = member->item->valuestring };
	return 0;
}

int json_pairs(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_pairs *pairs = to;
	const cJSON *item;
	size_t n;

	if (!cJSON_IsObject(value->item))
		return json_fail(value, "not an object");
	n = count_items(value->item);
	if (n == 0)
		return 0;
	if (n > JSON_PAIRS_MAX)
		return json_fail(value, "more than %d members", JSON_PAIRS_MAX);
	pairs->items = arena_alloc(value->reader->arena, n * sizeof(pairs->items[0]));
	if (!pairs->items)
		return json_fail_memory(value);
	cJSON_ArrayForEach(item, value->item) {
		const struct json_value member = { .item = item,
						   .reader = value->reader,
						   .parent = value,
						   .name = item->string };
		int r = add_pair(&member, field, pairs);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- strings and booleans -------------------------------------------------------------------- */

int json_text(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *text = cJSON_GetStringValue(value->item);

	(void)field;
	if (!text)
		return json_fail(value, "not a string");
	*(const char **)to = text;
	return 0;
}

int json_string(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *text = cJSON_GetStringValue(value->item);

	if (!text)
		return json_fail(value, "not a string");
	if (!text[0] && field->required)
		return json_fail(value, "empty");
	if (field->most_bytes && strlen(text) > field->most_bytes)
		return json_fail(value, "longer than %zu bytes", field->most_bytes);
	*(const char **)to = text[0] ? text : NULL;
	return 0;
}

int json_path(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *path = cJSON_GetStringValue(value->item);

	if (!path)
		return json_fail(value, "not a string");
	/* Elements of lists have no row of their own, and so no name. */
	if (!path[0] && field->name && !field->required)
		return 0;
	if (path[0] != '/')
		return json_fail(value, "not an absolute path");
	if (strlen(path) >= PATH_MAX)
		return json_fail(value, "longer than %d bytes", PATH_MAX - 1);
	*(const char **)to = path;
	return 0;
}

int json_boolean(const struct json_value *value, const struct json_field *field, void *to)
{
	(void)field;
	if (!cJSON_IsBool(value->item))
		return json_fail(value, "not a boolean");
	*(bool *)to = cJSON_IsTrue(value->item);
	return 0;
}

int json_flag(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_flag *flag = to;

	flag->set = true;
	return json_boolean(value, field, &flag->value);
}

bool json_find_name(const struct json_name *names, const char *name, int64_t *ret_value)
{
	for (; names->name; names++) {
		if (strcmp(names->name, name) != 0)
			continue;
		*ret_value = names->value;
		return true;
	}
	return false;
}

int json_name(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *name = cJSON_GetStringValue(value->item);
	int64_t found;

	if (!name)
		return json_fail(value, "not a string");
	if (!json_find_name(field->names, name, &found))
		return json_fail(value, "unknown value '%.*s'", NAME_SHOWN, name);
	*(int *)to = (int)found;
	return 0;
}

/* --- integers -------------------------------------------------------------------------------- */

/* Above 2^53 every double is an integer; below, converting there and back shows it. */
static bool is_integer(const cJSON *item)
{
	const double value = item->valuedouble;

	if (!cJSON_IsNumber(item) || value != value)
		return false;
	if (value >= inexact || value <= -inexact)
		return value - value == 0; /* not infinite */
	return (double)(int64_t)value == value;
}

/* Clamped, not refused: 2^63 - 1 is written for "no limit" and arrives as 2^63. */
static int64_t clamp_i64(double value)
{
	if (value >= two_to_63)
		return INT64_MAX;
	if (value < -two_to_63)
		return INT64_MIN;
	return (int64_t)value;
}

static int read_integer(const struct json_value *value, int64_t least, int64_t most,
			int64_t *ret_value)
{
	int64_t number = 0;

	if (!is_integer(value->item))
		return json_fail(value, "not an integer");
	number = clamp_i64(value->item->valuedouble);
	if (number < least || number > most)
		return json_fail(value, "%lld is not from %lld to %lld", (long long)number,
				 (long long)least, (long long)most);
	*ret_value = number;
	return 0;
}

/* The field's own range, or that of the type. */
static int read_in_range(const struct json_value *value, const struct json_field *field,
			 int64_t type_least, int64_t type_most, int64_t *ret_value)
{
	const bool own = field->least || field->most;

	return read_integer(value, own ? field->least : type_least, own ? field->most : type_most,
			    ret_value);
}

int json_i64(const struct json_value *value, const struct json_field *field, void *to)
{
	return read_in_range(value, field, INT64_MIN, INT64_MAX, to);
}

int json_number(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_number *number = to;

	number->set = true;
	return json_i64(value, field, &number->value);
}

int json_i32(const struct json_value *value, const struct json_field *field, void *to)
{
	int64_t number = 0;
	int r = read_in_range(value, field, INT32_MIN, INT32_MAX, &number);

	if (r < 0)
		return r;
	*(int32_t *)to = (int32_t)number;
	return 0;
}

int json_u32(const struct json_value *value, const struct json_field *field, void *to)
{
	int64_t number = 0;
	int r = read_in_range(value, field, 0, UINT32_MAX, &number);

	if (r < 0)
		return r;
	*(uint32_t *)to = (uint32_t)number;
	return 0;
}

int json_u64(const struct json_value *value, const struct json_field *field, void *to)
{
	const double number = value->item->valuedouble;

	(void)field;
	if (!is_integer(value->item))
		return json_fail(value, "not an integer");
	if (number < 0)
		return json_fail(value, "negative");
	*(uint64_t *)to = number >= two_to_64 ? UINT64_MAX : (uint64_t)number;
	return 0;
}

/* False unless the text is digits and nothing else, and fits. */
static bool digits_u64(const char *text, size_t bytes, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9' ||
		    __builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(text[i] - '0'), &value))
			return false;
	}
	*ret_value = value;
	return bytes > 0;
}

int json_exact_u64(const struct json_value *value, uint64_t *ret_value)
{
	const char *text = NULL;
	size_t bytes = 0;

	if (!cJSON_IsNumber(value->item) || value->item->valuedouble < inexact)
		return json_u64(value, NULL, ret_value);
	if (++value->reader->exact_reads > JSON_EXACT_READS_MAX)
		return json_fail(value, "more than %d numbers above 2^53", JSON_EXACT_READS_MAX);
	text = json_text_of(value, &bytes);
	if (!text || !digits_u64(text, bytes, ret_value))
		return json_fail(value, "not an integer of 64 bits");
	return 0;
}
