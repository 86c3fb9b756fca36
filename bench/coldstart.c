/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suite `coldstart`: caller to caller, from the request in this process's hands to the response in
 * the same hands, at each level of start. Each sample is a fresh clone. The first two starts of a
 * level bring caches to the state that the level is about and are not counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cleanup.h"
#include "file.h"

enum { UNCOUNTED = 2 };

struct samples {
	uint64_t *total;
	uint64_t *stage[STAGES];
	uint64_t *faults;
};

static int samples_alloc(struct samples *samples, unsigned int n)
{
	samples->total = calloc((size_t)n * (STAGES + 2), sizeof(uint64_t));
	if (!samples->total)
		return -ENOMEM;
	for (int i = 0; i < STAGES; i++)
		samples->stage[i] = samples->total + (size_t)n * (size_t)(i + 1);
	samples->faults = samples->total + (size_t)n * (STAGES + 1);
	return 0;
}

/* What a level is measured of. */
struct subject {
	const struct bench_template *options;
	struct template *template, *calibration; /* owned; no calibration: NULL */
	int pack_fd;				 /* owned; -1: none */
};

static int subject_open(struct subject *subject, const struct bench_template *options,
			struct err *err)
{
	int r = template_open(&subject->template, options->folder, err);

	subject->options = options;
	if (r == 0 && options->calibration)
		r = template_open(&subject->calibration, options->calibration, err);
	if (r == 0 && subject->calibration)
		r = pack_new(subject->template, subject->calibration, &subject->pack_fd, err);
	return r;
}

static void subject_close(struct subject *subject)
{
	(void)fd_close(subject->pack_fd);
	subject->template = template_free(subject->template);
	subject->calibration = template_free(subject->calibration);
}

static int one_start(const struct bench_options *options, const struct subject *subject,
		     enum start_level level, struct start_times *times, uint64_t *ret_faults,
		     struct err *err)
{
	const char *request = subject->options->request;
	const struct template *template = subject->template;
	const struct manifest *manifest = template_manifest(template);
	const struct shell_config config = {
		.calibration = subject->calibration,
		.pack_fd = subject->pack_fd,
		.lumper = options->lumper,
		.memory_bytes = manifest->memory_bytes,
		.vcpus = manifest->vcpus,
		.cpu_template = manifest->cpu_template,
		.timeout_ms = 60000,
	};
	struct vm_counters counters = {};
	struct response response;
	struct shell *shell = NULL;
	int r;

	r = start_function(&shell, &config, template, level, request, strlen(request), &response,
			   times, err);
	if (r == 0 && response.failed)
		r = err_set(err, -EIO, "the function failed: %.*s", (int)response.bytes,
			    (const char *)response.data);
	if (r == 0)
		r = shell_counters(shell, &counters, err);
	*ret_faults = counters.faults;
	(void)shell_free(shell);
	return r;
}

static int run_level(const struct bench_options *options, const struct subject *subject,
		     enum start_level level, struct samples *samples, struct err *err)
{
	for (unsigned int i = 0; i < options->n + UNCOUNTED; i++) {
		struct start_times times;
		uint64_t faults = 0;
		int r = one_start(options, subject, level, &times, &faults, err);

		if (r < 0)
			return err_prefix(err, r, "level %s, start %u", level_names[level], i);
		if (i < UNCOUNTED)
			continue;
		samples->total[i - UNCOUNTED] = times.total_ns;
		samples->faults[i - UNCOUNTED] = faults;
		for (int stage = 0; stage < STAGES; stage++)
			samples->stage[stage][i - UNCOUNTED] = times.stage_ns[stage];
	}
	return 0;
}

static void add_row(const struct bench_options *options, const struct template *template,
		    const char *name, enum start_level level, struct samples *samples,
		    struct rows *rows)
{
	const struct manifest *manifest = template_manifest(template);
	struct row row = {
		.suite = "coldstart",
		.level = level_names[level],
		.has_stages = true,
		.memory_bytes = manifest->memory_bytes,
	};

	(void)snprintf(row.function, sizeof(row.function), "%s", name);
	(void)snprintf(row.wake, sizeof(row.wake), "%s", manifest->wake);
	row_fill(&row, samples->total, options->n);
	row.faults = median(samples->faults, options->n);
	for (int i = 0; i < STAGES; i++)
		row.stage_ns[i] = median(samples->stage[i], options->n);
	row_add(rows, &row);
}

static int run_template(const struct bench_options *options, const struct bench_template *of,
			struct rows *rows, struct err *err)
{
	struct subject subject = { .pack_fd = -1 };
	struct samples samples = {};
	int r;

	r = subject_open(&subject, of, err);
	if (r == 0 && samples_alloc(&samples, options->n) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	for (int level = 0; level < LEVELS && r == 0; level++) {
		if (!options->levels[level])
			continue;
		r = run_level(options, &subject, (enum start_level)level, &samples, err);
		if (r == 0)
			add_row(options, subject.template, of->name, (enum start_level)level,
				&samples, rows);
	}
	free(samples.total);
	subject_close(&subject);
	return r;
}

int coldstart_run(const struct bench_options *options, struct rows *rows, struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < options->template_count && r == 0; i++)
		r = run_template(options, &options->templates[i], rows, err);
	return r;
}
