/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of a few instructions that is captured at once: it rings READY, prints NAME when it goes
 * on, and powers off. PAYLOAD_MIB of data make its snapshot take a while.
 */
#define DOORBELL 0xd000000c
#define READY 1
#define COM1 0x3f8
#define PM1_CONTROL 0x604
#define SLEEP_S5 (0x2000 | 5 << 10)

	.globl _start
_start:
	mov	$DOORBELL, %edi
	movl	$READY, (%rdi)
	lea	name(%rip), %rsi
	mov	$COM1, %edx
next:
	lodsb
	test	%al, %al
	jz	off
	outb	%al, %dx
	jmp	next
off:
	mov	$PM1_CONTROL, %edx
	mov	$SLEEP_S5, %eax
	outw	%ax, %dx
	hlt

name:
	.ascii	NAME
	.byte	'\n', 0

	/* Each page differs from all others, and none is zero. */
	.balign	4096
	.set	page, 1
	.rept	PAYLOAD_MIB * 256
	.quad	page
	.fill	511, 8, 0x5a5a5a5a5a5a5a5a
	.set	page, page + 1
	.endr
