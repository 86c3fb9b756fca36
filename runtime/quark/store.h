/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The templates in the home folder, one folder each under its name.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "quark_paths.h"
#include "snapshot.h"

/* The folder of a template, whether it exists or not. An argument with a '/' in it (or "." or "..")
 * is the path of a folder itself; anything else must be a valid name. The caller frees
 * *ret_folder. */
int store_folder(const struct paths *paths, const char *name_or_path, char **ret_folder,
		 struct err *err);

/* template_open on that folder. -ENOENT when there is no committed template; -EBADMSG when it lacks
 * a file. */
int store_open(const struct paths *paths, const char *name_or_path, struct template **ret_template,
	       struct err *err);

/* Names of all templates, sorted. The caller releases the list with store_names_done. */
struct store_names {
	char **items;
	size_t count;
};
int store_list(const struct paths *paths, struct store_names *ret_names, struct err *err);

/* The same of another folder of the home, whose entries are valid names. */
int store_list_in(const struct paths *paths, const char *folder, struct store_names *ret_names,
		  struct err *err);
void store_names_done(struct store_names *names);

/* Removes a template: it vanishes at once, then its files go. -ENOENT when there is none. */
int store_remove(const struct paths *paths, const char *name, struct err *err);

/* Bytes that the files of a folder take on the disk; holes take none, and files that others have a
 * link to do not count: what the removal of the folder frees. */
uint64_t folder_disk_bytes(const char *folder);

/* Removes a flat folder and the files in it. */
int folder_remove(const char *folder, struct err *err);
