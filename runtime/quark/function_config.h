/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function folder's function.json: what to make of the folder, and what machine the function
 * gets.
 *
 *	{
 *		"lang": "c",               or "python", "node", "sh"; left out: C, or nothing to
 *		                           be run but "command"
 *		"sources": ["main.c"],     C files of the folder; left out: all of them
 *		"libs": ["png", "z", "m"], static libraries, as for -l, in the order of linking
 *		"cflags": ["-DSIZE=3"],    more for the compiler: -D -U -O -W -f -g -m -std=
 *		"handler": "main.handle",  MODULE.FUNCTION; for contracts stdio and http: a file
 *		"command": ["ruby", "f"],  instead of a handler: the program and its arguments
 *		"image": "./root.tar",     the root: a name or reference of an image, or a path
 *		"contract": "stdio",       or "libquark", "http", "lambda"
 *		"contract_options": [],    for the contract's program
 *		"env": {"MODE": "fast"},
 *		"wake": "run0",            or "direct", for functions that are "pure": true
 *		"no_gather": true,         what a start touches stays where it is
 *		"warm_up": 10,             requests before the snapshot, at most 10000
 *		"files": ["data.bin"],     go into the guest, to /function; left out: C: none but
 *		                           the program; else all of the folder
 *		"memory_mib": 96,          guest memory: even, 32 to 8192; left out: 96, with an
 *		                           image 128
 *		"memory_limit_mib": 32,    of the container; left out: the guest's memory
 *		"vcpus": 1,                1 to 8; left out: 1
 *		"cpu": "portable"          CPU template, or "host"; left out: portable
 *	}
 *
 * Every member may be left out, and so may the file. A member that is not in this list is an error.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "function_words.h"
#include "string_list.h"
#include "vm_state.h"

enum {
	FUNCTION_CONFIG_MAX_BYTES = 64 << 10,
	FUNCTION_LIST_MAX = 64,
	FUNCTION_NAME_MAX = 255,  /* bytes of a name */
	FUNCTION_TEXT_MAX = 4095, /* of an argument, a variable, a reference */
	FUNCTION_WARM_UP_MAX = 10000,
	FUNCTION_MEMORY_MIB = 96, /* with Debian 12's kernel 72 is the least that works */
	FUNCTION_IMAGE_MEMORY_MIB = 128,
};

#define FUNCTION_CONFIG_FILE "function.json"
#define FUNCTION_FOLDER "/function" /* in the container: its files, and where it starts */

/* Also the config of a plain image, which has no folder. */
struct function_config {
	char folder[PATH_MAX]; /* real path; empty: an image alone */
	unsigned int lang, contract, wake; /* enum function_lang, ...; 0: not said */
	struct string_list sources, libs, cflags, files, command, contract_options;
	struct string_list env; /* NAME=VALUE */
	char *handler, *image;	/* owned; NULL: not said */
	bool pure, no_gather;
	unsigned int warm_up;
	unsigned int memory_mib, vcpus; /* 0: not said, until function_config_complete */
	unsigned int memory_limit_mib;	/* 0: none */
	enum cpu_template cpu_template;
};

/* Decodes the text of a function.json, touching no file. -EINVAL with the member named. The caller
 * releases *ret_config with function_config_done. */
int function_config_parse(struct function_config *ret_config, const char *text, size_t bytes,
			  struct err *err);

/* Reads the config of a folder. */
int function_config_read(struct function_config *ret_config, const char *folder, struct err *err);

/* Once everything is said, by options too: refuses what does not go together, fills in what was
 * left out, and lists the C files of the folder when the config does not. The contract stays open
 * when the image's label may say it. */
int function_config_complete(struct function_config *config, struct err *err);

void function_config_done(struct function_config *config);

#define cleanup_function_config __attribute__((cleanup(function_config_done)))
