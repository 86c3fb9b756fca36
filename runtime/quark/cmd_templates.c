/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark templates: what there is to invoke.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "build.h"
#include "build_source.h"
#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "image.h"
#include "json.h"
#include "store.h"
#include "usage.h"

enum { ID_SHOWN = 12, ID_BYTES = 33 };

/* What the rows are looked up in. */
struct inventory {
	struct usage usage;
	struct image **images; /* owned */
	size_t image_count;
};

/* A template that is refused has a name, a size and a reason only. */
struct row {
	const char *name; /* borrowed */
	struct template *template; /* owned; NULL when refused */
	struct err refusal;
	uint64_t disk_bytes;
	char base[ID_BYTES];		/* the base's name, "none" or "gone" */
	char image[IMAGE_NAME_BYTES];	/* its name, else its digest; "none" */
};

static void cleanup_names_p(struct store_names *names)
{
	store_names_done(names);
}
#define cleanup_names __attribute__((cleanup(cleanup_names_p)))

static void inventory_done(struct inventory *inventory)
{
	usage_done(&inventory->usage);
	image_list_free(inventory->images, inventory->image_count);
}
#define cleanup_inventory __attribute__((cleanup(inventory_done)))

/* Images may be missing: a template is shown without their names. */
static int inventory_read(const struct cli *cli, struct inventory *ret_inventory, struct err *err)
{
	cleanup_image_store struct image_store *store = NULL;
	int r = usage_read(&cli->paths, &ret_inventory->usage, err);

	if (r < 0)
		return r;
	if (images_open(cli, &store, NULL) < 0 ||
	    image_list(store, &ret_inventory->images, &ret_inventory->image_count, NULL) < 0)
		ret_inventory->image_count = 0;
	return 0;
}

static void name_base(const struct inventory *inventory, struct row *row)
{
	const struct snapshot_file *file = &template_manifest(row->template)->base;
	const struct usage_base *base = usage_base_of(&inventory->usage, file);

	(void)snprintf(row->base, sizeof(row->base), "%s",
		       base ? base->name : file->name[0] ? "gone" : "none");
}

static void name_image(const struct inventory *inventory, struct row *row)
{
	const struct snapshot_file *file = &template_manifest(row->template)->image;
	const char *name = "";

	for (size_t i = 0; i < inventory->image_count; i++)
		if (file_is_image(file, inventory->images[i]))
			name = inventory->images[i]->name[0] ? inventory->images[i]->name
							      : inventory->images[i]->id;
	if (name[0] || !file->name[0])
		(void)snprintf(row->image, sizeof(row->image), "%s", name[0] ? name : "none");
	else
		(void)snprintf(row->image, sizeof(row->image), "xxh3:%016" PRIx64 "%016" PRIx64,
			       file->digest[1], file->digest[0]);
}

static struct row read_row(const struct cli *cli, const struct inventory *inventory,
			   const char *name)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, name);
	struct row row = {.name = name};

	(void)store_open(&cli->paths, name, &row.template, &row.refusal);
	if (folder)
		row.disk_bytes = folder_disk_bytes(folder);
	if (row.template) {
		name_base(inventory, &row);
		name_image(inventory, &row);
	}
	return row;
}

static uint64_t age_s(const struct manifest *manifest)
{
	const uint64_t made_s = manifest->realtime_ns / 1000000000u;
	const uint64_t now_s = (uint64_t)time(NULL);

	return now_s > made_s ? now_s - made_s : 0;
}

/* A folder that only looks like a template's, or one of before contracts, has none. */
static const char *contract_of(const struct manifest *manifest)
{
	const char *contract = inputs_contract(manifest->inputs);

	return contract[0] ? contract : "-";
}

static void print_row(const struct row *row)
{
	char disk[FORMAT_BYTES], memory[FORMAT_BYTES], age[FORMAT_BYTES];
	const struct manifest *manifest;

	format_size(row->disk_bytes, disk);
	if (!row->template) {
		printf("%-24s %8s %5s %-8s %-8s %-6s %-*s %9s %8s %-24s refused: %s\n", row->name,
		       "-", "-", "-", "-", "-", ID_SHOWN, "-", disk, "-", "-",
		       row->refusal.message);
		return;
	}
	manifest = template_manifest(row->template);
	format_size(manifest->memory_bytes, memory);
	format_age(age_s(manifest), age);
	printf("%-24s %8s %5" PRIu32 " %-8s %-8s %-6s %-*.*s %9s %8s %-24s ok\n", row->name,
	       memory, manifest->vcpus, cpu_template_name(manifest->cpu_template),
	       contract_of(manifest), manifest->wake[0] ? manifest->wake : "-", ID_SHOWN, ID_SHOWN,
	       row->base, disk, age, row->image);
}

/* Of the memory layer: its extents, which is all of it without a base. */
static uint64_t layer_bytes(const struct manifest *manifest)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < manifest->extent_count; i++)
		bytes += manifest->extents[i].bytes;
	return manifest->base.name[0] ? bytes : manifest->memory_bytes;
}

static void add_json(cJSON *list, const struct row *row)
{
	cJSON *item = cJSON_CreateObject();

	(void)cJSON_AddItemToArray(list, item);
	(void)cJSON_AddStringToObject(item, "name", row->name);
	(void)cJSON_AddStringToObject(item, "state", row->template ? "ok" : "refused");
	json_add_u64(item, "disk_bytes", row->disk_bytes);
	if (!row->template) {
		(void)cJSON_AddStringToObject(item, "reason", row->refusal.message);
		return;
	}
	const struct manifest *manifest = template_manifest(row->template);

	(void)cJSON_AddStringToObject(item, "function", manifest->function);
	(void)cJSON_AddStringToObject(item, "created", manifest->created);
	(void)cJSON_AddStringToObject(item, "cpu", cpu_template_name(manifest->cpu_template));
	json_add_u64(item, "vcpus", manifest->vcpus);
	json_add_u64(item, "memory_bytes", manifest->memory_bytes);
	json_add_u64(item, "age_s", age_s(manifest));
	(void)cJSON_AddStringToObject(item, "contract", inputs_contract(manifest->inputs));
	(void)cJSON_AddStringToObject(item, "wake", manifest->wake);
	(void)cJSON_AddStringToObject(item, "base", row->base);
	(void)cJSON_AddStringToObject(item, "image", row->image);
	json_add_u64(item, "layer_bytes", layer_bytes(manifest));
}

static int print_all(const struct cli *cli, const struct inventory *inventory,
		     const struct store_names *names, bool json)
{
	cJSON *list = json ? cJSON_CreateArray() : NULL;

	if (!json)
		printf("%-24s %8s %5s %-8s %-8s %-6s %-*s %9s %8s %-24s %s\n", "NAME", "MEMORY",
		       "VCPUS", "CPU", "CONTRACT", "WAKE", ID_SHOWN, "BASE", "DISK", "AGE", "IMAGE",
		       "STATE");
	for (size_t i = 0; i < names->count; i++) {
		struct row row = read_row(cli, inventory, names->items[i]);

		if (json)
			add_json(list, &row);
		else
			print_row(&row);
		row.template = template_free(row.template);
	}
	return json ? json_print(list) : EXIT_OK;
}

static int run(struct cli *cli, int argc, char **argv)
{
	cleanup_inventory struct inventory inventory = {0};
	cleanup_names struct store_names names = {0};
	struct err err = {0};
	bool json = false;
	int code;

	if (!cli_simple(cli, argc, argv, &json, &code))
		return code;
	if (cli_open(cli, &err) < 0 || store_list(&cli->paths, &names, &err) < 0 ||
	    inventory_read(cli, &inventory, &err) < 0)
		return cli_fail(&err);
	return print_all(cli, &inventory, &names, json);
}

static const char help[] =
	"templates [--json]\n\n"
	"Lists all templates: name, memory, vCPUs, CPU template, contract, wake, base, size on the\n"
	"disk (without base and image, which it shares with others), age, image, and whether it\n"
	"can be used (ok) or not (refused, with the reason).\n\n"
	"Options:\n"
	"  --json           [{\"name\", \"state\", \"disk_bytes\", ...}]; state \"ok\":\n"
	"                   \"function\", \"created\", \"cpu\", \"vcpus\", \"memory_bytes\",\n"
	"                   \"age_s\", \"contract\", \"wake\", \"base\", \"image\",\n"
	"                   \"layer_bytes\" too; state \"refused\": \"reason\" too\n\n";

const struct verb verb_templates = {
	.name = "templates",
	.summary = "list the templates",
	.help = help,
	.options = "--json",
	.run = run,
};
