/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark refresh: makes a template's clock young again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bake.h"
#include "cleanup.h"
#include "cli.h"
#include "store.h"

enum { TIMEOUT_S = 120 };

static int refresh(const struct cli *cli, const char *name, const char *workdir)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, name);
	const struct bake bake = {
		.name = name,
		.folder = folder,
		.workdir = workdir,
		.timeout_s = TIMEOUT_S,
	};
	struct template *template = NULL;
	struct err err = {0};

	if (!folder)
		return cli_fail_as(EXIT_ERROR, &err);
	if (store_open(&cli->paths, name, &template, &err) < 0)
		return cli_fail(&err);
	template_free(template);
	return template_refresh(cli, &bake);
}

static int run(struct cli *cli, int argc, char **argv)
{
	cleanup_free char *workdir = NULL;
	struct err err = {0};
	int code;

	if (!cli_simple(cli, argc, argv, NULL, &code))
		return code;
	if (name_check(argv[optind], &err) < 0)
		return cli_fail_as(EXIT_USAGE, &err);
	if (cli_open(cli, &err) < 0 || cli_host_mode(cli, &err) < 0)
		return cli_fail(&err);
	workdir = paths_in_home(&cli->paths, ".refresh.XXXXXX", NULL);
	if (!workdir || !mkdtemp(workdir)) {
		(void)err_set(&err, -errno, "cannot make a folder in '%s': %s", cli->paths.home,
			      strerror(errno));
		return cli_fail(&err);
	}
	code = refresh(cli, argv[optind], workdir);
	(void)folder_remove(workdir, NULL);
	return code;
}

static const char help[] =
	"refresh NAME\n\n"
	"Restores the template, lets its kernel catch up with the time that has passed, and\n"
	"captures it again. Clones of a template that is older than 15 minutes do that first,\n"
	"which takes milliseconds; after a refresh they need not for the next 15 minutes.\n\n";

const struct verb verb_refresh = {
	.name = "refresh",
	.summary = "make a template's clock young again",
	.help = help,
	.least = 1,
	.most = 1,
	.run = run,
};
