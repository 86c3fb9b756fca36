/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the configuration to a BPF program, by libseccomp.
 *
 * libseccomp 2.5 exports only to a descriptor, so the program passes through a memfd. Semantics
 * that the specification leaves open are runc's: rules that repeat the default action are left out,
 * as are system calls that libseccomp does not know; several conditions on one argument are
 * alternatives, while conditions on different arguments must all hold.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "process/seccomp_priv.h"

enum {
	ARGUMENTS = 6,	  /* of a system call */
	MEMBER_BYTES = 64, /* "linux.seccomp.syscalls[…].args[…]" */
	MOST_CONDITIONS = 64,
	/* From here on a binary tree is faster than a list. libseccomp 2.5.4 makes a wrong one of
	 * an empty list. */
	TREE_RULES = 32,
};

static void cleanup_context_p(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}
#define cleanup_context __attribute__((cleanup(cleanup_context_p)))

static int add_architectures(scmp_filter_ctx context, const struct oci_seccomp *seccomp,
			     struct err *err)
{
	for (size_t i = 0; i < seccomp->architectures.count; i++) {
		const char *name = seccomp->architectures.items[i];
		uint32_t architecture;
		int r;

		if (!seccomp_architecture_code(name, &architecture))
			return err_set(err, -EINVAL,
				       "linux.seccomp.architectures[%zu]: unknown: '%s'", i, name);
		r = seccomp_arch_add(context, architecture);
		if (r < 0 && r != -EEXIST)
			return err_set(err, r, "linux.seccomp.architectures[%zu]: %s: %s", i, name,
				       r == -EDOM ? "its byte order is not this machine's" :
						    strerror(-r));
	}
	return 0;
}

/* Returns whether two conditions are on the same argument. */
static bool repeats_argument(const struct scmp_arg_cmp *conditions, size_t count)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < count; i++) {
		if (seen & 1u << conditions[i].arg)
			return true;
		seen |= 1u << conditions[i].arg;
	}
	return false;
}

static int read_condition(const struct oci_seccomp_arg *arg, const char *member, size_t index,
			  struct scmp_arg_cmp *ret_condition, struct err *err)
{
	uint32_t op;

	if (arg->index >= ARGUMENTS)
		return err_set(err, -EINVAL, "%s.args[%zu].index: not below %d", member, index,
			       ARGUMENTS);
	if (!seccomp_operator_code(arg->op, &op))
		return err_set(err, -EINVAL, "%s.args[%zu].op: unknown: '%s'", member, index,
			       arg->op);
	/* For a masked comparison `value` is the mask, which libseccomp wants first, too. */
	*ret_condition = (struct scmp_arg_cmp){
		.arg = arg->index,
		.op = (enum scmp_compare)op,
		.datum_a = arg->value,
		.datum_b = arg->value_two,
	};
	return 0;
}

static int read_conditions(const struct oci_seccomp_rule *rule, const char *member,
			   struct scmp_arg_cmp conditions[MOST_CONDITIONS], struct err *err)
{
	if (rule->arg_count > MOST_CONDITIONS)
		return err_set(err, -EINVAL, "%s.args: more than %d", member, MOST_CONDITIONS);
	for (size_t i = 0; i < rule->arg_count; i++) {
		const int r = read_condition(&rule->args[i], member, i, &conditions[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_call(scmp_filter_ctx context, uint32_t action, int number,
		    const struct scmp_arg_cmp *conditions, size_t count)
{
	int r = 0;

	if (!repeats_argument(conditions, count))
		return seccomp_rule_add_array(context, action, number, (unsigned int)count,
					      conditions);
	for (size_t i = 0; i < count && r == 0; i++)
		r = seccomp_rule_add_array(context, action, number, 1, &conditions[i]);
	return r;
}

static int add_rule(scmp_filter_ctx context, const struct oci_seccomp_rule *rule,
		    uint32_t default_action, const char *member, struct err *err)
{
	struct scmp_arg_cmp conditions[MOST_CONDITIONS];
	uint32_t action;
	int r = seccomp_action_resolve(rule->action, &rule->errno_ret, member, &action, err);

	if (r == 0)
		r = read_conditions(rule, member, conditions, err);
	if (r < 0 || action == default_action)
		return r;
	for (size_t i = 0; i < rule->names.count; i++) {
		const int number = seccomp_syscall_resolve_name(rule->names.items[i]);

		if (number == __NR_SCMP_ERROR)
			continue;
		r = add_call(context, action, number, conditions, rule->arg_count);
		if (r < 0)
			return err_set(err, r, "%s: cannot add '%s': %s", member,
				       rule->names.items[i], strerror(-r));
	}
	return 0;
}

static int add_rules(scmp_filter_ctx context, const struct oci_seccomp *seccomp,
		     uint32_t default_action, struct err *err)
{
	char member[MEMBER_BYTES];
	size_t calls = 0;
	int r = 0;

	for (size_t i = 0; i < seccomp->rule_count; i++)
		calls += seccomp->rules[i].names.count;
	if (calls > TREE_RULES)
		(void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < seccomp->rule_count && r == 0; i++) {
		(void)snprintf(member, sizeof(member), "linux.seccomp.syscalls[%zu]", i);
		r = add_rule(context, &seccomp->rules[i], default_action, member, err);
	}
	return r;
}

/* Room for the stub is left in front. */
static int read_program(int fd, size_t stub, struct bpf_program *ret_program)
{
	struct sock_filter *instructions;
	struct stat st;
	size_t count;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	count = (size_t)st.st_size / sizeof(*instructions);
	if (count == 0 || count + stub > BPF_MAXINSNS)
		return -E2BIG;
	instructions = calloc(count + stub, sizeof(*instructions));
	if (!instructions)
		return -ENOMEM;
	r = file_pread_all(fd, instructions + stub, count * sizeof(*instructions), 0);
	if (r < 0) {
		free(instructions);
		return r;
	}
	*ret_program = (struct bpf_program){ .instructions = instructions, .count = count + stub };
	return 0;
}

static int export_program(scmp_filter_ctx context, size_t stub, struct bpf_program *ret_program,
			  struct err *err)
{
	cleanup_fd int fd = memfd_create("seccomp", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "linux.seccomp: memfd_create: %s", strerror(errno));
	r = seccomp_export_bpf(context, fd);
	if (r < 0)
		return err_set(err, r, "linux.seccomp: cannot compile: %s", strerror(-r));
	r = read_program(fd, stub, ret_program);
	if (r == -E2BIG)
		return err_set(err, -EINVAL,
			       "linux.seccomp: compiled it has more than %d instructions",
			       BPF_MAXINSNS);
	return r < 0 ? err_set(err, r, "linux.seccomp: %s", strerror(-r)) : 0;
}

int seccomp_compile(const struct oci_seccomp *seccomp, struct bpf_program *ret_program,
		    struct err *err)
{
	cleanup_context scmp_filter_ctx context = NULL;
	uint32_t action;
	size_t stub;
	int r = seccomp_action_resolve(seccomp->default_action, &seccomp->default_errno_ret,
				       "linux.seccomp.defaultAction", &action, err);

	if (r < 0)
		return r;
	stub = seccomp_wants_stub(seccomp, action) ? SECCOMP_STUB_INSTRUCTIONS : 0;
	context = seccomp_init(action);
	if (!context)
		return err_set(err, -EINVAL,
			       "linux.seccomp.defaultAction: this kernel does not have %s",
			       seccomp->default_action);
	r = add_architectures(context, seccomp, err);
	if (r == 0)
		r = add_rules(context, seccomp, action, err);
	if (r == 0)
		r = export_program(context, stub, ret_program, err);
	if (r == 0 && stub)
		seccomp_stub(seccomp, ret_program->instructions);
	return r;
}
