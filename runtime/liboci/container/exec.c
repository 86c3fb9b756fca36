/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_exec: a further process in a container that runs.
 *
 * A stage joins all of the container's namespaces by one setns() on a descriptor of its first
 * process, and makes the new process as a sibling (namespaces.c). From its first moment inside the
 * container's PID namespace that is not dumpable: its memory, descriptors and program are the
 * runtime's until it becomes the program (CVE-2019-5736, CVE-2024-21626).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

#include "cgroup/cgroup.h"
#include "cleanup.h"
#include "container/container.h"
#include "container/create.h"
#include "container/environment.h"
#include "container/exec_process.h"
#include "container/init.h"
#include "container/namespaces.h"
#include "container/sync.h"
#include "container/terminal.h"
#include "process/process.h"
#include "process/seccomp.h"
#include "spec/spec.h"

#define SECCOMP_CACHE "/.seccomp"

/* Everything is owned but what says otherwise. */
struct execution {
	const struct oci_exec_options *options; /* borrowed */
	struct container container;
	struct oci_spec *spec, *holder;
	struct namespace_joins joins;
	struct seccomp_filter *seccomp;
	int agent;
	int root; /* the container's, to be entered where that is a chroot; else -1 */
	int socket, child_socket;
	int primary;
	pid_t pid;
};

/* --- in the new process ----------------------------------------------------------------------- */

/* The container can put what it likes at /dev/pts: only a terminal multiplexer of a devpts will
 * do. */
static int open_multiplexer(struct err *err)
{
	cleanup_fd int fd = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return err_set(err, -errno, "cannot make a terminal: /dev/pts/ptmx: %s",
			       strerror(errno));
	if (fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC || fstat(fd, &st) < 0 ||
	    st.st_rdev != makedev(5, 2))
		return err_set(err, -EINVAL, "cannot make a terminal: /dev/pts is no devpts");
	return TAKE_FD(fd);
}

static int open_terminal(const struct oci_process *process, int *ret_primary, int *ret_secondary,
			 struct err *err)
{
	cleanup_fd int primary = open_multiplexer(err);
	const struct winsize size = { .ws_row = (unsigned short)process->console_height,
				      .ws_col = (unsigned short)process->console_width };
	int unlocked = 0;

	if (primary < 0)
		return primary;
	if (ioctl(primary, TIOCSPTLCK, &unlocked) < 0)
		return err_set(err, -errno, "cannot unlock the terminal: %s", strerror(errno));
	*ret_secondary = ioctl(primary, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*ret_secondary < 0)
		return err_set(err, -errno, "cannot open the terminal: %s", strerror(errno));
	if (size.ws_row && size.ws_col)
		(void)ioctl(primary, TIOCSWINSZ, &size);
	(void)fchown(*ret_secondary, process->user.uid, (gid_t)-1);
	*ret_primary = TAKE_FD(primary);
	return 0;
}

static int take_terminal(const struct execution *execution, struct err *err)
{
	cleanup_fd int primary = -1;
	int secondary = -1;
	int r;

	if (!execution->spec->process->terminal)
		return 0;
	r = open_terminal(execution->spec->process, &primary, &secondary, err);
	if (r == 0 && sync_send(execution->child_socket, SYNC_CONSOLE, 0, NULL, primary) < 0)
		r = err_set(err, -EPIPE, "the runtime died");
	return r < 0 ? r : init_take_terminal(secondary, err);
}

static int enter_root(const struct execution *execution, struct err *err)
{
	if (execution->root >= 0 && (fchdir(execution->root) < 0 || chroot(".") < 0))
		return err_set(err, -errno, "cannot enter the container's root: %s",
			       strerror(errno));
	return 0;
}

static int become(struct execution *execution, struct err *err)
{
	const struct oci_spec *spec = execution->spec;
	cleanup_free char *agent_state = NULL;
	struct process_context context = {
		.process = spec->process,
		.seccomp = execution->seccomp,
		.seccomp_socket = execution->agent,
		.personality = spec->linux.personality,
		.need_cwd = true,
		.preserve_fds = execution->options->preserve_fds,
		.keep_fds = { execution->child_socket },
	};
	char *program;
	int r = environment_complete(execution->spec, execution->options->listen_fds, err);

	if (r == 0)
		r = process_find_program(spec->process, &program, err);
	if (r < 0)
		return r;
	if (execution->agent >= 0) {
		agent_state = container_agent_json(&execution->container, spec);
		if (!agent_state)
			return err_set(err, -ENOMEM, "out of memory");
		context.state_json = agent_state;
	}
	r = process_become(&context, err);
	return r < 0 ? r : process_exec(spec->process, program, err);
}

static int exec_child(void *context)
{
	struct execution *execution = context;
	const struct oci_namespace *user = &execution->spec->linux.namespaces[OCI_NS_USER];
	struct sync_message message;
	struct err err = {};
	int r;

	init_reset_signals();
	(void)close(execution->socket);
	/* Who may trace us in there must not find a folder of the host's (CVE-2024-21626). */
	(void)close(execution->container.dir_fd);
	(void)close(execution->container.root_fd);
	if (sync_receive(execution->child_socket, &message, NULL) < 0)
		return 1;
	execution->container.record.pid = message.number;
	r = init_begin(user->present, &err);
	if (r == 0)
		r = enter_root(execution, &err);
	if (r == 0)
		r = take_terminal(execution, &err);
	if (r == 0)
		r = become(execution, &err);
	(void)sync_send(execution->child_socket, SYNC_FAILED, r, err.message, -1);
	return 1;
}

/* --- in the runtime --------------------------------------------------------------------------- */

static int check_status(const struct execution *execution, struct err *err)
{
	enum oci_status status = container_status(&execution->container);

	if (status == OCI_RUNNING || status == OCI_CREATED ||
	    (status == OCI_PAUSED && execution->options->ignore_paused))
		return 0;
	return err_set(err, -EBUSY, "cannot exec in container '%s': it is %s",
		       execution->container.id, oci_status_name(status));
}

static int open_root(struct execution *execution, struct err *err)
{
	char path[40];

	if (!execution->container.record.no_pivot)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/root", execution->container.record.pid);
	execution->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return execution->root >= 0 ? 0 :
				      err_set(err, -errno, "cannot open the container's root: %s",
					      strerror(errno));
}

static int prepare_seccomp(struct execution *execution, struct err *err)
{
	const struct oci_seccomp *seccomp = execution->spec->linux.seccomp;
	cleanup_free char *cache = NULL;
	int r;

	if (!seccomp)
		return 0;
	if (asprintf(&cache, "%s" SECCOMP_CACHE, execution->container.runtime->root) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = seccomp_filter_new(&execution->seccomp, seccomp, cache, err);
	if (r == 0 && seccomp->listener_path)
		r = seccomp_agent_connect(seccomp->listener_path, &execution->agent, err);
	return r;
}

static int prepare(struct execution *execution, const struct oci_runtime *runtime, struct err *err)
{
	const struct oci_exec_options *options = execution->options;
	int r = container_open(&execution->container, runtime, options->id, false, err);

	if (r == 0)
		r = check_status(execution, err);
	if (r == 0)
		r = container_load_spec(&execution->container, &execution->spec, err);
	if (r == 0)
		r = exec_process_build(execution->spec, options, &execution->holder, err);
	if (r == 0 && options->process_path)
		warn_of_unknown_capability(runtime, execution->spec);
	if (r == 0)
		terminal_take_size(execution->spec->process, options->terminal_fd);
	if (r == 0)
		r = check_terminal(execution->spec->process, options->console_socket,
				   options->detach, err);
	if (r < 0)
		return r;
	execution->joins.pidfd_flags = namespaces_all_flags(&execution->spec->linux);
	r = container_pidfd(&execution->container, err);
	if (r < 0)
		return r;
	execution->joins.pidfd = r;
	r = open_root(execution, err);
	return r < 0 ? r : prepare_seccomp(execution, err);
}

static int enter_cgroup(const struct execution *execution, struct err *err)
{
	struct cgroup *cgroup = NULL;
	int r = container_cgroup(&execution->container, &cgroup, err);

	if (r == 0)
		r = execution->options->cgroup ?
			    cgroup_enter_below(cgroup, execution->options->cgroup, execution->pid,
					       err) :
			    cgroup_enter(cgroup, execution->pid, err);
	(void)cgroup_free(cgroup);
	return r;
}

static int receive_terminal(struct execution *execution, struct err *err)
{
	struct sync_message message;
	int r;

	if (!execution->spec->process->terminal)
		return 0;
	if (sync_receive(execution->socket, &message, &execution->primary) < 0)
		return err_set(err, -ESRCH, "the new process died");
	if (message.kind == SYNC_FAILED)
		return err_set(err, message.number, "%s", message.text);
	if (message.kind != SYNC_CONSOLE || execution->primary < 0)
		return err_set(err, -EPROTO, "the new process sent no terminal");
	if (!execution->options->console_socket)
		return 0;
	r = terminal_send(execution->options->console_socket, execution->primary, err);
	/* Whoever has been sent the terminal is alone with it. */
	execution->primary = fd_close(execution->primary);
	return r;
}

static int launch(struct execution *execution, struct err *err)
{
	const struct spawn spawn = {
		.joins = &execution->joins,
		.cgroup_fd = -1,
		.socket = execution->child_socket,
		.child = exec_child,
		.context = execution,
	};
	bool in_cgroup;
	int r = namespaces_spawn(&spawn, execution->socket, &execution->pid, &in_cgroup, err);

	execution->child_socket = fd_close(execution->child_socket);
	if (r == 0)
		r = enter_cgroup(execution, err);
	if (r == 0)
		r = process_limit(execution->pid, execution->spec->process,
				  execution->container.runtime->rootless, err);
	if (r == 0 && sync_send(execution->socket, SYNC_GO, execution->pid, NULL, -1) < 0)
		r = err_set(err, -ESRCH, "the new process died");
	if (r == 0)
		r = receive_terminal(execution, err);
	if (r == 0)
		r = wait_for_program(execution->socket, err);
	if (r == 0 && execution->options->pid_file)
		r = write_pid_file(execution->options->pid_file, execution->pid, err);
	return r;
}

static int run(struct execution *execution, int *ret_status, struct err *err)
{
	int sockets[2];
	int r = sync_pair(sockets, err);

	if (r < 0)
		return r;
	execution->socket = sockets[0];
	execution->child_socket = sockets[1];
	r = launch(execution, err);
	if (r < 0 && execution->pid > 0) {
		(void)kill(execution->pid, SIGKILL);
		while (waitpid(execution->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*ret_status = 0;
	if (r < 0 || execution->options->detach)
		return r;
	return foreground_wait(execution->container.runtime, execution->pid, execution->primary,
			       execution->options->terminal_fd, ret_status, err);
}

static void execution_done(struct execution *execution)
{
	int *const fds[] = { &execution->agent, &execution->root, &execution->socket,
			     &execution->child_socket, &execution->primary };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = fd_close(*fds[i]);
	namespace_joins_done(&execution->joins);
	execution->seccomp = seccomp_filter_free(execution->seccomp);
	execution->spec = spec_free(execution->spec);
	execution->holder = spec_free(execution->holder);
	container_done(&execution->container);
}

int oci_exec(const struct oci_runtime *runtime, const struct oci_exec_options *options,
	     int *ret_status, struct err *err)
{
	struct execution execution = {
		.options = options,
		.container = { .runtime = runtime, .root_fd = -1, .dir_fd = -1 },
		.joins = { .pidfd = -1 },
		.agent = -1,
		.root = -1,
		.socket = -1,
		.child_socket = -1,
		.primary = -1,
	};
	sigset_t old;
	int r;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		execution.joins.fds[i] = -1;
	r = check_preserved(options->preserve_fds, err);
	if (r == 0)
		r = prepare(&execution, runtime, err);
	if (r == 0) {
		foreground_block(&old);
		r = run(&execution, ret_status, err);
		foreground_unblock(&old);
	}
	execution_done(&execution);
	return r;
}
