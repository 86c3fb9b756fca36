/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory layer: guest RAM as a sparse file of exactly its size, pages of zeros as holes, so
 * that a clone can map it as it is.
 *
 * Written from the live mapping in batches of runs of non-zero pages; digested on the way. Read
 * back only to verify. Blocking; the caller owns the descriptors.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum {
	BATCH_EXTENTS = 64,
	EXTENT_MAX_BYTES = 1 << 20,
	BLOCK_BYTES = RESIDENCY_BLOCK_PAGES * GUEST_PAGE_BYTES,
	READ_BYTES = 1 << 20,
};

static void cleanup_digest_p(struct memory_digest **digest)
{
	memory_digest_free(*digest);
}
#define cleanup_digest __attribute__((cleanup(cleanup_digest_p)))

static void cleanup_residency_p(struct residency **residency)
{
	residency_free(*residency);
}
#define cleanup_residency __attribute__((cleanup(cleanup_residency_p)))

/* --- writing --------------------------------------------------------------------------------- */

struct layer_writer {
	int fd;
	const struct memory_source *source;
	struct page_io *io;
	struct memory_digest *digest;
	uint64_t nonzero_pages;
	void (*batch)(void *context);
	void *context;
	size_t count;
	struct page_extent extents[BATCH_EXTENTS];
};

static int writer_flush(struct layer_writer *w)
{
	size_t count = w->count;

	w->count = 0;
	if (count == 0)
		return 0;
	if (w->batch)
		w->batch(w->context);
	return w->source->page_io->write(w->io, w->fd, w->extents, count);
}

/* Appends a page to the last extent where it follows it, else begins a new one. */
static int writer_add(struct layer_writer *w, uint64_t offset)
{
	struct page_extent *last = w->count ? &w->extents[w->count - 1] : NULL;
	int r = 0;

	if (last && last->offset + last->bytes == offset && last->bytes < EXTENT_MAX_BYTES) {
		last->bytes += GUEST_PAGE_BYTES;
		return 0;
	}
	if (w->count == BATCH_EXTENTS)
		r = writer_flush(w);
	w->extents[w->count++] = (struct page_extent){
		.buf = (void *)(uintptr_t)(w->source->base + offset),
		.bytes = GUEST_PAGE_BYTES,
		.offset = offset,
	};
	return r;
}

static int writer_block(struct layer_writer *w, struct residency *residency, uint64_t block)
{
	bool maybe[RESIDENCY_BLOCK_PAGES];
	int r;

	if (block - w->source->skip_offset < w->source->skip_bytes ||
	    !residency_block(residency, block, maybe))
		return 0;
	for (size_t i = 0; i < RESIDENCY_BLOCK_PAGES; i++) {
		uint64_t offset = block + i * GUEST_PAGE_BYTES;
		const uint8_t *page = w->source->base + offset;

		if (!maybe[i] || page_is_zero(page))
			continue;
		memory_digest_page(w->digest, offset, page);
		w->nonzero_pages++;
		r = writer_add(w, offset);
		if (r < 0)
			return r;
	}
	return 0;
}

static int writer_run(struct layer_writer *w, struct residency *residency)
{
	for (uint64_t block = 0; block < w->source->bytes; block += BLOCK_BYTES) {
		int r = writer_block(w, residency, block);

		if (r < 0)
			return r;
	}
	return writer_flush(w);
}

int memory_layer_write(int fd, const struct memory_source *source, void (*batch)(void *context),
		       void *context, struct memory_summary *ret_summary, struct err *err)
{
	cleanup_residency struct residency *residency = NULL;
	cleanup_digest struct memory_digest *digest = memory_digest_new(source->bytes);
	struct layer_writer w = {
		.fd = fd,
		.source = source,
		.digest = digest,
		.batch = batch,
		.context = context,
	};
	int r;

	assert(source->bytes % BLOCK_BYTES == 0 && source->skip_offset % BLOCK_BYTES == 0 &&
	       source->skip_bytes % BLOCK_BYTES == 0);
	if (!digest)
		return err_set(err, -ENOMEM, "out of memory");
	r = residency_open(&residency, source->base, source->bytes, err);
	if (r < 0)
		return r;
	if (ftruncate(fd, (off_t)source->bytes) < 0)
		return err_set(err, -errno, "cannot make a memory layer of %" PRIu64 " bytes: %s",
			       source->bytes, strerror(errno));
	r = source->page_io->open(&w.io, BATCH_EXTENTS);
	if (r < 0)
		return err_set(err, r, "cannot set up page I/O by %s: %s", source->page_io->name,
			       strerror(-r));
	r = writer_run(&w, residency);
	source->page_io->close(w.io);
	if (r < 0)
		return err_set(err, r, "cannot write the memory layer: %s", strerror(-r));
	memory_digest_end(digest, ret_summary->digest);
	ret_summary->nonzero_pages = w.nonzero_pages;
	return 0;
}

/* --- reading --------------------------------------------------------------------------------- */

struct layer_reader {
	int fd;
	uint64_t bytes;
	struct memory_digest *digest;
	uint64_t nonzero_pages;
	uint8_t *buf; /* READ_BYTES */
};

/* Digests [start, end), both page-aligned. */
static int reader_range(struct layer_reader *reader, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t n = end - start < READ_BYTES ? (size_t)(end - start) : READ_BYTES;
		int r = file_pread_all(reader->fd, reader->buf, n, (off_t)start);

		if (r < 0)
			return r;
		for (size_t at = 0; at < n; at += GUEST_PAGE_BYTES) {
			if (page_is_zero(reader->buf + at))
				continue;
			memory_digest_page(reader->digest, start + at, reader->buf + at);
			reader->nonzero_pages++;
		}
		start += n;
	}
	return 0;
}

static uint64_t page_down(uint64_t offset)
{
	return offset / GUEST_PAGE_BYTES * GUEST_PAGE_BYTES;
}

/* The next range of data at or after *start, page-aligned; false when only holes follow. A file
 * system that cannot tell holes says that all is data, or fails, which means the same here. */
static bool next_data(const struct layer_reader *reader, uint64_t *start, uint64_t *ret_end)
{
	off_t data = lseek(reader->fd, (off_t)*start, SEEK_DATA);
	off_t hole;

	if (data < 0 && errno == ENXIO)
		return false;
	hole = data < 0 ? -1 : lseek(reader->fd, data, SEEK_HOLE);
	if (data >= 0)
		*start = page_down((uint64_t)data);
	*ret_end = hole < 0 ? reader->bytes : page_down((uint64_t)hole + GUEST_PAGE_BYTES - 1);
	return true;
}

int memory_layer_read(int fd, uint64_t bytes, struct memory_summary *ret_summary, struct err *err)
{
	cleanup_digest struct memory_digest *digest = memory_digest_new(bytes);
	cleanup_free uint8_t *buf = aligned_alloc(GUEST_PAGE_BYTES, READ_BYTES);
	struct layer_reader reader = {.fd = fd, .bytes = bytes, .digest = digest, .buf = buf};
	uint64_t start = 0, end;
	struct stat st;
	int r;

	if (!digest || !buf)
		return err_set(err, -ENOMEM, "out of memory");
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot stat the memory layer: %s", strerror(errno));
	if ((uint64_t)st.st_size != bytes)
		return err_set(err, -EBADMSG, "%lld bytes instead of %" PRIu64,
			       (long long)st.st_size, bytes);
	while (start < bytes && next_data(&reader, &start, &end)) {
		r = reader_range(&reader, start, end);
		if (r < 0)
			return err_set(err, r, "cannot read the memory layer: %s", strerror(-r));
		start = end;
	}
	memory_digest_end(digest, ret_summary->digest);
	ret_summary->nonzero_pages = reader.nonzero_pages;
	return 0;
}
