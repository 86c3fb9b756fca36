/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the kinds of kernel image apart.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "cleanup.h"

struct image_kind {
	size_t magic_offset;
	const char *magic; /* four bytes */
	int (*load)(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
		    struct loaded_kernel *ret_kernel, struct err *err);
};

enum { MAGIC_BYTES = 4 };

static const struct image_kind image_kinds[] = {
	{ .magic_offset = 0, .magic = ELFMAG, .load = elf_load },
	{ .magic_offset = 0x202, .magic = "HdrS", .load = bzimage_load },
};

int kernel_load(const struct guest_memory *memory, const uint8_t *image, size_t bytes,
		struct loaded_kernel *ret_kernel, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(image_kinds); i++) {
		const struct image_kind *kind = &image_kinds[i];

		if (bytes >= kind->magic_offset + MAGIC_BYTES &&
		    memcmp(image + kind->magic_offset, kind->magic, MAGIC_BYTES) == 0)
			return kind->load(memory, image, bytes, ret_kernel, err);
	}
	return err_set(err, -ENOEXEC,
		       "not a kernel: neither a bzImage (no 'HdrS' at 0x202) nor an ELF file");
}
