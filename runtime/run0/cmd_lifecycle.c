/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 start, pause, resume: the verbs that are one call with an id.
 */
#include "cli.h"

static const struct cli_option no_options[] = { { 0 } };

typedef int call_fn(const struct oci_runtime *runtime, const char *id, struct err *err);

static int run(struct cli *cli, struct arguments *arguments, call_fn *call)
{
	struct err err = { 0 };
	int status;

	if (!cli_parse(cli, NULL, arguments, &status))
		return status;
	return cli_result(cli, call(&cli->runtime, arguments->items[0], &err), &err);
}

static int run_start(struct cli *cli, struct arguments *arguments)
{
	return run(cli, arguments, oci_start);
}

static int run_pause(struct cli *cli, struct arguments *arguments)
{
	return run(cli, arguments, oci_pause);
}

static int run_resume(struct cli *cli, struct arguments *arguments)
{
	return run(cli, arguments, oci_resume);
}

const struct verb verb_start = {
	.name = "start",
	.summary = "start the process of a created container",
	.arguments = "ID",
	.description = "Starts the process of a container that `run0 create` has made.",
	.options = no_options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run_start,
};

const struct verb verb_pause = {
	.name = "pause",
	.summary = "freeze all processes of a container",
	.arguments = "ID",
	.description = "Freezes all processes of a container, until `run0 resume`.",
	.options = no_options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run_pause,
};

const struct verb verb_resume = {
	.name = "resume",
	.summary = "thaw a paused container",
	.arguments = "ID",
	.description = "Lets the processes of a paused container go on.",
	.options = no_options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run_resume,
};
