/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a function folder into an initramfs: compiles its C files against libquark into one static
 * program and packs that with the guest's PID 1.
 *
 * The compiler is the only other program that runs; it gets a fixed environment and no shell. Equal
 * inputs give an equal initramfs, and function_digest tells whether anything has changed.
 */
#pragma once

#include <limits.h>

#include "err.h"
#include "function_config.h"

struct build_paths {
	const char *compiler;	 /* program name or path; NULL: "gcc" */
	const char *include_dir; /* holds quark.h */
	const char *lib_dir;	 /* holds libquark.a */
	const char *init;	 /* the guest's PID 1 */
};

enum {
	FUNCTION_DIGEST_BYTES = 33, /* 32 hex digits and NUL */
	COMPILER_OUTPUT_MAX = 64 << 10,
};

/* Writes WORKDIR/function and WORKDIR/initrd.cpio; ret_initrd is the latter's path. Blocking: runs
 * the compiler. What it printed (errors or warnings, cut at COMPILER_OUTPUT_MAX) is in *ret_output,
 * also after a failure, for the caller to show and free; NULL when it printed nothing. */
int function_build(const struct function_config *config, const struct build_paths *paths,
		   const char *workdir, char ret_initrd[PATH_MAX], char **ret_output,
		   struct err *err);

/* XXH3-128 over everything that a template of this function is made from: every file of the folder,
 * machine shape, compiler, libquark, PID 1 and `kernel` (compiler and kernel by size and time of
 * change). */
int function_digest(const struct function_config *config, const struct build_paths *paths,
		    const char *kernel, char ret_digest[FUNCTION_DIGEST_BYTES], struct err *err);
