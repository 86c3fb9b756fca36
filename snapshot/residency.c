/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about the pages of a mapping without touching them.
 *
 * Reading every page of a large guest maps a zero page for each one that was never used. In private
 * anonymous memory a page that /proc/self/pagemap says is neither present nor swapped has never
 * been written, and so is zero (Documentation/admin-guide/mm/pagemap.rst). In a private mapping of
 * a file a page is a copy only when it is swapped, or present and not of the file (bit 61); else it
 * still is the file's. /proc/self/maps tells which mapping is which. Without /proc nothing is
 * known. One thread owns a struct residency; mappings must not change while it lives, and none may
 * be waiting for a userfaultfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_FILE (1ull << 61)

enum { BLOCK_BYTES = RESIDENCY_BLOCK_PAGES * GUEST_PAGE_BYTES };

/* What all pages of a block lie in. */
enum block_kind { BLOCK_MIXED, BLOCK_ANONYMOUS, BLOCK_FILE };

struct residency {
	uintptr_t base;
	uint64_t bytes;
	uint64_t blocks;
	bool has_file;
	dev_t device; /* of that file */
	ino_t inode;
	int pagemap_fd;	      /* owned; -1: nothing is known */
	unsigned char *kinds; /* owned; enum block_kind per block */
	uint64_t entries[RESIDENCY_BLOCK_PAGES];
};

/* One line of /proc/self/maps. */
struct mapping {
	unsigned long start, end, offset, inode;
	unsigned int major, minor;
	char share; /* 'p': private */
};

static bool mapping_parse(const char *line, struct mapping *m)
{
	return sscanf(line, "%lx-%lx %*c%*c%*c%c %lx %x:%x %lu", &m->start, &m->end, &m->share,
		      &m->offset, &m->major, &m->minor, &m->inode) == 7;
}

/* Of the file only what lies at its own offset. Where a file system reports another device to stat
 * than to maps, nothing matches, and pages are looked at. */
static enum block_kind mapping_kind(const struct residency *residency, const struct mapping *m)
{
	if (m->share != 'p')
		return BLOCK_MIXED;
	if (m->inode == 0)
		return BLOCK_ANONYMOUS;
	if (residency->has_file && m->inode == residency->inode &&
	    makedev(m->major, m->minor) == residency->device &&
	    m->offset + residency->base == m->start)
		return BLOCK_FILE;
	return BLOCK_MIXED;
}

/* Marks the blocks that lie wholly in the mapping. */
static void mark_blocks(struct residency *residency, const struct mapping *m, enum block_kind kind)
{
	const uintptr_t base = residency->base;
	uint64_t first, last;

	if (m->end <= base || m->start >= base + residency->bytes)
		return;
	first = m->start <= base ? 0 : (m->start - base + BLOCK_BYTES - 1) / BLOCK_BYTES;
	last = m->end >= base + residency->bytes ? residency->blocks :
						   (m->end - base) / BLOCK_BYTES;
	for (uint64_t i = first; i < last; i++)
		residency->kinds[i] = (unsigned char)kind;
}

static bool read_maps(struct residency *residency)
{
	cleanup_file FILE *maps = fopen("/proc/self/maps", "re");
	cleanup_free char *line = NULL;
	struct mapping mapping;
	size_t cap = 0;

	if (!maps)
		return false;
	while (getline(&line, &cap, maps) > 0)
		if (mapping_parse(line, &mapping))
			mark_blocks(residency, &mapping, mapping_kind(residency, &mapping));
	return !ferror(maps);
}

int residency_open(struct residency **ret_residency, const void *base, uint64_t bytes, int file_fd,
		   struct err *err)
{
	struct residency *residency = malloc(sizeof(*residency));
	struct stat st;

	if (!residency)
		return err_set(err, -ENOMEM, "out of memory");
	*residency = (struct residency){
		.base = (uintptr_t)base,
		.bytes = bytes,
		.blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES,
		.pagemap_fd = -1,
	};
	residency->kinds = calloc(residency->blocks, 1);
	if (!residency->kinds) {
		residency_free(residency);
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (file_fd >= 0 && fstat(file_fd, &st) == 0) {
		residency->has_file = true;
		residency->device = st.st_dev;
		residency->inode = st.st_ino;
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
		free(residency->kinds);
		free(residency);
	}
	return NULL;
}

static enum page_kind page_kind(enum block_kind block, uint64_t entry)
{
	if (block == BLOCK_ANONYMOUS)
		return entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) ? PAGE_UNKNOWN : PAGE_ZERO;
	if (entry & PAGEMAP_SWAPPED || (entry & PAGEMAP_PRESENT && !(entry & PAGEMAP_FILE)))
		return PAGE_UNKNOWN;
	return PAGE_OF_FILE;
}

void residency_block(struct residency *residency, uint64_t offset,
		     enum page_kind ret_kinds[RESIDENCY_BLOCK_PAGES])
{
	uint64_t page = (residency->base + offset) / GUEST_PAGE_BYTES;
	enum block_kind block = residency->kinds[offset / BLOCK_BYTES];
	bool known = residency->pagemap_fd >= 0 && block != BLOCK_MIXED &&
		     file_pread_all(residency->pagemap_fd, residency->entries,
				    sizeof(residency->entries),
				    (off_t)(page * sizeof(uint64_t))) == 0;

	for (size_t i = 0; i < RESIDENCY_BLOCK_PAGES; i++)
		ret_kinds[i] = known ? page_kind(block, residency->entries[i]) : PAGE_UNKNOWN;
}
