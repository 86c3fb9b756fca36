/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: one reserved host range, registered as one memslot below and one above the PCI hole.
 *
 * The memslots are made once, over an address range; restoring a snapshot maps a file over the same
 * range and needs no further KVM call (KVM follows through its MMU notifier).
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vm_priv.h"

#define ALIGN_BYTES (1ull << 30)

bool guest_gpa_to_offset(uint64_t memory_bytes, uint64_t gpa, uint64_t *ret_offset)
{
	uint64_t low = memory_bytes < GUEST_HOLE_START ? memory_bytes : GUEST_HOLE_START;

	if (gpa < low) {
		*ret_offset = gpa;
		return true;
	}
	if (gpa < GUEST_HOLE_END || gpa - GUEST_HOLE_END >= memory_bytes - low)
		return false;
	*ret_offset = gpa - GUEST_HOLE_END + low;
	return true;
}

uint64_t guest_offset_to_gpa(uint64_t offset)
{
	return offset < GUEST_HOLE_START ? offset : offset - GUEST_HOLE_START + GUEST_HOLE_END;
}

void *vm_memory_at(const struct vm *vm, uint64_t gpa, uint64_t bytes)
{
	return guest_memory_at(&vm->memory, gpa, bytes);
}

void *vm_memory_base(const struct vm *vm)
{
	return vm->memory.base;
}

uint64_t vm_memory_bytes(const struct vm *vm)
{
	return vm->memory.bytes;
}

static uint64_t reserved_bytes(uint64_t bytes)
{
	return (bytes + ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
}

/* A range begins on a multiple of 1 GiB, and the rest of its last GiB stays reserved, so that no
 * upper-level page-table entry of this process covers both it and something else. A restore unmaps
 * the whole range: where such an entry is empty that is one look at a GiB, and where it is not,
 * one at each 2 MiB, so that the cost would grow with the guest's memory. */
int range_reserve(uint64_t bytes, uint8_t **ret_base, struct err *err)
{
	uint64_t whole = reserved_bytes(bytes);
	uint8_t *raw, *base;
	size_t before;

	raw = mmap(NULL, whole + ALIGN_BYTES, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return err_set(err, -errno, "cannot reserve %llu MiB of address space: %s",
			       (unsigned long long)(bytes >> 20), strerror(errno));
	before = -(uintptr_t)raw % ALIGN_BYTES;
	base = raw + before;
	if (before)
		(void)munmap(raw, before);
	(void)munmap(base + whole, ALIGN_BYTES - before);
	*ret_base = base;
	return 0;
}

void range_release(uint8_t *base, uint64_t bytes)
{
	(void)munmap(base, reserved_bytes(bytes));
}

int memory_reserve(struct guest_memory *memory, uint64_t bytes, struct err *err)
{
	uint8_t *base;
	int r = range_reserve(bytes, &base, err);

	if (r < 0)
		return r;
	*memory = (struct guest_memory){ .base = base, .bytes = bytes };
	if (mprotect(base, bytes, PROT_READ | PROT_WRITE) < 0)
		return err_set(err, -errno, "cannot reserve guest memory: %s", strerror(errno));
	return 0;
}

void memory_release(struct guest_memory *memory)
{
	if (memory->base)
		range_release(memory->base, memory->bytes);
	memory->base = NULL;
}

int memory_slot(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa, uint8_t *hva,
		uint64_t bytes, struct err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_set(err, -errno, "cannot register memory slot %u: %s", slot,
			       strerror(errno));
	return 0;
}

int memory_register(int vm_fd, const struct guest_memory *memory, struct err *err)
{
	uint64_t low = memory->bytes < GUEST_HOLE_START ? memory->bytes : GUEST_HOLE_START;
	int r;

	r = memory_slot(vm_fd, 0, 0, 0, memory->base, low, err);
	if (r < 0 || memory->bytes == low)
		return r;
	return memory_slot(vm_fd, 1, 0, GUEST_HOLE_END, memory->base + low, memory->bytes - low,
			   err);
}
