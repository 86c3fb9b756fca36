/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 state: what the specification says of one container.
 */
#include "cleanup.h"
#include "cli.h"

static const struct cli_option options[] = { { 0 } };

static int run(struct cli *cli, struct arguments *arguments)
{
	cleanup_free char *json = NULL;
	struct err err = { 0 };
	int status;

	if (!cli_parse(cli, NULL, arguments, &status))
		return status;
	if (oci_state_json(&cli->runtime, arguments->items[0], &json, &err) < 0)
		return cli_fail(cli, &err);
	return cli_print_document(cli, json);
}

const struct verb verb_state = {
	.name = "state",
	.summary = "print the state of a container",
	.arguments = "ID",
	.description = "Prints the state of a container as JSON. \"status\" is creating, created,\n"
		       "running, paused or stopped.",
	.options = options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run,
};
