/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the state file: which members of which kernel struct are stored, in which order.
 *
 * A record is the concatenation of little-endian scalars, without padding. Struct padding and
 * reserved members are never stored: they are zero after decoding.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Members that adjoin in the struct, without padding between them, and so in the record too. */
struct field {
	uint16_t offset; /* in the struct */
	uint16_t bytes;
};

struct layout {
	const struct field *fields;
	uint16_t count;
	uint16_t wire_bytes;   /* sum of the fields' bytes; pins the format */
	uint16_t struct_bytes; /* distance of two records in an array; 0: no array has them */
};

extern const struct layout layout_vm, layout_cpuid, layout_irqchip, layout_pit, layout_clock;
extern const struct layout layout_regs, layout_sregs, layout_fpu, layout_xcr, layout_lapic;
extern const struct layout layout_mp_state, layout_events, layout_debugregs, layout_msr;

/* `count` records on the wire, layout->wire_bytes each, from and to an array of structs. */
void records_put(const struct layout *layout, uint8_t *wire, const void *array, size_t count);
void records_get(const struct layout *layout, void *ret_array, const uint8_t *wire, size_t count);
