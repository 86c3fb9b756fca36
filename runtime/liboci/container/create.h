/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What making a container and running a further process in one have in common.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;
struct oci_process;

/* Whether terminal, console socket and detaching go together. */
int check_terminal(const struct oci_process *process, const char *console_socket, bool detach,
		   struct err *err);

/* Whether the descriptors 3 to 2 + N are open. To be asked before we open any of our own, which
 * would else take their places. */
int check_preserved(unsigned int preserve_fds, struct err *err);

/* Appears whole. */
int write_pid_file(const char *path, pid_t pid, struct err *err);

/* Waits until the program runs: the socket's other end closes then. A failure that comes instead is
 * returned. */
int wait_for_program(int socket, struct err *err);
