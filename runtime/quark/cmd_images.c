/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark images: the images that templates are built from.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "build_source.h"
#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "image.h"
#include "json.h"
#include "usage.h"

enum { OPT_JSON = OPT_VERB, OPT_FORCE, OPT_INSECURE_REGISTRY, ID_SHOWN = 12 };

struct images_flags {
	bool json;
	struct source_options source;
};

/* --- listing --------------------------------------------------------------------------------- */

static uint64_t age_s(const struct image *image)
{
	const uint64_t now = (uint64_t)time(NULL);

	return now > image->imported_s ? now - image->imported_s : 0;
}

static void print_row(const struct image *image, unsigned int users)
{
	char size[FORMAT_BYTES], unpacked[FORMAT_BYTES], age[FORMAT_BYTES];

	format_size(image->root_bytes, size);
	format_size(image->unpacked_bytes, unpacked);
	format_age(age_s(image), age);
	printf("%-40s %.*s %9s %9s %8s %9u\n", image->name[0] ? image->name : "-", ID_SHOWN,
	       image->id, size, unpacked, age, users);
}

static cJSON *json_of(const struct image *image)
{
	cJSON *item = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(item, "name", image->name);
	(void)cJSON_AddStringToObject(item, "id", image->id);
	json_add_u64(item, "bytes", image->root_bytes);
	json_add_u64(item, "unpacked_bytes", image->unpacked_bytes);
	json_add_u64(item, "age_s", age_s(image));
	return item;
}

static void add_row(cJSON *list, const struct image *image, unsigned int users)
{
	cJSON *item = json_of(image);

	json_add_u64(item, "templates", users);
	(void)cJSON_AddItemToArray(list, item);
}

static int list(const struct cli *cli, struct image_store *store, const struct images_flags *flags,
		const char *argument)
{
	cleanup_usage struct usage usage = {0};
	struct image **images = NULL;
	size_t count = 0;
	struct err err = {0};
	cJSON *json;

	(void)argument;
	if (usage_read(&cli->paths, &usage, &err) < 0 ||
	    image_list(store, &images, &count, &err) < 0)
		return cli_fail(&err);
	json = flags->json ? cJSON_CreateArray() : NULL;
	if (!flags->json)
		printf("%-40s %-*s %9s %9s %8s %9s\n", "NAME", ID_SHOWN, "ID", "SIZE", "UNPACKED",
		       "AGE", "TEMPLATES");
	for (size_t i = 0; i < count; i++) {
		const unsigned int users = usage_image_users(&usage, images[i]);

		if (flags->json)
			add_row(json, images[i], users);
		else
			print_row(images[i], users);
	}
	image_list_free(images, count);
	return flags->json ? json_print(json) : EXIT_OK;
}

/* --- changing -------------------------------------------------------------------------------- */

static int import(const struct cli *cli, struct image_store *store,
		  const struct images_flags *flags, const char *argument)
{
	cleanup_image struct image *image = NULL;
	struct err err = {0};

	if (source_import(cli, store, argument, &flags->source, &image, &err) < 0)
		return cli_fail(&err);
	if (flags->json)
		return json_print(json_of(image));
	printf("%s %.*s\n", image->name[0] ? image->name : "-", ID_SHOWN, image->id);
	return EXIT_OK;
}

static int remove_one(const struct cli *cli, struct image_store *store,
		      const struct images_flags *flags, const char *argument)
{
	cleanup_image struct image *image = NULL;
	struct err err = {0};

	(void)cli;
	(void)flags;
	if (source_stored(store, argument, &image, &err) < 0 ||
	    image_remove(store, image->id, &err) < 0)
		return cli_fail(&err);
	return EXIT_OK;
}

static const struct action {
	const char *name;
	int arguments;
	int (*run)(const struct cli *cli, struct image_store *store,
		   const struct images_flags *flags, const char *argument);
} actions[] = {
	{"ls", 0, list},
	{"import", 1, import},
	{"rm", 1, remove_one},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static bool parse(struct cli *cli, int argc, char **argv, struct images_flags *flags,
		  int *ret_code)
{
	static const struct option table[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"force", no_argument, NULL, OPT_FORCE},
		{"insecure-registry", no_argument, NULL, OPT_INSECURE_REGISTRY},
		{0},
	};
	int option;

	while ((option = cli_getopt(cli, argc, argv, "", table, ret_code)) >= 0) {
		if (option == OPT_EXIT)
			return false;
		flags->json = flags->json || option == OPT_JSON;
		flags->source.force = flags->source.force || option == OPT_FORCE;
		flags->source.insecure_registry =
			flags->source.insecure_registry || option == OPT_INSECURE_REGISTRY;
	}
	*ret_code = EXIT_USAGE;
	return cli_count_arguments(cli, argc, argv);
}

static int carry_out(struct cli *cli, const struct action *action,
		     const struct images_flags *flags, const char *argument)
{
	cleanup_image_store struct image_store *store = NULL;
	struct err err = {0};

	if (cli_open(cli, &err) < 0 || images_open(cli, &store, &err) < 0)
		return cli_fail(&err);
	return action->run(cli, store, flags, argument);
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct action *action;
	struct images_flags flags = {0};
	int code, given;

	if (!parse(cli, argc, argv, &flags, &code))
		return code;
	given = argc - optind;
	action = given == 0 ? &actions[0] : find_action(argv[optind]);
	if (!action)
		return cli_usage(cli, "'%s' is neither ls, import nor rm", argv[optind]);
	if (given > 0 && given - 1 != action->arguments)
		return cli_usage(cli, given - 1 < action->arguments ? "%s needs an argument"
								     : "%s has no argument",
				 action->name);
	return carry_out(cli, action, &flags, action->arguments ? argv[optind + 1] : NULL);
}

static const char help[] =
	"images [ls | import SOURCE | rm NAME] [OPTION]...\n\n"
	"Lists the images of the store (also: ls): name, id, size of the root that clones map,\n"
	"size of all files, age, and how many templates use it. import takes one in: an OCI\n"
	"layout's folder (with \":TAG\" behind it), an archive of docker save, or a registry's\n"
	"reference, which is asked again even when the name is there. rm removes one, by name or\n"
	"id; templates keep it.\n\n"
	"Options:\n"
	"  --json           [{\"name\", \"id\", \"bytes\", \"unpacked_bytes\", \"age_s\",\n"
	"                   \"templates\"}]; import: one such object, without \"templates\"\n"
	"  --insecure-registry\n"
	"                   import: plain HTTP; on this machine's loopback it is taken anyway\n"
	"  --force          import: unpack again what is there already\n\n";

const struct verb verb_images = {
	.name = "images",
	.summary = "list, import and remove images",
	.help = help,
	.options = "ls import rm --json --insecure-registry --force",
	.least = 0,
	.most = 2,
	.run = run,
};
