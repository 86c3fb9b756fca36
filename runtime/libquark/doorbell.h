/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one instruction that leaves the guest.
 *
 * Internal to libquark and to the guest's PID 1. It is apart from quark.c so that a test can put a
 * host in its place.
 */
#pragma once

#include <stdint.h>

/* Stores `value` to the doorbell register. The host decodes the instruction when it exits, so it is
 * written out: one plain 32-bit mov through a register. All memory is in order before and after. */
static inline __attribute__((always_inline)) void doorbell_ring(volatile uint32_t *bell,
								uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(bell) : "memory");
}
