/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the SOURCE of a build is, and getting an image of whatever kind.
 */
#pragma once

#include <stdbool.h>

#include "cli.h"
#include "err.h"
#include "image.h"

/* A folder with an OCI layout (perhaps with ":TAG" behind it), a file (an archive), and what is no
 * path at all but a name or reference are images; another folder is a function. -ENOENT when the
 * text is the path of nothing. */
int source_is_image(const char *source, bool *ret_is_image, struct err *err);

/* The registry is on this machine's loopback: then plain HTTP will do. */
bool reference_is_loopback(const char *reference);

int images_open(const struct cli *cli, struct image_store **ret_store, struct err *err);

/* An image of the store by name or id; a name without a tag means its tag "latest". -ENOENT. */
int source_stored(struct image_store *store, const char *name, struct image **ret_image,
		  struct err *err);

/* How images are fetched. */
struct source_options {
	bool force;		/* unpack again what is there */
	bool insecure_registry; /* plain HTTP; on the loopback it is taken anyway */
};

/* The image that a text names: a path, relative to `folder` (NULL: the current one), is imported; a
 * name or id that the store knows is taken from there; anything else is a reference, which is
 * imported. Shows progress. The caller frees *ret_image. */
int source_image(const struct cli *cli, struct image_store *store, const char *source,
		 const char *folder, const struct source_options *options,
		 struct image **ret_image, struct err *err);

/* Imports even when the store knows the name. */
int source_import(const struct cli *cli, struct image_store *store, const char *source,
		  const struct source_options *options, struct image **ret_image, struct err *err);
