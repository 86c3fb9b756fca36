/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation KERNEL INITRD: a guest hears of its new generation id (guest/generation_init.c), after
 * a restore as a clone would. What a kernel with a driver for it does then, Debian's standard one,
 * the output tells; the cloud kernel has none, and sees device and interrupt.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_test.h"
#include "lumper.h"
#include "mailbox.h"

#define MEMORY_BYTES (256ull << 20)

enum { GUID_BYTES = 16, CONSOLE_BYTES = 1 << 16 };

struct console {
	char text[CONSOLE_BYTES];
	size_t bytes;
};

static void keep_console(void *context, const uint8_t *data, size_t bytes)
{
	struct console *console = context;

	for (size_t i = 0; i < bytes && console->bytes < CONSOLE_BYTES - 1; i++)
		console->text[console->bytes++] = (char)data[i];
}

static struct vm *new_vm(struct console *console, const struct vm_state *like, bool vmgenid)
{
	const struct vm_config config = {
		.memory_bytes = MEMORY_BYTES,
		.no_image = true,
		.vmgenid = vmgenid,
		.like = like,
		.console_write = keep_console,
		.console_context = console,
	};
	struct vm *vm = NULL;
	struct err err = {};

	REQUIRE(vm_new(&vm, &config, &err) == 0, "%s", err.message);
	return vm;
}

static void run_to(struct vm *vm, uint32_t doorbell, const struct console *console)
{
	static struct vm_event event;
	struct err err = {};

	REQUIRE(vm_run(vm, &event, &err) == 0, "%s", err.message);
	REQUIRE(event.kind == VM_EVENT_DOORBELL && event.doorbell == doorbell, "%s, %#x\n%s\n%s",
		vm_event_name(event.kind), event.doorbell, event.report, console->text);
}

/* The VM that goes on in another one. */
static struct vm *move(struct vm *vm, struct console *console)
{
	struct vm_state *state = malloc(sizeof(*state));
	uint8_t *memory = malloc(MEMORY_BYTES);
	struct err err = {};

	REQUIRE(state && memory, "out of memory");
	REQUIRE(vm_state_get(vm, state, &err) == 0, "%s", err.message);
	memcpy(memory, vm_memory_base(vm), MEMORY_BYTES);
	(void)vm_free(vm);
	vm = new_vm(console, state, true);
	memcpy(vm_memory_base(vm), memory, MEMORY_BYTES);
	REQUIRE(vm_state_set(vm, state, VM_TIMERS_RUNNING, &err) == 0, "%s", err.message);
	free(memory);
	free(state);
	return vm;
}

static void require_says(const struct console *console, const char *text)
{
	REQUIRE(strstr(console->text, text), "no '%s' in:\n%s", text, console->text);
}

static void check_without(struct console *console)
{
	struct vm *vm = new_vm(console, NULL, false);
	const uint8_t guid[GUID_BYTES] = {};
	struct err err = {};

	REQUIRE(vm_generation_set(vm, guid, &err) == -ENOTSUP, "a VM without an id takes one");
	(void)vm_free(vm);
}

int main(int argc, char **argv)
{
	static const uint8_t guid[GUID_BYTES] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
						  0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe };
	static struct console console;
	struct boot_config boot = {
		.cmdline = "console=ttyS0 quiet panic=-1 reboot=k,panic_warm no_timer_check "
			   "clocksource=kvm-clock rdinit=/generation_init",
	};
	struct err err = {};
	struct vm *vm;

	REQUIRE(argc == 3, "usage: generation KERNEL INITRD");
	check_without(&console);
	boot.kernel = argv[1];
	boot.initrd = argv[2];
	vm = new_vm(&console, NULL, true);
	REQUIRE(vm_boot_linux(vm, &boot, &err) == 0, "%s", err.message);
	run_to(vm, DOORBELL_READY, &console);
	vm = move(vm, &console);
	REQUIRE(vm_generation_set(vm, guid, &err) == 0, "%s", err.message);
	run_to(vm, DOORBELL_DONE, &console);
	require_says(&console, "guid 0123456789abcdef1032547698badcfe");
	require_says(&console, "interrupts 1\r\n");
	if (strstr(console.text, "driver yes"))
		require_says(&console, "reseeded yes");
	(void)vm_free(vm);
	printf("%s", console.text);
	return 0;
}
