/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe's steps that look at files, by trying rather than asking.
 */
#include "probe_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

ssize_t read_file(const char *path, char *buffer, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t length = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (length < size - 1 && (n = read(fd, buffer + length, size - 1 - length)) != 0) {
		if (n < 0) {
			n = -errno;
			close(fd);
			return n;
		}
		length += (size_t)n;
	}
	close(fd);
	buffer[length] = '\0';
	return (ssize_t)length;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "folder";
	case S_IFLNK:
		return "link";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	default:
		return "other";
	}
}

static void put_stat(struct probe *probe, int folder, const char *name)
{
	char link[512];
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW)) {
		put_error(probe, errno);
		return;
	}
	open_bracket(probe, "{");
	put_text_member(probe, "type", type_name(st.st_mode));
	put_member(probe, "mode", st.st_mode & 07777);
	put_member(probe, "uid", st.st_uid);
	put_member(probe, "gid", st.st_gid);
	put_member(probe, "size", st.st_size);
	put_member(probe, "device", (long long)st.st_dev);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		put_member(probe, "major", major(st.st_rdev));
		put_member(probe, "minor", minor(st.st_rdev));
	}
	if (S_ISLNK(st.st_mode)) {
		const ssize_t n = readlinkat(folder, name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		put_text_member(probe, "link", link);
	}
	close_bracket(probe, "}");
}

void take_stat(struct probe *probe, char *value)
{
	put_stat(probe, AT_FDCWD, value);
}

void take_list(struct probe *probe, char *value)
{
	DIR *folder = opendir(value);
	const struct dirent *entry;

	if (!folder) {
		put_error(probe, errno);
		return;
	}
	open_bracket(probe, "{");
	while ((entry = readdir(folder))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		put_name(probe, entry->d_name);
		put_stat(probe, dirfd(folder), entry->d_name);
	}
	close_bracket(probe, "}");
	closedir(folder);
}

void take_read(struct probe *probe, char *value)
{
	char *text = malloc(FILE_BYTES);
	const ssize_t length = read_file(value, text, FILE_BYTES);

	if (length < 0)
		put_error(probe, (int)-length);
	else
		put_string(probe, text);
	free(text);
}

void take_sysctl(struct probe *probe, char *value)
{
	char path[512];

	snprintf(path, sizeof(path), "/proc/sys/%s", value);
	for (char *c = path + strlen("/proc/sys/"); *c; c++)
		if (*c == '.')
			*c = '/';
	take_read(probe, path);
}

static int try_to_open(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_to_write(const char *path)
{
	char inside[4096];
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (!S_ISDIR(st.st_mode))
		return try_to_open(path, O_WRONLY);
	snprintf(inside, sizeof(inside), "%s/.probe", path);
	if (mkdir(inside, 0700))
		return errno;
	rmdir(inside);
	return 0;
}

/* access=PATH: tried, not asked for. Of a folder: whether something can be made in it. */
void take_access(struct probe *probe, char *value)
{
	open_bracket(probe, "{");
	put_text_member(probe, "read", error_name(try_to_open(value, O_RDONLY)));
	put_text_member(probe, "write", error_name(try_to_write(value)));
	close_bracket(probe, "}");
}

/* write=PATH:TEXT makes the file when there is none. */
void take_write(struct probe *probe, char *value)
{
	char *text = strchr(value, ':');
	int fd, error = 0;

	if (!text)
		_exit(UNKNOWN_STEP);
	*text++ = '\0';
	fd = open(value, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	put_string(probe, error_name(error));
}

/* mknod=PATH:c|b:MAJOR:MINOR */
void take_mknod(struct probe *probe, char *value)
{
	char *save, *path = strtok_r(value, ":", &save), *type = strtok_r(NULL, ":", &save);
	const char *major_text = strtok_r(NULL, ":", &save), *minor_text = save;
	int r;

	if (!path || !type || !major_text || !minor_text)
		_exit(UNKNOWN_STEP);
	r = mknod(path, (*type == 'b' ? S_IFBLK : S_IFCHR) | 0600,
		  makedev(strtoul(major_text, NULL, 10), strtoul(minor_text, NULL, 10)));
	put_string(probe, error_name(r ? errno : 0));
}
