/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzImage: a real-mode setup part with a header, then the protected-mode part, in which the
 * compressed kernel lies (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
 *
 * The kernel's own decompressor never runs: host code unpacks the payload faster than a cold guest
 * would, and no page of the compressed form ends up in guest memory. What that stub would have done
 * beside (KASLR, 5-level paging) is left out: the kernel runs where it was linked to run.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cleanup.h"

enum {
	SECTOR_BYTES = 512,
	SETUP_OFFSET = 0x1f1,
	SETUP_SECTS_DEFAULT = 4, /* what setup_sects = 0 means */
	/* The end of the setup header is 0x202 plus the byte at 0x201, the jump's displacement. */
	SETUP_JUMP_OFFSET = 0x201,
	SETUP_JUMP_BASE = 0x202,
	BOOT_FLAG = 0xaa55,
	/* 2.12 brought xloadflags, and with them the 64-bit entry. */
	PROTOCOL_MIN = 0x020c,
};

_Static_assert(sizeof(struct setup_header) <= sizeof(((struct loaded_kernel *)0)->setup),
	       "loaded_kernel.setup holds a setup header");

static int header_check(const struct setup_header *header, struct err *err)
{
	if (header->boot_flag != BOOT_FLAG)
		return err_set(err, -ENOEXEC, "bzImage: boot flag is 0x%04x, not 0xaa55",
			       header->boot_flag);
	if (header->version < PROTOCOL_MIN)
		return err_set(err, -ENOEXEC,
			       "bzImage: boot protocol %u.%02u is too old, at least 2.12 is needed",
			       header->version >> 8, header->version & 0xffu);
	if (!(header->xloadflags & XLF_KERNEL_64))
		return err_set(err, -ENOEXEC, "bzImage: not a 64-bit kernel");
	return 0;
}

static int payload_find(const struct setup_header *header, size_t image_bytes, size_t *ret_offset,
			struct err *err)
{
	size_t sectors = header->setup_sects ? header->setup_sects : SETUP_SECTS_DEFAULT;
	uint64_t start = (sectors + 1) * SECTOR_BYTES + (uint64_t)header->payload_offset;

	if (start > image_bytes || header->payload_length > image_bytes - start)
		return err_set(err, -ENOEXEC,
			       "bzImage: payload of %u bytes at offset %llu lies outside the file "
			       "of %zu bytes: is it truncated?",
			       header->payload_length, (unsigned long long)start, image_bytes);
	*ret_offset = start;
	return 0;
}

/* Hands on the header without what follows it in the image. */
static void setup_copy(struct loaded_kernel *kernel, const uint8_t *image, size_t image_bytes)
{
	size_t end = SETUP_JUMP_BASE + image[SETUP_JUMP_OFFSET];

	if (end > SETUP_OFFSET + sizeof(kernel->setup))
		end = SETUP_OFFSET + sizeof(kernel->setup);
	if (end > image_bytes)
		end = image_bytes;
	memcpy(kernel->setup, image + SETUP_OFFSET, end - SETUP_OFFSET);
	kernel->has_setup = true;
}

int bzimage_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
		 struct loaded_kernel *ret_kernel, struct err *err)
{
	cleanup_free uint8_t *unpacked = NULL;
	struct loaded_kernel kernel = {};
	struct setup_header header;
	size_t offset = 0, unpacked_bytes = 0;
	int r;

	if (bytes < SETUP_OFFSET + sizeof(header))
		return err_set(err, -ENOEXEC, "bzImage: %zu bytes are too few for a setup header",
			       bytes);
	memcpy(&header, image + SETUP_OFFSET, sizeof(header));
	r = header_check(&header, err);
	if (r < 0)
		return r;
	r = payload_find(&header, bytes, &offset, err);
	if (r < 0)
		return r;
	r = payload_decompress(image + offset, header.payload_length, memory->bytes, &unpacked,
			       &unpacked_bytes, err);
	if (r < 0)
		return err_prefix(err, r, "bzImage");
	r = elf_load(memory, unpacked, unpacked_bytes, &kernel, err);
	if (r < 0)
		return err_prefix(err, r, "bzImage");

	setup_copy(&kernel, image, bytes);
	*ret_kernel = kernel;
	return 0;
}
