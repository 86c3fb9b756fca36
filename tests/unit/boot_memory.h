/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory for the tests of vmm/boot/: as large as a guest's, and empty until it is written.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "boot/boot.h"

static inline struct guest_memory memory_new(uint64_t bytes)
{
	struct guest_memory memory = { .bytes = bytes };

	memory.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(memory.base != MAP_FAILED);
	return memory;
}

static inline void memory_free(struct guest_memory *memory)
{
	(void)munmap(memory->base, memory->bytes);
}
