/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the runtime and the container's first process talk while the container is being made: short
 * packets over a socket pair, in lockstep. When one side dies the other reads an end of file.
 */
#pragma once

#include <stdint.h>

struct err;

enum sync_kind {
	SYNC_PID,      /* from the stage: `number` is the first process's pid */
	SYNC_GO,       /* to the child: go on; `number` is its pid as the runtime sees it */
	SYNC_CONSOLE,  /* from the child: the terminal's primary end comes with it */
	SYNC_MOUNTED,  /* from the child: hooks of the runtime's side, please */
	SYNC_READY,    /* from the child: the container is made */
	SYNC_FAILED,   /* from the child: `number` is -errno, the text says why */
};

enum { SYNC_TEXT_BYTES = 512 };

struct sync_message {
	enum sync_kind kind;
	int32_t number;
	char text[SYNC_TEXT_BYTES]; /* terminated */
};

/* Close-on-exec. */
int sync_pair(int ret_fds[2], struct err *err);

/* `fd` -1: none goes along. 0 or -errno. */
int sync_send(int socket, enum sync_kind kind, int32_t number, const char *text, int fd);

/* Waits. -EPIPE when the other side is gone. *ret_fd is -1, or a descriptor that came along; NULL
 * when none is expected. */
int sync_receive(int socket, struct sync_message *ret_message, int *ret_fd);
