/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CREATE order: root, bundle, and the container, which run0 makes as it does on any host.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "init.h"

#define RUN0 "/usr/libexec/quark/run0"
#define RUN0_LOG "/run/run0.log"
#define BUNDLE "/bundle"
#define CONFIG BUNDLE "/config.json"
#define PID_FILE "/run/function.pid"
#define ID "function"
#define IDENTITY_FOLDER "/run/identity"
#define CGROUP_FOLDER "/sys/fs/cgroup"

enum { PAGE_BYTES = 4096, MACHINE_ID_BYTES = 33, LOG_BYTES = 4096, PATH_BYTES = 512 };

/* --- identity -------------------------------------------------------------------------------- */

static int identity_file(const char *path, const char *text, int *ret_fd)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	int r;

	if (fd < 0)
		return -errno;
	r = file_write_all(fd, text, strlen(text));
	if (r == 0 && ret_fd)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* The wake changes the machine id by storing to this mapping, which lies within the program: no
 * system call, and no page table of its own. */
static int machine_id_make(struct init *init)
{
	static uint8_t room[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	cleanup_fd int fd = -1;
	int r = identity_file(IDENTITY_FOLDER "/machine-id",
			      "00000000000000000000000000000000\n", &fd);

	if (r < 0)
		return r;
	init->machine_id = mmap(room, PAGE_BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
	return init->machine_id == MAP_FAILED ? -errno : 0;
}

/* The name's file is the kernel's own, which shows each container what it is called: one thing less
 * to change at the wake. */
int identity_make(struct init *init, struct err *err)
{
	int r = mkdir(IDENTITY_FOLDER, 0755) < 0 ? -errno : 0;

	if (r == 0)
		r = machine_id_make(init);
	if (r == 0 && symlink("/proc/sys/kernel/hostname", IDENTITY_FOLDER "/hostname") < 0)
		r = -errno;
	if (r == 0)
		r = identity_file(IDENTITY_FOLDER "/hosts",
				  "127.0.0.1 localhost quark\n::1 localhost ip6-localhost\n", NULL);
	if (r == 0) {
		init->random_fd = open("/dev/random", O_RDONLY | O_CLOEXEC);
		r = init->random_fd < 0 ? -errno : 0;
	}
	return r < 0 ? err_set(err, r, IDENTITY_FOLDER ": %s", strerror(-r)) : 0;
}

/* --- run0 ------------------------------------------------------------------------------------ */

/* The text of the last error in run0's log, whose lines end in: level=error msg="TEXT". */
static void log_error(char *text, size_t size)
{
	static const char mark[] = "level=error msg=\"";
	char log[LOG_BYTES];
	char *at = log, *found = NULL, *end, *to = text;

	if (text_read(RUN0_LOG, log, sizeof(log)) < 0)
		return;
	while ((at = strstr(at, mark)))
		found = at += sizeof(mark) - 1;
	if (!found)
		return;
	found[strcspn(found, "\n")] = '\0';
	end = strrchr(found, '"');
	if (end)
		*end = '\0';
	for (; *found && (size_t)(to - text) < size - 1; found++)
		if (*found != '\\' || found[1] == '\\')
			*to++ = *found;
	*to = '\0';
}

static int run0(const struct init *init, char *const argv[], struct err *err)
{
	char text[ERR_MESSAGE_BYTES / 2] = "it says no more";
	int status = 0;
	int r = child_run(init, argv, &status);

	if (r < 0)
		return err_set(err, r, "cannot run " RUN0 ": %s", strerror(-r));
	if (status == 0)
		return 0;
	log_error(text, sizeof(text));
	if (WIFSIGNALED(status))
		return err_set(err, -ECHILD, "run0 %s was killed by signal %d: %s", argv[3],
			       WTERMSIG(status), text);
	return err_set(err, -ECHILD, "run0 %s: %s", argv[3], text);
}

/* --- the container --------------------------------------------------------------------------- */

static int bundle_write(const struct create_order *create, struct err *err)
{
	cleanup_fd int fd = -1;
	int r = mkdir(BUNDLE, 0700) < 0 && errno != EEXIST ? -errno : 0;

	if (r == 0) {
		fd = open(CONFIG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		r = fd < 0 ? -errno : file_write_all(fd, create->config, create->head.config_bytes);
	}
	return r < 0 ? err_set(err, r, "cannot write " CONFIG ": %s", strerror(-r)) : 0;
}

static int pid_read(pid_t *ret_pid)
{
	char text[16], *end;
	long pid;
	int r = text_read(PID_FILE, text, sizeof(text));

	if (r < 0)
		return r;
	pid = strtol(text, &end, 10);
	if (pid <= 1 || (*end && *end != '\n'))
		return -EPROTO;
	*ret_pid = (pid_t)pid;
	return 0;
}

/* The wake names the machine the function sees, and has to be in its UTS namespace for that. */
static int names_enter(pid_t pid)
{
	char path[64];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/uts", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWUTS) < 0 ? -errno : 0;
}

/* /proc/PID/cgroup is "0::/PATH". A container in no group of its own has no such files. */
static void memory_watch(struct init *init)
{
	char path[PATH_BYTES], line[PATH_BYTES / 2];
	char *group;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", init->function);
	if (text_read(path, line, sizeof(line)) < 0)
		return;
	line[strcspn(line, "\n")] = '\0';
	group = strstr(line, "::");
	if (!group)
		return;
	(void)snprintf(path, sizeof(path), CGROUP_FOLDER "%s/memory.events", group + 2);
	init->memory_events_fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), CGROUP_FOLDER "%s/memory.max", group + 2);
	init->memory_max_fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), CGROUP_FOLDER "%s/memory.current", group + 2);
	init->memory_current_fd = open(path, O_RDONLY | O_CLOEXEC);
}

static int adopt(struct init *init, struct err *err)
{
	int r = pid_read(&init->function);

	if (r < 0)
		return err_set(err, r, PID_FILE ": %s", strerror(-r));
	memory_watch(init);
	r = names_enter(init->function);
	return r < 0 ? err_set(err, r, "enter the container's UTS namespace: %s", strerror(-r)) : 0;
}

/* All clones of a template have one layout in any case. Without gaps between program, heap and
 * stack they also share page tables, which every restored clone has to touch. */
static int layout_set(struct err *err)
{
	return personality(ADDR_NO_RANDOMIZE) < 0 ?
		       err_set(err, -errno, "personality: %s", strerror(errno)) :
		       0;
}

/* The function draws its first random numbers, and sees its first names, before the snapshot: those
 * of this build's own. */
static int first_identity(struct init *init, struct err *err)
{
	const char *step = NULL;
	int r;

	if (init->create_flags & MAILBOX_CREATE_NO_IDENTITY)
		return 0;
	r = identity_renew(init, &step);
	return r < 0 ? err_set(err, r, "cannot %s: %s", step, strerror(-r)) : 0;
}

int container_create(struct init *init, const struct create_order *create, struct err *err)
{
	static char *const create_argv[] = {RUN0, "--log", RUN0_LOG, "create", "--bundle", BUNDLE,
					    "--pid-file", PID_FILE, "--preserve-fds", "2", ID,
					    NULL};
	static char *const start_argv[] = {RUN0, "--log", RUN0_LOG, "start", ID, NULL};
	int r;

	init->create_flags = create->head.flags;
	r = bundle_write(create, err);
	if (r == 0)
		r = root_mount(create->head.flags & MAILBOX_CREATE_IMAGE, err);
	if (r == 0)
		r = layout_set(err);
	if (r == 0)
		r = run0(init, create_argv, err);
	if (r == 0)
		r = adopt(init, err);
	if (r == 0)
		r = first_identity(init, err);
	return r < 0 ? r : run0(init, start_argv, err);
}
