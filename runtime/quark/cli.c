/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option parsing and reporting for all verbs.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "number.h"
#include "text.h"

enum {
	OPT_HELP = 'h',
	OPT_QUIET = 'q',
	OPT_VERBOSE = 'v',
	OPT_HOME = 0x80,
	OPT_HOST_MODE,
	OPTIONS_MAX = 24,
	SHORT_OPTIONS_MAX = 32,
};

static const struct option common_options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"home", required_argument, NULL, OPT_HOME},
	{"host-mode", required_argument, NULL, OPT_HOST_MODE},
};

static const char common_help[] =
	"Common options:\n"
	"  --home DIR       where templates and the rig's state are kept (default $QUARK_HOME,\n"
	"                   $XDG_DATA_HOME/quark or ~/.local/share/quark)\n"
	"  --host-mode M    kvm: run micro-VMs on this host's /dev/kvm; rig: in an emulated host;\n"
	"                   auto: as `quark doctor` finds (default)\n"
	"  -q, --quiet      no progress and no notes\n"
	"  -v, --verbose    show what the programs that quark starts print\n"
	"  -h, --help       help; also after a verb\n";

static void print_help(const struct cli *cli)
{
	if (cli->verb) {
		printf("usage: quark %s\n%s", cli->verb->help, common_help);
		return;
	}
	printf("usage: quark [OPTION]... VERB [ARGUMENT]...\n\n"
	       "Starts functions in micro-VMs, from snapshots.\n\nVerbs:\n");
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf("  %-12s %s\n", (*verb)->name, (*verb)->summary);
	printf("\n%s\n"
	       "Exit codes: 0 done, 1 error, 2 bad usage, 3 function failed, 4 guest died,\n"
	       "5 template refused, 6 not found, 7 host cannot, 124 timed out, 125 rig failed.\n",
	       common_help);
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	va_list args;

	fputs("quark: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (see quark %s%s--help)\n", cli->verb ? cli->verb->name : "",
		cli->verb ? " " : "");
	return EXIT_USAGE;
}

/* Handles a common option; OPT_EXIT ends the program with *ret_code, 0 goes on. */
static int handle_common(struct cli *cli, int option, int *ret_code)
{
	struct err err;

	switch (option) {
	case OPT_QUIET:
		cli->quiet = true;
		return 0;
	case OPT_VERBOSE:
		cli->verbose = true;
		return 0;
	case OPT_HOME:
		cli->home = optarg;
		return 0;
	case OPT_HOST_MODE:
		if (host_mode_parse(optarg, &cli->mode, &err) == 0)
			return 0;
		*ret_code = cli_usage(cli, "%s", err.message);
		return OPT_EXIT;
	case OPT_HELP:
		print_help(cli);
		*ret_code = EXIT_OK;
		return OPT_EXIT;
	default:
		return option;
	}
}

/* getopt's own messages lack our form, so they are off and made here. */
static int bad_option(const struct cli *cli, int problem, char **argv)
{
	const char *argument = argv[optind - 1];

	if (problem == ':')
		return cli_usage(cli, "option '%s' needs a value", argument);
	if (optopt && strncmp(argument, "--", 2) == 0 && strchr(argument, '='))
		return cli_usage(cli, "option '%s' takes no value", argument);
	if (optopt > 0 && optopt < OPT_HOME)
		return cli_usage(cli, "unknown option '-%c'", optopt);
	return cli_usage(cli, "unknown option '%s'", argument);
}

int cli_getopt(struct cli *cli, int argc, char **argv, const char *short_options,
	       const struct option *options, int *ret_code)
{
	struct option all[OPTIONS_MAX + ARRAY_SIZE(common_options) + 1] = {0};
	char shorts[SHORT_OPTIONS_MAX];
	size_t n = ARRAY_SIZE(common_options);
	int option;

	memcpy(all, common_options, sizeof(common_options));
	for (; options && options->name && n < ARRAY_SIZE(all) - 1; options++)
		all[n++] = *options;
	(void)snprintf(shorts, sizeof(shorts), "%s:hqv%s", short_options[0] == '+' ? "+" : "",
		       short_options + (short_options[0] == '+'));
	opterr = 0;
	do {
		option = getopt_long(argc, argv, shorts, all, NULL);
		if (option == '?' || option == ':') {
			*ret_code = bad_option(cli, option, argv);
			return OPT_EXIT;
		}
		option = option < 0 ? option : handle_common(cli, option, ret_code);
	} while (option == 0);
	return option;
}

int cli_open(struct cli *cli, struct err *err)
{
	return paths_init(&cli->paths, cli->home, err);
}

bool cli_count_arguments(const struct cli *cli, int argc, char **argv)
{
	const int given = argc - optind;

	if (given < cli->verb->least)
		(void)cli_usage(cli, "an argument is missing");
	else if (given > cli->verb->most)
		(void)cli_usage(cli, "unexpected argument '%s'", argv[optind + cli->verb->most]);
	return given >= cli->verb->least && given <= cli->verb->most;
}

bool cli_simple(struct cli *cli, int argc, char **argv, bool *ret_json, int *ret_code)
{
	static const struct option json[] = {{"json", no_argument, NULL, OPT_VERB}, {0}};
	int option;

	while ((option = cli_getopt(cli, argc, argv, "", ret_json ? json : NULL, ret_code)) ==
	       OPT_VERB)
		if (ret_json)
			*ret_json = true;
	if (option == OPT_EXIT)
		return false;
	*ret_code = EXIT_USAGE;
	return cli_count_arguments(cli, argc, argv);
}

bool cli_number(const struct cli *cli, const char *option, const char *text, unsigned long least,
		unsigned long most, unsigned int *ret_value)
{
	uint64_t value;

	if (!number_parse(text, least, most, &value)) {
		(void)cli_usage(cli, "%s: '%s' is not a number from %lu to %lu", option, text,
				least, most);
		return false;
	}
	*ret_value = (unsigned int)value;
	return true;
}

static const struct {
	int r;
	enum exit_code code;
} exit_table[] = {
	{-ENOENT, EXIT_NOT_FOUND},	      {-EBADMSG, EXIT_REFUSED},
	{-EPROTONOSUPPORT, EXIT_REFUSED},     {-ENOTSUP, EXIT_REFUSED},
	{-EPROTO, EXIT_GUEST_DIED},	      {-ENOTRECOVERABLE, EXIT_GUEST_DIED},
	{-ENODEV, EXIT_HOST},		      {-ETIMEDOUT, EXIT_TIMEOUT},
};

int exit_code_for(int r)
{
	for (size_t i = 0; i < ARRAY_SIZE(exit_table); i++)
		if (exit_table[i].r == r)
			return exit_table[i].code;
	return r == 0 ? EXIT_OK : EXIT_ERROR;
}

int cli_fail_as(int code, const struct err *err)
{
	fputs("quark: ", stderr);
	text_write_clean(stderr, err->message, strlen(err->message));
	return code;
}

int cli_fail(const struct err *err)
{
	return cli_fail_as(exit_code_for(err->code), err);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list args;

	if (cli->quiet)
		return;
	fputs("quark: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_host_mode(struct cli *cli, struct err *err)
{
	struct kvm_probe probe;
	int r;

	if (cli->mode != HOST_MODE_AUTO)
		return 0;
	cli->mode = host_mode_recall(cli->paths.home, KVM_DEVICE);
	if (cli->mode != HOST_MODE_AUTO)
		return 0;
	r = host_probe(&probe, err);
	if (r < 0)
		return r;
	cli->mode = host_mode_decide(&probe);
	host_mode_remember(cli->paths.home, KVM_DEVICE, cli->mode);
	return 0;
}
