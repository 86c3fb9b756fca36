/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot memory in a VM that is prepared: private memory at an address that all guests have in common,
 * with its second-stage entries made, in which only contents are missing when a template comes.
 *
 * It holds what the base has there, so what a template has to bring is what differs from that. In
 * large pages it would need fewer entries, but those are made before anybody waits, and what a
 * template does not need could not be given back.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "file.h"
#include "lumper.h"
#include "snapshot_priv.h"

#define HOT_BYTES (GUEST_HOT_END - GUEST_HOT_START)

bool hot_memory_holds(uint64_t offset)
{
	return offset >= GUEST_HOT_START && offset < GUEST_HOT_END;
}

bool working_set_is_hot(const struct working_set_entry *entry)
{
	return !(entry->flags & WORKING_SET_IMAGE) && hot_memory_holds(entry->offset);
}

int hot_memory_map(uint8_t *memory, int base_fd, struct err *err)
{
	uint64_t at = GUEST_HOT_START, end;
	int r = 0;

	if (mmap(memory + GUEST_HOT_START, HOT_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map hot memory: %s", strerror(errno));
	(void)madvise(memory + GUEST_HOT_START, HOT_BYTES, MADV_NOHUGEPAGE);
	(void)madvise(memory + GUEST_HOT_START, HOT_BYTES, MADV_POPULATE_WRITE);
	for (; r == 0 && sparse_next(base_fd, GUEST_HOT_END, &at, &end); at = end)
		r = file_pread_all(base_fd, memory + at, end - at, (off_t)at);
	return r < 0 ? err_set(err, r, "cannot read the base: %s", strerror(-r)) : 0;
}

/* From the layer itself: also pages of zeros, which the base may not have. */
static int load_from_layer(uint8_t *memory, const struct snapshot_extent *extents, uint32_t count,
			   int layer_fd)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		uint64_t start = extents[i].offset, end = start + extents[i].bytes;

		if (start < GUEST_HOT_START)
			start = GUEST_HOT_START;
		if (end > GUEST_HOT_END)
			end = GUEST_HOT_END;
		if (start < end)
			r = file_pread_all(layer_fd, memory + start, end - start, (off_t)start);
	}
	return r;
}

int hot_memory_load(uint8_t *memory, const struct snapshot_extent *extents, uint32_t count,
		    int layer_fd, const struct pack *pack, struct err *err)
{
	int r = 0;

	if (pack->header)
		pack_copy(pack, GUEST_HOT_START, GUEST_HOT_END, memory);
	else
		r = load_from_layer(memory, extents, count, layer_fd);
	return r < 0 ? err_set(err, r, "cannot read the memory layer: %s", strerror(-r)) : 0;
}

/* Best effort, as all advice. */
void hot_memory_trim(uint8_t *memory)
{
	uint64_t at = GUEST_HOT_START;

	while (at < GUEST_HOT_END) {
		uint64_t start = at;

		while (at < GUEST_HOT_END && page_is_zero(memory + at))
			at += GUEST_PAGE_BYTES;
		if (at > start)
			(void)madvise(memory + start, at - start, MADV_DONTNEED);
		at += GUEST_PAGE_BYTES;
	}
}
