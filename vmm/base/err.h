/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's error report: a code and one line of text.
 *
 * Every function that can fail for a reason worth telling takes a `struct err *` last. The struct
 * belongs to the caller, has a fixed size, never allocates, and may be NULL when the caller does
 * not care. It is filled where the error arises; a layer above may prefix it once.
 */
#pragma once

#include <stdarg.h>

enum { ERR_MESSAGE_BYTES = 400 };

struct err {
	int code; /* negative errno, 0 while nothing has failed */
	char message[ERR_MESSAGE_BYTES];
};

/* Fills `err` (if any) and returns `code`, so that callers write `return err_set(err, -EIO, …)`. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *fmt, ...);

/* Puts "prefix: " before the message, once per layer. Returns the code that `err` holds, or `code`
 * when `err` is NULL. */
__attribute__((format(printf, 3, 4))) int err_prefix(struct err *err, int code, const char *fmt,
						     ...);
