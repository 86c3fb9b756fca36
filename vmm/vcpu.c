/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual CPU: its descriptors, and its state in and out of KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "vm_priv.h"

static int vcpu_ioctl(struct vcpu *vcpu, unsigned long request, const char *name, void *argument,
		      struct err *err)
{
	if (ioctl(vcpu->fd, request, argument) < 0)
		return err_set(err, -errno, "vCPU %u: %s: %s", vcpu->index, name, strerror(errno));
	return 0;
}

#define VCPU_IOCTL(vcpu, request, argument, err) \
	vcpu_ioctl(vcpu, request, #request, (void *)(argument), err)

/* --- counters ----------------------------------------------------------------------------- */

enum { STATS_MAX = 256 };

/* Finds where the binary statistics (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD) keep the
 * count of page faults. A host without them loses a figure in reports, nothing else. */
static void find_fault_counter(struct vcpu *vcpu)
{
	struct kvm_stats_header head;
	uint8_t raw[sizeof(struct kvm_stats_desc) + 128];
	size_t each;

	vcpu->stats_fd = ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL);
	if (vcpu->stats_fd < 0 ||
	    pread(vcpu->stats_fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return;
	each = sizeof(struct kvm_stats_desc) + head.name_size;
	if (each > sizeof(raw))
		return;
	for (uint32_t i = 0; i < head.num_desc && i < STATS_MAX; i++) {
		struct kvm_stats_desc *desc = (struct kvm_stats_desc *)raw;

		if (pread(vcpu->stats_fd, raw, each, (off_t)(head.desc_offset + i * each)) !=
		    (ssize_t)each)
			return;
		if (strncmp(desc->name, "pf_taken", head.name_size) == 0) {
			vcpu->stats_faults_offset = head.data_offset + desc->offset;
			return;
		}
	}
}

/* --- life --------------------------------------------------------------------------------- */

int vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int index, struct err *err)
{
	void *run;

	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return err_set(err, -errno, "cannot create vCPU %u: %s", index, strerror(errno));
	run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_set(err, -errno, "cannot map vCPU %u: %s", index, strerror(errno));
	vcpu->run = run;
	find_fault_counter(vcpu);
	return 0;
}

void vcpu_done(struct vcpu *vcpu)
{
	if (vcpu->run)
		(void)munmap(vcpu->run, vcpu->vm->run_bytes);
	vcpu->run = NULL;
	vcpu->stats_fd = fd_close(vcpu->stats_fd);
	vcpu->fd = fd_close(vcpu->fd);
}

int vcpu_set_cpuid(struct vcpu *vcpu, struct err *err)
{
	struct cpuid_batch *cpuid = &vcpu->vm->cpuid;
	int r;

	cpuid_set_apic_id(cpuid, vcpu->index);
	r = VCPU_IOCTL(vcpu, KVM_SET_CPUID2, cpuid, err);
	cpuid_set_apic_id(cpuid, 0);
	return r;
}

/* An MMIO or PIO exit is only over when the vCPU has been entered again (Documentation/virt/kvm,
 * "KVM_RUN"): do that without running the guest. */
int vcpu_finish_exit(struct vcpu *vcpu, struct err *err)
{
	int r = 0;

	vcpu->run->immediate_exit = 1;
	if (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN)
		r = err_set(err, -errno, "vCPU %u: cannot finish the exit: %s", vcpu->index,
			    strerror(errno));
	vcpu->run->immediate_exit = 0;
	return r;
}

/* --- state -------------------------------------------------------------------------------- */

static int msrs_get(struct vcpu *vcpu, struct vcpu_state *state, struct err *err)
{
	struct kvm_msr_batch batch = vcpu->vm->msrs;
	int n = ioctl(vcpu->fd, KVM_GET_MSRS, &batch);

	if (n != (int)batch.head.nmsrs)
		return err_set(err, n < 0 ? -errno : -EIO, "vCPU %u: cannot read MSR %#x",
			       vcpu->index, n < 0 ? 0 : batch.entries[n].index);
	state->msr_count = batch.head.nmsrs;
	memcpy(state->msrs, batch.entries, batch.head.nmsrs * sizeof(batch.entries[0]));
	return 0;
}

/* Does the vCPU hold this value since its creation? Only asked while no MSR has ever been set. */
static bool msr_is_fresh(const struct vm *vm, const struct kvm_msr_entry *entry, uint32_t *at)
{
	const struct kvm_msr_entry *fresh;

	if (!vm->msrs_fresh || entry->index == 0x10)
		return false;
	fresh = msr_find(&vm->msrs, entry->index, at);
	return fresh && fresh->data == entry->data;
}

/* One ioctl for all MSRs, without those that a fresh vCPU already holds. */
static int msrs_set(struct vcpu *vcpu, const struct vcpu_state *state, struct err *err)
{
	struct kvm_msr_batch batch;
	uint32_t count = 0, at = 0;
	int n;

	batch.head = (struct kvm_msrs){};
	for (uint32_t i = 0; i < state->msr_count; i++)
		if (!msr_is_fresh(vcpu->vm, &state->msrs[i], &at))
			batch.entries[count++] = state->msrs[i];
	batch.head.nmsrs = count;
	n = ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
	if (n != (int)count)
		return err_set(err, n < 0 ? -errno : -ENOTSUP, "vCPU %u: cannot set MSR %#x",
			       vcpu->index, n < 0 ? 0 : batch.entries[n].index);
	return 0;
}

static int fpu_get(struct vcpu *vcpu, struct vcpu_state *state, struct err *err)
{
	int r;

	state->has_xsave = vcpu->vm->has_xsave;
	if (!state->has_xsave)
		return VCPU_IOCTL(vcpu, KVM_GET_FPU, &state->fpu, err);
	r = VCPU_IOCTL(vcpu, KVM_GET_XSAVE, &state->xsave, err);
	return r < 0 ? r : VCPU_IOCTL(vcpu, KVM_GET_XCRS, &state->xcrs, err);
}

static int fpu_set(struct vcpu *vcpu, const struct vcpu_state *state, struct err *err)
{
	int r;

	if (!state->has_xsave)
		return VCPU_IOCTL(vcpu, KVM_SET_FPU, &state->fpu, err);
	r = VCPU_IOCTL(vcpu, KVM_SET_XCRS, &state->xcrs, err);
	return r < 0 ? r : VCPU_IOCTL(vcpu, KVM_SET_XSAVE, &state->xsave, err);
}

/* MP_STATE first: reading it makes KVM process pending INIT and SIPI, which change the rest. */
int vcpu_state_get(struct vcpu *vcpu, struct vcpu_state *ret_state, struct err *err)
{
	int r;

	(void)((r = VCPU_IOCTL(vcpu, KVM_GET_MP_STATE, &ret_state->mp_state, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_GET_REGS, &ret_state->regs, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_GET_SREGS, &ret_state->sregs, err)) < 0 ||
	       (r = fpu_get(vcpu, ret_state, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_GET_LAPIC, &ret_state->lapic, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_GET_VCPU_EVENTS, &ret_state->events, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_GET_DEBUGREGS, &ret_state->debugregs, err)) < 0 ||
	       (r = msrs_get(vcpu, ret_state, err)) < 0);
	return r;
}

/* SREGS before MSRs and LAPIC (they depend on EFER and the APIC base); LAPIC before the deadline
 * timer would matter, which timer.c sees to; events last, nothing after them may clear them. */
int vcpu_state_set(struct vcpu *vcpu, const struct vcpu_state *state,
		   const struct kvm_lapic_state *lapic, struct err *err)
{
	int r;

	(void)((r = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &state->sregs, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_SET_LAPIC, lapic, err)) < 0 ||
	       (r = msrs_set(vcpu, state, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_SET_REGS, &state->regs, err)) < 0 ||
	       (r = fpu_set(vcpu, state, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_SET_MP_STATE, &state->mp_state, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_SET_VCPU_EVENTS, &state->events, err)) < 0 ||
	       (r = VCPU_IOCTL(vcpu, KVM_SET_DEBUGREGS, &state->debugregs, err)) < 0);
	return r;
}
