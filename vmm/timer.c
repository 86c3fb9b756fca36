/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LAPIC timer around a stop.
 *
 * A timer that is already due when the guest resumes costs a pass through the guest kernel before
 * the function runs. So while a VM waits, its timer is off, and when it goes on, the timer is at
 * least VM_TIMER_MARGIN_NS ahead. To the guest this is a late tick, as any virtual machine sees.
 *
 * Registers by offset in the APIC page (Intel SDM vol. 3, table 11-1). KVM's APIC bus has 1 GHz.
 */
#include "vm_priv.h"

enum {
	APIC_IRR = 0x200,
	APIC_LVTT = 0x320,
	APIC_TMICT = 0x380,
	APIC_TMCCT = 0x390,
	APIC_TDCR = 0x3e0,
};

#define LVTT_MASKED (1u << 16)
#define LVTT_MODE(lvtt) (((lvtt) >> 17) & 3u)
enum { MODE_ONE_SHOT = 0, MODE_PERIODIC = 1, MODE_TSC_DEADLINE = 2 };

static uint32_t apic_get(const struct kvm_lapic_state *lapic, unsigned int offset)
{
	uint32_t value;

	memcpy(&value, lapic->regs + offset, sizeof(value));
	return value;
}

static void apic_set(struct kvm_lapic_state *lapic, unsigned int offset, uint32_t value)
{
	memcpy(lapic->regs + offset, &value, sizeof(value));
}

static uint32_t timer_divisor(const struct kvm_lapic_state *lapic)
{
	uint32_t tdcr = apic_get(lapic, APIC_TDCR);
	uint32_t code = (tdcr & 3) | ((tdcr >> 1) & 4);

	return code == 7 ? 1 : 2u << code;
}

/* Takes back an interrupt of the timer that was raised but not yet taken. */
static void withdraw_interrupt(struct kvm_lapic_state *lapic)
{
	uint32_t vector = apic_get(lapic, APIC_LVTT) & 0xff;
	unsigned int word = APIC_IRR + vector / 32 * 0x10;

	apic_set(lapic, word, apic_get(lapic, word) & ~(1u << vector % 32));
}

static bool timer_in_use(const struct kvm_lapic_state *lapic)
{
	uint32_t lvtt = apic_get(lapic, APIC_LVTT);

	return !(lvtt & LVTT_MASKED) && LVTT_MODE(lvtt) != MODE_TSC_DEADLINE &&
	       apic_get(lapic, APIC_TMICT) != 0;
}

/* A zero initial count is how the APIC itself spells "stopped". */
void lapic_timer_stop(struct kvm_lapic_state *lapic)
{
	if (!timer_in_use(lapic))
		return;
	withdraw_interrupt(lapic);
	apic_set(lapic, APIC_TMICT, 0);
	apic_set(lapic, APIC_TMCCT, 0);
}

static void set_remaining(struct kvm_lapic_state *lapic, uint32_t least)
{
	uint32_t initial = apic_get(lapic, APIC_TMICT);
	uint32_t current = apic_get(lapic, APIC_TMCCT);

	withdraw_interrupt(lapic);
	if (current < least)
		current = least;
	/* KVM starts from the initial count when the current one exceeds it. A period is the
	 * guest's own choice and stays; a one-shot's initial count is spent. */
	if (current > initial && LVTT_MODE(apic_get(lapic, APIC_LVTT)) == MODE_PERIODIC)
		current = initial;
	else if (current > initial)
		apic_set(lapic, APIC_TMICT, current);
	apic_set(lapic, APIC_TMCCT, current);
}

void lapic_timer_defer(struct kvm_lapic_state *lapic, uint64_t ns)
{
	uint64_t count = ns / timer_divisor(lapic);

	if (timer_in_use(lapic))
		set_remaining(lapic, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
}

/* Pending, not merely expired: an interrupt in the request register is taken before the next
 * instruction of the guest, a host timer may be late. */
void lapic_timer_raise(struct kvm_lapic_state *lapic)
{
	uint32_t lvtt = apic_get(lapic, APIC_LVTT);
	unsigned int word = APIC_IRR + (lvtt & 0xff) / 32 * 0x10;

	if (lvtt & LVTT_MASKED)
		return;
	apic_set(lapic, word, apic_get(lapic, word) | 1u << (lvtt & 31));
	if (LVTT_MODE(lvtt) == MODE_ONE_SHOT) {
		apic_set(lapic, APIC_TMICT, 0);
		apic_set(lapic, APIC_TMCCT, 0);
	}
}
