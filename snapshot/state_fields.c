/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables behind state_fields.h, and the two loops that walk them.
 *
 * x86-64 is little-endian, so the bytes of adjoining scalars are their encoding, and a run of
 * members moves at once: that makes decoding three times as fast as member by member. The structs
 * are the kernel's ABI and do not change. docs/snapshot-format.md lists every member; the sizes
 * here and tests/unit/golden/ pin them. Stateless; any thread.
 */
#include "state_fields.h"

#include <assert.h>
#include <string.h>

#include "cleanup.h"
#include "vm_state.h"

/* One member of `type`, and the members from `first` to `last`. */
#define F(type, member) {offsetof(type, member), sizeof(((type *)0)->member)}
#define RUN(type, first, last)                                                                  \
	{offsetof(type, first),                                                                 \
	 offsetof(type, last) + sizeof(((type *)0)->last) - offsetof(type, first)}

#define LAYOUT(table, wire, bytes)                                                              \
	{.fields = (table), .count = ARRAY_SIZE(table), .wire_bytes = (wire),                   \
	 .struct_bytes = (bytes)}

static const struct field vm_fields[] = {
	RUN(struct vm_state, memory_bytes, cpu_template),
	F(struct vm_state, vcpu_count),
};
const struct layout layout_vm = LAYOUT(vm_fields, 36, 0);

static const struct field cpuid_fields[] = {
	RUN(struct kvm_cpuid_entry2, function, edx),
};
const struct layout layout_cpuid =
	LAYOUT(cpuid_fields, 28, sizeof(struct kvm_cpuid_entry2));

/* The three chips are one record over the array, because each uses another arm of a union. */
struct irqchips {
	struct kvm_irqchip at[VM_IRQCHIPS];
};

#define PIC(n)                                                                                  \
	F(struct irqchips, at[n].chip_id),                                                      \
		RUN(struct irqchips, at[n].chip.pic.last_irr, at[n].chip.pic.elcr_mask)

static const struct field irqchip_fields[] = {
	PIC(KVM_IRQCHIP_PIC_MASTER),
	PIC(KVM_IRQCHIP_PIC_SLAVE),
	F(struct irqchips, at[KVM_IRQCHIP_IOAPIC].chip_id),
	RUN(struct irqchips, at[KVM_IRQCHIP_IOAPIC].chip.ioapic.base_address,
	    at[KVM_IRQCHIP_IOAPIC].chip.ioapic.irr),
	F(struct irqchips, at[KVM_IRQCHIP_IOAPIC].chip.ioapic.redirtbl),
};
const struct layout layout_irqchip = LAYOUT(irqchip_fields, 256, sizeof(struct irqchips));

static const struct field pit_fields[] = {
	RUN(struct kvm_pit_state2, channels, flags),
};
const struct layout layout_pit = LAYOUT(pit_fields, 76, sizeof(struct kvm_pit_state2));

static const struct field clock_fields[] = {
	RUN(struct kvm_clock_data, clock, flags),
	RUN(struct kvm_clock_data, realtime, host_tsc),
};
const struct layout layout_clock = LAYOUT(clock_fields, 28, sizeof(struct kvm_clock_data));

static const struct field regs_fields[] = {
	RUN(struct kvm_regs, rax, rflags),
};
const struct layout layout_regs = LAYOUT(regs_fields, 144, sizeof(struct kvm_regs));

#define SEGMENT(segment) RUN(struct kvm_sregs, segment.base, segment.unusable)
#define DTABLE(table) RUN(struct kvm_sregs, table.base, table.limit)

static const struct field sregs_fields[] = {
	SEGMENT(cs), SEGMENT(ds), SEGMENT(es),  SEGMENT(fs), SEGMENT(gs),
	SEGMENT(ss), SEGMENT(tr), SEGMENT(ldt), DTABLE(gdt), DTABLE(idt),
	RUN(struct kvm_sregs, cr0, interrupt_bitmap),
};
const struct layout layout_sregs = LAYOUT(sregs_fields, 292, sizeof(struct kvm_sregs));

static const struct field fpu_fields[] = {
	RUN(struct kvm_fpu, fpr, ftwx),
	RUN(struct kvm_fpu, last_opcode, mxcsr),
};
const struct layout layout_fpu = LAYOUT(fpu_fields, 411, sizeof(struct kvm_fpu));

static const struct field xcr_fields[] = {
	F(struct kvm_xcr, xcr),
	F(struct kvm_xcr, value),
};
const struct layout layout_xcr = LAYOUT(xcr_fields, 12, sizeof(struct kvm_xcr));

/* The APIC page is an architectural image (Intel SDM vol. 3, 11.4.1), stored as it is. */
static const struct field lapic_fields[] = {
	F(struct kvm_lapic_state, regs),
};
const struct layout layout_lapic = LAYOUT(lapic_fields, 1024, sizeof(struct kvm_lapic_state));

static const struct field mp_state_fields[] = {
	F(struct kvm_mp_state, mp_state),
};
const struct layout layout_mp_state = LAYOUT(mp_state_fields, 4, sizeof(struct kvm_mp_state));

static const struct field events_fields[] = {
	RUN(struct kvm_vcpu_events, exception, nmi.masked),
	RUN(struct kvm_vcpu_events, sipi_vector, triple_fault),
	RUN(struct kvm_vcpu_events, exception_has_payload, exception_payload),
};
const struct layout layout_events = LAYOUT(events_fields, 37, sizeof(struct kvm_vcpu_events));

static const struct field debugregs_fields[] = {
	RUN(struct kvm_debugregs, db, flags),
};
const struct layout layout_debugregs = LAYOUT(debugregs_fields, 56, sizeof(struct kvm_debugregs));

static const struct field msr_fields[] = {
	F(struct kvm_msr_entry, index),
	F(struct kvm_msr_entry, data),
};
const struct layout layout_msr = LAYOUT(msr_fields, 12, sizeof(struct kvm_msr_entry));

void records_put(const struct layout *layout, uint8_t *wire, const void *array, size_t count)
{
	const uint8_t *record = array;
	const uint8_t *const end = wire + count * layout->wire_bytes;

	for (; count > 0; count--, record += layout->struct_bytes)
		for (size_t i = 0; i < layout->count; i++) {
			const struct field *field = &layout->fields[i];

			memcpy(wire, record + field->offset, field->bytes);
			wire += field->bytes;
		}
	assert(wire == end);
}

/* On the hot path of a restore. */
void records_get(const struct layout *layout, void *ret_array, const uint8_t *wire, size_t count)
{
	uint8_t *record = ret_array;

	if (layout->struct_bytes > layout->wire_bytes)
		memset(record, 0, count * layout->struct_bytes);
	for (; count > 0; count--, record += layout->struct_bytes)
		for (size_t i = 0; i < layout->count; i++) {
			const struct field *field = &layout->fields[i];

			memcpy(record + field->offset, wire, field->bytes);
			wire += field->bytes;
		}
}
