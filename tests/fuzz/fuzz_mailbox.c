/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of the mailbox: whatever header it finds, libquark gives a request that lies in
 * the mailbox, parks, or fails; and what it answers lies in the mailbox, too.
 *
 * An input is a series of headers, one for each ring; its first two bytes are the length of the
 * answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define doorbell_ring doorbell_ring_real
#include "../../runtime/libquark/doorbell.h"
#undef doorbell_ring

static void doorbell_ring(volatile uint32_t *bell, uint32_t value);

#include "../../runtime/libquark/quark.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct host {
	uint8_t *mailbox;
	const uint8_t *data; /* the headers still to come */
	size_t bytes;
} host;

static void check(int holds)
{
	if (!holds)
		abort();
}

static void doorbell_ring(volatile uint32_t *bell, uint32_t value)
{
	const size_t header_bytes = offsetof(struct mailbox_header, guest_magic);
	size_t n = host.bytes < header_bytes ? host.bytes : header_bytes;

	*bell = value;
	if (value != DOORBELL_READY)
		return;
	memset(host.mailbox, 0, header_bytes); /* no header left: no magic, and the end */
	memcpy(host.mailbox, host.data, n);
	host.data += n;
	host.bytes -= n;
}

static int memory_fd(const char *name, off_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	char text[16];

	check(fd >= 0 && ftruncate(fd, bytes) == 0);
	(void)snprintf(text, sizeof(text), "%d", fd);
	check(setenv(name, text, 1) == 0);
	return fd;
}

/* Every aligned word outside the header is to be an address that may be touched. */
static void touchable_fill(size_t from, size_t to)
{
	static uint8_t page[PAGE_BYTES];
	uint64_t entry = (uintptr_t)page | MAILBOX_TOUCH_WRITE;

	for (size_t at = from & ~(sizeof(entry) - 1); at < to; at += sizeof(entry))
		memcpy(host.mailbox + at, &entry, sizeof(entry));
}

static void host_start(void)
{
	int fd = memory_fd(QUARK_ENV_MAILBOX_FD, MAILBOX_BYTES);

	(void)memory_fd(QUARK_ENV_DOORBELL_FD, DOORBELL_BAR_BYTES);
	host.mailbox = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(host.mailbox != MAP_FAILED);
	touchable_fill(MAILBOX_SMALL_REQUEST_OFFSET, MAILBOX_BYTES);
}

static void check_answer(size_t bytes)
{
	const struct mailbox_header *header = (const void *)host.mailbox;

	check(header->response_bytes == bytes);
	check(header->response_offset >= MAILBOX_SMALL_RESPONSE_OFFSET);
	check(header->response_offset + bytes <= MAILBOX_LOG_OFFSET);
	check(header->guest_sequence == header->sequence);
	touchable_fill(header->response_offset, header->response_offset + bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct quark_request request;
	size_t answer_bytes;

	if (bytes < 2)
		return 0;
	if (!host.mailbox)
		host_start();
	answer_bytes = data[0] | (size_t)data[1] << 8;
	host.data = data + 2;
	host.bytes = bytes - 2;
	while (quark_next(&request) == 0) {
		const uint8_t *at = request.data;

		check(at >= guest.mailbox + MAILBOX_SMALL_REQUEST_OFFSET);
		check(at + request.bytes <= guest.mailbox + MAILBOX_RESPONSE_OFFSET);
		if (answer_bytes > request.bytes)
			answer_bytes = request.bytes;
		check(quark_respond(at, answer_bytes) == 0);
		check_answer(answer_bytes);
	}
	return 0;
}
