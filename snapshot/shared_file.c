/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a template has in common with others: a base, an image. A hard link each, so that the
 * template is complete by itself and the page cache holds them once; a copy on another file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "snapshot_priv.h"

static int regular_size(int fd, uint64_t *ret_bytes, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot stat it: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "it is not a regular file");
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

int shared_file_digest(int fd, struct shared_file *ret_file, struct err *err)
{
	struct shared_file file = {.fd = fd};
	int r = regular_size(fd, &file.bytes, err);

	if (r < 0)
		return r;
	r = digest128_fd(fd, file.bytes, file.digest);
	if (r < 0)
		return err_set(err, r, "cannot read it: %s", strerror(-r));
	*ret_file = file;
	return 0;
}

/* By way of /proc, because AT_EMPTY_PATH takes a capability that lumper has given up. */
static int link_file(const struct folder_writer *writer, const char *name, int fd)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, writer->fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int copy_file(const struct folder_writer *writer, const char *kind,
		     const struct shared_file *shared, char ret_name[SNAPSHOT_NAME_MAX],
		     struct err *err)
{
	cleanup_fd int fd = folder_create_file(writer, kind, ret_name, err);
	int r;

	if (fd < 0)
		return fd;
	r = sparse_copy(fd, shared->fd, shared->bytes);
	if (r < 0)
		return err_set(err, r, "cannot copy '%s/%s': %s", writer->folder, ret_name,
			       strerror(-r));
	return folder_sync_file(writer, fd, ret_name, err);
}

/* Whatever keeps the link from being made (another file system, too many links, a file of somebody
 * else's or one that has been removed), a copy serves, or fails for the true reason. */
int folder_share_file(const struct folder_writer *writer, const char *kind,
		      const struct shared_file *shared, struct snapshot_file *ret_file,
		      struct err *err)
{
	struct snapshot_file file = {.bytes = shared->bytes};
	uint64_t bytes = 0;
	int r = regular_size(shared->fd, &bytes, err);

	if (r < 0)
		return err_prefix(err, r, "%s", kind);
	if (bytes != shared->bytes)
		return err_set(err, -EINVAL, "%s: it has %" PRIu64 " bytes instead of %" PRIu64,
			       kind, bytes, shared->bytes);
	memcpy(file.digest, shared->digest, sizeof(file.digest));
	folder_name_file(writer, kind, file.name);
	folder_writer_step(writer, kind);
	if (link_file(writer, file.name, shared->fd) == 0)
		r = folder_sync_file(writer, shared->fd, file.name, err);
	else
		r = copy_file(writer, kind, shared, file.name, err);
	if (r < 0)
		return r;
	*ret_file = file;
	return 0;
}
