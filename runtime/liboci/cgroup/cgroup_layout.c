/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hierarchies this machine has.
 *
 * Found by the types of the file systems at the places where every distribution mounts them: one
 * system call on a v2 machine. /proc/self/mountinfo would tell more and cost more the more mounts,
 * that is, containers, a machine has.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"

#define BIT(controller) (1u << CGROUP_##controller)

/* Folders with several controllers come first: where there is one, the single names are links to
 * it, and all that they would add has been found already. */
static const struct cgroup_hierarchy v1_hierarchies[] = {
	{.mount = "/cpu,cpuacct", .controllers = BIT(CPU) | BIT(CPUACCT)},
	{.mount = "/cpuacct,cpu", .controllers = BIT(CPU) | BIT(CPUACCT)},
	{.mount = "/net_cls,net_prio", .controllers = BIT(NET_CLS) | BIT(NET_PRIO)},
	{.mount = "/net_prio,net_cls", .controllers = BIT(NET_CLS) | BIT(NET_PRIO)},
	{.mount = "/cpu", .controllers = BIT(CPU)},
	{.mount = "/cpuacct", .controllers = BIT(CPUACCT)},
	{.mount = "/cpuset", .controllers = BIT(CPUSET)},
	{.mount = "/memory", .controllers = BIT(MEMORY)},
	{.mount = "/pids", .controllers = BIT(PIDS)},
	{.mount = "/blkio", .controllers = BIT(IO)},
	{.mount = "/devices", .controllers = BIT(DEVICES)},
	{.mount = "/freezer", .controllers = BIT(FREEZER)},
	{.mount = "/hugetlb", .controllers = BIT(HUGETLB)},
	{.mount = "/net_cls", .controllers = BIT(NET_CLS)},
	{.mount = "/net_prio", .controllers = BIT(NET_PRIO)},
	{.mount = "/perf_event", .controllers = BIT(PERF_EVENT)},
	{.mount = "/rdma", .controllers = BIT(RDMA)},
	{.mount = "/misc", .controllers = BIT(MISC)},
	{.mount = "/systemd", .controllers = BIT(NAMED)},
};

static const struct cgroup_hierarchy unified_hierarchies[] = {
	{.mount = "/unified", .v2 = true},
	{.mount = "", .v2 = true},
};

static bool has_type(const struct cgroup_hierarchy *hierarchy)
{
	char folder[64];
	struct statfs fs;

	return cgroup_folder(folder, sizeof(folder), hierarchy, "") == 0 &&
	       statfs(folder, &fs) == 0 &&
	       fs.f_type == (hierarchy->v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

static bool add_if_there(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
	struct cgroup_hierarchy *added = &cgroup->hierarchies[cgroup->hierarchy_count];

	if (cgroup->hierarchy_count == CGROUP_HIERARCHY_COUNT || !has_type(hierarchy))
		return false;
	*added = *hierarchy;
	added->dir = -1;
	cgroup->hierarchy_count++;
	return true;
}

void cgroup_detect(struct cgroup *cgroup)
{
	uint32_t found = 0;

	cgroup->hierarchy_count = 0;
	if (add_if_there(cgroup, &unified_hierarchies[1]))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(v1_hierarchies); i++) {
		const struct cgroup_hierarchy *candidate = &v1_hierarchies[i];

		if ((candidate->controllers & ~found) && add_if_there(cgroup, candidate))
			found |= candidate->controllers;
	}
	(void)add_if_there(cgroup, &unified_hierarchies[0]);
}

bool cgroup_layout_is_v2(const struct cgroup *cgroup)
{
	return cgroup->hierarchy_count && !*cgroup->hierarchies[0].mount;
}

const char *cgroup_layout(void)
{
	struct cgroup cgroup = {0};

	cgroup_detect(&cgroup);
	if (cgroup.hierarchy_count == 0)
		return "none";
	if (cgroup_layout_is_v2(&cgroup))
		return "v2";
	return cgroup_unified(&cgroup) ? "hybrid" : "v1";
}

int cgroup_folder(char *text, size_t bytes, const struct cgroup_hierarchy *hierarchy,
		  const char *path)
{
	int n = snprintf(text, bytes, CGROUP_ROOT "%s%s", hierarchy->mount, path);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

const struct cgroup_hierarchy *cgroup_unified(const struct cgroup *cgroup)
{
	const struct cgroup_hierarchy *last;

	if (cgroup->hierarchy_count == 0)
		return NULL;
	last = &cgroup->hierarchies[cgroup->hierarchy_count - 1];
	return last->v2 ? last : NULL;
}

const struct cgroup_hierarchy *cgroup_mount(const struct cgroup *cgroup,
					    enum cgroup_controller controller)
{
	for (size_t i = 0; i < cgroup->hierarchy_count; i++)
		if (cgroup->hierarchies[i].controllers & (1u << controller))
			return &cgroup->hierarchies[i];
	return cgroup_unified(cgroup);
}

const struct cgroup_hierarchy *cgroup_home(const struct cgroup *cgroup,
					   enum cgroup_controller controller)
{
	const struct cgroup_hierarchy *hierarchy = cgroup_mount(cgroup, controller);

	return hierarchy && hierarchy->dir >= 0 ? hierarchy : NULL;
}
