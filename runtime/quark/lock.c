/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks, by flock(2) on the folder itself: they end with the process, however it ends.
 */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "cleanup.h"

int folder_lock(const struct cli *cli, const char *folder, int *ret_lock, struct err *err)
{
	cleanup_fd int fd = -1;
	int r = make_folders(folder, err);

	if (r < 0)
		return r;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", folder, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		cli_say(cli, "waiting for another build to end");
		if (flock(fd, LOCK_EX) < 0)
			return err_set(err, -errno, "cannot lock '%s': %s", folder,
				       strerror(errno));
	}
	*ret_lock = TAKE_FD(fd);
	return 0;
}
