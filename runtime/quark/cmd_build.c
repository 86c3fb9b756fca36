/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark build: its options. build.c does the work.
 */
#include <errno.h>
#include <string.h>

#include "build.h"
#include "cleanup.h"
#include "format.h"
#include "function_allowed.h"
#include "lumper.h"

enum {
	OPT_MEMORY = OPT_VERB,
	OPT_MEMORY_LIMIT,
	OPT_VCPUS,
	OPT_CPU,
	OPT_ENV,
	OPT_HANDLER,
	OPT_LANG,
	OPT_CONTRACT,
	OPT_IMAGE,
	OPT_WAKE,
	OPT_PURE,
	OPT_NO_GATHER,
	OPT_WARM_UP,
	OPT_SAMPLE,
	OPT_FORCE,
	OPT_TIMEOUT,
	OPT_INSECURE_REGISTRY,
	MEMORY_MIN_MIB = GUEST_MEMORY_MIN_BYTES >> 20,
	MEMORY_MAX_MIB = GUEST_MEMORY_MAX_BYTES >> 20,
	TIMEOUT_DEFAULT_S = 120,
	TIMEOUT_MAX_S = 3600,
	MEMORY_STEP_MIB = 2,
};

static bool set_cpu(const struct cli *cli, struct build_options *options)
{
	options->has_cpu = true;
	for (uint32_t i = CPU_TEMPLATE_PORTABLE; i <= CPU_TEMPLATE_HOST; i++) {
		if (strcmp(optarg, cpu_template_name(i)) == 0) {
			options->cpu_template = (enum cpu_template)i;
			return true;
		}
	}
	(void)cli_usage(cli, "--cpu: '%s' is neither portable nor host", optarg);
	return false;
}

static bool set_memory(const struct cli *cli, struct build_options *options)
{
	if (!cli_number(cli, "--memory", optarg, MEMORY_MIN_MIB, MEMORY_MAX_MIB,
			&options->memory_mib))
		return false;
	if (options->memory_mib % MEMORY_STEP_MIB == 0)
		return true;
	(void)cli_usage(cli, "--memory: '%s' is not even", optarg);
	return false;
}

static bool set_env(const struct cli *cli, struct build_options *options)
{
	if (!env_allowed(optarg) || strlen(optarg) > FUNCTION_TEXT_MAX)
		(void)cli_usage(cli, "--env: '%.80s' is not NAME=VALUE, or QUARK_*, which is taken",
				optarg);
	else if (options->env.count == FUNCTION_LIST_MAX)
		(void)cli_usage(cli, "--env: more than %d", FUNCTION_LIST_MAX);
	else if (string_list_set(&options->env, optarg) < 0)
		(void)cli_usage(cli, "out of memory");
	else
		return true;
	return false;
}

static bool set_word(const struct cli *cli, const char *option, const char *const *words,
		     unsigned int *ret_word)
{
	char text[WORDS_BYTES];

	*ret_word = word_find(words, optarg);
	if (*ret_word)
		return true;
	words_join(words, text);
	(void)cli_usage(cli, "%s: '%.80s' is not one of %s", option, optarg, text);
	return false;
}

static bool set_text(const struct cli *cli, const char *option, bool (*allows)(const char *text),
		     size_t longest, const char **ret_text)
{
	*ret_text = optarg;
	if (allows(optarg) && strlen(optarg) <= longest)
		return true;
	(void)cli_usage(cli, "%s: '%.80s' is not allowed", option, optarg);
	return false;
}

static bool set_warm_up(const struct cli *cli, struct build_options *options)
{
	options->has_warm_up = true;
	return cli_number(cli, "--warm-up", optarg, 0, FUNCTION_WARM_UP_MAX, &options->warm_up);
}

/* Options whose value is taken as it is. */
static void set_plain(struct build_options *options, int option)
{
	if (option == 't')
		options->name = optarg;
	else if (option == OPT_SAMPLE)
		options->sample = optarg;
	else if (option == OPT_PURE)
		options->pure = true;
	else if (option == OPT_NO_GATHER)
		options->no_gather = true;
	else if (option == OPT_INSECURE_REGISTRY)
		options->insecure_registry = true;
	else
		options->force = true;
}

static bool set_option(const struct cli *cli, struct build_options *options, int option)
{
	switch (option) {
	case OPT_MEMORY:
		return set_memory(cli, options);
	case OPT_MEMORY_LIMIT:
		return cli_number(cli, "--memory-limit", optarg, 1, MEMORY_MAX_MIB,
				  &options->memory_limit_mib);
	case OPT_VCPUS:
		return cli_number(cli, "--vcpus", optarg, 1, VM_VCPUS_MAX, &options->vcpus);
	case OPT_CPU:
		return set_cpu(cli, options);
	case OPT_ENV:
		return set_env(cli, options);
	case OPT_HANDLER:
		return set_text(cli, "--handler", handler_allowed, FUNCTION_NAME_MAX,
				&options->handler);
	case OPT_IMAGE:
		return set_text(cli, "--image", image_allowed, FUNCTION_TEXT_MAX, &options->image);
	case OPT_LANG:
		return set_word(cli, "--lang", lang_names, &options->lang);
	case OPT_CONTRACT:
		return set_word(cli, "--contract", contract_names, &options->contract);
	case OPT_WAKE:
		return set_word(cli, "--wake", wake_names, &options->wake);
	case OPT_WARM_UP:
		return set_warm_up(cli, options);
	case OPT_TIMEOUT:
		return cli_number(cli, "--timeout", optarg, 1, TIMEOUT_MAX_S, &options->timeout_s);
	default:
		set_plain(options, option);
		return true;
	}
}

/* Returns whether to go on; else *ret_code says with what to exit. */
static bool parse(struct cli *cli, int argc, char **argv, struct build_options *options,
		  int *ret_code)
{
	static const struct option table[] = {
		{"template", required_argument, NULL, 't'},
		{"memory", required_argument, NULL, OPT_MEMORY},
		{"memory-limit", required_argument, NULL, OPT_MEMORY_LIMIT},
		{"vcpus", required_argument, NULL, OPT_VCPUS},
		{"cpu", required_argument, NULL, OPT_CPU},
		{"env", required_argument, NULL, OPT_ENV},
		{"handler", required_argument, NULL, OPT_HANDLER},
		{"lang", required_argument, NULL, OPT_LANG},
		{"contract", required_argument, NULL, OPT_CONTRACT},
		{"image", required_argument, NULL, OPT_IMAGE},
		{"wake", required_argument, NULL, OPT_WAKE},
		{"pure", no_argument, NULL, OPT_PURE},
		{"no-gather", no_argument, NULL, OPT_NO_GATHER},
		{"warm-up", required_argument, NULL, OPT_WARM_UP},
		{"sample", required_argument, NULL, OPT_SAMPLE},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{"force", no_argument, NULL, OPT_FORCE},
		{"insecure-registry", no_argument, NULL, OPT_INSECURE_REGISTRY},
		{0},
	};
	int option;

	while ((option = cli_getopt(cli, argc, argv, "t:", table, ret_code)) >= 0) {
		if (option == OPT_EXIT)
			return false;
		*ret_code = EXIT_USAGE;
		if (!set_option(cli, options, option))
			return false;
	}
	*ret_code = EXIT_USAGE;
	if (!cli_count_arguments(cli, argc, argv))
		return false;
	if (!options->name)
		(void)cli_usage(cli, "-t NAME is missing");
	options->source = argv[optind];
	return options->name != NULL;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct build_options options = {.timeout_s = TIMEOUT_DEFAULT_S};
	struct err err = {0};
	int code;

	if (parse(cli, argc, argv, &options, &code)) {
		if (name_check(options.name, &err) < 0)
			code = cli_fail_as(EXIT_USAGE, &err);
		else
			code = build_template(cli, &options);
	}
	string_list_done(&options.env);
	return code;
}

static const char help[] =
	"build SOURCE -t NAME [OPTION]...\n\n"
	"Makes the template NAME. SOURCE is an image (an OCI layout's folder, an archive of\n"
	"docker save, a name that `quark images` lists, or a registry's reference), or a folder\n"
	"with a function: its function.json says what it is, left out: C. The function starts in a\n"
	"container in a micro-VM; the template is that VM when the function first waits for work.\n"
	"When a template of the same inputs is there, only its clock is refreshed if it is older\n"
	"than ten minutes.\n\n"
	"Options (default: as function.json says):\n"
	"  -t, --template NAME   [a-z0-9][a-z0-9._-]*, at most 63 characters\n"
	"  --contract C          how it gets requests: libquark, stdio, http or lambda (else: the\n"
	"                        image's label io.quark.contract; else libquark for C, python\n"
	"                        and node, and stdio)\n"
	"  --lang L              c, python, node or sh\n"
	"  --handler H           python, node: MODULE.FUNCTION; stdio, http: a file\n"
	"  --image REF           the function's root: as SOURCE\n"
	"  --env NAME=VALUE      a variable; may be given many times\n"
	"  --wake run0|direct    run0 (default): each clone is made unique before it gets a\n"
	"                        request; direct: not, for functions that are --pure\n"
	"  --pure                needs no random numbers, no identity\n"
	"  --warm-up N           requests (see --sample) before the snapshot, at most 10000\n"
	"  --sample DATA|@FILE|- request for warm-up, and for the run that records which pages a\n"
	"                        request needs (default: empty)\n"
	"  --no-gather           do not move what a start touches to hot memory: slower starts, a\n"
	"                        shorter build, and clones that share more\n"
	"  --memory MIB          guest memory, even, 32 to 8192 (96; with an image 128)\n"
	"  --memory-limit MIB    of the function alone\n"
	"  --vcpus N             1 to 8 (1)\n"
	"  --cpu portable|host   CPU that the guest sees (portable)\n"
	"  --timeout S           for each step to end (default 120)\n"
	"  --insecure-registry   plain HTTP for the image's registry; on this machine's loopback it\n"
	"                        is taken anyway\n"
	"  --force               build even when the template is up to date\n"
	"Environment: CC, the compiler (default gcc); QUARK_KERNEL, a kernel image, or a folder\n"
	"with boot/vmlinuz-* (default: what libexec/quark/kernel-fetch has fetched); in mode rig\n"
	"it must not be below /tmp, /run or /dev/shm, which are the rig's own.\n\n";

const struct verb verb_build = {
	.name = "build",
	.summary = "make a template from an image or a function's folder",
	.help = help,
	.options = "--template --contract --lang --handler --image --env --wake --pure --warm-up "
		   "--sample --no-gather --memory --memory-limit --vcpus --cpu --timeout "
		   "--insecure-registry --force",
	.least = 1,
	.most = 1,
	.run = run,
};
