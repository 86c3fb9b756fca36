/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --help, made from the tables of options and verbs.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { HELP_COLUMN = 30, LABEL_BYTES = 80, VERB_COLUMN = 12 };

/* Lines after the first begin where the first does. */
static void print_indented(const char *text, int column)
{
	for (;;) {
		const size_t bytes = strcspn(text, "\n");

		printf("%.*s\n", (int)bytes, text);
		if (!text[bytes])
			return;
		text += bytes + 1;
		printf("%*s", column, "");
	}
}

static void print_option(const struct cli_option *option)
{
	char label[LABEL_BYTES];
	char letter[] = "    ";
	int n;

	if (option->letter)
		memcpy(letter, (char[]){ '-', option->letter, ',', ' ' }, 4);
	n = snprintf(label, sizeof(label), "  %s--%s%s%s", letter, option->name,
		     option->value ? "=" : "", option->value ? option->value : "");
	printf("%-*s", HELP_COLUMN, label);
	if (n >= HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	print_indented(option->help, HELP_COLUMN);
}

static void print_options(const char *title, const struct cli_option *options)
{
	static const struct cli_option help = { .name = "help",
						.letter = 'h',
						.help = "show this help" };

	printf("\n%s:\n", title);
	for (; options->name; options++)
		print_option(options);
	print_option(&help);
}

static void print_verb_help(const struct verb *verb)
{
	printf("usage: run0 [GLOBAL OPTION]... %s %s%s%s\n\n%s\n", verb->name,
	       verb->options->name ? "[OPTION]..." : "",
	       verb->options->name && *verb->arguments ? " " : "", verb->arguments,
	       verb->description);
	print_options("Options", verb->options);
}

void cli_print_help(const struct cli *cli)
{
	if (cli->verb) {
		print_verb_help(cli->verb);
		return;
	}
	printf("usage: run0 [GLOBAL OPTION]... VERB [OPTION]... [ARGUMENT]...\n\n"
	       "Runs containers by the OCI runtime specification.\n\nVerbs:\n");
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf("  %-*s %s\n", VERB_COLUMN, (*verb)->name, (*verb)->summary);
	print_options("Global options", global_options);
	printf("\nExit status: 0 done, 1 error; of run and exec in the foreground that of the\n"
	       "process, 128 + N when signal N ended it; 255 when exec itself failed.\n"
	       "`run0 VERB --help` tells more.\n");
}
