/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the container's root user to the program that the config names: limits, labels, user,
 * capabilities, system call filter, exec.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "spec/spec.h"

struct err;
struct seccomp_filter;

/* From outside, on process `pid`, with the runtime's privileges: oom_score_adj and resource limits
 * (prlimit), scheduler and I/O priority. What the config asks for and is not permitted fails by the
 * member's path: "process.rlimits[0]: …". `rootless`: oom_score_adj that cannot be lowered is left
 * (as runc does). */
int process_limit(pid_t pid, const struct oci_process *process, bool rootless, struct err *err);

enum { PROCESS_KEPT_FDS = 4 };

struct process_context {
	const struct oci_process *process; /* borrowed */
	const struct seccomp_filter *seccomp; /* borrowed; NULL: none */
	int seccomp_socket;	/* connected to the notify agent, or -1 */
	const char *state_json;	/* what the agent is sent with the descriptor; NULL without agent */
	struct oci_number personality; /* linux.personality */
	bool need_cwd; /* a missing working folder is an error, and not made */
	unsigned int preserve_fds; /* descriptors 3 to 2 + N stay open in the program */
	/* Descriptors that stay open until the exec, such as those that failures are reported to;
	 * close-on-exec, and none of a folder. -1 or 0: none. */
	int keep_fds[PROCESS_KEPT_FDS];
	/* Called with the program's privileges and descriptors, before the filter; may be NULL. */
	int (*before_filter)(void *before_filter_context, struct err *err);
	void *before_filter_context;
};

/* Inside, once the root is entered: resolves args[0] with the process's own PATH as the final user
 * would find it: -ENOENT, -EACCES. *ret_path is to be freed. Done before the container counts as
 * created, so that a wrong program fails `create`. */
int process_find_program(const struct oci_process *process, char **ret_path, struct err *err);

/* Inside: umask, labels for exec, groups and user, capabilities, no_new_privs, filter, working
 * folder (made when missing, unless `need_cwd`; checked to be inside the root: CVE-2024-21626),
 * every other descriptor closed. Last the filter: afterwards only process_exec may be called, and
 * what else the process calls may fail or kill it. Without no_new_privs and with a filter,
 * CAP_SYS_ADMIN stays permitted until the exec. */
int process_become(const struct process_context *context, struct err *err);

/* execve; returns only on failure, -errno. */
int process_exec(const struct oci_process *process, const char *path, struct err *err);
