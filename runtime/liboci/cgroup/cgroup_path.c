/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's cgroup is: linux.cgroupsPath, by fixed rules.
 *
 * The specification lets a runtime choose where a relative path, or none, leads. A relative path
 * is taken from the root, as crun takes it: that needs no look at /proc/self/cgroup, and every
 * later command finds the same place. Without a path it is /run0/ID: the folder in between keeps
 * an id such as "system.slice" from meaning a cgroup of somebody else's, and its controllers stay
 * enabled from the first container to the next.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

/* One part of a path. The kernel takes any byte but a newline in a cgroup's name; the state file
 * and messages are lines of text, so control characters are out. */
static bool part_is_valid(const char *part, size_t length)
{
	if (length > NAME_MAX || (length == 2 && memcmp(part, "..", 2) == 0))
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)part[i] < ' ' || part[i] == 0x7f)
			return false;
	return true;
}

static int bad_path(struct err *err, const char *why)
{
	return err_set(err, -EINVAL, "linux.cgroupsPath: %s", why);
}

/* Appends the parts of `from` to `to`, each with a slash before it. */
static int append_parts(char *to, const char *from, struct err *err)
{
	size_t used = strlen(to);

	while (*from) {
		size_t length = strcspn(from, "/");

		if (!part_is_valid(from, length))
			return bad_path(err, "'..', a control character or an overlong name");
		if (length > 0 && !(length == 1 && *from == '.')) {
			if (used + 1 + length >= CGROUP_PATH_BYTES)
				return bad_path(err, "too long");
			to[used++] = '/';
			memcpy(to + used, from, length);
			used += length;
			to[used] = '\0';
		}
		from += length + (from[length] == '/');
	}
	return 0;
}

int cgroup_path_make(char **ret_path, const char *cgroups_path, const char *id, struct err *err)
{
	bool given = cgroups_path && *cgroups_path;
	char path[CGROUP_PATH_BYTES] = "";
	int r;

	if (!given && strchr(id, '/'))
		return err_set(err, -EINVAL, "the id has a slash");
	r = given ? 0 : append_parts(path, "run0", err);
	if (r == 0)
		r = append_parts(path, given ? cgroups_path : id, err);
	if (r < 0)
		return r;
	if (!*path)
		return bad_path(err, "the root of the hierarchy is no container's");
	*ret_path = strdup(path);
	return *ret_path ? 0 : err_set(err, -ENOMEM, "out of memory");
}

bool cgroup_path_is_clean(const char *path)
{
	char clean[CGROUP_PATH_BYTES] = "";

	return append_parts(clean, path, NULL) == 0 && *clean && strcmp(clean, path) == 0;
}
