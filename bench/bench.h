/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the suites of quark-bench share: samples in, rows out, one table and one JSON form for all.
 * Scripts rely on the names of the JSON members (bench/README in docs/performance.md).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "shell.h"

struct bench_options {
	const char *clock;     /* "insn" or "wall" */
	const char *host_mode; /* "kvm", "rig", "direct" */
	const char *json;      /* path, or NULL */
	const char *command;   /* command line, for the record */
	unsigned int n;
	bool show_response;

	/* coldstart */
	struct bench_template {
		const char *name, *folder, *request;
		const char *calibration; /* folder; NULL: shells are not prepared */
	} templates[16];
	unsigned int template_count;
	bool levels[LEVELS];
	const char *lumper;

	/* floor, oci */
	const char *static_true, *peak_rss, *run0;
};

struct row {
	const char *suite, *level;
	char function[SNAPSHOT_NAME_MAX], wake[16];
	unsigned int n;
	uint64_t p50_ns, p99_ns, max_ns;
	uint64_t stage_ns[STAGES]; /* medians */
	uint64_t faults; /* second-stage faults of the clone since its shell was ready; median */
	bool has_stages;
	uint64_t memory_bytes;
	const char *runtime; /* oci; NULL elsewhere */
	long rss_kib;	     /* the runtime's peak; 0: not measured */
};

enum { ROWS_MAX = 64 };
struct rows {
	unsigned int count;
	struct row row[ROWS_MAX];
};

/* Sorts `samples` and fills the row's p50, p99 and max. */
void row_fill(struct row *row, uint64_t *samples, unsigned int n);
uint64_t median(uint64_t *samples, unsigned int n);
void row_add(struct rows *rows, const struct row *row);

void rows_print(const struct rows *rows, const struct bench_options *options);
int rows_write_json(const struct rows *rows, const struct bench_options *options, struct err *err);

/* The suites. */
int coldstart_run(const struct bench_options *options, struct rows *rows, struct err *err);
int floor_run(const struct bench_options *options, struct rows *rows, struct err *err);
int oci_run_suite(const struct bench_options *options, struct rows *rows, struct err *err);
