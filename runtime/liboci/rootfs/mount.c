/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of "mounts", in their order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "rootfs/rootfs_priv.h"

bool mount_is_bind(const struct oci_mount *mount)
{
	return mount->bind || mount->recursive || (mount->type && strcmp(mount->type, "bind") == 0);
}

/* --- binds ----------------------------------------------------------------------------------- */

int mount_source_path(const struct rootfs *rootfs, const struct oci_mount *mount,
		      char ret_path[PATH_MAX], struct err *err)
{
	const char *source = mount->source;
	int n;

	if (!source || !*source)
		return err_set(err, -EINVAL, "source: missing");
	n = *source == '/' ? snprintf(ret_path, PATH_MAX, "%s", source)
			   : snprintf(ret_path, PATH_MAX, "%s/%s", rootfs->bundle, source);
	return n < 0 || n >= PATH_MAX ? err_set(err, -ENAMETOOLONG, "source: too long") : 0;
}

static int fail_clone(const struct mount_job *job, const char *source, int r, struct err *err)
{
	bool user = job->rootfs->config.new_user_namespace;

	if (r == -EACCES && user)
		return err_set(err, r, "source: the container's root may not reach '%s'", source);
	if (r == -EINVAL && user && !job->mount->recursive)
		return err_set(err, r,
			       "source: '%s' has mounts below it, which a user namespace can only "
			       "bind with \"rbind\"",
			       source);
	return err_set(err, r, "source: cannot bind '%s': %s", source, strerror(-r));
}

/* Takes `tree_fd`. */
static int bind_tree(const struct mount_job *job, int tree_fd_taken, struct err *err)
{
	cleanup_fd int tree_fd = tree_fd_taken, target_fd = -1;
	struct stat st;
	int r;

	if (fd_stat(tree_fd, &st) < 0)
		return err_set(err, -errno, "source: %s", strerror(errno));
	r = mount_target(job, S_ISDIR(st.st_mode) ? PATH_FOLDER : PATH_FILE, tree_fd, &target_fd,
			 err);
	if (r < 0)
		return r;
	r = tree_set_attributes(tree_fd, job->mount, 0);
	if (r < 0)
		return err_set(err, r, "options: %s", strerror(-r));
	return mount_attach(job, tree_fd, target_fd, err);
}

int mount_bind_path(const struct mount_job *job, const char *source, struct err *err)
{
	int tree_fd = -1;
	int r = tree_clone(AT_FDCWD, source, job->mount->recursive ? AT_RECURSIVE : 0, &tree_fd);

	return r < 0 ? fail_clone(job, source, r, err) : bind_tree(job, tree_fd, err);
}

/* "copy-symlink" makes a source that is a link a link of the container. 1: the source is none. */
static int copy_link(const struct mount_job *job, const char *source, struct err *err)
{
	cleanup_fd int folder_fd = -1;
	char text[PATH_MAX], there[PATH_MAX];
	const char *name;
	ssize_t n = readlink(source, text, sizeof(text) - 1), old;
	int r;

	if (n < 0)
		return 1;
	text[n] = '\0';
	r = path_in_root_parent(job->rootfs->root_fd, job->destination, &folder_fd, &name);
	if (r < 0)
		return err_set(err, r, "cannot make '%s': %s", job->destination, strerror(-r));
	if (symlinkat(text, folder_fd, name) == 0)
		return 0;
	r = -errno;
	old = readlinkat(folder_fd, name, there, sizeof(there));
	if (r == -EEXIST && old == n && memcmp(there, text, (size_t)n) == 0)
		return 0;
	return err_set(err, r, "cannot make the link '%s': %s", job->destination, strerror(-r));
}

static int mount_bind(const struct mount_job *job, struct err *err)
{
	const int *idmapped = job->rootfs->idmapped;
	char source[PATH_MAX];
	int r = mount_source_path(job->rootfs, job->mount, source, err);

	if (r < 0)
		return r;
	if (job->mount->copy_symlink) {
		r = copy_link(job, source, err);
		if (r <= 0)
			return r;
	}
	if (idmapped && idmapped[job->index] >= 0)
		return bind_tree(job, TAKE_FD(job->rootfs->idmapped[job->index]), err);
	return mount_bind_path(job, source, err);
}

/* --- what is mounted already ----------------------------------------------------------------- */

/* An entry with a propagation and neither type nor source: for what is there. */
static int mount_propagate(const struct mount_job *job, struct err *err)
{
	cleanup_fd int target_fd = -1;
	int r = path_in_root_open(job->rootfs->root_fd, job->destination, 0, &target_fd);

	if (r == 0)
		r = tree_set_propagation(target_fd, job->mount->propagation);
	return r < 0 ? err_set(err, r, "cannot set the propagation of '%s': %s", job->destination,
			       r == -EINVAL ? "it is no mount point" : strerror(-r))
		     : 0;
}

static int mount_remount(const struct mount_job *job, struct err *err)
{
	cleanup_fd int target_fd = -1;
	int r = path_in_root_open(job->rootfs->root_fd, job->destination, 0, &target_fd);

	if (r == 0)
		r = tree_set_attributes(target_fd, job->mount, 0);
	if (r < 0)
		return err_set(err, r, "cannot remount '%s': %s", job->destination,
			       r == -EINVAL ? "it is no mount point" : strerror(-r));
	if (!mount_is_bind(job->mount))
		r = filesystem_reconfigure(target_fd, job->mount, err);
	return r < 0 || !job->mount->propagation ? r : mount_propagate(job, err);
}

/* --- new file systems ------------------------------------------------------------------------ */

/* What of its attributes has to wait until something is in it. */
static uint64_t not_yet(const struct mount_job *job)
{
	if (job->mount->tmpcopyup || strcmp(job->destination, "/dev") == 0)
		return MOUNT_ATTR_RDONLY;
	return 0;
}

static int open_folder(int path_fd, int *ret_fd)
{
	int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int fill_from(int target_fd, int tree_fd, struct err *err)
{
	cleanup_fd int from_fd = -1, to_fd = -1;
	int r = open_folder(target_fd, &from_fd);

	if (r == 0)
		r = open_folder(tree_fd, &to_fd);
	return r < 0 ? err_set(err, r, "tmpcopyup: %s", strerror(-r))
		     : copy_up(from_fd, to_fd, err);
}

/* A tmpfs looks like the folder that it covers, unless the config gives a mode. */
static int folder_mode(int target_fd, char ret_mode[8])
{
	struct stat st;

	if (fd_stat(target_fd, &st) < 0)
		return -errno;
	(void)snprintf(ret_mode, 8, "%o", (unsigned int)st.st_mode & 07777);
	return 0;
}

static int fail_filesystem(const struct mount_job *job, int r, struct err *err)
{
	const struct rootfs_config *config = &job->rootfs->config;
	const char *type = job->mount->type;

	if (r != -EPERM || !config->new_user_namespace)
		return r;
	if (strcmp(type, "sysfs") == 0 && !config->new_network_namespace)
		return err_set(err, r,
			       "sysfs: a user namespace may only mount it with a network "
			       "namespace of its own");
	if (strcmp(type, "proc") == 0)
		return err_set(err, r,
			       "proc: a user namespace may only mount it with a PID "
			       "namespace of its own, and where the host's is not masked");
	return err_prefix(err, r, "not permitted in this user namespace");
}

static int mount_filesystem(const struct mount_job *job, struct err *err)
{
	struct filesystem filesystem = filesystem_of_mount(job);
	cleanup_fd int target_fd = -1, tree_fd = -1;
	uint64_t later = filesystem.attributes & not_yet(job);
	char mode[8];
	int r;

	if (!*filesystem.type)
		return err_set(err, -EINVAL, "type: missing");
	r = mount_target(job, PATH_FOLDER, -1, &target_fd, err);
	if (r < 0)
		return r;
	if (strcmp(filesystem.type, "tmpfs") == 0 &&
	    !filesystem_has_option(filesystem.data, "mode") && folder_mode(target_fd, mode) == 0)
		filesystem.mode = mode;
	filesystem.attributes &= ~later;
	if (later)
		filesystem.sb_flags &= ~(unsigned long)MS_RDONLY;
	r = filesystem_new(&filesystem, &tree_fd, err);
	if (r < 0)
		return fail_filesystem(job, r, err);
	if (job->mount->tmpcopyup)
		r = fill_from(target_fd, tree_fd, err);
	/* /dev stays writable until the root is entered. */
	if (r == 0 && later && strcmp(job->destination, "/dev") == 0)
		job->rootfs->readonly_dev = true;
	else if (r == 0 && later)
		r = tree_set(tree_fd, 0, later, 0);
	return r < 0 ? r : mount_attach(job, tree_fd, target_fd, err);
}

/* --- all ------------------------------------------------------------------------------------- */

static int mount_one(const struct mount_job *job, struct err *err)
{
	const struct oci_mount *mount = job->mount;

	if (mount->remount)
		return mount_remount(job, err);
	if (mount_is_bind(mount))
		return mount_bind(job, err);
	if (!mount->type && mount->propagation)
		return mount_propagate(job, err);
	if (mount->type && strcmp(mount->type, "cgroup") == 0)
		return mount_cgroup(job, err);
	return mount_filesystem(job, err);
}

int mount_all(struct rootfs *rootfs, struct err *err)
{
	const struct oci_spec *spec = rootfs->spec;
	struct mount_job job = { .rootfs = rootfs };

	for (job.index = 0; job.index < spec->mount_count; job.index++) {
		const char *path = spec->mounts[job.index].path;
		int r;

		job.mount = &spec->mounts[job.index];
		r = path_clean(job.mount->destination, job.destination);
		if (r < 0)
			return err_set(err, r, "%s.destination: too long", path);
		r = mount_one(&job, err);
		if (r < 0)
			return err_prefix(err, r, "%s", path);
	}
	return 0;
}
