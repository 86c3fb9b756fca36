/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of a mapping can hold anything but zeros, without touching them.
 *
 * Reading every page of a large guest maps a zero page for each one that was never used. In private
 * anonymous memory a page that /proc/self/pagemap says is neither present nor swapped has never
 * been written, and so is zero (Documentation/admin-guide/mm/pagemap.rst). In a file mapping, a CoW
 * one included, absence says nothing; /proc/self/maps tells which is which. Without /proc every
 * page may hold data. One thread owns a struct residency; mappings must not change while it lives,
 * and none may be waiting for a userfaultfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)

enum { BLOCK_BYTES = RESIDENCY_BLOCK_PAGES * GUEST_PAGE_BYTES };

struct residency {
	uintptr_t base;
	uint64_t bytes;
	uint64_t blocks;
	int pagemap_fd;		  /* owned; -1: unknown, every page may hold data */
	unsigned char *anonymous; /* owned; per block: wholly private anonymous memory */
	uint64_t entries[RESIDENCY_BLOCK_PAGES];
};

/* One line of /proc/self/maps, of which only private mappings of no file count. */
static bool maps_line_anonymous(const char *line, uintptr_t *ret_start, uintptr_t *ret_end)
{
	unsigned long start, end, inode;
	char share;

	if (sscanf(line, "%lx-%lx %*c%*c%*c%c %*s %*s %lu", &start, &end, &share, &inode) != 4)
		return false;
	*ret_start = start;
	*ret_end = end;
	return share == 'p' && inode == 0;
}

/* Marks the blocks that lie wholly in [start, end). */
static void mark_blocks(struct residency *residency, uintptr_t start, uintptr_t end)
{
	const uintptr_t base = residency->base;
	uint64_t first, last;

	if (end <= base || start >= base + residency->bytes)
		return;
	first = start <= base ? 0 : (start - base + BLOCK_BYTES - 1) / BLOCK_BYTES;
	last = end >= base + residency->bytes ? residency->blocks : (end - base) / BLOCK_BYTES;
	for (uint64_t i = first; i < last; i++)
		residency->anonymous[i] = 1;
}

static bool read_maps(struct residency *residency)
{
	cleanup_file FILE *maps = fopen("/proc/self/maps", "re");
	cleanup_free char *line = NULL;
	uintptr_t start, end;
	size_t cap = 0;

	if (!maps)
		return false;
	while (getline(&line, &cap, maps) > 0)
		if (maps_line_anonymous(line, &start, &end))
			mark_blocks(residency, start, end);
	return !ferror(maps);
}

int residency_open(struct residency **ret_residency, const void *base, uint64_t bytes,
		   struct err *err)
{
	struct residency *residency = malloc(sizeof(*residency));

	if (!residency)
		return err_set(err, -ENOMEM, "out of memory");
	*residency = (struct residency){
		.base = (uintptr_t)base,
		.bytes = bytes,
		.blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES,
		.pagemap_fd = -1,
	};
	residency->anonymous = calloc(residency->blocks, 1);
	if (!residency->anonymous) {
		residency_free(residency);
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (read_maps(residency))
		residency->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	*ret_residency = residency;
	return 0;
}

struct residency *residency_free(struct residency *residency)
{
	if (residency) {
		(void)fd_close(residency->pagemap_fd);
		free(residency->anonymous);
		free(residency);
	}
	return NULL;
}

bool residency_block(struct residency *residency, uint64_t offset,
		     bool ret_maybe[RESIDENCY_BLOCK_PAGES])
{
	uint64_t page = (residency->base + offset) / GUEST_PAGE_BYTES;
	bool any = false;

	if (residency->pagemap_fd < 0 || !residency->anonymous[offset / BLOCK_BYTES] ||
	    file_pread_all(residency->pagemap_fd, residency->entries, sizeof(residency->entries),
			   (off_t)(page * sizeof(uint64_t))) < 0) {
		memset(ret_maybe, true, RESIDENCY_BLOCK_PAGES);
		return true;
	}
	for (size_t i = 0; i < RESIDENCY_BLOCK_PAGES; i++) {
		ret_maybe[i] = residency->entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED);
		any |= ret_maybe[i];
	}
	return any;
}
