/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a cgroup: small, one read or write each.
 *
 * On the path of every container's start, so there is no stdio and no allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "number.h"

/* O_NOFOLLOW: no file of a cgroup is a link; a name with a slash is our caller's to refuse. */
static int open_file(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int cgroup_file_write(int dir, const char *name, const char *text)
{
	cleanup_fd int fd = open_file(dir, name, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = write(fd, text, strlen(text));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t cgroup_file_read(int dir, const char *name, char *text, size_t bytes)
{
	cleanup_fd int fd = open_file(dir, name, O_RDONLY);
	size_t length = 0;

	text[0] = '\0';
	if (fd < 0)
		return fd;
	while (length < bytes - 1) {
		ssize_t n = read(fd, text + length, bytes - 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	text[length] = '\0';
	return (ssize_t)length;
}

int cgroup_file_read_number(int dir, const char *name, uint64_t *ret_value)
{
	char text[64];
	char *end;
	ssize_t n = cgroup_file_read(dir, name, text, sizeof(text));

	if (n < 0)
		return (int)n;
	if (strncmp(text, "max", 3) == 0) {
		*ret_value = UINT64_MAX;
		return 0;
	}
	return number_take(text, &end, ret_value) ? 0 : -EINVAL;
}

bool cgroup_text_find(const char *text, const char *key, uint64_t *ret_value)
{
	size_t length = strlen(key);
	char *end;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return number_take(line + length + 1, &end, ret_value);
	}
	return false;
}

bool cgroup_file_find(int dir, const char *name, const char *key, uint64_t *ret_value)
{
	char text[CGROUP_FILE_BYTES];

	return cgroup_file_read(dir, name, text, sizeof(text)) > 0 &&
	       cgroup_text_find(text, key, ret_value);
}
