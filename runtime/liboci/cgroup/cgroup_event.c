/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a cgroup to run out of memory, or to end.
 *
 * What has happened is read from counters, and the kernel's notification only says when to look: so
 * nothing is lost between two calls, and one that comes early or twice does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "clock.h"
#include "err.h"

enum { EVENT_OOM = 1, EVENT_END = 0, EVENT_TIMEOUT = 2, LOOK_MS = 100 };

struct watch {
	const struct cgroup_hierarchy *memory, *main; /* may be NULL */
	int oom; /* owned: memory.events (v2), memory.oom_control (v1) */
	int end; /* owned: cgroup.events; -1 in v1 */
	int notice; /* owned: v1's eventfd */
	uint64_t deadline_ns; /* UINT64_MAX: none */
};

/* v1 writes to an eventfd when memory runs out, which is before anything is killed. */
static int subscribe_v1(const struct cgroup_hierarchy *memory, int oom)
{
	cleanup_fd int notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char text[32];

	if (notice < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%d %d", notice, oom);
	if (cgroup_file_write(memory->dir, "cgroup.event_control", text) < 0)
		return -1;
	return TAKE_FD(notice);
}

static void watch_open(struct watch *watch)
{
	const struct cgroup_hierarchy *memory = watch->memory;

	if (memory)
		watch->oom = openat(memory->dir,
				    memory->v2 ? "memory.events" : "memory.oom_control",
				    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (watch->oom >= 0 && !memory->v2)
		watch->notice = subscribe_v1(memory, watch->oom);
	if (watch->main->v2)
		watch->end = openat(watch->main->dir, "cgroup.events",
				    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void watch_close(struct watch *watch)
{
	watch->oom = fd_close(watch->oom);
	watch->end = fd_close(watch->end);
	watch->notice = fd_close(watch->notice);
}

/* Reading it again from its start arms the next notification. False when the cgroup is gone. */
static bool counter(int fd, const char *key, uint64_t *ret_value)
{
	char text[512];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return cgroup_text_find(text, key, ret_value);
}

static bool has_ended(const struct watch *watch)
{
	uint64_t populated = 0;

	if (watch->main->v2)
		return !counter(watch->end, "populated", &populated) || !populated;
	return !cgroup_is_populated(watch->main);
}

static bool has_killed(struct cgroup *cgroup, const struct watch *watch)
{
	uint64_t kills, before = cgroup->oom_kills;

	if (!counter(watch->oom, "oom_kill", &kills))
		return false;
	cgroup->oom_kills = kills;
	if (!cgroup->oom_kills_known) {
		cgroup->oom_kills_known = true;
		return false;
	}
	return kills > before;
}

/* Where something happens without a notification (v1), looks from time to time. False at the end of
 * the caller's time. */
static bool watch_wait(const struct watch *watch)
{
	bool told = watch->main->v2 && (!watch->memory || watch->memory->v2);
	struct pollfd fds[] = {
		{.fd = watch->end, .events = POLLPRI},
		{.fd = watch->memory && watch->memory->v2 ? watch->oom : watch->notice,
		 .events = watch->memory && watch->memory->v2 ? POLLPRI : POLLIN},
	};
	uint64_t now = monotonic_ns();
	uint64_t left_ms;
	uint64_t count;

	if (now >= watch->deadline_ns)
		return false;
	left_ms = (watch->deadline_ns - now) / 1000000 + 1;
	if (!told && left_ms > LOOK_MS)
		left_ms = LOOK_MS;
	(void)poll(fds, ARRAY_SIZE(fds),
		   told && watch->deadline_ns == UINT64_MAX ? -1 :
		   left_ms < 60000 ? (int)left_ms : 60000);
	if (watch->notice >= 0)
		(void)!read(watch->notice, &count, sizeof(count));
	return true;
}

int cgroup_wait_event(struct cgroup *cgroup, int timeout_ms, struct err *err)
{
	struct watch watch = {
		.memory = cgroup_home(cgroup, CGROUP_MEMORY),
		.main = cgroup_main(cgroup),
		.oom = -1, .end = -1, .notice = -1,
		.deadline_ns = timeout_ms < 0 ? UINT64_MAX :
			       monotonic_ns() + (uint64_t)timeout_ms * 1000000,
	};
	int event = -1;

	if (!watch.main)
		return cgroup->path && cgroup->hierarchy_count ? EVENT_END :
			       err_set(err, -ENOTSUP, "the container has no cgroup");
	watch_open(&watch);
	while (event < 0) {
		if (has_killed(cgroup, &watch))
			event = EVENT_OOM;
		else if (has_ended(&watch))
			event = EVENT_END;
		else if (!watch_wait(&watch))
			event = EVENT_TIMEOUT;
	}
	watch_close(&watch);
	return event;
}
