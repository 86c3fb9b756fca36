/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark build: from a function's folder to a template.
 *
 * compile (here) -> initramfs (here) -> boot and capture (here or in the rig) -> record the working
 * set. All that goes into a template is digested first, so a template that is up to date is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "bake.h"
#include "build_function.h"
#include "cleanup.h"
#include "cli.h"
#include "format.h"
#include "guest_cmdline.h"
#include "kernel.h"
#include "progress.h"
#include "request.h"
#include "store.h"
#include "text.h"

enum {
	OPT_MEMORY = OPT_VERB,
	OPT_VCPUS,
	OPT_CPU,
	OPT_FORCE,
	OPT_SAMPLE,
	OPT_TIMEOUT,
	MEMORY_MIN_MIB = GUEST_MEMORY_MIN_BYTES >> 20,
	MEMORY_MAX_MIB = GUEST_MEMORY_MAX_BYTES >> 20,
	TIMEOUT_DEFAULT_S = 120,
	TIMEOUT_MAX_S = 3600,
	CMDLINE_MAX = 512,
	MEMORY_STEP_MIB = 2,
};

/* What the command line says. Zero: as the function's config has it. */
struct build_options {
	const char *folder, *name, *sample; /* borrowed from argv */
	unsigned int memory_mib, vcpus;
	bool has_cpu, force;
	enum cpu_template cpu_template;
	unsigned int timeout_s;
};

/* All strings are owned. */
struct build {
	const struct build_options *options;
	struct function_config config;
	struct request sample;
	char *kernel;
	char *folder;	/* the template's */
	char *workdir;	/* removed at the end */
	char inputs[SNAPSHOT_NAME_MAX];
	char initrd[PATH_MAX];
	int lock; /* of the templates folder: one build at a time */
};

static void build_done(struct build *build)
{
	if (build->workdir)
		(void)folder_remove(build->workdir, NULL);
	build->lock = fd_close(build->lock);
	function_config_done(&build->config);
	request_done(&build->sample);
	free(build->kernel);
	free(build->folder);
	free(build->workdir);
}
#define cleanup_build __attribute__((cleanup(build_done)))

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

static bool set_option(const struct cli *cli, struct build_options *options, int option)
{
	switch (option) {
	case 't':
		options->name = optarg;
		return true;
	case OPT_MEMORY:
		return set_memory(cli, options);
	case OPT_VCPUS:
		return cli_number(cli, "--vcpus", optarg, 1, VM_VCPUS_MAX, &options->vcpus);
	case OPT_CPU:
		return set_cpu(cli, options);
	case OPT_FORCE:
		options->force = true;
		return true;
	case OPT_SAMPLE:
		options->sample = optarg;
		return true;
	case OPT_TIMEOUT:
		return cli_number(cli, "--timeout", optarg, 1, TIMEOUT_MAX_S, &options->timeout_s);
	default:
		return false;
	}
}

/* Returns whether to go on; else *ret_code says with what to exit. */
static bool parse(struct cli *cli, int argc, char **argv, struct build_options *options,
		  int *ret_code)
{
	static const struct option table[] = {
		{"template", required_argument, NULL, 't'},
		{"memory", required_argument, NULL, OPT_MEMORY},
		{"vcpus", required_argument, NULL, OPT_VCPUS},
		{"cpu", required_argument, NULL, OPT_CPU},
		{"force", no_argument, NULL, OPT_FORCE},
		{"sample", required_argument, NULL, OPT_SAMPLE},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
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
	options->folder = argv[optind];
	return options->name != NULL;
}

static struct build_paths build_paths_of(const struct cli *cli)
{
	return (struct build_paths){
		.compiler = getenv("CC"),
		.include_dir = cli->paths.include,
		.lib_dir = cli->paths.lib,
		.init = cli->paths.init,
	};
}

/* The function's digest, and one of all else that shapes a template: the lumper that makes it, and
 * the guest's command line. */
static int digest_inputs(const struct cli *cli, struct build *build, struct err *err)
{
	const struct build_paths paths = build_paths_of(cli);
	char function[FUNCTION_DIGEST_BYTES], cmdline[CMDLINE_MAX], rest[CMDLINE_MAX + 64];
	struct stat st;
	int n, r;

	r = function_digest(&build->config, &paths, build->kernel, function, err);
	if (r == 0)
		r = guest_cmdline(cmdline, sizeof(cmdline), err);
	if (r < 0)
		return r;
	if (stat(cli->paths.lumper, &st) < 0)
		return err_set(err, -errno, "cannot find '%s': %s", cli->paths.lumper,
			       strerror(errno));
	n = snprintf(rest, sizeof(rest), "%lld %lld.%09ld %s", (long long)st.st_size,
		     (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, cmdline);
	(void)snprintf(build->inputs, sizeof(build->inputs), "%s-%016" PRIx64, function,
		       (uint64_t)XXH3_64bits(rest, (size_t)n));
	return 0;
}

static int read_config(struct build *build, struct err *err)
{
	const struct build_options *options = build->options;
	int r = function_config_read(&build->config, options->folder, err);

	if (r < 0)
		return r;
	if (options->memory_mib)
		build->config.memory_mib = options->memory_mib;
	if (options->vcpus)
		build->config.vcpus = options->vcpus;
	if (options->has_cpu)
		build->config.cpu_template = options->cpu_template;
	return 0;
}

/* Two builds of one template must not write into one folder. */
static int lock_templates(const struct cli *cli, struct build *build, struct err *err)
{
	cleanup_free char *folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, NULL);
	int r;

	if (!folder)
		return err_set(err, -ENOMEM, "out of memory");
	r = make_folders(folder, err);
	if (r < 0)
		return r;
	build->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (build->lock < 0)
		return err_set(err, -errno, "cannot open '%s': %s", folder, strerror(errno));
	if (flock(build->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	cli_say(cli, "waiting for another build to end");
	return flock(build->lock, LOCK_EX) < 0
		       ? err_set(err, -errno, "cannot lock '%s': %s", folder, strerror(errno))
		       : 0;
}

static int prepare(const struct cli *cli, struct build *build, struct err *err)
{
	int r = read_config(build, err);

	if (r == 0)
		r = request_read(&build->sample, build->options->sample, err);
	if (r == 0)
		r = kernel_find(&cli->paths, &build->kernel, err);
	if (r == 0)
		r = digest_inputs(cli, build, err);
	if (r == 0)
		r = lock_templates(cli, build, err);
	if (r < 0)
		return r;
	build->folder = paths_in_home(&cli->paths, TEMPLATES_FOLDER, build->options->name);
	return build->folder ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* What is to be done: a build that was stopped before its end may have left it without a record;
 * one that is older than some minutes wants its clock refreshed. */
enum build_need { NEED_NOTHING, NEED_REFRESH, NEED_RECORD, NEED_ALL };

static enum build_need what_is_needed(const struct cli *cli, const struct build *build)
{
	struct template *template = NULL;
	enum build_need need = NEED_ALL;

	if (build->options->force ||
	    store_open(&cli->paths, build->options->name, &template, NULL) < 0)
		return NEED_ALL;
	if (strcmp(template_manifest(template)->inputs, build->inputs) == 0)
		need = !template_working_set(template) ? NEED_RECORD :
		       template_is_stale(template)     ? NEED_REFRESH :
							 NEED_NOTHING;
	template_free(template);
	return need;
}

static int make_workdir(const struct cli *cli, struct build *build, struct err *err)
{
	build->workdir = paths_in_home(&cli->paths, ".build.XXXXXX", NULL);
	if (!build->workdir)
		return err_set(err, -ENOMEM, "out of memory");
	if (mkdtemp(build->workdir))
		return 0;
	build->workdir[0] = '\0';
	return err_set(err, -errno, "cannot make a folder in '%s': %s", cli->paths.home,
		       strerror(errno));
}

static int compile(const struct cli *cli, struct build *build, struct err *err)
{
	const struct build_paths paths = build_paths_of(cli);
	cleanup_free char *output = NULL;
	struct progress progress;
	int r;

	progress_begin(&progress, "compiling the function", cli->quiet);
	r = function_build(&build->config, &paths, build->workdir, build->initrd, &output, err);
	progress_end(&progress);
	if (output && (r < 0 || !cli->quiet))
		text_write_clean(stderr, output, strlen(output));
	return r;
}

static void say_done(const struct cli *cli, const struct build *build)
{
	char disk[FORMAT_BYTES];

	format_size(folder_disk_bytes(build->folder), disk);
	cli_say(cli, "template '%s' is ready: %u MiB of memory, %s on the disk (host mode %s)",
		build->options->name, build->config.memory_mib, disk, host_mode_names[cli->mode]);
}

static int bake(const struct cli *cli, const struct build *build, enum build_need need)
{
	const struct bake bake = {
		.name = build->options->name,
		.kernel = build->kernel,
		.initrd = build->initrd,
		.folder = build->folder,
		.workdir = build->workdir,
		.inputs = build->inputs,
		.memory_mib = build->config.memory_mib,
		.vcpus = build->config.vcpus,
		.cpu_template = build->config.cpu_template,
		.timeout_s = build->options->timeout_s,
	};
	int code = EXIT_OK;

	if (need == NEED_ALL)
		code = template_bake(cli, &bake);
	if (need == NEED_REFRESH)
		code = template_refresh(cli, &bake);
	else if (code == EXIT_OK)
		code = template_record(cli, &bake, &build->sample);
	if (code == EXIT_OK)
		say_done(cli, build);
	return code;
}

static int build_template(struct cli *cli, const struct build_options *options)
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
	if (need == NEED_ALL && compile(cli, &build, &err) < 0)
		return cli_fail(&err);
	return bake(cli, &build, need);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct build_options options = {.timeout_s = TIMEOUT_DEFAULT_S};
	struct err err = {0};
	int code;

	if (!parse(cli, argc, argv, &options, &code))
		return code;
	if (name_check(options.name, &err) < 0)
		return cli_fail_as(EXIT_USAGE, &err);
	return build_template(cli, &options);
}

static const char help[] =
	"build FOLDER -t NAME [OPTION]...\n\n"
	"Compiles the C function in FOLDER (function.json there may say how), boots it in a\n"
	"micro-VM, and makes its snapshot at the first quark_next() the template NAME. When a\n"
	"template of the same inputs is there, only its clock is refreshed if it is older than\n"
	"ten minutes.\n\n"
	"Options:\n"
	"  -t, --template NAME   [a-z0-9][a-z0-9._-]*, at most 63 characters\n"
	"  --memory MIB          guest memory, even, 32 to 8192 (default: function.json, or 64)\n"
	"  --vcpus N             1 to 8 (default: function.json, or 1)\n"
	"  --cpu portable|host   CPU that the guest sees (default: function.json, or portable)\n"
	"  --sample DATA|@FILE|- request for the run that records which pages a request needs\n"
	"                        (default: empty)\n"
	"  --timeout S           for the boot to reach quark_next() (default 120)\n"
	"  --force               build even when the template is up to date\n"
	"Environment: CC, the compiler (default gcc); QUARK_KERNEL, a kernel image, or a folder\n"
	"with boot/vmlinuz-* (default: what libexec/quark/kernel-fetch has fetched); in mode rig\n"
	"it must not be below /tmp, /run or /dev/shm, which are the rig's own.\n\n";

const struct verb verb_build = {
	.name = "build",
	.summary = "make a template from a function's folder",
	.help = help,
	.options = "--template --memory --vcpus --cpu --sample --timeout --force",
	.least = 1,
	.most = 1,
	.run = run,
};
