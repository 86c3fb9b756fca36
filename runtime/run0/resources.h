/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The single options of `run0 update`, turned into one linux.resources object.
 */
#pragma once

#include <stddef.h>

struct err;

enum { RESOURCES_JSON_BYTES = 4096, CPU_LIST_MAX = 1024 };

/* As given on the command line; NULL: not given. */
struct resource_options {
	const char *blkio_weight;
	const char *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period, *cpu_rt_runtime;
	const char *cpu_idle, *cpuset_cpus, *cpuset_mems;
	const char *memory, *memory_reservation, *memory_swap, *pids_limit;
};

/* "{}" when nothing is given. -EINVAL names the option whose value is no number, or none that the
 * specification's member can hold. */
int resources_json(const struct resource_options *options, char json[RESOURCES_JSON_BYTES],
		   size_t *ret_bytes, struct err *err);
