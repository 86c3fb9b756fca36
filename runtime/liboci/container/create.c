/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a container: oci_create, and oci_run, which also starts it and waits for its end.
 *
 * The order is what makes a crash at any point harmless (container.h). Everything that can be
 * refused is refused before the id is claimed.
 */
#include "container/create.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup/cgroup.h"
#include "cleanup.h"
#include "container/container.h"
#include "container/hooks.h"
#include "container/init.h"
#include "container/intel_rdt.h"
#include "container/kernel_settings.h"
#include "container/namespaces.h"
#include "container/sync.h"
#include "container/terminal.h"
#include "file.h"
#include "process/process.h"
#include "process/seccomp.h"
#include "rootfs/rootfs.h"
#include "spec/spec.h"

#define SECCOMP_CACHE "/.seccomp"

/* A container that is being made. Everything is owned but what says otherwise. */
struct creation {
	const struct oci_runtime *runtime;	  /* borrowed */
	const struct oci_create_options *options; /* borrowed */
	struct container container;
	struct oci_spec *spec;
	uint8_t *config; /* the text */
	size_t config_bytes;
	struct namespace_joins joins;
	struct rootfs *rootfs;
	struct seccomp_filter *seccomp;
	struct cgroup *cgroup;
	int socket, child_socket;
	int start_fifo, error_file, agent;
	int primary; /* of the terminal */
	pid_t pid;   /* of the first process, our child; 0: none */
	bool claimed, wrote_pid_file;
};

/* --- the configuration ------------------------------------------------------------------------ */

int check_terminal(const struct oci_process *process, const char *console_socket, bool detach,
		   struct err *err)
{
	if (process->terminal && detach && !console_socket)
		return err_set(err, -EINVAL,
			       "process.terminal: a console socket is needed to hand the terminal to");
	if (!process->terminal && console_socket)
		return err_set(err, -EINVAL,
			       "process.terminal: a console socket is given, but no terminal wanted");
	return 0;
}

int check_preserved(unsigned int preserve_fds, struct err *err)
{
	for (unsigned int i = 0; i < preserve_fds; i++)
		if (fcntl(STDERR_FILENO + 1 + (int)i, F_GETFD) < 0)
			return err_set(err, -EBADF,
				       "%u descriptors are to be preserved, but %u is not open",
				       preserve_fds, STDERR_FILENO + 1 + i);
	return 0;
}

static int load_config(struct creation *creation, struct err *err)
{
	struct record *record = &creation->container.record;
	char path[PATH_MAX];
	int r;

	record->bundle = realpath(creation->options->bundle, NULL);
	if (!record->bundle)
		return err_set(err, -errno, "bundle '%s': %s", creation->options->bundle,
			       strerror(errno));
	if ((size_t)snprintf(path, sizeof(path), "%s/config.json", record->bundle) >= sizeof(path))
		return err_set(err, -ENAMETOOLONG, "bundle '%s': the path is too long",
			       record->bundle);
	r = file_read(path, SPEC_MAX_BYTES, &creation->config, &creation->config_bytes, err);
	if (r == 0)
		r = spec_parse(&creation->spec, (const char *)creation->config,
			       creation->config_bytes, err);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}

static int resolve_root(struct creation *creation, struct err *err)
{
	struct record *record = &creation->container.record;
	const char *root = creation->spec->root_path;
	char path[PATH_MAX];

	if (!root)
		return err_set(err, -EINVAL, "root.path: missing");
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", *root == '/' ? "" : record->bundle,
			     *root == '/' ? "" : "/", root) >= sizeof(path))
		return err_set(err, -ENAMETOOLONG, "root.path: too long");
	record->rootfs = realpath(path, NULL);
	if (!record->rootfs)
		return err_set(err, -errno, "root.path: '%s': %s", path, strerror(errno));
	return 0;
}

static int check_config(const struct creation *creation, bool detach, struct err *err)
{
	const struct oci_spec *spec = creation->spec;
	const struct oci_namespace *namespaces = spec->linux.namespaces;
	int r;

	if (!spec->process)
		return err_set(err, -EINVAL, "process: missing");
	if (!namespaces[OCI_NS_MOUNT].present)
		return err_set(err, -EINVAL,
			       "linux.namespaces: a container without a mount namespace of its own "
			       "would mount into the host's");
	if ((spec->linux.uid_mappings.count || spec->linux.gid_mappings.count) &&
	    !namespaces[OCI_NS_USER].present)
		return err_set(err, -EINVAL, "linux.uidMappings: need a user namespace");
	/* Root of a user namespace that is there already, such as podman's, needs no further
	 * one. */
	if (geteuid() != 0 && !namespaces[OCI_NS_USER].present)
		return err_set(err, -EPERM,
			       "linux.namespaces: without root a container needs a user namespace");
	r = check_terminal(spec->process, creation->options->console_socket, detach, err);
	return r < 0 ? r : kernel_settings_check(spec, err);
}

/* --- what is opened before anything is made --------------------------------------------------- */

static int prepare_seccomp(struct creation *creation, struct err *err)
{
	const struct oci_seccomp *seccomp = creation->spec->linux.seccomp;
	char cache[PATH_MAX];
	int r;

	if (!seccomp)
		return 0;
	(void)snprintf(cache, sizeof(cache), "%s" SECCOMP_CACHE, creation->runtime->root);
	r = seccomp_filter_new(&creation->seccomp, seccomp, cache, err);
	if (r == 0 && seccomp->listener_path)
		r = seccomp_agent_connect(seccomp->listener_path, &creation->agent, err);
	return r;
}

static int prepare(struct creation *creation, bool detach, struct err *err)
{
	const struct oci_create_options *options = creation->options;
	struct rootfs_config config;
	int r = load_config(creation, err);

	if (r == 0)
		warn_of_unknown_capability(creation->runtime, creation->spec);
	if (r == 0)
		terminal_take_size(creation->spec->process, options->terminal_fd);
	if (r == 0)
		r = check_config(creation, detach, err);
	if (r == 0)
		r = resolve_root(creation, err);
	if (r == 0)
		r = namespaces_open(&creation->joins, &creation->spec->linux, err);
	if (r == 0)
		r = prepare_seccomp(creation, err);
	if (r < 0)
		return r;
	config = (struct rootfs_config){
		.spec = creation->spec,
		.bundle = creation->container.record.bundle,
		.no_pivot = options->no_pivot,
		.new_mount_namespace = !creation->spec->linux.namespaces[OCI_NS_MOUNT].path,
		.new_user_namespace = creation->spec->linux.namespaces[OCI_NS_USER].present,
		.new_network_namespace = creation->spec->linux.namespaces[OCI_NS_NETWORK].present,
	};
	return rootfs_open(&creation->rootfs, &config, err);
}

/* --- the folder ------------------------------------------------------------------------------- */

/* Days since 1970 as a date of the Gregorian calendar. gmtime_r() would do, but reads the files of
 * the local time zone before. */
static void civil_date(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t shifted = days + 719468; /* since 0000-03-01, so that leap days come last */
	int64_t era = shifted / 146097, of_era = shifted % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

static char *now_text(void)
{
	enum { DAY_S = 24 * 60 * 60 };
	int year, month, day, second;
	struct timespec now;
	char *text = NULL;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	civil_date(now.tv_sec / DAY_S, &year, &month, &day);
	second = (int)(now.tv_sec % DAY_S);
	return asprintf(&text, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", year, month, day,
			second / 3600, second / 60 % 60, second % 60, now.tv_nsec) < 0 ?
		       NULL :
		       text;
}

/* The record that was begun while preparing is kept over the claim, which resets the container. */
static int claim(struct creation *creation, struct err *err)
{
	struct record record = creation->container.record;
	int r;

	creation->container.record = (struct record){};
	r = container_claim(&creation->container, creation->runtime, creation->options->id, err);
	creation->container.record = record;
	creation->claimed = r == 0;
	return r;
}

static int plan_cgroup(struct creation *creation, struct err *err)
{
	const struct cgroup_config config = {
		.cgroups_path = creation->spec->linux.cgroups_path,
		.id = creation->options->id,
		.systemd = creation->runtime->systemd_cgroup,
		.disabled = creation->runtime->cgroup_disabled,
		.rootless = creation->runtime->rootless,
		.resources = &creation->spec->linux.resources,
	};
	struct record *record = &creation->container.record;
	int r = cgroup_new(&creation->cgroup, &config, err);

	if (r < 0)
		return r;
	record->cgroup = cgroup_describe(creation->cgroup);
	record->created = now_text();
	record->owner = geteuid();
	/* In a mount namespace that others live in, the root is a chroot. */
	record->no_pivot = creation->options->no_pivot ||
			   creation->spec->linux.namespaces[OCI_NS_MOUNT].path;
	record->intel_rdt = intel_rdt_folder(creation->spec, creation->options->id);
	return record->cgroup && record->created ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* Opened for both directions: a reader that never sees the end of the file. */
static int make_start_fifo(struct creation *creation, struct err *err)
{
	int dir = creation->container.dir_fd;

	if (mkfifoat(dir, START_FIFO, 0600) < 0)
		return err_set(err, -errno, "cannot make the start FIFO: %s", strerror(errno));
	creation->start_fifo = openat(dir, START_FIFO, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	creation->error_file =
		openat(dir, ERROR_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (creation->start_fifo < 0 || creation->error_file < 0)
		return err_set(err, -errno, "cannot open the start FIFO: %s", strerror(errno));
	/* A failure that finds the disk full would else look like success. */
	if (fallocate(creation->error_file, FALLOC_FL_KEEP_SIZE, 0, ERR_MESSAGE_BYTES) < 0 &&
	    errno == ENOSPC)
		return err_set(err, -ENOSPC, "cannot write '%s/%s/" ERROR_FILE "': %s",
			       creation->runtime->root, creation->options->id, strerror(ENOSPC));
	return 0;
}

static int fill_folder(struct creation *creation, bool with_fifo, struct err *err)
{
	int r = plan_cgroup(creation, err);

	if (r == 0)
		r = container_save(&creation->container, err);
	if (r == 0)
		r = container_write_file(&creation->container, CONFIG_FILE,
					 (const char *)creation->config, creation->config_bytes,
					 err);
	return r == 0 && with_fifo ? make_start_fifo(creation, err) : r;
}

/* --- the first process ------------------------------------------------------------------------ */

static int spawn_init(struct creation *creation, struct err *err)
{
	struct init init = {
		.spec = creation->spec,
		.container = &creation->container,
		.rootfs = creation->rootfs,
		.seccomp = creation->seccomp,
		.seccomp_agent = creation->agent,
		.socket = creation->child_socket,
		.peer = creation->socket,
		.start_fifo = creation->start_fifo,
		.error_file = creation->error_file,
		.time_offsets = -1,
		.no_new_keyring = creation->options->no_new_keyring,
		.preserve_fds = creation->options->preserve_fds,
		.listen_fds = creation->options->listen_fds,
	};
	const struct spawn spawn = {
		.joins = &creation->joins,
		.new_flags = namespaces_new_flags(&creation->spec->linux),
		.cgroup_fd = cgroup_fd(creation->cgroup),
		.socket = creation->child_socket,
		.child = init_run,
		.context = &init,
	};
	bool in_cgroup = false;
	int r = namespaces_spawn(&spawn, creation->socket, &creation->pid, &in_cgroup, err);

	creation->child_socket = fd_close(creation->child_socket);
	if (r == 0 && !in_cgroup)
		r = cgroup_enter(creation->cgroup, creation->pid, err);
	return r;
}

/* What has to be done to the process from outside, before it takes its first step. */
static int equip(struct creation *creation, struct err *err)
{
	const struct oci_spec *spec = creation->spec;
	const struct oci_namespace *user = &spec->linux.namespaces[OCI_NS_USER];
	struct record *record = &creation->container.record;
	char state;
	int r = process_limit(creation->pid, spec->process, creation->runtime->rootless, err);

	if (r == 0)
		r = intel_rdt_enter(spec, record->intel_rdt, creation->pid, err);
	if (r == 0 && user->present && !user->path)
		r = namespaces_map_ids(creation->pid, &spec->linux, err);
	if (r < 0)
		return r;
	record->pid = creation->pid;
	if (!process_stat(creation->pid, &state, &record->pid_start))
		return err_set(err, -ESRCH, "the container's process died");
	return sync_send(creation->socket, SYNC_GO, creation->pid, NULL, -1) < 0 ?
		       err_set(err, -ESRCH, "the container's process died") :
		       0;
}

static int run_hooks(struct creation *creation, enum oci_hook_point point, const char *name,
		     struct err *err)
{
	const struct oci_hooks *hooks = &creation->spec->hooks[point];
	cleanup_free char *state = NULL;

	if (hooks->count == 0)
		return 0;
	state = container_state_json(&creation->container, OCI_CREATING, creation->spec);
	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	return hooks_run(hooks, name, state, err);
}

/* A hook may ask for the container's state: it has to be there. */
static int on_mounted(struct creation *creation, struct err *err)
{
	int r = container_save(&creation->container, err);

	if (r == 0)
		r = run_hooks(creation, OCI_HOOK_PRESTART, "hooks.prestart", err);
	if (r == 0)
		r = run_hooks(creation, OCI_HOOK_CREATE_RUNTIME, "hooks.createRuntime", err);
	if (r == 0 && sync_send(creation->socket, SYNC_GO, 0, NULL, -1) < 0)
		r = err_set(err, -ESRCH, "the container's process died");
	return r;
}

static int on_console(struct creation *creation, int primary, struct err *err)
{
	if (primary < 0 || creation->primary >= 0)
		return err_set(err, -EPROTO, "the container sent no terminal");
	creation->primary = primary;
	return creation->options->console_socket ?
		       terminal_send(creation->options->console_socket, primary, err) :
		       0;
}

/* Serves the process until it is made. */
static int wait_until_ready(struct creation *creation, struct err *err)
{
	struct sync_message message;
	int fd, r;

	for (;;) {
		if (sync_receive(creation->socket, &message, &fd) < 0)
			return err_set(err, -ESRCH,
				       "the container's process died while it was made");
		switch (message.kind) {
		case SYNC_READY:
			return 0;
		case SYNC_MOUNTED:
			r = on_mounted(creation, err);
			break;
		case SYNC_CONSOLE:
			r = on_console(creation, fd, err);
			break;
		default:
			return err_set(err, message.number < 0 ? message.number : -EPROTO, "%s",
				       message.text);
		}
		if (r < 0)
			return r;
	}
}

/* A device, a FIFO, or a link to one: not to be replaced. */
static int write_in_place(const char *path, const char *text, size_t bytes, struct err *err)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_TRUNC | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || file_write_all(fd, text, bytes) < 0)
		return err_set(err, -errno, "cannot write the pid file '%s': %s", path,
			       strerror(errno));
	return 0;
}

int write_pid_file(const char *path, pid_t pid, struct err *err)
{
	cleanup_free char *temporary = NULL;
	cleanup_fd int fd = -1;
	struct stat st;
	char text[16];
	int bytes = snprintf(text, sizeof(text), "%d", pid);

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_in_place(path, text, (size_t)bytes, err);
	if (asprintf(&temporary, "%s.%d.new", path, getpid()) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || file_write_all(fd, text, (size_t)bytes) < 0 || rename(temporary, path) < 0) {
		int r = err_set(err, -errno, "cannot write the pid file '%s': %s", path,
				strerror(errno));

		(void)unlink(temporary);
		return r;
	}
	return 0;
}

/* From claiming the id to a container that is made, recorded, and waits to be started. */
static int make(struct creation *creation, bool with_fifo, struct err *err)
{
	const struct oci_create_options *options = creation->options;
	int sockets[2];
	int r = claim(creation, err);

	if (r == 0)
		r = fill_folder(creation, with_fifo, err);
	if (r == 0)
		r = cgroup_make(creation->cgroup, &creation->spec->linux.resources, err);
	if (r == 0)
		r = sync_pair(sockets, err);
	if (r < 0)
		return r;
	creation->socket = sockets[0];
	creation->child_socket = sockets[1];
	r = spawn_init(creation, err);
	if (r == 0)
		r = equip(creation, err);
	if (r == 0)
		r = wait_until_ready(creation, err);
	if (r < 0)
		return r;
	creation->container.record.created_whole = true;
	r = container_save(&creation->container, err);
	if (r == 0 && options->pid_file) {
		r = write_pid_file(options->pid_file, creation->pid, err);
		creation->wrote_pid_file = r == 0;
	}
	if (r == 0 && sync_send(creation->socket, SYNC_GO, 0, NULL, -1) < 0)
		r = err_set(err, -ESRCH, "the container's process died");
	return r;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void creation_begin(struct creation *creation, const struct oci_runtime *runtime,
			   const struct oci_create_options *options)
{
	*creation = (struct creation){
		.runtime = runtime,
		.options = options,
		.container = { .runtime = runtime, .root_fd = -1, .dir_fd = -1 },
		.joins = { .pidfd = -1 },
		.socket = -1,
		.child_socket = -1,
		.start_fifo = -1,
		.error_file = -1,
		.agent = -1,
		.primary = -1,
	};
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		creation->joins.fds[i] = -1;
}

static void creation_done(struct creation *creation)
{
	int *const fds[] = { &creation->socket,	    &creation->child_socket, &creation->start_fifo,
			     &creation->error_file, &creation->agent,	     &creation->primary };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = fd_close(*fds[i]);
	namespace_joins_done(&creation->joins);
	creation->rootfs = rootfs_free(creation->rootfs);
	creation->seccomp = seccomp_filter_free(creation->seccomp);
	creation->cgroup = cgroup_free(creation->cgroup);
	creation->spec = spec_free(creation->spec);
	free(creation->config);
	container_done(&creation->container);
}

static void remove_pid_file(const struct creation *creation)
{
	const char *path = creation->options->pid_file;
	struct stat st;

	if (creation->wrote_pid_file && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		(void)unlink(path);
}

/* The cgroup as it came about: one that was in the way is not ours to be emptied. */
static void record_cgroup_again(struct creation *creation)
{
	char *text = creation->cgroup ? cgroup_describe(creation->cgroup) : NULL;

	if (!text)
		return;
	free(creation->container.record.cgroup);
	creation->container.record.cgroup = text;
}

/* Leaves nothing behind. The first error is the one that is told. A container of which there was a
 * process has its poststop hooks run: those of its creation may have been. */
static void undo(struct creation *creation)
{
	const struct oci_spec *spec = creation->pid > 0 ? creation->spec : NULL;

	if (creation->pid > 0) {
		(void)kill(creation->pid, SIGKILL);
		while (waitpid(creation->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	remove_pid_file(creation);
	if (!creation->claimed)
		return;
	record_cgroup_again(creation);
	(void)container_clear(&creation->container, spec, NULL);
}

int oci_create(const struct oci_runtime *runtime, const struct oci_create_options *options,
	       struct err *err)
{
	struct creation creation;
	int r;

	creation_begin(&creation, runtime, options);
	r = check_preserved(options->preserve_fds, err);
	if (r == 0)
		r = prepare(&creation, true, err);
	if (r == 0)
		r = make(&creation, true, err);
	if (r < 0)
		undo(&creation);
	creation_done(&creation);
	return r;
}

int wait_for_program(int socket, struct err *err)
{
	struct sync_message message;
	int r = sync_receive(socket, &message, NULL);

	if (r == -EPIPE || r == -ECONNRESET)
		return 0;
	if (r < 0)
		return err_set(err, r, "cannot hear from the container: %s", strerror(-r));
	return err_set(err, message.number < 0 ? message.number : -EPROTO, "%s", message.text);
}

static int run_poststart_hooks(struct creation *creation, struct err *err)
{
	const struct oci_hooks *hooks = &creation->spec->hooks[OCI_HOOK_POSTSTART];
	cleanup_free char *state = NULL;

	if (hooks->count == 0)
		return 0;
	state = container_state_json(&creation->container, OCI_RUNNING, creation->spec);
	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	hooks_run_all(hooks, "hooks.poststart", state, creation->runtime);
	return 0;
}

/* Others may have deleted it meanwhile, and made another one of this id. */
static int clear_after_end(struct creation *creation, struct err *err)
{
	int r = container_lock_again(&creation->container, err);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : container_clear(&creation->container, creation->spec, err);
}

static int run_in_foreground(struct creation *creation, int *ret_status, struct err *err)
{
	const struct oci_create_options *options = creation->options;
	int r;

	/* Whoever has been sent the terminal is alone with it. */
	if (options->console_socket)
		creation->primary = fd_close(creation->primary);
	r = foreground_wait(creation->runtime, creation->pid, creation->primary,
			    options->terminal_fd, ret_status, err);
	if (r < 0)
		undo(creation);
	else if (!options->keep)
		r = clear_after_end(creation, err);
	return r;
}

static int run(struct creation *creation, int *ret_status, struct err *err)
{
	int r = make(creation, false, err);

	if (r == 0)
		r = wait_for_program(creation->socket, err);
	if (r < 0) {
		undo(creation);
		return r;
	}
	/* Others, and hooks, may pause, change or kill it from now on. */
	container_unlock(&creation->container);
	r = run_poststart_hooks(creation, err);
	if (r < 0) {
		undo(creation);
		return r;
	}
	*ret_status = 0;
	return creation->options->detach ? 0 : run_in_foreground(creation, ret_status, err);
}

int oci_run(const struct oci_runtime *runtime, const struct oci_create_options *options,
	    int *ret_status, struct err *err)
{
	struct creation creation;
	sigset_t old;
	int r;

	creation_begin(&creation, runtime, options);
	r = check_preserved(options->preserve_fds, err);
	if (r == 0)
		r = prepare(&creation, options->detach, err);
	if (r == 0) {
		foreground_block(&old);
		r = run(&creation, ret_status, err);
		foreground_unblock(&old);
	}
	creation_done(&creation);
	return r;
}
