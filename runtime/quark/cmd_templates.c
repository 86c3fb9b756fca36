/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark templates: what there is to invoke.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "json.h"
#include "store.h"

/* A template that is refused has a name, a size and a reason only. */
struct row {
	const char *name; /* borrowed */
	struct template *template; /* owned; NULL when refused */
	struct err refusal;
	uint64_t disk_bytes;
};

static void cleanup_names_p(struct store_names *names)
{
	store_names_done(names);
}
#define cleanup_names __attribute__((cleanup(cleanup_names_p)))

static struct row read_row(const struct cli *cli, const char *name)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, name);
	struct row row = {.name = name};

	(void)store_open(&cli->paths, name, &row.template, &row.refusal);
	if (folder)
		row.disk_bytes = folder_disk_bytes(folder);
	return row;
}

static uint64_t age_s(const struct manifest *manifest)
{
	const uint64_t made_s = manifest->realtime_ns / 1000000000u;
	const uint64_t now_s = (uint64_t)time(NULL);

	return now_s > made_s ? now_s - made_s : 0;
}

static void print_row(const struct row *row)
{
	char disk[FORMAT_BYTES], memory[FORMAT_BYTES], age[FORMAT_BYTES];
	const struct manifest *manifest;

	format_size(row->disk_bytes, disk);
	if (!row->template) {
		printf("%-24s %8s %5s %-9s %9s %8s refused: %s\n", row->name, "-", "-", "-", disk,
		       "-", row->refusal.message);
		return;
	}
	manifest = template_manifest(row->template);
	format_size(manifest->memory_bytes, memory);
	format_age(age_s(manifest), age);
	printf("%-24s %8s %5" PRIu32 " %-9s %9s %8s ok\n", row->name, memory, manifest->vcpus,
	       cpu_template_name(manifest->cpu_template), disk, age);
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
}

static int print_all(const struct cli *cli, const struct store_names *names, bool json)
{
	cJSON *list = json ? cJSON_CreateArray() : NULL;

	if (!json)
		printf("%-24s %8s %5s %-9s %9s %8s %s\n", "NAME", "MEMORY", "VCPUS", "CPU", "DISK",
		       "AGE", "STATE");
	for (size_t i = 0; i < names->count; i++) {
		struct row row = read_row(cli, names->items[i]);

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
	cleanup_names struct store_names names = {0};
	struct err err = {0};
	bool json = false;
	int code;

	if (!cli_simple(cli, argc, argv, &json, &code))
		return code;
	if (cli_open(cli, &err) < 0 || store_list(&cli->paths, &names, &err) < 0)
		return cli_fail(&err);
	return print_all(cli, &names, json);
}

static const char help[] =
	"templates [--json]\n\n"
	"Lists all templates: name, memory, vCPUs, CPU template, size on the disk, age, and\n"
	"whether it can be used (ok) or not (refused, with the reason).\n\n"
	"Options:\n"
	"  --json           [{\"name\", \"state\", \"disk_bytes\", ...}]; state \"ok\":\n"
	"                   \"function\", \"created\", \"cpu\", \"vcpus\", \"memory_bytes\",\n"
	"                   \"age_s\" too;\n"
	"                   state \"refused\": \"reason\" too\n\n";

const struct verb verb_templates = {
	.name = "templates",
	.summary = "list the templates",
	.help = help,
	.options = "--json",
	.run = run,
};
