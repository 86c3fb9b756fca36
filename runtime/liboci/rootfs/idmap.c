/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of idmapped mounts.
 *
 * The kernel takes a mapping from a user namespace, so one is made with the mount's mapping, by a
 * child process that does nothing but hold it until it is open. The mount itself belongs to the
 * host: only the runtime's own process may give it a mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "rootfs/rootfs_priv.h"

enum {
	MOST_MAPPINGS = 340, /* the kernel's limit */
	MAPPING_BYTES = 36,  /* three numbers of 32 bits and what is between them */
};

static pid_t start_holder(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER };
	pid_t parent = getpid();
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid != 0)
		return pid < 0 ? -errno : (pid_t)pid;
	/* No exit signal: the caller's SIGCHLD is not ours to cause. It must not outlive us. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	for (;;)
		(void)pause();
}

static void end_holder(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static int write_mappings(pid_t pid, const char *file, const struct oci_id_mappings *mappings)
{
	char path[64], text[MOST_MAPPINGS * MAPPING_BYTES];
	cleanup_fd int fd = -1;
	size_t length = 0;

	if (mappings->count > MOST_MAPPINGS)
		return -E2BIG;
	for (size_t i = 0; i < mappings->count; i++) {
		const struct oci_id_mapping *mapping = &mappings->items[i];

		length += (size_t)snprintf(text + length, sizeof(text) - length, "%u %u %u\n",
					   mapping->container_id, mapping->host_id, mapping->size);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : file_write_all(fd, text, length);
}

static int open_user_namespace(pid_t pid, int *ret_fd)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int user_namespace_new(const struct oci_id_mappings *uids,
			      const struct oci_id_mappings *gids, int *ret_fd, struct err *err)
{
	pid_t pid = start_holder();
	int r;

	if (pid < 0)
		return err_set(err, pid, "cannot make a user namespace: %s", strerror(-pid));
	r = write_mappings(pid, "uid_map", uids);
	if (r < 0)
		err_set(err, r, "uidMappings: %s", strerror(-r));
	else if ((r = write_mappings(pid, "gid_map", gids)) < 0)
		err_set(err, r, "gidMappings: %s", strerror(-r));
	else if ((r = open_user_namespace(pid, ret_fd)) < 0)
		err_set(err, r, "cannot open a user namespace: %s", strerror(-r));
	end_holder(pid);
	return r;
}

static int idmap_tree(int tree_fd, const struct oci_mount *mount, int namespace_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
				   .userns_fd = (uint64_t)namespace_fd };
	unsigned int flags = AT_EMPTY_PATH | (mount->idmap_recursive ? AT_RECURSIVE : 0);

	return mount_setattr(tree_fd, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* Without a mapping of its own, a mount has the container's. */
static int idmap_one(const struct rootfs *rootfs, const struct oci_mount *mount, int *ret_fd,
		     struct err *err)
{
	const struct oci_linux *linux_part = &rootfs->spec->linux;
	bool own = mount->uid_mappings.count > 0 || mount->gid_mappings.count > 0;
	const struct oci_id_mappings *uids = own ? &mount->uid_mappings : &linux_part->uid_mappings;
	const struct oci_id_mappings *gids = own ? &mount->gid_mappings : &linux_part->gid_mappings;
	cleanup_fd int namespace_fd = -1, tree_fd = -1;
	char source[PATH_MAX];
	int r = mount_source_path(rootfs, mount, source, err);

	if (r < 0)
		return r;
	if (uids->count == 0 || gids->count == 0)
		return err_set(err, -EINVAL, "idmap: needs uidMappings and gidMappings");
	r = user_namespace_new(uids, gids, &namespace_fd, err);
	if (r < 0)
		return r;
	r = tree_clone(AT_FDCWD, source, mount->recursive ? AT_RECURSIVE : 0, &tree_fd);
	if (r < 0)
		return err_set(err, r, "source: cannot bind '%s': %s", source, strerror(-r));
	r = idmap_tree(tree_fd, mount, namespace_fd);
	if (r < 0)
		return err_set(err, r, "idmap: the file system of '%s' cannot be mapped: %s",
			       source, strerror(-r));
	*ret_fd = TAKE_FD(tree_fd);
	return 0;
}

static bool wants_idmap(const struct oci_mount *mount)
{
	return mount->idmap || mount->idmap_recursive || mount->uid_mappings.count > 0 ||
	       mount->gid_mappings.count > 0;
}

static int idmap_list_new(struct rootfs *rootfs, struct err *err)
{
	size_t count = rootfs->spec->mount_count;

	if (rootfs->idmapped)
		return 0;
	rootfs->idmapped = calloc(count, sizeof(*rootfs->idmapped));
	if (!rootfs->idmapped)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		rootfs->idmapped[i] = -1;
	return 0;
}

int idmap_open(struct rootfs *rootfs, struct err *err)
{
	const struct oci_spec *spec = rootfs->spec;

	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct oci_mount *mount = &spec->mounts[i];
		int r;

		if (!wants_idmap(mount))
			continue;
		r = mount_is_bind(mount) ? idmap_list_new(rootfs, err)
					 : err_set(err, -EINVAL, "idmap: only for bind mounts");
		if (r == 0)
			r = idmap_one(rootfs, mount, &rootfs->idmapped[i], err);
		if (r < 0)
			return err_prefix(err, r, "%s", mount->path);
	}
	return 0;
}
