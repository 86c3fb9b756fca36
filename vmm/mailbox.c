/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the mailbox.
 */
#include "mailbox_host.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"

int mailbox_identity_new(struct mailbox_identity *ret_identity, struct err *err)
{
	struct mailbox_identity identity;

	do {
		if (getrandom(&identity, sizeof(identity), 0) != (ssize_t)sizeof(identity))
			return err_set(err, -EIO, "getrandom: %s", strerror(errno));
	} while (identity.generation == 0);
	*ret_identity = identity;
	return 0;
}

int mailbox_request_place(size_t bytes, uint32_t *ret_offset, struct err *err)
{
	if (bytes > MAILBOX_REQUEST_MAX)
		return err_set(err, -EMSGSIZE, "a request has at most %u bytes, not %zu",
			       MAILBOX_REQUEST_MAX, bytes);
	*ret_offset = bytes <= MAILBOX_SMALL_REQUEST_MAX ? MAILBOX_SMALL_REQUEST_OFFSET :
							   MAILBOX_REQUEST_OFFSET;
	return 0;
}

/* The guest is stopped while this runs; the VM entry that follows orders these stores before
 * anything that the guest reads. */
void mailbox_order_write(void *mailbox, enum mailbox_order order,
			 const struct mailbox_identity *identity, uint64_t sequence,
			 uint32_t request_offset, uint32_t request_bytes, uint32_t touch_count)
{
	struct mailbox_header *header = mailbox;

	header->magic = MAILBOX_MAGIC;
	header->version = MAILBOX_VERSION;
	header->order = order;
	header->generation = identity->generation;
	header->realtime_ns = clock_ns(CLOCK_REALTIME);
	memcpy(header->entropy, identity->entropy, sizeof(header->entropy));
	header->request_offset = request_offset;
	header->request_bytes = request_bytes;
	header->touch_offset = MAILBOX_REQUEST_OFFSET;
	header->touch_count = touch_count;
	header->sequence = sequence;
}

int mailbox_answer_read(const void *mailbox, struct mailbox_answer *ret_answer, struct err *err)
{
	const volatile struct mailbox_header *header = mailbox;
	uint64_t magic = header->guest_magic;
	uint32_t version = header->guest_version;
	struct mailbox_answer answer = {
		.offset = header->response_offset,
		.bytes = header->response_bytes,
	};

	if (magic != MAILBOX_MAGIC)
		return err_set(err, -EPROTO, "the guest has not set the mailbox up");
	if (version != MAILBOX_VERSION)
		return err_set(err, -EPROTO, "the guest speaks mailbox version %u, the host %u",
			       version, MAILBOX_VERSION);
	if (answer.bytes > MAILBOX_BYTES || answer.offset > MAILBOX_BYTES - answer.bytes)
		return err_set(err, -EPROTO,
			       "the guest's response (%u bytes at %u) leaves the mailbox",
			       answer.bytes, answer.offset);
	*ret_answer = answer;
	return 0;
}

size_t mailbox_log_read(const void *mailbox, char *text, size_t cap)
{
	const volatile struct mailbox_header *header = mailbox;
	size_t bytes = header->log_bytes;

	if (bytes > MAILBOX_LOG_MAX)
		bytes = MAILBOX_LOG_MAX;
	if (bytes > cap)
		bytes = cap;
	memcpy(text, (const uint8_t *)mailbox + MAILBOX_LOG_OFFSET, bytes);
	return bytes;
}
