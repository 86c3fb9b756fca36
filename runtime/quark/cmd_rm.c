/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark rm
 */
#include "cli.h"
#include "store.h"

static int run(struct cli *cli, int argc, char **argv)
{
	struct err err = {0};
	int code;

	if (!cli_simple(cli, argc, argv, NULL, &code))
		return code;
	if (name_check(argv[optind], &err) < 0)
		return cli_fail_as(EXIT_USAGE, &err);
	if (cli_open(cli, &err) < 0 || store_remove(&cli->paths, argv[optind], &err) < 0)
		return cli_fail(&err);
	return EXIT_OK;
}

static const char help[] =
	"rm NAME\n\nRemoves the template NAME.\n\n";

const struct verb verb_rm = {
	.name = "rm",
	.summary = "remove a template",
	.help = help,
	.least = 1,
	.most = 1,
	.run = run,
};
