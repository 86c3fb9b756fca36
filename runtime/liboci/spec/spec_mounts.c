/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "mounts" array, and the table of mount options.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "spec/arena.h"
#include "spec/spec_priv.h"

/* The kernel takes one page of options. */
enum { DATA_MAX_BYTES = 4095, PATH_MAX_BYTES = 4095 };

enum option_effect {
	OPTION_BIND = 1,
	OPTION_REMOUNT = 2,
	OPTION_TMPCOPYUP = 4,
	OPTION_COPY_SYMLINK = 8,
	OPTION_IDMAP = 16,
	OPTION_RECURSIVE = 32, /* of bind and idmap */
};

/* Times of access are one field of three values, not bits; MOUNT_ATTR_RELATIME is 0. What "ro" says
 * is said to the file system too, as mount(8) does. */
#define RO .attr_set = MOUNT_ATTR_RDONLY, .sb_set = MS_RDONLY
#define RW .attr_clear = MOUNT_ATTR_RDONLY, .sb_clear = MS_RDONLY
#define TIMES(mode) .attr_set = (mode), .attr_clear = MOUNT_ATTR__ATIME
#define REC .recursive = true

static const struct mount_option {
	const char *name;
	unsigned int attr_set, attr_clear;
	bool recursive; /* these attributes are for all mounts below too */
	unsigned long sb_set, sb_clear;
	unsigned long propagation;
	unsigned int effect; /* enum option_effect */
} options[] = {
	{ .name = "defaults" },
	{ .name = "ro", RO },
	{ .name = "rw", RW },
	{ .name = "nosuid", .attr_set = MOUNT_ATTR_NOSUID },
	{ .name = "suid", .attr_clear = MOUNT_ATTR_NOSUID },
	{ .name = "nodev", .attr_set = MOUNT_ATTR_NODEV },
	{ .name = "dev", .attr_clear = MOUNT_ATTR_NODEV },
	{ .name = "noexec", .attr_set = MOUNT_ATTR_NOEXEC },
	{ .name = "exec", .attr_clear = MOUNT_ATTR_NOEXEC },
	{ .name = "nosymfollow", .attr_set = MOUNT_ATTR_NOSYMFOLLOW },
	{ .name = "symfollow", .attr_clear = MOUNT_ATTR_NOSYMFOLLOW },
	{ .name = "nodiratime", .attr_set = MOUNT_ATTR_NODIRATIME },
	{ .name = "diratime", .attr_clear = MOUNT_ATTR_NODIRATIME },
	{ .name = "relatime", TIMES(MOUNT_ATTR_RELATIME) },
	{ .name = "norelatime", TIMES(MOUNT_ATTR_RELATIME) },
	{ .name = "noatime", TIMES(MOUNT_ATTR_NOATIME) },
	{ .name = "atime", TIMES(MOUNT_ATTR_RELATIME) },
	{ .name = "strictatime", TIMES(MOUNT_ATTR_STRICTATIME) },
	{ .name = "nostrictatime", TIMES(MOUNT_ATTR_RELATIME) },

	{ .name = "rro", .attr_set = MOUNT_ATTR_RDONLY, REC },
	{ .name = "rrw", .attr_clear = MOUNT_ATTR_RDONLY, REC },
	{ .name = "rnosuid", .attr_set = MOUNT_ATTR_NOSUID, REC },
	{ .name = "rsuid", .attr_clear = MOUNT_ATTR_NOSUID, REC },
	{ .name = "rnodev", .attr_set = MOUNT_ATTR_NODEV, REC },
	{ .name = "rdev", .attr_clear = MOUNT_ATTR_NODEV, REC },
	{ .name = "rnoexec", .attr_set = MOUNT_ATTR_NOEXEC, REC },
	{ .name = "rexec", .attr_clear = MOUNT_ATTR_NOEXEC, REC },
	{ .name = "rnosymfollow", .attr_set = MOUNT_ATTR_NOSYMFOLLOW, REC },
	{ .name = "rsymfollow", .attr_clear = MOUNT_ATTR_NOSYMFOLLOW, REC },
	{ .name = "rnodiratime", .attr_set = MOUNT_ATTR_NODIRATIME, REC },
	{ .name = "rdiratime", .attr_clear = MOUNT_ATTR_NODIRATIME, REC },
	{ .name = "rrelatime", TIMES(MOUNT_ATTR_RELATIME), REC },
	{ .name = "rnorelatime", TIMES(MOUNT_ATTR_RELATIME), REC },
	{ .name = "rnoatime", TIMES(MOUNT_ATTR_NOATIME), REC },
	{ .name = "ratime", TIMES(MOUNT_ATTR_RELATIME), REC },
	{ .name = "rstrictatime", TIMES(MOUNT_ATTR_STRICTATIME), REC },
	{ .name = "rnostrictatime", TIMES(MOUNT_ATTR_RELATIME), REC },

	{ .name = "sync", .sb_set = MS_SYNCHRONOUS },
	{ .name = "async", .sb_clear = MS_SYNCHRONOUS },
	{ .name = "dirsync", .sb_set = MS_DIRSYNC },
	{ .name = "mand", .sb_set = MS_MANDLOCK },
	{ .name = "nomand", .sb_clear = MS_MANDLOCK },
	{ .name = "lazytime", .sb_set = MS_LAZYTIME },
	{ .name = "nolazytime", .sb_clear = MS_LAZYTIME },
	{ .name = "iversion", .sb_set = MS_I_VERSION },
	{ .name = "noiversion", .sb_clear = MS_I_VERSION },
	{ .name = "silent", .sb_set = MS_SILENT },
	{ .name = "loud", .sb_clear = MS_SILENT },

	{ .name = "shared", .propagation = MS_SHARED },
	{ .name = "rshared", .propagation = MS_SHARED | MS_REC },
	{ .name = "slave", .propagation = MS_SLAVE },
	{ .name = "rslave", .propagation = MS_SLAVE | MS_REC },
	{ .name = "private", .propagation = MS_PRIVATE },
	{ .name = "rprivate", .propagation = MS_PRIVATE | MS_REC },
	{ .name = "unbindable", .propagation = MS_UNBINDABLE },
	{ .name = "runbindable", .propagation = MS_UNBINDABLE | MS_REC },

	{ .name = "bind", .effect = OPTION_BIND },
	{ .name = "rbind", .effect = OPTION_BIND | OPTION_RECURSIVE },
	{ .name = "remount", .effect = OPTION_REMOUNT },
	{ .name = "tmpcopyup", .effect = OPTION_TMPCOPYUP },
	{ .name = "copy-symlink", .effect = OPTION_COPY_SYMLINK },
	{ .name = "idmap", .effect = OPTION_IDMAP },
	{ .name = "ridmap", .effect = OPTION_IDMAP | OPTION_RECURSIVE },
};

const char *mount_option_name(size_t index)
{
	return index < ARRAY_SIZE(options) ? options[index].name : NULL;
}

static const struct mount_option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].name[0] == name[0] && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

int decode_propagation(const struct json_value *value, const struct json_field *field, void *to)
{
	const struct mount_option *option;
	const char *name = NULL;
	int r = json_text(value, field, &name);

	if (r < 0)
		return r;
	if (!name[0])
		return 0;
	option = find_option(name);
	if (!option || !option->propagation)
		return json_fail(value, "unknown value '%.60s'", name);
	*(unsigned long *)to = option->propagation;
	return 0;
}

/* --- options --------------------------------------------------------------------------------- */

/* A later option undoes an earlier one. */
static void apply_attributes(uint64_t *set, uint64_t *clear, const struct mount_option *option)
{
	*set = (*set & ~(uint64_t)option->attr_clear) | option->attr_set;
	*clear = (*clear & ~(uint64_t)option->attr_set) | option->attr_clear;
}

static void apply_effect(struct oci_mount *mount, unsigned int effect)
{
	const bool recursive = effect & OPTION_RECURSIVE;

	if (effect & OPTION_BIND) {
		mount->bind = true;
		mount->recursive = recursive;
	}
	if (effect & OPTION_IDMAP) {
		mount->idmap = true;
		mount->idmap_recursive = recursive;
	}
	mount->remount |= !!(effect & OPTION_REMOUNT);
	mount->tmpcopyup |= !!(effect & OPTION_TMPCOPYUP);
	mount->copy_symlink |= !!(effect & OPTION_COPY_SYMLINK);
}

static void apply_option(struct oci_mount *mount, const struct mount_option *option)
{
	if (option->recursive)
		apply_attributes(&mount->rec_attr_set, &mount->rec_attr_clear, option);
	else
		apply_attributes(&mount->attr_set, &mount->attr_clear, option);
	mount->sb_flags = (mount->sb_flags & ~option->sb_clear) | option->sb_set;
	if (option->propagation)
		mount->propagation = option->propagation;
	apply_effect(mount, option->effect);
}

/* Writes the option behind the others. `data` has room for it. */
static char *append_data(struct oci_mount *mount, char *at, const char *option)
{
	if (!mount->data)
		mount->data = at;
	else
		*at++ = ',';
	return stpcpy(at, option);
}

/* Bytes that hold all options of the list joined by commas: an upper bound for the data. */
static int measure_options(const struct json_value *value, size_t *ret_bytes)
{
	struct json_value element = { .reader = value->reader, .parent = value };
	size_t bytes = 1;

	if (!cJSON_IsArray(value->item))
		return json_fail(value, "not an array");
	cJSON_ArrayForEach(element.item, value->item) {
		const char *text = NULL;
		int r = json_text(&element, NULL, &text);

		if (r < 0)
			return r;
		bytes += strlen(text) + 1;
		element.index++;
	}
	*ret_bytes = bytes;
	return 0;
}

static int decode_options(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_mount *mount = to;
	const cJSON *item;
	size_t bytes = 0;
	char *at;
	int r = measure_options(value, &bytes);

	(void)field;
	if (r < 0)
		return r;
	at = arena_alloc(value->reader->arena, bytes);
	if (!at)
		return json_fail_memory(value);
	cJSON_ArrayForEach(item, value->item) {
		const struct mount_option *option = find_option(item->valuestring);

		if (option)
			apply_option(mount, option);
		else if (item->valuestring[0])
			at = append_data(mount, at, item->valuestring);
	}
	if (mount->data && (size_t)(at - mount->data) > DATA_MAX_BYTES)
		return json_fail(value, "longer than %d bytes", DATA_MAX_BYTES);
	return 0;
}

/* --- the mount ------------------------------------------------------------------------------- */

/* Configs of before 1.0 have relative destinations: they are meant from the root. */
static int decode_destination(const struct json_value *value, const struct json_field *field,
			      void *to)
{
	const char *path = NULL;
	char *absolute;
	size_t bytes = 0;
	int r = json_string(value, field, &path);

	if (r < 0)
		return r;
	bytes = strlen(path) + 1;
	if (bytes > PATH_MAX_BYTES)
		return json_fail(value, "longer than %d bytes", PATH_MAX_BYTES - 1);
	if (path[0] == '/') {
		*(const char **)to = path;
		return 0;
	}
	absolute = arena_alloc(value->reader->arena, bytes + 1);
	if (!absolute)
		return json_fail_memory(value);
	absolute[0] = '/';
	memcpy(absolute + 1, path, bytes);
	*(const char **)to = absolute;
	return 0;
}

#define MAPPINGS(key, type, member)                                                     \
	{ JSON_LIST(key, type, member.items, member.count, id_mapping_element),         \
	  .most_items = ID_MAPPINGS_MAX }

/* Options are spread over the whole struct, so theirs is the offset 0. */
static const struct json_field mount_fields[] = {
	{ JSON_MEMBER("destination", struct oci_mount, destination, decode_destination),
	  .required = true },
	{ JSON_MEMBER("type", struct oci_mount, type, json_string), .most_bytes = 255 },
	{ JSON_MEMBER("source", struct oci_mount, source, json_string),
	  .most_bytes = PATH_MAX_BYTES },
	{ .name = "options", .decode = decode_options },
	MAPPINGS("uidMappings", struct oci_mount, uid_mappings),
	MAPPINGS("gidMappings", struct oci_mount, gid_mappings),
};
static const struct json_table mount_table = JSON_TABLE(mount_fields);

static int check_mount(const struct json_value *value, struct oci_mount *mount)
{
	/* The type "bind" alone is what docker's API calls a bind mount. */
	if (mount->type && strcmp(mount->type, "bind") == 0)
		mount->bind = true;
	if (!mount->uid_mappings.count != !mount->gid_mappings.count)
		return json_fail(value, "uidMappings and gidMappings only go together");
	if (mount->uid_mappings.count)
		mount->idmap = true;
	if (mount->bind && !mount->remount && !mount->source)
		return json_fail_member(value, "source", "missing");
	if (!mount->type && !mount->bind && !mount->remount && !mount->propagation)
		return json_fail_member(value, "type", "missing");
	return 0;
}

static int decode_mount(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_mount *mount = to;
	char path[sizeof("mounts[18446744073709551615]")];
	char *copy;
	int n;
	int r = json_members(value, field->table, mount);

	if (r < 0)
		return r;
	n = snprintf(path, sizeof(path), "mounts[%zu]", value->index);
	copy = arena_alloc(value->reader->arena, (size_t)n + 1);
	if (!copy)
		return json_fail_memory(value);
	memcpy(copy, path, (size_t)n);
	mount->path = copy;
	return check_mount(value, mount);
}

const struct json_field mount_element = { .decode = decode_mount, .table = &mount_table };
