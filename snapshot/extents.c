/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: which parts of memory a layer holds when the rest is its base's.
 *
 * Each extent makes every restore slower, and what the base holds inside of one is stored again. Of
 * all ways to cover the pages that differ by n extents, the one that leaves out the n - 1 gaps
 * between them with the most data stores the least. Pure functions; any thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "snapshot_priv.h"

int extents_check(const struct snapshot_extent *extents, uint32_t count, uint64_t memory_bytes,
		  struct err *err)
{
	uint64_t end = 0;

	if (count > SNAPSHOT_EXTENTS_MAX)
		return err_set(err, -EBADMSG, "%u extents, at most %d can be", count,
			       SNAPSHOT_EXTENTS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct snapshot_extent *extent = &extents[i];

		if (extent->offset % GUEST_PAGE_BYTES || extent->bytes % GUEST_PAGE_BYTES ||
		    extent->bytes == 0 || extent->offset >= memory_bytes ||
		    extent->bytes > memory_bytes - extent->offset ||
		    (i && extent->offset <= end))
			return err_set(err, -EBADMSG, "extent %u is malformed", i);
		end = extent->offset + extent->bytes;
	}
	return 0;
}

const struct snapshot_extent *extent_from(const struct snapshot_extent *extents, uint32_t count,
					  uint64_t offset)
{
	for (uint32_t i = 0; i < count; i++)
		if (offset < extents[i].offset + extents[i].bytes)
			return &extents[i];
	return NULL;
}

bool extents_hold(const struct snapshot_extent *extents, uint32_t count, uint64_t offset)
{
	const struct snapshot_extent *extent = extent_from(extents, count, offset);

	return extent && offset >= extent->offset;
}

struct gap {
	uint64_t start, pages;
	uint64_t worth; /* how many of them the base stores */
};

struct gaps {
	uint32_t count, max;
	struct gap at[SNAPSHOT_EXTENTS_MAX - 1]; /* those of most worth so far, in no order */
};

static void keep_worthiest(struct gaps *gaps, struct gap gap)
{
	uint32_t least = 0;

	if (gaps->count < gaps->max) {
		gaps->at[gaps->count++] = gap;
		return;
	}
	for (uint32_t i = 1; i < gaps->count; i++)
		if (gaps->at[i].worth < gaps->at[least].worth)
			least = i;
	if (gaps->count && gaps->at[least].worth < gap.worth)
		gaps->at[least] = gap;
}

static int by_start(const void *a, const void *b)
{
	const struct gap *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static struct snapshot_extent extent_of(uint64_t first, uint64_t end)
{
	return (struct snapshot_extent){
		.offset = first * GUEST_PAGE_BYTES,
		.bytes = (end - first) * GUEST_PAGE_BYTES,
	};
}

uint32_t extents_choose(const struct page_facts *pages, uint64_t count, struct extent_limits limits,
			struct snapshot_extent ret_extents[])
{
	struct gaps gaps = {.max = limits.max - 1};
	struct gap gap = {};
	uint64_t first = 0, end = 0; /* of the pages that differ; end 0: none so far */

	assert(limits.max >= 1 && limits.max <= SNAPSHOT_EXTENTS_MAX);
	for (uint64_t i = 0; i < count; i++) {
		if (!pages[i].differs) {
			gap.worth += pages[i].stored;
			continue;
		}
		gap.pages = i - end;
		if (!end)
			first = i;
		else if (gap.pages && gap.worth >= limits.gap_min_pages)
			keep_worthiest(&gaps, gap);
		end = i + 1;
		gap = (struct gap){.start = end};
	}
	if (!end)
		return 0;
	qsort(gaps.at, gaps.count, sizeof(gaps.at[0]), by_start);
	for (uint32_t i = 0; i < gaps.count; i++) {
		ret_extents[i] = extent_of(first, gaps.at[i].start);
		first = gaps.at[i].start + gaps.at[i].pages;
	}
	ret_extents[gaps.count] = extent_of(first, end);
	return gaps.count + 1;
}
