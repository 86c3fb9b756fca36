/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at containers: state, list.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "container/container.h"
#include "spec/spec.h"

int oci_state_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err)
{
	struct oci_spec *spec = NULL;
	struct container container;
	int r = container_open(&container, runtime, id, false, err);

	/* Without its configuration only the annotations are lost. */
	if (r == 0 && container_load_spec(&container, &spec, err) < 0)
		runtime_warn(runtime, "%s", err ? err->message : "no saved config");
	if (r == 0) {
		*ret_json = container_state_json(&container, container_status(&container), spec);
		r = *ret_json ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	(void)spec_free(spec);
	container_done(&container);
	return r;
}

static void info_done(struct oci_container_info *info)
{
	free(info->id);
	free(info->bundle);
	free(info->rootfs);
	free(info->created);
	free(info->owner);
}

static char *owner_name(uid_t uid)
{
	char *text = NULL;
	struct passwd entry, *found = NULL;
	char buffer[1024];

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
		return strdup(found->pw_name);
	return asprintf(&text, "#%u", uid) < 0 ? NULL : text;
}

static int describe(struct container *container, struct oci_container_info *ret_info,
		    struct err *err)
{
	struct record *record = &container->record;

	*ret_info = (struct oci_container_info){
		.status = container_status(container),
		.id = TAKE_PTR(container->id),
		.bundle = TAKE_PTR(record->bundle),
		.rootfs = TAKE_PTR(record->rootfs),
		.created = TAKE_PTR(record->created),
		.owner = owner_name(record->owner),
	};
	ret_info->pid = ret_info->status == OCI_STOPPED ? 0 : record->pid;
	if (ret_info->owner)
		return 0;
	info_done(ret_info);
	return err_set(err, -ENOMEM, "out of memory");
}

/* 1: described, 0: left out. */
static int look_at(const struct oci_runtime *runtime, const char *id,
		   struct oci_container_info *ret_info)
{
	struct container container;
	struct err err = {};
	int r = container_open(&container, runtime, id, false, &err);

	if (r == 0)
		r = describe(&container, ret_info, &err);
	if (r < 0 && r != -ENOENT)
		runtime_warn(runtime, "%s", err.message);
	container_done(&container);
	return r == 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct oci_container_info *)a)->id,
		      ((const struct oci_container_info *)b)->id);
}

static int read_root(const struct oci_runtime *runtime, DIR *root,
		     struct oci_container_info **containers, size_t *count, struct err *err)
{
	size_t room = 0;
	struct dirent *entry;

	while ((entry = readdir(root))) {
		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		if (*count == room) {
			struct oci_container_info *more;

			room = room ? room * 2 : 16;
			more = reallocarray(*containers, room, sizeof(**containers));
			if (!more)
				return err_set(err, -ENOMEM, "out of memory");
			*containers = more;
		}
		*count += (size_t)look_at(runtime, entry->d_name, &(*containers)[*count]);
	}
	return 0;
}

int oci_list(const struct oci_runtime *runtime, struct oci_container_info **ret_containers,
	     size_t *ret_count, struct err *err)
{
	struct oci_container_info *containers = NULL;
	DIR *root = opendir(runtime->root);
	size_t count = 0;
	int r = 0;

	if (!root && errno != ENOENT)
		return err_set(err, -errno, "cannot read the state root '%s': %s", runtime->root,
			       strerror(errno));
	if (root)
		r = read_root(runtime, root, &containers, &count, err);
	if (root)
		(void)closedir(root);
	if (r < 0) {
		oci_list_free(containers, count);
		return r;
	}
	if (count)
		qsort(containers, count, sizeof(*containers), by_id);
	*ret_containers = containers;
	*ret_count = count;
	return 0;
}

void oci_list_free(struct oci_container_info *containers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		info_done(&containers[i]);
	free(containers);
}
