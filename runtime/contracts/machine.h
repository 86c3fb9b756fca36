/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the host: libquark, and what the contracts need around it.
 */
#pragma once

#include "quark.h"

struct err;

struct machine_hooks {
	void (*before_snapshot)(void *context); /* may be NULL, as may the next */
	void (*after_restore)(void *context);
	void *context;
};

/* Maps doorbell and mailbox, and keeps both from the function. */
int machine_open(struct err *err);

/* To be called once, before the first machine_next. `hooks` must outlive the process. */
int machine_hooks_add(const struct machine_hooks *hooks, struct err *err);

/* Waits for a request: quark_next, with its errors in words. */
int machine_next(struct quark_request *ret_request, struct err *err);

/* Fails the current request with a message that is made here. */
__attribute__((format(printf, 1, 2))) void machine_fail(const char *format, ...);

/* The contract ends for this reason: fails the current request, if there is one, and writes the
 * reason to standard error, where a build sees it. */
void machine_end(const char *contract, const char *reason);
