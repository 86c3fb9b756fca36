/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-file and whole-buffer I/O.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

int file_pread_all(int fd, void *buf, size_t bytes, off_t offset)
{
	uint8_t *at = buf;

	while (bytes > 0) {
		ssize_t n = pread(fd, at, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		offset += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int file_pwrite_all(int fd, const void *buf, size_t bytes, off_t offset)
{
	const uint8_t *at = buf;

	while (bytes > 0) {
		ssize_t n = pwrite(fd, at, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		offset += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int file_write_all(int fd, const void *buf, size_t bytes)
{
	const uint8_t *at = buf;

	while (bytes > 0) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int file_read_fd(int fd, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes)
{
	cleanup_free uint8_t *data = NULL;
	struct stat st;
	size_t bytes;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
		return -EFBIG;
	bytes = (size_t)st.st_size;

	data = malloc(bytes + 1);
	if (!data)
		return -ENOMEM;
	r = file_pread_all(fd, data, bytes, 0);
	if (r < 0)
		return r;
	data[bytes] = 0;
	*ret_data = TAKE_PTR(data);
	*ret_bytes = bytes;
	return 0;
}

int file_read(const char *path, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes,
	      struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	/* O_NONBLOCK: opening a FIFO must not wait; that it is none of ours, file_read_fd says. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	r = file_read_fd(fd, max_bytes, ret_data, ret_bytes);
	if (r == -EFBIG)
		return err_set(err, r, "'%s' is larger than %zu bytes", path, max_bytes);
	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", path, strerror(-r));
	return 0;
}
