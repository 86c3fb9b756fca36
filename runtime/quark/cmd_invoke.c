/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark invoke: one request to a fresh clone of a template.
 *
 * In mode `rig` the same program runs again inside the rig, with the request on its stdin: a file
 * of ours may not be visible there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibration.h"
#include "cleanup.h"
#include "cli.h"
#include "file.h"
#include "format.h"
#include "json.h"
#include "request.h"
#include "rig.h"
#include "shell.h"
#include "store.h"
#include "text.h"

enum {
	OPT_LEVEL = OPT_VERB,
	OPT_TIMING,
	OPT_JSON,
	OPT_TIMEOUT,
	TIMEOUT_MAX_S = 3600,
};

struct invocation {
	const char *name;   /* borrowed */
	const char *source; /* borrowed: what -d says, or NULL */
	enum start_level level;
	enum host_mode mode;
	unsigned int timeout_s; /* 0: shell.h's default */
	bool timing, json;
	struct request request; /* owned */
};

static bool parse_level(const struct cli *cli, const char *text, enum start_level *ret_level)
{
	for (size_t i = 0; i < LEVELS; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum start_level)i;
			return true;
		}
	}
	(void)cli_usage(cli, "'%s' is not a level: cold, shell, template or parked", text);
	return false;
}

static bool set_option(const struct cli *cli, struct invocation *invocation, int option)
{
	switch (option) {
	case 'd':
		invocation->source = optarg;
		return true;
	case OPT_LEVEL:
		return parse_level(cli, optarg, &invocation->level);
	case OPT_TIMING:
		invocation->timing = true;
		return true;
	case OPT_JSON:
		invocation->json = true;
		return true;
	case OPT_TIMEOUT:
		return cli_number(cli, "--timeout", optarg, 1, TIMEOUT_MAX_S,
				  &invocation->timeout_s);
	default:
		return false;
	}
}

/* Returns whether to go on; else *ret_code says with what to exit. */
static bool parse(struct cli *cli, int argc, char **argv, struct invocation *invocation,
		  int *ret_code)
{
	static const struct option options[] = {
		{"data", required_argument, NULL, 'd'},
		{"level", required_argument, NULL, OPT_LEVEL},
		{"timing", no_argument, NULL, OPT_TIMING},
		{"json", no_argument, NULL, OPT_JSON},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{0},
	};
	int option;

	while ((option = cli_getopt(cli, argc, argv, "d:", options, ret_code)) >= 0) {
		if (option == OPT_EXIT)
			return false;
		*ret_code = EXIT_USAGE;
		if (!set_option(cli, invocation, option))
			return false;
	}
	*ret_code = EXIT_USAGE;
	if (!cli_count_arguments(cli, argc, argv))
		return false;
	invocation->name = argv[optind];
	return true;
}

static void print_log(void *context, const char *text, size_t bytes)
{
	(void)context;
	text_write_clean(stderr, text, bytes);
}

static void print_timing(const struct start_times *times)
{
	char text[FORMAT_BYTES];

	for (size_t i = 0; i < STAGES; i++) {
		format_ns(times->stage_ns[i], text);
		fprintf(stderr, "  %-10s %10s\n", stage_names[i], text);
	}
	format_ns(times->total_ns, text);
	fprintf(stderr, "  %-10s %10s\n", "total", text);
}

/* What runs in the rig is told to use the /dev/kvm there; the rig says by RIG_CLOCK that it is
 * one. */
static const char *reported_mode(const struct invocation *invocation)
{
	return host_mode_names[getenv("RIG_CLOCK") ? HOST_MODE_RIG : invocation->mode];
}

static cJSON *json_head(const struct invocation *invocation, const char *status)
{
	cJSON *object = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(object, "template", invocation->name);
	(void)cJSON_AddStringToObject(object, "level", level_names[invocation->level]);
	(void)cJSON_AddStringToObject(object, "host_mode", reported_mode(invocation));
	(void)cJSON_AddStringToObject(object, "status", status);
	return object;
}

static int print_json(const struct invocation *invocation, const struct response *response,
		      const struct start_times *times)
{
	cJSON *object = json_head(invocation, response->failed ? "failed" : "ok");
	cJSON *stages;

	json_add_u64(object, "bytes", response->bytes);
	if (json_add_bytes(object, "response", response->data, response->bytes) < 0) {
		cJSON_Delete(object);
		return json_print(NULL);
	}
	json_add_u64(object, "total_ns", times->total_ns);
	stages = cJSON_AddObjectToObject(object, "stages");
	for (size_t i = 0; i < STAGES; i++)
		json_add_u64(stages, stage_names[i], times->stage_ns[i]);
	return json_print(object);
}

static int print_plain(const struct response *response)
{
	struct err err = {0};
	int r;

	if (response->failed) {
		fputs("quark: the function failed: ", stderr);
		text_write_clean(stderr, response->data, response->bytes);
		return EXIT_OK;
	}
	r = file_write_all(STDOUT_FILENO, response->data, response->bytes);
	if (r == 0)
		return EXIT_OK;
	(void)err_set(&err, r, "cannot write the response: %s", strerror(-r));
	return cli_fail_as(EXIT_ERROR, &err);
}

/* With --json a failure is an object too, so that a script has one thing to read. */
static int report_failure(const struct invocation *invocation, const struct err *err)
{
	const int code = cli_fail(err);

	if (invocation->json) {
		cJSON *object = json_head(invocation, "error");

		json_add_u64(object, "code", (uint64_t)code);
		(void)cJSON_AddStringToObject(object, "error", err->message);
		(void)json_print(object);
	}
	return code;
}

static int report(const struct invocation *invocation, const struct response *response,
		  const struct start_times *times)
{
	int code = invocation->json ? print_json(invocation, response, times)
				    : print_plain(response);

	if (invocation->timing)
		print_timing(times);
	if (code == EXIT_OK && response->failed)
		code = EXIT_FUNCTION_FAILED;
	return code;
}

/* Told apart here from whatever else a shell may fail of. */
static int check_device(struct err *err)
{
	if (access(KVM_DEVICE, R_OK | W_OK) == 0)
		return 0;
	return err_set(err, -ENODEV, "cannot use " KVM_DEVICE ": %s (see quark doctor)",
		       strerror(errno));
}

/* What a shell is prepared with, if the template's base has it. */
static int find_calibration(const struct cli *cli, const struct template *template,
			    struct template **ret_calibration, int *ret_pack_fd, struct err *err)
{
	int r = calibration_find(&cli->paths, template, ret_calibration, err);

	if (r < 0 || !*ret_calibration)
		return r;
	return pack_new(template, *ret_calibration, ret_pack_fd, err);
}

static int invoke_here(const struct cli *cli, const struct invocation *invocation)
{
	cleanup_template struct template *template = NULL, *calibration = NULL;
	cleanup_shell struct shell *shell = NULL;
	cleanup_fd int pack_fd = -1;
	struct shell_config config = {.lumper = cli->paths.lumper, .log = print_log};
	const struct manifest *manifest;
	struct start_times times = {0};
	struct response response;
	struct err err = {0};

	if (store_open(&cli->paths, invocation->name, &template, &err) < 0 ||
	    check_device(&err) < 0)
		return report_failure(invocation, &err);
	manifest = template_manifest(template);
	config.memory_bytes = manifest->memory_bytes;
	config.vcpus = manifest->vcpus;
	config.cpu_template = manifest->cpu_template;
	config.timeout_ms = invocation->timeout_s * 1000;
	if (invocation->level != LEVEL_COLD &&
	    find_calibration(cli, template, &calibration, &pack_fd, &err) < 0)
		return report_failure(invocation, &err);
	config.calibration = calibration;
	config.pack_fd = pack_fd;
	if (start_function(&shell, &config, template, invocation->level, invocation->request.data,
			   invocation->request.bytes, &response, &times, &err) < 0)
		return report_failure(invocation, &err);
	return report(invocation, &response, &times);
}

static void add_options(const struct cli *cli, const struct invocation *invocation,
			struct args *args, const char *timeout)
{
	ARGS_ADD(args, "--level", level_names[invocation->level]);
	if (invocation->timeout_s)
		ARGS_ADD(args, "--timeout", timeout);
	if (invocation->timing)
		args_add(args, "--timing");
	if (invocation->json)
		args_add(args, "--json");
	if (cli->quiet)
		args_add(args, "--quiet");
	if (cli->verbose)
		args_add(args, "--verbose");
}

static int invoke_in_rig(const struct cli *cli, const struct invocation *invocation)
{
	cleanup_fd int request = -1;
	struct args args = {0};
	struct err err = {0};
	char timeout[16];

	(void)snprintf(timeout, sizeof(timeout), "%u", invocation->timeout_s);
	rig_add_exec(cli, &args);
	ARGS_ADD(&args, cli->paths.quark, "--host-mode", "kvm", "--home", cli->paths.home, "invoke",
		 "--data", "-");
	add_options(cli, invocation, &args, timeout);
	ARGS_ADD(&args, "--", invocation->name);

	if (rig_ensure(cli, &err) < 0 || request_open(&invocation->request, &request, &err) < 0)
		return report_failure(invocation, &err);
	if (dup2(request, STDIN_FILENO) < 0)
		(void)err_set(&err, -errno, "cannot pass the request on: %s", strerror(errno));
	else
		(void)child_replace(&args, &err);
	return report_failure(invocation, &err);
}

/* A template that is missing or refused is told before the rig is woken. */
static int check_template(const struct cli *cli, const struct invocation *invocation,
			  struct err *err)
{
	cleanup_template struct template *template = NULL;

	return store_open(&cli->paths, invocation->name, &template, err);
}

static int invoke(struct cli *cli, struct invocation *invocation)
{
	struct err err = {0};

	if (cli_open(cli, &err) < 0 || cli_host_mode(cli, &err) < 0)
		return report_failure(invocation, &err);
	invocation->mode = cli->mode;
	if (check_template(cli, invocation, &err) < 0 ||
	    request_read(&invocation->request, invocation->source, &err) < 0)
		return report_failure(invocation, &err);
	return cli->mode == HOST_MODE_KVM ? invoke_here(cli, invocation)
					  : invoke_in_rig(cli, invocation);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct invocation invocation = {.level = LEVEL_COLD};
	struct err err = {0};
	int code;

	if (!parse(cli, argc, argv, &invocation, &code))
		return code;
	if (name_check(invocation.name, &err) < 0)
		return cli_fail_as(EXIT_USAGE, &err);
	code = invoke(cli, &invocation);
	request_done(&invocation.request);
	return code;
}

static const char help[] =
	"invoke NAME [-d DATA|@FILE|-] [OPTION]...\n\n"
	"Starts a fresh clone of the template NAME, sends it one request, and writes the response\n"
	"to stdout, byte for byte. What the function logs goes to stderr. The clone is thrown\n"
	"away.\n\n"
	"Options:\n"
	"  -d, --data DATA  the request: a text, @FILE, or - for stdin (default: empty)\n"
	"  --level L        what exists when the request is sent; the rest is in the time:\n"
	"                   cold: nothing (default); shell: a process with an empty VM;\n"
	"                   template: a VM with the template loaded; parked: a clone that waits\n"
	"  --timing         print the time of each stage to stderr\n"
	"  --timeout S      give up after S seconds (exit code 124; default 10)\n"
	"  --json           print one object instead: {\"template\", \"level\", \"host_mode\",\n"
	"                   \"status\", \"bytes\", \"encoding\", \"response\", \"total_ns\",\n"
	"                   \"stages\": {NAME: ns}}. status: \"ok\", \"failed\" (response is the\n"
	"                   function's message), or \"error\" with \"code\" and \"error\" only;\n"
	"                   encoding: \"utf-8\" or \"base64\"\n\n";

const struct verb verb_invoke = {
	.name = "invoke",
	.summary = "start a function from its template and ask it",
	.help = help,
	.options = "--data --level --timing --timeout --json",
	.least = 1,
	.most = 1,
	.run = run,
};
