/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's terminal, while liboci relays between it and a container's: it is raw then, since
 * the container's terminal does the echo and the line editing, and ^C must reach the container.
 */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct terminal {
	int fd; /* borrowed: one of the standard streams; -1: none of them is a terminal */
	bool is_raw;
	struct termios before; /* valid while is_raw */
};

/* The first standard stream that is a terminal. */
struct terminal terminal_find(void);

/* Neither reports a failure: a terminal that has hung up cannot be set, and need not be. */
void terminal_make_raw(struct terminal *terminal);
void terminal_restore(struct terminal *terminal);
