/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boot, build and restore have in common: a guest that is run until something ends it.
 *
 * Functions that return an exit code have said on stderr what is wrong; -1 means to go on.
 */
#pragma once

#include <getopt.h>

#include "lumper_priv.h"
#include "mailbox_host.h"
#include "snapshot.h"

/* Options that all of them take; a verb's own numbers begin at OPT_VERB. */
struct guest_options {
	bool quiet, input;
	unsigned int timeout_s;
};

enum { OPT_QUIET = 256, OPT_INPUT, OPT_TIMEOUT, OPT_VERB };

#define GUEST_LONG_OPTIONS                              \
	{ "quiet", no_argument, NULL, OPT_QUIET },      \
	{ "input", no_argument, NULL, OPT_INPUT },      \
	{ "timeout", required_argument, NULL, OPT_TIMEOUT }

/* Takes `option` if it is one of these; false when it is none, or wrong. */
bool guest_option(struct guest_options *options, int option);

struct guest {
	struct vm *vm;		 /* owned */
	struct console *console; /* owned */
	struct mailbox_identity identity; /* generation 0: not made yet */
	uint64_t sequence;		  /* of the last order */
	struct vm_event event;
};

/* Makes VM and console (which writes to `console_fd`), and lets signals kick the VM. A host that
 * lacks something ends it with `unsupported`. guest_done is to be called in any case. */
int guest_new(struct guest *guest, const struct vm_config *config,
	      const struct guest_options *options, int console_fd, enum exit_code unsupported);
int guest_new_like(struct guest *guest, const struct template *template,
		   const struct guest_options *options, int console_fd);
void guest_done(struct guest *guest);

/* Opens a template that the command line names. */
int guest_open_template(struct template **ret_template, const char *folder);

/* Fills texts of a manifest (NULL: empty), and who made it. */
struct manifest_text {
	char *to;
	size_t bytes;
	const char *text;
};
#define MANIFEST_TEXT(to, text) { to, sizeof(to), text }
void manifest_describe(struct manifest *description, const struct manifest_text *texts,
		       size_t count);

/* A file of a template, as what another template shares; `fd` -1: there is none. */
struct shared_file shared_file_of(const struct snapshot_file *file, int fd);

/* Starts the console's input if it is wanted, and shuts the jail. */
int guest_jail(struct guest *guest, const struct guest_options *options, struct err *err);

/* The mailbox, and the guest's identity with it. -EINVAL: the guest has registered none. */
int guest_mailbox(struct guest *guest, void **ret_mailbox, struct err *err);

/* Writes an order, with a payload of one piece or none. */
int guest_order(struct guest *guest, enum mailbox_order order, const void *data, size_t bytes,
		struct err *err);

/* After DOORBELL_FAILED: "WHAT: the guest's message" on stderr. Returns `code`. */
int guest_fail(const struct guest *guest, enum exit_code code, const char *what);

/* Runs the guest until it rings; what it logs goes to stderr meanwhile. GUEST_KICKED: SIGUSR1 came
 * instead. */
enum { GUEST_KICKED = 0 };
int guest_run(struct guest *guest, unsigned int *ret_rung);

/* The same, until it rings one of `wanted`, a bit for each value. */
int guest_run_until(struct guest *guest, unsigned int wanted, unsigned int *ret_rung);

/* Lets a guest that has failed end by itself, some seconds at most, so that its console is
 * complete. */
void guest_last_words(struct guest *guest);
