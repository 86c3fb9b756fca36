/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files that build functions: the compiler's arguments.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "build_function.h"

/* Fixed arguments, and room for what a config can add. */
enum { BUILD_ARGS_MAX = 64 + 4 * FUNCTION_LIST_MAX };

struct build_args {
	char *items[BUILD_ARGS_MAX + 1]; /* owned, NULL-terminated */
	size_t count;
	bool failed; /* no memory, or no room; checked once, after filling */
};

static inline const char *build_compiler(const struct build_paths *paths)
{
	return paths->compiler ? paths->compiler : "gcc";
}

/* Appends the command line that compiles the function to `program`, run in the function's folder.
 */
void build_args_fill(struct build_args *args, const struct function_config *config,
		     const struct build_paths *paths, const char *program);
void build_args_done(struct build_args *args);

#define cleanup_build_args __attribute__((cleanup(build_args_done)))
