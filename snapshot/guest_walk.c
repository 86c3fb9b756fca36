/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From guest-physical pages to the guest-virtual addresses at which the function sees them.
 *
 * A walk over the user half of a 4-level page table (AMD64 APM vol. 2, section 5.3). The tables are
 * the guest's: every pointer is checked, and the number of tables and pages visited is bounded,
 * since tables may well form a circle, and every entry may be a GiB.
 */
#include <stddef.h>

#include "lumper.h"
#include "snapshot_priv.h"

enum { LEVELS = 4, ENTRIES = 512, USER_ENTRIES = 256, TABLES_MAX = 65536, PAGES_MAX = 1 << 24 };

#define ENTRY_PRESENT 0x001ull
#define ENTRY_WRITABLE 0x002ull
#define ENTRY_USER 0x004ull
#define ENTRY_LARGE 0x080ull
#define ENTRY_ADDRESS 0x000ffffffffff000ull

struct walk {
	const struct vm *vm;
	struct working_set *set;
	unsigned int tables_left, pages_left;
};

static struct working_set_entry *find_entry(struct working_set *set,
					    const struct working_set_entry *wanted)
{
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = working_set_order(&set->entries[middle], wanted);

		if (order == 0)
			return &set->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* NULL when the page is not of the set, or no page of the guest's memory or image. */
static struct working_set_entry *entry_at(const struct walk *walk, uint64_t gpa)
{
	struct working_set_entry wanted = {};

	if (gpa >= GUEST_IMAGE_GPA && gpa - GUEST_IMAGE_GPA < vm_image_bytes(walk->vm)) {
		wanted.offset = gpa - GUEST_IMAGE_GPA;
		wanted.flags = WORKING_SET_IMAGE;
	} else if (!guest_gpa_to_offset(vm_memory_bytes(walk->vm), gpa, &wanted.offset)) {
		return NULL;
	}
	return find_entry(walk->set, &wanted);
}

static void assign_page(struct walk *walk, uint64_t gva, uint64_t gpa, bool writable)
{
	struct working_set_entry *entry = entry_at(walk, gpa);

	if (!entry)
		return;
	if (writable && !(entry->flags & WORKING_SET_IMAGE)) /* which nobody can write */
		entry->flags |= WORKING_SET_WRITTEN;
	if (!entry->gva && (writable || !(entry->flags & WORKING_SET_WRITTEN)))
		entry->gva = gva;
}

static void assign_leaf(struct walk *walk, uint64_t gva, uint64_t gpa, uint64_t bytes,
			bool writable)
{
	gpa &= ~(bytes - 1);
	for (uint64_t at = 0; at < bytes && walk->pages_left; at += GUEST_PAGE_BYTES) {
		walk->pages_left--;
		assign_page(walk, gva + at, gpa + at, writable);
	}
}

static void mark_table(struct walk *walk, uint64_t gpa)
{
	struct working_set_entry *entry = entry_at(walk, gpa);

	if (entry)
		entry->flags |= WORKING_SET_WRITTEN;
}

/* `level` counts down from 3 (PML4) to 0 (page table). */
static void walk_table(struct walk *walk, uint64_t table_gpa, int level, uint64_t gva,
		       bool writable)
{
	const uint64_t *table = vm_memory_at(walk->vm, table_gpa, GUEST_PAGE_BYTES);
	uint64_t span = GUEST_PAGE_BYTES << (9 * level);
	int count = level == LEVELS - 1 ? USER_ENTRIES : ENTRIES;

	if (!table || !walk->tables_left)
		return;
	walk->tables_left--;
	mark_table(walk, table_gpa);
	for (int i = 0; i < count; i++, gva += span) {
		uint64_t entry = table[i];
		bool can_write = writable && (entry & ENTRY_WRITABLE);

		if ((entry & (ENTRY_PRESENT | ENTRY_USER)) != (ENTRY_PRESENT | ENTRY_USER))
			continue;
		if (level == 0 || (level < 3 && (entry & ENTRY_LARGE)))
			assign_leaf(walk, gva, entry & ENTRY_ADDRESS, span, can_write);
		else
			walk_table(walk, entry & ENTRY_ADDRESS, level - 1, gva, can_write);
	}
}

void guest_walk_assign(const struct vm *vm, uint64_t cr3, struct working_set *set)
{
	struct walk walk = {
		.vm = vm, .set = set, .tables_left = TABLES_MAX, .pages_left = PAGES_MAX,
	};

	walk_table(&walk, cr3 & ENTRY_ADDRESS, LEVELS - 1, 0, true);
}
