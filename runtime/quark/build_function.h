/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function's own files: compiles a C function against libquark into one static program, and lays
 * out what goes into the guest, below the container's root.
 *
 * The compiler is the only other program that runs; it gets a fixed environment and no shell.
 */
#pragma once

#include "digest.h"
#include "err.h"
#include "function_config.h"

struct build_paths {
	const char *compiler;	 /* program name or path; NULL: "gcc" */
	const char *include_dir; /* holds quark.h */
	const char *lib_dir;	 /* holds libquark.a */
};

enum { COMPILER_OUTPUT_MAX = 64 << 10 };

/* Makes WORKDIR/files, with FUNCTION_FOLDER in it: the compiled program of a C function, and the
 * files that the config names (or all). *ret_files is the path, for the caller to free. Blocking:
 * runs the compiler. What it printed (errors or warnings, cut at COMPILER_OUTPUT_MAX) is in
 * *ret_output, also after a failure, for the caller to show and free; NULL when it printed nothing.
 */
int function_build(const struct function_config *config, const struct build_paths *paths,
		   const char *workdir, char **ret_files, char **ret_output, struct err *err);

/* Adds everything that the files are made from: every file of the folder, and for a C function
 * compiler (by size and time of change), flags, quark.h and libquark. */
int function_digest(const struct function_config *config, const struct build_paths *paths,
		    struct digest *digest, struct err *err);
