/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper restore: runs a template in this process, without quark; with a request or a console.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "guest.h"

struct restore_options {
	const char *folder;
	const char *request; /* NULL: none */
	bool record, refresh, gather;
	struct guest_options guest;
};

struct restore_run {
	const struct restore_options *options;
	struct template *template;
	struct recorder *recorder;
	struct guest guest;
};

static const char help[] =
	"usage: lumper restore DIR [OPTIONS]\n"
	"\n"
	"  --request TEXT|@FILE  send one request, write the response to standard output, end\n"
	"  --record              record which pages the request touches into the template\n"
	"  --refresh             let the guest kernel keep its time, then capture it again: the\n"
	"                        clock of a template wants that every 15 minutes\n"
	"  --gather              let the guest move the recorded pages to hot memory, then\n"
	"                        capture it again, without a record\n"
	"  --input               feed stdin to the guest's console (Ctrl-A x ends the VM)\n"
	"  --quiet               drop the guest's console output\n"
	"  --timeout SECONDS     give up when it takes longer\n"
	"\n"
	"Without --request the guest runs on, with its console on standard output, until it ends.\n"
	"With it, the console goes to standard error. Exit codes: 0 answered, 3 function failed,\n"
	"5 template refused, 6 no such template, 10 power-off, 11 reset, 12 kernel panic,\n"
	"13 triple fault, 14 unhandled exit.\n";

enum { OPT_REQUEST = OPT_VERB, OPT_RECORD, OPT_REFRESH, OPT_GATHER };

static const struct option long_options[] = {
	{ "request", required_argument, NULL, OPT_REQUEST },
	{ "record", no_argument, NULL, OPT_RECORD },
	{ "refresh", no_argument, NULL, OPT_REFRESH },
	{ "gather", no_argument, NULL, OPT_GATHER },
	GUEST_LONG_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool parse_option(void *context, int option)
{
	struct restore_options *options = context;

	switch (option) {
	case OPT_REQUEST:
		options->request = optarg;
		return true;
	case OPT_RECORD:
		options->record = true;
		return true;
	case OPT_REFRESH:
		options->refresh = true;
		return true;
	case OPT_GATHER:
		options->gather = true;
		return true;
	default:
		return guest_option(&options->guest, option);
	}
}

/* The guest is to do something and ring READY, and is captured then. */
static bool captures(const struct restore_options *options)
{
	return options->refresh || options->gather;
}

static int parse_options(struct restore_options *options, int argc, char **argv)
{
	int code = options_parse(argc, argv, long_options, help, parse_option, options);

	if (code >= 0)
		return code;
	if (optind + 1 != argc)
		return fail(EXIT_USAGE, "it takes one template folder (see lumper restore --help)");
	options->folder = argv[optind];
	if (options->record && !options->request)
		return fail(EXIT_USAGE, "--record needs a --request");
	if (captures(options) && options->request)
		return fail(EXIT_USAGE, "--refresh and --gather take no --request");
	if (options->refresh && options->gather)
		return fail(EXIT_USAGE, "--gather refreshes too");
	return -1;
}

/* --- the request -------------------------------------------------------------------------- */

/* The record, as the guest knows its pages. */
static int write_gather(struct restore_run *run, struct err *err)
{
	static uint64_t pages[WORKING_SET_MAX];
	const struct working_set *set = template_working_set(run->template);

	for (uint32_t i = 0; set && i < set->count; i++)
		pages[i] = set->entries[i].flags & WORKING_SET_IMAGE ?
				   (GUEST_IMAGE_GPA + set->entries[i].offset) |
					   MAILBOX_GATHER_COPY :
				   guest_offset_to_gpa(set->entries[i].offset);
	return guest_order(&run->guest, MAILBOX_ORDER_GATHER, pages,
			   set ? set->count * sizeof(pages[0]) : 0, err);
}

/* A request, or for a refresh the order to ring again. */
static int write_order(struct restore_run *run, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	size_t bytes = 0;
	int r;

	if (run->options->gather)
		return write_gather(run, err);
	if (run->options->refresh)
		return guest_order(&run->guest, MAILBOX_ORDER_NONE, NULL, 0, err);
	if (!run->options->request)
		return 0;
	r = option_data(run->options->request, &data, &bytes, err);
	return r < 0 ? r :
		       guest_order(&run->guest, MAILBOX_ORDER_REQUEST, data, bytes, err);
}

static int write_response(struct restore_run *run)
{
	struct mailbox_answer answer;
	struct err err = {};
	void *mailbox = NULL;

	if (guest_mailbox(&run->guest, &mailbox, &err) < 0 ||
	    mailbox_answer_read(mailbox, &answer, &err) < 0)
		return fail(EXIT_GUEST_DIED, "%s", err.message);
	if (file_write_all(STDOUT_FILENO, (const uint8_t *)mailbox + answer.offset,
			   answer.bytes) < 0)
		return fail(EXIT_ERROR, "cannot write the response: %s", strerror(errno));
	return EXIT_OK;
}

/* --- running ------------------------------------------------------------------------------ */

/* The guest is back at READY, its time kept: the same template again, younger, over the same base
 * and image. What was recorded holds no longer when pages have been moved. */
static int capture(const struct restore_run *run)
{
	const struct manifest *manifest = template_manifest(run->template);
	const struct shared_file base = shared_file_of(&manifest->base,
						       template_base_fd(run->template));
	const struct shared_file image = shared_file_of(&manifest->image,
							template_image_fd(run->template));
	const struct shared_file memory = shared_file_of(&manifest->memory,
							 template_memory_fd(run->template));
	struct manifest description = *manifest;
	const struct capture_config config = {
		.folder = run->options->folder,
		.description = &description,
		.working_set = run->options->gather ? NULL : template_working_set(run->template),
		.base = base.fd >= 0 ? &base : NULL,
		.image = image.fd >= 0 ? &image : NULL,
		.mapped = base.fd >= 0 ? &base : &memory,
	};
	struct err err = {};

	description.created[0] = '\0';
	if (snapshot_capture(run->guest.vm, &config, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return EXIT_OK;
}

/* An exit code, or -1 to run on. */
static int handle_doorbell(struct restore_run *run, unsigned int rung)
{
	if (rung == DOORBELL_READY && captures(run->options))
		return capture(run);
	if (rung == DOORBELL_FAILED && captures(run->options))
		return guest_fail(&run->guest, EXIT_GUEST_DIED, "the guest failed");
	if (rung == DOORBELL_DONE && run->options->request)
		return write_response(run);
	if (rung == DOORBELL_FAILED && run->options->request)
		return guest_fail(&run->guest, EXIT_FUNCTION_FAILED, "the function failed");
	return -1;
}

static int run_guest(struct restore_run *run)
{
	unsigned int rung;
	int code;

	do {
		code = guest_run(&run->guest, &rung);
		if (code < 0)
			code = handle_doorbell(run, rung);
	} while (code < 0);
	return code;
}

static int save_record(const struct restore_run *run)
{
	static struct working_set set;
	struct err err = {};
	uint32_t written = 0, visible = 0, hot = 0;

	if (recorder_finish(run->recorder, &set, &err) < 0 ||
	    template_set_working_set(run->options->folder, &set, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	for (uint32_t i = 0; i < set.count; i++) {
		written += set.entries[i].flags & WORKING_SET_WRITTEN;
		visible += set.entries[i].gva != 0;
		hot += working_set_is_hot(&set.entries[i]);
	}
	fprintf(stderr,
		"lumper: working set: %u pages, %u written, %u seen by the function, %u in hot "
		"memory\n",
		set.count, written, visible, hot);
	return EXIT_OK;
}

static int restore(struct restore_run *run, struct err *err)
{
	struct restore_config config = {};
	int r;

	restore_config_of(run->template, &config);
	config.state = template_state(run->template);
	config.mailbox_fd = -1;
	config.timers = captures(run->options) ? VM_TIMERS_DUE : VM_TIMERS_RUNNING;
	if (!run->options->record)
		return snapshot_restore(run->guest.vm, &config, err);
	r = recorder_new(&run->recorder, run->guest.vm, run->template, err);
	return r < 0 ? r : vm_state_set(run->guest.vm, config.state, VM_TIMERS_LATE, err);
}

static int start(struct restore_run *run)
{
	const struct restore_options *options = run->options;
	struct err err = {};
	int code, r;

	code = guest_new_like(&run->guest, run->template, &options->guest,
			      options->request ? STDERR_FILENO : STDOUT_FILENO);
	if (code >= 0)
		return code;
	r = restore(run, &err);
	if (r < 0)
		return fail(r == -ENOTSUP ? EXIT_REFUSED : EXIT_ERROR, "%s", err.message);
	if (write_order(run, &err) < 0 || guest_jail(&run->guest, &options->guest, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return -1;
}

int cmd_restore(int argc, char **argv)
{
	struct restore_options options = {};
	struct restore_run run = { .options = &options };
	int code = parse_options(&options, argc, argv);

	if (code < 0)
		code = guest_open_template(&run.template, options.folder);
	if (code >= 0)
		return code;
	code = start(&run);
	if (code < 0)
		code = run_guest(&run);
	if (options.record && code == EXIT_OK)
		code = save_record(&run);
	(void)recorder_free(run.recorder); /* its thread serves the VM's memory */
	guest_done(&run.guest);
	(void)template_free(run.template);
	return code;
}
