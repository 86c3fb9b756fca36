/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of the run0 command share: the context that main() owns, and reporting. One file
 * per verb, cmd_VERB.c; one row per verb in main.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h> /* EXIT_SUCCESS, EXIT_FAILURE */

#include "err.h"
#include "log.h"
#include "oci.h"
#include "options.h"
#include "terminal.h"

/* What containers are described by. */
#define OCI_SPEC_VERSION "1.1.0"

/* A failed exec is told from a process that exits with 1, as runc does. */
enum { EXIT_EXEC_FAILED = 255 };

struct cli;

struct verb {
	const char *name;
	const char *summary;              /* one line for `run0 --help` */
	const char *arguments;            /* as --help writes them: "ID [SIGNAL]" */
	const char *description;          /* whole paragraphs */
	const struct cli_option *options; /* ended by a row without a name */
	int least, most;                  /* arguments; most < 0: any number */
	int failure;                      /* exit status of a failure; 0: EXIT_FAILURE */
	bool in_order;                    /* its first argument ends its options */
	bool starts_processes;            /* in containers: oci_protect_self comes first */
	bool takes_id;                    /* its first argument is a container, for completion */
	int (*run)(struct cli *cli, struct arguments *arguments); /* returns the exit status */
};

struct global_options {
	const char *root, *log, *log_format, *cgroup_manager, *rootless;
	bool systemd_cgroup, debug, version;
};
extern const struct cli_option global_options[];

struct cli {
	const struct verb *const *verbs; /* borrowed, NULL-terminated */
	const struct verb *verb;         /* borrowed; NULL before one is chosen */
	struct global_options options;
	struct log log;
	struct terminal terminal;
	struct oci_runtime runtime; /* filled by cli_open; its root is `root` */
	char *root;                 /* owned */
};

/* Fills what the global options say. cli_done undoes it. */
int cli_open(struct cli *cli, struct err *err);
void cli_done(struct cli *cli);

/* Parses the verb's options into `values` and counts the arguments that are left. Returns whether
 * to go on; else *ret_status says with what to exit (help was printed, or something is wrong). */
bool cli_parse(struct cli *cli, void *values, struct arguments *arguments, int *ret_status);

/* The terminal for a process in the foreground, -1 when there is none. */
int cli_terminal(struct cli *cli);

/* Says what is wrong with the command line and how to get help; returns the failure's status. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli *cli, const char *fmt, ...);

/* Reports an error on standard error and in the log; returns the failure's status. */
int cli_fail(const struct cli *cli, const struct err *err);

/* The exit status for a result of liboci, which is reported when it is an error. */
int cli_result(const struct cli *cli, int r, const struct err *err);

__attribute__((format(printf, 2, 3))) void cli_warn(const struct cli *cli, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void cli_debug(const struct cli *cli, const char *fmt, ...);

/* Writes a document and the newline that ends it to standard output; NULL is for want of memory.
 * Returns the exit status. */
int cli_print_document(const struct cli *cli, const char *text);

/* `run0 --help`, or that of the verb. */
void cli_print_help(const struct cli *cli);

/* One per verb. */
extern const struct verb verb_completion, verb_create, verb_delete, verb_events, verb_exec,
	verb_features, verb_kill, verb_list, verb_pause, verb_ps, verb_resume, verb_run, verb_spec,
	verb_start, verb_state, verb_update;
