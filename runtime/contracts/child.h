/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function as a child process, and the duties of the first process of a PID namespace: orphans
 * are reaped, signals are handed on.
 *
 * All signals are blocked and come through a descriptor, so that one poll waits for everything.
 */
#pragma once

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "output.h"

struct err;

/* Slots of a poll set that child_poll fills itself; the caller's come behind. */
enum {
	CHILD_POLL_SIGNALS,
	CHILD_POLL_OUTPUT,
	CHILD_POLL_FIRST,
	CHILD_TEXT_BYTES = 96,
};

struct child {
	char *path;	   /* owned: the program, found once */
	char *const *argv; /* borrowed */
	char **environment; /* owned: the array; the words are borrowed */
	sigset_t signals_before; /* what the function gets */
	int signal_fd;		 /* owned */
	pid_t pid;		 /* 0: none was started */
	bool ended;
	int status;	    /* as wait has it; valid once it ended */
	int signal_pending; /* came while there was no process: 0 or the last of them */
	struct output output;
};

/* Finds the program and takes the signals over. `extra` are words NAME=VALUE, NULL-terminated, that
 * take the place of the environment's; they must outlive the child. */
int child_init(struct child *child, char *const *command, char *const *extra, struct err *err);

/* Starts the program with these as its descriptors 0 to 2 (-1: as they are here). */
int child_start(struct child *child, const int fds[3], struct err *err);

/* The same with no input, and both outputs into child->output. */
int child_start_logged(struct child *child, struct err *err);

/* Waits until one of fds[CHILD_POLL_FIRST..count) is ready, or something happened to the child:
 * output is taken, signals are handled. 0, -ETIMEDOUT, -errno. deadline_ns: of CLOCK_MONOTONIC,
 * or 0. */
int child_poll(struct child *child, struct pollfd *fds, size_t count, uint64_t deadline_ns);

/* Waits for the child's end: true when it came before the deadline. */
bool child_wait(struct child *child, uint64_t deadline_ns);

/* Kills what is left of the child and of its process group, and reaps it. */
void child_kill(struct child *child);

/* "ended with status 3", "was killed by signal 9 (Killed)". */
const char *child_describe(const struct child *child, char text[CHILD_TEXT_BYTES]);

/* -ECHILD, and in `err` how the child ended and the last that it printed. */
int child_ended(struct child *child, struct err *err);

/* What the contract returns: the status of a child that ended, 0 to 255 as a shell counts (128 and
 * the signal for one that was killed), else `r`. What is left of the child is killed. */
int child_finish(struct child *child, int r);

/* CLOCK_MONOTONIC in `ms` from now; 0 for 0, which is none. */
uint64_t deadline_in(uint64_t ms);
