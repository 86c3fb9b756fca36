/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quark can do without: bases and images that no template has, and what killed commands left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "err.h"
#include "image.h"

struct prune_options {
	bool all;     /* templates that are refused too */
	bool dry_run; /* only tell */
	/* Told of each thing that goes (or would): its kind ("base", "image", "template",
	 * "leftover"), name, and the bytes that it frees. */
	void (*report)(void *context, const char *kind, const char *name, uint64_t bytes);
	void *context;
};

/* Waits for builds to end. One thing that cannot be removed ends it; what went before is gone. */
int prune(const struct cli *cli, struct image_store *store, const struct prune_options *options,
	  uint64_t *ret_freed_bytes, struct err *err);
