/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark-bench: runs suites on the machine at hand. People call bench/run, which picks the machine.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cleanup.h"
#include "number.h"

static const struct suite {
	const char *name;
	int (*run)(const struct bench_options *options, struct rows *rows, struct err *err);
} suites[] = {
	{ "coldstart", coldstart_run },
	{ "floor", floor_run },
	{ "oci", oci_run_suite },
};

enum {
	OPT_CLOCK = 256, OPT_HOST_MODE, OPT_JSON, OPT_COMMAND, OPT_TEMPLATE, OPT_LEVEL, OPT_LUMPER,
	OPT_REQUEST, OPT_CALIBRATION, OPT_STATIC_TRUE, OPT_PEAK_RSS, OPT_RUN0,
};

static const struct option long_options[] = {
	{ "clock", required_argument, NULL, OPT_CLOCK },
	{ "host-mode", required_argument, NULL, OPT_HOST_MODE },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "command", required_argument, NULL, OPT_COMMAND },
	{ "template", required_argument, NULL, OPT_TEMPLATE },
	{ "level", required_argument, NULL, OPT_LEVEL },
	{ "lumper", required_argument, NULL, OPT_LUMPER },
	{ "request", required_argument, NULL, OPT_REQUEST },
	{ "calibration", required_argument, NULL, OPT_CALIBRATION },
	{ "static-true", required_argument, NULL, OPT_STATIC_TRUE },
	{ "peak-rss", required_argument, NULL, OPT_PEAK_RSS },
	{ "run0", required_argument, NULL, OPT_RUN0 },
	{},
};

static bool set_level(struct bench_options *options, const char *name)
{
	for (int i = 0; i < LEVELS; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			options->levels[i] = true;
			return true;
		}
	}
	fprintf(stderr, "quark-bench: no such level: '%s'\n", name);
	return false;
}

static bool set_n(struct bench_options *options, const char *text)
{
	uint64_t n;

	if (!number_parse(text, 1, 100000, &n)) {
		fprintf(stderr, "quark-bench: -n takes 1 to 100000, not '%s'\n", text);
		return false;
	}
	options->n = (unsigned int)n;
	return true;
}

/* NAME=FOLDER */
static bool add_template(struct bench_options *options, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals) {
		fprintf(stderr, "quark-bench: --template takes NAME=FOLDER, not '%s'\n", text);
		return false;
	}
	*equals = '\0';
	if (options->template_count == ARRAY_SIZE(options->templates)) {
		fprintf(stderr, "quark-bench: too many templates\n");
		return false;
	}
	options->templates[options->template_count].name = text;
	options->templates[options->template_count].request = "hello";
	options->templates[options->template_count++].folder = equals + 1;
	return true;
}

/* The template that was named last, or NULL. */
static struct bench_template *last_template(struct bench_options *options, const char *option)
{
	if (options->template_count > 0)
		return &options->templates[options->template_count - 1];
	fprintf(stderr, "quark-bench: %s stands behind a --template\n", option);
	return NULL;
}

static bool set_request(struct bench_options *options, const char *text)
{
	struct bench_template *template = last_template(options, "--request");

	if (template)
		template->request = text;
	return template;
}

static bool set_calibration(struct bench_options *options, const char *folder)
{
	struct bench_template *template = last_template(options, "--calibration");

	if (template)
		template->calibration = folder;
	return template;
}

static bool parse_option(struct bench_options *options, int option)
{
	switch (option) {
	case 'n':
		return set_n(options, optarg);
	case OPT_LEVEL:
		return set_level(options, optarg);
	case OPT_TEMPLATE:
		return add_template(options, optarg);
	case OPT_CLOCK:
		options->clock = optarg;
		return true;
	case OPT_HOST_MODE:
		options->host_mode = optarg;
		return true;
	case OPT_JSON:
		options->json = optarg;
		return true;
	case OPT_COMMAND:
		options->command = optarg;
		return true;
	case OPT_LUMPER:
		options->lumper = optarg;
		return true;
	case OPT_REQUEST:
		return set_request(options, optarg);
	case OPT_CALIBRATION:
		return set_calibration(options, optarg);
	case OPT_STATIC_TRUE:
		options->static_true = optarg;
		return true;
	case OPT_PEAK_RSS:
		options->peak_rss = optarg;
		return true;
	case OPT_RUN0:
		options->run0 = optarg;
		return true;
	default:
		return false;
	}
}

static void default_levels(struct bench_options *options)
{
	for (int i = 0; i < LEVELS; i++)
		if (options->levels[i])
			return;
	for (int i = 0; i < LEVELS; i++)
		options->levels[i] = true;
}

static int run_suite(const char *name, const struct bench_options *options, struct rows *rows)
{
	struct err err = {};

	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		if (strcmp(name, suites[i].name) != 0)
			continue;
		if (suites[i].run(options, rows, &err) == 0)
			return 0;
		fprintf(stderr, "quark-bench: %s\n", err.message);
		return 1;
	}
	fprintf(stderr, "quark-bench: no such suite: '%s'\n", name);
	return 2;
}

static int report(const struct bench_options *options, const struct rows *rows)
{
	struct err err = {};

	rows_print(rows, options);
	if (!options->json || rows_write_json(rows, options, &err) == 0)
		return 0;
	fprintf(stderr, "quark-bench: %s\n", err.message);
	return 1;
}

int main(int argc, char **argv)
{
	struct bench_options options = {
		.clock = "wall", .host_mode = "kvm", .command = "quark-bench", .n = 20,
	};
	static struct rows rows;
	int option;

	while ((option = getopt_long(argc, argv, "n:", long_options, NULL)) >= 0)
		if (!parse_option(&options, option))
			return 2;
	if (optind == argc) {
		fprintf(stderr, "usage: quark-bench SUITE... (see bench/run --help)\n");
		return 2;
	}
	default_levels(&options);
	for (int i = optind; i < argc; i++) {
		int code = run_suite(argv[i], &options, &rows);

		if (code)
			return code;
	}
	return report(&options, &rows);
}
