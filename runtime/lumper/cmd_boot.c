/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper boot: a kernel from the beginning; with --snapshot until it is captured.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "guest.h"

enum capture_point { CAPTURE_NEVER, CAPTURE_AT_READY, CAPTURE_AT_SIGNAL };

struct boot_options {
	struct shape_options shape;
	struct boot_config boot;
	const char *snapshot, *function, *inputs;
	enum capture_point capture_at;
	bool go_on;
	struct guest_options guest;
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
	OPT_KERNEL = OPT_VERB, OPT_INITRD, OPT_CMDLINE, OPT_MEMORY, OPT_VCPUS, OPT_CPU,
	OPT_SNAPSHOT, OPT_AT, OPT_CONTINUE, OPT_FUNCTION, OPT_INPUTS,
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
	GUEST_LONG_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool parse_option(void *context, int option)
{
	struct boot_options *options = context;
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
	default:
		return guest_option(&options->guest, option);
	}
	return good;
}

/* Returns an exit code, or -1 to go on. */
static int parse_options(struct boot_options *options, int argc, char **argv)
{
	int code;

	options->capture_at = CAPTURE_AT_READY;
	code = options_parse(argc, argv, long_options, help, parse_option, options);
	if (code >= 0)
		return code;
	if (optind < argc)
		return fail(EXIT_USAGE, "unexpected argument '%s'", argv[optind]);
	if (!options->boot.kernel)
		return fail(EXIT_USAGE, "--kernel is missing (see lumper boot --help)");
	return -1;
}

static void describe(const struct boot_options *options, struct manifest *description)
{
	const char *slash = strrchr(options->boot.kernel, '/');
	const struct manifest_text texts[] = {
		MANIFEST_TEXT(description->function, options->function),
		MANIFEST_TEXT(description->inputs, options->inputs),
		MANIFEST_TEXT(description->kernel, slash ? slash + 1 : options->boot.kernel),
		MANIFEST_TEXT(description->cmdline, options->boot.cmdline),
		/* What is captured without a function is a base. */
		MANIFEST_TEXT(description->wake, options->function ? "direct" : NULL),
	};

	manifest_describe(description, texts, ARRAY_SIZE(texts));
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

/* What SIGUSR1 was for: an exit code, or -1 to run on. */
static int handle_kick(struct vm *vm, const struct boot_options *options)
{
	int code;

	if (!signals_take_capture() || !options->snapshot ||
	    options->capture_at != CAPTURE_AT_SIGNAL)
		return -1;
	code = capture(vm, options);
	return code == EXIT_OK && options->go_on ? -1 : code;
}

static int handle_ready(struct vm *vm, const struct boot_options *options, bool *captured)
{
	int code = EXIT_OK;

	if (options->snapshot && options->capture_at != CAPTURE_AT_READY)
		return -1;
	if (options->snapshot && !*captured) {
		code = capture(vm, options);
		*captured = true;
	}
	return code == EXIT_OK && options->go_on ? -1 : code;
}

static int run(struct guest *guest, const struct boot_options *options)
{
	bool captured = false;
	unsigned int rung;
	int code;

	do {
		code = guest_run(guest, &rung);
		if (code < 0 && rung == GUEST_KICKED)
			code = handle_kick(guest->vm, options);
		else if (code < 0 && rung == DOORBELL_READY)
			code = handle_ready(guest->vm, options, &captured);
	} while (code < 0);
	return code;
}

static int boot(struct guest *guest, const struct boot_options *options)
{
	const struct vm_config config = {
		.memory_bytes = options->shape.memory_bytes,
		.vcpus = options->shape.vcpus,
		.cpu_template = options->shape.cpu_template,
	};
	struct err err = {};
	int code = guest_new(guest, &config, &options->guest, STDOUT_FILENO, EXIT_HOST);

	if (code >= 0)
		return code;
	if (vm_boot_linux(guest->vm, &options->boot, &err) < 0)
		return fail(err.code == -ENOENT ? EXIT_NOT_FOUND : EXIT_ERROR, "%s", err.message);
	if (guest_jail(guest, &options->guest, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return run(guest, options);
}

int cmd_boot(int argc, char **argv)
{
	struct boot_options options = {};
	struct guest guest = {};
	int code = parse_options(&options, argc, argv);

	if (code >= 0)
		return code;
	code = boot(&guest, &options);
	guest_done(&guest);
	return code;
}
