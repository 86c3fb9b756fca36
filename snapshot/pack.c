/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pack: copies of those pages of a template that a prepared VM has to be filled with, one
 * behind the other.
 *
 * In the layer they lie apart, and to read one there for the first time costs a process a page
 * fault, five times the copying. So whoever has the template open keeps them together in memory,
 * once for all clones, and hands them to each. The layer stays what counts: a page that is not in
 * the pack is read there, and a clone without a pack is the same, only slower. Of hot memory a pack
 * has every page that differs from the base.
 *
 * Native layout, in a sealed memfd: a header, offsets in ascending order, from the next page on the
 * pages, and holes up to a multiple of 2 MiB. Both ends are of one build. Its maker asks for large
 * pages, so that a clone maps it with one page fault, and not with one for every 16 pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

#define PACK_MAGIC 0x4b434150504e5351ull /* "QSNPPACK" */

enum {
	HOT_PAGES = (GUEST_HOT_END - GUEST_HOT_START) / GUEST_PAGE_BYTES,
	PACK_MAX = 2 * WORKING_SET_MAX + HOT_PAGES, /* pages */
	COPY_BYTES = 1024, /* memcpy uses no string instruction for so few */
};

#define LARGE_PAGE_BYTES (2ull << 20)
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

struct pack_header {
	uint64_t magic, count, offsets[];
};

static uint64_t header_bytes(uint64_t count)
{
	uint64_t bytes = sizeof(struct pack_header) + count * sizeof(uint64_t);

	return (bytes + GUEST_PAGE_BYTES - 1) & ~(GUEST_PAGE_BYTES - 1);
}

static uint64_t file_bytes(uint64_t count)
{
	const uint64_t bytes = header_bytes(count) + count * GUEST_PAGE_BYTES;

	return (bytes + LARGE_PAGE_BYTES - 1) & ~(LARGE_PAGE_BYTES - 1);
}

/* --- making ---------------------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Those pages of the set that are in the template's own layer. */
static uint64_t add_set(const struct template *template, const struct working_set *set,
			uint64_t *offsets, uint64_t count)
{
	const struct manifest *manifest = template_manifest(template);

	for (uint32_t i = 0; set && i < set->count; i++)
		if (!(set->entries[i].flags & WORKING_SET_IMAGE) &&
		    extents_hold(manifest->extents, manifest->extent_count, set->entries[i].offset))
			offsets[count++] = set->entries[i].offset;
	return count;
}

/* Those of hot memory that the base has otherwise. 0 or -errno. */
static int add_hot(const struct template *template, uint64_t *offsets, uint64_t *count)
{
	const struct manifest *manifest = template_manifest(template);
	uint8_t page[GUEST_PAGE_BYTES], old[GUEST_PAGE_BYTES];
	int r = 0;

	for (uint64_t at = GUEST_HOT_START; r == 0 && at < GUEST_HOT_END; at += sizeof(page)) {
		if (!extents_hold(manifest->extents, manifest->extent_count, at))
			continue;
		r = file_pread_all(template_memory_fd(template), page, sizeof(page), (off_t)at);
		if (r == 0)
			r = file_pread_all(template_base_fd(template), old, sizeof(old), (off_t)at);
		if (r == 0 && memcmp(page, old, sizeof(page)) != 0)
			offsets[(*count)++] = at;
	}
	return r;
}

static uint64_t sort_and_merge(uint64_t *offsets, uint64_t count)
{
	uint64_t kept = 0;

	qsort(offsets, count, sizeof(*offsets), by_offset);
	for (uint64_t i = 0; i < count; i++)
		if (!kept || offsets[kept - 1] != offsets[i])
			offsets[kept++] = offsets[i];
	return kept;
}

static int write_page(int fd, int layer_fd, uint64_t from, uint64_t to)
{
	uint8_t page[GUEST_PAGE_BYTES];
	int r = file_pread_all(layer_fd, page, sizeof(page), (off_t)from);

	if (r < 0)
		return r;
	return pwrite(fd, page, sizeof(page), (off_t)to) == (ssize_t)sizeof(page) ? 0 : -EIO;
}

/* Whatever the host's setting for large pages of shared memory: it is about those that nobody asked
 * for. It may not have any. */
static void make_large(int fd, uint64_t bytes)
{
	uint8_t *room = mmap(NULL, bytes + LARGE_PAGE_BYTES, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at;

	if (room == MAP_FAILED)
		return;
	at = room + -(uintptr_t)room % LARGE_PAGE_BYTES;
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at) {
		/* The kernel looks for them by way of a page table. */
		for (uint64_t i = 0; i < bytes; i += LARGE_PAGE_BYTES)
			(void)*(const volatile uint8_t *)(at + i);
		(void)madvise(at, bytes, MADV_COLLAPSE);
	}
	(void)munmap(room, bytes + LARGE_PAGE_BYTES);
}

static int write_pack(int fd, int layer_fd, const struct pack_header *header)
{
	const uint64_t start = header_bytes(header->count);
	int r = 0;

	if (ftruncate(fd, (off_t)file_bytes(header->count)) < 0)
		return -errno;
	if (pwrite(fd, header, start, 0) != (ssize_t)start)
		return -EIO;
	for (uint64_t i = 0; r == 0 && i < header->count; i++)
		r = write_page(fd, layer_fd, header->offsets[i], start + i * GUEST_PAGE_BYTES);
	if (r == 0)
		make_large(fd, file_bytes(header->count));
	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	return r;
}

int pack_new(const struct template *template, const struct template *calibration, int *ret_fd,
	     struct err *err)
{
	cleanup_free struct pack_header *header = calloc(1, header_bytes(PACK_MAX));
	cleanup_fd int fd = memfd_create("quark-pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "cannot make a pack: %s", strerror(errno));
	if (!header)
		return err_set(err, -ENOMEM, "out of memory");
	header->magic = PACK_MAGIC;
	header->count = add_set(template, template_working_set(template), header->offsets, 0);
	header->count = add_set(template, template_working_set(calibration), header->offsets,
				header->count);
	r = add_hot(template, header->offsets, &header->count);
	header->count = sort_and_merge(header->offsets, header->count);
	if (r == 0)
		r = write_pack(fd, template_memory_fd(template), header);
	if (r < 0)
		return err_set(err, r, "cannot make a pack: %s", strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* --- using ----------------------------------------------------------------------------------- */

static bool header_is_good(const struct pack_header *header, uint64_t bytes)
{
	if (header->magic != PACK_MAGIC || header->count > PACK_MAX ||
	    file_bytes(header->count) != bytes)
		return false;
	for (uint64_t i = 0; i < header->count; i++)
		if (header->offsets[i] % GUEST_PAGE_BYTES ||
		    (i && header->offsets[i - 1] >= header->offsets[i]))
			return false;
	return true;
}

/* That it is sealed is its maker's business, who is trusted with all that a clone is made of. */
static int check_file(int fd, uint64_t *ret_bytes, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at the pack: %s", strerror(errno));
	*ret_bytes = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || *ret_bytes < GUEST_PAGE_BYTES ||
	    *ret_bytes > file_bytes(PACK_MAX))
		return err_set(err, -EBADMSG, "the pack is malformed");
	return 0;
}

int pack_reserve(struct pack *ret_pack, struct err *err)
{
	const uint64_t bytes = file_bytes(PACK_MAX) + LARGE_PAGE_BYTES;
	uint8_t *room = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			     -1, 0);

	if (room == MAP_FAILED)
		return err_set(err, -errno, "cannot reserve address space: %s", strerror(errno));
	*ret_pack = (struct pack){ .room = room, .room_bytes = bytes };
	return 0;
}

/* Hot path. */
int pack_map(struct pack *pack, int fd, struct err *err)
{
	void *at = pack->room + -(uintptr_t)pack->room % LARGE_PAGE_BYTES;
	uint64_t bytes = 0;
	int r = check_file(fd, &bytes, err);

	if (r < 0)
		return r;
	if (mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the pack: %s", strerror(errno));
	if (!header_is_good(at, bytes))
		return err_set(err, -EBADMSG, "the pack is malformed");
	pack->header = at;
	return 0;
}

void pack_release(struct pack *pack)
{
	if (pack->room)
		(void)munmap(pack->room, pack->room_bytes);
	*pack = (struct pack){};
}

/* The first page at or behind the offset. */
static uint64_t find(const struct pack_header *header, uint64_t offset)
{
	uint64_t low = 0, high = header->count;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (header->offsets[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const uint8_t *page_at(const struct pack_header *header, uint64_t index)
{
	return (const uint8_t *)header + header_bytes(header->count) + index * GUEST_PAGE_BYTES;
}

const uint8_t *pack_page(const struct pack *pack, uint64_t offset)
{
	const struct pack_header *header = pack->header;
	uint64_t index = header ? find(header, offset) : 0;

	if (!header || index == header->count || header->offsets[index] != offset)
		return NULL;
	return page_at(header, index);
}

void page_copy(uint8_t *to, const uint8_t *from)
{
	for (size_t at = 0; at < GUEST_PAGE_BYTES; at += COPY_BYTES)
		memcpy(to + at, from + at, COPY_BYTES);
}

void pack_copy(const struct pack *pack, uint64_t start, uint64_t end, uint8_t *memory)
{
	const struct pack_header *header = pack->header;

	for (uint64_t i = find(header, start); i < header->count && header->offsets[i] < end; i++)
		page_copy(memory + header->offsets[i], page_at(header, i));
}
