/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup's folders: made, found again, given the controllers that limits need.
 *
 * The usual case, a folder below a parent that exists, is one mkdir and one open for each
 * hierarchy. Controllers of v2 are enabled on the way down when the parents are made, and again
 * only when a file that a limit wants is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

enum { FOLDER_BYTES = CGROUP_PATH_BYTES + 64 };

/* Enabled in parents that we make: without them nothing could be told of a container's memory, its
 * want of it, or its processes. (Of CPU time all cgroups know.) Others only where a limit asks for
 * them, since each adds to the cost of making and removing every cgroup below. */
static const uint32_t usual_controllers = 1u << CGROUP_MEMORY | 1u << CGROUP_PIDS;

static const struct {
	const char *v1, *v2; /* NULL: v2 has none, or has it without a controller */
} controller_names[CGROUP_CONTROLLER_COUNT] = {
	[CGROUP_CPU] = {"cpu", "cpu"},
	[CGROUP_CPUACCT] = {"cpuacct", NULL},
	[CGROUP_CPUSET] = {"cpuset", "cpuset"},
	[CGROUP_MEMORY] = {"memory", "memory"},
	[CGROUP_PIDS] = {"pids", "pids"},
	[CGROUP_IO] = {"blkio", "io"},
	[CGROUP_DEVICES] = {"devices", NULL},
	[CGROUP_FREEZER] = {"freezer", NULL},
	[CGROUP_HUGETLB] = {"hugetlb", "hugetlb"},
	[CGROUP_NET_CLS] = {"net_cls", NULL},
	[CGROUP_NET_PRIO] = {"net_prio", NULL},
	[CGROUP_PERF_EVENT] = {"perf_event", NULL},
	[CGROUP_RDMA] = {"rdma", "rdma"},
	[CGROUP_MISC] = {"misc", "misc"},
	[CGROUP_NAMED] = {"name=systemd", NULL},
};

const char *cgroup_controller_name(enum cgroup_controller controller, bool v2)
{
	return v2 ? controller_names[controller].v2 : controller_names[controller].v1;
}

/* --- v2: controllers ----------------------------------------------------------------------- */

static void controller_list(char *text, size_t bytes, uint32_t controllers)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
		if (controllers & (1u << i) && controller_names[i].v2)
			used += (size_t)snprintf(text + used, bytes - used, "%s+%s",
						 used ? " " : "", controller_names[i].v2);
}

/* One write is all or nothing, so where it fails each controller is tried for itself. */
static int enable_at(const char *file, uint32_t controllers)
{
	char text[128];
	int last = 0;
	int r;

	controller_list(text, sizeof(text), controllers);
	r = cgroup_file_write(AT_FDCWD, file, text);
	if (r == 0 || !(controllers & (controllers - 1)))
		return r;
	for (uint32_t left = controllers; left; left &= left - 1) {
		controller_list(text, sizeof(text), left & -left);
		r = *text ? cgroup_file_write(AT_FDCWD, file, text) : 0;
		last = r < 0 ? r : last;
	}
	return last;
}

/* A level that refuses may have them already: only the last level decides, but the first failure is
 * the one that explains it. */
int cgroup_enable(const struct cgroup *cgroup, uint32_t controllers)
{
	const struct cgroup_hierarchy *unified = cgroup_unified(cgroup);
	char file[FOLDER_BYTES + 32];
	const char *end = cgroup->path;
	int first = 0;
	int r = 0;

	if (!unified)
		return -ENODEV;
	for (; end; end = strchr(end + 1, '/')) {
		int n = snprintf(file, sizeof(file), CGROUP_ROOT "%s%.*s/cgroup.subtree_control",
				 unified->mount, (int)(end - cgroup->path), cgroup->path);

		if (n < 0 || (size_t)n >= sizeof(file))
			return -ENAMETOOLONG;
		r = enable_at(file, controllers);
		first = first ? first : r;
	}
	return r < 0 ? first : 0;
}

/* --- v1: cpuset ---------------------------------------------------------------------------- */

/* Reads `file` of the cgroup `folder`; where it is empty, writes there what `value` holds, else
 * `value` becomes what it is. */
static int inherit_level(const char *folder, const char *file, char *value)
{
	cleanup_fd int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char own[CGROUP_FILE_BYTES];
	ssize_t n = dir < 0 ? -errno : cgroup_file_read(dir, file, own, sizeof(own));

	if (n < 0)
		return (int)n;
	if (own[0] == '\n' || own[0] == '\0')
		return *value ? cgroup_file_write(dir, file, value) : 0;
	memcpy(value, own, (size_t)n + 1);
	return 0;
}

/* A new cpuset of v1 has no CPU and no memory node, and takes no process until it has: its
 * parent's, which may be as new. */
static int inherit_cpuset(char *folder, size_t root_length, const char *file)
{
	char value[CGROUP_FILE_BYTES] = "";
	int r = 0;

	for (char *end = folder + root_length; r == 0 && end; end = strchr(end + 1, '/')) {
		char kept = *end;

		*end = '\0';
		r = inherit_level(folder, file, value);
		*end = kept;
	}
	return r == 0 ? inherit_level(folder, file, value) : r;
}

static int inherit_cpusets(char *folder, size_t root_length)
{
	int r = inherit_cpuset(folder, root_length, "cpuset.cpus");

	return r < 0 ? r : inherit_cpuset(folder, root_length, "cpuset.mems");
}

/* --- folders ------------------------------------------------------------------------------- */

static int make_parents(char *folder, size_t root_length)
{
	for (char *slash = strchr(folder + root_length + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(folder, 0755);
		*slash = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int open_folder(struct cgroup_hierarchy *hierarchy, const char *folder)
{
	hierarchy->dir = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return hierarchy->dir < 0 ? -errno : 0;
}

/* One that a killed runtime has left, or a client has prepared. Frozen, it would stop what enters.
 * `shared`: of a scope, in which a process is by now. */
static int adopt_folder(struct cgroup_hierarchy *hierarchy, const char *folder, bool shared)
{
	int r = open_folder(hierarchy, folder);

	if (r < 0 || shared)
		return r;
	if (cgroup_is_populated(hierarchy)) {
		hierarchy->dir = fd_close(hierarchy->dir);
		return -EEXIST;
	}
	if (hierarchy->v2)
		(void)cgroup_file_write(hierarchy->dir, "cgroup.freeze", "0");
	else if (hierarchy->controllers & (1u << CGROUP_FREEZER))
		(void)cgroup_file_write(hierarchy->dir, "freezer.state", "THAWED");
	return 0;
}

static int make_folder(struct cgroup *cgroup, struct cgroup_hierarchy *hierarchy, bool shared)
{
	size_t root_length = strlen(CGROUP_ROOT) + strlen(hierarchy->mount);
	char folder[FOLDER_BYTES];
	int r = cgroup_folder(folder, sizeof(folder), hierarchy, cgroup->path);

	if (r == 0)
		r = mkdir(folder, 0755) < 0 ? -errno : 0;
	if (r == -ENOENT) {
		r = make_parents(folder, root_length);
		if (r == 0 && hierarchy->v2)
			(void)cgroup_enable(cgroup, usual_controllers);
		if (r == 0)
			r = mkdir(folder, 0755) < 0 ? -errno : 0;
	}
	if (r == -EEXIST) {
		cgroup->fresh = false;
		return adopt_folder(hierarchy, folder, shared);
	}
	hierarchy->made = r == 0;
	if (r == 0 && hierarchy->controllers & (1u << CGROUP_CPUSET))
		r = inherit_cpusets(folder, root_length);
	return r < 0 ? r : open_folder(hierarchy, folder);
}

/* Whether a hierarchy may be left out: somebody without privileges, who has not been given it. A
 * limit that needs it fails later, by its name. */
static bool may_lack(const struct cgroup *cgroup, int r)
{
	return cgroup->rootless && (r == -EACCES || r == -EPERM || r == -EROFS);
}

static int make_folders(struct cgroup *cgroup, bool shared, struct err *err)
{
	size_t made = 0;

	cgroup->fresh = true;
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];
		int r = make_folder(cgroup, hierarchy, shared);

		if (r == -EEXIST)
			return err_set(err, r, "linux.cgroupsPath: the cgroup '%s' has processes",
				       cgroup->path);
		if (r < 0 && !may_lack(cgroup, r))
			return err_set(err, r, "linux.cgroupsPath: cannot make '" CGROUP_ROOT
				       "%s%s': %s", hierarchy->mount, cgroup->path, strerror(-r));
		made += r == 0;
		cgroup->denied = r < 0 ? r : cgroup->denied;
	}
	if (made == 0)
		cgroup->hierarchy_count = 0;
	return 0;
}

int cgroup_make_folders(struct cgroup *cgroup, struct err *err)
{
	return make_folders(cgroup, false, err);
}

int cgroup_make_scope_folders(struct cgroup *cgroup, struct err *err)
{
	return make_folders(cgroup, true, err);
}

bool cgroup_open_folders(struct cgroup *cgroup)
{
	char folder[FOLDER_BYTES];
	bool any = false;

	for (size_t i = 0; cgroup->path && i < cgroup->hierarchy_count; i++) {
		struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];

		if (hierarchy->dir < 0 &&
		    cgroup_folder(folder, sizeof(folder), hierarchy, cgroup->path) == 0)
			(void)open_folder(hierarchy, folder);
		any |= hierarchy->dir >= 0;
	}
	return any;
}

void cgroup_unmake_folders(struct cgroup *cgroup)
{
	char folder[FOLDER_BYTES];

	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];

		if (hierarchy->made &&
		    cgroup_folder(folder, sizeof(folder), hierarchy, cgroup->path) == 0)
			(void)rmdir(folder);
		hierarchy->made = false;
		hierarchy->dir = fd_close(hierarchy->dir);
	}
}
