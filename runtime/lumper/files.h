/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a function's own files, cut into pieces for FILE orders.
 */
#pragma once

#include "err.h"
#include "mailbox_host.h"

enum { FILES_MAX = 100000, FILES_DEPTH_MAX = 64 };

/* Takes a piece; what is not 0 ends the walk and is its result. */
typedef int files_take(void *context, const struct mailbox_file *file, const char *path,
		       const void *data, struct err *err);

/* Walks the tree below the folder `fd`: names sorted, a folder before what is in it. Nothing
 * outside of it is read: a symbolic link is a piece, not a way. The pieces depend on names,
 * contents and the owner's x bits alone. -EINVAL for what is neither a file, a folder nor a link;
 * -E2BIG when there are too many, or too deep. */
int files_walk(int fd, files_take *take, void *context, struct err *err);
