/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a running container through its cgroup: pause and resume, new limits, statistics,
 * its processes, its events.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "cleanup.h"
#include "container/container.h"
#include "number.h"
#include "spec/spec.h"

typedef int (*cgroup_job)(const struct container *container, struct cgroup *cgroup, void *context,
			  struct err *err);

static int with_cgroup(const struct oci_runtime *runtime, const char *id, bool lock, cgroup_job job,
		       void *context, struct err *err)
{
	struct cgroup *cgroup = NULL;
	struct container container;
	int r = lock ? container_open_made(&container, runtime, id, err) :
		       container_open(&container, runtime, id, false, err);

	if (r == 0)
		r = container_cgroup(&container, &cgroup, err);
	if (r == 0)
		r = job(&container, cgroup, context, err);
	(void)cgroup_free(cgroup);
	container_done(&container);
	return r;
}

static int require(const struct container *container, const char *what, unsigned int allowed,
		   struct err *err)
{
	enum oci_status status = container_status(container);

	if (allowed & (1u << status))
		return 0;
	return err_set(err, -EBUSY, "cannot %s container '%s': it is %s", what, container->id,
		       oci_status_name(status));
}

/* --- pause, resume ---------------------------------------------------------------------------- */

static int do_pause(const struct container *container, struct cgroup *cgroup, void *context,
		    struct err *err)
{
	int r = require(container, "pause", 1u << OCI_RUNNING | 1u << OCI_CREATED, err);

	(void)context;
	if (r == 0)
		r = cgroup_freeze(cgroup, true, err);
	if (r == 0 && !cgroup_is_frozen(cgroup))
		r = err_set(err, -ENOTSUP, "cannot pause container '%s': it has no cgroup",
			    container->id);
	return r;
}

static int do_resume(const struct container *container, struct cgroup *cgroup, void *context,
		     struct err *err)
{
	int r = cgroup_is_frozen(cgroup) ? 0 : require(container, "resume", 1u << OCI_PAUSED, err);

	(void)context;
	return r < 0 ? r : cgroup_freeze(cgroup, false, err);
}

int oci_pause(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	return with_cgroup(runtime, id, true, do_pause, NULL, err);
}

int oci_resume(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	return with_cgroup(runtime, id, true, do_resume, NULL, err);
}

/* --- limits ----------------------------------------------------------------------------------- */

static int do_update(const struct container *container, struct cgroup *cgroup, void *context,
		     struct err *err)
{
	const struct oci_spec *spec = context;
	int r = require(container, "update",
			1u << OCI_RUNNING | 1u << OCI_CREATED | 1u << OCI_PAUSED, err);

	return r < 0 ? r : cgroup_update(cgroup, &spec->linux.resources, err);
}

int oci_update(const struct oci_runtime *runtime, const char *id, const char *json, size_t bytes,
	       struct err *err)
{
	struct oci_spec *spec = NULL;
	int r = spec_parse_resources(&spec, json, bytes, err);

	if (r == 0)
		r = with_cgroup(runtime, id, true, do_update, spec, err);
	(void)spec_free(spec);
	return r;
}

/* --- processes -------------------------------------------------------------------------------- */

struct pids {
	pid_t *pids;
	size_t count;
};

static int do_pids(const struct container *container, struct cgroup *cgroup, void *context,
		   struct err *err)
{
	struct pids *pids = context;
	int r = cgroup_pids(cgroup, &pids->pids, &pids->count, err);

	if (r < 0 || pids->count > 0 || !container_is_alive(container))
		return r;
	/* Without a cgroup nothing is known of the others. */
	pids->pids = malloc(sizeof(*pids->pids));
	if (!pids->pids)
		return err_set(err, -ENOMEM, "out of memory");
	pids->pids[0] = container->record.pid;
	pids->count = 1;
	return 0;
}

int oci_pids(const struct oci_runtime *runtime, const char *id, pid_t **ret_pids, size_t *ret_count,
	     struct err *err)
{
	struct pids pids = {};
	int r = with_cgroup(runtime, id, false, do_pids, &pids, err);

	if (r == 0) {
		*ret_pids = pids.pids;
		*ret_count = pids.count;
	}
	return r;
}

/* --- events ----------------------------------------------------------------------------------- */

static int do_wait(const struct container *container, struct cgroup *cgroup, void *context,
		   struct err *err)
{
	const int *timeout_ms = context;

	return container_is_alive(container) ? cgroup_wait_event(cgroup, *timeout_ms, err) : 0;
}

int oci_wait_event(const struct oci_runtime *runtime, const char *id, int timeout_ms,
		   struct err *err)
{
	return with_cgroup(runtime, id, false, do_wait, &timeout_ms, err);
}

/* cJSON keeps doubles, which are exact to 2^53 only. */
static void add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	(void)cJSON_AddRawToObject(object, name, text);
}

static void add_cpu(cJSON *data, const struct cgroup_stats *stats)
{
	cJSON *cpu = cJSON_AddObjectToObject(data, "cpu");
	cJSON *usage = cJSON_AddObjectToObject(cpu, "usage");
	cJSON *throttling = cJSON_AddObjectToObject(cpu, "throttling");

	add_u64(usage, "total", stats->cpu.total_ns);
	add_u64(usage, "kernel", stats->cpu.kernel_ns);
	add_u64(usage, "user", stats->cpu.user_ns);
	add_u64(throttling, "periods", stats->cpu.periods);
	add_u64(throttling, "throttledPeriods", stats->cpu.throttled_periods);
	add_u64(throttling, "throttledTime", stats->cpu.throttled_ns);
}

static void add_memory_usage(cJSON *memory, const char *name, uint64_t usage, uint64_t max,
			     uint64_t limit, uint64_t failcnt)
{
	cJSON *object = cJSON_AddObjectToObject(memory, name);

	add_u64(object, "limit", limit);
	add_u64(object, "usage", usage);
	add_u64(object, "max", max);
	add_u64(object, "failcnt", failcnt);
}

/* memory.stat, line by line. */
static void add_memory_lines(cJSON *memory, char *text)
{
	cJSON *raw = cJSON_AddObjectToObject(memory, "raw");

	while (text && *text) {
		char *line = strsep(&text, "\n"), *end;
		const char *name = strsep(&line, " ");
		uint64_t value;

		if (line && number_take(line, &end, &value))
			add_u64(raw, name, value);
	}
}

static void add_memory(cJSON *data, const struct cgroup_stats *stats)
{
	cJSON *memory = cJSON_AddObjectToObject(data, "memory");

	add_u64(memory, "cache", stats->memory.cache);
	add_memory_usage(memory, "usage", stats->memory.usage, stats->memory.max_usage,
			 stats->memory.limit, stats->memory.failcnt);
	add_memory_usage(memory, "swap", stats->memory.swap_usage, 0, stats->memory.swap_limit, 0);
	add_memory_usage(memory, "kernel", stats->memory.kernel_usage, 0, 0, 0);
	add_memory_lines(memory, stats->memory_stat);
}

static void add_io(cJSON *data, const struct cgroup_stats *stats)
{
	cJSON *io = cJSON_AddObjectToObject(data, "blkio");

	add_u64(io, "readBytes", stats->io.read_bytes);
	add_u64(io, "writeBytes", stats->io.write_bytes);
	add_u64(io, "readOperations", stats->io.read_ops);
	add_u64(io, "writeOperations", stats->io.write_ops);
}

static char *stats_text(const char *id, const struct cgroup_stats *stats)
{
	cJSON *json = cJSON_CreateObject(), *data, *pids;
	char *text;

	(void)cJSON_AddStringToObject(json, "type", "stats");
	(void)cJSON_AddStringToObject(json, "id", id);
	data = cJSON_AddObjectToObject(json, "data");
	if (stats->cpu.present)
		add_cpu(data, stats);
	if (stats->memory.present)
		add_memory(data, stats);
	if (stats->pids.present) {
		pids = cJSON_AddObjectToObject(data, "pids");
		add_u64(pids, "current", stats->pids.current);
		add_u64(pids, "limit", stats->pids.limit);
	}
	if (stats->io.present)
		add_io(data, stats);
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	return text;
}

static int do_stats(const struct container *container, struct cgroup *cgroup, void *context,
		    struct err *err)
{
	struct cgroup_stats stats = {};
	char **ret_text = context;
	int r = require(container, "look into",
			1u << OCI_RUNNING | 1u << OCI_CREATED | 1u << OCI_PAUSED, err);

	if (r == 0)
		r = cgroup_stats(cgroup, &stats, err);
	if (r < 0)
		return r;
	*ret_text = stats_text(container->id, &stats);
	free(stats.memory_stat);
	return *ret_text ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int oci_stats_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err)
{
	return with_cgroup(runtime, id, false, do_stats, ret_json, err);
}
