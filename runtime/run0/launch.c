/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0, as it is called: runs libexec/quark/run0 from a place that no container can write to.
 *
 * A process that makes containers must not have its program where they could overwrite it
 * (CVE-2019-5736; liboci's protect_self.c says how). Were the program itself to see to that, it
 * would be started twice, with its shared libraries, by which a container takes a fifth more
 * instructions. This one decides nothing: the program looks where it is, and protects itself when
 * this one could not.
 *
 * It has no C library, whose start would cost more than all that is done here: x86-64 Linux enters
 * at _start with argc, argv and envp on the stack (System V ABI, AMD64 supplement, 3.4.1).
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>

#define PROGRAM "/../libexec/quark/run0"

enum { PATH_BYTES = 4096, EXIT_NOT_STARTED = 1, STDERR = 2 };

void start(long *stack);

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n");

static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* The place of the program, beside the folder that this one is in. */
static int find_program(char *path)
{
	static const char program[] = PROGRAM;
	long length = call(__NR_readlink, (long)"/proc/self/exe", (long)path,
			   PATH_BYTES - (long)sizeof(program), 0, 0);

	while (length > 0 && path[length - 1] != '/')
		length--;
	if (length <= 0)
		return -1;
	for (size_t i = 0; i < sizeof(program); i++)
		path[length - 1 + (long)i] = program[i];
	return 0;
}

/* A private bind mount that nobody else can see, read-only for good. */
static void run_read_only(const char *path, long argv, long envp)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	long fd = call(__NR_open_tree, AT_FDCWD, (long)path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0,
		       0);

	if (fd >= 0 && call(__NR_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attr,
			    sizeof(attr)) == 0)
		(void)call(__NR_execveat, fd, (long)"", argv, envp, AT_EMPTY_PATH);
	if (fd >= 0)
		(void)call(__NR_close, fd, 0, 0, 0, 0);
}

__attribute__((noreturn, used)) void start(long *stack)
{
	static const char complaint[] = "run0: cannot run its program, libexec/quark/run0\n";
	static char path[PATH_BYTES];
	long argc = stack[0], argv = (long)(stack + 1), envp = (long)(stack + argc + 2);

	if (find_program(path) == 0) {
		run_read_only(path, argv, envp);
		(void)call(__NR_execve, (long)path, argv, envp, 0, 0);
	}
	(void)call(__NR_write, STDERR, (long)complaint, sizeof(complaint) - 1, 0, 0);
	for (;;)
		(void)call(__NR_exit_group, EXIT_NOT_STARTED, 0, 0, 0, 0);
}
