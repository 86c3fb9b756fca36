/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects into structs, by tables.
 *
 * A table has one row for each member that we know: its name, the function that decodes it, and
 * where in the struct the result belongs. An object's members are walked once; each is looked up in
 * the table, so the cost does not grow with the number of members that a config leaves out.
 *
 * Rules for all: a member that is null is absent, an optional string that is empty too (Go's
 * encoders cannot tell them apart), a member of a table that stands there twice is an error, and
 * unknown members are skipped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

struct err;
struct oci_arena;

/* What one decoding shares. */
struct json_reader {
	struct oci_arena *arena; /* borrowed */
	struct err *err;	 /* borrowed, may be NULL */
	const char *text;	 /* borrowed: the document as it was written */
	size_t bytes;
	unsigned int exact_reads; /* how often json_exact_u64 had to search the text */
};

/* Bounds of what a small text may make large or slow: the elements of a list, the members of a map,
 * and how often json_exact_u64 may search the text. */
enum { JSON_ITEMS_MAX = 131072, JSON_PAIRS_MAX = 4096, JSON_EXACT_READS_MAX = 64 };

/* A value and the way to it from the root, on the stack of whoever walks. */
struct json_value {
	const cJSON *item;
	struct json_reader *reader;
	const struct json_value *parent; /* NULL: the root */
	const char *name;		 /* of a member, or of the root; NULL: an element */
	size_t index;			 /* of an element */
};

struct json_field;
struct json_table;

typedef int json_decode_fn(const struct json_value *value, const struct json_field *field,
			   void *to);

struct json_name {
	const char *name; /* NULL ends a list */
	int64_t value;
};

struct json_field {
	const char *name;
	json_decode_fn *decode;
	size_t offset; /* of the result in the struct */
	bool required;
	bool not_empty;	       /* json_list */
	int64_t least, most;   /* integers; both 0: all that the type holds */
	size_t most_bytes;     /* json_string; 0: no bound */
	bool (*allows_name)(const char *name); /* json_pairs; NULL: all but the empty one */
	const struct json_name *names;	  /* json_name */
	const struct json_table *table;	  /* json_object, json_present_object */
	const struct json_field *element; /* json_list: how to decode one */
	size_t element_bytes;		  /* json_list */
	size_t count_offset;		  /* json_list: of the size_t in the struct */
	size_t most_items;		  /* json_list; 0: JSON_ITEMS_MAX */
};

struct json_table {
	const struct json_field *fields;
	size_t count; /* at most 64 */
};

#define JSON_TABLE(rows) { .fields = (rows), .count = sizeof(rows) / sizeof((rows)[0]) }
#define JSON_MEMBER(key, type, member, how) \
	.name = (key), .decode = (how), .offset = offsetof(type, member)
/* An array into a pointer and a count; `one` is the field that describes an element. */
#define JSON_LIST(key, type, pointer, number, one)                                \
	JSON_MEMBER(key, type, pointer, json_list), .element = &(one),            \
		.element_bytes = sizeof(*((type *)0)->pointer),                   \
		.count_offset = offsetof(type, number)

/* -EINVAL with "path: message". */
__attribute__((format(printf, 2, 3))) int json_fail(const struct json_value *value, const char *fmt,
						    ...);
/* The same about a member of `value`. */
__attribute__((format(printf, 3, 4))) int json_fail_member(const struct json_value *value,
							   const char *name, const char *fmt, ...);
int json_fail_memory(const struct json_value *value);

/* An object's members into the struct at `to`. */
int json_members(const struct json_value *value, const struct json_table *table, void *to);

/* Decoders for tables: what they write is in the comment. */
json_decode_fn json_string;  /* const char *; NULL when empty */
json_decode_fn json_text;    /* const char *; may be empty */
json_decode_fn json_path;    /* const char *; absolute, shorter than PATH_MAX */
json_decode_fn json_boolean; /* bool */
json_decode_fn json_flag;    /* struct oci_flag */
json_decode_fn json_number;  /* struct oci_number */
json_decode_fn json_i64;     /* int64_t */
json_decode_fn json_i32;     /* int32_t */
json_decode_fn json_u32;     /* uint32_t */
json_decode_fn json_u64;     /* uint64_t; what is above its end is clamped */
json_decode_fn json_name;    /* int, by the field's names */
json_decode_fn json_pairs;   /* struct oci_pairs, from an object of strings */
json_decode_fn json_object;  /* members, by the field's table */
json_decode_fn json_present_object; /* the same; the struct begins with a bool: set */
json_decode_fn json_list; /* pointer and count, one zeroed element behind the last */

/* A list of strings, for JSON_LIST. */
extern const struct json_field json_text_element, json_path_element;

/* The value of `name` in the list; false when it is not there. */
bool json_find_name(const struct json_name *names, const char *name, int64_t *ret_value);

/* An integer that cJSON's doubles cannot hold is read from the text. */
int json_exact_u64(const struct json_value *value, uint64_t *ret_value);

/* The text of a value, as written: *ret_bytes bytes. NULL never happens for a document that cJSON
 * has parsed, and must be handled. */
const char *json_text_of(const struct json_value *value, size_t *ret_bytes);
