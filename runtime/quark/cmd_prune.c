/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark prune
 */
#include <inttypes.h>
#include <stdio.h>

#include "build_source.h"
#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "image.h"
#include "json.h"
#include "prune.h"

enum { OPT_ALL = OPT_VERB, OPT_DRY_RUN, OPT_JSON };

struct prune_flags {
	bool all, dry_run, json;
};

static bool parse(struct cli *cli, int argc, char **argv, struct prune_flags *flags, int *ret_code)
{
	static const struct option table[] = {
		{"all", no_argument, NULL, OPT_ALL},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{"json", no_argument, NULL, OPT_JSON},
		{0},
	};
	int option;

	while ((option = cli_getopt(cli, argc, argv, "", table, ret_code)) >= 0) {
		if (option == OPT_EXIT)
			return false;
		flags->all = flags->all || option == OPT_ALL;
		flags->dry_run = flags->dry_run || option == OPT_DRY_RUN;
		flags->json = flags->json || option == OPT_JSON;
	}
	*ret_code = EXIT_USAGE;
	return cli_count_arguments(cli, argc, argv);
}

static void print_one(void *context, const char *kind, const char *name, uint64_t bytes)
{
	char size[FORMAT_BYTES];

	(void)context;
	format_size(bytes, size);
	printf("%-9s %9s  %s\n", kind, size, name);
}

static void add_one(void *context, const char *kind, const char *name, uint64_t bytes)
{
	cJSON *item = cJSON_CreateObject();

	(void)cJSON_AddItemToArray(context, item);
	(void)cJSON_AddStringToObject(item, "kind", kind);
	(void)cJSON_AddStringToObject(item, "name", name);
	json_add_u64(item, "bytes", bytes);
}

static int print_end(const struct prune_flags *flags, uint64_t bytes, cJSON *object)
{
	char size[FORMAT_BYTES];

	if (flags->json) {
		json_add_u64(object, "freed_bytes", bytes);
		(void)cJSON_AddBoolToObject(object, "dry_run", flags->dry_run);
		return json_print(object);
	}
	format_size(bytes, size);
	printf("%s %s\n", size, flags->dry_run ? "would be freed" : "freed");
	return EXIT_OK;
}

static int carry_out(struct cli *cli, const struct prune_flags *flags)
{
	cleanup_image_store struct image_store *store = NULL;
	cJSON *object = flags->json ? cJSON_CreateObject() : NULL;
	const struct prune_options options = {
		.all = flags->all,
		.dry_run = flags->dry_run,
		.report = flags->json ? add_one : print_one,
		.context = flags->json ? cJSON_AddArrayToObject(object, "removed") : NULL,
	};
	uint64_t bytes = 0;
	struct err err = {0};

	if (images_open(cli, &store, &err) == 0 && prune(cli, store, &options, &bytes, &err) == 0)
		return print_end(flags, bytes, object);
	cJSON_Delete(object);
	return cli_fail(&err);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct prune_flags flags = {0};
	struct err err = {0};
	int code;

	if (!parse(cli, argc, argv, &flags, &code))
		return code;
	return cli_open(cli, &err) < 0 ? cli_fail(&err) : carry_out(cli, &flags);
}

static const char help[] =
	"prune [--all] [--dry-run] [--json]\n\n"
	"Removes bases and images that no template uses, and what commands that were killed have\n"
	"left behind. Templates need neither base nor image of the store: they share the files.\n\n"
	"Options:\n"
	"  --all            templates that are refused too: damaged, or of another version\n"
	"  --dry-run        remove nothing, tell what would go\n"
	"  --json           {\"removed\": [{\"kind\", \"name\", \"bytes\"}], \"freed_bytes\",\n"
	"                   \"dry_run\"}; kind: base, image, template or leftover\n\n";

const struct verb verb_prune = {
	.name = "prune",
	.summary = "remove bases and images that nothing uses",
	.help = help,
	.options = "--all --dry-run --json",
	.run = run,
};
