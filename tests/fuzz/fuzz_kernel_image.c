/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel images from a hostile file: bzImage and ELF into a guest of 64 MiB, boot parameters from
 * whatever header was accepted, and the input as a bare payload.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "boot/boot.h"
#include "cleanup.h"

#define MEMORY_BYTES (64ull << 20)
#define PAYLOAD_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void load(const struct guest_memory *memory, const uint8_t *data, size_t bytes)
{
	struct loaded_kernel kernel;
	struct err err;

	if (kernel_load(memory, data, bytes, &kernel, &err) < 0)
		return;
	if (!guest_memory_at(memory, kernel.entry, 1) || kernel.end <= kernel.entry)
		abort();
	(void)boot_params_write(memory, &kernel, data, bytes, "console=ttyS0", &err);
}

static void unpack(const uint8_t *data, size_t bytes)
{
	cleanup_free uint8_t *unpacked = NULL;
	size_t unpacked_bytes;

	if (payload_decompress(data, bytes, PAYLOAD_MAX, &unpacked, &unpacked_bytes, NULL) == 0 &&
	    (unpacked_bytes == 0 || unpacked_bytes > PAYLOAD_MAX))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct guest_memory memory = { .bytes = MEMORY_BYTES };

	memory.base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory.base == MAP_FAILED)
		abort();
	load(&memory, data, bytes);
	unpack(data, bytes);
	(void)munmap(memory.base, MEMORY_BYTES);
	return 0;
}
