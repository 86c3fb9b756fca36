/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's serial console on our own descriptors. Output is written as it comes, on the vCPU's
 * thread; input has a thread of its own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
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
	int wake; /* owned eventfd that ends the thread, or -1 */
	bool has_thread, has_mode;
	struct termios mode; /* of stdin, to be restored */
	atomic_bool wants_exit, stops;
};

int console_new(struct console **ret_console, int fd, struct err *err)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return err_set(err, -ENOMEM, "out of memory");
	console->fd = fd;
	console->wake = -1;
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

/* Waits for a byte; false at the end of input or when the thread is to end. */
static bool next_byte(const struct console *console, uint8_t *ret_byte)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = console->wake, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		if (errno != EINTR)
			return false;
	return !fds[1].revents && read(STDIN_FILENO, ret_byte, 1) == 1;
}

static void *input_thread(void *context)
{
	struct console *console = context;
	bool escaped = false;
	uint8_t byte;

	while (next_byte(console, &byte)) {
		if (handle_escape(console, &escaped, byte))
			continue;
		/* A full queue means that the guest does not read: wait for it. */
		while (vm_console_input(console->vm, &byte, 1) == 0 &&
		       !atomic_load(&console->stops))
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
	console->wake = eventfd(0, EFD_CLOEXEC);
	if (console->wake < 0)
		return err_set(err, -errno, "eventfd: %s", strerror(errno));
	if (tcgetattr(STDIN_FILENO, &console->mode) == 0) {
		console->has_mode = true;
		raw = console->mode;
		cfmakeraw(&raw);
		raw.c_oflag |= OPOST;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* Signals are the owner thread's business; but for the one by which libpsx has each thread
	 * drop its capabilities, and for which it waits. */
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);
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

/* Not by pthread_cancel: it loads a library, which the jail does not allow. */
void console_stop_input(struct console *console)
{
	static const uint64_t one = 1;

	if (!console->has_thread)
		return;
	atomic_store(&console->stops, true);
	(void)file_write_all(console->wake, &one, sizeof(one));
	(void)pthread_join(console->thread, NULL);
	console->has_thread = false;
}

struct console *console_free(struct console *console)
{
	if (!console)
		return NULL;
	console_stop_input(console);
	(void)fd_close(console->wake);
	if (console->has_mode)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &console->mode);
	free(console);
	return NULL;
}
