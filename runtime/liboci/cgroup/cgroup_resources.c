/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources onto a cgroup's files: a table of members.
 *
 * Each row is one member of the specification, with the file of v1 and of v2 and how its value
 * gets there. A row without a file is something that this version of cgroups has not: then the
 * member is an error, by its name, if the config asks for it. Rows that belong together (a limit
 * and its swap, a quota and its period) name one function, which the first of them that is asked
 * for runs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cgroup/cgroup_limits.h"
#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

#define AT(member) offsetof(struct oci_resources, member)
#define NUMBER .kind = LIMIT_NUMBER
#define COUNT .kind = LIMIT_COUNT

/* In the order in which they are written. */
static const struct limit limits[] = {
	{"memory.useHierarchy", CGROUP_MEMORY, .kind = LIMIT_FLAG, .at = AT(memory.use_hierarchy),
	 .v1 = {"memory.use_hierarchy", limit_set_flag}},
	{"memory.limit", CGROUP_MEMORY, NUMBER, .at = AT(memory.limit),
	 .v1 = {"memory.limit_in_bytes", limit_set_memory_v1},
	 .v2 = {"memory.max", limit_set_memory_v2}},
	{"memory.swap", CGROUP_MEMORY, NUMBER, .at = AT(memory.swap),
	 .v1 = {"memory.memsw.limit_in_bytes", limit_set_swap_v1},
	 .v2 = {"memory.swap.max", limit_set_swap_v2}},
	{"memory.reservation", CGROUP_MEMORY, NUMBER, .at = AT(memory.reservation),
	 .v1 = {"memory.soft_limit_in_bytes", limit_set_size},
	 .v2 = {"memory.low", limit_set_size}},
	{"memory.kernel", CGROUP_MEMORY, NUMBER, .at = AT(memory.kernel),
	 .v1 = {"memory.kmem.limit_in_bytes", limit_set_size}},
	{"memory.kernelTCP", CGROUP_MEMORY, NUMBER, .at = AT(memory.kernel_tcp),
	 .v1 = {"memory.kmem.tcp.limit_in_bytes", limit_set_size}},
	{"memory.swappiness", CGROUP_MEMORY, NUMBER, .zero = true, .at = AT(memory.swappiness),
	 .v1 = {"memory.swappiness", limit_set_number}},
	{"memory.disableOOMKiller", CGROUP_MEMORY, .kind = LIMIT_TRUE,
	 .at = AT(memory.disable_oom_killer), .v1 = {"memory.oom_control", limit_set_flag}},
	{"cpu.shares", CGROUP_CPU, NUMBER, .at = AT(cpu.shares),
	 .v1 = {"cpu.shares", limit_set_shares}, .v2 = {"cpu.weight", limit_set_shares}},
	{"cpu.idle", CGROUP_CPU, NUMBER, .zero = true, .at = AT(cpu.idle),
	 .v1 = {"cpu.idle", limit_set_idle}, .v2 = {"cpu.idle", limit_set_idle}},
	{"cpu.realtimePeriod", CGROUP_CPU, NUMBER, .at = AT(cpu.realtime_period),
	 .v1 = {"cpu.rt_period_us", limit_set_number}},
	{"cpu.realtimeRuntime", CGROUP_CPU, NUMBER, .at = AT(cpu.realtime_runtime),
	 .v1 = {"cpu.rt_runtime_us", limit_set_number}},
	{"cpu.period", CGROUP_CPU, NUMBER, .at = AT(cpu.period),
	 .v1 = {"cpu.cfs_period_us", limit_set_bandwidth_v1},
	 .v2 = {"cpu.max", limit_set_bandwidth_v2}},
	{"cpu.quota", CGROUP_CPU, NUMBER, .at = AT(cpu.quota),
	 .v1 = {"cpu.cfs_quota_us", limit_set_bandwidth_v1},
	 .v2 = {"cpu.max", limit_set_bandwidth_v2}},
	{"cpu.burst", CGROUP_CPU, NUMBER, .zero = true, .at = AT(cpu.burst),
	 .v1 = {"cpu.cfs_burst_us", limit_set_bandwidth_v1},
	 .v2 = {"cpu.max.burst", limit_set_bandwidth_v2}},
	{"cpu.cpus", CGROUP_CPUSET, .kind = LIMIT_TEXT, .at = AT(cpu.cpus),
	 .v1 = {"cpuset.cpus", limit_set_text}, .v2 = {"cpuset.cpus", limit_set_text}},
	{"cpu.mems", CGROUP_CPUSET, .kind = LIMIT_TEXT, .at = AT(cpu.mems),
	 .v1 = {"cpuset.mems", limit_set_text}, .v2 = {"cpuset.mems", limit_set_text}},
	{"pids.limit", CGROUP_PIDS, NUMBER, .zero = true, .at = AT(pids_limit),
	 .v1 = {"pids.max", limit_set_pids}, .v2 = {"pids.max", limit_set_pids}},
	{"blockIO.weight", CGROUP_IO, NUMBER, .at = AT(block_io.weight),
	 .v1 = {"blkio.weight", limit_set_io_weight}, .v2 = {"io.weight", limit_set_io_weight}},
	{"blockIO.leafWeight", CGROUP_IO, NUMBER, .at = AT(block_io.leaf_weight),
	 .v1 = {"blkio.leaf_weight", limit_set_number}},
	{"blockIO.weightDevice", CGROUP_IO, COUNT, .at = AT(block_io.weight_device_count),
	 .v1 = {"blkio.weight_device", limit_set_io_weights},
	 .v2 = {"io.weight", limit_set_io_weights}},
	{"blockIO.throttleReadBpsDevice", CGROUP_IO, COUNT, .at = AT(block_io.read_bps.count),
	 .v1 = {"blkio.throttle.read_bps_device", limit_set_throttle},
	 .v2 = {"io.max", limit_set_throttle}, .key = "rbps",
	 .items = AT(block_io.read_bps)},
	{"blockIO.throttleWriteBpsDevice", CGROUP_IO, COUNT, .at = AT(block_io.write_bps.count),
	 .v1 = {"blkio.throttle.write_bps_device", limit_set_throttle},
	 .v2 = {"io.max", limit_set_throttle}, .key = "wbps",
	 .items = AT(block_io.write_bps)},
	{"blockIO.throttleReadIOPSDevice", CGROUP_IO, COUNT, .at = AT(block_io.read_iops.count),
	 .v1 = {"blkio.throttle.read_iops_device", limit_set_throttle},
	 .v2 = {"io.max", limit_set_throttle}, .key = "riops",
	 .items = AT(block_io.read_iops)},
	{"blockIO.throttleWriteIOPSDevice", CGROUP_IO, COUNT, .at = AT(block_io.write_iops.count),
	 .v1 = {"blkio.throttle.write_iops_device", limit_set_throttle},
	 .v2 = {"io.max", limit_set_throttle}, .key = "wiops",
	 .items = AT(block_io.write_iops)},
	{"hugepageLimits", CGROUP_HUGETLB, COUNT, .at = AT(hugepage_count),
	 .v1 = {"limit_in_bytes", limit_set_hugepages}, .v2 = {"max", limit_set_hugepages}},
	{"network.classID", CGROUP_NET_CLS, NUMBER, .at = AT(network.class_id),
	 .v1 = {"net_cls.classid", limit_set_number}},
	{"network.priorities", CGROUP_NET_PRIO, COUNT, .at = AT(network.priority_count),
	 .v1 = {"net_prio.ifpriomap", limit_set_priorities}},
	{"rdma", CGROUP_RDMA, COUNT, .at = AT(rdma_count), .v1 = {"rdma.max", limit_set_rdma},
	 .v2 = {"rdma.max", limit_set_rdma}},
};

static bool is_asked(const struct limit *limit, const struct oci_resources *resources)
{
	const void *member = (const char *)resources + limit->at;
	const struct oci_number *number = member;
	const struct oci_flag *flag = member;
	const char *const *text = member;
	const size_t *count = member;

	switch (limit->kind) {
	case LIMIT_NUMBER:
		/* Clients that leave a limit out write 0. */
		return number->set && (number->value != 0 || limit->zero);
	case LIMIT_FLAG:
		return flag->set;
	case LIMIT_TRUE:
		return flag->set && flag->value;
	case LIMIT_TEXT:
		return *text && **text;
	case LIMIT_COUNT:
		return *count > 0;
	}
	return false;
}

const char *cgroup_resources_asked(const struct oci_resources *resources)
{
	for (size_t i = 0; resources && i < ARRAY_SIZE(limits); i++)
		if (is_asked(&limits[i], resources))
			return limits[i].member;
	return resources && resources->unified.count ? "unified" : NULL;
}

/* The controllers that v2 must enable for these limits. */
static uint32_t needed_controllers(const struct oci_resources *resources)
{
	uint32_t needed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (is_asked(&limits[i], resources))
			needed |= 1u << limits[i].controller;
	for (size_t i = 0; i < resources->unified.count; i++)
		needed |= limit_unified_controller(resources->unified.items[i].name);
	return needed;
}

static int lacks_controller(const struct cgroup *cgroup, const struct limit *limit,
			    struct err *err)
{
	if (cgroup->denied)
		return err_set(err, cgroup->denied,
			       "linux.resources.%s: cannot make the cgroup '%s': %s", limit->member,
			       cgroup->path, strerror(-cgroup->denied));
	return err_set(err, -ENOTSUP,
		       "linux.resources.%s: there is no cgroup with the controller %s",
		       limit->member, cgroup_controller_name(limit->controller, false));
}

static int check_limit(const struct cgroup *cgroup, const struct limit *limit, struct err *err)
{
	const struct cgroup_hierarchy *hierarchy = cgroup_mount(cgroup, limit->controller);

	if (!hierarchy || (hierarchy->v2 && !cgroup_controller_name(limit->controller, true)))
		return lacks_controller(cgroup, limit, err);
	if (hierarchy->v2 && !limit->v2.set)
		return err_set(err, -ENOTSUP, "linux.resources.%s: cgroup v2 has no such limit",
			       limit->member);
	return 0;
}

int cgroup_resources_check(const struct cgroup *cgroup, const struct oci_resources *resources,
			   struct err *err)
{
	int r = 0;

	for (size_t i = 0; resources && i < ARRAY_SIZE(limits) && r == 0; i++)
		if (is_asked(&limits[i], resources))
			r = check_limit(cgroup, &limits[i], err);
	if (r == 0 && resources && resources->unified.count && !cgroup_unified(cgroup))
		r = err_set(err, -ENOTSUP, "linux.resources.unified: there is no cgroup v2 here");
	return r;
}

static int apply_limit(struct setting *setting, const struct cgroup *cgroup,
		       const struct limit *limit)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, limit->controller);
	const struct limit_file *file;

	if (!home)
		return lacks_controller(cgroup, limit, setting->err);
	file = home->v2 ? &limit->v2 : &limit->v1;
	setting->limit = limit;
	setting->dir = home->dir;
	setting->v2 = home->v2;
	setting->file = file->name;
	return file->set(setting);
}

int cgroup_resources_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
			   struct err *err)
{
	struct setting setting = {.cgroup = cgroup, .resources = resources, .err = err};

	int r;

	if (!cgroup_resources_asked(resources))
		return 0;
	r = cgroup_resources_check(cgroup, resources, err);
	if (r < 0)
		return r;
	setting.controllers = needed_controllers(resources);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (is_asked(&limits[i], resources))
			r = apply_limit(&setting, cgroup, &limits[i]);
		if (r < 0)
			return r;
	}
	return limit_set_unified(&setting);
}
