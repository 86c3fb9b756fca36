/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENOSYS for system calls that are newer than the profile.
 *
 * A profile that refuses what it does not list was written when a certain system call was the
 * newest. A program that tries a newer one expects ENOSYS from a kernel without it, and falls back
 * to an older one; it takes EPERM, or death, for an answer about its arguments. So numbers above
 * the highest that the profile names get ENOSYS, by architecture, before the profile's own filter
 * runs. The semantics are runc's.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>

#include "process/seccomp_priv.h"

/* x32 shares x86-64's AUDIT_ARCH and sets this bit in the number. */
#define X32_BIT 0x40000000u

enum { NO_LIMIT = -1 }; /* no number is above it, unsigned */

bool seccomp_wants_stub(const struct oci_seccomp *seccomp, uint32_t default_action)
{
	/* A tracer is taken to answer for system calls that it does not know. */
	switch (default_action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
		return false;
	default:
		return !seccomp->default_errno_ret.set ||
		       seccomp->default_errno_ret.value != ENOSYS;
	}
}

static bool lists(const struct oci_seccomp *seccomp, const char *architecture)
{
	for (size_t i = 0; i < seccomp->architectures.count; i++)
		if (!strcmp(seccomp->architectures.items[i], architecture))
			return true;
	return false;
}

/* The highest number that the profile names; NO_LIMIT when it names none. */
static uint32_t highest(const struct oci_seccomp *seccomp, uint32_t architecture)
{
	int most = NO_LIMIT;

	for (size_t i = 0; i < seccomp->rule_count; i++) {
		const struct oci_strings *names = &seccomp->rules[i].names;

		for (size_t j = 0; j < names->count; j++) {
			const int number = seccomp_syscall_resolve_name_arch(architecture,
									     names->items[j]);

			/* Negative: not a system call of this architecture. */
			if (number > most)
				most = number;
		}
	}
	return (uint32_t)most;
}

static uint32_t limit_of(const struct oci_seccomp *seccomp, const char *name,
			 uint32_t architecture)
{
	return lists(seccomp, name) ? highest(seccomp, architecture) : (uint32_t)NO_LIMIT;
}

void seccomp_stub(const struct oci_seccomp *seccomp,
		  struct sock_filter ret_stub[SECCOMP_STUB_INSTRUCTIONS])
{
	/* libseccomp puts the native architecture into every filter, listed or not. */
	const uint32_t x86_64 = highest(seccomp, SCMP_ARCH_X86_64);
	const uint32_t x32 = limit_of(seccomp, "SCMP_ARCH_X32", SCMP_ARCH_X32);
	const uint32_t x86 = limit_of(seccomp, "SCMP_ARCH_X86", SCMP_ARCH_X86);
	const struct sock_filter stub[SECCOMP_STUB_INSTRUCTIONS] = {
		/* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		/* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
		/* 2 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		/* 3 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 1, 0),
		/* 4 */ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x86_64, 4, 5),
		/* 5 */ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x32, 3, 4),
		/* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 3),
		/* 7 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		/* 8 */ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, x86, 0, 1),
		/* 9 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	memcpy(ret_stub, stub, sizeof(stub));
}
