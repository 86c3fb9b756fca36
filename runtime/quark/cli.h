/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of the quark command share: the context that main() owns, option parsing and
 * reporting. One file per verb, cmd_VERB.c; one row per verb in main.c.
 */
#pragma once

#include <getopt.h>
#include <stdbool.h>

#include "err.h"
#include "exit_codes.h"
#include "host_mode.h"
#include "quark_paths.h"

struct cli;

struct verb {
	const char *name;
	const char *summary; /* one line for `quark --help` */
	const char *help;    /* what follows "usage: quark " */
	const char *options; /* its long options, for completion; may be NULL */
	int least, most;     /* arguments, options not counted */
	int (*run)(struct cli *cli, int argc, char **argv); /* returns an enum exit_code */
};

struct cli {
	const struct verb *const *verbs; /* borrowed, NULL-terminated */
	const struct verb *verb;	 /* borrowed; NULL before one is chosen */
	const char *home;		 /* borrowed from argv: --home */
	struct paths paths;		 /* filled by cli_open */
	enum host_mode mode;		 /* AUTO until cli_host_mode has decided */
	bool quiet, verbose;
};

/* The options that every verb takes are handled inside; what is left comes back as getopt_long's
 * value for the verb's own `options` (which may be NULL), -1 at the end of them. OPT_EXIT means:
 * return *ret_code now (help was printed, or the command line is wrong). `short_options` are
 * getopt's; with '+' before them, parsing ends at the first argument. */
int cli_getopt(struct cli *cli, int argc, char **argv, const char *short_options,
	       const struct option *options, int *ret_code);
enum { OPT_EXIT = 0x1000, OPT_VERB = 0x100 /* first value for a verb's own long options */ };

/* Fills cli->paths, once the options are known. */
int cli_open(struct cli *cli, struct err *err);

/* Parses the command line of a verb that has no options of its own but --json (none when ret_json
 * is NULL); its arguments then begin at argv[optind]. Returns whether to go on; else *ret_code says
 * with what to exit. */
bool cli_simple(struct cli *cli, int argc, char **argv, bool *ret_json, int *ret_code);

/* Whether as many arguments are left as the verb takes; reports otherwise. */
bool cli_count_arguments(const struct cli *cli, int argc, char **argv);

/* Whole argument as a number in [least, most]; reports and gives false otherwise. */
bool cli_number(const struct cli *cli, const char *option, const char *text, unsigned long least,
		unsigned long most, unsigned int *ret_value);

/* Says what is wrong with the command line, and how to get help. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli *cli, const char *fmt, ...);

/* Prints "quark: message"; returns the exit code that fits the error. */
int cli_fail(const struct err *err);
int cli_fail_as(int code, const struct err *err);

/* A line on stderr unless --quiet. */
__attribute__((format(printf, 2, 3))) void cli_say(const struct cli *cli, const char *fmt, ...);

/* Decides and remembers the host mode; probes when nothing is remembered. */
int cli_host_mode(struct cli *cli, struct err *err);

/* The exit code for a negative errno of our libraries. */
int exit_code_for(int r);

/* One per cmd_*.c. */
extern const struct verb verb_build, verb_completion, verb_doctor, verb_images, verb_invoke,
	verb_new, verb_prune, verb_refresh, verb_rig, verb_rm, verb_snapshot, verb_templates,
	verb_version;
