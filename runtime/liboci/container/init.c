/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process.
 *
 * It is a child of the runtime with a copy of its memory: the configuration need not be passed or
 * parsed again, and there is no second program to trust. It goes through a list of steps; each that
 * fails is reported to whoever waits: the maker over the socket, or, once the maker may be gone,
 * `start` through a file. Before it has been recorded it ends by itself when the maker dies.
 */
#include "container/init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "container/container.h"
#include "container/environment.h"
#include "container/hooks.h"
#include "container/kernel_settings.h"
#include "container/namespaces.h"
#include "container/sync.h"
#include "file.h"
#include "process/process.h"
#include "process/seccomp.h"
#include "rootfs/rootfs.h"
#include "spec/spec.h"

enum { EXIT_STATUS_FAILED = 1 };

/* --- parts that exec shares ------------------------------------------------------------------- */

void init_reset_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Those that a program can expect to be ignored are not of real time. */
	for (int number = 1; number <= SIGSYS; number++)
		(void)signal(number, SIG_DFL);
}

/* A map without 0 leaves us the overflow user, with all capabilities just the same. */
int init_begin(bool user_namespace, struct err *err)
{
	if (setsid() < 0)
		return err_set(err, -errno, "setsid: %s", strerror(errno));
	if (!user_namespace)
		return 0;
	if ((setgroups(0, NULL) < 0 && errno != EPERM) ||
	    (syscall(SYS_setresgid, 0, 0, 0) < 0 && errno != EINVAL) ||
	    (syscall(SYS_setresuid, 0, 0, 0) < 0 && errno != EINVAL))
		return err_set(err, -errno, "cannot become root of the user namespace: %s",
			       strerror(errno));
	/* fs.suid_dumpable can say otherwise. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

int init_take_terminal(int secondary, struct err *err)
{
	if (ioctl(secondary, TIOCSCTTY, 0) < 0)
		return err_set(err, -errno, "cannot take the terminal: %s", strerror(errno));
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(secondary, fd) < 0)
			return err_set(err, -errno, "cannot take the terminal: %s",
				       strerror(errno));
	if (secondary > STDERR_FILENO)
		(void)close(secondary);
	return 0;
}

/* --- steps ------------------------------------------------------------------------------------ */

static int wait_for_go(const struct init *init, struct sync_message *ret_message, struct err *err)
{
	int r = sync_receive(init->socket, ret_message, NULL);

	if (r == 0 && ret_message->kind == SYNC_GO)
		return 0;
	return err_set(err, -EPIPE, "the runtime died");
}


/* Moved to its cgroup, mapped and limited by the maker; learns its pid. */
static int step_begin(struct init *init, struct err *err)
{
	const struct oci_namespace *user = &init->spec->linux.namespaces[OCI_NS_USER];
	struct sync_message message;
	int r;

	init_reset_signals();
	(void)close(init->peer);
	(void)close(init->container->dir_fd);
	(void)close(init->container->root_fd);
	r = wait_for_go(init, &message, err);
	if (r < 0)
		return r;
	init->container->record.pid = message.number;
	r = namespaces_open_time_offsets(&init->spec->linux, &init->time_offsets, err);
	return r < 0 ? r : init_begin(user->present, err);
}

static int step_namespaces(struct init *init, struct err *err)
{
	int r = namespaces_unshare(&init->spec->linux, init->time_offsets, err);

	init->time_offsets = fd_close(init->time_offsets);
	return r;
}

static int step_kernel(struct init *init, struct err *err)
{
	return kernel_settings_apply(init->spec, err);
}

static int step_keyring(struct init *init, struct err *err)
{
	char name[ERR_MESSAGE_BYTES];

	if (init->no_new_keyring)
		return 0;
	(void)snprintf(name, sizeof(name), "_ses.%s", init->container->id);
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS &&
	    errno != EPERM && errno != EDQUOT)
		return err_set(err, -errno, "cannot make a session keyring: %s", strerror(errno));
	return 0;
}

static int step_mount(struct init *init, struct err *err)
{
	return rootfs_mount(init->rootfs, err);
}

static int step_console(struct init *init, struct err *err)
{
	const struct oci_process *process = init->spec->process;
	cleanup_fd int primary = -1;
	int secondary = -1;
	int r;

	if (!process->terminal)
		return 0;
	r = rootfs_console(init->rootfs, process->console_height, process->console_width,
			   process->user.uid, &primary, &secondary, err);
	if (r < 0)
		return r;
	r = sync_send(init->socket, SYNC_CONSOLE, 0, NULL, primary);
	if (r < 0)
		return err_set(err, r, "the runtime died");
	return init_take_terminal(secondary, err);
}

static bool has_hooks(const struct init *init, enum oci_hook_point point)
{
	return init->spec->hooks[point].count > 0;
}

/* Hooks of the runtime's namespaces see a container whose root is made but not entered. */
static int step_runtime_hooks(struct init *init, struct err *err)
{
	struct sync_message message;

	if (!has_hooks(init, OCI_HOOK_PRESTART) && !has_hooks(init, OCI_HOOK_CREATE_RUNTIME))
		return 0;
	if (sync_send(init->socket, SYNC_MOUNTED, 0, NULL, -1) < 0)
		return err_set(err, -EPIPE, "the runtime died");
	return wait_for_go(init, &message, err);
}

static int run_hooks(const struct init *init, enum oci_hook_point point, const char *name,
		     enum oci_status status, struct err *err)
{
	struct container seen = *init->container;
	cleanup_free char *state = NULL;

	if (!has_hooks(init, point))
		return 0;
	/* As the container sees it, for hooks in its namespaces (runtime.md, State). */
	seen.record.pid = getpid();
	state = container_state_json(&seen, status, init->spec);
	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	return hooks_run(&init->spec->hooks[point], name, state, err);
}

static int step_create_hooks(struct init *init, struct err *err)
{
	return run_hooks(init, OCI_HOOK_CREATE_CONTAINER, "hooks.createContainer", OCI_CREATING,
			 err);
}

static int step_enter(struct init *init, struct err *err)
{
	return rootfs_enter(init->rootfs, err);
}

static int report(const struct init *init, const struct err *err)
{
	if (init->error_file >= 0)
		(void)file_write_all(init->error_file, err->message, strlen(err->message));
	else
		(void)sync_send(init->socket, SYNC_FAILED, err->code, err->message, -1);
	return EXIT_STATUS_FAILED;
}

/* From here on nobody need be there but whoever starts it. */
static int wait_for_start(struct init *init, struct err *err)
{
	struct sync_message message;
	ssize_t bytes;
	char byte;

	if (sync_send(init->socket, SYNC_READY, 0, NULL, -1) < 0)
		return err_set(err, -EPIPE, "the runtime died");
	if (init->start_fifo < 0)
		return wait_for_go(init, &message, err);
	/* The maker says GO when the container is recorded: only then it may live on alone. */
	if (wait_for_go(init, &message, err) < 0)
		return -EPIPE;
	init->socket = fd_close(init->socket);
	do
		bytes = read(init->start_fifo, &byte, 1);
	while (bytes < 0 && errno == EINTR);
	/* It stays open: that the last reader has gone tells `start` that the program runs. */
	return bytes == 1 ? 0 : err_set(err, -EPIPE, "the container's state is gone");
}

static int (*const steps[])(struct init *init, struct err *err) = {
	step_begin,   step_namespaces,	  step_kernel,	     step_keyring, step_mount,
	step_console, step_runtime_hooks, step_create_hooks, step_enter,
};

/* They are programs of the image, and get no more privileges than the container's own. */
static int run_start_hooks(void *context, struct err *err)
{
	return run_hooks(context, OCI_HOOK_START_CONTAINER, "hooks.startContainer", OCI_CREATED,
			 err);
}

static int become(struct init *init, const char *program, struct err *err)
{
	cleanup_free char *agent_state = NULL;
	struct process_context context = {
		.process = init->spec->process,
		.seccomp = init->seccomp,
		.seccomp_socket = init->seccomp_agent,
		.personality = init->spec->linux.personality,
		.preserve_fds = init->preserve_fds,
		.keep_fds = { init->start_fifo, init->error_file, init->socket },
		.before_filter = run_start_hooks,
		.before_filter_context = init,
	};
	int r;

	if (init->seccomp_agent >= 0) {
		agent_state = container_agent_json(init->container, init->spec);
		if (!agent_state)
			return err_set(err, -ENOMEM, "out of memory");
		context.state_json = agent_state;
	}
	r = process_become(&context, err);
	return r < 0 ? r : process_exec(init->spec->process, program, err);
}

int init_run(void *context)
{
	struct init *init = context;
	struct err err = {};
	int error_file = init->error_file;
	char *program;
	int r = 0;

	init->error_file = -1;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = steps[i](init, &err);
	if (r == 0)
		r = environment_complete(init->spec, init->listen_fds, &err);
	if (r == 0)
		r = process_find_program(init->spec->process, &program, &err);
	if (r == 0)
		r = wait_for_start(init, &err);
	if (r < 0)
		return report(init, &err);
	init->error_file = error_file;
	(void)become(init, program, &err);
	return report(init, &err);
}
