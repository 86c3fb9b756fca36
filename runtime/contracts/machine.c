/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libquark as the contracts use it. Its hooks are found at link time: a libquark without them gets
 * them called around the first quark_next, which is the same for a template without warm-up.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mailbox.h"
#include "number.h"

enum { FAIL_MESSAGE_BYTES = 512 };

__attribute__((weak)) int quark_before_snapshot(void (*hook)(void *), void *context);
__attribute__((weak)) int quark_after_restore(void (*hook)(void *), void *context);

/* The hooks that are still to be called by machine_next: a process has one machine. */
static const struct machine_hooks *own_hooks;

/* The descriptors stay open for libquark, but do not live through exec. */
static void descriptor_keep(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t fd;

	if (text && number_parse(text, 0, INT32_MAX, &fd))
		(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

int machine_open(struct err *err)
{
	if (!quark_response_buffer())
		return err_set(err, -ENODEV,
			       "this process was given no doorbell and mailbox: it has to be the "
			       "first one of a function's container");
	descriptor_keep(QUARK_ENV_DOORBELL_FD);
	descriptor_keep(QUARK_ENV_MAILBOX_FD);
	return 0;
}

int machine_hooks_add(const struct machine_hooks *hooks, struct err *err)
{
	int r = 0;

	if (!quark_before_snapshot || !quark_after_restore) {
		own_hooks = hooks;
		return 0;
	}
	if (hooks->before_snapshot)
		r = quark_before_snapshot(hooks->before_snapshot, hooks->context);
	if (r == 0 && hooks->after_restore)
		r = quark_after_restore(hooks->after_restore, hooks->context);
	return r < 0 ? err_set(err, r, "libquark refuses the hooks: %s", strerror(-r)) : 0;
}

int machine_next(struct quark_request *ret_request, struct err *err)
{
	const struct machine_hooks *hooks = own_hooks;
	int r;

	own_hooks = NULL;
	if (hooks && hooks->before_snapshot)
		hooks->before_snapshot(hooks->context);
	r = quark_next(ret_request);
	if (r < 0)
		return err_set(err, r, "the host's side of the mailbox is not in order: %s",
			       strerror(-r));
	if (hooks && hooks->after_restore)
		hooks->after_restore(hooks->context);
	return 0;
}

void machine_fail(const char *format, ...)
{
	char message[FAIL_MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	(void)quark_fail(message);
}

void machine_end(const char *contract, const char *reason)
{
	(void)quark_fail(reason);
	(void)fprintf(stderr, "contract %s: %s\n", contract, reason);
}
