/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template's folder: which names may be in it, how they are opened, and the commit order that
 * keeps an old or a new template complete in it at every moment.
 *
 * A writer holds an exclusive lock on the folder's descriptor and gives its files names that no
 * other writer uses. The rename of manifest.json is the commit; only after it is on disk are the
 * files of the template it replaced removed. What a killed writer leaves has a name of ours and is
 * named by no manifest: the next writer removes it. Readers take no lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

/* Every file of ours but the committed manifest is "<kind>-<id>". */
static const char *const kinds[] = {"memory", "state",    "working_set",
				    "base",   "image", "manifest"};

enum { ID_DIGITS = 16 };

/* --- reading --------------------------------------------------------------------------------- */

int folder_open_file(int folder_fd, const char *name, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	/* O_NONBLOCK: opening a FIFO must fail below, not wait. */
	fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ELOOP)
		return err_set(err, -ELOOP, "'%s' is a symbolic link", name);
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", name, strerror(errno));
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot stat '%s': %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is not a regular file", name);
	return TAKE_FD(fd);
}

int folder_read_manifest(int folder_fd, struct manifest *ret_manifest, struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	cleanup_fd int fd = -1;
	size_t bytes;
	int r;

	fd = folder_open_file(folder_fd, MANIFEST_NAME, err);
	if (fd < 0)
		return fd;
	r = file_read_fd(fd, SNAPSHOT_MANIFEST_MAX_BYTES, &text, &bytes);
	if (r == -EFBIG)
		return err_set(err, -EBADMSG, "%s: larger than %d bytes", MANIFEST_NAME,
			       SNAPSHOT_MANIFEST_MAX_BYTES);
	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", MANIFEST_NAME, strerror(-r));
	return manifest_decode(ret_manifest, (const char *)text, bytes, err);
}

/* --- cleaning -------------------------------------------------------------------------------- */

static bool name_is_of_kind(const char *name, const char *kind)
{
	size_t n = strlen(kind);

	return strncmp(name, kind, n) == 0 && name[n] == '-' &&
	       strspn(name + n + 1, "0123456789abcdef") == ID_DIGITS && !name[n + 1 + ID_DIGITS];
}

static bool name_is_ours(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (name_is_of_kind(name, kinds[i]))
			return true;
	return false;
}

static bool manifest_names(const struct manifest *manifest, const char *name)
{
	const struct snapshot_file *const files[] = {&manifest->state, &manifest->memory,
						     &manifest->working_set, &manifest->base,
						     &manifest->image};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(name, files[i]->name) == 0)
			return true;
	return false;
}

void folder_clean(int folder_fd, const struct manifest *committed)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		(void)fd_close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (name_is_ours(entry->d_name) &&
		    !(committed && manifest_names(committed, entry->d_name)))
			(void)unlinkat(folder_fd, entry->d_name, 0);
	(void)closedir(dir);
}

/* Room for the new files first: what a killed writer left may be as large as a guest. Nothing is
 * removed beside a manifest that cannot be read. */
static void clean_stale(int folder_fd)
{
	struct manifest committed;
	int r = folder_read_manifest(folder_fd, &committed, NULL);

	if (r == 0 || r == -ENOENT)
		folder_clean(folder_fd, r == 0 ? &committed : NULL);
}

/* --- writing --------------------------------------------------------------------------------- */

void folder_writer_step(const struct folder_writer *writer, const char *name)
{
	if (writer->step)
		writer->step(writer->step_context, name);
}

static int sync_fd(const struct folder_writer *writer, int fd, const char *step)
{
	folder_writer_step(writer, step);
	return fsync(fd) < 0 ? -errno : 0;
}

/* Makes the folder, and its entry in its parent durable. */
static int folder_create(struct folder_writer *writer, struct err *err)
{
	cleanup_fd int fd = -1, parent = -1;

	if (mkdir(writer->folder, 0700) < 0) {
		if (errno == EEXIST)
			return 0;
		return err_set(err, -errno, "cannot make folder '%s': %s", writer->folder,
			       strerror(errno));
	}
	fd = open(writer->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parent = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fsync(parent) < 0) {
		int code = -errno;

		(void)rmdir(writer->folder);
		return err_set(err, code, "cannot sync the parent of '%s': %s", writer->folder,
			       strerror(-code));
	}
	writer->created = true;
	return 0;
}

static int folder_lock(struct folder_writer *writer, struct err *err)
{
	cleanup_fd int fd = open(writer->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot open folder '%s': %s", writer->folder,
			       strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		writer->fd = TAKE_FD(fd);
		return 0;
	}
	if (errno == EWOULDBLOCK)
		return err_set(err, -EBUSY, "'%s' is being written by another process",
			       writer->folder);
	return err_set(err, -errno, "cannot lock '%s': %s", writer->folder, strerror(errno));
}

int folder_writer_open(struct folder_writer *writer, bool create, struct err *err)
{
	uint64_t id;
	int r = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return err_set(err, -EIO, "cannot draw a random number");
	(void)snprintf(writer->id, sizeof(writer->id), "%016" PRIx64, id);

	if (create)
		r = folder_create(writer, err);
	if (r == 0)
		r = folder_lock(writer, err);
	if (r < 0)
		return r;
	clean_stale(writer->fd);
	return 0;
}

void folder_name_file(const struct folder_writer *writer, const char *kind,
		      char ret_name[SNAPSHOT_NAME_MAX])
{
	(void)snprintf(ret_name, SNAPSHOT_NAME_MAX, "%s-%s", kind, writer->id);
}

/* Undoes an unfinished write; the lock is still held. */
static void abandon(const struct folder_writer *writer)
{
	char name[SNAPSHOT_NAME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		folder_name_file(writer, kinds[i], name);
		(void)unlinkat(writer->fd, name, 0);
	}
	if (writer->created)
		(void)rmdir(writer->folder);
}

void folder_writer_close(struct folder_writer *writer)
{
	if (writer->fd >= 0 && !writer->committed)
		abandon(writer);
	writer->fd = fd_close(writer->fd);
}

int folder_create_file(const struct folder_writer *writer, const char *kind,
		       char ret_name[SNAPSHOT_NAME_MAX], struct err *err)
{
	int fd;

	folder_writer_step(writer, kind);
	folder_name_file(writer, kind, ret_name);
	fd = openat(writer->fd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "cannot create '%s/%s': %s", writer->folder, ret_name,
			       strerror(errno));
	return fd;
}

int folder_sync_file(const struct folder_writer *writer, int fd, const char *name, struct err *err)
{
	int r = sync_fd(writer, fd, "sync");

	if (r < 0)
		return err_set(err, r, "cannot sync '%s/%s': %s", writer->folder, name,
			       strerror(-r));
	return 0;
}

int folder_write_file(const struct folder_writer *writer, const char *kind, const void *data,
		      size_t bytes, struct snapshot_file *ret_file, struct err *err)
{
	struct snapshot_file file = {.bytes = bytes};
	cleanup_fd int fd = -1;
	int r;

	fd = folder_create_file(writer, kind, file.name, err);
	if (fd < 0)
		return fd;
	r = file_write_all(fd, data, bytes);
	if (r < 0)
		return err_set(err, r, "cannot write '%s/%s': %s", writer->folder, file.name,
			       strerror(-r));
	r = folder_sync_file(writer, fd, file.name, err);
	if (r < 0)
		return r;
	digest128(data, bytes, file.digest);
	*ret_file = file;
	return 0;
}

static int sync_folder(const struct folder_writer *writer, struct err *err)
{
	int r = sync_fd(writer, writer->fd, "folder_sync");

	if (r < 0)
		return err_set(err, r, "cannot sync folder '%s': %s", writer->folder, strerror(-r));
	return 0;
}

int folder_commit(struct folder_writer *writer, const struct manifest *manifest, struct err *err)
{
	cleanup_free char *text = NULL;
	struct snapshot_file file;
	size_t bytes;
	int r;

	r = manifest_encode(manifest, &text, &bytes, err);
	if (r < 0)
		return r;
	r = folder_write_file(writer, "manifest", text, bytes, &file, err);
	if (r < 0)
		return r;
	/* The entries of the files that the manifest names have to be durable before it is. */
	r = sync_folder(writer, err);
	if (r < 0)
		return r;
	folder_writer_step(writer, "rename");
	if (renameat(writer->fd, file.name, writer->fd, MANIFEST_NAME) < 0)
		return err_set(err, -errno, "cannot rename '%s/%s': %s", writer->folder, file.name,
			       strerror(errno));
	writer->committed = true;

	/* If this fails, either manifest may be the durable one: both keep their files. */
	r = sync_folder(writer, err);
	if (r < 0)
		return r;
	folder_writer_step(writer, "clean");
	folder_clean(writer->fd, manifest);
	return 0;
}
