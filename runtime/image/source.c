/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a source. The folder may come out of an archive of a stranger's: links in it lead
 * nowhere but inside, and only regular files are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "image_priv.h"

int file_open_in(int folder_fd, const char *path, int *ret_fd, uint64_t *ret_bytes,
		 struct err *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait. */
	const struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_fd int fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, -EBADMSG, "'%s' is missing", SHOWN(path));
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", SHOWN(path), strerror(errno));
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at '%s': %s", SHOWN(path),
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "'%s' is not a regular file", SHOWN(path));
	*ret_bytes = (uint64_t)st.st_size;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int file_read_in(int folder_fd, const char *path, uint8_t **ret_data, size_t *ret_bytes,
		 struct err *err)
{
	cleanup_fd int fd = -1;
	uint64_t bytes;
	int r = file_open_in(folder_fd, path, &fd, &bytes, err);

	if (r < 0)
		return r;
	r = file_read_fd(fd, JSON_MAX_BYTES, ret_data, ret_bytes);
	if (r == -EFBIG)
		return err_set(err, r, "'%s' has more than %d bytes", SHOWN(path), JSON_MAX_BYTES);
	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", SHOWN(path), strerror(-r));
	return 0;
}

void source_done(struct source *source)
{
	source->fd = fd_close(source->fd);
	free(source->config);
	free(source->layers);
	source->config = NULL;
	source->layers = NULL;
	source->layer_count = 0;
}
