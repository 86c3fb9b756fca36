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

struct mailbox_answer {
	uint32_t offset, bytes; /* inside the mailbox, checked */
};

/* After DOORBELL_DONE or DOORBELL_FAILED. -EPROTO when the guest's half is not in order. */
int mailbox_answer_read(const void *mailbox, struct mailbox_answer *ret_answer, struct err *err);

/* After DOORBELL_LOG: copies at most `cap` bytes of text, returns how many. */
size_t mailbox_log_read(const void *mailbox, char *text, size_t cap);
