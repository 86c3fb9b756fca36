/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs main on a stack that ends where the program begins.
 *
 * The kernel puts a stack at the far end of the address space. There it needs three page tables of
 * its own, and a clone that is restored has to touch each of them before its first instruction.
 * Right below the program it shares all the program's tables. The linker puts this in main's place
 * when it is told --wrap=main (function_build does); a program linked otherwise keeps the kernel's
 * stack.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

/* As large as the usual limit. Below it nothing is mapped, so an overflow faults. */
enum { STACK_BYTES = 8 << 20 };

/* The linker's names. */
extern char __executable_start[];
int __real_main(int argc, char **argv, char **envp);
int __wrap_main(int argc, char **argv, char **envp);

/* Calls __real_main with the first three arguments and the stack pointer at `top`. */
int stack_call_main(int argc, char **argv, char **envp, void *top);

__asm__(".pushsection .text.startup, \"ax\", @progbits\n"
	".type stack_call_main, @function\n"
	"stack_call_main:\n"
	"	pushq %rbx\n"
	"	movq %rsp, %rbx\n"
	"	movq %rcx, %rsp\n"
	"	call __real_main\n"
	"	movq %rbx, %rsp\n"
	"	popq %rbx\n"
	"	ret\n"
	".size stack_call_main, . - stack_call_main\n"
	".popsection\n");

int __wrap_main(int argc, char **argv, char **envp)
{
	uintptr_t top = (uintptr_t)__executable_start;
	void *bottom = (void *)(top - STACK_BYTES);

	if (top <= STACK_BYTES ||
	    mmap(bottom, STACK_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK | MAP_FIXED_NOREPLACE, -1,
		 0) != bottom)
		return __real_main(argc, argv, envp);
	return stack_call_main(argc, argv, envp, (void *)top);
}
