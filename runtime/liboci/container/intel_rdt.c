/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel RDT resource groups. The kernel checks what is written; its verdict is the error.
 */
#include "container/intel_rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "spec/spec.h"

#define RESCTRL "/sys/fs/resctrl"

static bool is_folder_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int group_path(const struct oci_spec *spec, const char *id, char **ret_path)
{
	const char *name = spec->linux.intel_rdt.clos_id ? spec->linux.intel_rdt.clos_id : id;

	if (!is_folder_name(name))
		return -EINVAL;
	return asprintf(ret_path, RESCTRL "/%s", name) < 0 ? -ENOMEM : 0;
}

char *intel_rdt_folder(const struct oci_spec *spec, const char *id)
{
	char *path = NULL;

	if (!spec->linux.intel_rdt.present || group_path(spec, id, &path) < 0)
		return NULL;
	if (spec->linux.intel_rdt.clos_id && access(path, F_OK) == 0) {
		free(path);
		return NULL;
	}
	return path;
}

static int write_member(const char *folder, const char *file, const char *text, const char *member,
			struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;

	if (asprintf(&path, "%s/%s", folder, file) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_set(err, -errno, "linux.intelRdt.%s: %s: %s", member, path,
			       strerror(errno));
	return 0;
}

static int write_schema(const char *folder, const char *schema, const char *member, struct err *err)
{
	cleanup_free char *line = NULL;

	if (!schema)
		return 0;
	if (asprintf(&line, "%s\n", schema) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return write_member(folder, "schemata", line, member, err);
}

int intel_rdt_enter(const struct oci_spec *spec, const char *folder, pid_t pid, struct err *err)
{
	cleanup_free char *shared = NULL;
	char number[16];
	int r;

	if (!spec->linux.intel_rdt.present)
		return 0;
	if (access(RESCTRL "/schemata", F_OK) < 0)
		return err_set(err, -ENOTSUP, "linux.intelRdt: this kernel has no %s", RESCTRL);
	if (!folder && group_path(spec, "", &shared) < 0)
		return err_set(err, -EINVAL, "linux.intelRdt.closID: not the name of a group");
	if (folder && mkdir(folder, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "linux.intelRdt: cannot make '%s': %s", folder,
			       strerror(errno));
	folder = folder ? folder : shared;
	r = write_schema(folder, spec->linux.intel_rdt.l3_cache_schema, "l3CacheSchema", err);
	if (r == 0)
		r = write_schema(folder, spec->linux.intel_rdt.mem_bw_schema, "memBwSchema", err);
	if (r < 0)
		return r;
	(void)snprintf(number, sizeof(number), "%d", pid);
	return write_member(folder, "tasks", number, "closID", err);
}
