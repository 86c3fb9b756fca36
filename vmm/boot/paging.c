/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page tables and the GDT with which a vCPU enters the kernel in 64-bit mode
 * (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"): everything that the kernel touches
 * before it has its own must be mapped one to one.
 */
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "lumper.h"

enum {
	TABLE_ENTRIES = 512,
	DIRECTORIES = 4, /* of 1 GiB each */
	TABLES = 2 + DIRECTORIES,
	LARGE_PAGE_SHIFT = 21,
};

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_LARGE (1ull << 7)

/* Flat 4 GiB segments (SDM vol. 3, 3.4.5); the TSS descriptor has a second half, of zeros. */
static const uint64_t gdt[] = {
	[BOOT_CS / 8] = 0x00af9b000000ffffull,	/* 64-bit code, execute/read, accessed */
	[BOOT_DS / 8] = 0x00cf93000000ffffull,	/* data, read/write, accessed */
	[BOOT_TSS / 8] = 0x008f8b000000ffffull, /* busy 64-bit TSS */
	[BOOT_TSS / 8 + 1] = 0,
};

_Static_assert(sizeof(gdt) == BOOT_GDT_LIMIT + 1, "the limit is that of the table");

static uint64_t table_gpa(unsigned int index)
{
	return BOOT_PAGE_TABLES_GPA + index * GUEST_PAGE_BYTES;
}

int boot_paging_write(const struct guest_memory *memory, struct err *err)
{
	uint64_t *tables = guest_memory_at(memory, BOOT_PAGE_TABLES_GPA, TABLES * GUEST_PAGE_BYTES);
	void *table = guest_memory_at(memory, BOOT_GDT_GPA, sizeof(gdt));
	uint64_t *pml4, *pdpt, *directories;

	if (!tables || !table)
		return err_set(err, -ENOSPC, "no guest memory for the boot page tables");
	pml4 = tables;
	pdpt = tables + TABLE_ENTRIES;
	directories = tables + 2 * TABLE_ENTRIES;

	pml4[0] = table_gpa(1) | PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < DIRECTORIES; i++)
		pdpt[i] = table_gpa(2 + i) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < DIRECTORIES * TABLE_ENTRIES; i++)
		directories[i] = i << LARGE_PAGE_SHIFT | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	memcpy(table, gdt, sizeof(gdt));
	return 0;
}
