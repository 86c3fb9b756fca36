/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's configuration: config.json of the OCI runtime specification 1.1, decoded.
 *
 * cJSON is used behind this header and nowhere in front of it. A struct oci_spec keeps the parsed
 * document alive and borrows every string from it, so all pointers below live as long as the spec
 * does. Arrays are pointer and count; an absent array is NULL and 0, an absent string NULL, an
 * absent object a NULL pointer. Names are the specification's, in this project's spelling.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#undef linux /* gnu17 defines it as 1 */

struct err;

/* `items` of a decoded list ends in a NULL that is not counted: execve takes it as it is. */
struct oci_strings {
	const char **items;
	size_t count;
};

/* A number that may be absent. */
struct oci_number {
	bool set;
	int64_t value;
};

struct oci_flag {
	bool set, value;
};

struct oci_pair {
	const char *name, *value;
};

struct oci_pairs {
	struct oci_pair *items;
	size_t count;
};

/* --- process ------------------------------------------------------------------------------- */

struct oci_user {
	uint32_t uid, gid;
	struct oci_number umask;
	uint32_t *additional_gids;
	size_t additional_gid_count;
};

/* Bit N of a set is capability N. `present`: the config has a "capabilities" object at all. Names
 * that are none are left out, as the specification wants; `unknown` is one of them, to be warned
 * of, or NULL. */
struct oci_capabilities {
	bool present;
	uint64_t bounding, effective, inheritable, permitted, ambient;
	const char *unknown;
};

struct oci_rlimit {
	int resource; /* RLIMIT_* */
	const char *name;
	uint64_t soft, hard;
};

struct oci_scheduler {
	bool present;
	int policy; /* SCHED_* */
	int32_t nice, priority;
	uint64_t flags; /* SCHED_FLAG_* */
	uint64_t runtime_ns, deadline_ns, period_ns;
};

struct oci_io_priority {
	bool present;
	int class; /* IOPRIO_CLASS_* */
	int priority;
};

struct oci_process {
	bool terminal;
	unsigned int console_height, console_width; /* 0: as the terminal comes */
	struct oci_user user;
	struct oci_strings args, env;
	const char *cwd;
	struct oci_capabilities capabilities;
	struct oci_rlimit *rlimits;
	size_t rlimit_count;
	bool no_new_privileges;
	const char *apparmor_profile, *selinux_label;
	struct oci_number oom_score_adj;
	struct oci_scheduler scheduler;
	struct oci_io_priority io_priority;
};

/* --- mounts -------------------------------------------------------------------------------- */

struct oci_id_mapping {
	uint32_t container_id, host_id, size;
};

struct oci_id_mappings {
	struct oci_id_mapping *items;
	size_t count;
};

/* The options of the configuration, resolved. Those that are no flag of mount(8)'s are `data`, for
 * the file system, joined by commas. */
struct oci_mount {
	const char *destination, *type, *source; /* absolute; type and source may be NULL */
	uint64_t attr_set, attr_clear;		 /* MOUNT_ATTR_*, for this mount alone */
	uint64_t rec_attr_set, rec_attr_clear;	 /* those with an "r" before: "rro", "rnosuid", … */
	unsigned long sb_flags;	   /* MS_* of the file system: MS_SYNCHRONOUS, MS_RDONLY, … */
	unsigned long propagation; /* 0, or MS_SHARED, MS_SLAVE, … | MS_REC */
	bool bind, recursive;	   /* "bind", "rbind" */
	bool remount, tmpcopyup, copy_symlink; /* copy_symlink: mount onto the link itself */
	bool idmap, idmap_recursive;
	const char *data;	   /* may be NULL */
	struct oci_id_mappings uid_mappings, gid_mappings; /* for idmap */
	const char *path; /* of this entry in the config, for messages: "mounts[3]" */
};

struct oci_device_node {
	const char *path;
	char type; /* 'c', 'b', 'p' ('u' becomes 'c') */
	int64_t major, minor;
	struct oci_number file_mode, uid, gid;
};

/* --- resources ----------------------------------------------------------------------------- */

struct oci_device_rule {
	bool allow;
	char type; /* 'a', 'c', 'b' */
	struct oci_number major, minor; /* absent: any */
	bool read, write, mknod;
};

struct oci_weight_device {
	int64_t major, minor;
	struct oci_number weight, leaf_weight;
};

struct oci_throttle_device {
	int64_t major, minor;
	uint64_t rate;
};

struct oci_throttle_devices {
	struct oci_throttle_device *items;
	size_t count;
};

struct oci_hugepage_limit {
	const char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_rdma_limit {
	const char *device;
	struct oci_number hca_handles, hca_objects;
};

struct oci_interface_priority {
	const char *name;
	uint32_t priority;
};

struct oci_resources {
	struct oci_device_rule *devices;
	size_t device_count;
	struct {
		struct oci_number limit, reservation, swap, kernel, kernel_tcp, swappiness;
		struct oci_flag disable_oom_killer, use_hierarchy, check_before_update;
	} memory;
	struct {
		struct oci_number shares, quota, burst, period, realtime_runtime, realtime_period,
			idle;
		const char *cpus, *mems;
	} cpu;
	struct oci_number pids_limit;
	struct {
		struct oci_number weight, leaf_weight;
		struct oci_weight_device *weight_devices;
		size_t weight_device_count;
		struct oci_throttle_devices read_bps, write_bps, read_iops, write_iops;
	} block_io;
	struct oci_hugepage_limit *hugepages;
	size_t hugepage_count;
	struct {
		struct oci_number class_id;
		struct oci_interface_priority *priorities;
		size_t priority_count;
	} network;
	struct oci_rdma_limit *rdma;
	size_t rdma_count;
	struct oci_pairs unified; /* cgroup v2: file name to content */
};

/* --- seccomp -------------------------------------------------------------------------------- */

struct oci_seccomp_arg {
	unsigned int index;
	uint64_t value, value_two;
	const char *op; /* "SCMP_CMP_EQ", …; checked when parsed */
};

struct oci_seccomp_rule {
	struct oci_strings names;
	const char *action; /* "SCMP_ACT_…"; checked when parsed */
	struct oci_number errno_ret;
	struct oci_seccomp_arg *args;
	size_t arg_count;
};

struct oci_seccomp {
	const char *default_action;
	struct oci_number default_errno_ret;
	struct oci_strings architectures, flags;
	const char *listener_path, *listener_metadata;
	struct oci_seccomp_rule *rules;
	size_t rule_count;
	const char *text; /* the object as it was written: what a cache of filters digests */
};

/* --- Linux ---------------------------------------------------------------------------------- */

enum oci_namespace_type {
	OCI_NS_USER,
	OCI_NS_PID,
	OCI_NS_NETWORK,
	OCI_NS_MOUNT,
	OCI_NS_IPC,
	OCI_NS_UTS,
	OCI_NS_CGROUP,
	OCI_NS_TIME,
	OCI_NS_COUNT,
};

struct oci_namespace {
	bool present;	  /* listed in the config: new, or the one at `path` */
	const char *path; /* NULL: a new one */
};

struct oci_time_offset {
	bool set;
	int64_t seconds, nanoseconds;
};

struct oci_linux {
	struct oci_namespace namespaces[OCI_NS_COUNT];
	struct oci_id_mappings uid_mappings, gid_mappings;
	struct oci_time_offset monotonic, boottime;
	struct oci_device_node *devices;
	size_t device_count;
	const char *cgroups_path;
	struct oci_resources resources;
	struct {
		const char *clos_id, *l3_cache_schema, *mem_bw_schema;
		bool present, enable_cmt, enable_mbm;
	} intel_rdt;
	struct oci_pairs sysctl;
	struct oci_seccomp *seccomp;
	unsigned long rootfs_propagation; /* as oci_mount.propagation */
	struct oci_strings masked_paths, readonly_paths;
	const char *mount_label;
	struct oci_number personality; /* for personality(2) */
};

/* --- hooks ---------------------------------------------------------------------------------- */

struct oci_hook {
	const char *path;
	struct oci_strings args, env;
	struct oci_number timeout; /* seconds */
};

enum oci_hook_point {
	OCI_HOOK_PRESTART,
	OCI_HOOK_CREATE_RUNTIME,
	OCI_HOOK_CREATE_CONTAINER,
	OCI_HOOK_START_CONTAINER,
	OCI_HOOK_POSTSTART,
	OCI_HOOK_POSTSTOP,
	OCI_HOOK_POINT_COUNT,
};

struct oci_hooks {
	struct oci_hook *items;
	size_t count;
};

/* --- the whole ------------------------------------------------------------------------------ */

struct oci_spec {
	const char *version;
	const char *root_path; /* as written: relative to the bundle, or absolute */
	bool root_readonly;
	struct oci_process *process; /* may be absent: then the container cannot be started */
	struct oci_mount *mounts;
	size_t mount_count;
	const char *hostname, *domainname;
	struct oci_pairs annotations;
	struct oci_hooks hooks[OCI_HOOK_POINT_COUNT];
	struct oci_linux linux; /* all absent when the config has none */
	struct oci_arena *arena; /* owns the document and all arrays */
};

/* Decodes `bytes` bytes of JSON. Pure: reads nothing but its arguments. -EINVAL with a message that
 * begins with the path of the member at fault ("linux.resources.memory.limit: not an integer");
 * bounded: at most SPEC_MAX_BYTES of input, and -ENOMEM. Unknown members are ignored, as the
 * specification demands; unknown values of known members (a namespace type, a mount option of
 * ours, an action) are errors. *ret_spec is to be freed with spec_free. */
int spec_parse(struct oci_spec **ret_spec, const char *json, size_t bytes, struct err *err);
int spec_load(struct oci_spec **ret_spec, const char *path, struct err *err);
struct oci_spec *spec_free(struct oci_spec *spec);

/* The same for a document that is one "process" object (exec --process), or one "linux.resources"
 * object (update --resources). Only that part of the spec is filled. */
int spec_parse_process(struct oci_spec **ret_spec, const char *json, size_t bytes, struct err *err);
int spec_parse_resources(struct oci_spec **ret_spec, const char *json, size_t bytes,
			 struct err *err);

enum { SPEC_MAX_BYTES = 4 << 20 };

/* Memory that lives as long as the spec, zeroed; NULL when there is none. For callers that add to
 * a decoded process, such as `exec --env`. */
void *spec_alloc(struct oci_spec *spec, size_t bytes);
