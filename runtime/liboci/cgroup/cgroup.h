/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's cgroup, in whichever hierarchy this machine has.
 *
 * Layouts: v2 (cgroup2 at /sys/fs/cgroup), v1 (one mount per controller) and hybrid (v1 controllers
 * beside a v2 hierarchy at /sys/fs/cgroup/unified). Managers: cgroupfs, which makes folders itself,
 * and systemd, which asks systemd over D-Bus for a transient scope. Variants are tables of
 * operations, one file each; this header is what the container core sees.
 *
 * All of it runs in the runtime's own process, never in the container's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct oci_resources;
struct cgroup;

struct cgroup_config {
	const char *cgroups_path; /* linux.cgroupsPath, from the root also when relative; NULL:
				   * /run0/ID. systemd: "slice:prefix:name"; NULL: run0-ID.scope */
	const char *id;		  /* the container's */
	bool systemd;		  /* the systemd manager */
	bool disabled;		  /* no cgroup at all, whatever the config says */
	bool rootless;		  /* no privileges over cgroups may be expected: what cannot be done
				   * and was not asked for is left out */
	const struct oci_resources *resources;
};

/* Decides where the cgroup will be and checks what the config asks for; touches nothing. Then
 * cgroup_describe can be put into the container's state before anything exists that a crash could
 * leave behind. */
int cgroup_new(struct cgroup **ret_cgroup, const struct cgroup_config *config, struct err *err);

/* Makes it with its limits, empty of processes. Fails with -EEXIST when it exists and has
 * processes. What the config asks for and the kernel lacks is an error that names the member:
 * "linux.resources.memory.swap: …". Controllers that the parents do not delegate are enabled on the
 * way down (v2). With `rootless` and nothing asked for, a cgroup that cannot be made becomes one
 * whose operations do nothing. Device rules are applied (v1: devices.allow/deny, v2: an eBPF
 * program). The systemd manager needs a process to make a scope: then the folder appears, and the
 * limits are set, with cgroup_enter, until which `resources` must live. After a failure there is
 * nothing of this cgroup, and all operations on it do nothing: what was in the way stays. */
int cgroup_make(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err);

/* An O_PATH descriptor for CLONE_INTO_CGROUP, borrowed; -1 where a process must enter by
 * cgroup_enter (v1, hybrid, systemd before the scope is there). */
int cgroup_fd(const struct cgroup *cgroup);

/* Moves `pid` into all hierarchies. Called before the process has children. */
int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct err *err);

/* The same into a cgroup below it that exists already: `below` is a path from it, without "..". A
 * hierarchy that has none is entered at the container's own. -ENOENT when none has. */
int cgroup_enter_below(struct cgroup *cgroup, const char *below, pid_t pid, struct err *err);

/* A cgroup made before, from what cgroup_describe gave. */
int cgroup_open(struct cgroup **ret_cgroup, const char *description, struct err *err);

/* One line of text without newline that identifies the cgroup, to be kept in the container's state;
 * the caller frees it. NULL when out of memory. */
char *cgroup_describe(const struct cgroup *cgroup);

/* New limits for a cgroup that exists. */
int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err);

/* The processes in it and below it, in a fresh array, each once. */
int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err);

/* Waits, bounded, until every process is frozen or thawed. */
int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct err *err);
bool cgroup_is_frozen(struct cgroup *cgroup);

/* Sends a signal to every process in it and below it (SIGKILL by cgroup.kill where there is one).
 * No process is no error. */
int cgroup_kill(struct cgroup *cgroup, int signal, struct err *err);

/* Removes it with all below. Processes that are left are killed first, thawed if need be; waits for
 * their end, bounded. A cgroup that is gone is no error. */
int cgroup_remove(struct cgroup *cgroup, struct err *err);

struct cgroup *cgroup_free(struct cgroup *cgroup);

/* What `events --stats` shows. Absent controllers leave their `present` false. */
struct cgroup_stats {
	struct {
		bool present;
		uint64_t total_ns, user_ns, kernel_ns;
		uint64_t periods, throttled_periods, throttled_ns;
	} cpu;
	struct {
		bool present;
		uint64_t usage, max_usage, limit, failcnt;
		uint64_t swap_usage, swap_limit; /* with memory, as v1 counts; UINT64_MAX: none */
		uint64_t kernel_usage;
		uint64_t cache, anon; /* bytes */
		uint64_t oom_kills;
	} memory;
	struct {
		bool present;
		uint64_t current, limit; /* limit 0: none */
	} pids;
	struct {
		bool present;
		uint64_t read_bytes, write_bytes, read_ops, write_ops;
	} io;
	/* memory.stat, one "name value" a line, to be freed by the caller; may be NULL */
	char *memory_stat;
};
int cgroup_stats(struct cgroup *cgroup, struct cgroup_stats *ret_stats, struct err *err);

/* For `features`: which layout this machine has ("v2", "v1", "hybrid", "none"). */
const char *cgroup_layout(void);

/* Blocks until the kernel kills a process of the cgroup for want of memory (returns 1), its last
 * process ends (0), or `timeout_ms` has passed (2). */
int cgroup_wait_event(struct cgroup *cgroup, int timeout_ms, struct err *err);
