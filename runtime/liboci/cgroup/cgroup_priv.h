/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share.
 *
 * A cgroup is the same folder in one or more hierarchies. The v2 layout has one hierarchy, v1 one
 * for each controller, hybrid those of v1 and a v2 one beside them. So there is one code for all
 * layouts, which walks the hierarchies; where v1 and v2 differ, `v2` of the hierarchy says which
 * rules are meant. A controller's home is the hierarchy that has it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup/cgroup.h"
#include "spec/spec.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum {
	CGROUP_PATH_BYTES = 2048,  /* of a cgroup's path, so that names of files fit behind it */
	CGROUP_FILE_BYTES = 4096,  /* no file of a cgroup takes more at once (kernfs) */
	CGROUP_STAT_BYTES = 65536, /* memory.stat and io.stat of large machines */
	CGROUP_WAIT_MS = 10000,	   /* for processes to freeze or to end */
	CGROUP_DEPTH = 128,	   /* of cgroups that a container makes in its own, when listed */
};

/* The kernel's controllers, both versions; CGROUP_NAMED is v1's name=systemd. */
enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_CPUSET,
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_IO, /* v1: blkio */
	CGROUP_DEVICES,
	CGROUP_FREEZER,
	CGROUP_HUGETLB,
	CGROUP_NET_CLS,
	CGROUP_NET_PRIO,
	CGROUP_PERF_EVENT,
	CGROUP_RDMA,
	CGROUP_MISC,
	CGROUP_NAMED,
	CGROUP_CONTROLLER_COUNT,
};

struct cgroup_hierarchy {
	const char *mount;    /* below CGROUP_ROOT, with a slash before; "" for the v2 layout */
	uint32_t controllers; /* bit N: controller N of v1 */
	bool v2;
	bool made;   /* by cgroup_make_folders: to be undone when the rest fails */
	int dir;     /* owned: O_PATH of our folder; -1 where we have none */
};

enum { CGROUP_HIERARCHY_COUNT = 16 };

struct cgroup_scope; /* cgroup_systemd.c */

struct cgroup {
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHY_COUNT];
	size_t hierarchy_count; /* 0: a cgroup whose operations do nothing */
	char *path; /* owned: below each hierarchy's root; NULL before a scope is there */
	bool rootless;
	bool fresh; /* made by us just now: limits still have the kernel's defaults */
	int denied; /* rootless: why a folder could not be made; or 0 */
	struct cgroup_scope *scope; /* owned; NULL: the cgroupfs manager */
	bool wants_scope; /* to be started by cgroup_enter */
	const struct oci_resources *resources; /* borrowed: for cgroup_enter, of a scope */
	uint64_t oom_kills; /* that cgroup_wait_event has told of */
	bool oom_kills_known;
};

/* --- cgroup.c ------------------------------------------------------------------------------- */

/* cgroup_enter for a scope that is not there yet. */
int cgroup_enter_scope(struct cgroup *cgroup, pid_t pid, struct err *err);

/* --- cgroup_file.c: files of a cgroup ------------------------------------------------------ */

/* One write, as the kernel wants it. 0 or -errno. */
int cgroup_file_write(int dir, const char *name, const char *text);

/* Reads at most `bytes` - 1, always ends with a zero byte; the length, or -errno. */
ssize_t cgroup_file_read(int dir, const char *name, char *text, size_t bytes);

/* A file of one number; "max" is UINT64_MAX. */
int cgroup_file_read_number(int dir, const char *name, uint64_t *ret_value);

/* The value behind `key` in lines of "key value"; false when there is none. */
bool cgroup_text_find(const char *text, const char *key, uint64_t *ret_value);
bool cgroup_file_find(int dir, const char *name, const char *key, uint64_t *ret_value);

/* --- cgroup_path.c: names ------------------------------------------------------------------ */

/* The path of a container's cgroup below the root of each hierarchy: linux.cgroupsPath, taken from
 * the root also when it is relative (as crun does), and /run0/ID without one. "." and empty parts
 * are dropped, ".." and control characters are refused. The caller frees it. */
int cgroup_path_make(char **ret_path, const char *cgroups_path, const char *id, struct err *err);

/* The rules for a path from a file in which anything may stand. */
bool cgroup_path_is_clean(const char *path);

/* --- cgroup_layout.c: hierarchies ---------------------------------------------------------- */

/* Finds this machine's hierarchies, without folders of ours in them. */
void cgroup_detect(struct cgroup *cgroup);

/* The folder in CGROUP_ROOT and a hierarchy's mount for a path of ours. -ENAMETOOLONG. */
int cgroup_folder(char *text, size_t bytes, const struct cgroup_hierarchy *hierarchy,
		  const char *path);

/* Where `controller` is for this cgroup: a hierarchy with a folder of ours, or NULL. A v2 hierarchy
 * is the home of whatever no v1 hierarchy has. */
const struct cgroup_hierarchy *cgroup_home(const struct cgroup *cgroup,
					   enum cgroup_controller controller);
/* The same, whether there is a folder or not. */
const struct cgroup_hierarchy *cgroup_mount(const struct cgroup *cgroup,
					    enum cgroup_controller controller);
bool cgroup_layout_is_v2(const struct cgroup *cgroup);
/* The v2 hierarchy, or NULL. */
const struct cgroup_hierarchy *cgroup_unified(const struct cgroup *cgroup);

/* --- cgroup_make.c: folders ---------------------------------------------------------------- */

/* Makes and opens the cgroup's folder in every hierarchy. What fails is for the caller to undo. */
int cgroup_make_folders(struct cgroup *cgroup, struct err *err);

/* The same for a scope that systemd has made in its own hierarchy only. */
int cgroup_make_scope_folders(struct cgroup *cgroup, struct err *err);

/* Opens what exists and is not open; whether any is. */
bool cgroup_open_folders(struct cgroup *cgroup);

/* Removes the folders that cgroup_make_folders has made, which are empty. */
void cgroup_unmake_folders(struct cgroup *cgroup);

/* Enables v2 controllers (names as the kernel has them, bits of enum cgroup_controller) from the
 * root down to the parent. 0, or the -errno of the last that could not be. */
int cgroup_enable(const struct cgroup *cgroup, uint32_t controllers);
const char *cgroup_controller_name(enum cgroup_controller controller, bool v2);

/* --- cgroup_resources.c, cgroup_limits.c: limits ------------------------------------------- */

/* The first member that asks for a limit, "memory.limit"; NULL when nothing is asked for. Device
 * rules do not count: every container has some. */
const char *cgroup_resources_asked(const struct oci_resources *resources);

/* Refuses what no cgroup of this layout can have. Touches nothing. */
int cgroup_resources_check(const struct cgroup *cgroup, const struct oci_resources *resources,
			   struct err *err);

/* Sets whatever is asked for, device rules apart. */
int cgroup_resources_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
			   struct err *err);

/* Conversions from the specification's numbers, which are v1's, to v2's. */
uint64_t cgroup_weight_from_shares(uint64_t shares);
uint64_t cgroup_io_weight(uint64_t weight);
/* memory.swap of the specification counts memory too, v2's does not. -1: no limit; -EINVAL in
 * *ret_r when it is below the memory limit. */
int cgroup_swap_without_memory(int64_t swap, int64_t limit, int64_t *ret_swap);
/* A file that `linux.resources.unified` may name. */
bool cgroup_unified_name_is_valid(const char *name);

/* --- cgroup_devices.c, cgroup_bpf.c: device rules ------------------------------------------ */

enum { CGROUP_DEVICE_RULES = 1024 };

/* The config's rules and behind them those without which no container works. The caller frees. */
int cgroup_device_rules(const struct oci_resources *resources, struct oci_device_rule **ret_rules,
			size_t *ret_count, struct err *err);

int cgroup_devices_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
			 struct err *err);

/* v1: the lines for devices.allow and devices.deny that lead to `rules`, from any state. Each is
 * ended by a newline and begins with '+' (allow) or '-' (deny). The caller frees. */
int cgroup_device_lines(const struct oci_device_rule *rules, size_t count, char **ret_lines,
			struct err *err);

struct bpf_insn;

/* v2: the program that decides by `rules`: the last that matches counts, each kind of access for
 * itself; without one the access is refused. The caller frees. */
int cgroup_bpf_program(const struct oci_device_rule *rules, size_t count,
		       struct bpf_insn **ret_program, size_t *ret_count);

/* Whether the rules refuse nothing, so that no program is needed. */
bool cgroup_rules_allow_all(const struct oci_device_rule *rules, size_t count);

/* Loads and attaches to the cgroup `dir`, in place of ours from before if `replace`. 0 or
 * -errno. */
int cgroup_bpf_attach(int dir, const struct bpf_insn *program, size_t count, bool replace);

/* --- cgroup_process.c: processes ----------------------------------------------------------- */

/* The hierarchy that is asked for processes: v2's where there is one. NULL without any folder. */
const struct cgroup_hierarchy *cgroup_main(const struct cgroup *cgroup);

bool cgroup_is_populated(const struct cgroup_hierarchy *hierarchy);

/* --- cgroup_systemd.c: scopes -------------------------------------------------------------- */

/* Reads and checks the names; talks to nobody. */
int cgroup_scope_new(struct cgroup_scope **ret_scope, const char *cgroups_path, const char *id,
		     bool user, struct err *err);
/* From "SLICE UNIT". */
int cgroup_scope_open(struct cgroup_scope **ret_scope, const char *names, bool user,
		      struct err *err);
struct cgroup_scope *cgroup_scope_free(struct cgroup_scope *scope);
const char *cgroup_scope_slice(const struct cgroup_scope *scope);
const char *cgroup_scope_unit(const struct cgroup_scope *scope);

/* Starts it around `pid`, with limits; it is there when this returns. */
int cgroup_scope_start(struct cgroup_scope *scope, pid_t pid,
		       const struct oci_resources *resources, bool v2, struct err *err);
/* Tells systemd of new limits, which it would otherwise undo when it is reloaded. */
int cgroup_scope_update(struct cgroup_scope *scope, const struct oci_resources *resources, bool v2,
			struct err *err);
/* Ends it and waits for that; one that is gone is no error. */
int cgroup_scope_stop(struct cgroup_scope *scope, struct err *err);

/* Where systemd puts it, without asking; the caller frees. */
char *cgroup_scope_path(const struct cgroup_scope *scope);
/* Where it is, from systemd. */
int cgroup_scope_ask_path(struct cgroup_scope *scope, char **ret_path, struct err *err);
