/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that uses an instruction on device memory which KVM does not emulate. The registers hold
 * what the report has to show. The addresses are mapped one to one (64-bit boot protocol).
 */
	.globl _start
_start:
	movabs	$0x1122334455667788, %rbx
	movabs	$0x99aabbccddeeff00, %rcx
	mov	$0xd0100000, %edi
	cmpxchg16b (%rdi)
	hlt
