/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container of a function, as run0's own decoder reads it.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "cleanup.h"
#include "function_spec.h"
#include "mailbox.h"
#include "oci_spec_text.h"
#include "spec/spec.h"

static char *args[] = { (char *)"/function/function", (char *)"with \"quotes\" \\ and \xc3\xa4",
			NULL };
static char *env[] = {(char *)"A=1", NULL};

static struct function_process process_of(uint32_t uid)
{
	return (struct function_process){
		.args = {args, 2},
		.env = {env, 1},
		.cwd = (char *)"/function",
		.uid = uid,
		.gid = uid,
	};
}

static struct oci_spec *decoded(const struct function_spec *function)
{
	cleanup_free char *text = NULL;
	struct oci_spec *spec = NULL;
	struct err err = {0};

	assert_int_equal(function_spec_text(function, &text, &err), 0);
	if (spec_parse(&spec, text, strlen(text), &err) < 0)
		fail_msg("%s in: %s", err.message, text);
	return spec;
}

static const struct oci_mount *mount_at(const struct oci_spec *spec, const char *destination)
{
	for (size_t i = 0; i < spec->mount_count; i++)
		if (strcmp(spec->mounts[i].destination, destination) == 0)
			return &spec->mounts[i];
	return NULL;
}

static bool has(const struct oci_strings *strings, const char *text)
{
	for (size_t i = 0; i < strings->count; i++)
		if (strcmp(strings->items[i], text) == 0)
			return true;
	return false;
}

static void test_process(void **state)
{
	const struct function_process process = process_of(1000);
	const struct function_spec function = {.process = &process};
	cleanup_spec struct oci_spec *spec = decoded(&function);

	(void)state;
	assert_string_equal(spec->root_path, "/rootfs");
	assert_false(spec->root_readonly);
	assert_string_equal(spec->hostname, "quark");
	assert_false(spec->process->terminal);
	assert_int_equal(spec->process->args.count, 2);
	assert_string_equal(spec->process->args.items[1], args[1]);
	assert_string_equal(spec->process->env.items[0], "A=1");
	assert_string_equal(spec->process->cwd, "/function");
	assert_int_equal(spec->process->user.uid, 1000);
	assert_true(spec->process->no_new_privileges);
}

static void test_privileges(void **state)
{
	const struct function_process root = process_of(0), user = process_of(1000);
	cleanup_spec struct oci_spec *of_root =
		decoded(&(struct function_spec){.process = &root});
	cleanup_spec struct oci_spec *of_user =
		decoded(&(struct function_spec){.process = &user});
	const struct oci_capabilities *caps = &of_root->process->capabilities;
	static const int refused[] = {CAP_SYS_ADMIN, CAP_SYS_RAWIO, CAP_MKNOD, CAP_SYS_MODULE,
				      CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYS_TIME, CAP_SYS_BOOT};

	(void)state;
	assert_true(caps->present && !caps->unknown);
	assert_int_equal(__builtin_popcountll(caps->bounding), 13);
	assert_true(caps->bounding == caps->effective && caps->bounding == caps->permitted);
	assert_int_equal(caps->inheritable | caps->ambient, 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_false(caps->bounding >> refused[i] & 1);
	caps = &of_user->process->capabilities;
	assert_true(caps->present);
	assert_int_equal(caps->bounding | caps->effective | caps->permitted | caps->inheritable |
				 caps->ambient,
			 0);
}

static void test_limits(void **state)
{
	const struct function_process process = process_of(0);
	cleanup_spec struct oci_spec *spec =
		decoded(&(struct function_spec){.process = &process});
	cleanup_spec struct oci_spec *limited = decoded(
		&(struct function_spec){.process = &process, .memory_bytes = 32ull << 20});

	(void)state;
	assert_int_equal(spec->process->rlimit_count, 3);
	assert_int_equal(spec->process->rlimits[0].resource, RLIMIT_CORE);
	assert_int_equal(spec->process->rlimits[0].hard, 0);
	assert_int_equal(spec->process->rlimits[2].resource, RLIMIT_MEMLOCK);
	assert_true(spec->process->rlimits[2].soft == UINT64_MAX);
	assert_true(spec->process->rlimits[2].hard == UINT64_MAX);
	assert_false(spec->linux.resources.memory.limit.set);
	assert_true(spec->linux.resources.pids_limit.set);
	assert_int_equal(limited->linux.resources.memory.limit.value, 32 << 20);
	assert_int_equal(spec->linux.resources.device_count, 1);
	assert_false(spec->linux.resources.devices[0].allow);
	assert_string_equal(spec->linux.cgroups_path, "/function");
}

static void test_isolation(void **state)
{
	const struct function_process process = process_of(0);
	cleanup_spec struct oci_spec *spec =
		decoded(&(struct function_spec){.process = &process});
	static const enum oci_namespace_type namespaces[] = {OCI_NS_PID, OCI_NS_NETWORK, OCI_NS_IPC,
							     OCI_NS_UTS, OCI_NS_MOUNT,
							     OCI_NS_CGROUP};
	static const char *const masked[] = {"/proc/kcore", "/proc/kmsg", "/sys/firmware",
					     "/sys/devices/pci0000:00"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		assert_true(spec->linux.namespaces[namespaces[i]].present);
		assert_null(spec->linux.namespaces[namespaces[i]].path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
		assert_true(has(&spec->linux.masked_paths, masked[i]));
	assert_true(has(&spec->linux.readonly_paths, "/proc/sys"));
	assert_true(has(&spec->linux.readonly_paths, "/proc/sysrq-trigger"));
}

static void test_mounts(void **state)
{
	const struct function_process process = process_of(0);
	cleanup_spec struct oci_spec *plain =
		decoded(&(struct function_spec){.process = &process});
	cleanup_spec struct oci_spec *image =
		decoded(&(struct function_spec){.process = &process, .has_image = true});
	static const char *const read_only[] = {"/sys", "/sys/fs/cgroup", "/run/quark",
						"/etc/machine-id", "/etc/hostname", "/etc/hosts"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		const struct oci_mount *mount = mount_at(image, read_only[i]);

		assert_non_null(mount);
		assert_true(mount->attr_set & MOUNT_ATTR_RDONLY);
		assert_true(mount->attr_set & MOUNT_ATTR_NOSUID);
	}
	assert_true(mount_at(plain, "/run/quark")->bind);
	assert_string_equal(mount_at(plain, "/run/quark")->source, "/quark");
	assert_string_equal(mount_at(plain, "/etc/machine-id")->source,
			    "/run/identity/machine-id");
	assert_non_null(mount_at(plain, "/tmp"));
	assert_null(mount_at(image, "/tmp"));
}

/* The action of the rules on a call without looking at its arguments. */
static const char *action_of(const struct oci_seccomp *seccomp, const char *name)
{
	for (size_t i = 0; i < seccomp->rule_count; i++)
		if (has(&seccomp->rules[i].names, name))
			return seccomp->rules[i].arg_count ? "conditional"
							   : seccomp->rules[i].action;
	return seccomp->default_action;
}

/* What is said in the guest has to be known to the library that compiles it there. */
static void check_names(const struct oci_seccomp *seccomp)
{
	for (size_t i = 0; i < seccomp->rule_count; i++)
		for (size_t j = 0; j < seccomp->rules[i].names.count; j++) {
			const char *name = seccomp->rules[i].names.items[j];

			if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR)
				print_message("libseccomp does not know '%s'\n", name);
		}
}

static void test_seccomp(void **state)
{
	const struct function_process process = process_of(0);
	cleanup_spec struct oci_spec *spec =
		decoded(&(struct function_spec){.process = &process});
	const struct oci_seccomp *seccomp = spec->linux.seccomp;
	static const char *const allowed[] = {"read", "write", "mmap", "futex", "execve",
					      "getrandom", "vfork", "wait4", "restart_syscall",
					      "sched_yield", "rseq", "set_robust_list"};
	static const char *const refused[] = {"mount", "bpf", "ptrace", "unshare", "setns",
					      "kexec_load", "init_module", "userfaultfd",
					      "perf_event_open", "reboot", "process_vm_readv",
					      "iopl", "clone3", "io_uring_setup", "no_such_call"};

	(void)state;
	assert_non_null(seccomp);
	assert_string_equal(seccomp->default_action, "SCMP_ACT_ERRNO");
	assert_int_equal(seccomp->default_errno_ret.value, ENOSYS);
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		assert_string_equal(action_of(seccomp, allowed[i]), "SCMP_ACT_ALLOW");
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_string_equal(action_of(seccomp, refused[i]), "SCMP_ACT_ERRNO");
	assert_string_equal(action_of(seccomp, "clone"), "conditional");
	assert_string_equal(action_of(seccomp, "socket"), "conditional");
	check_names(seccomp);
}

static void test_order(void **state)
{
	static const struct {
		bool has_image, direct;
		uint32_t flags;
	} cases[] = {
		{false, false, 0},
		{true, false, MAILBOX_CREATE_IMAGE},
		{false, true, MAILBOX_CREATE_DIRECT},
		{true, true, MAILBOX_CREATE_IMAGE | MAILBOX_CREATE_DIRECT},
	};
	const struct function_process process = process_of(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct function_spec function = {.process = &process,
						       .has_image = cases[i].has_image,
						       .direct = cases[i].direct};
		cleanup_free uint8_t *order = NULL;
		cleanup_free char *text = NULL;
		struct mailbox_create create;
		size_t bytes;

		assert_int_equal(function_spec_order(&function, &order, &bytes, NULL), 0);
		assert_int_equal(function_spec_text(&function, &text, NULL), 0);
		memcpy(&create, order, sizeof(create));
		assert_int_equal(create.flags, cases[i].flags);
		assert_int_equal(create.config_bytes, strlen(text));
		assert_int_equal(bytes, sizeof(create) + create.config_bytes);
		assert_memory_equal(order + sizeof(create), text, create.config_bytes);
	}
}

static void test_order_beyond_the_mailbox(void **state)
{
	struct function_process process = process_of(0);
	const struct function_spec function = {.process = &process};
	cleanup_free char *large = malloc(MAILBOX_REQUEST_MAX + 1);
	char *large_args[] = {large, NULL};
	struct err err = {0};
	uint8_t *order;
	size_t bytes;

	(void)state;
	assert_non_null(large);
	memset(large, 'x', MAILBOX_REQUEST_MAX);
	large[MAILBOX_REQUEST_MAX] = '\0';
	process.args = (struct string_list){large_args, 1};
	assert_int_equal(function_spec_order(&function, &order, &bytes, &err), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_privileges),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_isolation),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_beyond_the_mailbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
