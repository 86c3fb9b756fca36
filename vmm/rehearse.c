/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pays a VM's first-run costs before anybody waits for it.
 *
 * KVM fills its page-table caches at the first second-stage fault of each vCPU (40 zeroed pages: about
 * 180,000 instructions). So each vCPU of an empty VM executes the one instruction that lies at the
 * reset vector: an OUT to a port that no device has. It has a page and a memory slot of its own at the
 * top of 4 GiB, so that no page table for RAM exists yet: the restore's mapping over RAM would visit
 * every entry of one.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vm_priv.h"

#define ROM_GPA 0xfffff000ull
#define RESET_VECTOR_OFFSET 0xff0u
#define UNUSED_PORT 0x80

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

static int rehearse_vcpu(struct vcpu *vcpu, struct err *err)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable) < 0 || ioctl(vcpu->fd, KVM_RUN, 0) < 0)
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
