/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this host's /dev/kvm run an ordinary guest kernel?
 *
 * A /dev/kvm may open, report every capability, and still be unable to: nested hosts without
 * hardware virtualization emulate guest ring 0 instruction by instruction, or get SYSCALL wrong. So
 * the probe asks no flags: it runs guests of a few instructions and looks at what they did.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum kvm_check {
	KVM_CHECK_DEVICE,     /* opens, and has every capability that lumper needs */
	KVM_CHECK_RING0,      /* guest kernel code runs about as fast as code on the host */
	KVM_CHECK_SYSCALL,    /* SYSCALL from ring 3 arrives in ring 0, SYSRET goes back */
	KVM_CHECK_PAGE_FAULT,	/* a fault in ring 3 reaches the guest's handler, IRET goes back */
	KVM_CHECK_TIME,	      /* the guest's TSC and kvmclock advance with the host's clock */
	KVM_CHECKS,
};

enum kvm_check_status {
	KVM_CHECK_SKIPPED, /* zero: a check that was never reached */
	KVM_CHECK_RUNNING, /* what a reader sees when the prober was killed in this check */
	KVM_CHECK_OK,
	KVM_CHECK_FAILED,
};

enum { KVM_CHECK_TEXT_BYTES = 200 };

struct kvm_check_result {
	enum kvm_check_status status;
	char found[KVM_CHECK_TEXT_BYTES];
	char advice[KVM_CHECK_TEXT_BYTES]; /* what to do; empty unless failed */
};

struct kvm_probe {
	struct kvm_check_result checks[KVM_CHECKS];
};

extern const char *const kvm_check_names[KVM_CHECKS];

/* Runs all checks on /dev/kvm; when the device fails, the others are SKIPPED. Fills the zeroed
 * *probe as it goes and keeps no pointer into it. Takes well under 100 ms on a host that works, but
 * a broken KVM may never return from KVM_RUN: call it in a child process that can be killed, with
 * *probe in memory shared with the parent. */
void kvm_probe_run(struct kvm_probe *probe);

/* All checks are OK. */
bool kvm_probe_passed(const struct kvm_probe *probe);
