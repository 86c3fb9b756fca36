/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a cgroup: moved in, listed, frozen, killed, outlived.
 *
 * A container that may write to its cgroup can make any number of cgroups below it, nested as
 * deeply as it likes, and fork faster than it is looked at. So nothing here keeps a descriptor for
 * each level when it removes, the kernel's own cgroup.kill is used where there is one, and every
 * wait is bounded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "clock.h"
#include "err.h"
#include "number.h"

enum {
	MOST_PROCESSES = 4 << 20, /* PID_MAX_LIMIT */
	WALK_STEPS = 1 << 17,
	POLL_MS = 100,
	NS_PER_MS = 1000000,
};

static uint64_t deadline_in(int ms)
{
	return monotonic_ns() + (uint64_t)ms * NS_PER_MS;
}

/* --- folders below ------------------------------------------------------------------------- */

struct child_scan {
	int dir; /* owned */
	ssize_t length, at;
	char entries[4096] __attribute__((aligned(8)));
};

/* The next folder in it, or NULL. Nothing is read of a cgroup that has none: its link count is 2,
 * and to read it would mean to read the names of all its files. */
static const char *next_child(struct child_scan *scan)
{
	for (;;) {
		const struct dirent64 *entry;

		if (scan->at >= scan->length) {
			scan->length = getdents64(scan->dir, scan->entries, sizeof(scan->entries));
			scan->at = 0;
			if (scan->length <= 0)
				return NULL;
		}
		entry = (const struct dirent64 *)(scan->entries + scan->at);
		scan->at += entry->d_reclen;
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	}
}

static bool has_children(int dir)
{
	struct stat st;

	return fstat(dir, &st) == 0 && st.st_nlink > 2;
}

static int open_below(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* --- listing ------------------------------------------------------------------------------- */

struct pid_list {
	pid_t *items; /* owned */
	size_t count, capacity;
};

static int pid_list_add(struct pid_list *list, pid_t pid)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 64;
		pid_t *items;

		if (capacity > 2 * (size_t)MOST_PROCESSES)
			return -E2BIG;
		items = realloc(list->items, capacity * sizeof(*items));
		if (!items)
			return -ENOMEM;
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = pid;
	return 0;
}

/* A list can be longer than any buffer, and a number lie across the end of one. 0 stands for a
 * process of another PID namespace. */
static int list_file(int fd, struct pid_list *list)
{
	char text[4096];
	uint64_t pid = 0;
	ssize_t n;
	int r = 0;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n && r == 0; i++) {
			if (text[i] >= '0' && text[i] <= '9' && pid <= INT_MAX) {
				pid = pid * 10 + (uint64_t)(text[i] - '0');
				continue;
			}
			if (pid > 0 && pid <= INT_MAX)
				r = pid_list_add(list, (pid_t)pid);
			pid = 0;
		}
	return n < 0 ? -errno : r;
}

/* A cgroup that goes away meanwhile, or is a threaded one whose processes its parent lists, has
 * none. */
static int list_own(int dir, struct pid_list *list)
{
	cleanup_fd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? -errno : list_file(fd, list);

	return r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP ? 0 : r;
}

static int list_below(int dir, unsigned int depth, struct pid_list *list)
{
	struct child_scan scan = {.dir = -1};
	const char *name;
	int r = list_own(dir, list);

	if (r < 0 || !has_children(dir))
		return r;
	if (depth == CGROUP_DEPTH)
		return -ELOOP;
	scan.dir = open_below(dir, ".");
	while (scan.dir >= 0 && r == 0 && (name = next_child(&scan))) {
		cleanup_fd int child = open_below(dir, name);

		if (child >= 0)
			r = list_below(child, depth + 1, list);
	}
	(void)fd_close(scan.dir);
	return r;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static void pid_list_unique(struct pid_list *list)
{
	size_t kept = 0;

	if (list->count < 2)
		return;
	qsort(list->items, list->count, sizeof(*list->items), compare_pids);
	for (size_t i = 0; i < list->count; i++)
		if (kept == 0 || list->items[i] != list->items[kept - 1])
			list->items[kept++] = list->items[i];
	list->count = kept;
}

const struct cgroup_hierarchy *cgroup_main(const struct cgroup *cgroup)
{
	for (size_t i = cgroup->hierarchy_count; i-- > 0;)
		if (cgroup->hierarchies[i].dir >= 0)
			return &cgroup->hierarchies[i];
	return NULL;
}

static int list_hierarchy(const struct cgroup_hierarchy *hierarchy, pid_t **ret_pids,
			  size_t *ret_count)
{
	struct pid_list list = {0};
	int r = list_below(hierarchy->dir, 0, &list);

	if (r < 0) {
		free(list.items);
		return r;
	}
	pid_list_unique(&list);
	*ret_pids = list.items;
	*ret_count = list.count;
	return 0;
}

int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	const struct cgroup_hierarchy *hierarchy = cgroup_main(cgroup);
	int r;

	*ret_pids = NULL;
	*ret_count = 0;
	r = hierarchy ? list_hierarchy(hierarchy, ret_pids, ret_count) : 0;
	return r < 0 ? err_set(err, r, "cannot list the processes of the cgroup '%s': %s",
			       cgroup->path, strerror(-r)) : 0;
}

bool cgroup_is_populated(const struct cgroup_hierarchy *hierarchy)
{
	uint64_t populated = 0;
	size_t count = 0;
	pid_t *pids = NULL;

	if (hierarchy->v2)
		return cgroup_file_find(hierarchy->dir, "cgroup.events", "populated", &populated) &&
		       populated;
	(void)list_hierarchy(hierarchy, &pids, &count);
	free(pids);
	return count > 0;
}

/* --- waiting ------------------------------------------------------------------------------- */

/* v1 tells nobody. */
static void nap(unsigned int round)
{
	const struct timespec time = {.tv_nsec = (long)(round < 20 ? round + 1 : 20) * NS_PER_MS};

	(void)nanosleep(&time, NULL);
}

/* Waits for `key` of cgroup.events to be `value`, but no longer than POLL_MS or the deadline. A
 * read arms the poll. */
static bool wait_for_event(int dir, const char *key, uint64_t value, uint64_t deadline_ns)
{
	cleanup_fd int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct pollfd poll_fd = {.fd = fd, .events = POLLPRI};
	uint64_t now = monotonic_ns();
	uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS + 1 : 0;
	char text[128];
	uint64_t found;

	for (int i = 0; i < 2; i++) {
		ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

		if (n <= 0) {
			nap(POLL_MS);
			return false;
		}
		text[n] = '\0';
		if (cgroup_text_find(text, key, &found) && found == value)
			return true;
		if (i == 0)
			(void)poll(&poll_fd, 1, left_ms < POLL_MS ? (int)left_ms : POLL_MS);
	}
	return false;
}

/* --- entering ------------------------------------------------------------------------------ */

/* A cgroup of which the container has delegated controllers to cgroups below takes no process
 * (v2's rule of no internal processes). A new one then joins one that is there, as runc does it. */
static int enter_beside_others(const struct cgroup *cgroup,
			       const struct cgroup_hierarchy *hierarchy, const char *pid_text)
{
	char file[64], text[CGROUP_FILE_BYTES], procs[CGROUP_FILE_BYTES + 64];
	cleanup_free pid_t *pids = NULL;
	size_t count = 0, length = strlen(cgroup->path);
	const char *own;
	int r = list_hierarchy(hierarchy, &pids, &count);

	if (r < 0 || count == 0)
		return r < 0 ? r : -EBUSY;
	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pids[0]);
	if (cgroup_file_read(AT_FDCWD, file, text, sizeof(text)) <= 0)
		return -EBUSY;
	own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	own = own ? strchr(own, '/') : NULL;
	if (!own || strncmp(own, cgroup->path, length) != 0 || own[length] != '/')
		return -EBUSY;
	(void)snprintf(procs, sizeof(procs), CGROUP_ROOT "%s%.*s/cgroup.procs", hierarchy->mount,
		       (int)strcspn(own, "\n"), own);
	return cgroup_file_write(AT_FDCWD, procs, pid_text);
}

int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct err *err)
{
	char text[16];
	int r = 0;

	if (cgroup->wants_scope)
		r = cgroup_enter_scope(cgroup, pid, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		const struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];

		if (hierarchy->dir < 0)
			continue;
		r = cgroup_file_write(hierarchy->dir, "cgroup.procs", text);
		if (r == -EBUSY && hierarchy->v2)
			r = enter_beside_others(cgroup, hierarchy, text);
		if (r < 0 && !(cgroup->rootless && (r == -EACCES || r == -EPERM)))
			return err_set(err, r, "cannot move process %d to the cgroup '" CGROUP_ROOT
				       "%s%s': %s", pid, hierarchy->mount, cgroup->path,
				       strerror(-r));
	}
	return 0;
}

static int enter_folder(const struct cgroup_hierarchy *hierarchy, const char *below,
			const char *pid)
{
	cleanup_fd int dir = openat(hierarchy->dir, below, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno : cgroup_file_write(dir, "cgroup.procs", pid);
}

static bool is_below(const char *below)
{
	char path[CGROUP_PATH_BYTES];

	return (size_t)snprintf(path, sizeof(path), "/%s", below) < sizeof(path) &&
	       !strchr(below, ':') && cgroup_path_is_clean(path);
}

int cgroup_enter_below(struct cgroup *cgroup, const char *below, pid_t pid, struct err *err)
{
	char text[16];
	size_t entered = 0;
	int r;

	while (*below == '/')
		below++;
	if (!is_below(below))
		return err_set(err, -EINVAL,
			       "'%.100s' is not the path of a cgroup below the container's", below);
	/* Where it is not, the container's own is the place. */
	r = cgroup_enter(cgroup, pid, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		const struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];

		r = hierarchy->dir < 0 ? -ENOENT : enter_folder(hierarchy, below, text);
		if (r < 0 && r != -ENOENT)
			return err_set(err, r, "cannot move process %d to the cgroup '%.100s': %s",
				       pid, below, strerror(-r));
		entered += r == 0;
	}
	return entered ? 0 : err_set(err, -ENOENT, "the container has no cgroup '%.100s'", below);
}

/* --- freezing ------------------------------------------------------------------------------ */

static int write_frozen(const struct cgroup_hierarchy *hierarchy, bool frozen)
{
	if (hierarchy->v2)
		return cgroup_file_write(hierarchy->dir, "cgroup.freeze", frozen ? "1" : "0");
	return cgroup_file_write(hierarchy->dir, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

/* v1's FREEZING ends only when somebody asks, and a process that forks meanwhile can keep it
 * there: it is asked for again each time. */
static bool state_reached(const struct cgroup_hierarchy *hierarchy, bool frozen,
			  unsigned int round, uint64_t deadline_ns)
{
	char state[32];

	if (hierarchy->v2)
		return wait_for_event(hierarchy->dir, "frozen", frozen, deadline_ns);
	if (round > 0) {
		nap(round);
		(void)write_frozen(hierarchy, frozen);
	}
	return cgroup_file_read(hierarchy->dir, "freezer.state", state, sizeof(state)) > 0 &&
	       strcmp(state, frozen ? "FROZEN\n" : "THAWED\n") == 0;
}

int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct err *err)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, CGROUP_FREEZER);
	uint64_t deadline = deadline_in(CGROUP_WAIT_MS);
	int r;

	if (!home)
		return cgroup_main(cgroup) ? err_set(err, -ENOTSUP, "this machine has no "
							"cgroup with the controller freezer") : 0;
	r = write_frozen(home, frozen);
	if (r < 0)
		return err_set(err, r, "cannot %s the cgroup '%s': %s", frozen ? "freeze" : "thaw",
			       cgroup->path, strerror(-r));
	for (unsigned int round = 0; !state_reached(home, frozen, round, deadline); round++)
		if (monotonic_ns() >= deadline) {
			(void)write_frozen(home, false);
			return err_set(err, -ETIMEDOUT, "cannot %s the cgroup '%s' within %d s",
				       frozen ? "freeze" : "thaw", cgroup->path,
				       CGROUP_WAIT_MS / 1000);
		}
	return 0;
}

bool cgroup_is_frozen(struct cgroup *cgroup)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, CGROUP_FREEZER);
	char state[32];

	if (!home || cgroup_file_read(home->dir, home->v2 ? "cgroup.freeze" : "freezer.state",
				      state, sizeof(state)) <= 0)
		return false;
	return home->v2 ? state[0] == '1' : state[0] == 'F';
}

/* --- killing ------------------------------------------------------------------------------- */

static int signal_all(const struct cgroup_hierarchy *hierarchy, int signal)
{
	cleanup_free pid_t *pids = NULL;
	size_t count = 0;
	int r = list_hierarchy(hierarchy, &pids, &count);

	for (size_t i = 0; i < count; i++)
		if (kill(pids[i], signal) < 0 && errno != ESRCH)
			r = -errno;
	return r;
}

/* Without cgroup.kill (before Linux 5.14, and in v1): nothing forks in a cgroup that is being
 * frozen, so that one pass reaches all. A frozen process of v1 does not die, and its death keeps
 * its PID namespace from ending: thawed in any case. */
static int kill_by_list(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
	const struct cgroup_hierarchy *freezer = cgroup_home(cgroup, CGROUP_FREEZER);
	int r;

	if (freezer)
		(void)write_frozen(freezer, true);
	r = signal_all(hierarchy, SIGKILL);
	if (freezer)
		(void)write_frozen(freezer, false);
	return r;
}

static int kill_hierarchy(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
	const struct cgroup_hierarchy *freezer = cgroup_home(cgroup, CGROUP_FREEZER);

	if (!hierarchy->v2 || cgroup_file_write(hierarchy->dir, "cgroup.kill", "1") < 0)
		return kill_by_list(cgroup, hierarchy);
	if (freezer && !freezer->v2)
		(void)write_frozen(freezer, false);
	return 0;
}

int cgroup_kill(struct cgroup *cgroup, int signal, struct err *err)
{
	const struct cgroup_hierarchy *hierarchy = cgroup_main(cgroup);
	int r = 0;

	if (hierarchy)
		r = signal == SIGKILL ? kill_hierarchy(cgroup, hierarchy) :
					signal_all(hierarchy, signal);
	return r < 0 && r != -ENODEV ? err_set(err, r, "cannot signal the cgroup '%s': %s",
					       cgroup->path, strerror(-r)) : 0;
}

/* --- removing ------------------------------------------------------------------------------ */

/* Removes the children that can be removed. One that cannot is told in `stuck`; whether there is
 * one. */
static bool remove_children(int dir, char stuck[NAME_MAX + 1], bool *ret_progress)
{
	struct child_scan scan = {.dir = -1};
	const char *name;
	bool any = false;

	*ret_progress = false;
	if (!has_children(dir))
		return false;
	scan.dir = open_below(dir, ".");
	while (scan.dir >= 0 && (name = next_child(&scan))) {
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
			*ret_progress = true;
		} else if (!any && errno != ENOENT) {
			(void)snprintf(stuck, NAME_MAX + 1, "%s", name);
			any = true;
		}
	}
	(void)fd_close(scan.dir);
	return any;
}

/* Depth-first, with one descriptor however deep it goes. Ends when all is removed, or at a cgroup
 * that cannot be yet, since a process in it still has to end. */
static void remove_below(int top)
{
	cleanup_fd int dir = open_below(top, ".");
	bool rising = false;
	int depth = 0;

	for (int step = 0; dir >= 0 && step < WALK_STEPS; step++) {
		char stuck[NAME_MAX + 1];
		bool progress;
		int next;

		if (remove_children(dir, stuck, &progress)) {
			if (rising && !progress)
				return;
			next = open_below(dir, stuck);
			depth++;
			rising = false;
		} else if (depth-- > 0) {
			next = open_below(dir, "..");
			rising = true;
		} else {
			return;
		}
		(void)fd_close(dir);
		dir = next;
	}
}

static int remove_folder(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
			 const char *folder, uint64_t deadline_ns)
{
	for (unsigned int round = 0; rmdir(folder) < 0; round++) {
		if (errno == ENOENT || errno == ENODEV)
			return 0;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return -errno;
		if (hierarchy->dir < 0 || monotonic_ns() >= deadline_ns)
			return -EBUSY;
		(void)kill_hierarchy(cgroup, hierarchy);
		remove_below(hierarchy->dir);
		if (!hierarchy->v2 || round > 2)
			nap(round);
		if (hierarchy->v2)
			(void)wait_for_event(hierarchy->dir, "populated", 0, deadline_ns);
	}
	return 0;
}

/* systemd would ask the processes to end, and wait for them: they have to be gone before. Where it
 * cannot be reached, the folder is removed all the same, and it forgets a scope without one. */
static void end_scope(struct cgroup *cgroup, uint64_t deadline_ns)
{
	const struct cgroup_hierarchy *hierarchy = cgroup_main(cgroup);

	while (hierarchy && cgroup_is_populated(hierarchy) && monotonic_ns() < deadline_ns) {
		(void)kill_hierarchy(cgroup, hierarchy);
		if (!hierarchy->v2)
			nap(5);
		else
			(void)wait_for_event(hierarchy->dir, "populated", 0, deadline_ns);
	}
	(void)cgroup_scope_stop(cgroup->scope, NULL);
}

int cgroup_remove(struct cgroup *cgroup, struct err *err)
{
	uint64_t deadline = deadline_in(CGROUP_WAIT_MS);
	char folder[CGROUP_PATH_BYTES + 64];
	int r = 0;

	(void)cgroup_open_folders(cgroup);
	if (cgroup->scope)
		end_scope(cgroup, deadline);
	for (size_t i = cgroup->hierarchy_count; cgroup->path && i-- > 0;) {
		struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[i];
		int one = cgroup_folder(folder, sizeof(folder), hierarchy, cgroup->path);

		if (one == 0 && hierarchy->dir >= 0)
			one = remove_folder(cgroup, hierarchy, folder, deadline);
		if (one < 0)
			r = err_set(err, one, "cannot remove the cgroup '%s': %s", folder,
				    strerror(-one));
		hierarchy->dir = fd_close(hierarchy->dir);
	}
	return r;
}
