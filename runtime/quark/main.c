/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quark command: finds the verb and runs it. Everything that lives as long as the process does
 * is in the struct cli here.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"

static const struct verb *const verbs[] = {
	&verb_doctor,	 &verb_new,   &verb_build,    &verb_invoke, &verb_templates,
	&verb_refresh,	 &verb_rm,    &verb_images,   &verb_prune,  &verb_snapshot,
	&verb_rig,	 &verb_completion, &verb_version, NULL,
};

static const struct verb *find_verb(const char *name)
{
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (strcmp((*verb)->name, name) == 0)
			return *verb;
	return NULL;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
	cli->verb = find_verb(argv[0]);
	if (!cli->verb)
		return cli_usage(cli, "unknown verb '%s'", argv[0]);
	optind = 0; /* glibc: parse anew, from the verb's own argv */
	return cli->verb->run(cli, argc, argv);
}

/* Output that got lost, on a full disk say, must not look like success. */
static int close_stdout(int code)
{
	if (fclose(stdout) == 0 || code != EXIT_OK)
		return code;
	perror("quark: cannot write to stdout");
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"version", no_argument, NULL, OPT_VERB}, {0}};
	struct cli cli = {.verbs = verbs};
	int code = EXIT_OK;
	int option;

	option = cli_getopt(&cli, argc, argv, "+", options, &code);
	if (option == OPT_VERB)
		printf("quark %s\n", QUARK_VERSION);
	else if (option != OPT_EXIT && optind == argc)
		code = cli_usage(&cli, "a verb is missing");
	else if (option != OPT_EXIT)
		code = run_verb(&cli, argc - optind, argv + optind);
	paths_done(&cli.paths);
	return close_stdout(code);
}
