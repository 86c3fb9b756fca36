/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules as an eBPF program, for cgroup v2.
 *
 * The rules are laid out backwards, since the last that matches counts. r3 holds the kinds of
 * access that no rule has decided yet: a rule that denies one of them ends in refusal, one that
 * allows takes its own out, and none left is permission. What stands before a rule for everything
 * can never be reached and is not emitted.
 *
 * The kernel's verifier walks every path, and is most of what a program costs: one test after the
 * other for each of a container's usual devices took twice as long as making its cgroup. So
 * neighbours that allow everything on one device each, which is nearly all rules, are computed
 * without a branch. A difference is 0 for a match only, so (difference - 1) >> 63 is 1 for a match
 * only; r0 gathers these, and one jump looks at it.
 *
 * The program is attached with BPF_F_ALLOW_MULTI, beside those of others (systemd's), all of which
 * must agree; ours is known by its name when it is to be replaced.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"

#define PROGRAM_NAME "run0_devices"

enum {
	PROLOGUE = 6,
	MOST_PER_RULE = 16,
	MASK_BITS = 32, /* minor numbers below this are looked up in a mask */
	EPILOGUE = 4,
	ATTACHED_PROGRAMS = 64, /* the kernel's own limit (BPF_CGROUP_MAX_PROGS) */
};

/* What the context is loaded into. */
enum {
	TYPE = BPF_REG_2,
	UNDECIDED = BPF_REG_3,
	MAJOR = BPF_REG_4,
	MINOR = BPF_REG_5,
	SCRATCH = BPF_REG_1, /* the context's own, free once it is read */
	FOUND = BPF_REG_0,
	NUMBER = BPF_REG_6,
	OTHER_TYPE = BPF_REG_7, /* 0 where the type is the one in question */
};

/* Jumps whose targets are not known yet. No program is long enough for these distances. */
enum { TO_ALLOW = 0x7fff, TO_NEXT = 0x7ffe };

struct assembler {
	struct bpf_insn *at;
};

static void emit(struct assembler *assembler, uint8_t code, uint8_t to, uint8_t from, int16_t jump,
		 int32_t immediate)
{
	*assembler->at++ = (struct bpf_insn){.code = code,
					     .dst_reg = to & 0xf,
					     .src_reg = from & 0xf,
					     .off = jump,
					     .imm = immediate};
}

static void emit_load(struct assembler *assembler, uint8_t to, size_t at)
{
	emit(assembler, BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_1, (int16_t)at, 0);
}

static void emit_return(struct assembler *assembler, int32_t verdict)
{
	emit(assembler, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict);
	emit(assembler, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* 32 bits wide, since a major or minor number of 64 would be a negative immediate. */
static void emit_jump(struct assembler *assembler, uint8_t operation, uint8_t what, uint32_t value,
		      int16_t target)
{
	emit(assembler, BPF_JMP32 | operation | BPF_K, what, 0, target, (int32_t)value);
}

/* With a constant, 32 bits wide: the upper half becomes 0. */
static void emit_constant(struct assembler *assembler, uint8_t operation, uint8_t to,
			  uint32_t value)
{
	emit(assembler, BPF_ALU | operation | BPF_K, to, 0, 0, (int32_t)value);
}

static void emit_register(struct assembler *assembler, uint8_t width, uint8_t operation,
			  uint8_t to, uint8_t from)
{
	emit(assembler, width | operation | BPF_X, to, from, 0, 0);
}

/* The jumps to `target` since `from` lead here. */
static void resolve(const struct assembler *assembler, struct bpf_insn *from, int16_t target)
{
	for (struct bpf_insn *jump = from; jump < assembler->at; jump++) {
		uint8_t class = BPF_CLASS(jump->code);

		if ((class == BPF_JMP || class == BPF_JMP32) && jump->off == target)
			jump->off = (int16_t)(assembler->at - jump - 1);
	}
}

/* access_type is the kind of access above the type of device. */
static void emit_prologue(struct assembler *assembler)
{
	emit_load(assembler, TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_load(assembler, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	emit_load(assembler, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	emit_register(assembler, BPF_ALU, BPF_MOV, UNDECIDED, TYPE);
	emit_constant(assembler, BPF_RSH, UNDECIDED, 16);
	emit_constant(assembler, BPF_AND, TYPE, 0xffff);
}

static int32_t rule_access(const struct oci_device_rule *rule)
{
	return (rule->mknod ? BPF_DEVCG_ACC_MKNOD : 0) | (rule->read ? BPF_DEVCG_ACC_READ : 0) |
	       (rule->write ? BPF_DEVCG_ACC_WRITE : 0);
}

enum { ACCESS_ALL = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE };

static uint32_t type_number(const struct oci_device_rule *rule)
{
	return rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
}

/* One rule for itself. Falls through when it does not match, or decides nothing. */
static void emit_rule(struct assembler *assembler, const struct oci_device_rule *rule)
{
	struct bpf_insn *from = assembler->at;
	int32_t access = rule_access(rule);

	if (rule->type != 'a')
		emit_jump(assembler, BPF_JNE, TYPE, type_number(rule), TO_NEXT);
	if (rule->major.set)
		emit_jump(assembler, BPF_JNE, MAJOR, (uint32_t)rule->major.value, TO_NEXT);
	if (rule->minor.set)
		emit_jump(assembler, BPF_JNE, MINOR, (uint32_t)rule->minor.value, TO_NEXT);
	if (rule->allow) {
		emit_constant(assembler, BPF_AND, UNDECIDED, (uint32_t)(~access & ACCESS_ALL));
		emit_jump(assembler, BPF_JEQ, UNDECIDED, 0, TO_ALLOW);
	} else {
		emit_register(assembler, BPF_ALU, BPF_MOV, SCRATCH, UNDECIDED);
		emit_constant(assembler, BPF_AND, SCRATCH, (uint32_t)access);
		emit_jump(assembler, BPF_JEQ, SCRATCH, 0, TO_NEXT);
		emit_return(assembler, 0);
	}
	resolve(assembler, from, TO_NEXT);
}

/* --- rules that allow all of one device, or of one major number ---------------------------- */

static bool is_leaf(const struct oci_device_rule *rule)
{
	return rule->allow && rule->type != 'a' && rule->major.set &&
	       rule_access(rule) == ACCESS_ALL;
}

static bool same_major(const struct oci_device_rule *a, const struct oci_device_rule *b)
{
	return a->type == b->type && a->major.value == b->major.value;
}

static int compare_leaves(const void *a, const void *b)
{
	const struct oci_device_rule *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return (x->major.value > y->major.value) - (x->major.value < y->major.value);
}

/* SCRATCH becomes the difference to the type and major number in question. */
static void emit_difference(struct assembler *assembler, uint32_t major)
{
	emit_register(assembler, BPF_ALU, BPF_MOV, SCRATCH, MAJOR);
	emit_constant(assembler, BPF_XOR, SCRATCH, major);
	emit_register(assembler, BPF_ALU64, BPF_OR, SCRATCH, OTHER_TYPE);
}

/* SCRATCH, a difference, becomes 1 if it is 0, and else 0. */
static void emit_is_zero(struct assembler *assembler)
{
	emit(assembler, BPF_ALU64 | BPF_SUB | BPF_K, SCRATCH, 0, 0, 1);
	emit(assembler, BPF_ALU64 | BPF_RSH | BPF_K, SCRATCH, 0, 0, 63);
}

static void emit_one_minor(struct assembler *assembler, uint32_t major, uint32_t minor)
{
	emit_difference(assembler, major);
	emit_register(assembler, BPF_ALU, BPF_MOV, NUMBER, MINOR);
	emit_constant(assembler, BPF_XOR, NUMBER, minor);
	emit_register(assembler, BPF_ALU64, BPF_OR, SCRATCH, NUMBER);
	emit_is_zero(assembler);
	emit_register(assembler, BPF_ALU64, BPF_OR, FOUND, SCRATCH);
}

/* A shift of 32 bits takes its distance modulo 32. */
static void emit_minors(struct assembler *assembler, uint32_t major, uint32_t mask)
{
	emit_difference(assembler, major);
	emit_register(assembler, BPF_ALU, BPF_MOV, NUMBER, MINOR);
	emit_constant(assembler, BPF_RSH, NUMBER, 5);
	emit_register(assembler, BPF_ALU64, BPF_OR, SCRATCH, NUMBER);
	emit_is_zero(assembler);
	emit_constant(assembler, BPF_MOV, NUMBER, mask);
	emit_register(assembler, BPF_ALU, BPF_RSH, NUMBER, MINOR);
	emit_register(assembler, BPF_ALU64, BPF_AND, SCRATCH, NUMBER);
	emit_register(assembler, BPF_ALU64, BPF_OR, FOUND, SCRATCH);
}

static void emit_any_minor(struct assembler *assembler, uint32_t major)
{
	emit_difference(assembler, major);
	emit_is_zero(assembler);
	emit_register(assembler, BPF_ALU64, BPF_OR, FOUND, SCRATCH);
}

/* The leaves of one major number, which come first; how many they are. */
static size_t emit_major(struct assembler *assembler, const struct oci_device_rule *leaves,
			 size_t count)
{
	uint32_t major = (uint32_t)leaves[0].major.value;
	uint32_t mask = 0;
	bool any = false;
	size_t same;

	for (same = 0; same < count && same_major(&leaves[same], &leaves[0]); same++) {
		any |= !leaves[same].minor.set;
		if (leaves[same].minor.value < MASK_BITS)
			mask |= 1u << leaves[same].minor.value;
	}
	if (any) {
		emit_any_minor(assembler, major);
		return same;
	}
	if (mask)
		emit_minors(assembler, major, mask);
	for (size_t i = 0; i < same; i++)
		if (leaves[i].minor.value >= MASK_BITS)
			emit_one_minor(assembler, major, (uint32_t)leaves[i].minor.value);
	return same;
}

static void emit_leaves(struct assembler *assembler, struct oci_device_rule *leaves, size_t count)
{
	if (count == 0)
		return;
	qsort(leaves, count, sizeof(*leaves), compare_leaves);
	emit_constant(assembler, BPF_MOV, FOUND, 0);
	for (size_t i = 0; i < count;) {
		if (i == 0 || leaves[i].type != leaves[i - 1].type) {
			emit_register(assembler, BPF_ALU, BPF_MOV, OTHER_TYPE, TYPE);
			emit_constant(assembler, BPF_XOR, OTHER_TYPE, type_number(&leaves[i]));
		}
		i += emit_major(assembler, &leaves[i], count - i);
	}
	emit_jump(assembler, BPF_JNE, FOUND, 0, TO_ALLOW);
}

/* --- the program --------------------------------------------------------------------------- */

static bool is_final(const struct oci_device_rule *rule)
{
	return rule->type == 'a' && !rule->major.set && !rule->minor.set &&
	       rule_access(rule) == ACCESS_ALL;
}

/* `leaves` is room for all rules. Returns what is to be done with an access that none decides. */
static bool emit_rules(struct assembler *assembler, const struct oci_device_rule *rules,
		       size_t count, struct oci_device_rule *leaves)
{
	size_t leaf_count = 0;
	bool allow = false;

	for (size_t i = count; i-- > 0;) {
		const struct oci_device_rule *rule = &rules[i];

		if (is_leaf(rule)) {
			leaves[leaf_count++] = *rule;
			continue;
		}
		if (rule_access(rule) == 0)
			continue;
		emit_leaves(assembler, leaves, leaf_count);
		leaf_count = 0;
		if (is_final(rule)) {
			allow = rule->allow;
			break;
		}
		emit_rule(assembler, rule);
	}
	emit_leaves(assembler, leaves, leaf_count);
	return allow;
}

int cgroup_bpf_program(const struct oci_device_rule *rules, size_t count,
		       struct bpf_insn **ret_program, size_t *ret_count)
{
	size_t most = PROLOGUE + EPILOGUE + count * MOST_PER_RULE;
	cleanup_free struct oci_device_rule *leaves = calloc(count + 1, sizeof(*leaves));
	cleanup_free struct bpf_insn *program = calloc(most, sizeof(*program));
	struct assembler assembler = {.at = program};
	bool allow;

	if (!program || !leaves)
		return -ENOMEM;
	emit_prologue(&assembler);
	allow = emit_rules(&assembler, rules, count, leaves);
	emit_return(&assembler, allow);
	resolve(&assembler, program, TO_ALLOW);
	emit_return(&assembler, 1);
	*ret_count = (size_t)(assembler.at - program);
	*ret_program = TAKE_PTR(program);
	return 0;
}

/* --- the kernel ---------------------------------------------------------------------------- */

static int bpf(enum bpf_cmd command, union bpf_attr *attr, size_t bytes)
{
	int r = (int)syscall(SYS_bpf, command, attr, bytes);

	return r < 0 ? -errno : r;
}

/* Descriptors of bpf(2) are close-on-exec from birth. EAGAIN: the verifier was interrupted. */
static int load(const struct bpf_insn *program, size_t count)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)program,
		.insn_cnt = (uint32_t)count,
		.license = (uintptr_t)"Apache-2.0",
		.prog_name = PROGRAM_NAME,
	};
	int fd = -EAGAIN;

	for (int i = 0; i < 5 && fd == -EAGAIN; i++)
		fd = bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd;
}

static bool is_ours(int program_fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)program_fd,
					.info_len = sizeof(info),
					.info = (uintptr_t)&info}};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0 &&
	       strncmp(info.name, PROGRAM_NAME, sizeof(info.name)) == 0;
}

/* The program of ours that is attached, as a descriptor; -1 for none. */
static int attached(int dir)
{
	uint32_t ids[ATTACHED_PROGRAMS];
	union bpf_attr query = {.query = {.target_fd = (uint32_t)dir,
					  .attach_type = BPF_CGROUP_DEVICE,
					  .prog_ids = (uintptr_t)ids,
					  .prog_cnt = ATTACHED_PROGRAMS}};

	if (bpf(BPF_PROG_QUERY, &query, sizeof(query)) < 0)
		return -1;
	for (uint32_t i = 0; i < query.query.prog_cnt && i < ATTACHED_PROGRAMS; i++) {
		union bpf_attr by_id = {.prog_id = ids[i]};
		int fd = bpf(BPF_PROG_GET_FD_BY_ID, &by_id, sizeof(by_id));

		if (fd >= 0 && is_ours(fd))
			return fd;
		(void)fd_close(fd);
	}
	return -1;
}

int cgroup_bpf_attach(int dir, const struct bpf_insn *program, size_t count, bool replace)
{
	cleanup_fd int fd = load(program, count);
	cleanup_fd int old = -1;
	union bpf_attr attr = {.target_fd = (uint32_t)dir,
			       .attach_bpf_fd = (uint32_t)fd,
			       .attach_type = BPF_CGROUP_DEVICE,
			       .attach_flags = BPF_F_ALLOW_MULTI};

	if (fd < 0)
		return fd;
	if (replace)
		old = attached(dir);
	if (old >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old;
	}
	return bpf(BPF_PROG_ATTACH, &attr, sizeof(attr));
}
