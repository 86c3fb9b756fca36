/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pays a VM's first-run costs before anybody waits for it.
 *
 * KVM fills its page-table caches at the first second-stage fault of each vCPU (40 zeroed pages:
 * about 180,000 instructions). So each vCPU of an empty VM executes one instruction: an OUT to a
 * port that no device has, in real mode, from a page that the restore maps over.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vm_priv.h"

#define CODE_GPA 0x1000ull
#define UNUSED_PORT 0x80

static int rehearse_vcpu(struct vcpu *vcpu, struct err *err)
{
	const struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_set(err, -errno, "vCPU %u: cannot rehearse: %s", vcpu->index,
			       strerror(errno));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_RUN, 0) < 0)
		return err_set(err, -errno, "vCPU %u: cannot rehearse: %s", vcpu->index,
			       strerror(errno));
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return err_set(err, -EIO, "vCPU %u: the rehearsal ended with exit %u", vcpu->index,
			       vcpu->run->exit_reason);
	return vcpu_finish_exit(vcpu, err);
}

int vm_rehearse(struct vm *vm, struct err *err)
{
	static const uint8_t code[] = { 0xe6, UNUSED_PORT }; /* out %al, $0x80 */
	int r = 0;

	memcpy(vm->memory.base + CODE_GPA, code, sizeof(code));
	for (unsigned int i = 0; i < vm->vcpu_count && r == 0; i++)
		r = rehearse_vcpu(&vm->vcpus[i], err);
	return r;
}
