/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked access to guest RAM: the only place where a guest-physical address becomes a pointer.
 */
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "lumper.h"

static bool find(const struct guest_memory *memory, uint64_t gpa, uint64_t bytes,
		 uint64_t *ret_offset)
{
	uint64_t last;

	if (bytes == 0)
		bytes = 1;
	if (gpa > UINT64_MAX - (bytes - 1) ||
	    !guest_gpa_to_offset(memory->bytes, gpa, ret_offset) ||
	    !guest_gpa_to_offset(memory->bytes, gpa + (bytes - 1), &last))
		return false;
	/* Across the hole, the ends are closer in the host range than in the guest's addresses. */
	return last - *ret_offset == bytes - 1;
}

bool guest_memory_has(const struct guest_memory *memory, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset;

	return find(memory, gpa, bytes, &offset);
}

void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset;

	if (!find(memory, gpa, bytes, &offset) ||
	    (memory->before_use && memory->before_use(memory->context) < 0))
		return NULL;
	return memory->base + offset;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

int guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
		       uint64_t bytes)
{
	uint8_t *to = guest_memory_at(memory, gpa, bytes);
	const uint8_t *from = data;

	if (!to)
		return -ENOSPC;
	while (bytes > 0) {
		uint64_t chunk = GUEST_PAGE_BYTES - gpa % GUEST_PAGE_BYTES;

		if (chunk > bytes)
			chunk = bytes;
		if (!is_zero(from, chunk))
			memcpy(to, from, chunk);
		to += chunk;
		from += chunk;
		gpa += chunk;
		bytes -= chunk;
	}
	return 0;
}
