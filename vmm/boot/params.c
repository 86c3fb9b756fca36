/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_params, the "zero page" that tells the kernel about memory, command line and initrd
 * (Documentation/arch/x86/zero-page.rst).
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "lumper.h"

#define HEADER_MAGIC 0x53726448u /* "HdrS" */

enum {
	BOOT_FLAG = 0xaa55,
	LOADER_UNDEFINED = 0xff,
	PROTOCOL_VERSION = 0x020c, /* of the header that is made up for an ELF kernel */
	E820_RAM = 1,
	E820_RESERVED = 2,
};

/* What an ELF kernel, which has no setup header, is taken to allow: what Linux's header.S says. */
static const struct setup_header default_header = {
	.boot_flag = BOOT_FLAG,
	.header = HEADER_MAGIC,
	.version = PROTOCOL_VERSION,
	.loadflags = LOADED_HIGH,
	.initrd_addr_max = 0x7fffffff,
	.kernel_alignment = 0x1000000,
	.cmdline_size = BOOT_CMDLINE_MAX - 1,
};

static void e820_add(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	if (start < end)
		params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
			.addr = start, .size = end - start, .type = type
		};
}

static uint64_t low_ram_end(const struct guest_memory *memory)
{
	return memory->bytes < GUEST_HOLE_START ? memory->bytes : GUEST_HOLE_START;
}

static void e820_fill(struct boot_params *params, const struct guest_memory *memory)
{
	uint64_t low_end = low_ram_end(memory);

	e820_add(params, 0, BOOT_EBDA_GPA, E820_RAM);
	/* EBDA and BIOS area, ACPI tables included. */
	e820_add(params, BOOT_EBDA_GPA, BOOT_HIGH_GPA, E820_RESERVED);
	e820_add(params, BOOT_HIGH_GPA, low_end, E820_RAM);
	e820_add(params, GUEST_HOLE_END, GUEST_HOLE_END + (memory->bytes - low_end), E820_RAM);
}

static int cmdline_place(struct boot_params *params, const struct guest_memory *memory,
			 const char *cmdline, struct err *err)
{
	size_t bytes = strlen(cmdline);
	size_t max = BOOT_CMDLINE_MAX - 1;

	if (params->hdr.cmdline_size < max)
		max = params->hdr.cmdline_size;
	if (bytes > max)
		return err_set(err, -E2BIG,
			       "kernel command line has %zu characters, at most %zu are possible",
			       bytes, max);
	params->hdr.cmd_line_ptr = BOOT_CMDLINE_GPA;
	return guest_memory_write(memory, BOOT_CMDLINE_GPA, cmdline, bytes);
}

/* The last place of `bytes` bytes between the two; 0 when there is none. */
static uint64_t last_place(uint64_t from, uint64_t to, size_t bytes)
{
	const uint64_t start = bytes < to ? (to - bytes) & ~(GUEST_PAGE_BYTES - 1) : 0;

	return start >= from && start >= BOOT_HIGH_GPA ? start : 0;
}

/* As high as possible, out of the way of what the kernel allocates first. In a small guest the
 * kernel's end leaves too little, but its start lies at 16 MiB. */
static int initrd_place(struct boot_params *params, const struct guest_memory *memory,
			const struct loaded_kernel *kernel, const uint8_t *initrd, size_t bytes,
			struct err *err)
{
	uint64_t top = low_ram_end(memory);
	uint64_t start;

	if (bytes == 0)
		return 0;
	if (top > (uint64_t)params->hdr.initrd_addr_max + 1)
		top = (uint64_t)params->hdr.initrd_addr_max + 1;
	start = last_place(kernel->end, top, bytes);
	if (start == 0 && kernel->start <= top)
		start = last_place(BOOT_HIGH_GPA, kernel->start, bytes);
	if (start == 0)
		return err_set(err, -ENOSPC,
			       "initrd of %zu bytes does not fit between the kernel's end at "
			       "0x%llx and 0x%llx, nor below the kernel: give the guest more memory",
			       bytes, (unsigned long long)kernel->end, (unsigned long long)top);
	/* All below 4 GiB, so that the ext_ fields stay 0. */
	params->hdr.ramdisk_image = (uint32_t)start;
	params->hdr.ramdisk_size = (uint32_t)bytes;
	return guest_memory_write(memory, start, initrd, bytes);
}

int boot_params_write(const struct guest_memory *memory, const struct loaded_kernel *kernel,
		      const uint8_t *initrd, size_t initrd_bytes, const char *cmdline,
		      struct err *err)
{
	struct boot_params params = { .hdr = default_header, .acpi_rsdp_addr = BOOT_ACPI_GPA };
	int r;

	if (memory->bytes <= BOOT_HIGH_GPA)
		return err_set(err, -ENOSPC, "%llu bytes of guest memory are too few",
			       (unsigned long long)memory->bytes);
	if (kernel->has_setup)
		memcpy(&params.hdr, kernel->setup, sizeof(params.hdr));
	params.hdr.type_of_loader = LOADER_UNDEFINED;
	/* Fields that only a loader may fill. KASLR_FLAG would say that it moved the kernel. */
	params.hdr.loadflags &= (uint8_t)~KASLR_FLAG;
	params.hdr.ramdisk_image = 0;
	params.hdr.ramdisk_size = 0;
	params.hdr.setup_data = 0;

	e820_fill(&params, memory);
	r = cmdline_place(&params, memory, cmdline, err);
	if (r < 0)
		return r;
	r = initrd_place(&params, memory, kernel, initrd, initrd_bytes, err);
	if (r < 0)
		return r;
	return guest_memory_write(memory, BOOT_PARAMS_GPA, &params, sizeof(params));
}
