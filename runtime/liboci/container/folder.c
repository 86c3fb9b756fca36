/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's folder: claiming an id, locking, files that appear whole, removal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "container/container.h"
#include "container/record.h"
#include "file.h"
#include "spec/spec.h"

enum { ID_MAX = 255 /* it is the name of a folder */ };

void runtime_warn(const struct oci_runtime *runtime, const char *fmt, ...)
{
	char message[ERR_MESSAGE_BYTES];
	va_list arguments;

	if (!runtime->warn)
		return;
	va_start(arguments, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, arguments);
	va_end(arguments);
	runtime->warn(runtime->context, message);
}

void warn_of_unknown_capability(const struct oci_runtime *runtime, const struct oci_spec *spec)
{
	const struct oci_process *process = spec->process;

	if (process && process->capabilities.unknown)
		runtime_warn(runtime,
			     "process.capabilities: unknown capability '%.60s' is left out",
			     process->capabilities.unknown);
}

static bool is_id(const char *id)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.";
	size_t length = strlen(id);

	return length > 0 && length <= ID_MAX && strspn(id, allowed) == length && *id != '.';
}

/* Others must not be able to put a state of their own under our eyes. */
static int open_root(const struct oci_runtime *runtime, bool make, struct err *err)
{
	struct stat st;
	int fd = open(runtime->root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && make) {
		char path[4096];

		if ((size_t)snprintf(path, sizeof(path), "%s", runtime->root) >= sizeof(path))
			return err_set(err, -ENAMETOOLONG,
				       "the path of the state root is too long");
		for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
			*slash = 0;
			(void)mkdir(path, 0755);
			*slash = '/';
		}
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_set(err, -errno, "cannot make the state root '%s': %s", path,
				       strerror(errno));
		fd = open(runtime->root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_set(err, -errno, "cannot open the state root '%s': %s", runtime->root,
			       strerror(errno));
	if (fstat(fd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & S_IWOTH)) {
		(void)close(fd);
		return err_set(err, -EPERM,
			       "the state root '%s' belongs to somebody else, or all may write to it",
			       runtime->root);
	}
	return fd;
}

static int begin(struct container *container, const struct oci_runtime *runtime, const char *id,
		 bool make, struct err *err)
{
	*container = (struct container){ .runtime = runtime, .root_fd = -1, .dir_fd = -1 };
	if (!is_id(id))
		return err_set(err, -EINVAL,
			       "'%.80s' is not a container id: 1 to %d of A-Z a-z 0-9 _ + - . and "
			       "no dot at the beginning", id, ID_MAX);
	container->root_fd = open_root(runtime, make, err);
	if (container->root_fd == -ENOENT && !make)
		return err_set(err, -ENOENT, "container '%s' does not exist", id);
	if (container->root_fd < 0)
		return container->root_fd;
	container->id = strdup(id);
	return container->id ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int open_folder(struct container *container, struct err *err)
{
	container->dir_fd = openat(container->root_fd, container->id,
				   O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	if (container->dir_fd >= 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, -ENOENT, "container '%s' does not exist", container->id);
	return err_set(err, -errno, "cannot open the state of container '%s': %s", container->id,
		       strerror(errno));
}

/* The folder that was locked may have been removed, and made anew, while we waited. */
static bool is_current(const struct container *container)
{
	struct stat mine, named;

	return fstat(container->dir_fd, &mine) == 0 &&
	       fstatat(container->root_fd, container->id, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

static int lock_once(const struct container *container, struct err *err)
{
	if (flock(container->dir_fd, LOCK_EX) < 0)
		return err_set(err, -errno, "cannot lock container '%s': %s", container->id,
			       strerror(errno));
	return is_current(container) ? 0 :
				       err_set(err, -ENOENT, "container '%s' does not exist",
					       container->id);
}

static int lock(struct container *container, struct err *err)
{
	for (;;) {
		int r = lock_once(container, err);

		if (r != -ENOENT)
			return r;
		container->dir_fd = fd_close(container->dir_fd);
		r = open_folder(container, err);
		if (r < 0)
			return r;
	}
}

static int make_folder(const struct container *container, struct err *err)
{
	if (mkdirat(container->root_fd, container->id, 0700) == 0)
		return 0;
	if (errno == EEXIST)
		return err_set(err, -EEXIST, "container '%s' exists already", container->id);
	return err_set(err, -errno, "cannot make '%s/%s': %s", container->runtime->root,
		       container->id, strerror(errno));
}

/* Before it is locked a `delete --force` can have removed the folder (-ENOENT), and somebody else
 * have made it anew: it is his who finds it without a record. */
static int take_folder(struct container *container, struct err *err)
{
	int r = open_folder(container, err);

	if (r == 0)
		r = lock_once(container, err);
	if (r == 0 && faccessat(container->dir_fd, STATE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = err_set(err, -EEXIST, "container '%s' exists already", container->id);
	return r;
}

int container_claim(struct container *container, const struct oci_runtime *runtime, const char *id,
		    struct err *err)
{
	int r = begin(container, runtime, id, true, err);

	if (r < 0)
		return r;
	do {
		container->dir_fd = fd_close(container->dir_fd);
		r = make_folder(container, err);
		if (r < 0)
			return r;
		r = take_folder(container, err);
	} while (r == -ENOENT);
	/* Only an empty one goes. */
	if (r < 0)
		(void)unlinkat(container->root_fd, container->id, AT_REMOVEDIR);
	return r;
}

int container_open(struct container *container, const struct oci_runtime *runtime, const char *id,
		   bool want_lock, struct err *err)
{
	int r = begin(container, runtime, id, false, err);

	if (r == 0)
		r = open_folder(container, err);
	if (r == 0 && want_lock)
		r = lock(container, err);
	if (r < 0)
		return r;
	r = record_read(&container->record, container->dir_fd, err);
	return r < 0 ? err_prefix(err, -ENODATA, "container '%s'", id) : 0;
}

int container_open_made(struct container *container, const struct oci_runtime *runtime,
			const char *id, struct err *err)
{
	int r = container_open(container, runtime, id, false, err);

	if (r == 0 && !container->record.created_whole)
		r = err_set(err, -EBUSY, "container '%s' is %s; only delete --force is possible",
			    id, oci_status_name(OCI_CREATING));
	if (r == 0)
		r = lock(container, err);
	if (r < 0)
		return r;
	/* As it is now. */
	record_done(&container->record);
	r = record_read(&container->record, container->dir_fd, err);
	return r < 0 ? err_prefix(err, -ENODATA, "container '%s'", id) : 0;
}

void container_unlock(const struct container *container)
{
	if (container->dir_fd >= 0)
		(void)flock(container->dir_fd, LOCK_UN);
}

int container_lock_again(const struct container *container, struct err *err)
{
	return lock_once(container, err);
}

void container_done(struct container *container)
{
	container_unlock(container);
	container->root_fd = fd_close(container->root_fd);
	container->dir_fd = fd_close(container->dir_fd);
	free(container->id);
	container->id = NULL;
	record_done(&container->record);
}

int container_write_file(const struct container *container, const char *name, const char *text,
			 size_t bytes, struct err *err)
{
	char temporary[64];
	cleanup_fd int fd = -1;
	int r;

	(void)snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(container->dir_fd, temporary,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "cannot write '%s/%s/%s': %s", container->runtime->root,
			       container->id, name, strerror(errno));
	r = file_write_all(fd, text, bytes);
	if (r == 0 && renameat(container->dir_fd, temporary, container->dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(container->dir_fd, temporary, 0);
		return err_set(err, r, "cannot write '%s/%s/%s': %s", container->runtime->root,
			       container->id, name, strerror(-r));
	}
	return 0;
}

int container_save(const struct container *container, struct err *err)
{
	cleanup_free char *text = record_text(&container->record, container->id);

	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	return container_write_file(container, STATE_FILE, text, strlen(text), err);
}

/* Whatever a crash, or somebody else, has left there. Folders are not ours. */
static void unlink_rest(const struct container *container)
{
	int fd = openat(container->dir_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!folder) {
		(void)fd_close(fd);
		return;
	}
	while ((entry = readdir(folder)))
		(void)unlinkat(container->dir_fd, entry->d_name, 0);
	(void)closedir(folder);
}

/* What every container has first; the rest only if the folder is not empty then. The record goes
 * last but for what cannot be there with it. */
int container_remove_folder(const struct container *container, struct err *err)
{
	static const char *const usual[] = { CONFIG_FILE, STATE_FILE };

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		(void)unlinkat(container->dir_fd, usual[i], 0);
	if (unlinkat(container->root_fd, container->id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	unlink_rest(container);
	if (unlinkat(container->root_fd, container->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_set(err, -errno, "cannot remove '%s/%s': %s", container->runtime->root,
			       container->id, strerror(errno));
	return 0;
}

int container_load_spec(const struct container *container, struct oci_spec **ret_spec,
			struct err *err)
{
	cleanup_fd int fd =
		openat(container->dir_fd, CONFIG_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free uint8_t *text = NULL;
	size_t bytes;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "cannot open the saved config of container '%s': %s",
			       container->id, strerror(errno));
	r = file_read_fd(fd, SPEC_MAX_BYTES, &text, &bytes);
	if (r < 0)
		return err_set(err, r, "cannot read the saved config of container '%s': %s",
			       container->id, strerror(-r));
	r = spec_parse(ret_spec, (const char *)text, bytes, err);
	return r < 0 ? err_prefix(err, r, "saved config of container '%s'", container->id) : 0;
}
