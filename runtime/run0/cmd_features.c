/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 features: what this build can do, for clients that want to know beforehand.
 */
#include "cleanup.h"
#include "cli.h"

static const struct cli_option options[] = { { 0 } };

static int run(struct cli *cli, struct arguments *arguments)
{
	cleanup_free char *json = NULL;
	int status;

	if (!cli_parse(cli, NULL, arguments, &status))
		return status;
	json = oci_features_json();
	return cli_print_document(cli, json);
}

const struct verb verb_features = {
	.name = "features",
	.summary = "print what this runtime can do",
	.arguments = "",
	.description =
		"Prints the features document of the runtime specification as JSON:\n"
		"namespaces, mount options, capabilities, cgroup drivers, seccomp and so on.",
	.options = options,
	.run = run,
};
