/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which model-specific registers make up a vCPU's state.
 *
 * EFER, the APIC base and the FS and GS bases are in kvm_sregs. The table lists the rest of what a
 * Linux guest sets; a host that has no such MSR leaves it out.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "vm_priv.h"

static const uint32_t state_msrs[] = {
	0x00000010, /* IA32_TSC: first, the deadline timer and kvmclock depend on it */
	0x0000003b, /* IA32_TSC_ADJUST */
	0x00000048, /* IA32_SPEC_CTRL */
	0x00000174, /* IA32_SYSENTER_CS, ESP, EIP */
	0x00000175,
	0x00000176,
	0x000001a0, /* IA32_MISC_ENABLE */
	0x00000277, /* IA32_PAT */
	0x00000d90, /* IA32_BNDCFGS */
	0x00000da0, /* IA32_XSS */
	0xc0000081, /* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000082,
	0xc0000083,
	0xc0000084,
	0xc0000102, /* KERNEL_GS_BASE */
	0xc0000103, /* TSC_AUX */
	0x4b564d01, /* KVM system time (kvmclock). The wall clock MSR is a request, not state */
	0x000002ff, /* MTRR default type, fixed ranges, variable ranges */
	0x00000250,
	0x00000258,
	0x00000259,
	0x00000268,
	0x00000269,
	0x0000026a,
	0x0000026b,
	0x0000026c,
	0x0000026d,
	0x0000026e,
	0x0000026f,
	0x00000200,
	0x00000201,
	0x00000202,
	0x00000203,
	0x000006e0, /* IA32_TSC_DEADLINE: last, after the LAPIC's mode is known */
};

/* Equal lists are walked in step: `at` is where the last one was found. */
const struct kvm_msr_entry *msr_find(const struct kvm_msr_batch *msrs, uint32_t index, uint32_t *at)
{
	for (uint32_t i = 0; i < msrs->head.nmsrs; i++) {
		uint32_t next = (*at + i) % msrs->head.nmsrs;

		if (msrs->entries[next].index == index) {
			*at = next + 1;
			return &msrs->entries[next];
		}
	}
	return NULL;
}

/* KVM lets its owner write to MSRs that no guest may. A state gets no further than the table. */
int msr_check(const struct kvm_msr_batch *msrs, const struct vcpu_state *state, struct err *err)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < state->msr_count; i++)
		if (!msr_find(msrs, state->msrs[i].index, &at))
			return err_set(err, -ENOTSUP,
				       "the snapshot sets MSR %#x, which this host does not have "
				       "or which is not part of a vCPU's state",
				       state->msrs[i].index);
	return 0;
}

/* Reads the MSRs one by one: KVM stops at the first one that this vCPU does not have. */
int msr_select(int vcpu_fd, struct kvm_msr_batch *ret_msrs, struct err *err)
{
	uint32_t kept = 0;

	for (size_t i = 0; i < ARRAY_SIZE(state_msrs); i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} one = { .head.nmsrs = 1, .entry.index = state_msrs[i] };
		int n = ioctl(vcpu_fd, KVM_GET_MSRS, &one);

		if (n < 0)
			return err_set(err, -errno, "KVM_GET_MSRS: %s", strerror(errno));
		if (n == 1)
			ret_msrs->entries[kept++] = one.entry;
	}
	ret_msrs->head.nmsrs = kept;
	return 0;
}
