/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "linux.seccomp" object. Its words are those that process/seccomp.h can compile.
 */
#include <string.h>

#include "process/seccomp.h"
#include "spec/arena.h"
#include "spec/spec_priv.h"

/* SECCOMP_RET_DATA has 16 bits; what an errno above 4095 becomes, the kernel says. */
enum { ERRNO_MAX = 65535, SYSCALL_ARGS = 6 };

static int decode_word(const struct json_value *value, const char *const *words, void *to)
{
	const char *word = NULL;
	int r = json_text(value, NULL, &word);

	if (r < 0)
		return r;
	for (; *words; words++) {
		if (strcmp(*words, word) != 0)
			continue;
		*(const char **)to = word;
		return 0;
	}
	return json_fail(value, "unknown value '%.60s'", word);
}

static int decode_action(const struct json_value *value, const struct json_field *field, void *to)
{
	(void)field;
	return decode_word(value, seccomp_actions(), to);
}

static int decode_operator(const struct json_value *value, const struct json_field *field, void *to)
{
	(void)field;
	return decode_word(value, seccomp_operators(), to);
}

static int decode_architecture(const struct json_value *value, const struct json_field *field,
			       void *to)
{
	(void)field;
	return decode_word(value, seccomp_architectures(), to);
}

static int decode_flag(const struct json_value *value, const struct json_field *field, void *to)
{
	(void)field;
	return decode_word(value, seccomp_flags(), to);
}

/* A filter that compares with a neighbour of what was written lets through what it should stop, so
 * these numbers are never rounded. */
static int decode_exact(const struct json_value *value, const struct json_field *field, void *to)
{
	(void)field;
	return json_exact_u64(value, to);
}

static const struct json_field arg_fields[] = {
	{ JSON_MEMBER("index", struct oci_seccomp_arg, index, json_u32),
	  .required = true,
	  .most = SYSCALL_ARGS - 1 },
	{ JSON_MEMBER("value", struct oci_seccomp_arg, value, decode_exact), .required = true },
	{ JSON_MEMBER("valueTwo", struct oci_seccomp_arg, value_two, decode_exact) },
	{ JSON_MEMBER("op", struct oci_seccomp_arg, op, decode_operator), .required = true },
};
static const struct json_table arg_table = JSON_TABLE(arg_fields);
static const struct json_field arg_element = { .decode = json_object, .table = &arg_table };

static const struct json_field rule_fields[] = {
	{ JSON_LIST("names", struct oci_seccomp_rule, names.items, names.count, json_text_element),
	  .required = true,
	  .not_empty = true },
	{ JSON_MEMBER("action", struct oci_seccomp_rule, action, decode_action), .required = true },
	{ JSON_MEMBER("errnoRet", struct oci_seccomp_rule, errno_ret, json_number),
	  .most = ERRNO_MAX },
	{ JSON_LIST("args", struct oci_seccomp_rule, args, arg_count, arg_element),
	  .most_items = 64 },
};
static const struct json_table rule_table = JSON_TABLE(rule_fields);

static const struct json_field rule_element = { .decode = json_object, .table = &rule_table };
static const struct json_field architecture_element = { .decode = decode_architecture };
static const struct json_field flag_element = { .decode = decode_flag };

static const struct json_field seccomp_fields[] = {
	{ JSON_MEMBER("defaultAction", struct oci_seccomp, default_action, decode_action),
	  .required = true },
	{ JSON_MEMBER("defaultErrnoRet", struct oci_seccomp, default_errno_ret, json_number),
	  .most = ERRNO_MAX },
	{ JSON_LIST("architectures", struct oci_seccomp, architectures.items, architectures.count,
		    architecture_element),
	  .most_items = 64 },
	{ JSON_LIST("flags", struct oci_seccomp, flags.items, flags.count, flag_element),
	  .most_items = 16 },
	{ JSON_MEMBER("listenerPath", struct oci_seccomp, listener_path, json_path) },
	{ JSON_MEMBER("listenerMetadata", struct oci_seccomp, listener_metadata, json_string) },
	{ JSON_LIST("syscalls", struct oci_seccomp, rules, rule_count, rule_element) },
};
static const struct json_table seccomp_table = JSON_TABLE(seccomp_fields);

/* The object as it was written. Printing cJSON's tree would cost more than parsing it, and would
 * round numbers: two filters could have one text. */
static int copy_text(const struct json_value *value, struct oci_seccomp *seccomp)
{
	size_t bytes = 0;
	const char *text = json_text_of(value, &bytes);
	char *copy;

	if (!text)
		return json_fail(value, "not found in the text");
	copy = arena_alloc(value->reader->arena, bytes + 1);
	if (!copy)
		return json_fail_memory(value);
	memcpy(copy, text, bytes);
	seccomp->text = copy;
	return 0;
}

int decode_seccomp(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_seccomp *seccomp = arena_alloc(value->reader->arena, sizeof(*seccomp));
	int r;

	(void)field;
	if (!seccomp)
		return json_fail_memory(value);
	r = json_members(value, &seccomp_table, seccomp);
	if (r < 0)
		return r;
	*(struct oci_seccomp **)to = seccomp;
	return copy_text(value, seccomp);
}
