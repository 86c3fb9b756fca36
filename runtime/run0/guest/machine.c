/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine, made fit: file systems, console, loopback, limits, clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "init.h"

#define OWN_ROOT "/root-mount"

enum { NS_PER_S = 1000000000, CONTROLLERS_BYTES = 256, CLOCK_READINGS = 8 };

struct mount_point {
	const char *target, *type, *options;
	unsigned long flags;
	mode_t mode;
};

static const struct mount_point mount_points[] = {
	{"/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	{"/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	{"/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC, 0755},
	{"/run", "tmpfs", "mode=0755", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	{"/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, 0777},
	{CGROUP_FOLDER, "cgroup2", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
};

int text_write(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int text_read(const char *path, char *ret_text, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_text, size - 1);

	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	return 0;
}

/* pivot_root refuses to leave the kernel's first file system, which has no parent mount. Mounted
 * once more over itself, the same files have one. */
static int root_own(struct err *err)
{
	if (mkdir(OWN_ROOT, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "mkdir " OWN_ROOT ": %s", strerror(errno));
	if (mount("/", OWN_ROOT, NULL, MS_BIND, NULL) < 0 || chdir(OWN_ROOT) < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, -errno, "mount / over itself: %s", strerror(errno));
	return 0;
}

/* Child groups get what quark's configurations ask for. The machine itself bounds a function's
 * CPUs, and a scheduling group for each level would cost each switch of processes some thousand
 * instructions. One that the kernel refuses is none that a container can ask for. */
static void controllers_enable(void)
{
	static const char *const names[] = {"+memory", "+pids"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)text_write(CGROUP_FOLDER "/cgroup.subtree_control", names[i]);
}

int machine_mount(struct init *init, struct err *err)
{
	int r = root_own(err);

	(void)init;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(mount_points); i++) {
		const struct mount_point *m = &mount_points[i];

		if ((mkdir(m->target, m->mode) < 0 && errno != EEXIST) ||
		    mount(m->type, m->target, m->type, m->flags, m->options) < 0)
			r = err_set(err, -errno, "mount %s: %s", m->target, strerror(errno));
	}
	if (r == 0)
		controllers_enable();
	return r;
}

int machine_console(struct init *init, struct err *err)
{
	int fd = open("/dev/console", O_RDWR);

	(void)init;
	if (fd < 0)
		return err_set(err, -errno, "/dev/console: %s", strerror(errno));
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			return err_set(err, -errno, "dup2: %s", strerror(errno));
	if (fd > STDERR_FILENO)
		(void)close(fd);
	return 0;
}

int machine_hostname(struct init *init, struct err *err)
{
	static const char name[] = "quark";

	(void)init;
	if (sethostname(name, sizeof(name) - 1) < 0)
		return err_set(err, -errno, "sethostname: %s", strerror(errno));
	return 0;
}

int machine_loopback(struct init *init, struct err *err)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)init;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_set(err, -errno, "lo: %s", strerror(errno));
	return 0;
}

/* Inherited by the container, whose configuration may say otherwise. */
int machine_limits(struct init *init, struct err *err)
{
	static const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};

	(void)init;
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		return err_set(err, -errno, "setrlimit: %s", strerror(errno));
	return 0;
}

static uint64_t host_ns(const struct init *init)
{
	const volatile uint8_t *bar =
		(const volatile uint8_t *)init->bell - DOORBELL_REGISTER_OFFSET;

	return *(const volatile uint64_t *)(bar + DOORBELL_TIME_OFFSET);
}

/* What our clock lacks, from the reading of it that lay closest between two of the host's. */
static int64_t clock_lacks_ns(const struct init *init)
{
	uint64_t best_ns = UINT64_MAX;
	int64_t lacks_ns = 0;

	for (int i = 0; i < CLOCK_READINGS; i++) {
		const uint64_t before = host_ns(init), own = clock_ns(CLOCK_REALTIME);
		const uint64_t took = host_ns(init) - before;

		if (took < best_ns) {
			best_ns = took;
			lacks_ns = (int64_t)(before + took / 2 - own);
		}
	}
	return lacks_ns;
}

/* Slow hosts let a booting guest lose ticks. From here on kvmclock counts, which loses none. The
 * clock is moved, not set: a host that stops the guest in between must not make it late, as every
 * clone would be. */
int machine_clock(struct init *init, struct err *err)
{
	const int64_t lacks_ns = clock_lacks_ns(init);
	int64_t s = lacks_ns / NS_PER_S, ns = lacks_ns % NS_PER_S;
	struct timex change = {.modes = ADJ_SETOFFSET | ADJ_NANO};

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	change.time = (struct timeval){.tv_sec = s, .tv_usec = ns};
	if (clock_adjtime(CLOCK_REALTIME, &change) < 0)
		return err_set(err, -errno, "clock_adjtime: %s", strerror(errno));
	return 0;
}
