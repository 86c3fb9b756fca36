/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel images: small ones are built here, packed with the libraries that the loader unpacks with,
 * then bent in every way that a loader has to refuse. With QUARK_TEST_KERNEL set to a bzImage, that
 * one is loaded as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "boot_memory.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "lumper.h"

#define MEMORY_BYTES (64ull << 20)
#define KERNEL_GPA 0x1000000ull
#define HUGE_MEMORY_BYTES (4ull << 30)

enum {
	IMAGE_MAX = 1 << 20,
	SEGMENTS = 2,
	TEXT_OFFSET = 0x1000,
	TEXT_BYTES = 5 * 4096,
	ZERO_PAGE = 2, /* of the text: must stay a hole */
	DATA_OFFSET = TEXT_OFFSET + TEXT_BYTES,
	DATA_BYTES = 100,
	DATA_MEMORY_BYTES = 3 * 4096,
	ELF_BYTES = DATA_OFFSET + DATA_BYTES,
	SETUP_OFFSET = 0x1f1,
	SETUP_SECTS = 2,
	PAYLOAD_OFFSET = 0x40,
	PAYLOAD_AT = (SETUP_SECTS + 1) * 512 + PAYLOAD_OFFSET,
};

#define DATA_GPA (KERNEL_GPA + TEXT_BYTES)

/* --- a small vmlinux ---------------------------------------------------------------------- */

struct elf_image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS];
	uint8_t padding[TEXT_OFFSET - sizeof(Elf64_Ehdr) - SEGMENTS * sizeof(Elf64_Phdr)];
	uint8_t text[TEXT_BYTES];
	uint8_t data[DATA_BYTES];
};

_Static_assert(offsetof(struct elf_image, text) == TEXT_OFFSET &&
		       offsetof(struct elf_image, data) == DATA_OFFSET,
	       "no gaps");

static struct elf_image elf_image(void)
{
	struct elf_image image = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = KERNEL_GPA + 0x10,
			.e_phoff = offsetof(struct elf_image, segments),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = SEGMENTS,
		},
		.segments = {
			{
				.p_type = PT_LOAD,
				.p_offset = TEXT_OFFSET,
				.p_vaddr = 0xffffffff81000000,
				.p_paddr = KERNEL_GPA,
				.p_filesz = TEXT_BYTES,
				.p_memsz = TEXT_BYTES,
			},
			{
				.p_type = PT_LOAD,
				.p_offset = DATA_OFFSET,
				.p_paddr = DATA_GPA,
				.p_filesz = DATA_BYTES,
				.p_memsz = DATA_MEMORY_BYTES,
			},
		},
	};

	for (size_t i = 0; i < TEXT_BYTES; i++)
		image.text[i] = i / 4096 == ZERO_PAGE ? 0 : (uint8_t)(i * 7 + 1);
	memset(image.data, 0xda, sizeof(image.data));
	return image;
}

static void assert_kernel_loaded(const struct guest_memory *memory,
				 const struct loaded_kernel *kernel)
{
	struct elf_image image = elf_image();
	const uint8_t *text = guest_memory_at(memory, KERNEL_GPA, TEXT_BYTES);
	const uint8_t *data = guest_memory_at(memory, DATA_GPA, DATA_MEMORY_BYTES);

	assert_int_equal(kernel->entry, KERNEL_GPA + 0x10);
	assert_int_equal(kernel->end, DATA_GPA + DATA_MEMORY_BYTES);
	assert_memory_equal(text, image.text, TEXT_BYTES);
	assert_memory_equal(data, image.data, DATA_BYTES);
	for (size_t i = DATA_BYTES; i < DATA_MEMORY_BYTES; i++)
		assert_int_equal(data[i], 0);
}

static void test_elf_loads(void **state)
{
	struct guest_memory memory = memory_new(MEMORY_BYTES);
	struct elf_image image = elf_image();
	struct loaded_kernel kernel;
	struct err err = {};

	(void)state;
	assert_int_equal(kernel_load(&memory, (uint8_t *)&image, ELF_BYTES, &kernel, &err), 0);
	assert_false(kernel.has_setup);
	assert_kernel_loaded(&memory, &kernel);
	memory_free(&memory);
}

/* What is zero must not be touched: its pages would be part of every snapshot. */
static void test_elf_leaves_holes(void **state)
{
	struct guest_memory memory = memory_new(MEMORY_BYTES);
	struct elf_image image = elf_image();
	unsigned char resident[TEXT_BYTES / 4096 + DATA_MEMORY_BYTES / 4096];
	const unsigned char expected[] = { 1, 1, 0, 1, 1, 1, 0, 0 };
	struct loaded_kernel kernel;
	struct err err = {};

	(void)state;
	assert_int_equal(madvise(memory.base, memory.bytes, MADV_NOHUGEPAGE), 0);
	assert_int_equal(kernel_load(&memory, (uint8_t *)&image, ELF_BYTES, &kernel, &err), 0);
	assert_int_equal(mincore(memory.base + KERNEL_GPA, sizeof(resident) * 4096, resident), 0);
	for (size_t i = 0; i < sizeof(resident); i++)
		assert_int_equal(resident[i] & 1, expected[i]);
	memory_free(&memory);
}

/* The data segment may lie above the hole. */
static void test_elf_above_the_hole(void **state)
{
	struct guest_memory memory = memory_new(HUGE_MEMORY_BYTES);
	struct elf_image image = elf_image();
	struct loaded_kernel kernel;
	struct err err = {};

	(void)state;
	image.segments[1].p_paddr = GUEST_HOLE_END;
	assert_int_equal(elf_load(&memory, (uint8_t *)&image, ELF_BYTES, &kernel, &err), 0);
	assert_memory_equal(memory.base + GUEST_HOLE_START, image.data, DATA_BYTES);
	assert_int_equal(kernel.end, GUEST_HOLE_END + DATA_MEMORY_BYTES);
	memory_free(&memory);
}

/* --- ELF files to refuse ------------------------------------------------------------------ */

#define BEND(name, statement)                           \
	static void bend_##name(struct elf_image *elf)  \
	{                                               \
		statement;                              \
	}

BEND(class, elf->header.e_ident[EI_CLASS] = ELFCLASS32)
BEND(machine, elf->header.e_machine = EM_AARCH64)
BEND(type, elf->header.e_type = ET_REL)
BEND(phentsize, elf->header.e_phentsize = 32)
BEND(no_segments, elf->header.e_phnum = 0)
BEND(many_segments, elf->header.e_phnum = 0xffff)
BEND(phoff_far, elf->header.e_phoff = UINT64_MAX - 8)
BEND(phoff_end, elf->header.e_phoff = ELF_BYTES - sizeof(Elf64_Phdr))
BEND(filesz, elf->segments[1].p_memsz = DATA_BYTES - 1)
BEND(offset_far, elf->segments[1].p_offset = ELF_BYTES + 1)
BEND(offset_wraps, elf->segments[1].p_offset = UINT64_MAX - 10)
BEND(offset_short, elf->segments[1].p_offset++)
BEND(low, elf->segments[0].p_paddr = 0xff000)
BEND(beyond_ram, elf->segments[1].p_paddr = MEMORY_BYTES - DATA_MEMORY_BYTES + 1)
BEND(wraps, elf->segments[1].p_paddr = UINT64_MAX - 100)
BEND(bss_wraps, elf->segments[1].p_memsz = UINT64_MAX)
BEND(into_hole, elf->segments[1].p_paddr = GUEST_HOLE_START - DATA_MEMORY_BYTES + 1)
BEND(in_hole, elf->segments[1].p_paddr = GUEST_HOLE_START + 4096)
BEND(across_hole, (elf->segments[1].p_paddr = GUEST_HOLE_START - 4096,
		   elf->segments[1].p_memsz = GUEST_HOLE_END - GUEST_HOLE_START + 8192))
BEND(overlap, elf->segments[1].p_paddr--)
BEND(nothing, elf->segments[0].p_type = elf->segments[1].p_type = PT_NOTE)
BEND(entry_virtual, elf->header.e_entry = 0xffffffff81000010)
BEND(entry_in_bss, elf->header.e_entry = DATA_GPA + DATA_BYTES)
BEND(magic, elf->header.e_ident[0] = 0)

static const struct elf_refusal {
	void (*bend)(struct elf_image *elf);
	int code;
	const char *message;
} elf_refusals[] = {
	{ bend_class, -ENOEXEC, "ELF: not an x86-64 executable" },
	{ bend_machine, -ENOEXEC, "ELF: not an x86-64 executable" },
	{ bend_type, -ENOEXEC, "ELF: not an x86-64 executable" },
	{ bend_phentsize, -ENOEXEC, "ELF: program headers of 32 bytes, not 56" },
	{ bend_no_segments, -ENOEXEC, "ELF: 0 program headers" },
	{ bend_many_segments, -ENOEXEC, "ELF: 65535 program headers" },
	{ bend_phoff_far, -ENOEXEC, "ELF: program headers lie outside the file" },
	{ bend_phoff_end, -ENOEXEC, "ELF: program headers lie outside the file" },
	{ bend_filesz, -ENOEXEC, "segment at 0x1005000 has more bytes in the file than in memory" },
	{ bend_offset_far, -ENOEXEC, "segment at 0x1005000 lies outside the file" },
	{ bend_offset_wraps, -ENOEXEC, "segment at 0x1005000 lies outside the file" },
	{ bend_offset_short, -ENOEXEC, "segment at 0x1005000 lies outside the file" },
	{ bend_low, -ENOEXEC, "segment at 0xff000 lies below 1 MiB" },
	{ bend_beyond_ram, -ENOSPC, "does not fit in the guest's 64 MiB of memory" },
	{ bend_wraps, -ENOSPC, "does not fit in the guest's 64 MiB of memory" },
	{ bend_bss_wraps, -ENOSPC, "does not fit in the guest's 64 MiB of memory" },
	{ bend_into_hole, -ENOSPC, "does not fit in the guest's 64 MiB of memory" },
	{ bend_overlap, -ENOEXEC, "segment at 0x1004fff overlaps or precedes the one before it" },
	{ bend_nothing, -ENOEXEC, "ELF: nothing to load" },
	{ bend_entry_virtual, -ENOEXEC, "entry 0xffffffff81000010 is not the physical address" },
	{ bend_entry_in_bss, -ENOEXEC, "entry 0x1005064 is not the physical address" },
	{ bend_magic, -ENOEXEC, "not a kernel: neither a bzImage" },
};

static void assert_refused(const struct guest_memory *memory, const void *image, size_t bytes,
			   int code, const char *message)
{
	struct loaded_kernel kernel = { .entry = 1 };
	struct err err = {};
	int r = kernel_load(memory, image, bytes, &kernel, &err);

	if (r != code || !strstr(err.message, message))
		fail_msg("%d '%s', expected %d '%s'", r, err.message, code, message);
	assert_int_equal(err.code, code);
	assert_int_equal(kernel.entry, 1);
}

static void test_elf_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(elf_refusals); i++) {
		struct guest_memory memory = memory_new(MEMORY_BYTES);
		struct elf_image image = elf_image();

		elf_refusals[i].bend(&image);
		assert_refused(&memory, &image, ELF_BYTES, elf_refusals[i].code,
			       elf_refusals[i].message);
		memory_free(&memory);
	}
}

/* With RAM on both sides of it, the hole is still no RAM. */
static void test_elf_refuses_the_hole(void **state)
{
	static void (*const bends[])(struct elf_image *) = { bend_into_hole, bend_in_hole,
							     bend_across_hole };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bends); i++) {
		struct guest_memory memory = memory_new(HUGE_MEMORY_BYTES);
		struct elf_image image = elf_image();

		bends[i](&image);
		assert_refused(&memory, &image, ELF_BYTES, -ENOSPC,
			       "does not fit in the guest's 4096 MiB of memory");
		memory_free(&memory);
	}
}

static void test_elf_truncated(void **state)
{
	struct elf_image image = elf_image();
	struct guest_memory memory = memory_new(MEMORY_BYTES);

	(void)state;
	for (size_t bytes = 0; bytes < ELF_BYTES; bytes += bytes < 256 ? 1 : 997) {
		/* A copy of just that size, so that a sanitizer sees a read beyond it. */
		uint8_t *cut = malloc(bytes ? bytes : 1);

		assert_non_null(cut);
		memcpy(cut, &image, bytes);
		assert_refused(&memory, cut, bytes, -ENOEXEC, "");
		free(cut);
	}
	memory_free(&memory);
}

/* --- payloads ----------------------------------------------------------------------------- */

static void trailer_put(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* Every packer returns the bytes that it wrote to `out`, the trailer included. */

/* Blocks of 8 KiB, so that there are several of them. */
static size_t pack_lz4(const uint8_t *data, size_t bytes, uint8_t *out)
{
	enum { BLOCK_BYTES = 8192 };
	size_t n = 4;

	memcpy(out, "\x02\x21\x4c\x18", 4);
	for (size_t at = 0; at < bytes; at += BLOCK_BYTES) {
		size_t block = bytes - at < BLOCK_BYTES ? bytes - at : BLOCK_BYTES;
		int packed = LZ4_compress_default((const char *)data + at, (char *)out + n + 4,
						  (int)block, (int)(IMAGE_MAX - n - 4));

		assert_true(packed > 0);
		trailer_put(out + n, (uint32_t)packed);
		n += 4 + (size_t)packed;
	}
	trailer_put(out + n, (uint32_t)bytes);
	return n + 4;
}

static size_t pack_gzip(const uint8_t *data, size_t bytes, uint8_t *out)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)data,
		.avail_in = (uInt)bytes,
		.next_out = out,
		.avail_out = IMAGE_MAX,
	};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return z.total_out;
}

/* With the x86 filter before LZMA2, as the kernel's build has it. */
static size_t pack_xz(const uint8_t *data, size_t bytes, uint8_t *out)
{
	lzma_options_lzma options;
	lzma_filter filters[] = {
		{ .id = LZMA_FILTER_X86 },
		{ .id = LZMA_FILTER_LZMA2, .options = &options },
		{ .id = LZMA_VLI_UNKNOWN },
	};
	size_t n = 0;

	assert_false(lzma_lzma_preset(&options, LZMA_PRESET_DEFAULT));
	options.dict_size = 1 << 20;
	assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, data, bytes,
						   out, &n, IMAGE_MAX - 4),
			 LZMA_OK);
	trailer_put(out + n, (uint32_t)bytes);
	return n + 4;
}

static size_t pack_zstd(const uint8_t *data, size_t bytes, uint8_t *out)
{
	size_t n = ZSTD_compress(out, IMAGE_MAX - 4, data, bytes, 3);

	assert_false(ZSTD_isError(n));
	trailer_put(out + n, (uint32_t)bytes);
	return n + 4;
}

static const struct packer {
	const char *name;
	size_t (*pack)(const uint8_t *data, size_t bytes, uint8_t *out);
} packers[] = {
	{ "LZ4", pack_lz4 },
	{ "gzip", pack_gzip },
	{ "XZ", pack_xz },
	{ "Zstandard", pack_zstd },
};

/* Runs payload_decompress over a copy of exactly `bytes` bytes. */
static int unpack(const uint8_t *payload, size_t bytes, size_t max_bytes, uint8_t **ret_data,
		  size_t *ret_bytes, struct err *err)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, payload, bytes);
	r = payload_decompress(copy, bytes, max_bytes, ret_data, ret_bytes, err);
	free(copy);
	return r;
}

static void assert_not_unpacked(const uint8_t *payload, size_t bytes, size_t max_bytes, int code,
				const char *format, const char *name)
{
	uint8_t *data = NULL;
	char message[200];
	size_t data_bytes = 0;
	struct err err = {};
	int r = unpack(payload, bytes, max_bytes, &data, &data_bytes, &err);

	(void)snprintf(message, sizeof(message), "%s %s", name, format);
	if (r != code || !strstr(err.message, message))
		fail_msg("%d '%s', expected %d '%s'", r, err.message, code, message);
	assert_null(data);
}

static void test_payload_unpacks(void **state)
{
	struct elf_image image = elf_image();
	uint8_t *packed = malloc(IMAGE_MAX);

	(void)state;
	assert_non_null(packed);
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		size_t n = packers[i].pack((uint8_t *)&image, ELF_BYTES, packed);
		uint8_t *data = NULL;
		size_t bytes = 0;
		struct err err = {};

		assert_int_equal(unpack(packed, n, ELF_BYTES, &data, &bytes, &err), 0);
		assert_int_equal(bytes, ELF_BYTES);
		assert_memory_equal(data, &image, ELF_BYTES);
		free(data);
	}
	free(packed);
}

static void test_payload_refusals(void **state)
{
	struct elf_image image = elf_image();
	uint8_t *packed = malloc(IMAGE_MAX);

	(void)state;
	assert_non_null(packed);
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		const char *name = packers[i].name;
		size_t n = packers[i].pack((uint8_t *)&image, ELF_BYTES, packed);

		assert_not_unpacked(packed, n, ELF_BYTES - 1, -ENOSPC, "payload unpacks to 24676",
				    name);
		/* A trailer that promises less or more than there is. */
		trailer_put(packed + n - 4, ELF_BYTES - 1);
		assert_not_unpacked(packed, n, IMAGE_MAX, -EBADMSG, "payload is corrupt", name);
		trailer_put(packed + n - 4, ELF_BYTES + 1);
		assert_not_unpacked(packed, n, IMAGE_MAX, -EBADMSG, "payload is corrupt", name);
		trailer_put(packed + n - 4, 0);
		assert_not_unpacked(packed, n, IMAGE_MAX, -ENOEXEC, "payload says that it unpacks",
				    name);
		/* Cut in the middle, with a trailer that fits. */
		trailer_put(packed + n / 2, ELF_BYTES);
		assert_not_unpacked(packed, n / 2 + 4, IMAGE_MAX, -EBADMSG, "payload is corrupt",
				    name);
	}
	memset(packed, 'x', 64);
	assert_not_unpacked(packed, 64, IMAGE_MAX, -ENOEXEC, "78 78 78 78: neither", "with");
	assert_not_unpacked(packed, 15, IMAGE_MAX, -ENOEXEC, "15 bytes is not a compressed", "of");
	free(packed);
}

/* --- bzImage ------------------------------------------------------------------------------ */

struct bzimage {
	uint8_t bytes[IMAGE_MAX];
	size_t length;
};

static struct setup_header *setup_of(struct bzimage *image)
{
	return (struct setup_header *)(image->bytes + SETUP_OFFSET);
}

static struct bzimage *bzimage_new(const struct packer *packer)
{
	struct bzimage *image = calloc(1, sizeof(*image));
	uint8_t *packed = malloc(IMAGE_MAX);
	struct elf_image elf = elf_image();
	size_t n;

	assert_non_null(image);
	assert_non_null(packed);
	n = packer->pack((uint8_t *)&elf, ELF_BYTES, packed);
	*setup_of(image) = (struct setup_header){
		.setup_sects = SETUP_SECTS,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* the header ends at 0x202 + 0x6a */
		.header = 0x53726448,
		.version = 0x020f,
		.xloadflags = XLF_KERNEL_64,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 2047,
		.payload_offset = PAYLOAD_OFFSET,
		.payload_length = (uint32_t)n,
		.kernel_info_offset = 0x12345678,
	};
	memset(image->bytes + 0x26c, 0xee, 16); /* code, not header */
	memcpy(image->bytes + PAYLOAD_AT, packed, n);
	image->length = PAYLOAD_AT + n;
	free(packed);
	return image;
}

static void test_bzimage_loads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		struct guest_memory memory = memory_new(MEMORY_BYTES);
		struct bzimage *image = bzimage_new(&packers[i]);
		struct loaded_kernel kernel;
		struct err err = {};
		int r = kernel_load(&memory, image->bytes, image->length, &kernel, &err);

		if (r < 0)
			fail_msg("%s: %s", packers[i].name, err.message);
		assert_true(kernel.has_setup);
		assert_memory_equal(kernel.setup, setup_of(image), sizeof(struct setup_header));
		/* What follows the header is not handed on. */
		for (size_t at = 0x26c - SETUP_OFFSET; at < sizeof(kernel.setup); at++)
			assert_int_equal(kernel.setup[at], 0);
		assert_kernel_loaded(&memory, &kernel);
		free(image);
		memory_free(&memory);
	}
}

#define BEND_BZIMAGE(name, statement)                            \
	static void bend_bzimage_##name(struct bzimage *image)   \
	{                                                        \
		struct setup_header *setup = setup_of(image);    \
                                                                 \
		statement;                                       \
	}

BEND_BZIMAGE(flag, setup->boot_flag = 0)
BEND_BZIMAGE(old, setup->version = 0x020b)
BEND_BZIMAGE(code32, setup->xloadflags = 0)
BEND_BZIMAGE(no_payload, setup->payload_length = 0)
BEND_BZIMAGE(far_payload, setup->payload_offset = UINT32_MAX)
BEND_BZIMAGE(long_payload, setup->payload_length++)
BEND_BZIMAGE(max_payload, setup->payload_length = UINT32_MAX)
BEND_BZIMAGE(sectors, setup->setup_sects = 255)
BEND_BZIMAGE(default_sectors, setup->setup_sects = 0)
BEND_BZIMAGE(magic, setup->header = 0)
BEND_BZIMAGE(short, image->length = 0x26b; (void)setup)
BEND_BZIMAGE(payload_magic, image->bytes[PAYLOAD_AT] = 0; (void)setup)
BEND_BZIMAGE(payload_byte, image->bytes[PAYLOAD_AT + 5] ^= 0x80; (void)setup)
BEND_BZIMAGE(huge, trailer_put(image->bytes + image->length - 4, UINT32_MAX); (void)setup)

static const struct bzimage_refusal {
	void (*bend)(struct bzimage *image);
	int code;
	const char *message;
} bzimage_refusals[] = {
	{ bend_bzimage_flag, -ENOEXEC, "bzImage: boot flag is 0x0000" },
	{ bend_bzimage_old, -ENOEXEC, "bzImage: boot protocol 2.11 is too old" },
	{ bend_bzimage_code32, -ENOEXEC, "bzImage: not a 64-bit kernel" },
	{ bend_bzimage_no_payload, -ENOEXEC, "bzImage: payload of 0 bytes" },
	{ bend_bzimage_far_payload, -ENOEXEC, "bytes at offset 4294968831 lies outside the file" },
	{ bend_bzimage_long_payload, -ENOEXEC, "lies outside the file" },
	{ bend_bzimage_max_payload, -ENOEXEC, "bzImage: payload of 4294967295 bytes" },
	{ bend_bzimage_sectors, -ENOEXEC, "lies outside the file" },
	{ bend_bzimage_default_sectors, -ENOEXEC, "lies outside the file" },
	{ bend_bzimage_magic, -ENOEXEC, "not a kernel" },
	{ bend_bzimage_short, -ENOEXEC, "bzImage: 619 bytes are too few" },
	{ bend_bzimage_payload_magic, -ENOEXEC, "neither LZ4, gzip, XZ nor Zstandard" },
	{ bend_bzimage_payload_byte, -EBADMSG, "bzImage: LZ4 payload is corrupt" },
	{ bend_bzimage_huge, -ENOSPC, "bzImage: LZ4 payload unpacks to 4294967295 bytes" },
};

static void test_bzimage_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bzimage_refusals); i++) {
		struct guest_memory memory = memory_new(MEMORY_BYTES);
		struct bzimage *image = bzimage_new(&packers[0]);

		bzimage_refusals[i].bend(image);
		assert_refused(&memory, image->bytes, image->length, bzimage_refusals[i].code,
			       bzimage_refusals[i].message);
		free(image);
		memory_free(&memory);
	}
}

/* The ELF inside is checked like any other, and its message says where it was. */
static void test_bzimage_with_bad_elf(void **state)
{
	struct guest_memory memory = memory_new(MEMORY_BYTES / 4);
	struct bzimage *image = bzimage_new(&packers[0]);

	(void)state;
	assert_refused(&memory, image->bytes, image->length, -ENOSPC,
		       "bzImage: ELF: segment of 20480 bytes at 0x1000000 does not fit in the "
		       "guest's 16 MiB");
	free(image);
	memory_free(&memory);
}

static void test_real_kernel(void **state)
{
	const char *path = getenv("QUARK_TEST_KERNEL");
	cleanup_free uint8_t *image = NULL;
	struct guest_memory memory;
	struct loaded_kernel kernel;
	struct err err = {};
	uint64_t start;
	size_t bytes;

	(void)state;
	if (!path) {
		print_message("QUARK_TEST_KERNEL is not set\n");
		skip();
	}
	memory = memory_new(2 * MEMORY_BYTES);
	if (file_read(path, 64 << 20, &image, &bytes, &err) < 0)
		fail_msg("%s", err.message);
	start = monotonic_ns();
	if (kernel_load(&memory, image, bytes, &kernel, &err) < 0)
		fail_msg("%s", err.message);
	print_message("%s: entry 0x%llx, end 0x%llx, loaded in %llu us\n", path,
		      (unsigned long long)kernel.entry, (unsigned long long)kernel.end,
		      (unsigned long long)(monotonic_ns() - start) / 1000);
	memory_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_loads),
		cmocka_unit_test(test_elf_leaves_holes),
		cmocka_unit_test(test_elf_above_the_hole),
		cmocka_unit_test(test_elf_refusals),
		cmocka_unit_test(test_elf_refuses_the_hole),
		cmocka_unit_test(test_elf_truncated),
		cmocka_unit_test(test_payload_unpacks),
		cmocka_unit_test(test_payload_refusals),
		cmocka_unit_test(test_bzimage_loads),
		cmocka_unit_test(test_bzimage_refusals),
		cmocka_unit_test(test_bzimage_with_bad_elf),
		cmocka_unit_test(test_real_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
