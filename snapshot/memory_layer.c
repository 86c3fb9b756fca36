/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory layer: guest RAM, or the extents of it that differ from a base, as a sparse file of
 * exactly its size, pages of zeros as holes, so that a clone can map it as it is.
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
	uint32_t next_extent; /* of the source's: the first that does not end before the page */
	uint64_t data_start, data_end; /* of the mapped file: the data at or after the page */
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

/* Asked for ascending offsets. */
static bool writer_wants(struct layer_writer *w, uint64_t offset)
{
	const struct memory_source *source = w->source;
	const struct snapshot_extent *extent = &source->extents[w->next_extent];

	if (!source->has_extents)
		return true;
	for (; w->next_extent < source->extent_count; w->next_extent++, extent++)
		if (offset < extent->offset + extent->bytes)
			return offset >= extent->offset;
	return false;
}

/* Whether a page that still is the mapped file's lies in a hole of it. Asked for ascending
 * offsets. */
static bool writer_finds_hole(struct layer_writer *w, uint64_t offset)
{
	const struct memory_source *source = w->source;

	while (offset >= w->data_end) {
		w->data_start = w->data_end;
		if (!sparse_next(source->mapped_fd, source->bytes, &w->data_start, &w->data_end))
			w->data_start = w->data_end = UINT64_MAX;
	}
	return offset < w->data_start;
}

static bool writer_knows_zero(struct layer_writer *w, enum page_kind kind, uint64_t offset)
{
	return kind == PAGE_ZERO || (kind == PAGE_OF_FILE && writer_finds_hole(w, offset));
}

static int writer_block(struct layer_writer *w, struct residency *residency, uint64_t block)
{
	enum page_kind kinds[RESIDENCY_BLOCK_PAGES];
	int r;

	if (block - w->source->skip_offset < w->source->skip_bytes)
		return 0;
	residency_block(residency, block, kinds);
	for (size_t i = 0; i < RESIDENCY_BLOCK_PAGES; i++) {
		uint64_t offset = block + i * GUEST_PAGE_BYTES;
		const uint8_t *page = w->source->base + offset;

		if (writer_knows_zero(w, kinds[i], offset) || !writer_wants(w, offset) ||
		    page_is_zero(page))
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
	cleanup_digest struct memory_digest *digest =
		memory_digest_new(source->bytes, source->extents, source->extent_count);
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
	r = residency_open(&residency, source->base, source->bytes,
			   source->has_mapped ? source->mapped_fd : -1, err);
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

int memory_layer_read(int fd, uint64_t bytes, const struct snapshot_extent *extents, uint32_t count,
		      struct memory_summary *ret_summary, struct err *err)
{
	cleanup_digest struct memory_digest *digest = memory_digest_new(bytes, extents, count);
	cleanup_free uint8_t *buf = aligned_alloc(GUEST_PAGE_BYTES, READ_BYTES);
	struct layer_reader reader = {.fd = fd, .digest = digest, .buf = buf};
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
	while (sparse_next(fd, bytes, &start, &end)) {
		r = reader_range(&reader, start, end);
		if (r < 0)
			return err_set(err, r, "cannot read the memory layer: %s", strerror(-r));
		start = end;
	}
	memory_digest_end(digest, ret_summary->digest);
	ret_summary->nonzero_pages = reader.nonzero_pages;
	return 0;
}
