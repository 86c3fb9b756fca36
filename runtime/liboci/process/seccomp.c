/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters: the names that a config uses, flags, and loading.
 */
#include "process/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/seccomp_priv.h"

struct seccomp_filter {
	struct bpf_program program;
	unsigned int flags; /* SECCOMP_FILTER_FLAG_* */
};

enum { MOST_ERRNO = SECCOMP_RET_DATA }; /* the kernel cuts what is above 4095 */

/* Each table has its names twice: for `features`, as a list. */
static const char *const action_names[] = {
	"SCMP_ACT_ALLOW",	 "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",   "SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",	   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
	"SCMP_ACT_TRAP",	 NULL,
};
static const uint32_t action_codes[] = {
	SCMP_ACT_ALLOW,	      SCMP_ACT_ERRNO(0), SCMP_ACT_KILL,	  SCMP_ACT_KILL_PROCESS,
	SCMP_ACT_KILL_THREAD, SCMP_ACT_LOG,	 SCMP_ACT_NOTIFY, SCMP_ACT_TRACE(0),
	SCMP_ACT_TRAP,
};

static const char *const operator_names[] = {
	"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
	"SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL,
};
static const uint32_t operator_codes[] = {
	SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_LE,
	SCMP_CMP_LT, SCMP_CMP_MASKED_EQ, SCMP_CMP_NE,
};

static const char *const architecture_names[] = {
	"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",	    "SCMP_ARCH_MIPS",	"SCMP_ARCH_MIPS64",
	"SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64",  "SCMP_ARCH_PPC",	"SCMP_ARCH_PPC64",
	"SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64",   "SCMP_ARCH_S390",	"SCMP_ARCH_S390X",
	"SCMP_ARCH_X32",     "SCMP_ARCH_X86",	    "SCMP_ARCH_X86_64", NULL,
};
static const uint32_t architecture_codes[] = {
	SCMP_ARCH_AARCH64, SCMP_ARCH_ARM,	SCMP_ARCH_MIPS,	    SCMP_ARCH_MIPS64,
	SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPSEL,	SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32,
	SCMP_ARCH_PARISC,  SCMP_ARCH_PARISC64,	SCMP_ARCH_PPC,	    SCMP_ARCH_PPC64,
	SCMP_ARCH_PPC64LE, SCMP_ARCH_RISCV64,	SCMP_ARCH_S390,	    SCMP_ARCH_S390X,
	SCMP_ARCH_X32,	   SCMP_ARCH_X86,	SCMP_ARCH_X86_64,
};

static const char *const flag_names[] = {
	"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL,
};
/* TSYNC is for a process with several threads; a container's has one, in which the filter is. With
 * a listener the kernel refuses it besides. */
static const uint32_t flag_codes[] = {
	SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0,
	SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

_Static_assert(ARRAY_SIZE(action_names) == ARRAY_SIZE(action_codes) + 1, "a code for each name");
_Static_assert(ARRAY_SIZE(operator_names) == ARRAY_SIZE(operator_codes) + 1,
	       "a code for each name");
_Static_assert(ARRAY_SIZE(architecture_names) == ARRAY_SIZE(architecture_codes) + 1,
	       "a code for each name");
_Static_assert(ARRAY_SIZE(flag_names) == ARRAY_SIZE(flag_codes) + 1, "a code for each name");

/* --- names ----------------------------------------------------------------------------------- */

static bool code_of(const char *const *names, const uint32_t *codes, const char *name,
		    uint32_t *ret_code)
{
	for (size_t i = 0; name && names[i]; i++) {
		if (!strcmp(names[i], name)) {
			*ret_code = codes[i];
			return true;
		}
	}
	return false;
}

bool seccomp_operator_code(const char *name, uint32_t *ret_code)
{
	return code_of(operator_names, operator_codes, name, ret_code);
}

bool seccomp_architecture_code(const char *name, uint32_t *ret_code)
{
	return code_of(architecture_names, architecture_codes, name, ret_code);
}

int seccomp_action_resolve(const char *name, const struct oci_number *errno_ret, const char *member,
			   uint32_t *ret_action, struct err *err)
{
	const int64_t number = errno_ret->set ? errno_ret->value : EPERM;
	uint32_t action;

	if (!code_of(action_names, action_codes, name, &action))
		return err_set(err, -EINVAL, "%s: unknown action '%s'", member, name ? name : "");
	if (action == SCMP_ACT_ERRNO(0) || action == SCMP_ACT_TRACE(0)) {
		if (number < 0 || number > MOST_ERRNO)
			return err_set(err, -EINVAL, "%s: no error number: %lld", member,
				       (long long)number);
		action |= (uint32_t)number;
	} else if (errno_ret->set) {
		return err_set(err, -EINVAL, "%s: %s returns no error number", member, name);
	}
	*ret_action = action;
	return 0;
}

const char *const *seccomp_actions(void)
{
	return action_names;
}

const char *const *seccomp_operators(void)
{
	return operator_names;
}

const char *const *seccomp_architectures(void)
{
	return architecture_names;
}

const char *const *seccomp_flags(void)
{
	return flag_names;
}

/* --- the filter ------------------------------------------------------------------------------ */

struct bpf_program bpf_program_done(struct bpf_program *program)
{
	free(program->instructions);
	return (struct bpf_program){ 0 };
}

static bool notifies(const struct oci_seccomp *seccomp)
{
	for (size_t i = 0; i < seccomp->rule_count; i++) {
		const char *action = seccomp->rules[i].action;

		if (action && !strcmp(action, "SCMP_ACT_NOTIFY"))
			return true;
	}
	return false;
}

static int check_listener(const struct oci_seccomp *seccomp, struct err *err)
{
	if (seccomp->default_action && !strcmp(seccomp->default_action, "SCMP_ACT_NOTIFY"))
		return err_set(err, -EINVAL,
			       "linux.seccomp.defaultAction: it cannot be SCMP_ACT_NOTIFY");
	if (notifies(seccomp) && !(seccomp->listener_path && seccomp->listener_path[0]))
		return err_set(err, -EINVAL,
			       "linux.seccomp.listenerPath: missing, and SCMP_ACT_NOTIFY needs it");
	return 0;
}

static int read_flags(const struct oci_seccomp *seccomp, unsigned int *ret_flags, struct err *err)
{
	unsigned int flags = 0;
	uint32_t flag;

	for (size_t i = 0; i < seccomp->flags.count; i++) {
		if (!code_of(flag_names, flag_codes, seccomp->flags.items[i], &flag))
			return err_set(err, -EINVAL, "linux.seccomp.flags[%zu]: unknown: '%s'", i,
				       seccomp->flags.items[i]);
		flags |= flag;
	}
	/* How a notification is waited for says nothing where there are none, and the kernel
	 * refuses it there. */
	if (notifies(seccomp))
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		flags &= ~(unsigned int)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	*ret_flags = flags;
	return 0;
}

static int obtain_program(const struct oci_seccomp *seccomp, const char *cache_dir,
			  struct bpf_program *ret_program, struct err *err)
{
	int r;

	if (cache_dir && seccomp_cache_load(cache_dir, seccomp, ret_program))
		return 0;
	r = seccomp_compile(seccomp, ret_program, err);
	if (r == 0 && cache_dir)
		seccomp_cache_store(cache_dir, seccomp, ret_program);
	return r;
}

int seccomp_filter_new(struct seccomp_filter **ret_filter, const struct oci_seccomp *seccomp,
		       const char *cache_dir, struct err *err)
{
	struct seccomp_filter *filter;
	unsigned int flags = 0;
	int r = check_listener(seccomp, err);

	if (r == 0)
		r = read_flags(seccomp, &flags, err);
	if (r < 0)
		return r;
	filter = malloc(sizeof(*filter));
	if (!filter)
		return err_set(err, -ENOMEM, "out of memory");
	*filter = (struct seccomp_filter){ .flags = flags };
	r = obtain_program(seccomp, cache_dir, &filter->program, err);
	if (r < 0) {
		(void)seccomp_filter_free(filter);
		return r;
	}
	*ret_filter = filter;
	return 0;
}

struct seccomp_filter *seccomp_filter_free(struct seccomp_filter *filter)
{
	if (filter)
		(void)bpf_program_done(&filter->program);
	free(filter);
	return NULL;
}

int seccomp_filter_load(const struct seccomp_filter *filter, int *ret_listener, struct err *err)
{
	const struct sock_fprog program = {
		.len = (unsigned short)filter->program.count,
		.filter = filter->program.instructions,
	};
	const long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program);

	if (r < 0)
		return err_set(err, -errno, "linux.seccomp: cannot load the filter: %s",
			       strerror(errno));
	*ret_listener = filter->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? (int)r : -1;
	return 0;
}
