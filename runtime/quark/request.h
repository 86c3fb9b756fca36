/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request that a command line names, read as a whole.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct request {
	uint8_t *data; /* owned */
	size_t bytes;
};

/* NULL: empty; "-": all of stdin; "@FILE": the file; anything else: the text itself. -EMSGSIZE when
 * it is larger than the mailbox takes. */
int request_read(struct request *ret_request, const char *source, struct err *err);
void request_done(struct request *request);

/* A descriptor that reads the request from its beginning; the caller closes it. */
int request_open(const struct request *request, int *ret_fd, struct err *err);

#define cleanup_request __attribute__((cleanup(request_done)))
