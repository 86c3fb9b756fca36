/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse files: memory layers and images are read and copied by their data, not by their size.
 * Stateless; blocking.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum { COPY_BYTES = 1 << 20 };

static uint64_t page_down(uint64_t offset)
{
	return offset / GUEST_PAGE_BYTES * GUEST_PAGE_BYTES;
}

/* A failure other than "no more data" means the same as a file system that knows no holes. */
bool sparse_next(int fd, uint64_t bytes, uint64_t *start, uint64_t *ret_end)
{
	off_t data, hole;

	if (*start >= bytes)
		return false;
	data = lseek(fd, (off_t)*start, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false;
	hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
	if (data >= 0)
		*start = page_down((uint64_t)data);
	*ret_end = hole < 0 ? bytes : page_down((uint64_t)hole + GUEST_PAGE_BYTES - 1);
	if (*ret_end > bytes)
		*ret_end = bytes;
	return *start < bytes;
}

/* Writes the runs of pages that hold anything. The last page may be a part of one. */
static int write_nonzero(int to, const uint8_t *buf, size_t bytes, uint64_t offset)
{
	size_t start = 0, at = 0;

	while (at < bytes) {
		size_t n = bytes - at < GUEST_PAGE_BYTES ? bytes - at : GUEST_PAGE_BYTES;
		bool zero = n == GUEST_PAGE_BYTES && page_is_zero(buf + at);

		if (zero && at > start) {
			int r = file_pwrite_all(to, buf + start, at - start,
						(off_t)(offset + start));

			if (r < 0)
				return r;
		}
		at += n;
		if (zero)
			start = at;
	}
	return at > start ? file_pwrite_all(to, buf + start, at - start, (off_t)(offset + start)) :
			    0;
}

int sparse_copy(int to, int from, uint64_t bytes)
{
	cleanup_free uint8_t *buf = aligned_alloc(GUEST_PAGE_BYTES, COPY_BYTES);
	uint64_t start = 0, end;
	int r;

	if (!buf)
		return -ENOMEM;
	if (ftruncate(to, (off_t)bytes) < 0)
		return -errno;
	for (; sparse_next(from, bytes, &start, &end); start = end) {
		for (uint64_t at = start; at < end;) {
			size_t n = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;

			if ((r = file_pread_all(from, buf, n, (off_t)at)) < 0 ||
			    (r = write_nonzero(to, buf, n, at)) < 0)
				return r;
			at += n;
		}
	}
	return 0;
}
