/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper boot: a kernel from the beginning; with --snapshot until it is captured.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "lumper_priv.h"
#include "mailbox.h"
#include "snapshot.h"

enum capture_point { CAPTURE_NEVER, CAPTURE_AT_READY, CAPTURE_AT_SIGNAL };

struct boot_options {
	struct shape_options shape;
	struct boot_config boot;
	const char *snapshot, *function, *inputs;
	enum capture_point capture_at;
	bool go_on, quiet, input;
	unsigned int timeout_s;
};

static const char help[] =
	"usage: lumper boot --kernel FILE [OPTIONS]\n"
	"\n"
	"  --kernel FILE       bzImage or ELF vmlinux\n"
	"  --initrd FILE       initial RAM disk\n"
	"  --cmdline TEXT      kernel command line\n"
	"  --memory SIZE       guest memory in MiB, or with K, M, G (default 128)\n"
	"  --vcpus N           1 to 8 (default 1)\n"
	"  --cpu TEMPLATE      portable (default) or host\n"
	"  --snapshot DIR      write a template to DIR when the guest rings READY, then exit\n"
	"  --at ready|signal   when to capture: at the doorbell, or on SIGUSR1 (default ready)\n"
	"  --continue          go on running after the capture\n"
	"  --function NAME     name to record in the template\n"
	"  --inputs DIGEST     digest of what went into the guest, to record in the template\n"
	"  --input             feed stdin to the guest's console (Ctrl-A x ends the VM)\n"
	"  --quiet             drop the guest's console output\n"
	"  --timeout SECONDS   give up (exit code 124) when it takes longer\n"
	"\n"
	"The guest's console goes to standard output. Exit codes: 0 captured, or READY without\n"
	"--snapshot; 10 power-off, 11 reset, 12 kernel panic, 13 triple fault,\n"
	"14 unhandled exit.\n";

static bool parse_at(const char *text, enum capture_point *ret_at)
{
	if (strcmp(text, "ready") == 0)
		*ret_at = CAPTURE_AT_READY;
	else if (strcmp(text, "signal") == 0)
		*ret_at = CAPTURE_AT_SIGNAL;
	else
		return fail(EXIT_USAGE, "--at takes ready or signal, not '%s'", text), false;
	return true;
}

enum {
	OPT_KERNEL = 256, OPT_INITRD, OPT_CMDLINE, OPT_MEMORY, OPT_VCPUS, OPT_CPU, OPT_SNAPSHOT,
	OPT_AT, OPT_CONTINUE, OPT_FUNCTION, OPT_INPUTS, OPT_INPUT, OPT_QUIET, OPT_TIMEOUT,
};

static const struct option long_options[] = {
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "cmdline", required_argument, NULL, OPT_CMDLINE },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "vcpus", required_argument, NULL, OPT_VCPUS },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "at", required_argument, NULL, OPT_AT },
	{ "continue", no_argument, NULL, OPT_CONTINUE },
	{ "function", required_argument, NULL, OPT_FUNCTION },
	{ "inputs", required_argument, NULL, OPT_INPUTS },
	{ "input", no_argument, NULL, OPT_INPUT },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool parse_option(struct boot_options *options, int option)
{
	uint64_t number = 0;
	bool good = true;

	switch (option) {
	case OPT_KERNEL:
		options->boot.kernel = optarg;
		break;
	case OPT_INITRD:
		options->boot.initrd = optarg;
		break;
	case OPT_CMDLINE:
		options->boot.cmdline = optarg;
		break;
	case OPT_MEMORY:
		return option_memory(optarg, &options->shape.memory_bytes);
	case OPT_VCPUS:
		good = option_number("vcpus", optarg, 1, VM_VCPUS_MAX, &number);
		options->shape.vcpus = (unsigned int)number;
		break;
	case OPT_CPU:
		return option_cpu(optarg, &options->shape.cpu_template);
	case OPT_SNAPSHOT:
		options->snapshot = optarg;
		break;
	case OPT_AT:
		return parse_at(optarg, &options->capture_at);
	case OPT_CONTINUE:
		options->go_on = true;
		break;
	case OPT_FUNCTION:
		options->function = optarg;
		break;
	case OPT_INPUTS:
		options->inputs = optarg;
		break;
	case OPT_INPUT:
		options->input = true;
		break;
	case OPT_QUIET:
		options->quiet = true;
		break;
	case OPT_TIMEOUT:
		good = option_number("timeout", optarg, 1, 86400, &number);
		options->timeout_s = (unsigned int)number;
		break;
	default:
		return false;
	}
	return good;
}

/* Returns an exit code, or -1 to go on. */
static int parse_options(struct boot_options *options, int argc, char **argv)
{
	int option;

	options->capture_at = CAPTURE_AT_READY;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!parse_option(options, option))
			return EXIT_USAGE;
	}
	if (optind < argc)
		return fail(EXIT_USAGE, "unexpected argument '%s'", argv[optind]);
	if (!options->boot.kernel)
		return fail(EXIT_USAGE, "--kernel is missing (see lumper boot --help)");
	return -1;
}

static void describe(const struct boot_options *options, struct manifest *description)
{
	const char *slash = strrchr(options->boot.kernel, '/');
	const struct {
		char *to;
		size_t bytes;
		const char *text;
	} texts[] = {
		{ description->function, sizeof(description->function), options->function },
		{ description->inputs, sizeof(description->inputs), options->inputs },
		{ description->kernel, sizeof(description->kernel),
		  slash ? slash + 1 : options->boot.kernel },
		{ description->cmdline, sizeof(description->cmdline), options->boot.cmdline },
		{ description->tool, sizeof(description->tool), "lumper " QUARK_VERSION },
		{ description->wake, sizeof(description->wake), "direct" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		(void)snprintf(texts[i].to, texts[i].bytes, "%s",
			       texts[i].text ? texts[i].text : "");
}

static int capture(struct vm *vm, const struct boot_options *options)
{
	struct manifest description = {};
	struct capture_config config = {
		.folder = options->snapshot,
		.description = &description,
	};
	struct err err = {};

	describe(options, &description);
	if (snapshot_capture(vm, &config, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return EXIT_OK;
}

static bool is_ready(const struct vm_event *event)
{
	return event->kind == VM_EVENT_DOORBELL &&
	       (event->doorbell & DOORBELL_VALUE_MASK) == DOORBELL_READY;
}

/* What a kick was for: an exit code, or -1 to run on. */
static int handle_kick(struct vm *vm, const struct boot_options *options,
		       const struct console *console)
{
	int r = end_by_signal(console);

	if (r >= 0)
		return r;
	if (!signals_take_capture() || !options->snapshot ||
	    options->capture_at != CAPTURE_AT_SIGNAL)
		return -1;
	r = capture(vm, options);
	return r == EXIT_OK && options->go_on ? -1 : r;
}

static int handle_ready(struct vm *vm, const struct boot_options *options, bool *captured)
{
	int r = EXIT_OK;

	if (options->snapshot && options->capture_at != CAPTURE_AT_READY)
		return -1;
	if (options->snapshot && !*captured) {
		r = capture(vm, options);
		*captured = true;
	}
	return r == EXIT_OK && options->go_on ? -1 : r;
}

static int run(struct vm *vm, const struct boot_options *options, const struct console *console)
{
	static struct vm_event event;
	struct err err = {};
	bool captured = false;

	for (;;) {
		int code = -1;

		if (vm_run(vm, &event, &err) < 0)
			return fail(EXIT_ERROR, "%s", err.message);
		if (event.kind == VM_EVENT_KICKED)
			code = handle_kick(vm, options, console);
		else if (is_ready(&event))
			code = handle_ready(vm, options, &captured);
		else if (event.kind != VM_EVENT_DOORBELL)
			code = end_of_vm(&event);
		if (code >= 0)
			return code;
	}
}

static int boot(const struct boot_options *options, struct console *console)
{
	const struct vm_config config = {
		.memory_bytes = options->shape.memory_bytes,
		.vcpus = options->shape.vcpus,
		.cpu_template = options->shape.cpu_template,
		.console_write = options->quiet ? NULL : console_write,
		.console_context = console,
	};
	struct vm *vm = NULL;
	struct err err = {};
	int code;

	if (vm_new(&vm, &config, &err) < 0)
		return fail(EXIT_HOST, "%s", err.message);
	signals_catch(vm, options->timeout_s);
	if (vm_boot_linux(vm, &options->boot, &err) < 0)
		code = fail(err.code == -ENOENT ? EXIT_NOT_FOUND : EXIT_ERROR, "%s", err.message);
	else if ((options->input && console_start_input(console, vm, &err) < 0) ||
		 jail_enter(JAIL_BOOT, &err) < 0)
		code = fail(EXIT_ERROR, "%s", err.message);
	else
		code = run(vm, options, console);
	signals_release();
	console_stop_input(console);
	(void)vm_free(vm);
	return code;
}

int cmd_boot(int argc, char **argv)
{
	struct boot_options options = {};
	struct console *console = NULL;
	struct err err = {};
	int code = parse_options(&options, argc, argv);

	if (code >= 0)
		return code;
	if (console_new(&console, STDOUT_FILENO, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	code = boot(&options, console);
	(void)console_free(console);
	return code;
}
