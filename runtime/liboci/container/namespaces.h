/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: making the container's first process in new ones, joining others by path, and the
 * identity maps of a user namespace.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct oci_linux;

/* Namespaces to be joined, by descriptors opened beforehand; -1: none of that type. */
struct namespace_joins {
	int fds[8]; /* by enum oci_namespace_type; owned */
	int pidfd;  /* instead: those of this process, all that are in `pidfd_flags`; owned */
	uint64_t pidfd_flags;
};

/* Opens what the config names by path, and checks the types. On failure nothing stays open. */
int namespaces_open(struct namespace_joins *ret_joins, const struct oci_linux *linux_part,
		    struct err *err);
void namespace_joins_done(struct namespace_joins *joins);

struct spawn {
	const struct namespace_joins *joins; /* borrowed */
	uint64_t new_flags; /* CLONE_NEW* for clone3 */
	int cgroup_fd;	    /* to be born in, or -1 */
	int socket;	    /* the child's end; a stage sends SYNC_PID over it */
	int (*child)(void *context); /* in the new process; its result is the exit status */
	void *context;
};

/* Makes the process; it is a child of the caller in any case. *ret_in_cgroup says whether it was
 * born in the cgroup, or has still to be moved. Reads SYNC_PID from `parent_socket` when there was
 * a stage: a process between, needed where joining a namespace only takes effect for children. */
int namespaces_spawn(const struct spawn *spawn, int parent_socket, pid_t *ret_pid,
		     bool *ret_in_cgroup, struct err *err);

/* The CLONE_NEW* flags for clone3 of the namespaces that the config wants new. Cgroup and time
 * namespaces are not among them: the child makes these itself (namespaces_unshare). */
uint64_t namespaces_new_flags(const struct oci_linux *linux_part);

/* In the child, before it becomes root of its user namespace and its files in /proc the host's
 * root's: opens the file of the time namespace's offsets, if the config has some. */
int namespaces_open_time_offsets(const struct oci_linux *linux_part, int *ret_fd, struct err *err);

/* In the child, once it is in its cgroup: the new cgroup namespace takes the cgroup of that moment
 * as its root; the time namespace gets its offsets, through that file, before anybody is in it. */
int namespaces_unshare(const struct oci_linux *linux_part, int time_offsets, struct err *err);

/* The flags of all namespaces that a container with this config has of its own. */
uint64_t namespaces_all_flags(const struct oci_linux *linux_part);

/* From outside: /proc/PID/uid_map, gid_map and setgroups, by newuidmap and newgidmap where the
 * caller may not write them itself. */
int namespaces_map_ids(pid_t pid, const struct oci_linux *linux_part, struct err *err);
