/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting of error reports. Nothing here allocates; a message that does not fit is cut.
 */
#include "err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
	char tail[ERR_MESSAGE_BYTES];
	va_list args;
	size_t n;

	if (!err)
		return code;
	err->code = code;
	memcpy(tail, err->message, sizeof(tail));
	va_start(args, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	n = strlen(err->message);
	(void)snprintf(err->message + n, sizeof(err->message) - n, ": %s", tail);
	return code;
}
