/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running other programs: argument lists and children.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

enum { ARGS_MAX = 64 };

/* A NULL-terminated argument list of borrowed strings. */
struct args {
	const char *items[ARGS_MAX + 1];
	size_t count;
	bool overflow;
};

void args_add(struct args *args, const char *item);
void args_add_all(struct args *args, const char *const *items, size_t count);

/* Adds the strings that follow. */
#define ARGS_ADD(args, ...)                                          \
	args_add_all(args, (const char *const[]){__VA_ARGS__},       \
		     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* How a child runs. Descriptors are borrowed; -1 keeps ours. */
struct child_config {
	int in, out, err;
	unsigned int timeout_s; /* then it is killed; 0: none */
};
#define CHILD_INHERIT ((struct child_config){.in = -1, .out = -1, .err = -1})

/* Runs a program by its path and waits for it. *ret_code is its exit code, 128 + N when signal N
 * killed it, or EXIT_TIMEOUT. Interrupts reach the child, which is in our process group; we outlive
 * it and report. */
int child_run(const struct args *args, const struct child_config *config, int *ret_code,
	      struct err *err);

/* Becomes the program; returns only on failure. */
int child_replace(const struct args *args, struct err *err);
