/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's file system: mounts, devices, console, pivot_root, masked paths.
 *
 * Everything but rootfs_open runs in the container's first process, inside its new mount namespace
 * and before it has given up its privileges. Mounts are made with the file descriptor API
 * (open_tree, fsopen, move_mount, mount_setattr: Linux 5.12). Every path below the root is resolved
 * with openat2(RESOLVE_IN_ROOT) and used by descriptor only, so that a symbolic link of a hostile
 * image never leads out of it, also not between check and use (CVE-2019-16884, CVE-2021-30465 and
 * their kind). Targets that do not exist are made, folder by folder, in the same way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct oci_spec;
struct rootfs;

struct rootfs_config {
	const struct oci_spec *spec; /* borrowed */
	const char *bundle; /* absolute folder of config.json; the root's path is relative to it */
	bool no_pivot;      /* MS_MOVE and chroot instead of pivot_root, for an initramfs */
	bool new_mount_namespace; /* false: the namespace is not ours, propagation is left alone */
	bool new_user_namespace;  /* device nodes are bound from the host, not made */
	bool new_network_namespace;
	const char *cgroup_describe; /* cgroup_describe's text: a v1 cgroup mount without a cgroup
				      * namespace shows only this cgroup */
};

/* In the runtime's process, before the container's is made: checks that the root exists, and opens
 * what must be opened with the caller's own view and privileges: sources of idmapped mounts. */
int rootfs_open(struct rootfs **ret_rootfs, const struct rootfs_config *config, struct err *err);

/* Root propagation, the root itself, all mounts in order, device nodes and links, sysctl is not
 * here. Afterwards rootfs_dir() is the finished root, not yet entered. */
int rootfs_mount(struct rootfs *rootfs, struct err *err);

/* An O_PATH descriptor of the root, borrowed. */
int rootfs_dir(const struct rootfs *rootfs);

/* Makes a terminal in the container's devpts, of that size unless 0, owned by `uid` and tty's group
 * where there is one; mounts it onto /dev/console; gives both ends. */
int rootfs_console(struct rootfs *rootfs, unsigned int height, unsigned int width, uid_t uid,
		   int *ret_primary, int *ret_secondary, struct err *err);

/* Makes the root this process's root, detaches the old one; then read-only paths, masked paths,
 * read-only root, its propagation. */
int rootfs_enter(struct rootfs *rootfs, struct err *err);

struct rootfs *rootfs_free(struct rootfs *rootfs);
