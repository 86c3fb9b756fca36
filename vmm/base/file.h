/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-file and whole-buffer I/O: loops over short transfers and EINTR, nothing else.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Transfers exactly `bytes` or fails: 0, -errno, or -ENODATA when the file ends early. Blocking. */
int file_pread_all(int fd, void *buf, size_t bytes, off_t offset);
int file_pwrite_all(int fd, const void *buf, size_t bytes, off_t offset);
int file_write_all(int fd, const void *buf, size_t bytes);

/* Reads a regular file of at most `max_bytes` into fresh memory that the caller frees; one byte
 * beyond the end is zero. -EFBIG when it is larger. */
int file_read(const char *path, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes,
	      struct err *err);
int file_read_fd(int fd, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes);
