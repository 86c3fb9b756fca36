/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a container that was created: one byte into its FIFO.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "container/container.h"
#include "container/hooks.h"
#include "file.h"
#include "spec/spec.h"

static int not_created(const struct container *container, struct err *err)
{
	return err_set(err, -EBUSY, "container '%s' cannot be started: it is %s", container->id,
		       oci_status_name(container_status(container)));
}

/* As a reader too: the write then raises no SIGPIPE when the first process has just ended. */
static bool write_byte(const struct container *container)
{
	cleanup_fd int fifo = openat(container->dir_fd, START_FIFO,
				     O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	/* The name goes first, so that where that fails nothing has been started. */
	return fifo >= 0 && unlinkat(container->dir_fd, START_FIFO, 0) == 0 &&
	       write(fifo, "", 1) == 1;
}

/* The first process has the FIFO open until its program runs or it ends. */
static int release(const struct container *container, struct err *err)
{
	cleanup_fd int fifo = openat(container->dir_fd, START_FIFO,
				     O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct pollfd closed = { .fd = fifo };

	if (fifo < 0)
		return not_created(container, err);
	if (!write_byte(container))
		return err_set(err, -errno, "cannot start container '%s': %s", container->id,
			       strerror(errno));
	while (poll(&closed, 1, -1) < 0 && errno == EINTR)
		;
	return 0;
}

static int read_failure(const struct container *container, struct err *err)
{
	cleanup_fd int fd =
		openat(container->dir_fd, ERROR_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free uint8_t *text = NULL;
	size_t bytes = 0;

	if (fd >= 0 && file_read_fd(fd, ERR_MESSAGE_BYTES, &text, &bytes) == 0 && bytes > 0)
		return err_set(err, -ENOEXEC, "%s", (const char *)text);
	(void)unlinkat(container->dir_fd, ERROR_FILE, 0);
	return 0;
}

/* Without the lock: a hook may want to change the container. */
static int run_poststart_hooks(const struct container *container, const struct oci_spec *spec,
			       struct err *err)
{
	cleanup_free char *state = NULL;

	if (spec->hooks[OCI_HOOK_POSTSTART].count == 0)
		return 0;
	state = container_state_json(container, OCI_RUNNING, spec);
	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	container_unlock(container);
	hooks_run_all(&spec->hooks[OCI_HOOK_POSTSTART], "hooks.poststart", state,
		      container->runtime);
	return 0;
}

int oci_start(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	struct oci_spec *spec = NULL;
	struct container container;
	int r = container_open_made(&container, runtime, id, err);

	if (r == 0 && container_status(&container) != OCI_CREATED)
		r = not_created(&container, err);
	/* What can be refused comes before the program runs. */
	if (r == 0)
		r = container_load_spec(&container, &spec, err);
	if (r == 0)
		r = release(&container, err);
	if (r == 0)
		r = read_failure(&container, err);
	if (r == 0)
		r = run_poststart_hooks(&container, spec, err);
	(void)spec_free(spec);
	container_done(&container);
	return r;
}
