/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building blocks of the Linux boot: pure functions over buffers, so that each can be fuzzed
 * without a VM. vmm/boot_linux.c puts them together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct vm;

/* Guest RAM as the loaders see it: one host range with the hole of lumper.h in its addresses. It
 * must be fresh, that is all zero: what is to be zero is never written, so that its pages stay
 * holes on the host and in a snapshot. */
struct guest_memory {
	uint8_t *base; /* borrowed */
	uint64_t bytes;
	/* Called before each use of the memory from here, unless NULL; negative: there is none. */
	int (*before_use)(void *context);
	void *context; /* borrowed */
};

/* Whether all of it is guest RAM: not out of range, nor across the hole. Does not use it. */
bool guest_memory_has(const struct guest_memory *memory, uint64_t gpa, uint64_t bytes);

/* Checked pointer to guest RAM, NULL when that is none. */
void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t bytes);

/* Copies to fresh guest RAM at `gpa`, leaving out zero pages. -ENOSPC when that is not RAM. */
int guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
		       uint64_t bytes);

/* --- kernel images ------------------------------------------------------------------------ */

struct loaded_kernel {
	uint64_t entry;	    /* guest-physical address for the 64-bit boot protocol */
	uint64_t start;	    /* first byte of the image */
	uint64_t end;	    /* first byte after the image and its bss */
	bool has_setup;	    /* `setup` holds the setup header of a bzImage */
	uint8_t setup[0x80]; /* struct setup_header, from offset 0x1f1 of the image */
};

/* Loads a bzImage (its payload is decompressed here: the ELF inside is what is placed) or an ELF
 * vmlinux at its physical addresses. `image` is hostile. */
int kernel_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
		struct loaded_kernel *ret_kernel, struct err *err);
int bzimage_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
		 struct loaded_kernel *ret_kernel, struct err *err);
int elf_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
	     struct loaded_kernel *ret_kernel, struct err *err);

/* Decompresses a kernel payload, told by its magic: LZ4 (legacy frame), gzip, XZ, Zstandard. Its
 * last four bytes must hold the unpacked size, as the kernel's build appends them. The caller frees
 * *ret_data. Never produces more than `max_bytes`. */
int payload_decompress(const uint8_t *payload, size_t bytes, size_t max_bytes, uint8_t **ret_data,
		       size_t *ret_bytes, struct err *err);

/* --- tables ------------------------------------------------------------------------------- */

/* Fixed guest-physical addresses below 1 MiB that the boot uses. */
#define BOOT_GDT_GPA 0x500ull
#define BOOT_PARAMS_GPA 0x7000ull
#define BOOT_STACK_GPA 0x8ff0ull
#define BOOT_PAGE_TABLES_GPA 0x9000ull /* PML4, PDPT and four PDs: 4 GiB identity-mapped */
#define BOOT_CMDLINE_GPA 0x20000ull
#define BOOT_CMDLINE_MAX 2048u
#define BOOT_EBDA_GPA 0x9fc00ull
#define BOOT_ACPI_GPA 0xe0000ull
#define BOOT_ACPI_MAX 0x10000u
#define BOOT_GENERATION_GPA 0xf0000ull /* a page of its own: the VM generation id */
#define BOOT_HIGH_GPA 0x100000ull

/* Selectors of the flat segments in the GDT at BOOT_GDT_GPA, as the boot protocol wants them. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TSS 0x20u
#define BOOT_GDT_LIMIT 0x2fu

/* I/O ports and interrupts that ACPI promises and the device models keep. */
#define ACPI_PM1A_EVENT_PORT 0x600u
#define ACPI_PM1A_CONTROL_PORT 0x604u
#define ACPI_PM_TIMER_PORT 0x608u
#define ACPI_SCI_GSI 9u
#define ACPI_SLEEP_TYPE_S5 5u
#define IOAPIC_GPA 0xfec00000ull
#define LAPIC_GPA 0xfee00000ull
#define PCI_WINDOW_START 0xd0000000ull
#define PCI_WINDOW_END 0xe0000000ull
#define PCI_INTX_GSI 10u /* INTA of the one function that has an interrupt, in this slot */
#define PMEM_PCI_SLOT 2u
#define GENERATION_GSI 11u /* edge-triggered: the VM generation id has changed */
#define GENERATION_BYTES 16u

/* Writes RSDP, XSDT, FADT, MADT and DSDT (host bridge with its windows and interrupt, COM1, S5, and
 * with `vmgenid` the generation id) for `vcpus` CPUs at BOOT_ACPI_GPA. */
int acpi_write_tables(const struct guest_memory *memory, unsigned int vcpus, bool vmgenid,
		      struct err *err);

/* Writes boot_params with the e820 map (PCI hole left out), command line and initrd placement. The
 * initrd is copied as high as the kernel allows (initrd_addr_max) and below the hole; when it does
 * not fit there, right below the kernel. */
int boot_params_write(const struct guest_memory *memory, const struct loaded_kernel *kernel,
		      const uint8_t *initrd, size_t initrd_bytes, const char *cmdline,
		      struct err *err);

/* Writes identity page tables and a flat GDT for the 64-bit entry. */
int boot_paging_write(const struct guest_memory *memory, struct err *err);
