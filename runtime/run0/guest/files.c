/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FILE orders: the function's own files, written before there is a container.
 *
 * They lie in a tmpfs that becomes the container's root, or the upper folder of the overlay over
 * its image. Every path is resolved inside that folder, so that a link of the function's own
 * cannot lead a later file out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "init.h"

int files_mount(struct init *init, struct err *err)
{
	static const char *const folders[] = {FILES_UPPER, FILES_WORK};

	(void)init;
	if (mkdir(FILES_FOLDER, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "mkdir " FILES_FOLDER ": %s", strerror(errno));
	if (mount("tmpfs", FILES_FOLDER, "tmpfs", 0, "mode=0755") < 0)
		return err_set(err, -errno, "mount " FILES_FOLDER ": %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			return err_set(err, -errno, "mkdir %s: %s", folders[i], strerror(errno));
	return 0;
}

static int open_folder(int root_fd, const char *path)
{
	const struct open_how how = {
		.flags = O_DIRECTORY | O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The folder of that path, made in `parent_fd` when it is not there. */
static int make_folder(int root_fd, int parent_fd, const char *path, const char *name)
{
	int fd = open_folder(root_fd, path);

	if (fd != -ENOENT)
		return fd;
	if (mkdirat(parent_fd, name, 0755) < 0)
		return -errno;
	return open_folder(root_fd, path);
}

/* The folder that `path` is in, with all above it; *ret_name is the last part of the path. */
static int open_parent(int root_fd, const char *path, const char **ret_name)
{
	cleanup_fd int fd = open_folder(root_fd, ".");
	char prefix[FILE_PATH_MAX + 1];
	const char *name = path;

	for (const char *slash; fd >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		int next;

		memcpy(prefix, path, (size_t)(slash - path));
		prefix[slash - path] = '\0';
		next = make_folder(root_fd, fd, prefix, prefix + (name - path));
		(void)fd_close(fd);
		fd = next;
	}
	*ret_name = name;
	return fd < 0 ? fd : TAKE_FD(fd);
}

static int put_folder(int parent_fd, const char *name, const struct file_order *file)
{
	const struct mailbox_file *head = &file->head;
	cleanup_fd int fd = -1;

	if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent_fd, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, head->owner, head->owner) < 0 ||
	    fchmod(fd, head->mode & FILE_MODE_BITS) < 0)
		return -errno;
	return 0;
}

static int put_link(int parent_fd, const char *name, const struct file_order *file)
{
	const struct mailbox_file *head = &file->head;
	char target[FILE_PATH_MAX + 1];

	memcpy(target, file->data, head->data_bytes);
	target[head->data_bytes] = '\0';
	if (strlen(target) != head->data_bytes)
		return -EINVAL;
	if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (symlinkat(target, parent_fd, name) < 0 ||
	    fchownat(parent_fd, name, head->owner, head->owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Opens the file for a piece; the first begins it anew, the others follow without a gap. */
static int open_file(int parent_fd, const char *name, const struct mailbox_file *head)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (head->offset == 0) {
		if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT)
			return -errno;
		fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} else {
		fd = openat(parent_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != head->offset)
		return -ESPIPE;
	return TAKE_FD(fd);
}

static int put_file(int parent_fd, const char *name, const struct file_order *file)
{
	const struct mailbox_file *head = &file->head;
	cleanup_fd int fd = open_file(parent_fd, name, head);
	int r;

	if (fd < 0)
		return fd;
	r = file_pwrite_all(fd, file->data, head->data_bytes, (off_t)head->offset);
	if (r < 0)
		return r;
	/* The owner first: changing it takes set-user-ID away. */
	if (fchown(fd, head->owner, head->owner) < 0 || fchmod(fd, head->mode & FILE_MODE_BITS) < 0)
		return -errno;
	return 0;
}

int file_put(const struct file_order *file, int root_fd, struct err *err)
{
	const mode_t type = file->head.mode & S_IFMT;
	cleanup_fd int parent_fd = -1;
	const char *name;
	int r;

	parent_fd = open_parent(root_fd, file->path, &name);
	r = parent_fd;
	if (r >= 0)
		r = type == S_IFDIR ? put_folder(parent_fd, name, file) :
		    type == S_IFLNK ? put_link(parent_fd, name, file) :
				      put_file(parent_fd, name, file);
	if (r == -ESPIPE)
		return err_set(err, r, "cannot write '%.200s': its pieces do not follow each other",
			       file->path);
	return r < 0 ? err_set(err, r, "cannot write '%.200s': %s", file->path, strerror(-r)) : 0;
}
