/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "process" object.
 */
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/resource.h>

#include "spec/arena.h"
#include "spec/spec_priv.h"

/* --- capabilities ---------------------------------------------------------------------------- */

/* By number, as in <linux/capability.h>. A kernel that we run on (5.12) has them all, so neither
 * the kernel nor libcap is asked. */
const char *const capability_names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
	NULL,
};

enum { CAP_PREFIX_BYTES = 4 };

/* The number, or -1. The first letter behind the prefix decides most comparisons. */
static int capability_number(const char *name)
{
	if (strncmp(name, "CAP_", CAP_PREFIX_BYTES) != 0)
		return -1;
	for (int i = 0; capability_names[i]; i++)
		if (capability_names[i][CAP_PREFIX_BYTES] == name[CAP_PREFIX_BYTES] &&
		    strcmp(capability_names[i], name) == 0)
			return i;
	return -1;
}

static int decode_capability_set(const struct json_value *value, const struct json_field *field,
				 void *to)
{
	struct json_value element = { .reader = value->reader, .parent = value };
	struct oci_capabilities *all = (void *)((char *)to - field->offset);
	uint64_t *set = to;

	if (!cJSON_IsArray(value->item))
		return json_fail(value, "not an array");
	cJSON_ArrayForEach(element.item, value->item) {
		const char *name = NULL;
		int r = json_text(&element, NULL, &name);
		int number;

		if (r < 0)
			return r;
		number = capability_number(name);
		if (number < 0)
			all->unknown = name;
		else
			*set |= UINT64_C(1) << number;
		element.index++;
	}
	return 0;
}

#define SET(key, member) \
	{ JSON_MEMBER(key, struct oci_capabilities, member, decode_capability_set) }

static const struct json_field capability_fields[] = {
	SET("bounding", bounding),
	SET("effective", effective),
	SET("inheritable", inheritable),
	SET("permitted", permitted),
	SET("ambient", ambient),
};
static const struct json_table capability_table = JSON_TABLE(capability_fields);

/* --- rlimits --------------------------------------------------------------------------------- */

static const struct json_name rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
	{ NULL, 0 },
};

static const struct json_field rlimit_fields[] = {
	{ JSON_MEMBER("type", struct oci_rlimit, name, json_string), .required = true },
	{ JSON_MEMBER("soft", struct oci_rlimit, soft, json_u64), .required = true },
	{ JSON_MEMBER("hard", struct oci_rlimit, hard, json_u64), .required = true },
};
static const struct json_table rlimit_table = JSON_TABLE(rlimit_fields);

static int decode_rlimit(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_rlimit *rlimit = to;
	int64_t resource;
	int r = json_members(value, field->table, rlimit);

	if (r < 0)
		return r;
	if (!json_find_name(rlimit_names, rlimit->name, &resource))
		return json_fail_member(value, "type", "unknown value '%.60s'", rlimit->name);
	if (rlimit->soft > rlimit->hard)
		return json_fail(value, "soft is above hard");
	rlimit->resource = (int)resource;
	return 0;
}

static const struct json_field rlimit_element = { .decode = decode_rlimit, .table = &rlimit_table };

/* --- user, console, scheduler, I/O priority -------------------------------------------------- */

static const struct json_field gid_element = { .decode = json_u32 };

static const struct json_field user_fields[] = {
	{ JSON_MEMBER("uid", struct oci_user, uid, json_u32) },
	{ JSON_MEMBER("gid", struct oci_user, gid, json_u32) },
	{ JSON_MEMBER("umask", struct oci_user, umask, json_number), .least = 0, .most = 0777 },
	{ JSON_LIST("additionalGids", struct oci_user, additional_gids, additional_gid_count,
		    gid_element),
	  .most_items = 65536 }, /* NGROUPS_MAX */
};
static const struct json_table user_table = JSON_TABLE(user_fields);

static const struct json_field console_fields[] = {
	{ JSON_MEMBER("height", struct oci_process, console_height, json_u32), .most = 65535 },
	{ JSON_MEMBER("width", struct oci_process, console_width, json_u32), .most = 65535 },
};
static const struct json_table console_table = JSON_TABLE(console_fields);

static const struct json_name policy_names[] = {
	{ "SCHED_OTHER", SCHED_NORMAL },      { "SCHED_FIFO", SCHED_FIFO },
	{ "SCHED_RR", SCHED_RR },	      { "SCHED_BATCH", SCHED_BATCH },
	{ "SCHED_ISO", 4 /* reserved */ },    { "SCHED_IDLE", SCHED_IDLE },
	{ "SCHED_DEADLINE", SCHED_DEADLINE }, { NULL, 0 },
};

static const struct json_name scheduler_flag_names[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
	{ "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
	{ "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
	{ NULL, 0 },
};

static int decode_scheduler_flags(const struct json_value *value, const struct json_field *field,
				  void *to)
{
	const struct json_field name = { .names = scheduler_flag_names };
	struct json_value element = { .reader = value->reader, .parent = value };
	uint64_t *flags = to;

	(void)field;
	if (!cJSON_IsArray(value->item))
		return json_fail(value, "not an array");
	cJSON_ArrayForEach(element.item, value->item) {
		int flag = 0;
		int r = json_name(&element, &name, &flag);

		if (r < 0)
			return r;
		*flags |= (unsigned int)flag;
		element.index++;
	}
	return 0;
}

static const struct json_field scheduler_fields[] = {
	{ JSON_MEMBER("policy", struct oci_scheduler, policy, json_name),
	  .required = true,
	  .names = policy_names },
	{ JSON_MEMBER("nice", struct oci_scheduler, nice, json_i32), .least = -20, .most = 19 },
	{ JSON_MEMBER("priority", struct oci_scheduler, priority, json_i32), .most = 99 },
	{ JSON_MEMBER("flags", struct oci_scheduler, flags, decode_scheduler_flags) },
	{ JSON_MEMBER("runtime", struct oci_scheduler, runtime_ns, json_u64) },
	{ JSON_MEMBER("deadline", struct oci_scheduler, deadline_ns, json_u64) },
	{ JSON_MEMBER("period", struct oci_scheduler, period_ns, json_u64) },
};
static const struct json_table scheduler_table = JSON_TABLE(scheduler_fields);

static const struct json_name class_names[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
	{ NULL, 0 },
};

static const struct json_field io_priority_fields[] = {
	{ JSON_MEMBER("class", struct oci_io_priority, class, json_name),
	  .required = true,
	  .names = class_names },
	{ JSON_MEMBER("priority", struct oci_io_priority, priority, json_i32), .most = 7 },
};
static const struct json_table io_priority_table = JSON_TABLE(io_priority_fields);

/* --- the process ----------------------------------------------------------------------------- */

static int decode_variable(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *variable = NULL;
	int r = json_text(value, field, &variable);

	if (r < 0)
		return r;
	if (variable[0] == '=' || !strchr(variable, '='))
		return json_fail(value, "not NAME=VALUE");
	*(const char **)to = variable;
	return 0;
}

static const struct json_field variable_element = { .decode = decode_variable };

/* The size stands in the process itself, not in a struct of its own. */
static const struct json_field process_fields[] = {
	{ JSON_MEMBER("terminal", struct oci_process, terminal, json_boolean) },
	{ .name = "consoleSize", .decode = json_object, .table = &console_table },
	{ JSON_MEMBER("user", struct oci_process, user, json_object), .table = &user_table },
	{ JSON_LIST("args", struct oci_process, args.items, args.count, json_text_element),
	  .required = true,
	  .not_empty = true },
	{ JSON_LIST("env", struct oci_process, env.items, env.count, variable_element) },
	{ JSON_MEMBER("cwd", struct oci_process, cwd, json_path), .required = true },
	{ JSON_MEMBER("capabilities", struct oci_process, capabilities, json_present_object),
	  .table = &capability_table },
	{ JSON_LIST("rlimits", struct oci_process, rlimits, rlimit_count, rlimit_element),
	  .most_items = 64 },
	{ JSON_MEMBER("noNewPrivileges", struct oci_process, no_new_privileges, json_boolean) },
	{ JSON_MEMBER("apparmorProfile", struct oci_process, apparmor_profile, json_string),
	  .most_bytes = 4095 },
	{ JSON_MEMBER("selinuxLabel", struct oci_process, selinux_label, json_string),
	  .most_bytes = 4095 },
	{ JSON_MEMBER("oomScoreAdj", struct oci_process, oom_score_adj, json_number),
	  .least = -1000,
	  .most = 1000 },
	{ JSON_MEMBER("scheduler", struct oci_process, scheduler, json_present_object),
	  .table = &scheduler_table },
	{ JSON_MEMBER("ioPriority", struct oci_process, io_priority, json_present_object),
	  .table = &io_priority_table },
};
static const struct json_table process_table = JSON_TABLE(process_fields);

/* The specification wants an error for a limit that is set twice. */
static int check_rlimits(const struct json_value *value, const struct oci_process *process)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < process->rlimit_count; i++) {
		const uint64_t bit = UINT64_C(1) << process->rlimits[i].resource;

		if (seen & bit)
			return json_fail_member(value, "rlimits", "%s stands there twice",
						process->rlimits[i].name);
		seen |= bit;
	}
	return 0;
}

int decode_process(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_process *process = arena_alloc(value->reader->arena, sizeof(*process));
	int r;

	(void)field;
	if (!process)
		return json_fail_memory(value);
	*(struct oci_process **)to = process;
	r = json_members(value, &process_table, process);
	return r < 0 ? r : check_rlimits(value, process);
}
