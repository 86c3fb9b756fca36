/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-import: libimage from the command line, for the tests.
 *
 *	image-import STORE import [-f] [-i] [-p] [-b BYTES] [-e ENTRIES] SOURCE
 *	image-import STORE show ID_OR_NAME | list | remove ID_OR_NAME | prune [KEPT_NAME]
 *
 * Exit status 0, or 1 with one line of error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "image.h"

struct call {
	struct image_store *store;
	int argc;
	char **argv;
};

static void print_strings(const char *name, char *const *strings)
{
	for (; *strings; strings++)
		printf("%s=%s\n", name, *strings);
}

static void print_image(const struct image *image)
{
	printf("id=%s\nname=%s\nroot=%s\nroot_bytes=%" PRIu64 "\nunpacked_bytes=%" PRIu64 "\n",
	       image->id, image->name, image->root_path, image->root_bytes,
	       image->unpacked_bytes);
	printf("digest=%016" PRIx64 "%016" PRIx64 "\nuid=%u\ngid=%u\n", image->root_digest[0],
	       image->root_digest[1], image->uid, image->gid);
	for (size_t i = 0; i < image->group_count; i++)
		printf("group=%u\n", image->groups[i]);
	printf("workdir=%s\nuser=%s\nstop=%s\n", image->working_dir, image->user_name,
	       image->stop_signal ? image->stop_signal : "");
	print_strings("entrypoint", image->entrypoint);
	print_strings("cmd", image->cmd);
	print_strings("env", image->env);
	print_strings("port", image->exposed_ports);
	for (size_t i = 0; image->label_names[i]; i++)
		printf("label=%s=%s\n", image->label_names[i], image->label_values[i]);
}

static void progress(void *context, const char *what)
{
	(void)context;
	fprintf(stderr, "%s\n", what);
}

static int do_import(struct call *call, struct err *err)
{
	struct image_import_options options = { .force = false };
	cleanup_image struct image *image = NULL;
	int option, r;

	while ((option = getopt(call->argc, call->argv, "+fipb:e:r:")) != -1)
		switch (option) {
		case 'f':
			options.force = true;
			break;
		case 'i':
			options.insecure_registry = true;
			break;
		case 'p':
			options.progress = progress;
			break;
		case 'b':
			options.limits.unpacked_bytes = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			options.limits.entries = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			options.limits.root_bytes = strtoull(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	if (optind + 1 != call->argc)
		return -1;
	r = image_import(call->store, call->argv[optind], &options, &image, err);
	if (r == 0)
		print_image(image);
	return r;
}

static int do_show(struct call *call, struct err *err)
{
	cleanup_image struct image *image = NULL;
	int r = image_open(call->store, call->argv[1], &image, err);

	if (r == 0)
		print_image(image);
	return r;
}

static int do_list(struct call *call, struct err *err)
{
	struct image **images = NULL;
	size_t count = 0;
	int r = image_list(call->store, &images, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		printf("%.12s %s\n", images[i]->id, images[i]->name);
	image_list_free(images, count);
	return r;
}

static int do_remove(struct call *call, struct err *err)
{
	return image_remove(call->store, call->argv[1], err);
}

static bool is_kept(void *context, const struct image *image)
{
	return context && strcmp(context, image->name) == 0;
}

static int do_prune(struct call *call, struct err *err)
{
	uint64_t freed = 0;
	int r = image_prune(call->store, is_kept, call->argv[1], &freed, err);

	if (r == 0)
		printf("%" PRIu64 "\n", freed);
	return r;
}

static const struct {
	const char *name;
	int (*run)(struct call *call, struct err *err);
} verbs[] = {
	{ "import", do_import }, { "show", do_show },	{ "list", do_list },
	{ "remove", do_remove }, { "prune", do_prune },
};

int main(int argc, char **argv)
{
	cleanup_image_store struct image_store *store = NULL;
	struct err err = { 0 };
	int r;

	if (argc < 3)
		return 2;
	r = image_store_open(&store, argv[1], &err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(verbs); i++) {
		struct call call = { store, argc - 2, argv + 2 };

		if (strcmp(argv[2], verbs[i].name) == 0)
			r = verbs[i].run(&call, &err);
	}
	if (r < 0)
		fprintf(stderr, "image-import: %s\n", err.message);
	return r < 0;
}
