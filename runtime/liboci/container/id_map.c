/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity maps of a new user namespace (user_namespaces(7)).
 *
 * Who has CAP_SETUID in the parent namespace writes them. Anybody may map the one user that they
 * are. Everything else is the business of newuidmap(1) and newgidmap(1), which look into
 * /etc/subuid and /etc/subgid.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "container/namespaces.h"
#include "err.h"
#include "spec/spec.h"

enum {
	MAPPINGS_MAX = 340, /* the kernel's UID_GID_MAP_MAX_EXTENTS */
	MAPPING_TEXT_BYTES = 36, /* three numbers of ten digits and what parts them */
};

struct map {
	const char *member, *file, *program;
	const struct oci_id_mappings *mappings;
	uint32_t own_id;
};

static int write_proc(pid_t pid, const char *file, const char *text)
{
	cleanup_fd int fd = -1;
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static char *map_text(const struct oci_id_mappings *mappings)
{
	char *text = malloc(mappings->count * MAPPING_TEXT_BYTES + 1);
	size_t at = 0;

	for (size_t i = 0; text && i < mappings->count; i++)
		at += (size_t)snprintf(text + at, MAPPING_TEXT_BYTES, "%u %u %u\n",
				       mappings->items[i].container_id, mappings->items[i].host_id,
				       mappings->items[i].size);
	return text;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* newuidmap PID CONTAINER HOST SIZE... */
static int map_by_program(pid_t pid, const struct map *map, struct err *err)
{
	char *environment[] = { NULL };
	size_t words = 2 + map->mappings->count * 3;
	cleanup_free char **argv = calloc(words + 1, sizeof(*argv));
	cleanup_free char(*numbers)[12] = calloc(words, sizeof(*numbers));
	pid_t child;
	int r;

	if (!argv || !numbers)
		return err_set(err, -ENOMEM, "out of memory");
	argv[0] = (char *)(uintptr_t)map->program;
	for (size_t i = 1; i < words; i++) {
		const struct oci_id_mapping *mapping =
			&map->mappings->items[i < 2 ? 0 : (i - 2) / 3];
		const uint32_t values[] = { mapping->container_id, mapping->host_id,
					    mapping->size };

		(void)snprintf(numbers[i], sizeof(numbers[i]), "%u",
			       i == 1 ? (uint32_t)pid : values[(i - 2) % 3]);
		argv[i] = numbers[i];
	}
	r = posix_spawn(&child, map->program, NULL, NULL, argv, environment);
	r = r ? -r : wait_for(child);
	if (r < 0)
		return err_set(err, r, "%s: %s failed; /etc/subuid and /etc/subgid must allow it",
			       map->member, map->program);
	return 0;
}

static bool is_own_id(const struct map *map)
{
	return map->mappings->count == 1 && map->mappings->items[0].size == 1 &&
	       map->mappings->items[0].host_id == map->own_id;
}

static int write_map(pid_t pid, const struct map *map, bool privileged, struct err *err)
{
	cleanup_free char *text = NULL;
	int r;

	if (!privileged && !is_own_id(map))
		return map_by_program(pid, map, err);
	text = map_text(map->mappings);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	/* Without privileges a group can only be mapped by who gives up setgroups(2). */
	if (!privileged && strcmp(map->file, "gid_map") == 0)
		(void)write_proc(pid, "setgroups", "deny");
	r = write_proc(pid, map->file, text);
	if (r < 0)
		return err_set(err, r, "%s: cannot be written: %s", map->member, strerror(-r));
	return 0;
}

int namespaces_map_ids(pid_t pid, const struct oci_linux *linux_part, struct err *err)
{
	const struct map maps[] = {
		{ "linux.uidMappings", "uid_map", "/usr/bin/newuidmap", &linux_part->uid_mappings,
		  geteuid() },
		{ "linux.gidMappings", "gid_map", "/usr/bin/newgidmap", &linux_part->gid_mappings,
		  getegid() },
	};

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		int r;

		if (maps[i].mappings->count == 0 || maps[i].mappings->count > MAPPINGS_MAX)
			return err_set(err, -EINVAL,
				       "%s: %zu mappings; a user namespace takes 1 to %d",
				       maps[i].member, maps[i].mappings->count, MAPPINGS_MAX);
		r = write_map(pid, &maps[i], geteuid() == 0, err);
		if (r < 0)
			return r;
	}
	return 0;
}
