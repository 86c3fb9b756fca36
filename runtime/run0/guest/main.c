/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's PID 1: makes the machine fit, takes the host's orders, starts one function in one
 * container, and is its parent from then on.
 *
 * The machine is captured twice. Once here, at the doorbell, with no function at all: that is the
 * base of all templates. And once when a function that this base was ordered to start has arrived
 * at its next(). When it ends, or when a step fails, PID 1 says so in one line, to the host and on
 * the console, and powers off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "doorbell.h"
#include "init.h"

struct step {
	const char *name;
	int (*run)(struct init *init, struct err *err);
};

/* PID 1 must not return. The console is a serial port: what was written has to get out first. */
static _Noreturn void power_off(void)
{
	(void)tcdrain(STDERR_FILENO);
	(void)reboot(RB_POWER_OFF);
	for (;;)
		(void)pause();
}

static _Noreturn void fail(struct init *init, const char *message)
{
	dprintf(STDERR_FILENO, "init: %s\n", message);
	if (init->mailbox_registered) {
		mailbox_put_failure(init, message);
		doorbell_ring(init->bell, DOORBELL_FAILED);
	}
	power_off();
}

/* --- the machine ----------------------------------------------------------------------------- */

static int load_boot_modules(struct init *init, struct err *err)
{
	(void)init;
	return modules_load("boot", err);
}

static const struct step steps[] = {
	{"mount the file systems", machine_mount},
	{"open the console", machine_console},
	{"set the hostname", machine_hostname},
	{"set limits", machine_limits},
	{"open the doorbell", doorbell_open},
	{"make the mailbox", mailbox_make},
	{"set the clock", machine_clock},
	{"register the mailbox", mailbox_register},
	{"load the kernel's modules", load_boot_modules},
	{"bring up the loopback interface", machine_loopback},
	{"prepare the function's files", files_mount},
	{"prepare the machine's identity", identity_make},
	{"settle the machine", machine_settle},
	{"watch for ends of processes", children_watch},
};

static void machine_prepare(struct init *init)
{
	struct err err = {};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].run(init, &err) < 0) {
			(void)err_prefix(&err, err.code, "cannot %s", steps[i].name);
			fail(init, err.message);
		}
}

/* --- orders ---------------------------------------------------------------------------------- */

static int take_file(const struct init *init, const struct order *order, struct err *err)
{
	struct file_order file;
	cleanup_fd int root_fd = -1;
	int r = file_order_read(init->mailbox, order, &file, err);

	if (r < 0)
		return r;
	root_fd = open(FILES_UPPER, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (root_fd < 0)
		return err_set(err, -errno, FILES_UPPER ": %s", strerror(errno));
	return file_put(&file, root_fd, err);
}

static int take_create(struct init *init, const struct order *order, struct err *err)
{
	struct create_order create;
	int r = create_order_read(init->mailbox, order, &create, err);

	if (r < 0)
		return r;
	init->created_by = order->sequence;
	init->created_generation = order->generation;
	return container_create(init, &create, err);
}

/* One order. 1: it was CREATE, and the container runs; 0: ring again. */
static int take_order(struct init *init, struct err *err)
{
	struct order order;
	int r = order_read(init->mailbox, &order, err);

	if (r < 0)
		return r;
	switch (order.kind) {
	case MAILBOX_ORDER_NONE:
		return 0;
	case MAILBOX_ORDER_FILE:
		return take_file(init, &order, err);
	case MAILBOX_ORDER_CREATE:
		r = take_create(init, &order, err);
		return r < 0 ? r : 1;
	default:
		return err_set(err, -EPROTO, "order %u makes no sense before there is a function",
			       order.kind);
	}
}

static void create_by_orders(struct init *init)
{
	struct err err = {};
	int r;

	do {
		mailbox_sign(init);
		doorbell_ring(init->bell, DOORBELL_READY);
		r = take_order(init, &err);
	} while (r == 0);
	if (r < 0)
		fail(init, err.message);
}

/* --- the function's end ---------------------------------------------------------------------- */

/* A function that stops at the doorbell itself does so behind PID 1's back; but then the order in
 * the mailbox is no longer the one that made it. */
static bool was_ready(const struct init *init)
{
	const volatile struct mailbox_header *header = (const volatile void *)init->mailbox;

	return init->was_ready || header->order != MAILBOX_ORDER_CREATE ||
	       header->sequence != init->created_by;
}

static _Noreturn void function_ended(struct init *init, int status)
{
	char end[128], message[256];

	children_describe_end(init, status, end, sizeof(end));
	(void)snprintf(message, sizeof(message), "the function %s%s", end,
		       was_ready(init) ? "" : " before its first next()");
	if (!was_ready(init))
		fail(init, message);
	dprintf(STDERR_FILENO, "init: %s\n", message);
	power_off();
}

int main(void)
{
	struct init init = {.doorbell_fd = -1, .mailbox_fd = -1, .random_fd = -1,
			    .memory_events_fd = -1, .memory_max_fd = -1,
			    .memory_current_fd = -1};
	struct err err = {};
	int status = 0;

	(void)umask(022);
	machine_prepare(&init);
	create_by_orders(&init);
	if (wake_loop(&init, &status, &err) < 0)
		fail(&init, err.message);
	function_ended(&init, status);
}
