/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a function is compiled and linked.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "build_priv.h"
#include "cleanup.h"

/* Small functions touch few pages when code, constants and variables lie close: no page-aligned
 * segments, no unused sections, no read-only relocations that split .data, no stack protector with
 * its canary in the TLS page. main runs on libquark's stack (runtime/libquark/stack.c), 8 MiB below
 * the program, and the program starts a little above a 2 MiB boundary: so the part of the stack
 * that is in use shares its page table. */
static const char *const compile_flags[] = {
	"-std=gnu17",
	"-O2",
	"-static",
	"-fno-pie",
	"-fno-stack-protector",
	"-fcf-protection=none",
	"-ffunction-sections",
	"-fdata-sections",
	"-fno-asynchronous-unwind-tables",
};

static const char *const link_flags[] = {
	"-s",
	"-Wl,--gc-sections",
	"-Wl,--build-id=none",
	"-Wl,-z,norelro",
	"-Wl,-z,noseparate-code",
	"-Wl,-z,max-page-size=4096",
	"-Wl,--wrap=main",
	"-Wl,-Ttext-segment=0xc20000",
};

__attribute__((format(printf, 2, 3))) static void args_add(struct build_args *args,
							   const char *format, ...)
{
	va_list list;
	int n;

	if (args->failed || args->count == BUILD_ARGS_MAX) {
		args->failed = true;
		return;
	}
	va_start(list, format);
	n = vasprintf(&args->items[args->count], format, list);
	va_end(list);
	if (n < 0) {
		args->items[args->count] = NULL;
		args->failed = true;
		return;
	}
	args->count++;
}

static void args_add_all(struct build_args *args, const char *const *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		args_add(args, "%s", items[i]);
}

static void args_add_list(struct build_args *args, const char *prefix,
			  const struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		args_add(args, "%s%s", prefix, list->items[i]);
}

/* The order matters to the linker: the function's own objects first, then what they need. */
void build_args_fill(struct build_args *args, const struct function_config *config,
		     const struct build_paths *paths, const char *program)
{
	args_add(args, "%s", build_compiler(paths));
	args_add_all(args, compile_flags, ARRAY_SIZE(compile_flags));
	args_add_list(args, "", &config->cflags);
	args_add(args, "-I%s", paths->include_dir);
	args_add_all(args, link_flags, ARRAY_SIZE(link_flags));
	args_add(args, "-o");
	args_add(args, "%s", program);
	args_add_list(args, "", &config->sources);
	args_add(args, "%s/libquark.a", paths->lib_dir);
	args_add_list(args, "-l", &config->libs);
}

void build_args_done(struct build_args *args)
{
	for (size_t i = 0; i < args->count; i++)
		free(args->items[i]);
	args->count = 0;
}
