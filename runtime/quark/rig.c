/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the rig up, and going into it.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "progress.h"

#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"

enum { RIG_OPTIONS_MAX_BYTES = 64 << 10 };

/* Whether PATH has the program. */
static bool have_program(const char *name)
{
	const char *at = getenv("PATH");

	while (at && *at) {
		const size_t n = strcspn(at, ":");
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%.*s/%s", (int)n, at, name) >= 0 && access(path, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

int rig_check(const struct paths *paths, struct err *err)
{
	static const char *const programs[] = {"qemu-system-x86_64", "cpio", "setsid"};

	if (access(paths->rig, X_OK) < 0)
		return err_set(err, -ENODEV, "no rig tool at '%s'", paths->rig);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!have_program(programs[i]))
			return err_set(err, -ENODEV, "the rig needs %s, which is not installed",
				       programs[i]);
	if (access(VIRTIOFSD, X_OK) < 0)
		return err_set(err, -ENODEV, "the rig needs " VIRTIOFSD ", which is not installed");
	return 0;
}

int rig_set_environment(const struct cli *cli, struct err *err)
{
	const char *home = cli->paths.rig_home;
	int r = make_folders(home, err);

	if (r < 0)
		return r;
	if (setenv("RIG_HOME", home, 1) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return chmod(home, 0700) < 0 ? err_set(err, -errno, "cannot change '%s': %s", home,
					       strerror(errno))
				     : 0;
}

static int state_open(const struct cli *cli, const char *name)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/%s", cli->paths.rig_state, name) < 0)
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool state_has(const struct cli *cli, const char *name)
{
	cleanup_free char *path = NULL;

	return asprintf(&path, "%s/%s", cli->paths.rig_state, name) >= 0 && access(path, F_OK) == 0;
}

/* As the tool itself tells it: the processes of a rig that is up hold the lock, and one that ended
 * by itself leaves `died`. Before the socket is there it is still being started, and the tool waits
 * for that. Asking here saves the start of a shell on every invocation. */
static bool is_running(const struct cli *cli)
{
	cleanup_fd int lock = state_open(cli, "lock");

	return lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	       !state_has(cli, "died") && state_has(cli, "port0.sock");
}

/* Whether the rig shares a folder: another build's rig may not share the one of these programs. */
static bool shares(const struct cli *cli, const char *work)
{
	cleanup_free char *wanted = NULL;
	cleanup_free uint8_t *options = NULL;
	cleanup_fd int fd = state_open(cli, "options");
	size_t bytes;

	if (fd < 0 || asprintf(&wanted, "\nwork=%s\n", work) < 0)
		return false;
	return file_read_fd(fd, RIG_OPTIONS_MAX_BYTES, &options, &bytes) == 0 &&
	       strstr((const char *)options, wanted);
}

/* Programs in the system's own folders do not change while a rig is up. */
static bool must_share_programs(const struct paths *paths)
{
	return strcmp(paths->prefix, "/usr") != 0 && paths->prefix[0] != '\0';
}

static int start(const struct cli *cli, struct err *err)
{
	struct args args = {0};
	struct progress progress;
	int code = 0;
	int r;

	ARGS_ADD(&args, cli->paths.rig, "start", "--name", RIG_NAME, "--replace", "-w",
		 cli->paths.home);
	if (must_share_programs(&cli->paths))
		ARGS_ADD(&args, "-w", cli->paths.prefix);
	progress_begin(&progress, "starting the emulated host (rig)", cli->quiet);
	r = child_run(&args, &CHILD_INHERIT, &code, err);
	progress_end(&progress);
	if (r == 0 && code != 0)
		r = err_set(err, -ENODEV, "the rig did not start (exit code %d)", code);
	return r;
}

int rig_ensure(const struct cli *cli, struct err *err)
{
	int r = rig_set_environment(cli, err);

	if (r < 0)
		return r;
	if (is_running(cli) &&
	    (!must_share_programs(&cli->paths) || shares(cli, cli->paths.prefix)))
		return 0;
	r = rig_check(&cli->paths, err);
	return r < 0 ? r : start(cli, err);
}

/* Not by the tool's own `exec`: its shell takes longer than everything else on the way in. */
void rig_add_exec(const struct cli *cli, struct args *args)
{
	ARGS_ADD(args, cli->paths.rig_call, "exec", "--state", cli->paths.rig_state, "--cwd", "/",
		 "--env", "PATH", "--env", "HOME", "--env", "RIG_CLOCK=wall", "--");
}
