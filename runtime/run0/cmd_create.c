/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 create, and run, which is create, start, wait and delete in one.
 */
#include "cli.h"
#include "listen_fds.h"

struct values {
	const char *bundle, *pid_file, *console_socket;
	unsigned int preserve_fds;
	bool no_pivot, no_new_keyring, detach, keep;
};

/* Those that only run has come first, so that create's are the rest of the same table. */
enum { RUN_OPTIONS = 2 };

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "detach", 'd', OPTION_FLAG, AT(detach), NULL, NULL, "do not wait for the end" },
	{ "keep", 0, OPTION_FLAG, AT(keep), NULL, NULL,
	  "do not delete the container after its end" },

	{ "bundle", 'b', OPTION_TEXT, AT(bundle), "DIR", NULL,
	  "folder with config.json (default: the current one)" },
	{ "pid-file", 0, OPTION_TEXT, AT(pid_file), "FILE", NULL,
	  "write the process id of the container to this file" },
	{ "console-socket", 0, OPTION_TEXT, AT(console_socket), "SOCKET", NULL,
	  "socket that is sent the master of the container's\nterminal" },
	{ "preserve-fds", 0, OPTION_COUNT, AT(preserve_fds), "N", NULL,
	  "let the container inherit N descriptors from 3 on,\n"
	  "after those of $LISTEN_FDS (default 0)" },
	{ "no-pivot", 0, OPTION_FLAG, AT(no_pivot), NULL, NULL,
	  "do not use pivot_root: for a root on a ramdisk" },
	{ "no-new-keyring", 0, OPTION_FLAG, AT(no_new_keyring), NULL, NULL,
	  "let the container keep the caller's session keyring" },
	{ "no-subreaper", 0, OPTION_IGNORED, 0, NULL, NULL, "ignored: there never is a subreaper" },
	{ 0 },
};
#undef AT

static struct oci_create_options library_options(const struct values *values, const char *id)
{
	const unsigned int listen_fds = listen_fds_from_environment();

	return (struct oci_create_options){
		.id = id,
		.bundle = values->bundle ? values->bundle : ".",
		.pid_file = values->pid_file,
		.console_socket = values->console_socket,
		.terminal_fd = -1,
		.preserve_fds = values->preserve_fds + listen_fds,
		.listen_fds = listen_fds,
		.no_pivot = values->no_pivot,
		.no_new_keyring = values->no_new_keyring,
		.detach = values->detach,
		.keep = values->keep,
	};
}

static int create(struct cli *cli, struct arguments *arguments)
{
	struct oci_create_options library;
	struct values values = { 0 };
	struct err err = { 0 };
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	library = library_options(&values, arguments->items[0]);
	return cli_result(cli, oci_create(&cli->runtime, &library, &err), &err);
}

static int run(struct cli *cli, struct arguments *arguments)
{
	struct oci_create_options library;
	struct values values = { 0 };
	struct err err = { 0 };
	int status;
	int r;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	library = library_options(&values, arguments->items[0]);
	if (!values.detach && !values.console_socket)
		library.terminal_fd = cli_terminal(cli);
	status = EXIT_SUCCESS;
	r = oci_run(&cli->runtime, &library, &status, &err);
	terminal_restore(&cli->terminal);
	return r < 0 ? cli_fail(cli, &err) : status;
}

const struct verb verb_create = {
	.name = "create",
	.summary = "make a container, whose process then waits for start",
	.arguments = "ID",
	.description =
		"Makes a container from a bundle: a folder with config.json and, usually, a\n"
		"root file system. ID is its name: letters, digits, and _ + - . , at most 255,\n"
		"not beginning with a dot. Its process exists and waits for `run0 start`.",
	.options = options + RUN_OPTIONS,
	.least = 1,
	.most = 1,
	.starts_processes = true,
	.run = create,
};

const struct verb verb_run = {
	.name = "run",
	.summary = "make a container, start it, wait for its end",
	.arguments = "ID",
	.description =
		"Makes a container from a bundle as `run0 create` does, starts it, forwards\n"
		"signals to it, and deletes it after its end. Exits as its process does, with\n"
		"128 + N when signal N ended it.",
	.options = options,
	.least = 1,
	.most = 1,
	.starts_processes = true,
	.run = run,
};
