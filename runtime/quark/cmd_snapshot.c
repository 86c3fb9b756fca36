/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark snapshot: what is in a template, and whether every byte of it is right.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "json.h"
#include "store.h"

/* Members of the manifest, so that text and JSON show the same. */
static const struct text_member {
	const char *name;
	size_t offset;
} text_members[] = {
	{"function", offsetof(struct manifest, function)},
	{"created", offsetof(struct manifest, created)},
	{"tool", offsetof(struct manifest, tool)},
	{"kernel", offsetof(struct manifest, kernel)},
	{"cmdline", offsetof(struct manifest, cmdline)},
	{"inputs", offsetof(struct manifest, inputs)},
	{"wake", offsetof(struct manifest, wake)},
};

static const struct file_member {
	const char *name;
	size_t offset;
} file_members[] = {
	{"state", offsetof(struct manifest, state)},
	{"memory", offsetof(struct manifest, memory)},
	{"working_set", offsetof(struct manifest, working_set)},
	{"base", offsetof(struct manifest, base)},
	{"image", offsetof(struct manifest, image)},
};

static const char *text_of(const struct manifest *manifest, const struct text_member *member)
{
	return (const char *)manifest + member->offset;
}

static const struct snapshot_file *file_of(const struct manifest *manifest,
					   const struct file_member *member)
{
	const void *at = (const char *)manifest + member->offset;

	return at;
}

/* Where a vCPU stopped, in the words of the manual: its ring and its mode. */
static const char *ring_of(const struct vcpu_state *vcpu)
{
	return vcpu->sregs.ss.dpl == 3 ? "user" : "kernel";
}

static uint32_t pages_with(const struct working_set *set, uint32_t flag)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < set->count; i++)
		count += set->entries[i].flags & flag ? 1 : 0;
	return count;
}

static uint32_t pages_in_hot_memory(const struct working_set *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < set->count; i++)
		count += working_set_is_hot(&set->entries[i]);
	return count;
}

/* Of a layered template: how much of memory it holds itself. */
static uint64_t extent_bytes(const struct manifest *manifest)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < manifest->extent_count; i++)
		bytes += manifest->extents[i].bytes;
	return bytes;
}

static void print_layer(const struct manifest *manifest)
{
	char bytes[FORMAT_BYTES];

	if (!manifest->base.name[0])
		return;
	format_size(extent_bytes(manifest), bytes);
	printf("layer        %s in %" PRIu32 " extents over the base\n", bytes,
	       manifest->extent_count);
}

static void print_manifest(const struct manifest *manifest)
{
	char memory[FORMAT_BYTES], bytes[FORMAT_BYTES];

	format_size(manifest->memory_bytes, memory);
	printf("format       %" PRIu32 "\n", manifest->format_version);
	for (size_t i = 0; i < ARRAY_SIZE(text_members); i++)
		printf("%-12s %s\n", text_members[i].name, text_of(manifest, &text_members[i]));
	printf("cpu          %s\nvcpus        %" PRIu32 "\nmemory       %s, %" PRIu64
	       " pages not zero\nmailbox      0x%" PRIx64 "\n",
	       cpu_template_name(manifest->cpu_template), manifest->vcpus, memory,
	       manifest->nonzero_pages, manifest->mailbox_gpa);
	print_layer(manifest);
	puts("files:");
	for (size_t i = 0; i < ARRAY_SIZE(file_members); i++) {
		const struct snapshot_file *file = file_of(manifest, &file_members[i]);

		format_size(file->bytes, bytes);
		if (file->name[0])
			printf("  %-12s %-24s %10s  xxh3 %016" PRIx64 "%016" PRIx64 "\n",
			       file_members[i].name, file->name, bytes, file->digest[1],
			       file->digest[0]);
	}
}

static void print_state(const struct vm_state *state)
{
	puts("state:");
	for (uint32_t i = 0; i < state->vcpu_count; i++) {
		const struct vcpu_state *vcpu = &state->vcpus[i];

		printf("  vcpu %" PRIu32 "       %s, rip 0x%llx, cr3 0x%llx, %" PRIu32
		       " MSRs, %s\n",
		       i, ring_of(vcpu), vcpu->regs.rip, vcpu->sregs.cr3, vcpu->msr_count,
		       vcpu->has_xsave ? "XSAVE" : "FXSAVE");
	}
	printf("  cpuid        %" PRIu32 " entries\n", state->cpuid_count);
	printf("  tsc          %" PRIu32 " kHz\n", state->tsc_khz);
	for (uint32_t i = 0; i < state->device_count; i++)
		printf("  device       %s, version %" PRIu32 ", %" PRIu32 " bytes\n",
		       state->devices[i].name, state->devices[i].version, state->devices[i].bytes);
}

static int inspect_text(const struct template *template)
{
	const struct working_set *set = template_working_set(template);

	print_manifest(template_manifest(template));
	print_state(template_state(template));
	if (set)
		printf("working set  %" PRIu32 " pages, %" PRIu32 " written, %" PRIu32
		       " of the image, %" PRIu32 " in hot memory\n",
		       set->count, pages_with(set, WORKING_SET_WRITTEN),
		       pages_with(set, WORKING_SET_IMAGE), pages_in_hot_memory(set));
	return EXIT_OK;
}

static void add_files(cJSON *object, const struct manifest *manifest)
{
	cJSON *files = cJSON_AddObjectToObject(object, "files");
	char digest[33];

	for (size_t i = 0; i < ARRAY_SIZE(file_members); i++) {
		const struct snapshot_file *file = file_of(manifest, &file_members[i]);
		cJSON *item;

		if (!file->name[0])
			continue;
		item = cJSON_AddObjectToObject(files, file_members[i].name);
		(void)snprintf(digest, sizeof(digest), "%016" PRIx64 "%016" PRIx64, file->digest[1],
			       file->digest[0]);
		(void)cJSON_AddStringToObject(item, "name", file->name);
		json_add_u64(item, "bytes", file->bytes);
		(void)cJSON_AddStringToObject(item, "xxh3_128", digest);
	}
}

static void add_layer(cJSON *object, const struct manifest *manifest)
{
	cJSON *layer;

	if (!manifest->base.name[0])
		return;
	layer = cJSON_AddObjectToObject(object, "layer");
	json_add_u64(layer, "extents", manifest->extent_count);
	json_add_u64(layer, "bytes", extent_bytes(manifest));
}

static void add_state(cJSON *object, const struct vm_state *state)
{
	cJSON *json = cJSON_AddObjectToObject(object, "state");
	cJSON *vcpus = cJSON_AddArrayToObject(json, "vcpus");
	cJSON *devices;

	for (uint32_t i = 0; i < state->vcpu_count; i++) {
		const struct vcpu_state *vcpu = &state->vcpus[i];
		cJSON *item = cJSON_CreateObject();

		(void)cJSON_AddItemToArray(vcpus, item);
		(void)cJSON_AddStringToObject(item, "ring", ring_of(vcpu));
		json_add_u64(item, "rip", vcpu->regs.rip);
		json_add_u64(item, "cr3", vcpu->sregs.cr3);
		json_add_u64(item, "msrs", vcpu->msr_count);
		(void)cJSON_AddBoolToObject(item, "xsave", vcpu->has_xsave);
	}
	json_add_u64(json, "cpuid_entries", state->cpuid_count);
	json_add_u64(json, "tsc_khz", state->tsc_khz);
	devices = cJSON_AddArrayToObject(json, "devices");
	for (uint32_t i = 0; i < state->device_count; i++) {
		const struct device_state *device = &state->devices[i];
		cJSON *item = cJSON_CreateObject();

		(void)cJSON_AddItemToArray(devices, item);
		(void)cJSON_AddStringToObject(item, "name", device->name);
		json_add_u64(item, "version", device->version);
		json_add_u64(item, "bytes", device->bytes);
	}
}

static int inspect_json(const struct template *template)
{
	const struct manifest *manifest = template_manifest(template);
	const struct working_set *set = template_working_set(template);
	cJSON *object = cJSON_CreateObject();
	cJSON *working_set;

	json_add_u64(object, "format", manifest->format_version);
	for (size_t i = 0; i < ARRAY_SIZE(text_members); i++)
		(void)cJSON_AddStringToObject(object, text_members[i].name,
					      text_of(manifest, &text_members[i]));
	(void)cJSON_AddStringToObject(object, "cpu", cpu_template_name(manifest->cpu_template));
	json_add_u64(object, "vcpus", manifest->vcpus);
	json_add_u64(object, "memory_bytes", manifest->memory_bytes);
	json_add_u64(object, "nonzero_pages", manifest->nonzero_pages);
	json_add_u64(object, "mailbox_gpa", manifest->mailbox_gpa);
	json_add_u64(object, "realtime_ns", manifest->realtime_ns);
	add_files(object, manifest);
	add_layer(object, manifest);
	add_state(object, template_state(template));
	if (set) {
		working_set = cJSON_AddObjectToObject(object, "working_set");
		json_add_u64(working_set, "pages", set->count);
		json_add_u64(working_set, "written", pages_with(set, WORKING_SET_WRITTEN));
		json_add_u64(working_set, "image", pages_with(set, WORKING_SET_IMAGE));
		json_add_u64(working_set, "hot", pages_in_hot_memory(set));
	}
	return json_print(object);
}

static int inspect(const struct cli *cli, const char *name, bool json)
{
	cleanup_template struct template *template = NULL;
	struct err err = {0};

	if (store_open(&cli->paths, name, &template, &err) < 0)
		return cli_fail(&err);
	return json ? inspect_json(template) : inspect_text(template);
}

static int report_verified(const char *name, bool json, int code, const struct err *err)
{
	cJSON *object;

	if (code != EXIT_OK)
		(void)cli_fail_as(code, err);
	else if (!json)
		printf("%s: every byte is as the manifest says\n", name);
	if (!json)
		return code;
	object = cJSON_CreateObject();
	(void)cJSON_AddStringToObject(object, "template", name);
	(void)cJSON_AddBoolToObject(object, "ok", code == EXIT_OK);
	if (code != EXIT_OK)
		(void)cJSON_AddStringToObject(object, "error", err->message);
	return json_print(object) == EXIT_OK ? code : EXIT_ERROR;
}

static int verify(const struct cli *cli, const char *name, bool json)
{
	cleanup_template struct template *template = NULL;
	struct err err = {0};
	int r = store_open(&cli->paths, name, &template, &err);

	if (r == 0)
		r = template_verify(template, &err);
	return report_verified(name, json, exit_code_for(r), &err);
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct cli *cli, const char *name, bool json);
	} actions[] = {{"inspect", inspect}, {"verify", verify}};
	struct err err = {0};
	bool json = false;
	int code;

	if (!cli_simple(cli, argc, argv, &json, &code))
		return code;
	if (cli_open(cli, &err) < 0)
		return cli_fail(&err);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(argv[optind], actions[i].name) == 0)
			return actions[i].run(cli, argv[optind + 1], json);
	return cli_usage(cli, "'%s' is neither inspect nor verify", argv[optind]);
}

static const char help[] =
	"snapshot inspect|verify NAME|PATH [--json]\n\n"
	"inspect shows the manifest and a summary of the state; manifest and state are checked on\n"
	"the way. verify also reads the memory and compares every digest. An argument with a '/'\n"
	"is a template's folder. Exit code 5: the template is damaged or of another version.\n\n"
	"Options:\n"
	"  --json           inspect: the manifest's members, \"files\", \"layer\", \"state\"\n"
	"                   and \"working_set\"; verify: {\"template\", \"ok\": BOOL,\n"
	"                   \"error\"}\n\n";

const struct verb verb_snapshot = {
	.name = "snapshot",
	.summary = "look into a template, or check every byte of it",
	.help = help,
	.options = "inspect verify --json",
	.least = 2,
	.most = 2,
	.run = run,
};
