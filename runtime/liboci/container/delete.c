/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a container: signals, and removal of everything that it was.
 *
 * Removal begins with what can still do something, the processes, and ends with the record, so that
 * it can be called again after any failure. It does not rely on a record that may be damaged: the
 * cgroup is found again from the saved configuration.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cgroup/cgroup.h"
#include "cleanup.h"
#include "container/container.h"
#include "container/hooks.h"
#include "spec/spec.h"

static int send_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* All that are known, where there is no cgroup to tell of the others: as an ordinary user, for
 * one. */
static void signal_first(const struct container *container, int signal)
{
	cleanup_fd int pidfd = container_pidfd(container, NULL);

	if (pidfd >= 0)
		(void)send_signal(pidfd, signal);
}

static int signal_all(const struct container *container, int signal, struct err *err)
{
	cleanup_free pid_t *pids = NULL;
	struct cgroup *cgroup = NULL;
	size_t count = 0;
	int r = container_cgroup(container, &cgroup, err);

	if (r == 0)
		r = cgroup_pids(cgroup, &pids, &count, err);
	if (r == 0 && count == 0)
		signal_first(container, signal);
	if (r == 0 && count > 0)
		r = cgroup_kill(cgroup, signal, err);
	(void)cgroup_free(cgroup);
	return r;
}

/* A frozen process of v1 does not die. */
static void thaw(const struct container *container)
{
	struct cgroup *cgroup = NULL;

	if (container_cgroup(container, &cgroup, NULL) == 0 && cgroup_is_frozen(cgroup))
		(void)cgroup_freeze(cgroup, false, NULL);
	(void)cgroup_free(cgroup);
}

int oci_kill(const struct oci_runtime *runtime, const char *id, int signal, bool all,
	     struct err *err)
{
	struct container container;
	cleanup_fd int pidfd = -1;
	int r = container_open(&container, runtime, id, false, err);

	if (r == 0 && all) {
		r = signal_all(&container, signal, err);
	} else if (r == 0) {
		pidfd = container_pidfd(&container, err);
		r = pidfd < 0 ? pidfd : send_signal(pidfd, signal);
		if (r < 0 && pidfd >= 0)
			(void)err_set(err, r, "cannot signal container '%s': %s", id, strerror(-r));
		if (r == 0 && signal == SIGKILL)
			thaw(&container);
	}
	container_done(&container);
	return r;
}

/* The first process, if it is still the recorded one; the kernel ends all others of its PID
 * namespace with it. A process of ours is reaped. */
static void kill_first(const struct container *container)
{
	cleanup_fd int pidfd = container_pidfd(container, NULL);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return;
	(void)send_signal(pidfd, SIGKILL);
	(void)poll(&end, 1, KILL_TIMEOUT_MS);
	(void)waitpid(container->record.pid, NULL, WNOHANG);
}

/* The cgroup that a container of this configuration gets, for want of a record. */
static int guess_cgroup(const struct container *container, struct cgroup **ret_cgroup,
			struct err *err)
{
	struct oci_spec *spec = NULL;
	struct cgroup_config config = {
		.id = container->id,
		.systemd = container->runtime->systemd_cgroup,
		.disabled = container->runtime->cgroup_disabled,
		.rootless = container->runtime->rootless,
	};
	int r = container_load_spec(container, &spec, NULL);

	if (r == 0) {
		config.cgroups_path = spec->linux.cgroups_path;
		config.resources = &spec->linux.resources;
	}
	r = cgroup_new(ret_cgroup, &config, err);
	(void)spec_free(spec);
	return r;
}

static int remove_cgroup(const struct container *container, struct err *err)
{
	struct cgroup *cgroup = NULL;
	int r = container_cgroup(container, &cgroup, err);

	if (r < 0)
		r = guess_cgroup(container, &cgroup, err);
	if (r < 0)
		return r;
	/* A process that is frozen in a v1 freezer would hang the end of its PID namespace. */
	if (container_is_alive(container) && cgroup_is_frozen(cgroup))
		(void)cgroup_freeze(cgroup, false, NULL);
	kill_first(container);
	r = cgroup_remove(cgroup, err);
	(void)cgroup_free(cgroup);
	return r;
}

static void run_poststop_hooks(const struct container *container, const struct oci_spec *spec)
{
	cleanup_free char *state = NULL;

	if (!spec || spec->hooks[OCI_HOOK_POSTSTOP].count == 0)
		return;
	state = container_state_json(container, OCI_STOPPED, spec);
	if (state)
		hooks_run_all(&spec->hooks[OCI_HOOK_POSTSTOP], "hooks.poststop", state,
			      container->runtime);
}

int container_clear(struct container *container, const struct oci_spec *spec, struct err *err)
{
	struct err first = {};
	int r = remove_cgroup(container, &first);

	if (r < 0)
		kill_first(container);
	if (container->record.intel_rdt)
		(void)rmdir(container->record.intel_rdt);
	run_poststop_hooks(container, spec);
	if (r < 0)
		return err_set(err, r, "container '%s': %s", container->id, first.message);
	return container_remove_folder(container, err);
}

static int check_deletable(const struct container *container, struct err *err)
{
	enum oci_status status = container_status(container);

	if (status == OCI_STOPPED)
		return 0;
	return err_set(err, -EBUSY, "container '%s' is %s; stop it first, or use --force",
		       container->id, oci_status_name(status));
}

static int delete_open(struct container *container, bool force, struct err *err)
{
	struct oci_spec *spec = NULL;
	int r = force ? 0 : check_deletable(container, err);

	if (r < 0)
		return r;
	/* Without its configuration only the hooks are lost. */
	if (container_load_spec(container, &spec, NULL) < 0)
		spec = NULL;
	r = container_clear(container, spec, err);
	(void)spec_free(spec);
	return r;
}

/* Who starts a container has it locked as long as its hooks take: a hook that hangs ends with the
 * container's process. */
static void kill_unlocked(const struct oci_runtime *runtime, const char *id)
{
	struct container container;

	if (container_open(&container, runtime, id, false, NULL) == 0)
		signal_first(&container, SIGKILL);
	container_done(&container);
}

int oci_delete(const struct oci_runtime *runtime, const char *id, bool force, struct err *err)
{
	struct container container;
	int r;

	if (force)
		kill_unlocked(runtime, id);
	r = force ? container_open(&container, runtime, id, true, err) :
		    container_open_made(&container, runtime, id, err);
	if (r == 0 || (r == -ENODATA && force))
		r = delete_open(&container, force, err);
	else if (r == -ENOENT && force)
		r = 0;
	container_done(&container);
	return r;
}
