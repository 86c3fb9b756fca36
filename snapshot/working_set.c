/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working-set record: which pages a clone touches between restore and response.
 *
 * A hint, but a checked one: its entries become accesses to memory and image. One header,
 * the entries, one checksum over both; docs/snapshot-format.md is normative. Pure; any thread.
 */
#include <errno.h>

#include "le.h"
#include "snapshot_priv.h"

#define WORKING_SET_MAGIC 0x54455357504e5351ull /* "QSNPWSET" */

enum { CHECKSUM_BYTES = 8, GVA_BITS = 56 /* the user half, five-level paging included */ };

/* What a record can be over, and no record fits beyond. */
struct bounds {
	uint64_t memory_bytes, image_bytes;
};

static const struct bounds any_bounds = {UINT64_MAX, UINT64_MAX};

static bool entry_is_valid(const struct working_set_entry *entry, const struct bounds *bounds)
{
	bool of_image = entry->flags & WORKING_SET_IMAGE;

	return entry->offset % GUEST_PAGE_BYTES == 0 &&
	       entry->offset < (of_image ? bounds->image_bytes : bounds->memory_bytes) &&
	       entry->gva % GUEST_PAGE_BYTES == 0 && entry->gva >> GVA_BITS == 0 &&
	       (entry->flags & ~(WORKING_SET_WRITTEN | WORKING_SET_IMAGE)) == 0 &&
	       !(of_image && entry->flags & WORKING_SET_WRITTEN);
}

int working_set_order(const struct working_set_entry *a, const struct working_set_entry *b)
{
	uint32_t x = a->flags & WORKING_SET_IMAGE, y = b->flags & WORKING_SET_IMAGE;

	if (x != y)
		return x < y ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

static bool entries_are_valid(const struct working_set *set, const struct bounds *bounds,
			      uint32_t *ret_bad)
{
	for (uint32_t i = 0; i < set->count; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		*ret_bad = i;
		if (!entry_is_valid(entry, bounds) ||
		    (i && working_set_order(entry - 1, entry) >= 0))
			return false;
	}
	return true;
}

bool working_set_fits(const struct working_set *set, uint64_t memory_bytes, uint64_t image_bytes)
{
	const struct bounds bounds = {memory_bytes, image_bytes};
	uint32_t bad;

	return entries_are_valid(set, &bounds, &bad);
}

int working_set_encode(const struct working_set *set, uint8_t *buf, size_t cap, size_t *ret_bytes)
{
	struct le_writer w = {.buf = buf, .cap = cap};
	uint32_t bad;

	if (set->count > WORKING_SET_MAX || !entries_are_valid(set, &any_bounds, &bad))
		return -EINVAL;
	le_put(&w, WORKING_SET_MAGIC, 8);
	le_put(&w, WORKING_SET_VERSION, 4);
	le_put(&w, 0, 4);
	le_put(&w, set->count, 4);
	le_put(&w, 0, 4);
	for (uint32_t i = 0; i < set->count; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		le_put(&w, entry->offset, 8);
		le_put(&w, entry->gva, 8);
		le_put(&w, entry->flags, 4);
		le_put(&w, 0, 4);
	}
	le_put(&w, w.bad ? 0 : checksum64(buf, w.len), CHECKSUM_BYTES);
	if (w.bad)
		return -ENOBUFS;
	*ret_bytes = w.len;
	return 0;
}

static int header_get(struct le_reader *r, uint32_t *ret_count, struct err *err)
{
	uint32_t version, features, count, reserved;

	version = (uint32_t)le_get(r, 4);
	features = (uint32_t)le_get(r, 4);
	count = (uint32_t)le_get(r, 4);
	reserved = (uint32_t)le_get(r, 4);
	if (version != WORKING_SET_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			       "working set: version %u, this program reads version %d", version,
			       WORKING_SET_VERSION);
	if (features)
		return err_set(err, -EPROTONOSUPPORT, "working set: unknown features 0x%x",
			       features);
	if (reserved)
		return err_set(err, -EBADMSG, "working set: reserved field is not zero");
	if (count > WORKING_SET_MAX)
		return err_set(err, -EBADMSG, "working set: %u entries, at most %d fit", count,
			       WORKING_SET_MAX);
	*ret_count = count;
	return 0;
}

/* Magic and checksum: what is whole may still be of another version. */
static int seal_check(const uint8_t *buf, size_t bytes, struct err *err)
{
	uint64_t magic, checksum;

	if (bytes < WORKING_SET_HEADER_BYTES + CHECKSUM_BYTES)
		return err_set(err, -EBADMSG, "working set: cut off after %zu bytes", bytes);
	memcpy(&magic, buf, sizeof(magic));
	memcpy(&checksum, buf + bytes - CHECKSUM_BYTES, sizeof(checksum));
	if (magic != WORKING_SET_MAGIC)
		return err_set(err, -EBADMSG,
			       "working set: this is not a working-set record (wrong magic)");
	if (checksum != checksum64(buf, bytes - CHECKSUM_BYTES))
		return err_set(err, -EBADMSG, "working set: damaged (checksum differs)");
	return 0;
}

/* False when a reserved field is not zero. */
static bool entries_get(struct le_reader *r, struct working_set *set)
{
	uint64_t reserved = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		struct working_set_entry *entry = &set->entries[i];

		entry->offset = le_get(r, 8);
		entry->gva = le_get(r, 8);
		entry->flags = (uint32_t)le_get(r, 4);
		reserved |= le_get(r, 4);
	}
	return reserved == 0;
}

int working_set_decode(struct working_set *ret_set, uint64_t memory_bytes, uint64_t image_bytes,
		       const uint8_t *buf, size_t bytes, struct err *err)
{
	struct le_reader r = {.buf = buf, .pos = sizeof(uint64_t)};
	const struct bounds bounds = {memory_bytes, image_bytes};
	uint32_t bad;
	int result;

	result = seal_check(buf, bytes, err);
	if (result < 0)
		return result;
	r.len = bytes - CHECKSUM_BYTES;
	result = header_get(&r, &ret_set->count, err);
	if (result < 0)
		return result;
	if (r.len - r.pos != ret_set->count * (size_t)WORKING_SET_ENTRY_BYTES)
		return err_set(err, -EBADMSG, "working set: %zu bytes do not hold %u entries",
			       bytes, ret_set->count);
	if (!entries_get(&r, ret_set))
		return err_set(err, -EBADMSG, "working set: a reserved field is not zero");
	if (!entries_are_valid(ret_set, &bounds, &bad))
		return err_set(err, -EBADMSG, "working set: entry %u is malformed", bad);
	return 0;
}
