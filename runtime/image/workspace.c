/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workspaces: one folder for everything that an import makes and that is not committed.
 *
 * Its maker holds a lock on the folder itself, which the kernel gives back when he and his children
 * are gone, however they went. The store's lock is held while a workspace is made and while those
 * that are left over are looked for, so that nobody sees one before it is locked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "image_priv.h"

enum { ATTEMPTS = 1000 };

static int lock(int fd, int operation)
{
	int r;

	do
		r = flock(fd, operation);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int store_lock(const struct image_store *store, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = openat(store->fd, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : lock(fd, LOCK_EX);

	if (r < 0)
		return err_set(err, r, "cannot lock the store '%s': %s", store->folder,
			       strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Removes one, unless somebody is at work in it. */
static int remove_unused(struct image_store *store, const char *name)
{
	struct workspace workspace = { .store_fd = store->fd, .fd = -1 };
	cleanup_fd int fd = openat(store->fd, name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = lock(fd, LOCK_EX | LOCK_NB);
	if (r < 0)
		return r == -EWOULDBLOCK ? 0 : r;
	workspace.fd = fd;
	r = tree_clear(&workspace);
	if (r == 0 && unlinkat(store->fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

static int sweep_locked(struct image_store *store, struct err *err)
{
	int copy = openat(store->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)fd_close(copy);
		return err_set(err, r, "cannot read '%s': %s", store->folder, strerror(-r));
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, STORE_WORK_HEAD, strlen(STORE_WORK_HEAD)) != 0)
			continue;
		r = remove_unused(store, entry->d_name);
		if (r < 0)
			r = err_set(err, r, "cannot remove '%s/%s': %s", store->folder,
				    entry->d_name, strerror(-r));
	}
	(void)closedir(dir);
	return r;
}

int workspace_sweep(struct image_store *store, struct err *err)
{
	cleanup_fd int lock_fd = -1;
	int r = store_lock(store, &lock_fd, err);

	return r < 0 ? r : sweep_locked(store, err);
}

static int make(struct workspace *workspace)
{
	int r = -1;

	for (unsigned int i = 0; r < 0 && i < ATTEMPTS; i++) {
		(void)snprintf(workspace->name, sizeof(workspace->name), STORE_WORK_HEAD "%d-%u",
			       (int)getpid(), i);
		r = mkdirat(workspace->store_fd, workspace->name, 0700);
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	if (r < 0)
		return -EEXIST;
	workspace->fd = openat(workspace->store_fd, workspace->name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = workspace->fd < 0 ? -errno : lock(workspace->fd, LOCK_EX | LOCK_NB);
	if (r < 0)
		(void)unlinkat(workspace->store_fd, workspace->name, AT_REMOVEDIR);
	return r;
}

int workspace_init(struct workspace *workspace, struct image_store *store, struct err *err)
{
	cleanup_fd int lock_fd = -1;
	int r = store_lock(store, &lock_fd, err);

	*workspace = (struct workspace){ .store_fd = store->fd, .fd = -1 };
	if (r < 0)
		return r;
	/* What cannot be removed is no reason to do nothing; image_prune tells. */
	(void)sweep_locked(store, NULL);
	r = make(workspace);
	if (r < 0) {
		workspace->fd = fd_close(workspace->fd);
		return err_set(err, r, "cannot make a folder in '%s': %s", store->folder,
			       strerror(-r));
	}
	return 0;
}

void workspace_done(struct workspace *workspace)
{
	if (workspace->fd < 0)
		return;
	/* What resists is the next sweep's. */
	if (tree_clear(workspace) == 0)
		(void)unlinkat(workspace->store_fd, workspace->name, AT_REMOVEDIR);
	workspace->fd = fd_close(workspace->fd);
}
