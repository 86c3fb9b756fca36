/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newc writer. Stream errors stick to the FILE and are reported once, by initramfs_finish.
 */
#include "build_initramfs.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "file.h"

enum {
	CPIO_ALIGN = 4,
	ENTRY_MAX_BYTES = 512 << 20,
};

struct entry {
	const char *name;
	mode_t mode;
	dev_t device;
	const uint8_t *data; /* borrowed */
	size_t bytes;
};

static void pad(FILE *file)
{
	static const char zeros[CPIO_ALIGN];
	long at = ftell(file);

	if (at > 0)
		(void)fwrite(zeros, 1, (size_t)(-at & (CPIO_ALIGN - 1)), file);
}

static void entry_write(struct initramfs *archive, const struct entry *entry)
{
	FILE *file = archive->file;
	size_t name_bytes = strlen(entry->name) + 1;
	unsigned int links = S_ISDIR(entry->mode) ? 2 : 1;

	/* magic, ino, mode, uid, gid, nlink, mtime, filesize, dev (2), rdev (2), namesize, check */
	(void)fprintf(file, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		      archive->next_inode++, entry->mode, 0, 0, links, 0, entry->bytes, 0, 0,
		      major(entry->device), minor(entry->device), name_bytes, 0);
	(void)fwrite(entry->name, 1, name_bytes, file);
	pad(file);
	if (entry->bytes)
		(void)fwrite(entry->data, 1, entry->bytes, file);
	pad(file);
}

int initramfs_init(struct initramfs *ret_archive, const char *path, struct err *err)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return err_set(err, -errno, "cannot create '%s': %s", path, strerror(errno));
	*ret_archive = (struct initramfs){.file = file, .next_inode = 1};
	return 0;
}

void initramfs_done(struct initramfs *archive)
{
	cleanup_file_p(&archive->file);
	archive->file = NULL;
}

int initramfs_add_archive(struct initramfs *archive, const char *host_path, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	size_t bytes;
	int r;

	r = file_read(host_path, ENTRY_MAX_BYTES, &data, &bytes, err);
	if (r < 0)
		return r;
	(void)fwrite(data, 1, bytes, archive->file);
	pad(archive->file);
	return 0;
}

void initramfs_add_text(struct initramfs *archive, const char *name, mode_t permissions,
			const char *text)
{
	entry_write(archive, &(struct entry){.name = name,
					     .mode = S_IFREG | permissions,
					     .data = (const uint8_t *)text,
					     .bytes = strlen(text)});
}

void initramfs_add_folder(struct initramfs *archive, const char *name, mode_t permissions)
{
	entry_write(archive, &(struct entry){.name = name, .mode = S_IFDIR | permissions});
}

int initramfs_add_file(struct initramfs *archive, const char *name, mode_t permissions,
		       const char *host_path, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	size_t bytes;
	int r;

	r = file_read(host_path, ENTRY_MAX_BYTES, &data, &bytes, err);
	if (r < 0)
		return r;
	entry_write(archive, &(struct entry){.name = name,
					     .mode = S_IFREG | permissions,
					     .data = data,
					     .bytes = bytes});
	return 0;
}

void initramfs_add_char_device(struct initramfs *archive, const char *name, mode_t permissions,
			       dev_t device)
{
	entry_write(archive,
		    &(struct entry){.name = name, .mode = S_IFCHR | permissions, .device = device});
}

int initramfs_finish(struct initramfs *archive, struct err *err)
{
	bool failed;

	entry_write(archive, &(struct entry){.name = "TRAILER!!!"});
	failed = ferror(archive->file);
	failed |= fclose(TAKE_PTR(archive->file)) != 0;
	return failed ? err_set(err, -EIO, "cannot write the initramfs: %s", strerror(errno)) : 0;
}
