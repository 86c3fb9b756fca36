/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of programs and state.
 */
#include "quark_paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

enum { NAME_MAX_CHARS = 63 };

static char *join(const char *a, const char *b)
{
	char *path;

	return asprintf(&path, "%s/%s", a, b) < 0 ? NULL : path;
}

/* The folder above the one that holds this program. */
static int find_prefix(struct paths *paths, struct err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return err_set(err, -errno, "cannot read /proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(self, '/');
		if (!slash)
			return err_set(err, -ENOENT, "cannot tell where this program is installed");
		*slash = '\0';
	}
	paths->prefix = strdup(self);
	return paths->prefix ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int set_programs(struct paths *paths, struct err *err)
{
	const struct {
		char **path;
		const char *below;
	} programs[] = {
		{&paths->quark, "bin/quark"},	      {&paths->lumper, "bin/lumper"},
		{&paths->guest, "libexec/quark/guest.cpio"},
		{&paths->calibration, "libexec/quark/guest/calibration"},
		{&paths->rig, "libexec/quark/rig"},   {&paths->samples, "share/quark/new"},
		{&paths->include, "include"},	      {&paths->lib, "lib"},
		{&paths->rig_call, "libexec/quark/rig-call"},
		{&paths->kernel_fetch, "libexec/quark/kernel-fetch"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		*programs[i].path = join(paths->prefix, programs[i].below);
		if (!*programs[i].path)
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static char *default_home(void)
{
	const char *quark_home = getenv("QUARK_HOME");
	const char *data_home = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");

	if (quark_home && quark_home[0])
		return strdup(quark_home);
	if (data_home && data_home[0] == '/')
		return join(data_home, "quark");
	return join(home && home[0] ? home : "/", ".local/share/quark");
}

/* Absolute, because it is handed to programs that run elsewhere. */
static int set_home(struct paths *paths, const char *home, struct err *err)
{
	cleanup_free char *chosen = home ? strdup(home) : default_home();
	cleanup_free char *cwd = NULL;

	if (!chosen)
		return err_set(err, -ENOMEM, "out of memory");
	if (chosen[0] == '/') {
		paths->home = TAKE_PTR(chosen);
		return 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_set(err, -errno, "cannot tell the current folder: %s", strerror(errno));
	paths->home = join(cwd, chosen);
	return paths->home ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int make_folders(const char *path, struct err *err)
{
	cleanup_free char *copy = strdup(path);

	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	for (char *at = copy + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		(void)mkdir(copy, 0700); /* the last one tells what is wrong */
		*at = '/';
	}
	if (mkdir(copy, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make folder '%s': %s", path, strerror(errno));
	return 0;
}

bool name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_CHARS || strchr("._-", name[0]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

int name_check(const char *name, struct err *err)
{
	if (!name_is_valid(name))
		return err_set(err, -EINVAL,
			       "'%s' is not a name: use a-z, 0-9, '.', '_' and '-', at most %d "
			       "of them, beginning with a letter or digit",
			       name, NAME_MAX_CHARS);
	return 0;
}

char *paths_in_home(const struct paths *paths, const char *a, const char *b)
{
	char *path;
	int n = b ? asprintf(&path, "%s/%s/%s", paths->home, a, b)
		  : asprintf(&path, "%s/%s", paths->home, a);

	return n < 0 ? NULL : path;
}

static int set_rig(struct paths *paths, struct err *err)
{
	paths->rig_home = paths_in_home(paths, "rig", NULL);
	paths->rig_state = paths_in_home(paths, "rig", RIG_NAME);
	return paths->rig_home && paths->rig_state ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int paths_init(struct paths *paths, const char *home, struct err *err)
{
	int r;

	*paths = (struct paths){0};
	r = find_prefix(paths, err);
	if (r == 0)
		r = set_programs(paths, err);
	if (r == 0)
		r = set_home(paths, home, err);
	if (r == 0)
		r = set_rig(paths, err);
	if (r < 0)
		paths_done(paths);
	return r;
}

void paths_done(struct paths *paths)
{
	char *const all[] = {paths->home,   paths->rig_home, paths->rig_state, paths->prefix,
			     paths->quark,  paths->lumper,   paths->guest,     paths->rig,
			     paths->rig_call, paths->kernel_fetch, paths->include, paths->lib,
			     paths->samples, paths->calibration};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	*paths = (struct paths){0};
}
