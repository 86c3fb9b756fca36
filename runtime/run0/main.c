/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run0 command: finds the verb and runs it. Everything that lives as long as the process does
 * is in the struct cli here. The way to a container makes no system call that it does not need.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"

static const struct verb *const verbs[] = {
	&verb_create, &verb_start,    &verb_run,  &verb_state,      &verb_kill,   &verb_delete,
	&verb_exec,   &verb_ps,       &verb_list, &verb_pause,      &verb_resume, &verb_update,
	&verb_events, &verb_features, &verb_spec, &verb_completion, NULL,
};

static const struct verb *find_verb(const char *name)
{
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (strcmp((*verb)->name, name) == 0)
			return *verb;
	return NULL;
}

/* A descriptor of ours that took the place of a missing standard stream would be the container's
 * standard stream. poll tells of all three by one system call. Not O_CLOEXEC: they are
 * for the container. */
static int fill_standard_streams(void)
{
	struct pollfd streams[] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

	if (poll(streams, ARRAY_SIZE(streams), 0) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		if (streams[i].revents & POLLNVAL && open("/dev/null", O_RDWR) != (int)i)
			return -ENOENT;
	return 0;
}

static int print_version(void)
{
	printf("run0 version %s\nspec: %s\n", QUARK_VERSION, OCI_SPEC_VERSION);
	return EXIT_SUCCESS;
}

static int run_verb(struct cli *cli, char **argv, struct arguments *arguments)
{
	struct err err = { 0 };
	int status;

	cli->verb = find_verb(arguments->items[0]);
	if (!cli->verb)
		return cli_usage(cli, "unknown verb '%s'", arguments->items[0]);
	if (cli->verb->starts_processes && oci_protect_self(argv, environ, &err) < 0)
		return cli_fail(cli, &err);
	arguments->items++;
	arguments->count--;
	cli_debug(cli, "%s: root %s, rootless %d, systemd %d", cli->verb->name, cli->root,
		  cli->runtime.rootless, cli->runtime.systemd_cgroup);
	status = cli->verb->run(cli, arguments);
	cli_debug(cli, "%s: exit status %d", cli->verb->name, status);
	return status;
}

static int run(struct cli *cli, char **argv, struct arguments *arguments)
{
	struct err err = { 0 };
	int r;

	r = options_parse(global_options, &cli->options, true, arguments, &err);
	if (r > 0) {
		cli_print_help(cli);
		return EXIT_SUCCESS;
	}
	if (r < 0)
		return cli_usage(cli, "%s", err.message);
	if (cli->options.version)
		return print_version();
	if (cli_open(cli, &err) < 0)
		return cli_fail(cli, &err);
	if (arguments->count == 0)
		return cli_usage(cli, "a verb is missing");
	return run_verb(cli, argv, arguments);
}

/* Output that got lost, on a full disk say, must not look like success. */
static int flush_output(const struct cli *cli, int status)
{
	struct err err = { 0 };

	if ((fflush(stdout) == 0 && !ferror(stdout)) || status != EXIT_SUCCESS)
		return status;
	(void)err_set(&err, -EIO, "cannot write to standard output: %s", strerror(errno));
	return cli_fail(cli, &err);
}

int main(int argc, char **argv)
{
	struct cli cli = { .verbs = verbs, .terminal = { .fd = -1 } };
	struct arguments arguments = { .items = argv + 1, .count = argc - 1 };
	int status;

	/* A caller who ignores it would leave us without our children's exit statuses. */
	(void)signal(SIGCHLD, SIG_DFL);
	if (argc < 1 || fill_standard_streams() < 0)
		return EXIT_FAILURE;
	status = run(&cli, argv, &arguments);
	status = flush_output(&cli, status);
	cli_done(&cli);
	return status;
}
