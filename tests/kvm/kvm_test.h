/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test programs with real guests share. A program is a list of checks; the first that
 * fails ends it with exit status 1 and one line that says where and why.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "shell.h"
#include "snapshot.h"

#define REQUIRE(condition, ...)                                              \
	do {                                                                 \
		if (!(condition)) {                                          \
			fprintf(stderr, "%s:%d: FAILED: ", __FILE__, __LINE__); \
			fprintf(stderr, __VA_ARGS__);                        \
			fputc('\n', stderr);                                 \
			exit(1);                                             \
		}                                                            \
	} while (0)

/* Opens a template, or ends the test. */
static inline struct template *test_template(const char *folder)
{
	struct template *template = NULL;
	struct err err = {};

	REQUIRE(template_open(&template, folder, &err) == 0, "%s", err.message);
	return template;
}

/* Shells of the shape that the template has. Slow hosts are no failure. */
static inline struct shell_config test_shell_config(const char *lumper,
						    const struct template *template)
{
	const struct manifest *manifest = template_manifest(template);

	return (struct shell_config){
		.lumper = lumper,
		.memory_bytes = manifest->memory_bytes,
		.vcpus = manifest->vcpus,
		.cpu_template = manifest->cpu_template,
		.timeout_ms = 60000,
	};
}
