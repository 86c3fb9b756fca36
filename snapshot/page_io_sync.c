/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page I/O by one pread or pwrite after another: for hosts without io_uring, and the reference that
 * the other implementation is tested against. Stateless.
 */
#include "file.h"
#include "snapshot_priv.h"

/* There is nothing to hold, but NULL would mean "not open" to callers. */
struct page_io {
	char unused;
};

static int sync_open(struct page_io **ret_io, unsigned int depth)
{
	static struct page_io nothing;

	(void)depth;
	*ret_io = &nothing;
	return 0;
}

static int sync_read(struct page_io *io, int fd, const struct page_extent *extents, size_t count)
{
	(void)io;
	for (size_t i = 0; i < count; i++) {
		int r = file_pread_all(fd, extents[i].buf, extents[i].bytes,
				       (off_t)extents[i].offset);

		if (r < 0)
			return r;
	}
	return 0;
}

static int sync_write(struct page_io *io, int fd, const struct page_extent *extents, size_t count)
{
	(void)io;
	for (size_t i = 0; i < count; i++) {
		int r = file_pwrite_all(fd, extents[i].buf, extents[i].bytes,
					(off_t)extents[i].offset);

		if (r < 0)
			return r;
	}
	return 0;
}

static void sync_close(struct page_io *io)
{
	(void)io;
}

const struct page_io_ops page_io_sync_ops = {
	.name = "sync",
	.open = sync_open,
	.read = sync_read,
	.write = sync_write,
	.close = sync_close,
};
