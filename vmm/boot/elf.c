/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF vmlinux: places the PT_LOAD segments at their physical addresses.
 *
 * Segments must ascend and not overlap, as a linker leaves them. With guest memory fresh, that
 * makes the bss zero without a write, and it bounds the work that a hostile file can ask for by
 * the size of guest memory. Relocations are not applied: the kernel runs at its link address.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"

enum { SEGMENTS_MAX = 64 };

static int header_check(const Elf64_Ehdr *header, size_t image_bytes, struct err *err)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return err_set(err, -ENOEXEC, "ELF: no ELF magic");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64 || header->e_type != ET_EXEC)
		return err_set(err, -ENOEXEC, "ELF: not an x86-64 executable");
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(err, -ENOEXEC, "ELF: program headers of %u bytes, not %zu",
			       header->e_phentsize, sizeof(Elf64_Phdr));
	if (header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX)
		return err_set(err, -ENOEXEC, "ELF: %u program headers, expected 1 to %u",
			       header->e_phnum, (unsigned int)SEGMENTS_MAX);
	if (header->e_phoff > image_bytes ||
	    header->e_phnum * sizeof(Elf64_Phdr) > image_bytes - header->e_phoff)
		return err_set(err, -ENOEXEC, "ELF: program headers lie outside the file");
	return 0;
}

static int segment_check(const Elf64_Phdr *segment, size_t image_bytes, uint64_t floor,
			 struct err *err)
{
	unsigned long long at = segment->p_paddr;

	if (segment->p_filesz > segment->p_memsz)
		return err_set(err, -ENOEXEC,
			       "ELF: segment at 0x%llx has more bytes in the file than in memory",
			       at);
	if (segment->p_offset > image_bytes || segment->p_filesz > image_bytes - segment->p_offset)
		return err_set(err, -ENOEXEC,
			       "ELF: segment at 0x%llx lies outside the file: is it truncated?",
			       at);
	if (segment->p_paddr < BOOT_HIGH_GPA)
		return err_set(err, -ENOEXEC, "ELF: segment at 0x%llx lies below 1 MiB", at);
	if (segment->p_paddr < floor)
		return err_set(err, -ENOEXEC,
			       "ELF: segment at 0x%llx overlaps or precedes the one before it", at);
	return 0;
}

static int segment_load(const struct guest_memory *memory, const uint8_t *image,
			const Elf64_Phdr *segment, struct err *err)
{
	if (!guest_memory_at(memory, segment->p_paddr, segment->p_memsz))
		return err_set(err, -ENOSPC,
			       "ELF: segment of %llu bytes at 0x%llx does not fit in the guest's "
			       "%llu MiB of memory",
			       (unsigned long long)segment->p_memsz,
			       (unsigned long long)segment->p_paddr,
			       (unsigned long long)memory->bytes >> 20);
	return guest_memory_write(memory, segment->p_paddr, image + segment->p_offset,
				  segment->p_filesz);
}

static bool segment_holds(const Elf64_Phdr *segment, uint64_t gpa)
{
	return gpa >= segment->p_paddr && gpa - segment->p_paddr < segment->p_filesz;
}

/* Places all segments; *ret_kernel.entry stays 0 when `entry` lies in none of them. */
static int segments_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
			 const Elf64_Ehdr *header, struct loaded_kernel *ret_kernel,
			 struct err *err)
{
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		int r;

		memcpy(&segment, image + header->e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
			continue;
		r = segment_check(&segment, bytes, ret_kernel->end, err);
		if (r < 0)
			return r;
		r = segment_load(memory, image, &segment, err);
		if (r < 0)
			return r;
		if (segment_holds(&segment, header->e_entry))
			ret_kernel->entry = header->e_entry;
		if (ret_kernel->end == 0)
			ret_kernel->start = segment.p_paddr;
		ret_kernel->end = segment.p_paddr + segment.p_memsz;
	}
	return 0;
}

int elf_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
	     struct loaded_kernel *ret_kernel, struct err *err)
{
	struct loaded_kernel kernel = {};
	Elf64_Ehdr header;
	int r;

	if (bytes < sizeof(header))
		return err_set(err, -ENOEXEC, "ELF: %zu bytes are too few for a header", bytes);
	memcpy(&header, image, sizeof(header));
	r = header_check(&header, bytes, err);
	if (r < 0)
		return r;
	r = segments_load(memory, image, bytes, &header, &kernel, err);
	if (r < 0)
		return r;
	if (kernel.end == 0)
		return err_set(err, -ENOEXEC, "ELF: nothing to load");
	/* In a vmlinux, e_entry is the physical address of startup_64. */
	if (kernel.entry == 0)
		return err_set(err, -ENOEXEC,
			       "ELF: entry 0x%llx is not the physical address of loaded code",
			       (unsigned long long)header.e_entry);
	*ret_kernel = kernel;
	return 0;
}
