/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics, the table, and the JSON object.
 */
#include "bench.h"

#include <cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t median(uint64_t *samples, unsigned int n)
{
	qsort(samples, n, sizeof(samples[0]), by_value);
	return samples[n / 2];
}

/* Nearest rank: the p99 of 20 samples is their maximum. */
void row_fill(struct row *row, uint64_t *samples, unsigned int n)
{
	row->n = n;
	row->p50_ns = median(samples, n);
	row->p99_ns = samples[(n * 99 + 99) / 100 - 1];
	row->max_ns = samples[n - 1];
}

void row_add(struct rows *rows, const struct row *row)
{
	if (rows->count < ROWS_MAX)
		rows->row[rows->count++] = *row;
}

static void print_us(uint64_t ns)
{
	printf(" %10.1f", (double)ns / 1000);
}

void rows_print(const struct rows *rows, const struct bench_options *options)
{
	printf("host mode %s, %s clock, times in us\n", options->host_mode,
	       strcmp(options->clock, "insn") == 0 ? "instruction (1 ns each)" : "wall");
	printf("%-10s %-10s %-16s %-6s %4s %10s %10s %10s ", "suite", "level", "function", "wake",
	       "n", "p50", "p99", "max");
	for (int i = 0; i < STAGES; i++)
		printf(" %10s", stage_names[i]);
	printf(" %7s\n", "faults");
	for (unsigned int i = 0; i < rows->count; i++) {
		const struct row *row = &rows->row[i];

		printf("%-10s %-10s %-16s %-6s %4u", row->suite, row->level, row->function,
		       row->wake, row->n);
		print_us(row->p50_ns);
		print_us(row->p99_ns);
		print_us(row->max_ns);
		printf(" ");
		for (int stage = 0; stage < STAGES && row->has_stages; stage++)
			print_us(row->stage_ns[stage]);
		if (row->has_stages)
			printf(" %7llu", (unsigned long long)row->faults);
		if (row->rss_kib)
			printf(" peak RSS %ld KiB", row->rss_kib);
		printf("\n");
	}
}

static void cpu_model(char *model, size_t bytes)
{
	cleanup_file FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	(void)snprintf(model, bytes, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		const char *colon = strstr(line, "model name") == line ? strchr(line, ':') : NULL;

		if (!colon)
			continue;
		(void)snprintf(model, bytes, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		break;
	}
}

static cJSON *meta_json(const struct bench_options *options)
{
	cJSON *meta = cJSON_CreateObject();
	struct utsname name = {};
	time_t now = time(NULL);
	char model[128], when[32];

	cpu_model(model, sizeof(model));
	(void)uname(&name);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	(void)cJSON_AddStringToObject(meta, "version", QUARK_VERSION);
	(void)cJSON_AddStringToObject(meta, "time", when);
	(void)cJSON_AddStringToObject(meta, "machine", model);
	(void)cJSON_AddNumberToObject(meta, "cpus", (double)sysconf(_SC_NPROCESSORS_ONLN));
	(void)cJSON_AddStringToObject(meta, "kernel", name.release);
	(void)cJSON_AddStringToObject(meta, "compiler", __VERSION__);
	(void)cJSON_AddStringToObject(meta, "command", options->command);
	return meta;
}

static cJSON *row_json(const struct row *row, const struct bench_options *options)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *stages;

	(void)cJSON_AddStringToObject(object, "suite", row->suite);
	(void)cJSON_AddStringToObject(object, "clock", options->clock);
	(void)cJSON_AddStringToObject(object, "host_mode", options->host_mode);
	(void)cJSON_AddStringToObject(object, "level", row->level);
	(void)cJSON_AddStringToObject(object, "wake", row->wake);
	(void)cJSON_AddStringToObject(object, "function", row->function);
	(void)cJSON_AddNumberToObject(object, "n", row->n);
	(void)cJSON_AddNumberToObject(object, "p50_ns", (double)row->p50_ns);
	(void)cJSON_AddNumberToObject(object, "p99_ns", (double)row->p99_ns);
	(void)cJSON_AddNumberToObject(object, "max_ns", (double)row->max_ns);
	if (row->has_stages) {
		(void)cJSON_AddNumberToObject(object, "memory_bytes", (double)row->memory_bytes);
		(void)cJSON_AddNumberToObject(object, "faults", (double)row->faults);
	}
	if (row->runtime)
		(void)cJSON_AddStringToObject(object, "runtime", row->runtime);
	if (row->rss_kib)
		(void)cJSON_AddNumberToObject(object, "peak_rss_kib", (double)row->rss_kib);
	stages = cJSON_AddObjectToObject(object, "stages");
	for (int i = 0; i < STAGES && row->has_stages; i++)
		(void)cJSON_AddNumberToObject(stages, stage_names[i], (double)row->stage_ns[i]);
	return object;
}

int rows_write_json(const struct rows *rows, const struct bench_options *options, struct err *err)
{
	cleanup_file FILE *file = fopen(options->json, "we");
	cJSON *root, *array;
	char *text;
	int r = 0;

	if (!file)
		return err_set(err, -errno, "cannot write '%s': %s", options->json,
			       strerror(errno));
	root = cJSON_CreateObject();
	(void)cJSON_AddItemToObject(root, "meta", meta_json(options));
	array = cJSON_AddArrayToObject(root, "rows");
	for (unsigned int i = 0; i < rows->count; i++)
		(void)cJSON_AddItemToArray(array, row_json(&rows->row[i], options));
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	if (fprintf(file, "%s\n", text) < 0 || fflush(file) != 0)
		r = err_set(err, -EIO, "cannot write '%s'", options->json);
	cJSON_free(text);
	return r;
}
