/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses what: templates, and the bases and images that they have. A template tells both by the
 * digests of its files, so nothing else has to be kept. Base and image are links in the template's
 * folder: it is whole without those in the store, which are there for the next build.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "image.h"
#include "quark_paths.h"
#include "snapshot.h"

struct usage_template {
	char *name;			/* owned */
	bool refused;			/* then the rest is zero */
	struct snapshot_file base, image; /* as in its manifest */
};

struct usage_base {
	char *name; /* owned: the folder's */
	bool refused;
	struct snapshot_file memory;
	uint64_t disk_bytes; /* that its removal frees */
	unsigned int users;
};

struct usage {
	struct usage_template *templates; /* owned, as is `bases` */
	size_t template_count;
	struct usage_base *bases;
	size_t base_count;
};

/* Reads all manifests. The caller releases *ret_usage with usage_done. */
int usage_read(const struct paths *paths, struct usage *ret_usage, struct err *err);
void usage_done(struct usage *usage);

/* The base that a template has, or NULL. */
const struct usage_base *usage_base_of(const struct usage *usage, const struct snapshot_file *file);

/* How many templates have the image. */
unsigned int usage_image_users(const struct usage *usage, const struct image *image);

bool file_is_image(const struct snapshot_file *file, const struct image *image);

#define cleanup_usage __attribute__((cleanup(usage_done)))
