/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark completion: a script for bash, made from the table of verbs.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define COMMON_OPTIONS "--help --quiet --verbose --home --host-mode"

static const char head[] =
	"# bash completion for quark: . <(quark completion bash)\n"
	"_quark_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$current\")); }\n"
	"_quark() {\n"
	"	local current=$2 previous=$3 verb= skip= word\n"
	"	COMPREPLY=()\n"
	"	for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"		if [[ $skip ]]; then skip=; continue; fi\n"
	"		case $word in\n"
	"		--home | --host-mode) skip=1 ;;\n"
	"		-*) ;;\n"
	"		*) verb=$word; break ;;\n"
	"		esac\n"
	"	done\n"
	"	case $previous in\n"
	"	--level) _quark_words 'cold shell template parked'; return ;;\n"
	"	--cpu) _quark_words 'portable host'; return ;;\n"
	"	--contract) _quark_words 'libquark stdio http lambda'; return ;;\n"
	"	--lang) _quark_words 'c python node sh'; return ;;\n"
	"	--wake) _quark_words 'run0 direct'; return ;;\n"
	"	--host-mode) _quark_words 'auto kvm rig'; return ;;\n"
	"	--home) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n"
	"	esac\n"
	"	case $verb in\n";

/* Names of templates come from the folder, which is quicker than asking quark. */
static const char tail[] =
	"	esac\n"
	"	[[ $current == -* ]] && return\n"
	"	case \"$verb $previous\" in\n"
	"	invoke\\ * | refresh\\ * | rm\\ * | snapshot\\ inspect | snapshot\\ verify)\n"
	"		local home=${QUARK_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/quark}\n"
	"		_quark_words \"$(command ls \"$home/templates\" 2>/dev/null)\"\n"
	"		;;\n"
	"	build\\ * | new\\ * | images\\ import) COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
	"	esac\n"
	"}\n"
	"complete -F _quark quark\n";

static void print_script(const struct cli *cli)
{
	fputs(head, stdout);
	fputs("	'') _quark_words '" COMMON_OPTIONS, stdout);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf(" %s", (*verb)->name);
	fputs("' ;;\n", stdout);
	for (const struct verb *const *verb = cli->verbs; *verb; verb++)
		printf("	%s) _quark_words '" COMMON_OPTIONS " %s' ;;\n", (*verb)->name,
		       (*verb)->options ? (*verb)->options : "");
	fputs(tail, stdout);
}

static int run(struct cli *cli, int argc, char **argv)
{
	int code;

	if (!cli_simple(cli, argc, argv, NULL, &code))
		return code;
	if (strcmp(argv[optind], "bash") != 0)
		return cli_usage(cli, "no completion for '%s': only bash", argv[optind]);
	print_script(cli);
	return EXIT_OK;
}

static const char help[] =
	"completion bash\n\nPrints a script for bash; use it by: . <(quark completion bash)\n\n";

const struct verb verb_completion = {
	.name = "completion",
	.summary = "print a completion script for a shell",
	.help = help,
	.options = "bash",
	.least = 1,
	.most = 1,
	.run = run,
};
