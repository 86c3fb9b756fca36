/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark rig: the rig tool, for the rig that quark keeps up.
 */
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "rig.h"

/* stop and status take a name; start is ours, since it must share the right folders. */
static const char *const verbs_passed[] = {"exec", "status", "stop"};

static int start_rig(const struct cli *cli)
{
	struct err err = {0};

	return rig_ensure(cli, &err) < 0 ? cli_fail(&err) : EXIT_OK;
}

static int pass_on(const struct cli *cli, int argc, char **argv)
{
	struct err err = {0};
	struct args args = {0};

	ARGS_ADD(&args, cli->paths.rig, argv[0], "--name", RIG_NAME);
	args_add_all(&args, (const char *const *)(const void *)(argv + 1), (size_t)argc - 1);
	if (rig_set_environment(cli, &err) < 0 || child_replace(&args, &err) < 0)
		return cli_fail(&err);
	return EXIT_ERROR;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct err err = {0};
	int code;

	if (cli_getopt(cli, argc, argv, "+", NULL, &code) == OPT_EXIT)
		return code;
	argc -= optind;
	argv += optind;
	if (argc == 0)
		return cli_usage(cli, "start, status, stop or exec is missing");
	if (cli_open(cli, &err) < 0)
		return cli_fail(&err);
	if (strcmp(argv[0], "start") == 0 && argc == 1)
		return start_rig(cli);
	for (size_t i = 0; i < ARRAY_SIZE(verbs_passed); i++)
		if (strcmp(argv[0], verbs_passed[i]) == 0)
			return pass_on(cli, argc, argv);
	return cli_usage(cli, "'%s' is not start, status, stop or exec", argv[0]);
}

static const char help[] =
	"rig start | status [--json] | stop | exec [OPTION]... -- COMMAND...\n\n"
	"In mode `rig` quark runs micro-VMs in an emulated host, which it boots when it is needed\n"
	"and keeps up between commands; it ends after ten minutes without one. These verbs are\n"
	"for that rig; `rig --help` of the tool in libexec/quark tells the options of exec.\n\n";

const struct verb verb_rig = {
	.name = "rig",
	.summary = "start, stop and use the emulated host",
	.help = help,
	.options = "start status stop exec",
	.least = 1,
	.most = 256,
	.run = run,
};
