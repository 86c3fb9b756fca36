/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling and packing a function.
 */
#include "build_function.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build_initramfs.h"
#include "build_priv.h"
#include "cleanup.h"
#include "file.h"

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

/* --- packing ------------------------------------------------------------------------------- */

/* The kernel makes no missing folder, and does not mind one that comes twice. */
static void add_parents(struct initramfs *archive, const char *name, size_t from)
{
	char parent[PATH_MAX];

	for (size_t i = from; name[i]; i++) {
		if (name[i] != '/')
			continue;
		(void)snprintf(parent, sizeof(parent), "%.*s", (int)i, name);
		initramfs_add_folder(archive, parent, 0755);
	}
}

static int add_function_file(struct initramfs *archive, const char *folder, const char *file,
			     struct err *err)
{
	char host_path[PATH_MAX], name[PATH_MAX];
	struct stat st;
	int n;

	n = snprintf(host_path, sizeof(host_path), "%s/%s", folder, file);
	if (n < 0 || (size_t)n >= sizeof(host_path))
		return err_set(err, -ENAMETOOLONG, "path too long: '%s/%s'", folder, file);
	if (stat(host_path, &st) < 0)
		return err_set(err, -errno, "cannot read '%s': %s", host_path, strerror(errno));
	(void)snprintf(name, sizeof(name), "function/%s", file);
	add_parents(archive, name, sizeof("function/") - 1);
	return initramfs_add_file(archive, name, st.st_mode & 0111 ? 0755 : 0644, host_path, err);
}

static int pack(const struct function_config *config, const struct build_paths *paths,
		const char *program, const char *initrd, struct err *err)
{
	static const char *const folders[] = {"dev", "proc", "sys", "tmp", "function"};
	cleanup_initramfs struct initramfs archive = {};
	int r;

	r = initramfs_init(&archive, initrd, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		initramfs_add_folder(&archive, folders[i], 0755);
	/* The kernel opens it for PID 1 before anything is mounted. */
	initramfs_add_char_device(&archive, "dev/console", 0600, makedev(5, 1));
	r = initramfs_add_file(&archive, "init", 0755, paths->init, err);
	if (r == 0)
		r = initramfs_add_file(&archive, "function/function", 0755, program, err);
	for (size_t i = 0; r == 0 && i < config->files.count; i++)
		r = add_function_file(&archive, config->folder, config->files.items[i], err);
	return r < 0 ? r : initramfs_finish(&archive, err);
}

int function_build(const struct function_config *config, const struct build_paths *paths,
		   const char *workdir, char ret_initrd[PATH_MAX], char **ret_output,
		   struct err *err)
{
	char program[PATH_MAX], initrd[PATH_MAX], folder[PATH_MAX];
	int r;

	*ret_output = NULL;
	if (!realpath(workdir, folder))
		return err_set(err, -errno, "cannot open '%s': %s", workdir, strerror(errno));
	if (strlen(folder) + sizeof("/initrd.cpio") > PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "path too long: '%s'", folder);
	(void)snprintf(program, sizeof(program), "%.*s/function", PATH_MAX - 16, folder);
	(void)snprintf(initrd, sizeof(initrd), "%.*s/initrd.cpio", PATH_MAX - 16, folder);

	r = compile(config, paths, program, ret_output, err);
	if (r == 0)
		r = pack(config, paths, program, initrd, err);
	if (r == 0)
		memcpy(ret_initrd, initrd, sizeof(initrd));
	return r;
}
