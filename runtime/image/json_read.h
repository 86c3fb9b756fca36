/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON of strangers: every member is missing, null, or of the type it must have.
 *
 * All return 0 or -EBADMSG (-ENOMEM) with one line in `err`. A missing member leaves the output at
 * its empty value.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

static inline void cleanup_json_p(cJSON **json)
{
	cJSON_Delete(*json);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_p)))

/* The whole text, at most JSON_MAX_BYTES. Strings cannot hold NUL. `what` is for messages. */
int json_read(const char *text, size_t bytes, const char *what, cJSON **ret_json,
	      struct err *err);

/* Borrowed from `object`; *ret_text is NULL when there is none. */
int json_read_text(const cJSON *object, const char *name, const char **ret_text, struct err *err);
/* The same, into a buffer; "" when there is none, -EBADMSG when it does not fit. */
int json_read_text_into(const cJSON *object, const char *name, char *buf, size_t bytes,
			struct err *err);
/* A whole number to 2^53, where doubles are exact; `missing` when there is none. */
int json_read_number(const cJSON *object, const char *name, uint64_t missing, uint64_t *ret_value,
		     struct err *err);
/* An object or array, borrowed; NULL when there is none. */
int json_read_object(const cJSON *object, const char *name, const cJSON **ret_object,
		     struct err *err);
int json_read_array(const cJSON *object, const char *name, size_t most, const cJSON **ret_array,
		    struct err *err);

/* NULL-terminated, fresh, at most IMAGE_LIST_MAX strings, never NULL. */
int json_read_strings(const cJSON *object, const char *name, char ***ret_strings,
		      struct err *err);
/* Names and, when `ret_values` is not NULL, values (strings) of an object's members. */
int json_read_members(const cJSON *object, const char *name, char ***ret_names,
		      char ***ret_values, struct err *err);
