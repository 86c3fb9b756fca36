/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pack: copies of those pages of a template that a prepared VM has to be filled with, one
 * behind the other.
 *
 * In the layer they lie apart, and to read one there for the first time costs a process a page
 * fault, five times the copying. So whoever has the template open keeps them together in memory,
 * once for all clones, and hands them to each. The layer stays what counts: a page that is not in
 * the pack is read there, and a clone without a pack is the same, only slower.
 *
 * Native layout, in a sealed memfd: a header, offsets in ascending order, and from the next page on
 * the pages. Both ends are of one build.
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

struct pack_header {
	uint64_t magic, count, offsets[];
};

static uint64_t header_bytes(uint64_t count)
{
	uint64_t bytes = sizeof(struct pack_header) + count * sizeof(uint64_t);

	return (bytes + GUEST_PAGE_BYTES - 1) & ~(GUEST_PAGE_BYTES - 1);
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

static int write_pack(int fd, int layer_fd, const struct pack_header *header)
{
	const uint64_t start = header_bytes(header->count);
	int r = 0;

	if (pwrite(fd, header, start, 0) != (ssize_t)start)
		return -EIO;
	for (uint64_t i = 0; r == 0 && i < header->count; i++)
		r = write_page(fd, layer_fd, header->offsets[i], start + i * GUEST_PAGE_BYTES);
	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	return r;
}

int pack_new(const struct template *template, const struct template *calibration, int *ret_fd,
	     struct err *err)
{
	cleanup_free struct pack_header *header = calloc(1, header_bytes(2 * WORKING_SET_MAX));
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
	header->count = sort_and_merge(header->offsets, header->count);
	r = write_pack(fd, template_memory_fd(template), header);
	if (r < 0)
		return err_set(err, r, "cannot make a pack: %s", strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* --- using ----------------------------------------------------------------------------------- */

static bool header_is_good(const struct pack_header *header, uint64_t bytes)
{
	if (header->magic != PACK_MAGIC || header->count > 2 * WORKING_SET_MAX ||
	    header_bytes(header->count) + header->count * GUEST_PAGE_BYTES != bytes)
		return false;
	for (uint64_t i = 1; i < header->count; i++)
		if (header->offsets[i - 1] >= header->offsets[i])
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
	    *ret_bytes > header_bytes(2 * WORKING_SET_MAX) + 2 * WORKING_SET_MAX * GUEST_PAGE_BYTES)
		return err_set(err, -EBADMSG, "the pack is malformed");
	return 0;
}

/* Hot path. */
int pack_map(struct pack *ret_pack, int fd, struct err *err)
{
	uint64_t bytes = 0;
	int r = check_file(fd, &bytes, err);
	void *at;

	if (r < 0)
		return r;
	at = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "cannot map the pack: %s", strerror(errno));
	if (!header_is_good(at, bytes)) {
		(void)munmap(at, bytes);
		return err_set(err, -EBADMSG, "the pack is malformed");
	}
	*ret_pack = (struct pack){ .header = at, .bytes = bytes };
	return 0;
}

void pack_unmap(struct pack *pack)
{
	if (pack->header)
		(void)munmap((void *)(uintptr_t)pack->header, pack->bytes);
	*pack = (struct pack){};
}

const uint8_t *pack_page(const struct pack *pack, uint64_t offset)
{
	const struct pack_header *header = pack->header;
	uint64_t low = 0, high = header ? header->count : 0;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (header->offsets[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!header || low == header->count || header->offsets[low] != offset)
		return NULL;
	return (const uint8_t *)header + header_bytes(header->count) + low * GUEST_PAGE_BYTES;
}
