/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the mailbox: writing orders, reading answers.
 *
 * Pure functions over the 2 MiB of the mailbox. The guest can change those bytes at any time, also
 * between two reads here, so whatever it wrote is copied once and the copy is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "mailbox.h"

/* What makes a clone itself. Every clone needs fresh values. */
struct mailbox_identity {
	uint64_t generation;
	uint8_t entropy[64];
};

/* Takes entropy and a generation from getrandom(2). 0 or -errno. */
int mailbox_identity_new(struct mailbox_identity *ret_identity, struct err *err);

/* Where a request of `bytes` has to be put; -EMSGSIZE when it is too large. */
int mailbox_request_place(size_t bytes, uint32_t *ret_offset, struct err *err);

/* Writes the header's host half. The payload (request bytes at mailbox_request_place, or the list
 * of `touch_count` addresses at MAILBOX_REQUEST_OFFSET) has to be there already. */
void mailbox_order_write(void *mailbox, enum mailbox_order order,
			 const struct mailbox_identity *identity, uint64_t sequence,
			 uint32_t request_offset, uint32_t request_bytes, uint32_t touch_count);

/* Payload and header of a REQUEST, or of any order whose payload is one piece. */
int mailbox_request_write(void *mailbox, enum mailbox_order order,
			  const struct mailbox_identity *identity, uint64_t sequence,
			  const void *data, size_t bytes, struct err *err);

/* The same of a FILE: `path` has file->path_bytes bytes, `data` file->data_bytes. -EINVAL for what
 * no guest takes: a path that is empty, too long or absolute or has a component "..", "." or "", or
 * another type than a regular file, a folder or a symbolic link. -EMSGSIZE when it is too large. */
int mailbox_file_write(void *mailbox, const struct mailbox_identity *identity, uint64_t sequence,
		       const struct mailbox_file *file, const char *path, const void *data,
		       struct err *err);

/* How much data fits into one FILE whose path has so many bytes. */
uint32_t mailbox_file_room(uint32_t path_bytes);

/* Checks what is to be the payload of a CREATE, struct mailbox_create included: -EINVAL when its
 * length is not as it says, or when it has flags that are not known. */
int mailbox_create_check(const void *data, size_t bytes, struct mailbox_create *ret_create,
			 struct err *err);

struct mailbox_answer {
	uint32_t offset, bytes; /* inside the mailbox, checked */
};

/* After DOORBELL_DONE or DOORBELL_FAILED. -EPROTO when the guest's half is not in order. */
int mailbox_answer_read(const void *mailbox, struct mailbox_answer *ret_answer, struct err *err);

/* After DOORBELL_FAILED: copies at most `cap` bytes of the message, returns how many; 0 when the
 * guest's half is not in order. */
size_t mailbox_failure_read(const void *mailbox, char *text, size_t cap);

/* After DOORBELL_LOG: copies at most `cap` bytes of text, returns how many. */
size_t mailbox_log_read(const void *mailbox, char *text, size_t cap);
