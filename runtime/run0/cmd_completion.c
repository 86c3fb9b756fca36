/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 completion: scripts for shells, made from the tables of verbs and options.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"

enum { OPTION_BYTES = 40 };

static const struct cli_option options[] = { { 0 } };

static bool is_path(const struct cli_option *option)
{
	static const char *const names[] = { "FILE", "SOCKET" };

	for (size_t i = 0; option->value && i < ARRAY_SIZE(names); i++)
		if (strcmp(option->value, names[i]) == 0)
			return true;
	return false;
}

static bool is_folder(const struct cli_option *option)
{
	return option->value && strcmp(option->value, "DIR") == 0;
}

/* A help text as one line within single quotes. zsh's brackets would end its own. */
static void print_summary(const char *help)
{
	for (; *help; help++) {
		if (*help == '\'')
			printf("'\\''");
		else
			putchar(*help == '\n'  ? ' '
				: *help == '[' ? '('
				: *help == ']' ? ')'
					       : *help);
	}
}

static void bash_words(const struct cli_option *table)
{
	printf("--help");
	for (; table->name; table++)
		printf(" --%s", table->name);
}

/* "--name | -l", of those options whose value is the next word. */
static void bash_pattern(const struct cli_option *option)
{
	printf("--%s", option->name);
	if (option->letter)
		printf(" | -%c", option->letter);
}

static void bash_values(const char *verb, const struct cli_option *table)
{
	for (; table->name; table++) {
		if (!option_kind_has_value(table->kind))
			continue;
		printf("\t'%s '", verb);
		if (table->letter)
			printf("--%s | '%s '-%c", table->name, verb, table->letter);
		else
			printf("--%s", table->name);
		if (table->words)
			printf(") _run0_words '%s'; return ;;\n", table->words);
		else if (is_folder(table))
			printf(") COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n");
		else if (is_path(table))
			printf(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n");
		else
			printf(") return ;;\n");
	}
}

static void bash_global_pattern(void)
{
	bool is_first = true;

	for (const struct cli_option *option = global_options; option->name; option++) {
		if (!option_kind_has_value(option->kind))
			continue;
		printf(is_first ? "\t\t" : " | ");
		bash_pattern(option);
		is_first = false;
	}
}

static const char bash_head[] =
	"# bash completion for run0: . <(run0 completion bash)\n"
	"_run0_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$current\")); }\n"
	"_run0() {\n"
	"	local current=$2 previous=$3 verb= skip= word\n"
	"	local -a globals=()\n"
	"	COMPREPLY=()\n"
	/* Readline takes --name=value for three words. */
	"	if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	"	if [[ $current == = ]]; then current=; fi\n"
	"	for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"		if [[ $word == = ]]; then skip=1; continue; fi\n"
	"		if [[ $skip ]]; then skip=; globals+=(\"$word\"); continue; fi\n"
	"		case $word in\n";
static const char bash_after_globals[] = ") skip=1; globals+=(\"$word\") ;;\n"
					 "		-*) globals+=(\"$word\") ;;\n"
					 "		*) verb=$word; break ;;\n"
					 "		esac\n"
					 "	done\n"
					 "	case \"$verb $previous\" in\n";
static const char bash_tail[] = "	esac\n"
				"}\n"
				"complete -F _run0 run0\n";

static void bash_verbs(const struct cli *cli)
{
	printf("\t'') _run0_words '");
	bash_words(global_options);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf(" %s", (*verb)->name);
	printf("' ;;\n");
	for (const struct verb *const *verb = cli->verbs; *verb; verb++) {
		printf("\t%s)\n\t\tif [[ $current == -* ]]; then _run0_words '", (*verb)->name);
		bash_words((*verb)->options);
		printf("'");
		if ((*verb)->takes_id)
			printf("; else _run0_words \"$(run0 \"${globals[@]}\" list -q "
			       "2>/dev/null)\"");
		else if (*verb == &verb_completion)
			printf("; else _run0_words 'bash zsh fish'");
		printf("; fi\n\t\t;;\n");
	}
}

static void print_bash(const struct cli *cli)
{
	fputs(bash_head, stdout);
	bash_global_pattern();
	fputs(bash_after_globals, stdout);
	bash_values("", global_options);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		bash_values((*verb)->name, (*verb)->options);
	printf("\tesac\n\tcase $verb in\n");
	bash_verbs(cli);
	fputs(bash_tail, stdout);
}

static void zsh_action(const struct cli_option *option)
{
	/* A colon would end what zsh shows. */
	printf(":%.*s:", (int)strcspn(option->value, "[:"), option->value);
	if (option->words)
		printf("(%s)", option->words);
	else if (is_folder(option))
		printf("_files -/");
	else if (is_path(option))
		printf("_files");
	else
		printf(" ");
}

/* One specification of _arguments: "name", with what stands between it and its value. */
static void zsh_option(const struct cli_option *option, const char *indent, const char *name,
		       const char *separator)
{
	const bool has_value = option_kind_has_value(option->kind);

	printf(" \\\n%s'%s%s%s[", indent, option->kind == OPTION_LIST ? "*" : "", name,
	       has_value ? separator : "");
	print_summary(option->help);
	printf("]");
	if (has_value)
		zsh_action(option);
	printf("'");
}

static void zsh_options(const struct cli_option *table, const char *indent)
{
	char name[OPTION_BYTES];

	printf("%s'--help[show help]'", indent);
	for (; table->name; table++) {
		(void)snprintf(name, sizeof(name), "--%s", table->name);
		zsh_option(table, indent, name, "=");
		if (!table->letter)
			continue;
		(void)snprintf(name, sizeof(name), "-%c", table->letter);
		zsh_option(table, indent, name, "+");
	}
}

static const char zsh_head[] =
	"#compdef run0\n"
	"# zsh completion for run0: run0 completion zsh > FOLDER_OF_FPATH/_run0\n"
	"_run0_ids() {\n"
	"	local -a ids=(${(f)\"$(run0 ${opt_args[--root]:+--root} "
	"${opt_args[--root]} list -q 2>/dev/null)\"})\n"
	"	compadd -a ids\n"
	"}\n"
	"_run0() {\n"
	"	local context state line\n"
	"	local -A opt_args\n"
	"	local -a verbs=(\n";

static void print_zsh(const struct cli *cli)
{
	fputs(zsh_head, stdout);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf("\t\t'%s:%s'\n", (*verb)->name, (*verb)->summary);
	printf("\t)\n\t_arguments -C \\\n");
	zsh_options(global_options, "\t\t");
	printf(" \\\n\t\t'1:verb:->verb' '*::argument:->arguments'\n"
	       "\t[[ $state == verb ]] && _describe verb verbs\n"
	       "\t[[ $state == arguments ]] || return\n\tcase $words[1] in\n");
	for (const struct verb *const *verb = cli->verbs; *verb; verb++) {
		printf("\t%s)\n\t\t_arguments \\\n", (*verb)->name);
		zsh_options((*verb)->options, "\t\t\t");
		if ((*verb)->takes_id)
			printf(" \\\n\t\t\t'1:container:_run0_ids' '*: :'");
		else if (*verb == &verb_completion)
			printf(" \\\n\t\t\t'1:shell:(bash zsh fish)'");
		printf("\n\t\t;;\n");
	}
	printf("\tesac\n}\nif [[ $funcstack[1] == _run0 ]]; then _run0; "
	       "else compdef _run0 run0; fi\n");
}

static void fish_option(const char *condition, const struct cli_option *option)
{
	printf("complete -c run0 -n '%s' -l %s", condition, option->name);
	if (option->letter)
		printf(" -s %c", option->letter);
	if (option_kind_has_value(option->kind))
		printf(is_path(option) ? " -r -F" : " -x");
	if (option->words)
		printf(" -a '%s'", option->words);
	else if (is_folder(option))
		printf(" -a '(__fish_complete_directories)'");
	printf(" -d '");
	print_summary(option->help);
	printf("'\n");
}

static void fish_verb(const struct verb *verb)
{
	char condition[80];

	(void)snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", verb->name);
	printf("complete -c run0 -n __run0_needs_verb -a %s -d '%s'\n", verb->name, verb->summary);
	for (const struct cli_option *option = verb->options; option->name; option++)
		fish_option(condition, option);
	if (verb->takes_id)
		printf("complete -c run0 -n '%s' -a '(run0 list -q 2>/dev/null)'\n", condition);
	if (verb == &verb_completion)
		printf("complete -c run0 -n '%s' -a 'bash zsh fish'\n", condition);
}

static void print_fish(const struct cli *cli)
{
	printf("# fish completion for run0: run0 completion fish | source\n"
	       "function __run0_needs_verb\n\tnot __fish_seen_subcommand_from");
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf(" %s", (*verb)->name);
	printf("\nend\ncomplete -c run0 -f\ncomplete -c run0 -l help -s h -d 'show help'\n");
	for (const struct cli_option *option = global_options; option->name; option++)
		fish_option("__run0_needs_verb", option);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		fish_verb(*verb);
}

static int run(struct cli *cli, struct arguments *arguments)
{
	static const struct {
		const char *name;
		void (*print)(const struct cli *cli);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
	int status;

	if (!cli_parse(cli, NULL, arguments, &status))
		return status;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(shells[i].name, arguments->items[0]) == 0) {
			shells[i].print(cli);
			return EXIT_SUCCESS;
		}
	return cli_usage(cli, "no completion for '%s': bash, zsh or fish", arguments->items[0]);
}

const struct verb verb_completion = {
	.name = "completion",
	.summary = "print a completion script for a shell",
	.arguments = "bash|zsh|fish",
	.description = "Prints a completion script; use it by: . <(run0 completion bash)",
	.options = options,
	.least = 1,
	.most = 1,
	.run = run,
};
