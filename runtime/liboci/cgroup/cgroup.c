/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup's life: planned, made, described, found again, changed.
 *
 * The caller owns a struct cgroup; one thread uses it. What lasts is the folder in each hierarchy
 * and the description, in the container's state.
 */
#include "cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

#define DISABLED "disabled"

static void cgroup_free_p(struct cgroup **cgroup)
{
	(void)cgroup_free(*cgroup);
}

#define cleanup_cgroup __attribute__((cleanup(cgroup_free_p)))

static struct cgroup *cgroup_alloc(void)
{
	struct cgroup *cgroup = calloc(1, sizeof(*cgroup));

	if (cgroup)
		cgroup_detect(cgroup);
	return cgroup;
}

/* --- new ----------------------------------------------------------------------------------- */

static int check_devices(const struct oci_resources *resources, struct err *err)
{
	cleanup_free struct oci_device_rule *rules = NULL;
	size_t count;

	return resources && resources->device_count ?
		       cgroup_device_rules(resources, &rules, &count, err) : 0;
}

int cgroup_new(struct cgroup **ret_cgroup, const struct cgroup_config *config, struct err *err)
{
	cleanup_cgroup struct cgroup *cgroup = cgroup_alloc();
	int r;

	if (!cgroup)
		return err_set(err, -ENOMEM, "out of memory");
	cgroup->rootless = config->rootless;
	if (config->disabled) {
		cgroup->hierarchy_count = 0;
		*ret_cgroup = TAKE_PTR(cgroup);
		return 0;
	}
	if (config->systemd)
		r = cgroup_scope_new(&cgroup->scope, config->cgroups_path, config->id,
				     config->rootless, err);
	else
		r = cgroup_path_make(&cgroup->path, config->cgroups_path, config->id, err);
	if (r == 0)
		r = cgroup_resources_check(cgroup, config->resources, err);
	if (r == 0)
		r = check_devices(config->resources, err);
	if (r < 0)
		return r;
	if (cgroup->scope)
		cgroup->path = cgroup_scope_path(cgroup->scope);
	*ret_cgroup = TAKE_PTR(cgroup);
	return 0;
}

/* --- make ---------------------------------------------------------------------------------- */

static int set_all(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err)
{
	int r = cgroup_resources_apply(cgroup, resources, err);

	return r < 0 ? r : cgroup_devices_apply(cgroup, resources, err);
}

/* It may be somebody else's that was in the way: from now on this one does nothing, so that a
 * caller who cleans up ends no process that is not his. */
static void disown(struct cgroup *cgroup)
{
	cgroup_unmake_folders(cgroup);
	cgroup->hierarchy_count = 0;
	cgroup->scope = cgroup_scope_free(cgroup->scope);
	free(cgroup->path);
	cgroup->path = NULL;
}

int cgroup_make(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err)
{
	int r;

	if (!cgroup->scope && !cgroup->path)
		return 0;
	if (cgroup->scope) {
		cgroup->resources = resources;
		cgroup->wants_scope = true;
		return 0;
	}
	r = cgroup_make_folders(cgroup, err);
	if (r == 0)
		r = set_all(cgroup, resources, err);
	if (r < 0)
		disown(cgroup);
	return r;
}

/* The path that systemd has chosen, as the process has it now. */
static int read_own_path(struct cgroup *cgroup, pid_t pid, struct err *err)
{
	const char *key = cgroup_layout_is_v2(cgroup) ? "\n0::" : ":name=systemd:";
	char file[64], text[CGROUP_FILE_BYTES] = "\n";
	const char *found;
	char *path;

	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	if (cgroup_file_read(AT_FDCWD, file, text + 1, sizeof(text) - 1) <= 0)
		return err_set(err, -EIO, "cannot read '%s'", file);
	found = strstr(text, key);
	if (found)
		found += strlen(key);
	path = found ? strndup(found, strcspn(found, "\n")) : NULL;
	if (!path || !cgroup_path_is_clean(path)) {
		free(path);
		return err_set(err, -EIO, "process %d is in no cgroup that systemd has made", pid);
	}
	free(cgroup->path);
	cgroup->path = path;
	return 0;
}

/* systemd makes the folder in v2, or in its own hierarchy of v1; the other ones are ours to
 * make. */
int cgroup_enter_scope(struct cgroup *cgroup, pid_t pid, struct err *err)
{
	bool v2 = cgroup_layout_is_v2(cgroup);
	int r = cgroup_scope_start(cgroup->scope, pid, cgroup->resources, v2, err);

	cgroup->wants_scope = false;
	if (r == -EEXIST)
		disown(cgroup);
	if (r == 0)
		r = read_own_path(cgroup, pid, err);
	if (r < 0)
		return r;
	if (v2)
		cgroup->fresh = cgroup_open_folders(cgroup);
	else
		r = cgroup_make_scope_folders(cgroup, err);
	return r < 0 ? r : set_all(cgroup, cgroup->resources, err);
}

int cgroup_fd(const struct cgroup *cgroup)
{
	return cgroup->hierarchy_count && cgroup_layout_is_v2(cgroup) ?
		       cgroup->hierarchies[0].dir : -1;
}

/* --- description --------------------------------------------------------------------------- */

/* MANAGER PRIVILEGE and the rest: the path, or the slice and the scope. Of a disabled one only a
 * word. */
char *cgroup_describe(const struct cgroup *cgroup)
{
	char *text = NULL;
	int n;

	if (cgroup->scope)
		n = asprintf(&text, "systemd %s %s %s", cgroup->rootless ? "rootless" : "full",
			     cgroup_scope_slice(cgroup->scope), cgroup_scope_unit(cgroup->scope));
	else if (!cgroup->path)
		n = asprintf(&text, DISABLED);
	else
		n = asprintf(&text, "cgroupfs %s %s", cgroup->rootless ? "rootless" : "full",
			     cgroup->path);
	return n < 0 ? NULL : text;
}

static bool take_word(const char **text, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*text, word, length) != 0 || (*text)[length] != ' ')
		return false;
	*text += length + 1;
	return true;
}

static int read_description(struct cgroup *cgroup, const char *text, struct err *err)
{
	bool systemd = take_word(&text, "systemd");

	if (strcmp(text, DISABLED) == 0) {
		cgroup->hierarchy_count = 0;
		return 0;
	}
	if (!systemd && !take_word(&text, "cgroupfs"))
		return err_set(err, -EINVAL, "not the description of a cgroup");
	cgroup->rootless = take_word(&text, "rootless");
	if (!cgroup->rootless && !take_word(&text, "full"))
		return err_set(err, -EINVAL, "not the description of a cgroup");
	if (systemd)
		return cgroup_scope_open(&cgroup->scope, text, cgroup->rootless, err);
	if (!cgroup_path_is_clean(text))
		return err_set(err, -EINVAL, "not the path of a cgroup");
	cgroup->path = strdup(text);
	return cgroup->path ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* The place where systemd should have put it spares a question to it, which costs milliseconds. One
 * that is in neither place has ended. */
static int find_scope(struct cgroup *cgroup)
{
	char *path = NULL;

	cgroup->path = cgroup_scope_path(cgroup->scope);
	if (cgroup_open_folders(cgroup))
		return 0;
	if (cgroup_scope_ask_path(cgroup->scope, &path, NULL) < 0)
		return 0;
	free(cgroup->path);
	cgroup->path = path;
	return cgroup_open_folders(cgroup) ? 0 : -ENOENT;
}

int cgroup_open(struct cgroup **ret_cgroup, const char *description, struct err *err)
{
	cleanup_cgroup struct cgroup *cgroup = cgroup_alloc();
	int r;

	if (!cgroup)
		return err_set(err, -ENOMEM, "out of memory");
	r = read_description(cgroup, description, err);
	if (r < 0)
		return r;
	if (cgroup->scope)
		(void)find_scope(cgroup);
	else
		(void)cgroup_open_folders(cgroup);
	*ret_cgroup = TAKE_PTR(cgroup);
	return 0;
}

/* --- update and end ------------------------------------------------------------------------ */

int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err)
{
	int r;

	cgroup->fresh = false;
	r = cgroup_resources_apply(cgroup, resources, err);
	if (r == 0 && resources->device_count > 0)
		r = cgroup_devices_apply(cgroup, resources, err);
	if (r == 0 && cgroup->scope)
		r = cgroup_scope_update(cgroup->scope, resources, cgroup_layout_is_v2(cgroup), err);
	return r;
}

struct cgroup *cgroup_free(struct cgroup *cgroup)
{
	if (!cgroup)
		return NULL;
	for (size_t i = 0; i < cgroup->hierarchy_count; i++)
		(void)fd_close(cgroup->hierarchies[i].dir);
	(void)cgroup_scope_free(cgroup->scope);
	free(cgroup->path);
	free(cgroup);
	return NULL;
}
