/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's terminal.
 */
#include "terminal.h"

#include <unistd.h>

struct terminal terminal_find(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (isatty(fd))
			return (struct terminal){ .fd = fd };
	return (struct terminal){ .fd = -1 };
}

void terminal_make_raw(struct terminal *terminal)
{
	struct termios raw;

	if (terminal->fd < 0 || terminal->is_raw || tcgetattr(terminal->fd, &terminal->before) < 0)
		return;
	raw = terminal->before;
	cfmakeraw(&raw);
	/* What was typed before stays in the queue: it is meant for the container. */
	terminal->is_raw = tcsetattr(terminal->fd, TCSANOW, &raw) == 0;
}

void terminal_restore(struct terminal *terminal)
{
	if (!terminal->is_raw)
		return;
	(void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->before);
	terminal->is_raw = false;
}
