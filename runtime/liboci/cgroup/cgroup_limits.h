/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the table of limits (cgroup_resources.c) and the functions that they name
 * (cgroup_limits.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroup/cgroup_priv.h"

struct setting;

struct limit_file {
	const char *name;
	int (*set)(struct setting *setting); /* NULL: this version has no such limit */
};

struct limit {
	const char *member; /* below linux.resources */
	enum cgroup_controller controller;
	enum { LIMIT_NUMBER, LIMIT_FLAG, LIMIT_TRUE, LIMIT_TEXT, LIMIT_COUNT } kind;
	bool zero; /* a number whose 0 is a value, and not the same as none */
	size_t at; /* of the value in struct oci_resources */
	struct limit_file v1, v2;
	const char *key; /* io.max: the limit's name there */
	size_t items;	 /* of the array in struct oci_resources */
};

/* One limit on its way to a file. */
struct setting {
	const struct cgroup *cgroup;	       /* borrowed */
	const struct oci_resources *resources; /* borrowed */
	const struct limit *limit;
	int dir;
	bool v2;
	const char *file;
	uint32_t controllers; /* to be enabled when a file is missing; 0 once that was tried */
	int enable_error;     /* why one of them could not be */
	bool has_memory, has_bandwidth; /* the rows that go together are done */
	struct err *err;
};

int limit_set_number(struct setting *setting);
int limit_set_size(struct setting *setting); /* a number of bytes, -1: none */
int limit_set_flag(struct setting *setting);
int limit_set_text(struct setting *setting);
int limit_set_memory_v1(struct setting *setting);
int limit_set_memory_v2(struct setting *setting);
int limit_set_swap_v1(struct setting *setting);
int limit_set_swap_v2(struct setting *setting);
int limit_set_shares(struct setting *setting);
int limit_set_idle(struct setting *setting);
int limit_set_bandwidth_v1(struct setting *setting);
int limit_set_bandwidth_v2(struct setting *setting);
int limit_set_pids(struct setting *setting);
int limit_set_io_weight(struct setting *setting);
int limit_set_io_weights(struct setting *setting);
int limit_set_throttle(struct setting *setting);
int limit_set_hugepages(struct setting *setting);
int limit_set_priorities(struct setting *setting);
int limit_set_rdma(struct setting *setting);
int limit_set_unified(struct setting *setting);

/* The bit of the controller that a file of `unified` belongs to; 0 for none. */
uint32_t limit_unified_controller(const char *name);
