/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark build, behind its options: config and image -> container -> digest of all inputs -> base ->
 * the function created on it and captured (here or in the rig) -> working set.
 *
 * Everything that goes into a template is digested first, so one that is up to date is kept and one
 * that is not is never used.
 */
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bake.h"
#include "base.h"
#include "build_function.h"
#include "build_source.h"
#include "cleanup.h"
#include "file.h"
#include "file_tree.h"
#include "format.h"
#include "function_spec.h"
#include "lock.h"
#include "progress.h"
#include "request.h"
#include "store.h"
#include "text.h"

enum {
	GATHER_MIN_PAGES = 32,
	IMAGE_BYTES_PER_MEMORY = 64, /* of the image, for each of memory */
	MEMORY_BESIDE_IMAGE_MIB = 56,
};

/* All pointers but `options` are owned. */
struct build {
	const struct build_options *options;
	struct function_config config;
	struct request sample;
	struct image_store *store;
	struct image *image; /* NULL: none */
	enum function_contract contract;
	uint8_t *order; /* CREATE */
	size_t order_bytes;
	struct base base;
	char *folder;  /* the template's */
	char *workdir; /* removed at the end; NULL until it is made */
	char *files, *create; /* in it */
	char inputs[SNAPSHOT_NAME_MAX];
	int lock; /* of the templates folder: one build at a time */
};

static void build_done(struct build *build)
{
	if (build->workdir)
		(void)file_tree_remove(build->workdir, NULL);
	function_config_done(&build->config);
	request_done(&build->sample);
	build->image = image_free(build->image);
	build->store = image_store_free(build->store);
	base_done(&build->base);
	free(build->order);
	free(build->folder);
	free(build->workdir);
	free(build->files);
	free(build->create);
	build->lock = fd_close(build->lock);
}
#define cleanup_build __attribute__((cleanup(build_done)))

/* --- what is to be made ---------------------------------------------------------------------- */

/* A plain image is a function without a folder, whose image is the source. */
static int read_config(struct build *build, struct err *err)
{
	const struct build_options *options = build->options;
	struct function_config *config = &build->config;
	bool is_image = false;
	int r = source_is_image(options->source, &is_image, err);

	if (r < 0)
		return r;
	if (!is_image)
		r = function_config_read(config, options->source, err);
	else if (options->image || options->lang)
		r = err_set(err, -EINVAL,
			    "--image and --lang are for folders: '%s' is an image",
			    options->source);
	if (r == 0)
		r = build_merge(config, options, err);
	if (r == 0 && is_image) {
		config->image = strdup(options->source);
		r = config->image ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	return r < 0 ? r : function_config_complete(config, err);
}

/* The guest's kernel keeps 64 bytes for each page of the image, and must have room beside them. */
static int check_memory(const struct build *build, struct err *err)
{
	const uint64_t needed_mib =
		MEMORY_BESIDE_IMAGE_MIB + (build->image->root_bytes / IMAGE_BYTES_PER_MEMORY >> 20);

	if (build->config.memory_mib >= needed_mib)
		return 0;
	return err_set(err, -EINVAL, "an image of %llu MiB needs %llu MiB of memory, not %u",
		       (unsigned long long)(build->image->root_bytes >> 20),
		       (unsigned long long)needed_mib, build->config.memory_mib);
}

/* A path on the command line is seen from where the caller is, one in function.json from there. */
static int get_image(const struct cli *cli, struct build *build, struct err *err)
{
	const struct source_options options = {
		.insecure_registry = build->options->insecure_registry,
	};
	const bool by_option = build->options->image || !build->config.folder[0];
	int r;

	if (!build->config.image)
		return 0;
	r = images_open(cli, &build->store, err);
	if (r < 0)
		return r;
	r = source_image(cli, build->store, build->config.image,
			 by_option ? NULL : build->config.folder, &options, &build->image, err);
	return r < 0 ? r : check_memory(build, err);
}

static int plan_container(struct build *build, struct err *err)
{
	cleanup_function_process struct function_process process = {0};
	const struct function_config *config = &build->config;
	const struct function_spec spec = {
		.process = &process,
		.has_image = build->image != NULL,
		.direct = config->wake == WAKE_DIRECT,
		/* So that the test of unique clones can show that it fails. */
		.no_identity = getenv("QUARK_TEST_NO_IDENTITY") != NULL,
		.memory_bytes = (uint64_t)config->memory_limit_mib << 20,
	};
	int r;

	r = function_contract(config, build->image, &build->contract, err);
	if (r == 0)
		r = function_process_fill(&process, config, build->contract, build->image, err);
	if (r == 0)
		r = function_spec_order(&spec, &build->order, &build->order_bytes, err);
	return r;
}

static int find_base(struct cli *cli, struct build *build, struct err *err)
{
	const struct machine_shape shape = {
		.memory_mib = build->config.memory_mib,
		.vcpus = build->config.vcpus,
		.cpu_template = build->config.cpu_template,
	};

	return base_find(cli, &shape, &build->base, err);
}

static struct build_paths build_paths_of(const struct cli *cli)
{
	return (struct build_paths){
		.compiler = getenv("CC"),
		.include_dir = cli->paths.include,
		.lib_dir = cli->paths.lib,
	};
}

/* --- is it there already? -------------------------------------------------------------------- */

/* Options that shape the container are in its order; those of the machine are in the base. */
static void digest_given(const struct build *build, struct digest *digest)
{
	const struct image *image = build->image;

	digest_text(digest, build->base.inputs);
	digest_text(digest, image ? image->id : "");
	if (image)
		digest_printf(digest, "%016llx%016llx %llu",
			      (unsigned long long)image->root_digest[1],
			      (unsigned long long)image->root_digest[0],
			      (unsigned long long)image->root_bytes);
	digest_printf(digest, "order %zu sample %zu warm-up %u gather %d", build->order_bytes,
		      build->sample.bytes, build->config.warm_up, !build->config.no_gather);
	digest_update(digest, build->order, build->order_bytes);
	digest_update(digest, build->sample.data, build->sample.bytes);
}

static int digest_inputs(const struct cli *cli, struct build *build, struct err *err)
{
	const struct build_paths paths = build_paths_of(cli);
	cleanup_digest struct digest *digest = digest_new();
	char text[DIGEST_TEXT_BYTES];
	int r = 0;

	if (!digest)
		return err_set(err, -ENOMEM, "out of memory");
	digest_given(build, digest);
	if (build->config.folder[0])
		r = function_digest(&build->config, &paths, digest, err);
	digest_finish(digest, text);
	(void)snprintf(build->inputs, sizeof(build->inputs), "%s-%s",
		       contract_names[build->contract], text);
	return r;
}

static int lock_templates(const struct cli *cli, struct build *build, struct err *err)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, NULL);

	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	return folder_lock(cli, folder, &build->lock, err);
}

/* The lock comes before the image, so that `quark prune` does not take it away again. */
static int prepare(struct cli *cli, struct build *build, struct err *err)
{
	int r = read_config(build, err);

	if (r == 0)
		r = request_read(&build->sample, build->options->sample, err);
	if (r == 0)
		r = lock_templates(cli, build, err);
	if (r == 0)
		r = get_image(cli, build, err);
	if (r == 0)
		r = plan_container(build, err);
	if (r == 0)
		r = find_base(cli, build, err);
	if (r == 0)
		r = digest_inputs(cli, build, err);
	if (r < 0)
		return r;
	build->folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, build->options->name);
	return build->folder ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* Only who wakes through run0 has PID 1 to move pages; and for few it would not pay: what is copied
 * for every start is more than the kernel's part in such a start. Once is enough: what did not fit
 * then does not fit now. */
static bool wants_gathering(const struct build *build)
{
	cleanup_template struct template *template = NULL;
	const struct working_set *set;
	unsigned int hot = 0, cold = 0;

	if (build->config.wake != WAKE_RUN0 || build->config.no_gather ||
	    template_open(&template, build->folder, NULL) < 0 ||
	    !(set = template_working_set(template)))
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		if (!set->entries[i].gva)
			continue;
		if (working_set_is_hot(&set->entries[i]))
			hot++;
		else
			cold++;
	}
	return hot == 0 && cold >= GATHER_MIN_PAGES;
}

/* What is to be done: a build that was stopped before its end may have left it without a record, or
 * ungathered; one that is older than some minutes wants its clock refreshed. */
enum build_need { NEED_NOTHING, NEED_REFRESH, NEED_GATHER, NEED_RECORD, NEED_ALL };

static enum build_need what_is_needed(const struct cli *cli, const struct build *build)
{
	cleanup_template struct template *template = NULL;

	if (build->options->force ||
	    store_open(&cli->paths, build->options->name, &template, NULL) < 0 ||
	    strcmp(template_manifest(template)->inputs, build->inputs) != 0)
		return NEED_ALL;
	if (!template_working_set(template))
		return NEED_RECORD;
	if (wants_gathering(build))
		return NEED_GATHER;
	return template_is_stale(template) ? NEED_REFRESH : NEED_NOTHING;
}

/* --- making it ------------------------------------------------------------------------------- */

static int make_workdir(const struct cli *cli, struct build *build, struct err *err)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, ".build.XXXXXX", NULL);

	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	if (!mkdtemp(folder))
		return err_set(err, -errno, "cannot make a folder in '%s': %s", cli->paths.home,
			       strerror(errno));
	build->workdir = TAKE_PTR(folder);
	return 0;
}

static int build_files(const struct cli *cli, struct build *build, struct err *err)
{
	const struct build_paths paths = build_paths_of(cli);
	const bool c = build->config.lang == LANG_C;
	cleanup_free char *output = NULL;
	struct progress progress;
	int r;

	if (!build->config.folder[0])
		return 0;
	progress_begin(&progress, c ? "compiling the function" : "copying the function's files",
		       cli->quiet);
	r = function_build(&build->config, &paths, build->workdir, &build->files, &output, err);
	progress_end(&progress);
	if (output && (r < 0 || !cli->quiet))
		text_write_clean(stderr, output, strlen(output));
	return r;
}

static int write_order(struct build *build, struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	if (asprintf(&build->create, "%s/create", build->workdir) < 0) {
		build->create = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	fd = open(build->create, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : file_write_all(fd, build->order, build->order_bytes);
	return r < 0 ? err_set(err, r, "cannot write '%s': %s", build->create, strerror(-r)) : 0;
}

static void say_done(const struct cli *cli, const struct build *build)
{
	char disk[FORMAT_BYTES];

	format_size(folder_disk_bytes(build->folder), disk);
	cli_say(cli,
		"template '%s' is ready: contract %s, wake %s, %u MiB of memory, %s on the disk%s "
		"(host mode %s)",
		build->options->name, contract_names[build->contract],
		wake_names[build->config.wake], build->config.memory_mib, disk,
		build->config.wake == WAKE_DIRECT ? "" : " beside its base",
		host_mode_names[cli->mode]);
}

static struct bake bake_of(const struct build *build)
{
	return (struct bake){
		.name = build->options->name,
		.base = build->base.folder,
		.image = build->image ? build->image->root_path : NULL,
		.files = build->files,
		.create = build->create,
		.wake = wake_names[build->config.wake],
		.folder = build->folder,
		.workdir = build->workdir,
		.inputs = build->inputs,
		.warm_up = build->config.warm_up ? &build->sample : NULL,
		.warm_up_count = build->config.warm_up,
		.timeout_s = build->options->timeout_s,
	};
}

/* From the inputs to a committed template without a record. */
static int make(const struct cli *cli, struct build *build)
{
	struct err err = {0};
	struct bake bake;
	int code;

	if (build_files(cli, build, &err) < 0 || write_order(build, &err) < 0)
		return cli_fail(&err);
	code = base_ensure(cli, &build->base, build->workdir, build->options->timeout_s);
	if (code != EXIT_OK)
		return code;
	bake = bake_of(build);
	return template_bake(cli, &bake);
}

static int record(const struct cli *cli, const struct build *build, const struct bake *bake,
		  enum build_need need)
{
	int code = need == NEED_GATHER ? EXIT_OK : template_record(cli, bake, &build->sample);

	if (code != EXIT_OK || !wants_gathering(build))
		return code;
	code = template_gather(cli, bake);
	if (code == EXIT_GUEST_DIED) {
		/* As it is the template is whole, only slower. */
		cli_say(cli, "template '%s' stays as it was recorded", build->options->name);
		return EXIT_OK;
	}
	return code == EXIT_OK ? template_record(cli, bake, &build->sample) : code;
}

static int carry_out(const struct cli *cli, struct build *build, enum build_need need)
{
	struct bake bake;
	int code = need == NEED_ALL ? make(cli, build) : EXIT_OK;

	bake = bake_of(build);
	if (need == NEED_REFRESH)
		code = template_refresh(cli, &bake);
	else if (code == EXIT_OK)
		code = record(cli, build, &bake, need);
	if (code == EXIT_OK)
		say_done(cli, build);
	return code;
}

int build_template(struct cli *cli, const struct build_options *options)
{
	cleanup_build struct build build = {.options = options, .lock = -1};
	enum build_need need;
	struct err err = {0};

	if (cli_open(cli, &err) < 0 || prepare(cli, &build, &err) < 0)
		return cli_fail(&err);
	need = what_is_needed(cli, &build);
	if (need == NEED_NOTHING) {
		cli_say(cli, "template '%s' is up to date (--force makes it anew)", options->name);
		return EXIT_OK;
	}
	if (cli_host_mode(cli, &err) < 0 || make_workdir(cli, &build, &err) < 0)
		return cli_fail(&err);
	return carry_out(cli, &build, need);
}
