/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of the type "cgroup": the container's view of its control groups.
 *
 * cgroup v2 is one file system. Version 1 is a tmpfs with one folder for each hierarchy, as on the
 * host, "cpu,cpuacct" with the links "cpu" and "cpuacct" beside it where controllers share one.
 * With a cgroup namespace the kernel's own file system shows the part that is ours; without one,
 * the container's own folder of the host's mount is bound, and nothing above it (CVE-2023-25809).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum {
	MOST_CGROUP_BYTES = 16384,
	MOST_HIERARCHIES = 64,
};

/* A line of /proc/self/cgroup: "4:cpu,cpuacct:/path", "1:name=systemd:/path", "0::/path". */
struct hierarchy {
	char *controllers, *path;
};

static int read_own_cgroups(char text[MOST_CGROUP_BYTES], struct err *err)
{
	cleanup_fd int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		n = read(fd, text + length, MOST_CGROUP_BYTES - 1 - length);
		length += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return err_set(err, -errno, "cannot read /proc/self/cgroup: %s", strerror(errno));
	if (length == MOST_CGROUP_BYTES - 1)
		return err_set(err, -EFBIG, "/proc/self/cgroup is too large");
	text[length] = '\0';
	return 0;
}

/* Takes the line that `*text` begins with apart, in place; false at the end. */
static bool next_hierarchy(char **text, struct hierarchy *ret)
{
	char *line = strsep(text, "\n");

	if (!line || !strsep(&line, ":") || !line)
		return false;
	ret->controllers = strsep(&line, ":");
	ret->path = line;
	return line != NULL && *line == '/';
}

/* Above the cgroup namespace's own: nothing that could be shown. */
static bool is_outside(const char *path)
{
	return strncmp(path, "/..", 3) == 0;
}

static bool is_version_2(void)
{
	struct statfs fs;

	return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* --- version 2 ------------------------------------------------------------------------------- */

static int bind_own_version_2(const struct mount_job *job, struct err *err)
{
	char text[MOST_CGROUP_BYTES], path[PATH_MAX], *rest = text;
	struct hierarchy hierarchy;
	int r = read_own_cgroups(text, err);

	if (r < 0)
		return r;
	while (next_hierarchy(&rest, &hierarchy)) {
		if (*hierarchy.controllers || is_outside(hierarchy.path))
			continue;
		if (snprintf(path, sizeof(path), CGROUP_ROOT "%s", hierarchy.path) >=
		    (int)sizeof(path))
			return err_set(err, -ENAMETOOLONG, "the cgroup's path is too long");
		return mount_bind_path(job, path, err);
	}
	return err_set(err, -ENOENT, "this process has no cgroup that could be shown");
}

static int mount_version_2(const struct mount_job *job, struct err *err)
{
	struct filesystem filesystem = filesystem_of_mount(job);
	cleanup_fd int target_fd = -1, tree_fd = -1;
	int r;

	filesystem.type = "cgroup2";
	r = filesystem_new(&filesystem, &tree_fd, err);
	/* In a user namespace that has no cgroup namespace of its own. */
	if ((r == -EPERM || r == -EBUSY) &&
	    !job->rootfs->spec->linux.namespaces[OCI_NS_CGROUP].present)
		return bind_own_version_2(job, err);
	if (r < 0)
		return r;
	r = mount_target(job, PATH_FOLDER, tree_fd, &target_fd, err);
	return r < 0 ? r : mount_attach(job, tree_fd, target_fd, err);
}

/* --- version 1 ------------------------------------------------------------------------------- */

static int attach_in(int folder_fd, const char *name, int tree_fd)
{
	cleanup_fd int target_fd = -1;

	if (mkdirat(folder_fd, name, 0755) < 0)
		return -errno;
	target_fd = openat(folder_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return target_fd < 0 ? -errno : tree_attach(tree_fd, target_fd);
}

/* "cpu,cpuacct" is also reached by the name of each. */
static int link_controllers(int folder_fd, const char *controllers)
{
	char text[NAME_MAX + 1], *rest = text, *name;

	if (!strchr(controllers, ','))
		return 0;
	(void)snprintf(text, sizeof(text), "%s", controllers);
	while ((name = strsep(&rest, ",")))
		if (symlinkat(controllers, folder_fd, name) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

static bool is_named(const char *controllers)
{
	return strncmp(controllers, "name=", 5) == 0;
}

static int own_tree(const struct mount_job *job, const struct hierarchy *hierarchy,
		    const char *host_path, int *ret_fd, struct err *err)
{
	char path[PATH_MAX], data[NAME_MAX + 8];
	struct filesystem filesystem = filesystem_of_mount(job);

	if (job->rootfs->spec->linux.namespaces[OCI_NS_CGROUP].present) {
		(void)snprintf(data, sizeof(data), "%s%s",
			       is_named(hierarchy->controllers) ? "none," : "",
			       hierarchy->controllers);
		filesystem.data = data;
		filesystem.mount_label = NULL;
		return filesystem_new(&filesystem, ret_fd, err);
	}
	if (snprintf(path, sizeof(path), "%s%s", host_path, hierarchy->path) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "the cgroup's path is too long");
	int r = tree_clone(AT_FDCWD, path, 0, ret_fd);

	if (r == 0)
		r = tree_set_attributes(*ret_fd, job->mount, 0);
	return r < 0 ? err_set(err, r, "cannot bind '%s': %s", path, strerror(-r)) : 0;
}

static int mount_hierarchy(const struct mount_job *job, int folder_fd,
			   const struct hierarchy *hierarchy, struct err *err)
{
	const char *name = hierarchy->controllers + (is_named(hierarchy->controllers) ? 5 : 0);
	char host_path[PATH_MAX];
	cleanup_fd int tree_fd = -1;
	struct statfs fs;
	int r;

	/* A hierarchy that the host does not show, the container need not see either; nor the one
	 * of version 2 beside those of version 1. */
	if (!*name || strlen(name) > NAME_MAX || strchr(name, '/') || is_outside(hierarchy->path))
		return 0;
	(void)snprintf(host_path, sizeof(host_path), CGROUP_ROOT "/%s", name);
	if (statfs(host_path, &fs) < 0 || fs.f_type != CGROUP_SUPER_MAGIC)
		return 0;
	r = own_tree(job, hierarchy, host_path, &tree_fd, err);
	if (r < 0)
		return r;
	(void)((r = attach_in(folder_fd, name, tree_fd)) ||
	       (r = link_controllers(folder_fd, name)));
	return r < 0 ? err_set(err, r, "cannot mount the hierarchy '%s': %s", name, strerror(-r))
		     : 0;
}

static int mount_hierarchies(const struct mount_job *job, int folder_fd, struct err *err)
{
	char text[MOST_CGROUP_BYTES], *rest = text;
	struct hierarchy hierarchy;
	int r = read_own_cgroups(text, err);

	for (int i = 0; r == 0 && i < MOST_HIERARCHIES && next_hierarchy(&rest, &hierarchy); i++)
		r = mount_hierarchy(job, folder_fd, &hierarchy, err);
	return r;
}

static int mount_version_1(const struct mount_job *job, struct err *err)
{
	const struct filesystem filesystem = {
		.type = "tmpfs",
		.source = "tmpfs",
		.data = "mode=755",
		.mount_label = job->rootfs->spec->linux.mount_label,
		.attributes = filesystem_of_mount(job).attributes & ~(uint64_t)MOUNT_ATTR_RDONLY,
	};
	uint64_t later = filesystem_of_mount(job).attributes & MOUNT_ATTR_RDONLY;
	cleanup_fd int target_fd = -1, tree_fd = -1;
	int r = mount_target(job, PATH_FOLDER, -1, &target_fd, err);

	if (r < 0)
		return r;
	r = filesystem_new(&filesystem, &tree_fd, err);
	/* First attached, then filled: nothing can be mounted below a detached mount. */
	if (r == 0)
		r = mount_attach(job, tree_fd, target_fd, err);
	if (r == 0)
		r = mount_hierarchies(job, tree_fd, err);
	if (r < 0)
		return r;
	r = tree_set(tree_fd, 0, later, 0);
	return r < 0 ? err_set(err, r, "cannot make it read-only: %s", strerror(-r)) : 0;
}

int mount_cgroup(const struct mount_job *job, struct err *err)
{
	return is_version_2() ? mount_version_2(job, err) : mount_version_1(job, err);
}
