/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper restore: runs a template in this process, without quark; with a request or a console.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "lumper_priv.h"
#include "mailbox_host.h"
#include "snapshot.h"
#include "text.h"

struct restore_options {
	const char *folder;
	const char *request; /* NULL: none */
	bool record, refresh, quiet, input;
	unsigned int timeout_s;
};

struct restore_run {
	const struct restore_options *options;
	struct template *template;
	struct vm *vm;
	struct recorder *recorder;
	struct console *console;
};

static const char help[] =
	"usage: lumper restore DIR [OPTIONS]\n"
	"\n"
	"  --request TEXT|@FILE  send one request, write the response to standard output, end\n"
	"  --record              record which pages the request touches into the template\n"
	"  --refresh             let the guest kernel keep its time, then capture it again: the\n"
	"                        clock of a template wants that every 15 minutes\n"
	"  --input               feed stdin to the guest's console (Ctrl-A x ends the VM)\n"
	"  --quiet               drop the guest's console output\n"
	"  --timeout SECONDS     give up when it takes longer\n"
	"\n"
	"Without --request the guest runs on, with its console on standard output, until it ends.\n"
	"With it, the console goes to standard error. Exit codes: 0 answered, 3 function failed,\n"
	"5 template refused, 6 no such template, 10 power-off, 11 reset, 12 kernel panic,\n"
	"13 triple fault, 14 unhandled exit.\n";

enum { OPT_REQUEST = 256, OPT_RECORD, OPT_REFRESH, OPT_INPUT, OPT_QUIET, OPT_TIMEOUT };

static const struct option long_options[] = {
	{ "request", required_argument, NULL, OPT_REQUEST },
	{ "record", no_argument, NULL, OPT_RECORD },
	{ "refresh", no_argument, NULL, OPT_REFRESH },
	{ "input", no_argument, NULL, OPT_INPUT },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool parse_option(struct restore_options *options, int option)
{
	uint64_t number = 0;

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
	case OPT_INPUT:
		options->input = true;
		return true;
	case OPT_QUIET:
		options->quiet = true;
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

static int parse_options(struct restore_options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!parse_option(options, option))
			return EXIT_USAGE;
	}
	if (optind + 1 != argc)
		return fail(EXIT_USAGE, "it takes one template folder (see lumper restore --help)");
	options->folder = argv[optind];
	if (options->record && !options->request)
		return fail(EXIT_USAGE, "--record needs a --request");
	if (options->refresh && options->request)
		return fail(EXIT_USAGE, "--refresh takes no --request");
	return -1;
}

/* --- the request -------------------------------------------------------------------------- */

static int read_request(const char *text, uint8_t **ret_data, size_t *ret_bytes, struct err *err)
{
	if (text[0] == '@')
		return file_read(text + 1, MAILBOX_REQUEST_MAX, ret_data, ret_bytes, err);
	*ret_bytes = strlen(text);
	*ret_data = (uint8_t *)strdup(text);
	return *ret_data ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* A request, or for a refresh the order to ring again. */
static int write_order(struct restore_run *run, struct err *err)
{
	uint8_t *mailbox = vm_memory_at(run->vm, vm_mailbox_gpa(run->vm), MAILBOX_BYTES);
	cleanup_free uint8_t *data = NULL;
	struct mailbox_identity identity;
	uint32_t offset;
	size_t bytes;
	int r;

	if (!vm_mailbox_gpa(run->vm) || !mailbox)
		return err_set(err, -EINVAL, "the template has no mailbox, so it takes no orders");
	if (run->options->refresh) {
		r = mailbox_identity_new(&identity, err);
		if (r == 0)
			mailbox_order_write(mailbox, MAILBOX_ORDER_NONE, &identity, 1, 0, 0, 0);
		return r;
	}
	if ((r = read_request(run->options->request, &data, &bytes, err)) < 0 ||
	    (r = mailbox_request_place(bytes, &offset, err)) < 0 ||
	    (r = mailbox_identity_new(&identity, err)) < 0)
		return r;
	memcpy(mailbox + offset, data, bytes);
	mailbox_order_write(mailbox, MAILBOX_ORDER_REQUEST, &identity, 1, offset, (uint32_t)bytes,
			    0);
	return 0;
}

static int write_response(const struct restore_run *run, int code)
{
	const uint8_t *mailbox = vm_memory_at(run->vm, vm_mailbox_gpa(run->vm), MAILBOX_BYTES);
	struct mailbox_answer answer;
	struct err err = {};

	if (mailbox_answer_read(mailbox, &answer, &err) < 0)
		return fail(EXIT_GUEST_DIED, "%s", err.message);
	if (code == EXIT_FUNCTION_FAILED)
		return fail(code, "the function failed: %.*s", (int)answer.bytes,
			    (const char *)mailbox + answer.offset);
	if (file_write_all(STDOUT_FILENO, mailbox + answer.offset, answer.bytes) < 0)
		return fail(EXIT_ERROR, "cannot write the response: %s", strerror(errno));
	return EXIT_OK;
}

static void print_log(const struct restore_run *run)
{
	const uint8_t *mailbox = vm_memory_at(run->vm, vm_mailbox_gpa(run->vm), MAILBOX_BYTES);
	char text[MAILBOX_LOG_MAX];
	size_t bytes = mailbox ? mailbox_log_read(mailbox, text, sizeof(text)) : 0;

	text_write_clean(stderr, text, bytes);
}

/* --- running ------------------------------------------------------------------------------ */

/* The guest is back at READY, its time kept: the same template again, younger. */
static int refresh(const struct restore_run *run)
{
	struct manifest description = *template_manifest(run->template);
	const struct capture_config config = {
		.folder = run->options->folder,
		.description = &description,
		.working_set = template_working_set(run->template),
	};
	struct err err = {};

	description.created[0] = '\0';
	if (snapshot_capture(run->vm, &config, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return EXIT_OK;
}

/* An exit code, or -1 to run on. */
static int handle_doorbell(const struct restore_run *run, uint32_t doorbell)
{
	switch (doorbell & DOORBELL_VALUE_MASK) {
	case DOORBELL_READY:
		return run->options->refresh ? refresh(run) : -1;
	case DOORBELL_LOG:
		print_log(run);
		return -1;
	case DOORBELL_DONE:
		return run->options->request ? write_response(run, EXIT_OK) : -1;
	case DOORBELL_FAILED:
		return run->options->request ? write_response(run, EXIT_FUNCTION_FAILED) : -1;
	default:
		return -1;
	}
}

static int run_guest(const struct restore_run *run)
{
	static struct vm_event event;
	struct err err = {};

	for (;;) {
		int code;

		if (vm_run(run->vm, &event, &err) < 0)
			return fail(EXIT_ERROR, "%s", err.message);
		if (event.kind == VM_EVENT_KICKED)
			code = end_by_signal(run->console);
		else if (event.kind == VM_EVENT_DOORBELL)
			code = handle_doorbell(run, event.doorbell);
		else
			code = end_of_vm(&event);
		if (code >= 0)
			return code;
	}
}

static int save_record(const struct restore_run *run)
{
	static struct working_set set;
	struct err err = {};
	uint32_t written = 0, visible = 0;

	if (recorder_finish(run->recorder, &set, &err) < 0 ||
	    template_set_working_set(run->options->folder, &set, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	for (uint32_t i = 0; i < set.count; i++) {
		written += set.entries[i].flags & WORKING_SET_WRITTEN;
		visible += set.entries[i].gva != 0;
	}
	fprintf(stderr, "lumper: working set: %u pages, %u written, %u seen by the function\n",
		set.count, written, visible);
	return EXIT_OK;
}

static int restore(struct restore_run *run, struct err *err)
{
	const struct restore_config config = {
		.memory_fd = template_memory_fd(run->template),
		.state = template_state(run->template),
		.mailbox_fd = -1,
		.timers = run->options->refresh ? VM_TIMERS_DUE : VM_TIMERS_RUNNING,
	};
	int r;

	if (!run->options->record)
		return snapshot_restore(run->vm, &config, err);
	r = recorder_new(&run->recorder, run->vm, run->template, err);
	return r < 0 ? r : vm_state_set(run->vm, config.state, VM_TIMERS_LATE, err);
}

static int start(struct restore_run *run, struct err *err)
{
	const struct manifest *manifest = template_manifest(run->template);
	const struct vm_config config = {
		.memory_bytes = manifest->memory_bytes,
		.vcpus = manifest->vcpus,
		.cpu_template = (enum cpu_template)manifest->cpu_template,
		.console_write = run->options->quiet ? NULL : console_write,
		.console_context = run->console,
	};
	int r;

	r = vm_new(&run->vm, &config, err);
	if (r < 0)
		return fail(r == -ENOTSUP ? EXIT_REFUSED : EXIT_HOST, "%s", err->message);
	signals_catch(run->vm, run->options->timeout_s);
	r = restore(run, err);
	if (r < 0)
		return fail(r == -ENOTSUP ? EXIT_REFUSED : EXIT_ERROR, "%s", err->message);
	if (((run->options->request || run->options->refresh) && write_order(run, err) < 0) ||
	    (run->options->input && console_start_input(run->console, run->vm, err) < 0) ||
	    jail_enter(JAIL_BOOT, err) < 0)
		return fail(EXIT_ERROR, "%s", err->message);
	return -1;
}

int cmd_restore(int argc, char **argv)
{
	struct restore_options options = {};
	struct restore_run run = { .options = &options };
	struct err err = {};
	int code = parse_options(&options, argc, argv);
	int r;

	if (code >= 0)
		return code;
	r = template_open(&run.template, options.folder, &err);
	if (r < 0)
		return fail(r == -ENOENT ? EXIT_NOT_FOUND : EXIT_REFUSED, "%s", err.message);
	if (console_new(&run.console, options.request ? STDERR_FILENO : STDOUT_FILENO, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	code = start(&run, &err);
	if (code < 0)
		code = run_guest(&run);
	if (options.record && code == EXIT_OK)
		code = save_record(&run);
	signals_release();
	console_stop_input(run.console);
	(void)recorder_free(run.recorder); /* its thread serves the VM's memory */
	(void)vm_free(run.vm);
	(void)console_free(run.console);
	(void)template_free(run.template);
	return code;
}
