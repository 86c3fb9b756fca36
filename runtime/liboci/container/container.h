/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container as this library's own files see it: its folder in the state root, and what is
 * recorded there.
 *
 *	ROOT/ID/          0700; locked (flock) by whoever changes the container
 *	  state.json      the record, replaced by rename
 *	  config.json     the configuration that it was made from
 *	  start           FIFO; exists until the container is started
 *	  error           what went wrong between `start` and the program, written by the container
 *
 * Crash safety is in the order: the record names the cgroup before the cgroup exists; the first
 * process ends by itself when its maker dies before it is recorded; the record goes last.
 */
#pragma once

#include <sys/types.h>

#include "oci.h"

struct oci_hooks;
struct oci_spec;
struct cgroup;

/* What state.json holds. All strings are owned. */
struct record {
	char *bundle, *rootfs; /* absolute */
	char *created;	       /* RFC 3339 */
	char *cgroup;	       /* cgroup_describe's text */
	char *intel_rdt;       /* folder to remove, or NULL */
	uid_t owner;
	pid_t pid;	    /* 0: not there yet */
	uint64_t pid_start; /* of /proc/PID/stat: tells it from a later process of that number */
	bool created_whole; /* creation came to its end */
	bool no_pivot;	    /* the root is a chroot: exec has to enter it too */
};

struct container {
	const struct oci_runtime *runtime; /* borrowed */
	char *id;			   /* owned */
	int root_fd;			   /* the state root */
	int dir_fd;			   /* ROOT/ID; its lock, when taken, goes with it */
	struct record record;
};

/* Claims a new id: the folder exists afterwards and is locked. -EEXIST. */
int container_claim(struct container *container, const struct oci_runtime *runtime, const char *id,
		    struct err *err);

/* Opens the folder of one that exists, and reads the record unless it is missing or damaged: then
 * the error is -ENODATA and the container is open all the same, for `delete --force`. With `lock`,
 * waits for the lock. -ENOENT. */
int container_open(struct container *container, const struct oci_runtime *runtime, const char *id,
		   bool lock, struct err *err);

/* As container_open with the lock, but -EBUSY at once for one that is being made: its maker has the
 * lock, and a hook that waited for it would never end. */
int container_open_made(struct container *container, const struct oci_runtime *runtime,
			const char *id, struct err *err);

/* Others may change it again; the folder stays open. Also frees a lock that a process made
 * meanwhile has a copy of. */
void container_unlock(const struct container *container);

/* Takes the lock back. -ENOENT: the container was deleted meanwhile. */
int container_lock_again(const struct container *container, struct err *err);

void container_done(struct container *container);

/* Replaces state.json. */
int container_save(const struct container *container, struct err *err);

/* Removes the folder; the record goes last. */
int container_remove_folder(const struct container *container, struct err *err);

int container_write_file(const struct container *container, const char *name, const char *text,
			 size_t bytes, struct err *err);

/* The saved configuration. */
int container_load_spec(const struct container *container, struct oci_spec **ret_spec,
			struct err *err);

/* From the process, the FIFO and the cgroup; opens the latter only when there is need. */
enum oci_status container_status(const struct container *container);

/* Whether the first process is alive (a zombie is not). */
bool container_is_alive(const struct container *container);

/* A descriptor of the first process, checked to be the recorded one. -ESRCH. */
int container_pidfd(const struct container *container, struct err *err);

/* The field "starttime" of /proc/PID/stat, and the state's letter; false when there is none. */
bool process_stat(pid_t pid, char *ret_state, uint64_t *ret_start);

/* The state that the specification describes, as text to be freed; NULL when out of memory.
 * `annotations` may be NULL. */
char *container_state_json(const struct container *container, enum oci_status status,
			   const struct oci_spec *spec);

/* The "container process state" that a seccomp agent is sent; the same way. */
char *container_agent_json(const struct container *container, const struct oci_spec *spec);

/* Opens the recorded cgroup. */
int container_cgroup(const struct container *container, struct cgroup **ret_cgroup,
		     struct err *err);

/* What is left of a container goes: processes, cgroup, folder; the hooks of `spec` (may be NULL)
 * run before the folder does. Failures are warned of, so that as much as possible goes. */
int container_clear(struct container *container, const struct oci_spec *spec, struct err *err);

__attribute__((format(printf, 2, 3))) void runtime_warn(const struct oci_runtime *runtime,
							const char *fmt, ...);

/* Names of capabilities that are none are left out. */
void warn_of_unknown_capability(const struct oci_runtime *runtime, const struct oci_spec *spec);

enum { STATE_MAX_BYTES = 1 << 20, KILL_TIMEOUT_MS = 10000 };

#define STATE_FILE "state.json"
#define CONFIG_FILE "config.json"
#define START_FIFO "start"
#define ERROR_FILE "error"
