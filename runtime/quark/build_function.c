/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling a function and laying out its files.
 */
#include "build_function.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build_priv.h"
#include "cleanup.h"
#include "file_tree.h"

#define FUNCTION_PROGRAM "function"

/* --- running the compiler ------------------------------------------------------------------ */

/* Reads a child's output until it closes it; keeps the first COMPILER_OUTPUT_MAX bytes. */
static int output_read(int fd, char **ret_output)
{
	cleanup_free char *output = malloc(COMPILER_OUTPUT_MAX + 1);
	char drop[4096];
	size_t bytes = 0;

	if (!output)
		return -ENOMEM;
	for (;;) {
		size_t room = COMPILER_OUTPUT_MAX - bytes;
		ssize_t n = read(fd, room ? output + bytes : drop, room ? room : sizeof(drop));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		bytes += room ? (size_t)n : 0;
	}
	output[bytes] = 0;
	if (bytes > 0)
		*ret_output = TAKE_PTR(output);
	return 0;
}

static int child_spawn(struct build_args *args, const char *folder, int output, pid_t *ret_pid)
{
	/* Fixed, so that a build does not depend on who started it. */
	static char *const envp[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};
	posix_spawn_file_actions_t actions;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (!r)
		r = posix_spawn_file_actions_addchdir_np(&actions, folder);
	if (!r)
		r = posix_spawnp(ret_pid, args->items[0], &actions, NULL, args->items, envp);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs the program; its exit status, or -errno when it could not be run. */
static int child_run(struct build_args *args, const char *folder, char **ret_output)
{
	cleanup_fd int from = -1, to = -1;
	int fds[2], r, status;
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	from = fds[0];
	to = fds[1];
	r = child_spawn(args, folder, to, &pid);
	if (r < 0)
		return r;
	to = fd_close(to);
	r = output_read(from, ret_output);
	from = fd_close(from); /* a child that still writes gets SIGPIPE instead of waiting */
	status = child_wait(pid);
	return r < 0 ? r : status;
}

static int compile(const struct function_config *config, const struct build_paths *paths,
		   const char *program, char **ret_output, struct err *err)
{
	cleanup_build_args struct build_args args = {};
	int r;

	build_args_fill(&args, config, paths, program);
	r = args.failed ? -ENOMEM : child_run(&args, config->folder, ret_output);
	if (r < 0)
		return err_set(err, r, "cannot run the compiler '%s': %s", build_compiler(paths),
			       strerror(-r));
	if (r > 0)
		return err_set(err, -ENOEXEC,
			       "cannot compile '%s': the compiler ended with status %d",
			       config->folder, r);
	return 0;
}

/* --- laying out ---------------------------------------------------------------------------- */

static int make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
		return err_set(err, -errno, "cannot make '%s': %s", path, strerror(errno));
	return 0;
}

static int copy_files(const struct function_config *config, const char *folder, struct err *err)
{
	int r = 0;

	if (config->files.count == 0 && config->lang != LANG_C)
		return file_tree_copy(config->folder, folder, err);
	for (size_t i = 0; r == 0 && i < config->files.count; i++)
		r = file_tree_copy_item(config->folder, config->files.items[i], folder, err);
	return r;
}

static int fill(const struct function_config *config, const struct build_paths *paths,
		const char *folder, char **ret_output, struct err *err)
{
	cleanup_free char *program = NULL;
	int r = 0;

	if (asprintf(&program, "%s/" FUNCTION_PROGRAM, folder) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (config->lang == LANG_C)
		r = compile(config, paths, program, ret_output, err);
	if (r == 0 && config->lang == LANG_C && chmod(program, 0755) < 0)
		r = err_set(err, -errno, "the compiler made no '%s': %s", program,
			    strerror(errno));
	return r < 0 ? r : copy_files(config, folder, err);
}

int function_build(const struct function_config *config, const struct build_paths *paths,
		   const char *workdir, char **ret_files, char **ret_output, struct err *err)
{
	cleanup_free char *root = realpath(workdir, NULL), *files = NULL, *folder = NULL;
	int r;

	*ret_output = NULL;
	if (!root)
		return err_set(err, -errno, "cannot open '%s': %s", workdir, strerror(errno));
	if (asprintf(&files, "%s/files", root) < 0 ||
	    asprintf(&folder, "%s" FUNCTION_FOLDER, files) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = make_folder(files, err);
	if (r == 0)
		r = make_folder(folder, err);
	if (r == 0)
		r = fill(config, paths, folder, ret_output, err);
	if (r == 0)
		*ret_files = TAKE_PTR(files);
	return r;
}
