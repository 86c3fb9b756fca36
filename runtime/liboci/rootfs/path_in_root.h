/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of a container, resolved inside its root and nowhere else.
 *
 * The image decides what a path means: any component may be a symbolic link, absolute or with as
 * many ".." as it likes, and another process that shares a volume may exchange components while we
 * look. So no path is checked first and used later: the kernel resolves it below the root's
 * descriptor (openat2, RESOLVE_IN_ROOT), and what comes back is a descriptor, which names the same
 * file for ever (CVE-2021-30465).
 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum path_kind {
	PATH_FOLDER,
	PATH_FILE,
};

/* fstat, by the system call of that name: glibc's asks for the path "" below the descriptor, which
 * costs nine times as much in Linux 6.1. */
static inline int fd_stat(int fd, struct stat *ret_stat)
{
#if defined(__x86_64__)
	return (int)syscall(SYS_fstat, fd, ret_stat);
#else
	return fstat(fd, ret_stat);
#endif
}

/* `path` without ".", "..", doubled and trailing slashes, by its text alone, always absolute: what
 * the specification's "destination" means before any link is followed. -ENAMETOOLONG. */
int path_clean(const char *path, char ret_clean[PATH_MAX]);

/* O_PATH descriptor of an existing path; `resolve` adds RESOLVE_NO_SYMLINKS where that is wanted.
 * The kernel's magic links are never followed. -errno. */
int path_in_root_open(int root_fd, const char *path, uint64_t resolve, int *ret_fd);

/* The same; what is missing is made: folders of mode 0755 less the umask, and at the end a folder
 * or an empty file. A dangling link is followed as the container would: its target is made, inside.
 */
int path_in_root_make(int root_fd, const char *path, enum path_kind kind, uint64_t resolve,
		      int *ret_fd);

/* The folder that holds the last component of `path`, made when missing, and that component, which
 * points into `path`, a clean one. -EINVAL for the root itself. */
int path_in_root_parent(int root_fd, const char *path, int *ret_fd, const char **ret_name);
