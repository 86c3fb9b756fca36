/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON of strangers, over cJSON, which bounds nesting (CJSON_NESTING_LIMIT).
 */
#include "json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image_priv.h"

#define EXACT_MOST 9007199254740992.0 /* 2^53 */

static int refuse(const char *name, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "\"%s\" is not %s", name, what);
}

/* NULL for a missing member and for null. */
static const cJSON *member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return item && !cJSON_IsNull(item) ? item : NULL;
}

int json_read(const char *text, size_t bytes, const char *what, cJSON **ret_json, struct err *err)
{
	cleanup_json cJSON *json = NULL;
	const char *end = NULL;

	if (bytes > JSON_MAX_BYTES)
		return err_set(err, -EFBIG, "%s has more than %d bytes", what, JSON_MAX_BYTES);
	/* cJSON's strings end at NUL, so a NUL in one would hide what follows it. */
	if (memmem(text, bytes, "\\u0000", 6))
		return err_set(err, -EBADMSG, "%s holds a NUL character", what);
	json = cJSON_ParseWithLengthOpts(text, bytes, &end, false);
	if (!json)
		return err_set(err, -EBADMSG, "%s is not JSON (at byte %zu)", what,
			       end ? (size_t)(end - text) : 0);
	while (end < text + bytes && strchr(" \t\r\n", *end) && *end)
		end++;
	if (end != text + bytes)
		return err_set(err, -EBADMSG, "%s has bytes behind its JSON", what);
	if (!cJSON_IsObject(json) && !cJSON_IsArray(json))
		return err_set(err, -EBADMSG, "%s is neither object nor array", what);
	*ret_json = TAKE_PTR(json);
	return 0;
}

int json_read_text(const cJSON *object, const char *name, const char **ret_text, struct err *err)
{
	const cJSON *item = member(object, name);

	if (item && !cJSON_IsString(item))
		return refuse(name, "a string", err);
	*ret_text = item ? item->valuestring : NULL;
	return 0;
}

int json_read_text_into(const cJSON *object, const char *name, char *buf, size_t bytes,
			struct err *err)
{
	const char *text = NULL;
	int r = json_read_text(object, name, &text, err);

	if (r < 0)
		return r;
	if (!text)
		text = "";
	if (strlen(text) >= bytes)
		return err_set(err, -EBADMSG, "\"%s\" is longer than %zu bytes", name, bytes - 1);
	memcpy(buf, text, strlen(text) + 1);
	return 0;
}

int json_read_number(const cJSON *object, const char *name, uint64_t missing, uint64_t *ret_value,
		     struct err *err)
{
	const cJSON *item = member(object, name);

	if (item && (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
		     item->valuedouble > EXACT_MOST ||
		     item->valuedouble != (double)(uint64_t)item->valuedouble))
		return refuse(name, "a whole number", err);
	*ret_value = item ? (uint64_t)item->valuedouble : missing;
	return 0;
}

int json_read_object(const cJSON *object, const char *name, const cJSON **ret_object,
		     struct err *err)
{
	const cJSON *item = member(object, name);

	if (item && !cJSON_IsObject(item))
		return refuse(name, "an object", err);
	*ret_object = item;
	return 0;
}

int json_read_array(const cJSON *object, const char *name, size_t most, const cJSON **ret_array,
		    struct err *err)
{
	const cJSON *item = member(object, name);

	if (item && !cJSON_IsArray(item))
		return refuse(name, "an array", err);
	if (item && (size_t)cJSON_GetArraySize(item) > most)
		return err_set(err, -EFBIG, "\"%s\" has more than %zu items", name, most);
	*ret_array = item;
	return 0;
}

int json_read_strings(const cJSON *object, const char *name, char ***ret_strings, struct err *err)
{
	const cJSON *array = NULL, *item;
	char **strings;
	size_t count = 0;
	int r = json_read_array(object, name, IMAGE_LIST_MAX, &array, err);

	if (r < 0)
		return r;
	strings = calloc((array ? (size_t)cJSON_GetArraySize(array) : 0) + 1, sizeof(*strings));
	if (!strings)
		return err_set(err, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, array) {
		if (!cJSON_IsString(item))
			r = err_set(err, -EBADMSG, "\"%s\" holds something that is not a string",
				    name);
		else if (!(strings[count++] = strdup(item->valuestring)))
			r = err_set(err, -ENOMEM, "out of memory");
		if (r < 0) {
			strings_free(strings);
			return r;
		}
	}
	strings_free(*ret_strings);
	*ret_strings = strings;
	return 0;
}

/* Of one member; the value only when it is asked for. */
static int take_member(const cJSON *item, const char *name, char **ret_name, char **ret_value,
		       struct err *err)
{
	if (ret_value && !cJSON_IsString(item))
		return err_set(err, -EBADMSG, "\"%s\" holds something that is not a string", name);
	*ret_name = strdup(item->string);
	if (ret_value)
		*ret_value = strdup(item->valuestring);
	if (!*ret_name || (ret_value && !*ret_value))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int json_read_members(const cJSON *object, const char *name, char ***ret_names, char ***ret_values,
		      struct err *err)
{
	const cJSON *members = NULL, *item;
	char **names, **values;
	size_t size, count = 0;
	int r = json_read_object(object, name, &members, err);

	if (r < 0)
		return r;
	size = members ? (size_t)cJSON_GetArraySize(members) : 0;
	if (size > IMAGE_LIST_MAX)
		return err_set(err, -EFBIG, "\"%s\" has more than %d members", name,
			       IMAGE_LIST_MAX);
	names = calloc(size + 1, sizeof(*names));
	values = calloc(size + 1, sizeof(*values));
	if (!names || !values) {
		free(names);
		free(values);
		return err_set(err, -ENOMEM, "out of memory");
	}
	cJSON_ArrayForEach(item, members) {
		r = take_member(item, name, &names[count], ret_values ? &values[count] : NULL,
				err);
		count++;
		if (r < 0)
			break;
	}
	if (r == 0) {
		char **old = *ret_names;

		*ret_names = names;
		names = old;
	}
	if (r == 0 && ret_values) {
		char **old = *ret_values;

		*ret_values = values;
		values = old;
	}
	strings_free(names);
	strings_free(values);
	return r;
}
