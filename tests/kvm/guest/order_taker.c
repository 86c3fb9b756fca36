/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest without an operating system that takes orders as a base does, and says on its console
 * which ones came: "f MODE PATH BYTES", "c CONFIG", "r REQUEST", "s", "n". The order's text tells
 * what to do about it: "fail" is answered with FAILED, "off" by powering off, "hang" by nothing,
 * all else as it should be: a FILE, CREATE or SLEEP with READY, a request with itself, then READY.
 */
#include <stddef.h>
#include <stdint.h>

#include "mailbox.h"

#define MAILBOX 0x1000000ul
#define DOORBELL_GPA 0xd0000000ul
#define COM1 0x3f8
#define PM1_CONTROL 0x604
#define SLEEP_S5 (0x2000 | 5 << 10)

#define MODE_TYPE 0170000u

static volatile struct mailbox_header *const header = (void *)MAILBOX;

static void out_b(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void put(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out_b(COM1, (uint8_t)text[i]);
}

static void put_number(unsigned long number, unsigned int base)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % base);
		number /= base;
	} while (number);
	put(digits + at, sizeof(digits) - at);
}

static void ring(uint32_t value)
{
	*(volatile uint32_t *)(DOORBELL_GPA + DOORBELL_REGISTER_OFFSET) = value;
}

static void off(void)
{
	__asm__ volatile("outw %w0, %w1" : : "a"(SLEEP_S5), "d"(PM1_CONTROL));
	for (;;)
		;
}

static int begins(const char *text, size_t bytes, const char *word)
{
	size_t i = 0;

	for (; word[i]; i++)
		if (i == bytes || text[i] != word[i])
			return 0;
	return 1;
}

static void answer(uint32_t value, uint32_t offset, uint32_t bytes)
{
	header->guest_magic = MAILBOX_MAGIC;
	header->guest_version = MAILBOX_VERSION;
	header->response_offset = offset;
	header->response_bytes = bytes;
	header->guest_sequence = header->sequence;
	ring(value);
}

/* What the text asks for; returns when it is an ordinary one. */
static void obey(const char *text, size_t bytes, uint32_t done)
{
	const uint32_t offset = (uint32_t)((uintptr_t)text - MAILBOX);

	if (begins(text, bytes, "hang"))
		for (;;)
			;
	if (begins(text, bytes, "off"))
		off();
	if (begins(text, bytes, "fail"))
		answer(DOORBELL_FAILED, offset, (uint32_t)bytes);
	else if (done)
		answer(done, offset, (uint32_t)bytes);
}

static void take_file(const char *payload)
{
	const struct mailbox_file *file = (const void *)payload;
	const char *path = payload + sizeof(*file);

	put("f ", 2);
	put_number(file->mode, 8);
	put(" ", 1);
	put(path, file->path_bytes);
	put(" ", 1);
	put_number(file->data_bytes, 10);
	if ((file->mode & MODE_TYPE) == 0120000u) {
		put(" ", 1);
		put(path + file->path_bytes, file->data_bytes);
	}
	put("\n", 1);
	obey(path, file->path_bytes, 0);
}

static void say(char what, const char *text, size_t bytes)
{
	out_b(COM1, (uint8_t)what);
	out_b(COM1, ' ');
	put(text, bytes);
	out_b(COM1, '\n');
}

static void take_order(void)
{
	const char *payload = (const char *)MAILBOX + header->request_offset;
	const uint32_t bytes = header->request_bytes;
	const uint32_t head = sizeof(struct mailbox_create);

	switch (header->order) {
	case MAILBOX_ORDER_FILE:
		take_file(payload);
		break;
	case MAILBOX_ORDER_CREATE:
		say('c', payload + head, bytes - head);
		obey(payload + head, bytes - head, 0);
		break;
	case MAILBOX_ORDER_REQUEST:
		say('r', payload, bytes);
		obey(payload, bytes, DOORBELL_DONE);
		break;
	case MAILBOX_ORDER_SLEEP:
		put("s\n", 2);
		break;
	default:
		put("n\n", 2);
	}
}

__attribute__((force_align_arg_pointer)) void _start(void);

void _start(void)
{
	ring(DOORBELL_MAILBOX | (uint32_t)(MAILBOX >> MAILBOX_SHIFT) << DOORBELL_ARGUMENT_SHIFT);
	for (;;) {
		ring(DOORBELL_READY);
		take_order();
	}
}
