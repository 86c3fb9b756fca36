/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a hostile mailbox: whatever a guest writes there, an answer that is accepted
 * lies in the mailbox, and a log text in its buffer.
 *
 * An input is the mailbox from its beginning; what it does not reach is zero. The mailbox ends
 * where its allocation does, so that the sanitizers see any step beyond it.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "mailbox_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int holds)
{
	if (!holds)
		abort();
}

static void read_answer(const uint8_t *mailbox)
{
	struct mailbox_answer answer;
	volatile uint8_t sum = 0;
	struct err err = {};
	int r = mailbox_answer_read(mailbox, &answer, &err);

	if (r < 0) {
		check(r == err.code && err.message[0]);
		return;
	}
	check(answer.bytes <= MAILBOX_BYTES && answer.offset <= MAILBOX_BYTES - answer.bytes);
	for (uint32_t i = 0; i < answer.bytes; i += 64)
		sum = (uint8_t)(sum + mailbox[answer.offset + i]);
}

static void read_log(const uint8_t *mailbox, size_t cap)
{
	cleanup_free char *text = malloc(cap + 1);

	check(text != NULL);
	check(mailbox_log_read(mailbox, text, cap) <= cap);
}

static void read_failure(const uint8_t *mailbox, size_t cap)
{
	cleanup_free char *text = malloc(cap + 1);

	check(text != NULL);
	check(mailbox_failure_read(mailbox, text, cap) <= cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_free uint8_t *mailbox = calloc(1, MAILBOX_BYTES);

	check(mailbox != NULL);
	memcpy(mailbox, data, bytes < MAILBOX_BYTES ? bytes : MAILBOX_BYTES);
	read_answer(mailbox);
	read_log(mailbox, MAILBOX_LOG_MAX);
	read_log(mailbox, bytes ? data[0] : 0);
	read_failure(mailbox, MAILBOX_LOG_MAX);
	read_failure(mailbox, bytes ? data[0] : 0);
	return 0;
}
