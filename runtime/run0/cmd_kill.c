/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 kill: a signal for a container.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli.h"
#include "signal_name.h"

struct values {
	bool all;
};

static const struct cli_option options[] = {
	{ "all", 'a', OPTION_FLAG, offsetof(struct values, all), NULL, NULL,
	  "to all processes of the container, not the first alone" },
	{ 0 },
};

/* containerd takes a failed kill for done when it finds one of these words in the message. */
static void name_condition(struct err *err)
{
	static const struct {
		int code;
		const char *words;
	} conditions[] = {
		{ -ESRCH, "container not running" },
		{ -ENOENT, "container does not exist" },
	};

	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (err->code == conditions[i].code && !strstr(err->message, conditions[i].words))
			(void)err_prefix(err, err->code, "%s", conditions[i].words);
}

static int run(struct cli *cli, struct arguments *arguments)
{
	const char *id;
	struct values values = { 0 };
	struct err err = { 0 };
	int signal = SIGTERM;
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	id = arguments->items[0];
	if (arguments->count > 1)
		signal = signal_parse(arguments->items[1]);
	if (signal < 0)
		return cli_usage(cli, "unknown signal '%s'", arguments->items[1]);
	if (oci_kill(&cli->runtime, id, signal, values.all, &err) == 0)
		return EXIT_SUCCESS;
	name_condition(&err);
	return cli_fail(cli, &err);
}

const struct verb verb_kill = {
	.name = "kill",
	.summary = "send a signal to a container",
	.arguments = "ID [SIGNAL]",
	.description = "Sends a signal, by name with or without SIG or by number, to the first\n"
		       "process of a container (default: TERM).",
	.options = options,
	.least = 1,
	.most = 2,
	.takes_id = true,
	.run = run,
};
