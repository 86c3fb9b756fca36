/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process, from its birth in the new namespaces to its program.
 */
#pragma once

#include <stdbool.h>

struct container;
struct err;
struct namespace_joins;
struct oci_spec;
struct rootfs;
struct seccomp_filter;

/* All borrowed: the process has a copy of its maker's memory. */
struct init {
	struct oci_spec *spec; /* the process's environment may get a HOME */
	struct container *container; /* its record is copied into hooks' state */
	struct rootfs *rootfs;
	const struct seccomp_filter *seccomp; /* may be NULL */
	int seccomp_agent;	/* connected, or -1 */
	int socket, peer;	/* sync: our end, and the maker's, to be closed */
	int start_fifo;		/* open for reading; -1: the maker starts it by SYNC_GO */
	int error_file;		/* where failures go once the maker may be gone; -1: the socket */
	int time_offsets;	/* owned by init_run; -1 */
	bool no_new_keyring;
	unsigned int preserve_fds, listen_fds;
};

/* To be run in the new process; returns only when something failed, with an exit status. */
int init_run(void *init);

/* What `create` and `exec` share: everything between joining namespaces and the program. */

/* No signal is blocked or ignored, whatever the caller of the runtime does. */
void init_reset_signals(void);
/* New session, root of the user namespace. */
int init_begin(bool user_namespace, struct err *err);
/* Makes the terminal this process's controlling one, and its standard streams. */
int init_take_terminal(int secondary, struct err *err);
