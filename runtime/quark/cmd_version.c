/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark version
 */
#include <stdio.h>

#include "cli.h"

static int run(struct cli *cli, int argc, char **argv)
{
	int code;

	if (!cli_simple(cli, argc, argv, NULL, &code))
		return code;
	printf("quark %s\n", QUARK_VERSION);
	return EXIT_OK;
}

static const char help[] =
	"version\n\nPrints the version.\n\n";

const struct verb verb_version = {
	.name = "version",
	.summary = "print the version",
	.help = help,
	.run = run,
};
