/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership: `cleanup_*` variables release what they own when they go out of scope,
 * TAKE_PTR/TAKE_FD hand the ownership on.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes `fd` if it is one; returns -1, so that `x->fd = fd_close(x->fd)` reads well. */
static inline int fd_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static inline void cleanup_fd_p(const int *fd)
{
	(void)fd_close(*fd);
}

static inline void cleanup_free_p(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_file_p(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

#define cleanup_fd __attribute__((cleanup(cleanup_fd_p)))
#define cleanup_free __attribute__((cleanup(cleanup_free_p)))
#define cleanup_file __attribute__((cleanup(cleanup_file_p)))

#define TAKE_PTR(pointer)                          \
	__extension__({                            \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                  \
		taken_;                            \
	})

#define TAKE_FD(fd)                 \
	__extension__({             \
		int taken_ = (fd);  \
		(fd) = -1;          \
		taken_;             \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
