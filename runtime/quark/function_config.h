/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function folder's function.json: what to compile and what machine the function gets.
 *
 *	{
 *		"sources": ["main.c"],     C files of the folder; left out: all of them
 *		"libs": ["png", "z", "m"], static libraries, as for -l, in the order of linking
 *		"cflags": ["-DSIZE=3"],    more for the compiler: -D -U -O -W -f -g -m -std=
 *		"files": ["data.bin"],     go into the guest beside the program, in /function
 *		"memory_mib": 64,          guest memory: even, 32 to 8192; left out: 64
 *		"vcpus": 1,                1 to 8; left out: 1
 *		"cpu": "portable"          CPU template, or "host"; left out: portable
 *	}
 *
 * Every member may be left out, and so may the file. A member that is not in this list is an error.
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "vm_state.h"

enum {
	FUNCTION_CONFIG_MAX_BYTES = 64 << 10,
	FUNCTION_LIST_MAX = 64,
	FUNCTION_NAME_MAX = 255, /* bytes of a list's item */
};

#define FUNCTION_CONFIG_FILE "function.json"

struct string_list {
	char **items; /* owned, NULL-terminated; NULL while empty */
	size_t count;
};

struct function_config {
	char folder[PATH_MAX]; /* real path */
	struct string_list sources, libs, cflags, files;
	unsigned int memory_mib, vcpus;
	enum cpu_template cpu_template;
};

/* Decodes the text of a function.json, touching no file: `folder` and a left-out `sources` stay
 * empty. -EINVAL with the member named. The caller releases *ret_config with
 * function_config_done. */
int function_config_parse(struct function_config *ret_config, const char *text, size_t bytes,
			  struct err *err);

/* Reads the config of a folder and lists its C files when the config does not. */
int function_config_read(struct function_config *ret_config, const char *folder, struct err *err);

void function_config_done(struct function_config *config);

#define cleanup_function_config __attribute__((cleanup(function_config_done)))
