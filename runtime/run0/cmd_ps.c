/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 ps: the processes of a container, as the caller sees them.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "process_table.h"

struct values {
	const char *format;
};

static const struct cli_option options[] = {
	{ "format", 'f', OPTION_WORD, offsetof(struct values, format), "FORMAT", "table json",
	  "table (default) or json: an array of process ids" },
	{ 0 },
};

static void print_json(const pid_t *pids, size_t count)
{
	printf("[");
	for (size_t i = 0; i < count; i++)
		printf("%s%d", i > 0 ? "," : "", pids[i]);
	printf("]\n");
}

static int run(struct cli *cli, struct arguments *arguments)
{
	cleanup_free pid_t *pids = NULL;
	struct values values = { 0 };
	struct err err = { 0 };
	size_t count = 0;
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	if (process_table_check_options(arguments->items + 1, arguments->count - 1, &err) < 0)
		return cli_usage(cli, "%s", err.message);
	if (oci_pids(&cli->runtime, arguments->items[0], &pids, &count, &err) < 0)
		return cli_fail(cli, &err);
	if (values.format && strcmp(values.format, "json") == 0)
		print_json(pids, count);
	else
		process_table_print(pids, count);
	return EXIT_SUCCESS;
}

const struct verb verb_ps = {
	.name = "ps",
	.summary = "list the processes of a container",
	.arguments = "ID [PS OPTION]...",
	.description = "Lists the processes of a container, with the ids that they have for the\n"
		       "caller. The table is that of `ps -ef`; -e and -f after ID are accepted.",
	.options = options,
	.least = 1,
	.most = -1,
	.in_order = true,
	.takes_id = true,
	.run = run,
};
