/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind rootfs.h share.
 *
 * A "tree" is an O_PATH descriptor of a mount: detached (of nobody's namespace yet) until it is
 * attached, and the attached mount's root from then on. A mount gets its attributes while it is
 * detached, so that it is never seen without them.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "rootfs/path_in_root.h"
#include "rootfs/rootfs.h"
#include "spec/spec.h"

struct rootfs {
	struct rootfs_config config; /* its strings are borrowed, but for `bundle` */
	const struct oci_spec *spec; /* borrowed */
	char *bundle;                /* owned */
	char *path;                  /* owned: the root as the host has it, absolute */
	int root_fd;                 /* owned: the root's folder; its mount from rootfs_mount on */
	int *idmapped;               /* owned, one per mount: a detached tree or -1; or NULL */
	bool readonly_dev;           /* /dev becomes read-only when everything is in it */
};

/* One entry of "mounts" while it is being mounted. */
struct mount_job {
	struct rootfs *rootfs;
	const struct oci_mount *mount;
	size_t index;
	char destination[PATH_MAX]; /* clean */
};

/* --- tree.c: single system calls and what must be said about them ---------------------------- */

/* A detached copy of what is mounted at `path`; -errno. */
int tree_clone(int dir_fd, const char *path, unsigned int flags, int *ret_tree_fd);
/* Onto an O_PATH descriptor. */
int tree_attach(int tree_fd, int target_fd);
/* `flags`: 0 or AT_RECURSIVE. */
int tree_set(int tree_fd, unsigned int flags, uint64_t set, uint64_t clear);
int tree_set_propagation(int tree_fd, unsigned long propagation);
/* What an entry of "mounts" says about itself, but for the attributes in `not_now`. */
int tree_set_attributes(int tree_fd, const struct oci_mount *mount, uint64_t not_now);

/* Opens, or makes, what `job` is mounted onto. `tree_fd` is what will be mounted there, or -1. */
int mount_target(const struct mount_job *job, enum path_kind kind, int tree_fd, int *ret_fd,
		 struct err *err);
/* Attaches `tree_fd` and applies the propagation that the config wants. */
int mount_attach(const struct mount_job *job, int tree_fd, int target_fd, struct err *err);
/* Refuses a target of ours other than a mount's that is inside a procfs. */
int refuse_proc(int target_fd, const char *path, struct err *err);

/* --- filesystem.c ---------------------------------------------------------------------------- */

struct filesystem {
	const char *type, *source; /* source may be NULL */
	const char *data;          /* options joined by commas, or NULL */
	const char *mount_label;   /* or NULL */
	const char *mode;          /* octal, for a tmpfs whose data has none; or NULL */
	unsigned long sb_flags;    /* MS_* */
	uint64_t attributes;       /* MOUNT_ATTR_* */
	bool map_gids;             /* leave out a gid= that this user namespace does not have */
};

/* A new file system, detached. The message has the kernel's own explanation where it gave one. */
int filesystem_new(const struct filesystem *filesystem, int *ret_tree_fd, struct err *err);
/* New options for the one that is mounted at `target_fd`. */
int filesystem_reconfigure(int target_fd, const struct oci_mount *mount, struct err *err);
/* Whether `data` has an option of this name. */
bool filesystem_has_option(const char *data, const char *name);
/* An entry of "mounts" as a file system, `attributes` and all. */
struct filesystem filesystem_of_mount(const struct mount_job *job);

/* --- the rest, one file each ----------------------------------------------------------------- */

int mount_all(struct rootfs *rootfs, struct err *err); /* mount.c */
bool mount_is_bind(const struct oci_mount *mount);
/* Sources are the host's, and relative ones the bundle's. */
int mount_source_path(const struct rootfs *rootfs, const struct oci_mount *mount,
		      char ret_path[PATH_MAX], struct err *err);
int mount_bind_path(const struct mount_job *job, const char *source, struct err *err);
int mount_cgroup(const struct mount_job *job, struct err *err); /* cgroup_mount.c */

/* Detached, idmapped trees for the mounts that want one (idmap.c). */
int idmap_open(struct rootfs *rootfs, struct err *err);

/* Copies a folder's content, depth first, without following links (copy_up.c). */
int copy_up(int from_fd, int to_fd, struct err *err);

int devices_make(struct rootfs *rootfs, struct err *err); /* devices.c */
/* The container's /dev/null, checked to be the device of that name. */
int devices_open_null(const struct rootfs *rootfs, int *ret_fd, struct err *err);
/* Attaches a detached tree of a file onto the file `name` of a folder, made when missing, never a
 * link. `path` is for the message. */
int devices_attach(int tree_fd, int folder_fd, const char *name, const char *path, struct err *err);

int masked_apply(struct rootfs *rootfs, struct err *err); /* masked.c */

/* MS_MOVE and chroot (no_pivot.c). */
int no_pivot_enter(const struct rootfs *rootfs, struct err *err);
