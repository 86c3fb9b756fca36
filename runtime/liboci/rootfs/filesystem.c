/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New file systems: fsopen, one fsconfig for each option, fsmount.
 *
 * Option by option, the kernel says which one it did not like, and its words go into our message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "number.h"
#include "rootfs/rootfs_priv.h"

enum {
	OPTION_BYTES = 256, /* the kernel's limit for a value, the zero at its end included */
	MOST_MESSAGES = 16,
	MOST_ID_MAP_BYTES = 16384, /* 340 lines at most */
};

static const struct {
	unsigned long flag;
	const char *name;
} superblock_flags[] = {
	{ MS_SYNCHRONOUS, "sync" },  { MS_DIRSYNC, "dirsync" },    { MS_MANDLOCK, "mand" },
	{ MS_LAZYTIME, "lazytime" }, { MS_I_VERSION, "iversion" }, { MS_RDONLY, "ro" },
};

/* One superblock serves every mount of such a file system in a namespace, or in the whole machine.
 * "ro" on it would be everybody's, today's and tomorrow's, so that there only the mount gets it. */
static bool is_superblock_shared(const char *type)
{
	static const char *const types[] = { "proc", "sysfs", "cgroup", "cgroup2", "mqueue" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* The last thing that the kernel said about this context, or what errno means. Each read gives one
 * message: "e", "w" or "i", a space, the text. */
static const char *explain(int context_fd, int r, char buffer[OPTION_BYTES])
{
	const char *text = strerror(-r);

	for (int i = 0; i < MOST_MESSAGES; i++) {
		ssize_t n = read(context_fd, buffer, OPTION_BYTES - 1);

		if (n <= 2)
			break;
		buffer[n] = '\0';
		buffer[strcspn(buffer, "\n")] = '\0';
		text = buffer + 2;
		if (buffer[0] == 'e')
			break;
	}
	return text;
}

static int fail(int context_fd, int r, const char *type, const char *what, struct err *err)
{
	char buffer[OPTION_BYTES];

	return err_set(err, r, "%s: %s: %s", type, what, explain(context_fd, r, buffer));
}

/* `value` NULL: a flag. */
static int set_option(int context_fd, const char *name, const char *value)
{
	int r = value ? fsconfig(context_fd, FSCONFIG_SET_STRING, name, value, 0)
		      : fsconfig(context_fd, FSCONFIG_SET_FLAG, name, NULL, 0);

	return r < 0 ? -errno : 0;
}

/* Copies the option that `*data` begins with, and goes on to the next. A comma after a backslash is
 * part of the option: overlay has paths with one, and takes the backslash away itself. */
static int next_option(const char **data, char ret_option[2 * OPTION_BYTES])
{
	const char *at = *data;
	size_t n = 0;

	for (; *at && *at != ','; at++) {
		if (n + 2 >= (size_t)2 * OPTION_BYTES)
			return -E2BIG;
		if (*at == '\\' && at[1] == ',')
			ret_option[n++] = *at++;
		ret_option[n++] = *at;
	}
	ret_option[n] = '\0';
	*data = at + (*at == ',');
	return 0;
}

bool filesystem_has_option(const char *data, const char *name)
{
	size_t bytes = strlen(name);

	for (; data && *data; data += strcspn(data, ","), data += *data == ',')
		if (strncmp(data, name, bytes) == 0 && strchr("=,", data[bytes]))
			return true;
	return false;
}

/* Whether this user namespace has the group, by its own table. */
static bool is_gid_mapped(const char *gid_text)
{
	char map[MOST_ID_MAP_BYTES];
	cleanup_fd int fd = open("/proc/self/gid_map", O_RDONLY | O_CLOEXEC);
	unsigned long first, host, count;
	ssize_t n = fd < 0 ? -1 : read(fd, map, sizeof(map) - 1);
	uint64_t gid;

	if (n < 0 || !number_parse(gid_text, 0, UINT32_MAX, &gid))
		return true; /* the kernel will say what it thinks of it */
	map[n] = '\0';
	for (char *line = map; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%lu %lu %lu", &first, &host, &count) == 3 && gid >= first &&
		    gid - first < count)
			return true;
	}
	return false;
}

static int set_data(int context_fd, const struct filesystem *filesystem, struct err *err)
{
	const char *data = filesystem->data;
	char option[2 * OPTION_BYTES];

	while (data && *data) {
		int r = next_option(&data, option);
		char *value = strchr(option, '=');

		if (r < 0)
			return err_set(err, r, "%s: an option is too long", filesystem->type);
		if (value)
			*value++ = '\0';
		if (!*option)
			continue;
		/* tty's group in a user namespace of one user: the terminals are his then. */
		if (filesystem->map_gids && value && strcmp(option, "gid") == 0 &&
		    !is_gid_mapped(value))
			continue;
		r = set_option(context_fd, option, value);
		if (r < 0)
			return fail(context_fd, r, filesystem->type, option, err);
	}
	return 0;
}

static int set_flags(int context_fd, const char *type, unsigned long flags, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(superblock_flags); i++) {
		int r = flags & superblock_flags[i].flag
				? set_option(context_fd, superblock_flags[i].name, NULL)
				: 0;

		if (r < 0)
			return fail(context_fd, r, type, superblock_flags[i].name, err);
	}
	return 0;
}

/* A kernel without SELinux does not know the option: then there is nothing to label. */
static int set_label(int context_fd, const struct filesystem *filesystem, struct err *err)
{
	int r = filesystem->mount_label ? set_option(context_fd, "context", filesystem->mount_label)
					: 0;

	return r < 0 && r != -EINVAL ? fail(context_fd, r, filesystem->type, "context", err) : 0;
}

static int configure(int context_fd, const struct filesystem *filesystem, struct err *err)
{
	const char *type = filesystem->type;
	unsigned long flags = filesystem->sb_flags;
	int r;

	if (is_superblock_shared(type))
		flags &= ~(unsigned long)MS_RDONLY;
	if (filesystem->source) {
		r = set_option(context_fd, "source", filesystem->source);
		if (r < 0)
			return fail(context_fd, r, type, filesystem->source, err);
	}
	r = filesystem->mode ? set_option(context_fd, "mode", filesystem->mode) : 0;
	if (r < 0)
		return fail(context_fd, r, type, "mode", err);
	(void)((r = set_flags(context_fd, type, flags, err)) ||
	       (r = set_label(context_fd, filesystem, err)) ||
	       (r = set_data(context_fd, filesystem, err)));
	return r;
}

int filesystem_new(const struct filesystem *filesystem, int *ret_tree_fd, struct err *err)
{
	const char *type = filesystem->type;
	cleanup_fd int context_fd = fsopen(type, FSOPEN_CLOEXEC);
	int fd, r;

	if (context_fd < 0 && errno == ENODEV)
		return err_set(err, -ENODEV, "this kernel has no file system '%s'", type);
	if (context_fd < 0)
		return err_set(err, -errno, "cannot open file system '%s': %s", type,
			       strerror(errno));
	r = configure(context_fd, filesystem, err);
	if (r < 0)
		return r;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fail(context_fd, -errno, type, "cannot create", err);
	fd = fsmount(context_fd, FSOPEN_CLOEXEC, (unsigned int)filesystem->attributes);
	if (fd < 0)
		return fail(context_fd, -errno, type, "cannot mount", err);
	*ret_tree_fd = fd;
	return 0;
}

int filesystem_reconfigure(int target_fd, const struct oci_mount *mount, struct err *err)
{
	const struct filesystem changes = {
		.type = mount->type ? mount->type : "remount",
		.data = mount->data,
		.sb_flags = mount->sb_flags & ~(unsigned long)MS_RDONLY,
	};
	cleanup_fd int context_fd = -1;
	int r;

	if (!changes.sb_flags && !(changes.data && *changes.data))
		return 0;
	context_fd = (int)fspick(target_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (context_fd < 0)
		return err_set(err, -errno, "cannot open the file system: %s", strerror(errno));
	r = configure(context_fd, &changes, err);
	if (r < 0)
		return r;
	if (fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return fail(context_fd, -errno, changes.type, "cannot remount", err);
	return 0;
}

struct filesystem filesystem_of_mount(const struct mount_job *job)
{
	const struct oci_mount *mount = job->mount;
	const struct oci_spec *spec = job->rootfs->spec;
	const char *type = mount->type ? mount->type : "";
	/* procfs and sysfs label their files themselves, and a message queue's cannot be given. */
	bool labelled = strcmp(type, "proc") != 0 && strcmp(type, "sysfs") != 0 &&
			strcmp(type, "mqueue") != 0;

	return (struct filesystem){
		.type = type,
		.source = mount->source,
		.data = mount->data,
		.mount_label = labelled ? spec->linux.mount_label : NULL,
		.sb_flags = mount->sb_flags |
			    (mount->attr_set & MOUNT_ATTR_RDONLY ? (unsigned long)MS_RDONLY : 0),
		.attributes = (mount->attr_set & ~mount->rec_attr_clear) | mount->rec_attr_set,
		.map_gids =
			strcmp(type, "devpts") == 0 && spec->linux.namespaces[OCI_NS_USER].present,
	};
}
