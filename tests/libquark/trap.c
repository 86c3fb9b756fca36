/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into Python or Node, this stops the process at the doorbell, as the VMM stops a vCPU.
 *
 * A store to the doorbell faults: its file is empty, which the kernel answers with SIGBUS, or its
 * mapping is closed here when libc's mmap made it (Python refuses an empty file), which is SIGSEGV.
 * The handler decodes the instruction as strictly as the contract is (one 32-bit mov of a register
 * or constant to offset 12), tells the host by a socket, and sleeps until the host says how to go
 *on:
 *
 *	'g'  go on after the store
 *	'c'  the same in a copy of this process, made by a bare fork; this one waits for the copy to
 *	     end and then for the next word
 *	'x'  end at once
 *
 * For the host: QUARK_TRAP_FD is the socket, a message is eight bytes: value, pid.
 *
 * A copy differs from a copied machine only in its pid, so getpid keeps telling the first one:
 * libraries that look for it shall not notice.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "mailbox.h"

enum { PAGE_BYTES = 4096 };

static struct {
	int fd;
	pid_t pid;
	ino_t bell_inode; /* 0: its file is empty, so that nothing needs to be closed */
} trap;

pid_t getpid(void)
{
	return trap.pid ? trap.pid : (pid_t)syscall(SYS_getpid);
}

static void die(const char *why)
{
	(void)!write(2, why, strlen(why));
	syscall(SYS_exit_group, 99);
}

/* The register that ModRM's and REX's bits name, in the order of the instruction set. */
static uint32_t general_register(const ucontext_t *context, unsigned int number)
{
	static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15 };

	return (uint32_t)context->uc_mcontext.gregs[order[number]];
}

/* Bytes of ModRM, SIB and displacement. */
static unsigned int operand_bytes(const uint8_t *modrm)
{
	unsigned int mod = modrm[0] >> 6, rm = modrm[0] & 7, bytes = 1;

	if (rm == 4) {
		bytes++;
		if (mod == 0 && (modrm[1] & 7) == 5)
			bytes += 4;
	} else if (mod == 0 && rm == 5) {
		bytes += 4;
	}
	return bytes + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Decodes mov r32 or imm32 to memory and steps over it; dies of any other instruction. */
static uint32_t store_take(ucontext_t *context)
{
	greg_t *rip = &context->uc_mcontext.gregs[REG_RIP];
	const uint8_t *at = (const uint8_t *)*rip;
	unsigned int rex = 0;
	uint32_t value;

	if ((*at & 0xf0) == 0x40)
		rex = *at++;
	if (rex & 8)
		die("trap: the doorbell was rung by a 64-bit store\n");
	if (*at == 0x89) {
		value = general_register(context, (at[1] >> 3 & 7) | (rex & 4) << 1);
		*rip = (greg_t)(at + 1 + operand_bytes(at + 1));
	} else if (*at == 0xc7) {
		const uint8_t *constant = at + 1 + operand_bytes(at + 1);

		memcpy(&value, constant, sizeof(value));
		*rip = (greg_t)(constant + sizeof(value));
	} else {
		die("trap: the doorbell was not rung by a plain 32-bit mov\n");
		__builtin_unreachable();
	}
	return value;
}

static char host_ask(uint32_t value)
{
	uint32_t message[2] = { value, (uint32_t)syscall(SYS_getpid) };
	char word = 'x';

	if (write(trap.fd, message, sizeof(message)) != sizeof(message) ||
	    read(trap.fd, &word, 1) != 1)
		return 'x';
	return word;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	uint32_t value;
	char word;

	(void)number;
	if (((uintptr_t)info->si_addr & (PAGE_BYTES - 1)) != DOORBELL_REGISTER_OFFSET) {
		char text[64];

		(void)snprintf(text, sizeof(text), "trap: fault at %p\n", info->si_addr);
		die(text);
	}
	value = store_take(context);
	word = host_ask(value);
	while (word == 'c') {
		long pid = syscall(SYS_fork);

		if (pid == 0)
			break;
		(void)waitpid((pid_t)pid, NULL, 0);
		word = host_ask(0);
	}
	if (word == 'x')
		syscall(SYS_exit_group, 0);
	errno = saved;
}

static void *map(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	struct stat st;
	void *at = (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);

	if (at != MAP_FAILED && fd >= 0 && trap.bell_inode && fstat(fd, &st) == 0 &&
	    st.st_ino == trap.bell_inode && bytes == DOORBELL_BAR_BYTES)
		(void)mprotect(at, bytes, PROT_NONE);
	return at;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return map(address, bytes, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return map(address, bytes, protection, flags, fd, offset);
}

/* V8 asks that its heap is left out of copies, which would be no copies then. */
int madvise(void *address, size_t bytes, int advice)
{
	if (advice == MADV_DONTFORK)
		return 0;
	return (int)syscall(SYS_madvise, address, bytes, advice);
}

__attribute__((constructor)) static void trap_set(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	const char *fd = getenv("QUARK_TRAP_FD"), *bell = getenv(QUARK_ENV_DOORBELL_FD);
	struct stat st;

	if (!fd || !bell)
		return;
	trap.fd = atoi(fd);
	trap.pid = (pid_t)syscall(SYS_getpid);
	if (fstat(atoi(bell), &st) == 0 && st.st_size)
		trap.bell_inode = st.st_ino;
	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
}
