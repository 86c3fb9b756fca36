/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the decoder share: configurations as text, with ' for ".
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "spec/spec.h"

static inline void cleanup_spec_p(struct oci_spec **spec)
{
	*spec = spec_free(*spec);
}
#define cleanup_spec __attribute__((cleanup(cleanup_spec_p)))

typedef int parse_fn(struct oci_spec **ret_spec, const char *json, size_t bytes, struct err *err);

static const char least[] = "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}}";
enum { LEAST_BYTES = sizeof(least) - 1 };

/* Parses an exact copy, so that the sanitizer sees a read beyond its end. */
static inline int parse_quoted(parse_fn *parse, struct oci_spec **ret_spec, const char *text,
			struct err *err)
{
	const size_t bytes = strlen(text);
	char *json = malloc(bytes ? bytes : 1);
	int r;

	assert_non_null(json);
	for (size_t i = 0; i < bytes; i++)
		json[i] = (char)(text[i] == '\'' ? '"' : text[i]);
	r = parse(ret_spec, json, bytes, err);
	free(json);
	return r;
}

static inline struct oci_spec *decode(parse_fn *parse, const char *text)
{
	struct oci_spec *spec = NULL;
	struct err err = { 0 };

	if (parse_quoted(parse, &spec, text, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return spec;
}

#define CONFIG(members) "{'ociVersion':'1.1.0','root':{'path':'rootfs'}" members "}"
#define LINUX(members) CONFIG(",'linux':{" members "}")
#define PROCESS(members) CONFIG(",'process':{'cwd':'/','args':['sh']" members "}")
#define MOUNTS(members) CONFIG(",'mounts':[" members "]")
#define RESOURCES(members) LINUX("'resources':{" members "}")
#define SECCOMP(members) LINUX("'seccomp':{'defaultAction':'SCMP_ACT_ERRNO'" members "}")
