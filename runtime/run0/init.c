/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's PID 1: makes the machine fit for one function, hands it doorbell and mailbox, and
 * waits for its end.
 *
 * Everything here runs before the snapshot. The function is a child without privileges: it gets the
 * console, the doorbell (fd 3) and the mailbox (fd 4), and nothing else of the machine. When it
 * ends, or when a step fails, PID 1 says so in one line on the console and powers off.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/memfd.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "doorbell.h"
#include "mailbox.h"

#define FUNCTION_FOLDER "/function"
#define FUNCTION_PROGRAM "/function/function"
#define DOORBELL_ENABLE "/sys/bus/pci/devices/0000:00:01.0/enable"
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"

/* Bits of an entry of /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_PFN ((1ull << 55) - 1)

enum {
	FUNCTION_ID = 1000, /* uid and gid */
	DOORBELL_FD = 3,
	MAILBOX_FD = 4,
	FIRST_FREE_FD = 5,
	PAGE_SHIFT = 12,
	NS_PER_S = 1000000000,
};

#define TEXT_OF(number) #number
#define ENV_FD(name, number) name "=" TEXT_OF(number)

struct init {
	int doorbell_fd, mailbox_fd; /* owned; -1 when not open */
	volatile uint32_t *bell;     /* mapped until the function starts */
	uint64_t mailbox_gpa;
	pid_t function;
};

struct mount_point {
	const char *target, *type, *options;
	unsigned long flags;
	mode_t mode;
};

struct step {
	const char *name;
	int (*run)(struct init *init);
};

static const struct mount_point mount_points[] = {
	{"/proc", "proc", "hidepid=invisible", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	{"/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	{"/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC, 0755},
	{"/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, 0777},
};

/* PID 1 must not return. The console is a serial port: what was written has to get out first. */
static _Noreturn void power_off(void)
{
	(void)tcdrain(STDERR_FILENO);
	(void)reboot(RB_POWER_OFF);
	for (;;)
		(void)pause();
}

static int mount_all(struct init *init)
{
	(void)init;
	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
		const struct mount_point *m = &mount_points[i];

		if (mkdir(m->target, m->mode) < 0 && errno != EEXIST)
			return -errno;
		if (mount(m->type, m->target, m->type, m->flags, m->options) < 0)
			return -errno;
	}
	return 0;
}

static int console_open(struct init *init)
{
	int fd = open("/dev/console", O_RDWR);

	(void)init;
	if (fd < 0)
		return -errno;
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			return -errno;
	if (fd > STDERR_FILENO)
		(void)close(fd);
	return 0;
}

static int loopback_up(struct init *init)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	(void)init;
	if (fd < 0)
		return -errno;
	r = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

static int hostname_set(struct init *init)
{
	static const char name[] = "quark";

	(void)init;
	return sethostname(name, sizeof(name) - 1) < 0 ? -errno : 0;
}

static int file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* hugepages=1 on the command line has usually seen to it, when memory was whole. */
static int hugepage_reserve(struct init *init)
{
	char digit = 0;
	int fd = open(HUGEPAGES, O_RDONLY | O_CLOEXEC);

	(void)init;
	if (fd < 0)
		return -errno;
	if (read(fd, &digit, 1) < 0)
		digit = 0;
	(void)close(fd);
	return digit == '0' ? file_put(HUGEPAGES, "1") : 0;
}

static int pagemap_gpa(const volatile void *address, uint64_t *ret_gpa)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)((uintptr_t)address >> PAGE_SHIFT) * (off_t)sizeof(uint64_t);
	uint64_t entry = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = pread(fd, &entry, sizeof(entry), at);
	(void)close(fd);
	if (n != sizeof(entry) || !(entry & PAGEMAP_PRESENT) || !(entry & PAGEMAP_PFN))
		return -EFAULT;
	*ret_gpa = (entry & PAGEMAP_PFN) << PAGE_SHIFT;
	return 0;
}

/* The size is sealed: the page stays the file's, and its guest-physical address with it, whatever
 * the function does. */
static int mailbox_make(struct init *init)
{
	volatile uint8_t *page;
	int fd, r;

	fd = memfd_create("mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0)
		return -errno;
	init->mailbox_fd = fd;
	if (ftruncate(fd, MAILBOX_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;

	page = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	*page = 0;
	r = pagemap_gpa(page, &init->mailbox_gpa);
	(void)munmap((void *)page, MAILBOX_BYTES);
	if (r < 0)
		return r;
	return init->mailbox_gpa & (MAILBOX_BYTES - 1) ? -EFAULT : 0;
}

static int doorbell_open(struct init *init)
{
	uint8_t *bar;
	int r;

	r = file_put(DOORBELL_ENABLE, "1");
	if (r < 0)
		return r;
	init->doorbell_fd = open(DOORBELL_SYSFS, O_RDWR | O_CLOEXEC);
	if (init->doorbell_fd < 0)
		return -errno;
	bar = mmap(NULL, DOORBELL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, init->doorbell_fd,
		   0);
	if (bar == MAP_FAILED)
		return -errno;
	init->bell = (volatile uint32_t *)(bar + DOORBELL_REGISTER_OFFSET);
	return 0;
}

/* Slow hosts let a booting guest lose ticks. From here on kvmclock counts, which loses none. */
static int clock_set(struct init *init)
{
	const volatile uint8_t *bar =
		(const volatile uint8_t *)init->bell - DOORBELL_REGISTER_OFFSET;
	uint64_t ns = *(const volatile uint64_t *)(bar + DOORBELL_TIME_OFFSET);
	const struct timespec now = {.tv_sec = (time_t)(ns / NS_PER_S),
				     .tv_nsec = (long)(ns % NS_PER_S)};

	return clock_settime(CLOCK_REALTIME, &now) < 0 ? -errno : 0;
}

static int mailbox_register(struct init *init)
{
	uint64_t number = init->mailbox_gpa >> MAILBOX_SHIFT;

	if (number > UINT16_MAX)
		return -ERANGE;
	doorbell_ring(init->bell, DOORBELL_MAILBOX | (uint32_t)number << DOORBELL_ARGUMENT_SHIFT);
	return 0;
}

/* All clones of a template have one layout in any case. Without gaps between program, heap and
 * stack they also share page tables, which every restored clone has to touch. */
static int layout_set(void)
{
	return personality(ADDR_NO_RANDOMIZE) < 0 ? -errno : 0;
}

static int limits_set(void)
{
	static const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		return -errno;
	return 0;
}

/* Changing all uids from 0 clears every capability set but the bounding one, which goes first. */
static int privileges_drop(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(FUNCTION_ID, FUNCTION_ID, FUNCTION_ID) < 0 ||
	    setresuid(FUNCTION_ID, FUNCTION_ID, FUNCTION_ID) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* Both descriptors were moved above the range first, so that neither overwrites the other. */
static int descriptors_hand_over(const struct init *init)
{
	int doorbell = fcntl(init->doorbell_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	int mailbox = fcntl(init->mailbox_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

	if (doorbell < 0 || mailbox < 0 || dup2(doorbell, DOORBELL_FD) < 0 ||
	    dup2(mailbox, MAILBOX_FD) < 0)
		return -errno;
	return close_range(FIRST_FREE_FD, ~0u, 0) < 0 ? -errno : 0;
}

static int function_exec(const struct init *init)
{
	static char *const argv[] = {"function", NULL};
	static char *const envp[] = {"PATH=/usr/bin:/bin", "HOME=/tmp",
				     ENV_FD(QUARK_ENV_DOORBELL_FD, 3),
				     ENV_FD(QUARK_ENV_MAILBOX_FD, 4), NULL};
	int r;

	_Static_assert(DOORBELL_FD == 3 && MAILBOX_FD == 4, "envp says otherwise");
	if (setsid() < 0 || chdir(FUNCTION_FOLDER) < 0)
		return -errno;
	r = limits_set();
	if (r == 0)
		r = layout_set();
	if (r == 0)
		r = descriptors_hand_over(init);
	if (r == 0)
		r = privileges_drop();
	if (r < 0)
		return r;
	(void)execve(FUNCTION_PROGRAM, argv, envp);
	return -errno;
}

static int function_start(struct init *init)
{
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = function_exec(init);
		dprintf(STDERR_FILENO, "init: cannot start " FUNCTION_PROGRAM ": %s\n",
			strerror(-r));
		_exit(127);
	}
	init->function = pid;
	(void)munmap((uint8_t *)init->bell - DOORBELL_REGISTER_OFFSET, DOORBELL_BAR_BYTES);
	init->bell = NULL;
	(void)close(init->doorbell_fd);
	(void)close(init->mailbox_fd);
	init->doorbell_fd = init->mailbox_fd = -1;
	return 0;
}

/* Waits for the function, and reaps the orphans that it leaves to PID 1. */
static int function_wait(struct init *init)
{
	int status = 0;
	pid_t pid;

	do {
		pid = wait(&status);
		if (pid < 0 && errno != EINTR)
			return -errno;
	} while (pid != init->function);
	if (WIFSIGNALED(status))
		dprintf(STDERR_FILENO, "init: function killed by signal %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		dprintf(STDERR_FILENO, "init: function exited with status %d\n",
			WEXITSTATUS(status));
	return 0;
}

static const struct step steps[] = {
	{"mount the file systems", mount_all},
	{"open the console", console_open},
	{"set the hostname", hostname_set},
	{"bring up the loopback interface", loopback_up},
	{"reserve a huge page", hugepage_reserve},
	{"make the mailbox", mailbox_make},
	{"open the doorbell", doorbell_open},
	{"set the clock", clock_set},
	{"register the mailbox", mailbox_register},
	{"start the function", function_start},
	{"wait for the function", function_wait},
};

int main(void)
{
	struct init init = {.doorbell_fd = -1, .mailbox_fd = -1};

	(void)umask(022);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = steps[i].run(&init);

		if (r < 0) {
			dprintf(STDERR_FILENO, "init: cannot %s: %s\n", steps[i].name,
				strerror(-r));
			break;
		}
	}
	power_off();
}
