/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that does nothing, for ever, and never exits to its VMM. */
	.globl _start
_start:
	pause
	jmp	_start
