/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liboci: containers by the OCI runtime specification 1.1, on Linux 5.12 or later.
 *
 * The library has no policy: it reads no environment, prints nothing, and knows no command line.
 * run0 is its command; the guest's PID 1 uses the same functions. One container is one folder in
 * the state root, ROOT/ID, with a lock, so any number of processes may call at once.
 *
 * All functions block until done, return 0 or -errno, and fill `err` with one line. Errors that
 * callers tell apart: -ENOENT no such container, -EEXIST the id is taken, -EINVAL the config or an
 * argument is wrong, -EBUSY the container is in a state in which this cannot be done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

enum oci_status {
	OCI_CREATING, /* being made, or its maker died while making it */
	OCI_CREATED,
	OCI_RUNNING,
	OCI_PAUSED,
	OCI_STOPPED,
};

const char *oci_status_name(enum oci_status status);

/* The runtime's own configuration. Zero means default, except for `root`. */
struct oci_runtime {
	const char *root; /* absolute folder of all state; made with mode 0700 when missing */
	bool systemd_cgroup;
	bool cgroup_disabled; /* make and enter no cgroup, whatever the config says */
	bool rootless; /* the caller is not the host's root */
	/* Told of things that were left out; may be NULL. Both are called in the caller's
	 * process. */
	void (*warn)(void *context, const char *message);
	/* Told when the relay between `terminal_fd` and the container's terminal begins and when it
	 * has ended, so that the caller can make its terminal raw meanwhile; may be NULL. */
	void (*relaying)(void *context, bool begins);
	void *context;
};

struct oci_create_options {
	const char *id;	    /* [A-Za-z0-9_+.-]{1,255}, not beginning with a dot */
	const char *bundle; /* folder with config.json */
	const char *pid_file;	    /* NULL: none */
	const char *console_socket; /* NULL: none. Needed when the process wants a terminal, except
				     * by oci_run in the foreground, which uses `terminal_fd` */
	int terminal_fd;	/* oci_run: the caller's terminal, to be relayed; -1: none */
	unsigned int preserve_fds; /* the caller's from 3 on that the process inherits */
	unsigned int listen_fds; /* so many of them, from 3 on, are sockets of socket activation:
				  * LISTEN_FDS and LISTEN_PID go into the environment */
	bool no_pivot, no_new_keyring;
	bool detach; /* oci_run: return when it is started */
	bool keep;   /* oci_run: do not delete it after its end */
};

/* The container's first process exists in all its namespaces and waits for oci_start. */
int oci_create(const struct oci_runtime *runtime, const struct oci_create_options *options,
	       struct err *err);
int oci_start(const struct oci_runtime *runtime, const char *id, struct err *err);

/* Both; in the foreground also waits (forwarding signals to the container: the caller's are
 * blocked meanwhile) and deletes. *ret_status is the exit status as a shell has it: 128 + signal
 * for a death by signal. */
int oci_run(const struct oci_runtime *runtime, const struct oci_create_options *options,
	    int *ret_status, struct err *err);

struct oci_exec_options {
	const char *id;
	const char *process_path; /* a file with a process object; NULL: args below and the rest
				   * from the container's own process */
	const char *const *args; /* NULL-terminated */
	const char *const *env;	 /* NAME=VALUE added; NULL-terminated, or NULL */
	const char *cwd;	 /* NULL: the container's */
	const char *user;	 /* UID[:GID], or NULL */
	const uint32_t *additional_gids;
	size_t additional_gid_count;
	const char *const *caps; /* CAP_* added; NULL-terminated, or NULL */
	const char *apparmor, *process_label; /* or NULL */
	bool no_new_privs;
	bool tty, detach;
	bool ignore_paused; /* into a paused container too: the process will wait */
	const char *pid_file, *console_socket;
	const char *cgroup; /* a child cgroup to enter, or NULL */
	int terminal_fd; /* these three as in oci_create_options */
	unsigned int preserve_fds, listen_fds;
};
int oci_exec(const struct oci_runtime *runtime, const struct oci_exec_options *options,
	     int *ret_status, struct err *err);

/* Signal to the first process, or to all. -ESRCH when the container has stopped. */
int oci_kill(const struct oci_runtime *runtime, const char *id, int signal, bool all,
	     struct err *err);

/* Only of a stopped container unless `force`, which kills it first, removes whatever is left of one
 * that was half made, and for which a container that does not exist is no error. */
int oci_delete(const struct oci_runtime *runtime, const char *id, bool force, struct err *err);

/* State as the specification has it, as JSON text that the caller frees. */
int oci_state_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err);

struct oci_container_info {
	char *id, *bundle, *rootfs, *created, *owner; /* created: RFC 3339 */
	pid_t pid;	       /* 0 when stopped */
	enum oci_status status;
};
/* All containers, sorted by id; to be freed with oci_list_free. One that cannot be read is warned
 * of and left out. */
int oci_list(const struct oci_runtime *runtime, struct oci_container_info **ret_containers,
	     size_t *ret_count, struct err *err);
void oci_list_free(struct oci_container_info *containers, size_t count);

/* Processes in the container, in the caller's PID namespace; the caller frees the array. */
int oci_pids(const struct oci_runtime *runtime, const char *id, pid_t **ret_pids, size_t *ret_count,
	     struct err *err);

int oci_pause(const struct oci_runtime *runtime, const char *id, struct err *err);
int oci_resume(const struct oci_runtime *runtime, const char *id, struct err *err);

/* `json`: a linux.resources object. */
int oci_update(const struct oci_runtime *runtime, const char *id, const char *json, size_t bytes,
	       struct err *err);

/* One event as runc's `events --stats` prints it, as JSON text that the caller frees. */
int oci_stats_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err);

/* Waits for the next event: 1 out of memory, 0 the container has ended, 2 time-out. */
int oci_wait_event(const struct oci_runtime *runtime, const char *id, int timeout_ms,
		   struct err *err);

/* Documents of this build and kernel, as JSON text that the caller frees: `features` (runtime
 * specification 1.1, features.md) and `spec` (a config.json to start from). */
char *oci_features_json(void);
char *oci_default_spec_json(bool rootless);

/* Whether the caller must run itself again from a place where the container cannot write to its
 * program (CVE-2019-5736); then never returns on success. To be called first in main() of a program
 * that will call oci_create, oci_run or oci_exec. docs/adr says why. */
int oci_protect_self(char **argv, char **envp, struct err *err);
