/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of a stopped VM but its memory, as KVM and the device models give it.
 *
 * In memory these are the kernel's own structs; on disk each is encoded field by field
 * (snapshot/state_codec.c). One struct vm_state is about 50 KiB and never lives on a stack.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	VM_VCPUS_MAX = 8,
	VM_MSRS_MAX = 64,
	VM_CPUID_MAX = 128,
	VM_DEVICES_MAX = 16,
	VM_DEVICE_STATE_MAX = 512,
	VM_DEVICE_NAME_MAX = 16,
	VM_IRQCHIPS = 3,
};

enum cpu_template {
	CPU_TEMPLATE_PORTABLE = 0, /* x86-64-v1 and what every KVM host offers */
	CPU_TEMPLATE_HOST = 1,	   /* all that this host's KVM supports */
};

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	bool has_xsave;		  /* xsave and xcrs hold the FPU; else fpu does */
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;	  /* 4096 bytes in the format of the host's XSAVE area */
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	uint32_t msr_count;
	struct kvm_msr_entry msrs[VM_MSRS_MAX];
};

/* A device model's own state: `bytes` are in the encoding of that device's `version`. */
struct device_state {
	char name[VM_DEVICE_NAME_MAX]; /* NUL-terminated */
	uint32_t version;
	uint32_t bytes;
	uint8_t data[VM_DEVICE_STATE_MAX];
};

struct vm_state {
	uint64_t memory_bytes;
	uint64_t mailbox_gpa; /* 0: none registered */
	uint64_t realtime_ns; /* host CLOCK_REALTIME when `clock` was read */
	uint32_t tsc_khz;
	uint32_t cpu_template; /* enum cpu_template */

	uint32_t cpuid_count;
	/* Of vCPU 0; the others differ from it in their APIC ids. */
	struct kvm_cpuid_entry2 cpuid[VM_CPUID_MAX];

	struct kvm_irqchip irqchip[VM_IRQCHIPS]; /* PIC master, PIC slave, IOAPIC */
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;

	uint32_t device_count;
	struct device_state devices[VM_DEVICES_MAX];

	uint32_t vcpu_count;
	struct vcpu_state vcpus[VM_VCPUS_MAX];
};
