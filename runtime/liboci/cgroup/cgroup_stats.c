/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup has used, in the terms of v1 for both versions.
 *
 * A file that is missing leaves its value 0: kernels differ in what they count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"
#include "number.h"

enum { NS_PER_US = 1000 };

static uint64_t number_in(int dir, const char *file)
{
	uint64_t value = 0;

	return cgroup_file_read_number(dir, file, &value) == 0 ? value : 0;
}

static uint64_t value_in(const char *text, const char *key)
{
	uint64_t value = 0;

	return cgroup_text_find(text, key, &value) ? value : 0;
}

/* --- CPU ----------------------------------------------------------------------------------- */

static void cpu_v2(int dir, struct cgroup_stats *stats)
{
	char text[CGROUP_FILE_BYTES];

	if (cgroup_file_read(dir, "cpu.stat", text, sizeof(text)) <= 0)
		return;
	stats->cpu.present = true;
	stats->cpu.total_ns = value_in(text, "usage_usec") * NS_PER_US;
	stats->cpu.user_ns = value_in(text, "user_usec") * NS_PER_US;
	stats->cpu.kernel_ns = value_in(text, "system_usec") * NS_PER_US;
	stats->cpu.periods = value_in(text, "nr_periods");
	stats->cpu.throttled_periods = value_in(text, "nr_throttled");
	stats->cpu.throttled_ns = value_in(text, "throttled_usec") * NS_PER_US;
}

static void cpuacct_v1(int dir, struct cgroup_stats *stats)
{
	if (cgroup_file_read_number(dir, "cpuacct.usage", &stats->cpu.total_ns) < 0)
		return;
	stats->cpu.present = true;
	stats->cpu.user_ns = number_in(dir, "cpuacct.usage_user");
	stats->cpu.kernel_ns = number_in(dir, "cpuacct.usage_sys");
}

static void cpu_v1(int dir, struct cgroup_stats *stats)
{
	char text[CGROUP_FILE_BYTES];

	if (cgroup_file_read(dir, "cpu.stat", text, sizeof(text)) <= 0)
		return;
	stats->cpu.present = true;
	stats->cpu.periods = value_in(text, "nr_periods");
	stats->cpu.throttled_periods = value_in(text, "nr_throttled");
	stats->cpu.throttled_ns = value_in(text, "throttled_time");
}

/* --- memory -------------------------------------------------------------------------------- */

/* v1 counts swap with memory, v2 apart. No limit stays none. */
static uint64_t with_memory(uint64_t swap, uint64_t memory)
{
	return swap == UINT64_MAX || memory == UINT64_MAX ? UINT64_MAX : swap + memory;
}

static void memory_v2(int dir, struct cgroup_stats *stats)
{
	char events[CGROUP_FILE_BYTES] = "";

	if (cgroup_file_read_number(dir, "memory.current", &stats->memory.usage) < 0)
		return;
	stats->memory.present = true;
	stats->memory.limit = number_in(dir, "memory.max");
	stats->memory.max_usage = number_in(dir, "memory.peak");
	stats->memory.swap_usage =
		with_memory(number_in(dir, "memory.swap.current"), stats->memory.usage);
	stats->memory.swap_limit =
		with_memory(number_in(dir, "memory.swap.max"), stats->memory.limit);
	(void)cgroup_file_read(dir, "memory.events", events, sizeof(events));
	stats->memory.failcnt = value_in(events, "max");
	stats->memory.oom_kills = value_in(events, "oom_kill");
}

static void memory_v1(int dir, struct cgroup_stats *stats)
{
	if (cgroup_file_read_number(dir, "memory.usage_in_bytes", &stats->memory.usage) < 0)
		return;
	stats->memory.present = true;
	stats->memory.limit = number_in(dir, "memory.limit_in_bytes");
	stats->memory.max_usage = number_in(dir, "memory.max_usage_in_bytes");
	stats->memory.failcnt = number_in(dir, "memory.failcnt");
	stats->memory.swap_usage = number_in(dir, "memory.memsw.usage_in_bytes");
	stats->memory.swap_limit = number_in(dir, "memory.memsw.limit_in_bytes");
	stats->memory.kernel_usage = number_in(dir, "memory.kmem.usage_in_bytes");
	(void)cgroup_file_find(dir, "memory.oom_control", "oom_kill", &stats->memory.oom_kills);
}

static void memory_details(int dir, bool v2, struct cgroup_stats *stats)
{
	cleanup_free char *text = malloc(CGROUP_STAT_BYTES);

	if (!text || cgroup_file_read(dir, "memory.stat", text, CGROUP_STAT_BYTES) <= 0)
		return;
	stats->memory.cache = value_in(text, v2 ? "file" : "total_cache");
	stats->memory.anon = value_in(text, v2 ? "anon" : "total_rss");
	if (v2)
		stats->memory.kernel_usage = value_in(text, "kernel");
	stats->memory_stat = TAKE_PTR(text);
}

/* --- processes and I/O --------------------------------------------------------------------- */

static void pids_both(int dir, struct cgroup_stats *stats)
{
	if (cgroup_file_read_number(dir, "pids.current", &stats->pids.current) < 0)
		return;
	stats->pids.present = true;
	stats->pids.limit = number_in(dir, "pids.max");
	if (stats->pids.limit == UINT64_MAX)
		stats->pids.limit = 0;
}

/* The sum over all devices of the numbers behind `key`, which stand somewhere in each line. */
static uint64_t sum_of(const char *text, const char *key)
{
	uint64_t sum = 0, value;
	char *end;

	for (text = strstr(text, key); text; text = strstr(text, key)) {
		text += strlen(key);
		if (number_take(text, &end, &value))
			sum += value;
	}
	return sum;
}

static void io_v2(int dir, char *text, struct cgroup_stats *stats)
{
	if (cgroup_file_read(dir, "io.stat", text, CGROUP_STAT_BYTES) < 0)
		return;
	stats->io.present = true;
	stats->io.read_bytes = sum_of(text, " rbytes=");
	stats->io.write_bytes = sum_of(text, " wbytes=");
	stats->io.read_ops = sum_of(text, " rios=");
	stats->io.write_ops = sum_of(text, " wios=");
}

static void io_v1(int dir, char *text, struct cgroup_stats *stats)
{
	if (cgroup_file_read(dir, "blkio.throttle.io_service_bytes_recursive", text,
			     CGROUP_STAT_BYTES) < 0)
		return;
	stats->io.present = true;
	stats->io.read_bytes = sum_of(text, " Read ");
	stats->io.write_bytes = sum_of(text, " Write ");
	if (cgroup_file_read(dir, "blkio.throttle.io_serviced_recursive", text,
			     CGROUP_STAT_BYTES) < 0)
		return;
	stats->io.read_ops = sum_of(text, " Read ");
	stats->io.write_ops = sum_of(text, " Write ");
}

/* --- all ----------------------------------------------------------------------------------- */

static void collect_cpu(const struct cgroup *cgroup, struct cgroup_stats *stats)
{
	const struct cgroup_hierarchy *cpu = cgroup_home(cgroup, CGROUP_CPU);
	const struct cgroup_hierarchy *cpuacct = cgroup_home(cgroup, CGROUP_CPUACCT);

	if (cpu && cpu->v2)
		cpu_v2(cpu->dir, stats);
	else if (cpu)
		cpu_v1(cpu->dir, stats);
	if (cpuacct && !cpuacct->v2)
		cpuacct_v1(cpuacct->dir, stats);
}

static void collect_memory(const struct cgroup *cgroup, struct cgroup_stats *stats)
{
	const struct cgroup_hierarchy *memory = cgroup_home(cgroup, CGROUP_MEMORY);

	if (!memory)
		return;
	if (memory->v2)
		memory_v2(memory->dir, stats);
	else
		memory_v1(memory->dir, stats);
	if (stats->memory.present)
		memory_details(memory->dir, memory->v2, stats);
}

static int collect_io(const struct cgroup *cgroup, struct cgroup_stats *stats, struct err *err)
{
	const struct cgroup_hierarchy *io = cgroup_home(cgroup, CGROUP_IO);
	cleanup_free char *text = malloc(CGROUP_STAT_BYTES);

	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	if (io && io->v2)
		io_v2(io->dir, text, stats);
	else if (io)
		io_v1(io->dir, text, stats);
	return 0;
}

int cgroup_stats(struct cgroup *cgroup, struct cgroup_stats *ret_stats, struct err *err)
{
	const struct cgroup_hierarchy *pids = cgroup_home(cgroup, CGROUP_PIDS);
	struct cgroup_stats stats = {0};
	int r = collect_io(cgroup, &stats, err);

	if (r < 0)
		return r;
	collect_cpu(cgroup, &stats);
	collect_memory(cgroup, &stats);
	if (pids)
		pids_both(pids->dir, &stats);
	*ret_stats = stats;
	return 0;
}
