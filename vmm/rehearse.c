/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pays a VM's first-run costs before anybody waits for it.
 *
 * KVM fills its page-table caches at the first second-stage fault of each vCPU (40 zeroed pages:
 * about 180,000 instructions). So each vCPU of an empty VM executes the one instruction that lies
 * at the reset vector: an OUT to a port that no device has. It has a page and a memory slot of its
 * own at the top of 4 GiB, so that no page table for RAM exists yet: the restore's mapping over RAM
 * would visit every entry of one.
 *
 * A VM that is prepared for a base (snapshot/prepare.c) has memory already. Its second-stage
 * entries are what a host cannot make by itself, so a guest makes them: a loop in the same page
 * touches one guest-physical address after the other.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vm_priv.h"

#define ROM_GPA 0xfffff000ull
#define RESET_VECTOR_OFFSET 0xff0u
#define UNUSED_PORT 0x80
#define LIST_OFFSET 0x100u
#define LIST_MAX ((RESET_VECTOR_OFFSET - LIST_OFFSET) / sizeof(uint32_t))

/* 32-bit protected mode without paging: ESI at the list, ECX entries of it. */
static const uint8_t touch_code[] = {
	0xad,		   /* next: lodsl */
	0x89, 0xc3,	   /* mov %eax, %ebx */
	0x80, 0xe3, 0xfe,  /* and $~VM_TOUCH_WRITE, %bl */
	0xa8, 0x01,	   /* test $VM_TOUCH_WRITE, %al */
	0x74, 0x05,	   /* jz read */
	0x80, 0x0b, 0x00,  /* orb $0, (%ebx) */
	0xeb, 0x02,	   /* jmp done */
	0x8a, 0x13,	   /* read: mov (%ebx), %dl */
	0xe2, 0xed,	   /* done: loop next */
	0xe6, UNUSED_PORT, /* out %al, $0x80 */
};
_Static_assert(VM_TOUCH_WRITE == 1, "the loop knows it");

int rom_add(struct vm *vm, struct err *err)
{
	static const uint8_t code[] = { 0xe6, UNUSED_PORT }; /* out %al, $0x80 */
	uint8_t *rom = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (rom == MAP_FAILED)
		return err_set(err, -errno, "cannot map the ROM page: %s", strerror(errno));
	vm->rom = rom;
	memcpy(rom + RESET_VECTOR_OFFSET, code, sizeof(code));
	return memory_slot(vm->fd, ROM_SLOT, KVM_MEM_READONLY, ROM_GPA, rom, GUEST_PAGE_BYTES, err);
}

/* Runs the guest to its OUT. */
static int rehearse_vcpu(struct vcpu *vcpu, struct err *err)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int r;

	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable) < 0)
		return err_set(err, -errno, "KVM_SET_MP_STATE: %s", strerror(errno));
	do {
		r = ioctl(vcpu->fd, KVM_RUN, 0);
	} while (r < 0 && (errno == EINTR || errno == EAGAIN));
	if (r < 0)
		return err_set(err, -errno, "vCPU %u: cannot rehearse: %s", vcpu->index,
			       strerror(errno));
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return err_set(err, -EIO, "vCPU %u: the rehearsal ended with exit %u", vcpu->index,
			       vcpu->run->exit_reason);
	return vcpu_finish_exit(vcpu, err);
}

int vm_rehearse(struct vm *vm, struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < vm->vcpu_count && r == 0; i++)
		r = rehearse_vcpu(&vm->vcpus[i], err);
	return r;
}

/* --- touching memory ---------------------------------------------------------------------- */

static int enter_flat_mode(struct vcpu *vcpu, struct err *err)
{
	const struct kvm_segment data = {
		.limit = UINT32_MAX, .selector = 0x10, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_sregs sregs;

	code.selector = 0x08;
	code.type = 0xb;
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_set(err, -errno, "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= 1; /* PE */
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return err_set(err, -errno, "KVM_SET_SREGS: %s", strerror(errno));
	return 0;
}

static int touch_some(struct vm *vm, const uint32_t *list, size_t count, struct err *err)
{
	const struct kvm_regs regs = {
		.rip = ROM_GPA,
		.rsi = ROM_GPA + LIST_OFFSET,
		.rcx = count,
		.rflags = 2,
	};

	memcpy(vm->rom + LIST_OFFSET, list, count * sizeof(*list));
	if (ioctl(vm->vcpus[0].fd, KVM_SET_REGS, &regs) < 0)
		return err_set(err, -errno, "KVM_SET_REGS: %s", strerror(errno));
	return rehearse_vcpu(&vm->vcpus[0], err);
}

int vm_touch(struct vm *vm, const uint32_t *list, size_t count, struct err *err)
{
	int r;

	memcpy(vm->rom, touch_code, sizeof(touch_code));
	r = enter_flat_mode(&vm->vcpus[0], err);
	while (r == 0 && count > 0) {
		size_t some = count < LIST_MAX ? count : LIST_MAX;

		r = touch_some(vm, list, some, err);
		list += some;
		count -= some;
	}
	return r;
}
