/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs that we cannot do without: skopeo and mkfs.erofs.
 *
 * No shell, a fixed path and a fixed environment; the workspace is their current folder, so that no
 * name of the caller's is an argument. The child inherits the workspace's descriptor, and with it
 * the lock: when we are killed, nobody removes the folder under a child that is still at work.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image_priv.h"
#include "text.h"

#define PATHS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { ENV_MAX = 16, INHERITED_LOCK_FD = 3 };

/* Handed on when they are set: where skopeo finds credentials, and its way through a proxy. */
static const char *const inherited[] = {
	"HOME",	      "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY",
	"NO_PROXY",   "http_proxy",	    "https_proxy",     "no_proxy",
};

struct environment {
	char *items[ENV_MAX + 1];
	char *owned[ARRAY_SIZE(inherited)];
};

/* The last that a program said. */
struct tail {
	char text[OUTPUT_TAIL_BYTES];
	size_t bytes;
};

static void environment_done(struct environment *environment)
{
	for (size_t i = 0; i < ARRAY_SIZE(environment->owned); i++)
		free(environment->owned[i]);
}
#define cleanup_environment __attribute__((cleanup(environment_done)))

static int environment_init(struct environment *environment, const char *const *more)
{
	static const char *const fixed[] = { ("PATH=" PATHS), "LC_ALL=C", "TMPDIR=." };
	size_t count = 0;

	*environment = (struct environment){ .items = { NULL } };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		environment->items[count++] = (char *)(uintptr_t)fixed[i];
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		const char *value = getenv(inherited[i]);

		if (!value)
			continue;
		if (asprintf(&environment->owned[i], "%s=%s", inherited[i], value) < 0) {
			environment->owned[i] = NULL;
			return -ENOMEM;
		}
		environment->items[count++] = environment->owned[i];
	}
	for (; more && *more && count < ENV_MAX; more++)
		environment->items[count++] = (char *)(uintptr_t)*more;
	return 0;
}

static int find(const char *name, char path[PATH_MAX])
{
	for (const char *at = PATHS; *at; at += strcspn(at, ":") + (at[strcspn(at, ":")] == ':')) {
		(void)snprintf(path, PATH_MAX, "%.*s/%s", (int)strcspn(at, ":"), at, name);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

/* The last descriptor is the workspace's. */
static int add_actions(posix_spawn_file_actions_t *actions, const int fds[static 4])
{
	int r = -posix_spawn_file_actions_addfchdir_np(actions, fds[INHERITED_LOCK_FD]);

	for (int i = 0; r == 0 && i <= INHERITED_LOCK_FD; i++)
		r = -posix_spawn_file_actions_adddup2(actions, fds[i], i);
	return r;
}

static int spawn_with(const char *path, char *const *args, char *const *env,
		      const int fds[static 4], pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawnattr_setflags(&attributes,
				       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = add_actions(&actions, fds);
	if (r == 0)
		r = -posix_spawn(ret_pid, path, &actions, &attributes, args, env);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Copies of descriptors, all above those that the child's replace. */
static int fds_above(const int from[static 4], int to[static 4])
{
	for (int i = 0; i < 4; i++) {
		to[i] = fcntl(from[i], F_DUPFD_CLOEXEC, INHERITED_LOCK_FD + 1);
		if (to[i] < 0) {
			int r = -errno;

			while (i-- > 0)
				(void)close(to[i]);
			return r;
		}
	}
	return 0;
}

static int start(const struct program *program, const char *path, const struct workspace *workspace,
		 int error_fd, pid_t *ret_pid)
{
	cleanup_environment struct environment environment;
	cleanup_fd int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int wanted[4] = { null_fd, program->out >= 0 ? program->out : error_fd, error_fd,
				workspace->fd };
	const char *args[32] = { program->name };
	int fds[4] = { -1, -1, -1, -1 }, r = environment_init(&environment, program->env);

	for (size_t i = 0; program->args[i] && i + 2 < ARRAY_SIZE(args); i++)
		args[i + 1] = program->args[i];
	if (r == 0 && null_fd < 0)
		r = -ENOENT;
	if (r == 0)
		r = fds_above(wanted, fds);
	if (r < 0)
		return r;
	r = spawn_with(path, (char *const *)(uintptr_t)args, environment.items, fds, ret_pid);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	return r;
}

static void tail_read(struct tail *tail, int fd)
{
	char piece[OUTPUT_TAIL_BYTES / 2];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		const size_t bytes = n > 0 ? (size_t)n : 0;
		const size_t room = sizeof(tail->text) - 1 - tail->bytes;

		if (n < 0 && errno != EINTR)
			return;
		if (bytes > room) {
			const size_t drop = bytes - room;

			memmove(tail->text, tail->text + drop, tail->bytes - drop);
			tail->bytes -= drop;
		}
		memcpy(tail->text + tail->bytes, piece, bytes);
		tail->bytes += bytes;
	}
}

/* The last line that says anything, of skopeo the part in msg="...". */
static const char *tail_line(struct tail *tail)
{
	char *line, *message;

	tail->bytes = text_clean(tail->text, tail->text, tail->bytes);
	while (tail->bytes > 0 && strchr(" \t\n", tail->text[tail->bytes - 1]))
		tail->bytes--;
	tail->text[tail->bytes] = '\0';
	line = strrchr(tail->text, '\n');
	line = line ? line + 1 : tail->text;
	message = strstr(line, "msg=\"");
	if (message) {
		line = message + strlen("msg=\"");
		if (line[strlen(line) - 1] == '"')
			line[strlen(line) - 1] = '\0';
	}
	for (char *at = line; *at; at++)
		if (*at == '\t')
			*at = ' ';
	return *line ? line : "it does not say why";
}

static int report(const struct program *program, int status, struct tail *tail, struct err *err)
{
	const char *line = tail_line(tail);
	const bool full = strcasestr(tail->text, "no space left on device") != NULL;

	if (WIFSIGNALED(status))
		return err_set(err, -EIO, "%s was killed by signal %d", program->name,
			       WTERMSIG(status));
	return err_set(err, full ? -ENOSPC : -EIO, "%s failed: %.300s", program->name, line);
}

int program_run(const struct program *program, struct workspace *workspace, struct err *err)
{
	struct tail tail = { .bytes = 0 };
	char path[PATH_MAX];
	int pipe_fds[2], status = 0, r = find(program->name, path);
	pid_t pid = -1;

	if (r < 0)
		return err_set(err, r, "%s is not installed (package %s)", program->name,
			       program->package);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	r = start(program, path, workspace, pipe_fds[1], &pid);
	(void)close(pipe_fds[1]);
	if (r == 0)
		tail_read(&tail, pipe_fds[0]);
	(void)close(pipe_fds[0]);
	if (r < 0)
		return err_set(err, r, "cannot run %s: %s", path, strerror(-r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, -errno, "cannot wait for %s: %s", program->name,
				       strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : report(program, status, &tail, err);
}
