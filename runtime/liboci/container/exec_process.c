/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `exec` runs.
 */
#include "container/exec_process.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/capability.h>

#include "cleanup.h"
#include "file.h"
#include "number.h"
#include "oci.h"
#include "spec/spec.h"

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static size_t count_of(const char *const *items)
{
	size_t count = 0;

	while (items && items[count])
		count++;
	return count;
}

/* A later NAME=VALUE wins over an earlier one of that name; execve would pass both. */
static bool is_overridden(const char *pair, const char *const *by)
{
	size_t name = strcspn(pair, "=");

	for (; by && *by; by++)
		if (strncmp(pair, *by, name) == 0 && (*by)[name] == '=')
			return true;
	return false;
}

static int add_environment(struct oci_spec *spec, const char *const *added, struct err *err)
{
	struct oci_strings *env = &spec->process->env;
	size_t more = count_of(added), count = 0;
	const char **items = spec_alloc(spec, (env->count + more + 1) * sizeof(*items));

	if (!items)
		return out_of_memory(err);
	for (size_t i = 0; i < env->count; i++)
		if (!is_overridden(env->items[i], added))
			items[count++] = env->items[i];
	for (size_t i = 0; i < more; i++)
		items[count++] = added[i];
	*env = (struct oci_strings){ .items = items, .count = count };
	return 0;
}

static int set_arguments(struct oci_spec *spec, const char *const *args, struct err *err)
{
	size_t count = count_of(args);
	const char **items = spec_alloc(spec, (count + 1) * sizeof(*items));

	if (!items)
		return out_of_memory(err);
	for (size_t i = 0; i < count; i++)
		items[i] = args[i];
	spec->process->args = (struct oci_strings){ .items = items, .count = count };
	return 0;
}

/* UID[:GID] */
static int set_user(struct oci_user *user, const char *text, struct err *err)
{
	uint64_t uid, gid = 0;
	char *end;

	if (!number_take(text, &end, &uid) || (*end && *end != ':') || uid >= UINT32_MAX ||
	    (*end == ':' && !number_parse(end + 1, 0, UINT32_MAX - 1, &gid)))
		return err_set(err, -EINVAL, "user '%.80s' is not UID[:GID] in numbers", text);
	*user = (struct oci_user){ .uid = (uint32_t)uid, .gid = (uint32_t)gid };
	return 0;
}

static int set_groups(struct oci_spec *spec, const struct oci_exec_options *options,
		      struct err *err)
{
	size_t count = options->additional_gid_count;
	uint32_t *gids = spec_alloc(spec, (count + 1) * sizeof(*gids));

	if (!gids)
		return out_of_memory(err);
	memcpy(gids, options->additional_gids, count * sizeof(*gids));
	spec->process->user.additional_gids = gids;
	spec->process->user.additional_gid_count = count;
	return 0;
}

static int add_capabilities(struct oci_capabilities *capabilities, const char *const *names,
			    struct err *err)
{
	for (; names && *names; names++) {
		cap_value_t number;

		if (cap_from_name(*names, &number) < 0)
			return err_set(err, -EINVAL, "unknown capability '%.60s'", *names);
		capabilities->present = true;
		capabilities->bounding |= UINT64_C(1) << number;
		capabilities->effective |= UINT64_C(1) << number;
		capabilities->permitted |= UINT64_C(1) << number;
	}
	return 0;
}

static int read_process(const char *path, struct oci_spec **ret_spec, struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	size_t bytes;
	int r = file_read(path, SPEC_MAX_BYTES, &text, &bytes, err);

	if (r == 0)
		r = spec_parse_process(ret_spec, (const char *)text, bytes, err);
	return r < 0 ? err_prefix(err, r, "process file '%s'", path) : 0;
}

/* A file stands for itself but for what it leaves open. */
static int use_file(struct oci_spec *spec, const char *path, struct oci_spec **ret_holder,
		    struct err *err)
{
	int r = read_process(path, ret_holder, err);

	if (r < 0)
		return r;
	if (!(*ret_holder)->process->capabilities.present)
		(*ret_holder)->process->capabilities = spec->process->capabilities;
	spec->process = (*ret_holder)->process;
	return 0;
}

static int apply_options(struct oci_spec *spec, const struct oci_exec_options *options,
			 struct err *err)
{
	struct oci_process *process = spec->process;
	int r = set_arguments(spec, options->args, err);

	process->terminal = options->tty;
	process->console_height = 0;
	process->console_width = 0;
	if (r == 0 && options->user)
		r = set_user(&process->user, options->user, err);
	if (r == 0 && options->additional_gid_count)
		r = set_groups(spec, options, err);
	if (r == 0)
		r = add_capabilities(&process->capabilities, options->caps, err);
	if (options->apparmor)
		process->apparmor_profile = options->apparmor;
	if (options->process_label)
		process->selinux_label = options->process_label;
	if (options->no_new_privs)
		process->no_new_privileges = true;
	return r;
}

int exec_process_build(struct oci_spec *spec, const struct oci_exec_options *options,
		       struct oci_spec **ret_holder, struct err *err)
{
	int r;

	*ret_holder = NULL;
	if (!spec->process)
		return err_set(err, -EINVAL, "the container has no process");
	if (!options->process_path && !count_of(options->args))
		return err_set(err, -EINVAL, "no program is given");
	r = options->process_path ? use_file(spec, options->process_path, ret_holder, err) :
				    apply_options(spec, options, err);
	if (r == 0 && options->env)
		r = add_environment(spec, options->env, err);
	if (r == 0 && options->cwd)
		spec->process->cwd = options->cwd;
	return r;
}
