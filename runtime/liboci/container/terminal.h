/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's side of a container's terminal, and of its life in the foreground.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

struct err;
struct oci_process;
struct oci_runtime;

/* Sends the primary end to the process that listens at `path`, as runc does: one message with the
 * descriptor. */
int terminal_send(const char *path, int primary, struct err *err);

/* Gives a process that wants a terminal the size of the caller's, if `terminal_fd` is not -1. To be
 * called before it is made, so that it never sees another one. */
void terminal_take_size(struct oci_process *process, int terminal_fd);

/* Blocks the signals that are meant for a container in the foreground, and SIGPIPE: that nobody
 * reads its output any more is no reason to leave it alone. *ret_old is for foreground_unblock. To
 * be called before its process is made. */
void foreground_block(sigset_t *ret_old);
void foreground_unblock(const sigset_t *old);

/* Until process `pid`, a child of ours, ends: passes the blocked signals on to it, and, with a
 * terminal (`primary` >= 0), standard input and output, and changes of the size of `terminal_fd`.
 * *ret_status is as a shell has it. */
int foreground_wait(const struct oci_runtime *runtime, pid_t pid, int primary, int terminal_fd,
		    int *ret_status, struct err *err);
