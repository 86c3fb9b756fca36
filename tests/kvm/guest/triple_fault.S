/* SPDX-License-Identifier: Apache-2.0 */
/* A guest whose first exception finds no handler for it, for the one after, and for the third. */
	.globl _start
_start:
	lidt	empty(%rip)
	int3
	hlt

empty:
	.word	0
	.quad	0
