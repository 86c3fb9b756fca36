/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp object inside the least config: either refused by one line, or compiled to a filter or
 * refused by the compiler, also by one line. No filter is ever loaded.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "process/seccomp.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
const char *__lsan_default_suppressions(void);

/* libseccomp 2.5.4 loses some of its own memory (zmalloc is its allocator) when a rule is added
 * that another one makes needless. Ours is looked at as before. */
const char *__lsan_default_suppressions(void)
{
	return "leak:zmalloc\n";
}

enum { OBJECT_MAX_BYTES = 64 << 10 };

static const char head[] = "{\"ociVersion\":\"1.1.0\",\"root\":{\"path\":\"r\"},"
			   "\"linux\":{\"seccomp\":";
static const char tail[] = "}}";

static void check(int holds)
{
	if (!holds)
		abort();
}

static void check_message(const struct err *err)
{
	check(err->code < 0 && err->message[0] && !strchr(err->message, '\n'));
}

static void compile(const struct oci_seccomp *seccomp)
{
	struct seccomp_filter *filter = NULL;
	struct err err = {};

	if (seccomp_filter_new(&filter, seccomp, NULL, &err) < 0)
		check_message(&err);
	filter = seccomp_filter_free(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const size_t head_bytes = sizeof(head) - 1, tail_bytes = sizeof(tail) - 1;
	cleanup_free char *text = malloc(head_bytes + bytes + tail_bytes);
	struct oci_spec *spec = NULL;
	struct err err = {};

	if (!text || bytes > OBJECT_MAX_BYTES)
		return 0;
	memcpy(text, head, head_bytes);
	memcpy(text + head_bytes, data, bytes);
	memcpy(text + head_bytes + bytes, tail, tail_bytes);
	if (spec_parse(&spec, text, head_bytes + bytes + tail_bytes, &err) < 0) {
		check_message(&err);
		return 0;
	}
	if (spec->linux.seccomp)
		compile(spec->linux.seccomp);
	spec = spec_free(spec);
	return 0;
}
