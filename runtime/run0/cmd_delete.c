/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 delete: what is left of a container goes.
 */
#include "cli.h"

struct values {
	bool force;
};

static const struct cli_option options[] = {
	{ "force", 'f', OPTION_FLAG, offsetof(struct values, force), NULL, NULL,
	  "kill it first when it runs; one that does not exist\nis no error" },
	{ 0 },
};

static int run(struct cli *cli, struct arguments *arguments)
{
	struct values values = { 0 };
	struct err err = { 0 };
	int status;
	int r;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	r = oci_delete(&cli->runtime, arguments->items[0], values.force, &err);
	return cli_result(cli, r, &err);
}

const struct verb verb_delete = {
	.name = "delete",
	.summary = "remove a container",
	.arguments = "ID",
	.description =
		"Removes a container that has stopped: its cgroup, its mounts and its state.\n"
		"With --force also one that runs, or that was made by half.",
	.options = options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run,
};
