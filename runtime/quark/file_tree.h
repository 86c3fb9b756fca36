/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders with all that is below them: the files of a function on their way into the guest, and
 * folders of ours that are to go.
 *
 * A function's tree is its regular files, folders and symbolic links. Hidden entries at its top
 * (.git, .venv) and __pycache__ anywhere are left out. No link is followed: a link that leads out
 * of the folder leads out of it in the guest too, where there is nothing of the host's. Sockets,
 * FIFOs and devices are refused by name.
 */
#pragma once

#include <stddef.h>

#include "err.h"

enum {
	FILE_TREE_ENTRIES_MAX = 65536,
	FILE_TREE_MAX_BYTES = 512 << 20,
};

/* Copies the tree below `from` into the folder `to`, which is there. */
int file_tree_copy(const char *from, const char *to, struct err *err);

/* Copies one file or folder, named relative to `from`, with the folders above it. A link on the way
 * may not lead out of `from`. */
int file_tree_copy_item(const char *from, const char *item, const char *to, struct err *err);

/* Calls `update` with bytes that tell one tree from another: each entry's path, kind, executable
 * bit and contents, in an order that does not depend on the file system. */
int file_tree_digest(const char *folder,
		     void (*update)(void *context, const void *data, size_t bytes),
		     void *context, struct err *err);

/* Removes the folder and all below it. */
int file_tree_remove(const char *folder, struct err *err);
