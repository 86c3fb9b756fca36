/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that one of our verbs runs to some end: its VM, console and signals, and the orders that
 * go through its mailbox.
 */
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

enum { LAST_WORDS_S = 5 };

bool guest_option(struct guest_options *options, int option)
{
	uint64_t number = 0;

	switch (option) {
	case OPT_QUIET:
		options->quiet = true;
		return true;
	case OPT_INPUT:
		options->input = true;
		return true;
	case OPT_TIMEOUT:
		if (!option_number("timeout", optarg, 1, 86400, &number))
			return false;
		options->timeout_s = (unsigned int)number;
		return true;
	default:
		return false;
	}
}

int guest_new(struct guest *guest, const struct vm_config *config,
	      const struct guest_options *options, int console_fd, enum exit_code unsupported)
{
	struct vm_config full = *config;
	struct err err = {};
	int r;

	if (console_new(&guest->console, console_fd, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	full.console_write = options->quiet ? NULL : console_write;
	full.console_context = guest->console;
	r = vm_new(&guest->vm, &full, &err);
	if (r < 0)
		return fail(r == -ENOTSUP ? unsupported : EXIT_HOST, "%s", err.message);
	signals_catch(guest->vm, options->timeout_s);
	return -1;
}

int guest_new_like(struct guest *guest, const struct template *template,
		   const struct guest_options *options, int console_fd)
{
	const struct manifest *manifest = template_manifest(template);
	const struct vm_config config = {
		.memory_bytes = manifest->memory_bytes,
		.vcpus = manifest->vcpus,
		.cpu_template = (enum cpu_template)manifest->cpu_template,
	};

	return guest_new(guest, &config, options, console_fd, EXIT_REFUSED);
}

int guest_open_template(struct template **ret_template, const char *folder)
{
	struct err err = {};
	int r = template_open(ret_template, folder, &err);

	if (r < 0)
		return fail(r == -ENOENT ? EXIT_NOT_FOUND : EXIT_REFUSED, "%s", err.message);
	return -1;
}

void manifest_describe(struct manifest *description, const struct manifest_text *texts,
		       size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)snprintf(texts[i].to, texts[i].bytes, "%s",
			       texts[i].text ? texts[i].text : "");
	(void)snprintf(description->tool, sizeof(description->tool), "%s",
		       "lumper " QUARK_VERSION);
}

struct shared_file shared_file_of(const struct snapshot_file *file, int fd)
{
	return (struct shared_file){
		.fd = fd,
		.bytes = file->bytes,
		.digest = { file->digest[0], file->digest[1] },
	};
}

int guest_jail(struct guest *guest, const struct guest_options *options, struct err *err)
{
	int r = 0;

	if (options->input)
		r = console_start_input(guest->console, guest->vm, err);
	return r < 0 ? r : jail_enter(JAIL_BOOT, err);
}

void guest_done(struct guest *guest)
{
	signals_release();
	if (guest->console)
		console_stop_input(guest->console);
	guest->vm = vm_free(guest->vm);
	guest->console = console_free(guest->console);
}

/* --- orders and answers ------------------------------------------------------------------- */

static uint8_t *mailbox_of(const struct guest *guest)
{
	const uint64_t gpa = vm_mailbox_gpa(guest->vm);

	return gpa ? vm_memory_at(guest->vm, gpa, MAILBOX_BYTES) : NULL;
}

int guest_mailbox(struct guest *guest, void **ret_mailbox, struct err *err)
{
	void *mailbox = mailbox_of(guest);
	int r = 0;

	if (!mailbox)
		return err_set(err, -EINVAL, "the template has no mailbox, so it takes no orders");
	if (!guest->identity.generation)
		r = mailbox_identity_new(&guest->identity, err);
	if (r == 0)
		*ret_mailbox = mailbox;
	return r;
}

int guest_order(struct guest *guest, enum mailbox_order order, const void *data, size_t bytes,
		struct err *err)
{
	void *mailbox;
	int r = guest_mailbox(guest, &mailbox, err);

	return r < 0 ? r :
		       mailbox_request_write(mailbox, order, &guest->identity, ++guest->sequence,
					     data, bytes, err);
}

int guest_fail(const struct guest *guest, enum exit_code code, const char *what)
{
	char text[MAILBOX_LOG_MAX];
	const void *mailbox = mailbox_of(guest);
	size_t bytes = mailbox ? mailbox_failure_read(mailbox, text, sizeof(text)) : 0;

	if (bytes == 0)
		return fail(code, "%s", what);
	return fail(code, "%s: %.*s", what, (int)bytes, text);
}

static void print_log(const struct guest *guest)
{
	const void *mailbox = mailbox_of(guest);
	char text[MAILBOX_LOG_MAX];
	size_t bytes = mailbox ? mailbox_log_read(mailbox, text, sizeof(text)) : 0;

	text_write_clean(stderr, text, bytes);
}

/* --- running ------------------------------------------------------------------------------ */

int guest_run(struct guest *guest, unsigned int *ret_rung)
{
	struct vm_event *event = &guest->event;
	struct err err = {};
	int code;

	for (;;) {
		if (vm_run(guest->vm, event, &err) < 0)
			return fail(EXIT_ERROR, "%s", err.message);
		if (event->kind == VM_EVENT_KICKED) {
			code = end_by_signal(guest->console);
			*ret_rung = GUEST_KICKED;
			return code;
		}
		if (event->kind != VM_EVENT_DOORBELL)
			return end_of_vm(event);
		*ret_rung = event->doorbell & DOORBELL_VALUE_MASK;
		if (*ret_rung != DOORBELL_LOG)
			return -1;
		print_log(guest);
	}
}

int guest_run_until(struct guest *guest, unsigned int wanted, unsigned int *ret_rung)
{
	for (;;) {
		int code = guest_run(guest, ret_rung);

		if (code >= 0 || (*ret_rung <= DOORBELL_MAILBOX && wanted & 1u << *ret_rung))
			return code;
	}
}

void guest_last_words(struct guest *guest)
{
	struct err err = {};

	(void)alarm(LAST_WORDS_S);
	do {
		if (vm_run(guest->vm, &guest->event, &err) < 0)
			return;
	} while (guest->event.kind == VM_EVENT_DOORBELL);
}
