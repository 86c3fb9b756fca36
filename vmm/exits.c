/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens on each KVM exit: one table, one small function per reason. An exit that has no row
 * ends the VM with a report. Runs on the vCPU's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "vm_priv.h"

/* 0: enter the guest again, 1: vcpu->event is filled. */
typedef int (*exit_handler)(struct vcpu *vcpu);

static int exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		return bus_write(&vcpu->vm->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data,
				 run->mmio.len, &vcpu->event);
	bus_read(&vcpu->vm->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	return 0;
}

static int exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool raised = false;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			raised |= bus_write(&vcpu->vm->bus, BUS_PIO, run->io.port, data,
					    run->io.size, &vcpu->event);
		else
			bus_read(&vcpu->vm->bus, BUS_PIO, run->io.port, data, run->io.size);
	}
	return raised;
}

static int exit_interrupted(struct vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}

static int exit_shutdown(struct vcpu *vcpu)
{
	vcpu_report(vcpu, "triple fault", &vcpu->event);
	vcpu->event.kind = VM_EVENT_TRIPLE_FAULT;
	return 1;
}

static int exit_system_event(struct vcpu *vcpu)
{
	static const enum vm_event_kind kinds[] = {
		[KVM_SYSTEM_EVENT_SHUTDOWN] = VM_EVENT_POWEROFF,
		[KVM_SYSTEM_EVENT_RESET] = VM_EVENT_RESET,
		[KVM_SYSTEM_EVENT_CRASH] = VM_EVENT_CRASH,
	};
	uint32_t type = vcpu->run->system_event.type;

	vcpu->event.kind = type < ARRAY_SIZE(kinds) && kinds[type] ? kinds[type] : VM_EVENT_CRASH;
	return 1;
}

static int unhandled(struct vcpu *vcpu, const char *reason)
{
	vcpu_report(vcpu, reason, &vcpu->event);
	vcpu->event.kind = VM_EVENT_UNHANDLED;
	return 1;
}

/* KVM_RUN says EFAULT: there is a memslot, but nothing behind it, or a file that was cut. KVM has
 * changed nothing, so the guest repeats its access when it is entered again. */
int vcpu_handle_fault(struct vcpu *vcpu)
{
	struct err err = {};

	if (memory_gap_forgives(vcpu, &err))
		return 0;
	if (err.message[0])
		return unhandled(vcpu, err.message);
	return unhandled(vcpu, "the guest touched memory that the host does not have");
}

static int exit_fail_entry(struct vcpu *vcpu)
{
	char reason[96];

	(void)snprintf(reason, sizeof(reason), "entry failed, hardware reason %#llx",
		       (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
	return unhandled(vcpu, reason);
}

static int exit_internal_error(struct vcpu *vcpu)
{
	static const char *const suberrors[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "KVM cannot emulate this instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "KVM cannot deliver an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit reason",
	};
	uint32_t suberror = vcpu->run->internal.suberror;
	const char *text = suberror < ARRAY_SIZE(suberrors) ? suberrors[suberror] : NULL;

	return unhandled(vcpu, text ? text : "KVM internal error");
}

static const exit_handler handlers[] = {
	[KVM_EXIT_MMIO] = exit_mmio,
	[KVM_EXIT_IO] = exit_io,
	[KVM_EXIT_INTR] = exit_interrupted,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = exit_interrupted,
	[KVM_EXIT_SHUTDOWN] = exit_shutdown,
	[KVM_EXIT_SYSTEM_EVENT] = exit_system_event,
	[KVM_EXIT_FAIL_ENTRY] = exit_fail_entry,
	[KVM_EXIT_INTERNAL_ERROR] = exit_internal_error,
};

int vcpu_handle_exit(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;
	char text[48];

	if (reason < ARRAY_SIZE(handlers) && handlers[reason])
		return handlers[reason](vcpu);
	(void)snprintf(text, sizeof(text), "unhandled KVM exit %u", reason);
	return unhandled(vcpu, text);
}
