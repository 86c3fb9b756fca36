/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text is either refused by one line or gives a spec: as a whole config, as a process, and as
 * resources.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int holds)
{
	if (!holds)
		abort();
}

static void check_message(const struct err *err)
{
	check(err->code < 0 && err->message[0]);
	for (const char *at = err->message; *at; at++)
		check((unsigned char)*at >= ' ');
}

static void check_spec(const struct oci_spec *spec)
{
	if (spec->process)
		check(spec->process->args.count > 0 && spec->process->cwd[0] == '/' &&
		      !spec->process->args.items[spec->process->args.count]);
	for (size_t i = 0; i < spec->mount_count; i++)
		check(spec->mounts[i].destination[0] == '/' &&
		      spec->mounts[i].uid_mappings.count <= 340);
	for (size_t i = 0; i < spec->linux.masked_paths.count; i++)
		check(spec->linux.masked_paths.items[i][0] == '/');
	for (size_t i = 0; i < spec->linux.resources.unified.count; i++)
		check(!strchr(spec->linux.resources.unified.items[i].name, '/'));
	check(!spec->linux.seccomp || spec->linux.seccomp->text[0] == '{');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static int (*const parsers[])(struct oci_spec **, const char *, size_t, struct err *) = {
		spec_parse,
		spec_parse_process,
		spec_parse_resources,
	};

	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
		struct oci_spec *spec = NULL;
		struct err err = {};

		if (parsers[i](&spec, (const char *)data, bytes, &err) < 0)
			check_message(&err);
		else
			check_spec(spec);
		spec = spec_free(spec);
	}
	return 0;
}
