/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's root: the image under a writable overlay, or a tmpfs with what a container needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "init.h"

#define IMAGE_DEVICE "/dev/pmem0"

enum { DEVICE_WAIT_MS = 10000, MS_PER_S = 1000, NS_PER_MS = 1000000 };

static int folder_make(const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "mkdir %s: %s", path, strerror(errno));
	return 0;
}

/* Drivers of persistent memory look at their devices in the background. */
static int device_wait(struct err *err)
{
	static const struct timespec pause = {.tv_nsec = NS_PER_MS};
	struct timespec now, start;
	cleanup_fd int fd = -1;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	/* Its node is there a little before it can be opened (ENXIO). */
	while ((fd = open(IMAGE_DEVICE, O_RDONLY | O_CLOEXEC)) < 0) {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * MS_PER_S > DEVICE_WAIT_MS)
			return err_set(err, -ENODEV,
				       "the machine has no image: there is no " IMAGE_DEVICE);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int image_mount(struct err *err)
{
	static const char options[] =
		"lowerdir=" IMAGE_FOLDER ",upperdir=" FILES_UPPER ",workdir=" FILES_WORK;
	int r = modules_load("image", err);

	if (r == 0)
		r = device_wait(err);
	if (r == 0)
		r = folder_make(IMAGE_FOLDER, err);
	if (r < 0)
		return r;
	if (mount(IMAGE_DEVICE, IMAGE_FOLDER, "erofs", MS_RDONLY | MS_NODEV, "dax=always") < 0)
		return err_set(err, -errno, "mount the image: %s", strerror(errno));
	if (mount("overlay", ROOT_FOLDER, "overlay", MS_NODEV, options) < 0)
		return err_set(err, -errno, "mount the overlay: %s", strerror(errno));
	return 0;
}

static int plain_mount(struct err *err)
{
	static const char *const folders[] = {"dev", "etc", "proc", "run", "sys", "tmp"};
	int r = 0;

	if (mount(FILES_UPPER, ROOT_FOLDER, NULL, MS_BIND, NULL) < 0)
		return err_set(err, -errno, "mount " ROOT_FOLDER ": %s", strerror(errno));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
		char path[sizeof(ROOT_FOLDER) + 8] = ROOT_FOLDER "/";

		(void)strcat(path, folders[i]);
		r = folder_make(path, err);
	}
	if (r == 0 && chmod(ROOT_FOLDER "/tmp", 01777) < 0)
		r = err_set(err, -errno, "chmod " ROOT_FOLDER "/tmp: %s", strerror(errno));
	return r;
}

int root_mount(bool has_image, struct err *err)
{
	int r = folder_make(ROOT_FOLDER, err);

	if (r < 0)
		return r;
	return has_image ? image_mount(err) : plain_mount(err);
}
