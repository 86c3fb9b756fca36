/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile: breaks the protocol between guest and host in the way that the request names. It holds
 * the doorbell and the mailbox as every function does, and no more.
 */
#include <mailbox.h>
#include <quark.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct machine {
	volatile uint8_t *bell; /* BAR0 of the doorbell */
	volatile struct mailbox_header *mailbox;
};

static void ring(const struct machine *machine, uint32_t value)
{
	*(volatile uint32_t *)(machine->bell + DOORBELL_REGISTER_OFFSET) = value;
}

static void sign(const struct machine *machine, uint32_t offset, uint32_t bytes)
{
	machine->mailbox->guest_magic = MAILBOX_MAGIC;
	machine->mailbox->guest_version = MAILBOX_VERSION;
	machine->mailbox->response_offset = offset;
	machine->mailbox->response_bytes = bytes;
}

/* --- answers that the host must refuse ---------------------------------------------------- */

static void do_offset(const struct machine *machine)
{
	sign(machine, MAILBOX_BYTES - 4, 8);
	ring(machine, DOORBELL_DONE);
}

static void do_bytes(const struct machine *machine)
{
	sign(machine, MAILBOX_RESPONSE_OFFSET, 0xffffffff);
	ring(machine, DOORBELL_DONE);
}

static void do_wrap(const struct machine *machine)
{
	sign(machine, 0xfffff000, 0x2000);
	ring(machine, DOORBELL_DONE);
}

static void do_failed(const struct machine *machine)
{
	sign(machine, 0x80000000, 0x80000000);
	ring(machine, DOORBELL_FAILED);
}

static void do_magic(const struct machine *machine)
{
	sign(machine, MAILBOX_SMALL_RESPONSE_OFFSET, 4);
	machine->mailbox->guest_magic = 0;
	ring(machine, DOORBELL_DONE);
}

static void do_version(const struct machine *machine)
{
	sign(machine, MAILBOX_SMALL_RESPONSE_OFFSET, 4);
	machine->mailbox->guest_version = MAILBOX_VERSION + 1;
	ring(machine, DOORBELL_DONE);
}

/* --- what the host must bear --------------------------------------------------------------- */

/* A log text of 4 GiB, of which the host may read 4096 bytes. */
static void do_log(const struct machine *machine)
{
	memset((uint8_t *)machine->mailbox + MAILBOX_LOG_OFFSET, 'x', MAILBOX_LOG_MAX);
	machine->mailbox->log_bytes = 0xffffffff;
	ring(machine, DOORBELL_LOG);
	(void)quark_respond("alive\n", 6);
}

static void do_values(const struct machine *machine)
{
	static const uint32_t values[] = {0, 6, 31, 32, 33, 0x7fff, 0xffff, 0xffff0000, 0xffffffff};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		ring(machine, values[i]);
	(void)quark_respond("alive\n", 6);
}

/* Wherever the mailbox is said to be now, it stays where PID 1 has put it. */
static void do_register(const struct machine *machine)
{
	for (uint32_t number = 0; number < 64; number++)
		ring(machine, DOORBELL_MAILBOX | number << DOORBELL_ARGUMENT_SHIFT);
	ring(machine, DOORBELL_MAILBOX | 0xffffu << DOORBELL_ARGUMENT_SHIFT);
	(void)quark_respond("alive\n", 6);
}

/* Accesses of other widths and places ring nothing. */
static void do_widths(const struct machine *machine)
{
	volatile uint8_t *bell = machine->bell;

	bell[DOORBELL_REGISTER_OFFSET] = DOORBELL_FAILED;
	*(volatile uint16_t *)(bell + DOORBELL_REGISTER_OFFSET) = DOORBELL_FAILED;
	*(volatile uint64_t *)(bell + 8) = (uint64_t)DOORBELL_FAILED << 32;
	for (uint32_t offset = 0; offset < DOORBELL_BAR_BYTES; offset += 4)
		if (offset != DOORBELL_REGISTER_OFFSET)
			*(volatile uint32_t *)(bell + offset) = DOORBELL_FAILED;
	if (*(volatile uint32_t *)(bell + DOORBELL_REGISTER_OFFSET) == 0)
		(void)quark_respond("alive\n", 6);
	else
		(void)quark_fail("the register does not read as zero");
}

/* Rings on after the answer, while the host is reading it. */
static void do_twice(const struct machine *machine)
{
	(void)quark_respond("alive\n", 6);
	for (;;)
		do_bytes(machine);
}

/* Logs for ever: each log is a sign of life, and none is an answer. */
static void do_flood(const struct machine *machine)
{
	machine->mailbox->log_bytes = 1;
	for (;;)
		ring(machine, DOORBELL_LOG);
}

/* What would clear a terminal and set its title. */
static void do_escape(const struct machine *machine)
{
	static const char text[] = "\x1b[2J\x1b]0;owned\x07";

	(void)machine;
	(void)quark_log("%s", text);
	(void)quark_fail(text);
}

static const struct {
	const char *name;
	void (*run)(const struct machine *machine);
} attacks[] = {
	{"offset", do_offset}, {"bytes", do_bytes},   {"wrap", do_wrap},
	{"failed", do_failed}, {"magic", do_magic},   {"version", do_version},
	{"log", do_log},       {"values", do_values}, {"register", do_register},
	{"widths", do_widths}, {"twice", do_twice},   {"flood", do_flood},
	{"escape", do_escape},
};

static void *map(const char *variable, size_t bytes)
{
	const char *fd = getenv(variable);

	if (!fd)
		return MAP_FAILED;
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);
}

static void attack(const struct machine *machine, const struct quark_request *request)
{
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		if (strlen(attacks[i].name) == request->bytes &&
		    memcmp(attacks[i].name, request->data, request->bytes) == 0) {
			attacks[i].run(machine);
			return;
		}
	}
	(void)quark_fail("no such attack");
}

int main(void)
{
	const struct machine machine = {
		.bell = map(QUARK_ENV_DOORBELL_FD, DOORBELL_BAR_BYTES),
		.mailbox = map(QUARK_ENV_MAILBOX_FD, MAILBOX_BYTES),
	};
	struct quark_request request;

	if (machine.bell == MAP_FAILED || machine.mailbox == MAP_FAILED)
		return 2;
	while (quark_next(&request) == 0)
		attack(&machine, &request);
	return 1;
}
