/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readable report of a vCPU that cannot go on: reason, registers, instruction bytes.
 */
#include <stdio.h>
#include <sys/ioctl.h>

#include "vm_priv.h"

enum { INSTRUCTION_BYTES = 15 };

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= text->left)
		n = (int)text->left - 1;
	text->at += n;
	text->left -= (size_t)n;
}

static void put_registers(struct text *text, const struct kvm_regs *regs,
			  const struct kvm_sregs *sregs)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "rax", regs->rax },	{ "rbx", regs->rbx },	{ "rcx", regs->rcx },
		{ "rdx", regs->rdx },	{ "rsi", regs->rsi },	{ "rdi", regs->rdi },
		{ "rbp", regs->rbp },	{ "rsp", regs->rsp },	{ "r8 ", regs->r8 },
		{ "r9 ", regs->r9 },	{ "r10", regs->r10 },	{ "r11", regs->r11 },
		{ "r12", regs->r12 },	{ "r13", regs->r13 },	{ "r14", regs->r14 },
		{ "r15", regs->r15 },	{ "rip", regs->rip },	{ "rfl", regs->rflags },
		{ "cr0", sregs->cr0 },	{ "cr2", sregs->cr2 },	{ "cr3", sregs->cr3 },
		{ "cr4", sregs->cr4 },	{ "efe", sregs->efer },	{ "cs ", sregs->cs.selector },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put(text, "%s %016llx%s", rows[i].name, (unsigned long long)rows[i].value,
		    i % 4 == 3 ? "\n" : "  ");
}

static void put_instruction(struct text *text, struct vcpu *vcpu, uint64_t rip)
{
	struct kvm_translation translation = { .linear_address = rip };
	const uint8_t *code = NULL;
	uint64_t bytes = INSTRUCTION_BYTES;

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) == 0 && translation.valid) {
		uint64_t in_page =
			GUEST_PAGE_BYTES - translation.physical_address % GUEST_PAGE_BYTES;

		if (bytes > in_page)
			bytes = in_page;
		code = vm_memory_at(vcpu->vm, translation.physical_address, bytes);
	}
	put(text, "code");
	for (uint64_t i = 0; code && i < bytes; i++)
		put(text, " %02x", code[i]);
	put(text, code ? "\n" : " not mapped\n");
}

void vcpu_report(struct vcpu *vcpu, const char *reason, struct vm_event *event)
{
	struct text text = { event->report, sizeof(event->report) };
	struct kvm_regs regs = {};
	struct kvm_sregs sregs = {};

	(void)ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	(void)ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	put(&text, "vCPU %u stopped: %s\n", vcpu->index, reason);
	put_registers(&text, &regs, &sregs);
	put_instruction(&text, vcpu, regs.rip);
}
