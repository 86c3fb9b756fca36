/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's serial console on our own descriptors. Output is written as it comes, on the vCPU's
 * thread; input has a thread of its own.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "lumper_priv.h"

#define ESCAPE 0x01 /* Ctrl-A */

struct console {
	int fd;	       /* borrowed */
	struct vm *vm; /* borrowed */
	pthread_t thread;
	bool has_thread, has_mode;
	struct termios mode; /* of stdin, to be restored */
	atomic_bool wants_exit;
};

int console_new(struct console **ret_console, int fd, struct err *err)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return err_set(err, -ENOMEM, "out of memory");
	console->fd = fd;
	*ret_console = console;
	return 0;
}

/* A reader that went away must not end the guest. */
void console_write(void *context, const uint8_t *data, size_t bytes)
{
	const struct console *console = context;

	(void)file_write_all(console->fd, data, bytes);
}

/* True when the byte belongs to an escape sequence and is not for the guest. */
static bool handle_escape(struct console *console, bool *escaped, uint8_t byte)
{
	if (!*escaped && byte == ESCAPE) {
		*escaped = true;
		return true;
	}
	if (*escaped && byte == 'x') {
		atomic_store(&console->wants_exit, true);
		vm_kick(console->vm);
		return true;
	}
	*escaped = false;
	return false;
}

static void *input_thread(void *context)
{
	struct console *console = context;
	bool escaped = false;
	uint8_t byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (handle_escape(console, &escaped, byte))
			continue;
		/* A full queue means that the guest does not read: wait for it. */
		while (vm_console_input(console->vm, &byte, 1) == 0)
			(void)usleep(1000);
	}
	return NULL;
}

int console_start_input(struct console *console, struct vm *vm, struct err *err)
{
	struct termios raw;
	sigset_t all, old;
	int r;

	console->vm = vm;
	if (tcgetattr(STDIN_FILENO, &console->mode) == 0) {
		console->has_mode = true;
		raw = console->mode;
		cfmakeraw(&raw);
		raw.c_oflag |= OPOST;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* Signals are the owner thread's business. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&console->thread, NULL, input_thread, console);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return err_set(err, -r, "cannot start the console's thread: %s", strerror(r));
	console->has_thread = true;
	return 0;
}

bool console_wants_exit(const struct console *console)
{
	return atomic_load(&console->wants_exit);
}

struct console *console_free(struct console *console)
{
	if (!console)
		return NULL;
	if (console->has_thread) {
		(void)pthread_cancel(console->thread);
		(void)pthread_join(console->thread, NULL);
	}
	if (console->has_mode)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &console->mode);
	free(console);
	return NULL;
}
