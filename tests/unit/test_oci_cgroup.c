/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups without a kernel: conversions, names, device rules as a program and as lines.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

static void test_conversions(void **state)
{
	static const struct {
		int64_t swap, limit, expected;
		int r;
	} swaps[] = {
		{-1, 100, -1, 0}, {-1, -1, -1, 0}, {-1, 0, -1, 0},	{150, 100, 50, 0},
		{100, 100, 0, 0}, {99, 100, 0, -EINVAL}, {100, -1, 0, -EINVAL},
		{100, 0, 0, -EINVAL}, {-2, 100, 0, -EINVAL}, {INT64_MAX, 1, INT64_MAX - 1, 0},
	};

	(void)state;
	assert_int_equal(cgroup_weight_from_shares(0), 1);
	assert_int_equal(cgroup_weight_from_shares(2), 1);
	assert_int_equal(cgroup_weight_from_shares(1024), 39);
	assert_int_equal(cgroup_weight_from_shares(262144), 10000);
	assert_int_equal(cgroup_weight_from_shares(UINT64_MAX), 10000);
	assert_int_equal(cgroup_io_weight(10), 1);
	assert_int_equal(cgroup_io_weight(500), 4950);
	assert_int_equal(cgroup_io_weight(1000), 10000);
	for (size_t i = 0; i < ARRAY_SIZE(swaps); i++) {
		int64_t swap = 0;

		assert_int_equal(cgroup_swap_without_memory(swaps[i].swap, swaps[i].limit, &swap),
				 swaps[i].r);
		assert_int_equal(swap, swaps[i].expected);
	}
}

static void test_unified_names(void **state)
{
	static const char *const good[] = {"memory.high", "io.max", "hugetlb.2MB.max",
					   "cgroup.max.depth"};
	static const char *const bad[] = {
		"", ".", "..", ".x", "memory", "../memory.max", "a/memory.max", "memory.max/..",
		"memory.max\n", "memory .max", "cgroup.procs", "cgroup.threads", "cgroup.kill",
		"cgroup.freeze", "cgroup.type", "m.\033[2J",
		"memory.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(cgroup_unified_name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cgroup_unified_name_is_valid(bad[i]));
}

static void test_paths(void **state)
{
	static const struct {
		const char *from, *id, *path; /* NULL: refused */
	} paths[] = {
		{NULL, "web", "/run0/web"},	  {"", "web", "/run0/web"},
		{"/docker/web", "x", "/docker/web"}, {"docker/web", "x", "/docker/web"},
		{"//a/./b//", "x", "/a/b"},	  {"a..b/..c", "x", "/a..b/..c"},
		{"/", "x", NULL},		  {"./.", "x", NULL},
		{"../x", "x", NULL},		  {"/a/../../x", "x", NULL},
		{"/a/..", "x", NULL},		  {"/a\nb", "x", NULL},
		{"/a\x7f", "x", NULL},		  {NULL, "..", NULL},
		{NULL, "a/b", NULL},		  {"/système", "x", "/système"},
	};
	char name[300], longer[3000];
	char *path;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct err err = {0};
		int r = cgroup_path_make(&path, paths[i].from, paths[i].id, &err);

		assert_int_equal(r, paths[i].path ? 0 : -EINVAL);
		if (r < 0)
			continue;
		assert_string_equal(path, paths[i].path);
		assert_true(cgroup_path_is_clean(path));
		free(path);
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(cgroup_path_make(&path, name, "x", NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(longer) - 1; i++)
		longer[i] = i % 2 ? 'a' : '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(cgroup_path_make(&path, longer, "x", NULL), -EINVAL);
}

/* The state file may hold anything. */
static void test_descriptions(void **state)
{
	static const char *const bad[] = {
		"", "cgroupfs", "cgroupfs full", "cgroupfs full ", "cgroupfs full /", "v3 full /a",
		"cgroupfs full a", "cgroupfs full /a/../b", "cgroupfs full //a",
		"cgroupfs full /a/", "cgroupfs full /a\n/b", "cgroupfs rooted /a",
		"systemd full", "systemd full a.slice", "systemd full /etc a.scope",
		"systemd full a.slice ../a.scope", "systemd full a.slice b.service",
		"systemd full -a.slice b.scope", "systemd full a--b.slice b.scope"};
	static const char *const good[] = {"cgroupfs full /run0-none/a", "cgroupfs rootless /a b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		struct cgroup *cgroup = NULL;

		assert_int_equal(cgroup_open(&cgroup, bad[i], &err), -EINVAL);
		assert_true(*err.message);
		assert_null(cgroup);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct cgroup *cgroup = NULL;
		char *text;

		assert_int_equal(cgroup_open(&cgroup, good[i], NULL), 0);
		text = cgroup_describe(cgroup);
		assert_string_equal(text, good[i]);
		free(text);
		assert_null(cgroup_free(cgroup));
	}
}

static void test_scopes(void **state)
{
	static const struct {
		const char *from, *slice, *unit, *path; /* slice NULL: refused */
	} names[] = {
		{NULL, "system.slice", "run0-id.scope", "/system.slice/run0-id.scope"},
		{"a-b.slice:docker:0f", "a-b.slice", "docker-0f.scope",
		 "/a.slice/a-b.slice/docker-0f.scope"},
		{":docker:0f", "system.slice", "docker-0f.scope", "/system.slice/docker-0f.scope"},
		{"-.slice::0f", "-.slice", "0f.scope", "/0f.scope"},
		{"a.slice:0f", "a.slice", "0f.scope", "/a.slice/0f.scope"},
		{"a:b:c", NULL, NULL, NULL},
		{"../x.slice:b:c", NULL, NULL, NULL},
		{"a.slice:b:c/d", NULL, NULL, NULL},
		{"a.slice:b:c\n", NULL, NULL, NULL},
		{"/docker/web", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct cgroup_scope *scope = NULL;
		struct err err = {0};
		int r = cgroup_scope_new(&scope, names[i].from, "id", false, &err);
		char *path;

		assert_int_equal(r, names[i].slice ? 0 : -EINVAL);
		if (r < 0) {
			assert_non_null(strstr(err.message, "linux.cgroupsPath"));
			continue;
		}
		assert_string_equal(cgroup_scope_slice(scope), names[i].slice);
		assert_string_equal(cgroup_scope_unit(scope), names[i].unit);
		path = cgroup_scope_path(scope);
		assert_string_equal(path, names[i].path);
		free(path);
		assert_null(cgroup_scope_free(scope));
	}
}

static void test_asked(void **state)
{
	const struct oci_resources nothing = {.memory.limit = {true, 0}, .cpu.cpus = "",
					      .memory.disable_oom_killer = {true, false}};
	const struct oci_resources swap = {.memory.swap = {true, -1}};
	const struct oci_resources pids = {.pids_limit = {true, 0}};

	(void)state;
	assert_null(cgroup_resources_asked(NULL));
	assert_null(cgroup_resources_asked(&nothing));
	assert_string_equal(cgroup_resources_asked(&swap), "memory.swap");
	assert_string_equal(cgroup_resources_asked(&pids), "pids.limit");
}

static void test_text_find(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_true(cgroup_text_find("a 1\noom_kill 3\n", "oom_kill", &value));
	assert_int_equal(value, 3);
	assert_false(cgroup_text_find("oom_kills 3\n", "oom_kill", &value));
	assert_false(cgroup_text_find("", "x", &value));
	assert_false(cgroup_text_find("x", "x", &value));
	assert_false(cgroup_text_find("x -1", "x", &value));
	assert_true(cgroup_text_find("\n\nx 18446744073709551615", "x", &value));
	assert_true(value == UINT64_MAX);
}

/* --- device rules -------------------------------------------------------------------------- */

struct access {
	char type;
	uint32_t major, minor;
	unsigned int kinds; /* BPF_DEVCG_ACC_* */
};

/* What the header promises, in the plainest way: each kind of access by the last rule for it. */
static bool reference(const struct oci_device_rule *rules, size_t count,
		      const struct access *access)
{
	for (unsigned int kind = 1; kind <= 4; kind *= 2) {
		bool allowed = false;

		for (size_t i = 0; i < count; i++) {
			const struct oci_device_rule *rule = &rules[i];
			bool kinds[5] = {[BPF_DEVCG_ACC_MKNOD] = rule->mknod,
					 [BPF_DEVCG_ACC_READ] = rule->read,
					 [BPF_DEVCG_ACC_WRITE] = rule->write};

			if ((rule->type == 'a' || rule->type == access->type) && kinds[kind] &&
			    (!rule->major.set || rule->major.value == access->major) &&
			    (!rule->minor.set || rule->minor.value == access->minor))
				allowed = rule->allow;
		}
		if ((access->kinds & kind) && !allowed)
			return false;
	}
	return true;
}

/* The instructions that are used, and no others. */
static bool interpret(const struct bpf_insn *program, size_t count, const struct access *access)
{
	const struct bpf_cgroup_dev_ctx context = {
		.access_type = access->kinds << 16 |
			       (access->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
		.major = access->major, .minor = access->minor};
	uint64_t registers[11] = {0};
	size_t at = 0;

	for (int steps = 0; steps < 100000; steps++) {
		const struct bpf_insn *insn = &program[at++];
		uint64_t *to = &registers[insn->dst_reg];
		uint64_t from = registers[insn->src_reg];
		bool jump;

		assert_true(at <= count);
		switch (insn->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			*to = ((const uint32_t *)&context)[insn->off / 4];
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			*to = (uint32_t)from;
			break;
		case BPF_ALU | BPF_MOV | BPF_K:
			*to = (uint32_t)insn->imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*to = (uint64_t)(int64_t)insn->imm;
			break;
		case BPF_ALU | BPF_XOR | BPF_K:
			*to = (uint32_t)*to ^ (uint32_t)insn->imm;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			*to = (uint32_t)*to & (uint32_t)insn->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			*to = (uint32_t)*to >> insn->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_X:
			*to = (uint32_t)*to >> (from & 31);
			break;
		case BPF_ALU64 | BPF_SUB | BPF_K:
			*to -= (uint64_t)(int64_t)insn->imm;
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			*to >>= insn->imm;
			break;
		case BPF_ALU64 | BPF_OR | BPF_X:
			*to |= from;
			break;
		case BPF_ALU64 | BPF_AND | BPF_X:
			*to &= from;
			break;
		case BPF_JMP32 | BPF_JEQ | BPF_K:
		case BPF_JMP32 | BPF_JNE | BPF_K:
			jump = ((uint32_t)*to == (uint32_t)insn->imm) ==
			       (BPF_OP(insn->code) == BPF_JEQ);
			at += jump ? (size_t)insn->off : 0;
			break;
		case BPF_JMP | BPF_EXIT:
			return registers[0] == 1;
		default:
			fail_msg("instruction %#x", insn->code);
		}
		assert_true(insn->off >= 0); /* only forwards: it ends */
	}
	fail();
	return false;
}

static const uint32_t numbers[] = {0, 1, 3, 31, 32, 35, 200, 4294967295u};

static void assert_decides(const struct oci_device_rule *rules, size_t count)
{
	struct bpf_insn *program = NULL;
	size_t length;

	assert_int_equal(cgroup_bpf_program(rules, count, &program, &length), 0);
	for (size_t major = 0; major < ARRAY_SIZE(numbers); major++)
		for (size_t minor = 0; minor < ARRAY_SIZE(numbers); minor++)
			for (unsigned int kinds = 1; kinds < 16; kinds++) {
				const struct access access = {
					.type = kinds & 8 ? 'b' : 'c', .major = numbers[major],
					.minor = numbers[minor], .kinds = kinds & 7};

				if (access.kinds &&
				    interpret(program, length, &access) !=
					    reference(rules, count, &access))
					fail_msg("%c %u:%u kinds %u", access.type, access.major,
						 access.minor, access.kinds);
			}
	free(program);
}

static struct oci_number some_number(void)
{
	return (struct oci_number){.set = rand() % 4 != 0,
				   .value = numbers[(size_t)rand() % ARRAY_SIZE(numbers)]};
}

static struct oci_device_rule some_rule(void)
{
	struct oci_device_rule rule = {
		.allow = rand() % 3 != 0, .type = "aabc"[rand() % 4], .major = some_number(),
		.minor = some_number(), .read = rand() % 4 != 0, .write = rand() % 4 != 0,
		.mknod = rand() % 4 != 0};

	if (rule.type == 'a' && rand() % 2)
		rule.major.set = rule.minor.set = false;
	return rule;
}

static void test_program_decides_as_the_rules(void **state)
{
	struct oci_device_rule rules[24];

	(void)state;
	srand(1);
	assert_decides(rules, 0);
	for (int round = 0; round < 400; round++) {
		size_t count = (size_t)rand() % ARRAY_SIZE(rules);

		for (size_t i = 0; i < count; i++)
			rules[i] = some_rule();
		assert_decides(rules, count);
	}
}

/* The usual container: all denied, then what every container has. Small, since the kernel's
 * verifier is most of its price. */
static void test_usual_program(void **state)
{
	static struct oci_device_rule none = {
		.type = 'a', .read = true, .write = true, .mknod = true};
	const struct oci_resources resources = {.devices = &none, .device_count = 1};
	const struct access null = {'c', 1, 3, 6}, tun = {'c', 10, 200, 6}, pts = {'c', 136, 9, 6};
	const struct access kmsg = {'c', 1, 11, 2}, disk = {'b', 8, 0, 2}, make = {'b', 8, 0, 1};
	struct oci_device_rule *rules;
	struct bpf_insn *program;
	size_t count, length;

	(void)state;
	assert_int_equal(cgroup_device_rules(&resources, &rules, &count, NULL), 0);
	assert_int_equal(cgroup_bpf_program(rules, count, &program, &length), 0);
	assert_true(length <= 64);
	assert_true(interpret(program, length, &null) && interpret(program, length, &tun) &&
		    interpret(program, length, &pts) && interpret(program, length, &make));
	assert_false(interpret(program, length, &kmsg) || interpret(program, length, &disk));
	assert_false(cgroup_rules_allow_all(rules, count));
	rules[0].allow = true;
	assert_true(cgroup_rules_allow_all(rules, count));
	free(program);
	free(rules);
}

/* The largest list that is taken, in its worst forms, also passes the kernel's verifier. */
static void test_largest_program(void **state)
{
	struct oci_device_rule *rules = calloc(CGROUP_DEVICE_RULES, sizeof(*rules));
	const union bpf_attr empty = {0};

	(void)state;
	for (int form = 0; form < 3; form++) {
		struct bpf_insn *program;
		union bpf_attr attr = empty;
		size_t length;
		long fd;

		for (uint32_t i = 0; i < CGROUP_DEVICE_RULES; i++)
			rules[i] = (struct oci_device_rule){
				.allow = form != 2 || i % 2, .type = i % 3 ? 'c' : 'b',
				.major = {true, form == 1 ? 8 : i}, .minor = {true, i * 7},
				.read = true, .write = form == 1 || i % 5, .mknod = form == 1};
		assert_int_equal(cgroup_bpf_program(rules, CGROUP_DEVICE_RULES, &program, &length),
				 0);
		attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
		attr.insns = (uintptr_t)program;
		attr.insn_cnt = (uint32_t)length;
		attr.license = (uintptr_t)"";
		fd = geteuid() == 0 ? syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) : -1;
		if (fd < 0 && geteuid() == 0 && errno != EPERM)
			fail_msg("form %d: %s", form, strerror(errno));
		if (fd >= 0)
			(void)close((int)fd);
		free(program);
	}
	free(rules);
}

static void test_bad_device_rules(void **state)
{
	static struct oci_device_rule bad[] = {
		{.type = 'a', .major = {true, -1}, .read = true},
		{.type = 'c', .minor = {true, 1LL << 32}, .read = true},
		{.type = 'x', .read = true},
	};
	struct oci_resources resources = {.device_count = 1};
	struct oci_device_rule *rules;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		resources.devices = &bad[i];
		assert_int_equal(cgroup_device_rules(&resources, &rules, &count, &err), -EINVAL);
		assert_non_null(strstr(err.message, "linux.resources.devices[0]"));
	}
	resources.device_count = CGROUP_DEVICE_RULES + 1;
	assert_int_equal(cgroup_device_rules(&resources, &rules, &count, NULL), -E2BIG);
}

#define RULE(allowed, kind, maj, min, r, w, m)                                               \
	{.allow = (allowed), .type = (kind), .major = {(maj) >= 0, (maj)},                    \
	 .minor = {(min) >= 0, (min)}, .read = (r), .write = (w), .mknod = (m)}

static void test_v1_lines(void **state)
{
	static const struct {
		struct oci_device_rule rules[4];
		size_t count;
		const char *lines; /* NULL: v1 cannot */
	} lists[] = {
		{{{0}}, 0, "-a\n"},
		{{RULE(0, 'a', -1, -1, 1, 1, 1), RULE(1, 'c', 1, 3, 1, 1, 1)}, 2,
		 "-a\n+c 1:3 rwm\n"},
		{{RULE(1, 'a', -1, -1, 1, 1, 1), RULE(0, 'c', 1, 3, 0, 1, 0)}, 2,
		 "+a\n-c 1:3 w\n"},
		{{RULE(1, 'a', -1, -1, 0, 0, 1)}, 1, "-a\n+b *:* m\n+c *:* m\n"},
		{{RULE(1, 'c', 1, 3, 1, 0, 0), RULE(1, 'c', 1, 3, 0, 1, 0)}, 2, "-a\n+c 1:3 rw\n"},
		{{RULE(1, 'c', 1, 3, 1, 1, 1), RULE(0, 'c', 1, -1, 0, 1, 1)}, 2, "-a\n+c 1:3 r\n"},
		{{RULE(1, 'c', 1, 3, 1, 1, 1), RULE(0, 'b', 1, -1, 0, 1, 1)}, 2,
		 "-a\n+c 1:3 rwm\n"},
		{{RULE(1, 'c', 1, -1, 1, 1, 1), RULE(0, 'c', 1, 3, 1, 0, 0)}, 2, NULL},
		{{RULE(1, 'c', 1, -1, 1, 1, 1), RULE(0, 'c', -1, 3, 1, 0, 0)}, 2, NULL},
		{{RULE(1, 'c', 1, -1, 1, 0, 1), RULE(0, 'c', 1, 3, 0, 1, 0)}, 2,
		 "-a\n+c 1:* rm\n"},
		{{RULE(1, 'c', 1, 3, 1, 1, 1), RULE(0, 'c', 1, 3, 1, 1, 1)}, 2, "-a\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct err err = {0};
		char *lines = NULL;
		int r = cgroup_device_lines(lists[i].rules, lists[i].count, &lines, &err);

		assert_int_equal(r, lists[i].lines ? 0 : -ENOTSUP);
		if (r == 0)
			assert_string_equal(lines, lists[i].lines);
		else
			assert_non_null(strstr(err.message, "linux.resources.devices[1]"));
		free(lines);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_unified_names),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_text_find),
		cmocka_unit_test(test_program_decides_as_the_rules),
		cmocka_unit_test(test_usual_program),
		cmocka_unit_test(test_largest_program),
		cmocka_unit_test(test_bad_device_rules),
		cmocka_unit_test(test_v1_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
