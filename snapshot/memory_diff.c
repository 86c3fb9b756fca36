/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which extents a VM's memory differs from the base that it was made from.
 *
 * A VM that was restored from its base maps the base's file copy-on-write, and what it has not
 * written is known to be equal without a look. The rest is compared by content, because a page that
 * was written may well have got its old value back. The base is read and not mapped: a disk error
 * is then an error and no signal, and reading a hole of a file on tmpfs allocates nothing.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum { BLOCK_BYTES = RESIDENCY_BLOCK_PAGES * GUEST_PAGE_BYTES };

struct diff {
	const struct memory_source *source;
	int base_fd;
	struct residency *residency;
	uint8_t *buf; /* BLOCK_BYTES of the base */
	struct page_facts *pages;
	enum page_kind kinds[RESIDENCY_BLOCK_PAGES];
};

static void cleanup_residency_p(struct residency **residency)
{
	residency_free(*residency);
}

static bool page_differs(const struct diff *diff, size_t i, uint64_t offset, const uint8_t *base)
{
	if (diff->kinds[i] == PAGE_ZERO)
		return !page_is_zero(base);
	return memcmp(diff->source->base + offset, base, GUEST_PAGE_BYTES) != 0;
}

/* Pages [i, end) of a block, none of which is known to be the base's. */
static int diff_run(struct diff *diff, uint64_t block, size_t i, size_t end)
{
	uint64_t offset = block + i * GUEST_PAGE_BYTES;
	const uint8_t *base = diff->buf;
	int r = file_pread_all(diff->base_fd, diff->buf, (end - i) * GUEST_PAGE_BYTES,
			       (off_t)offset);

	for (; r == 0 && i < end; i++) {
		diff->pages[offset / GUEST_PAGE_BYTES].differs =
			page_differs(diff, i, offset, base);
		offset += GUEST_PAGE_BYTES;
		base += GUEST_PAGE_BYTES;
	}
	return r;
}

static int diff_block(struct diff *diff, uint64_t block)
{
	size_t i = 0, end;

	if (block - diff->source->skip_offset < diff->source->skip_bytes)
		for (size_t n = 0; n < RESIDENCY_BLOCK_PAGES; n++)
			diff->kinds[n] = PAGE_ZERO;
	else
		residency_block(diff->residency, block, diff->kinds);
	for (; i < RESIDENCY_BLOCK_PAGES; i = end) {
		bool of_base = diff->kinds[i] == PAGE_OF_FILE;
		int r;

		for (end = i + 1; end < RESIDENCY_BLOCK_PAGES; end++)
			if ((diff->kinds[end] == PAGE_OF_FILE) != of_base)
				break;
		r = of_base ? 0 : diff_run(diff, block, i, end);
		if (r < 0)
			return r;
	}
	return 0;
}

static int diff_all(struct diff *diff, struct err *err)
{
	for (uint64_t block = 0; block < diff->source->bytes; block += BLOCK_BYTES) {
		int r = diff_block(diff, block);

		if (r < 0)
			return err_set(err, r, "cannot read the base: %s", strerror(-r));
	}
	return 0;
}

/* A file system that knows no holes stores everything. */
static void find_stored(const struct diff *diff)
{
	uint64_t at = 0, end;

	for (; sparse_next(diff->base_fd, diff->source->bytes, &at, &end); at = end)
		for (uint64_t i = at / GUEST_PAGE_BYTES; i < end / GUEST_PAGE_BYTES; i++)
			diff->pages[i].stored = true;
}

int memory_diff(struct memory_source *source, int base_fd, struct err *err)
{
	static const struct extent_limits limits = {EXTENTS_CHOSEN_MAX, EXTENT_GAP_MIN_PAGES};
	const uint64_t count = source->bytes / GUEST_PAGE_BYTES;
	__attribute__((cleanup(cleanup_residency_p))) struct residency *residency = NULL;
	cleanup_free uint8_t *buf = aligned_alloc(GUEST_PAGE_BYTES, BLOCK_BYTES);
	cleanup_free struct page_facts *pages = calloc(count, sizeof(*pages));
	struct diff diff = {.source = source, .base_fd = base_fd, .buf = buf, .pages = pages};
	int r;

	assert(source->bytes % BLOCK_BYTES == 0 && source->skip_offset % BLOCK_BYTES == 0);
	if (!buf || !pages)
		return err_set(err, -ENOMEM, "out of memory");
	r = residency_open(&residency, source->base, source->bytes, base_fd, err);
	if (r < 0)
		return r;
	diff.residency = residency;
	r = diff_all(&diff, err);
	if (r < 0)
		return r;
	find_stored(&diff);
	source->has_extents = true;
	source->extent_count = extents_choose(pages, count, limits, source->extents);
	return 0;
}
