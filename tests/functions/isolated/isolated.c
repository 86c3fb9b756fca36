/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolated: tries to get out of its container in the guest, and answers which attempts succeeded,
 * as {"done": [...], "refused": {NAME: REASON, ...}}. An attempt that finds nothing to try fails
 * with ENOENT.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <quark.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, OWN_FDS = 5, MAILBOX_FD = 4, DOORBELL_FD = 3, VSOCK = 40, RAW = 0x0300 };

/* 0: the attempt succeeded; -errno. */
typedef int attempt_fn(const char *argument);

static int of(long result)
{
	return result < 0 ? -errno : 0;
}

static int open_for(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = of(fd);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* --- files ----------------------------------------------------------------------------------- */

static int try_read(const char *path)
{
	char byte[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, byte, sizeof(byte));
	int r = n == 0 ? -ENODATA : of(n);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int try_write(const char *path)
{
	return open_for(path, O_WRONLY);
}

static int try_make(const char *path)
{
	int r = open_for(path, O_WRONLY | O_CREAT);

	(void)unlink(path);
	return r;
}

static int try_overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int r = fd < 0 ? -errno : of(write(fd, "x", 1));

	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* A device node of one's own, made and opened. */
static int try_node(const char *numbers)
{
	static const char path[] = "/tmp/node";
	unsigned int major_number, minor_number;
	char type;
	int r;

	if (sscanf(numbers, "%c %u %u", &type, &major_number, &minor_number) != 3)
		return -EINVAL;
	r = of(mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600,
		     makedev(major_number, minor_number)));
	if (r == 0)
		r = open_for(path, O_RDONLY);
	(void)unlink(path);
	return r;
}

/* --- devices --------------------------------------------------------------------------------- */

static char found[4096];

/* Registers, memory and configuration of PCI devices: resourceN, config, rom, and their
 * switches. */
static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static const char *const names[] = {"resource", "config",  "rom",    "enable", "reset",
					    "remove",   "rescan",  "unbind", "bind",   "new_id",
					    "driver_override", "bus_rescan"};
	const char *name = path + ftw->base;

	(void)st;
	if (type != FTW_F || !strstr(path, "pci"))
		return 0;
	if (!strncmp(path, "/proc/", 6))
		name = names[0]; /* all that is there: 00/01.0 is a device's configuration */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i], strlen(names[i])) &&
		    (try_read(path) == 0 || try_write(path) == 0))
			(void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ",
				       path);
	return 0;
}

static int try_pci_below(const char *folder)
{
	found[0] = 0;
	if (nftw(folder, visit, 32, FTW_PHYS) < 0)
		return -errno;
	return found[0] ? 0 : -ENOENT;
}

/* Every device node but those that each container has. */
static int try_devices(const char *folder)
{
	static const char expected[] =
		" null zero full random urandom tty ptmx console core fd stdin stdout stderr shm "
		"pts mqueue ";
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char word[300];

	found[0] = 0;
	while (dir && (entry = readdir(dir))) {
		(void)snprintf(word, sizeof(word), " %s ", entry->d_name);
		if (entry->d_name[0] != '.' && !strstr(expected, word))
			(void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s",
				       word);
	}
	if (dir)
		(void)closedir(dir);
	return found[0] ? 0 : -ENOENT;
}

static int try_iopl(const char *argument)
{
	(void)argument;
	return of(iopl(3));
}

static int try_ioperm(const char *argument)
{
	(void)argument;
	return of(ioperm(0xcf8, 8, 1));
}

/* More of the doorbell's device than its page of registers. */
static int try_doorbell_beyond(const char *argument)
{
	void *at = mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, DOORBELL_FD, 0);

	(void)argument;
	return at == MAP_FAILED ? -errno : 0;
}

/* A mailbox that is smaller or gone would take its page from under the host. */
static int try_mailbox_resize(const char *size)
{
	return of(ftruncate(MAILBOX_FD, strtol(size, NULL, 10)));
}

static int try_mailbox_hole(const char *argument)
{
	(void)argument;
	return of(fallocate(MAILBOX_FD, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 << 20));
}

/* Where one's own memory lies in the machine's. */
static int try_pagemap(const char *argument)
{
	static char page[PAGE_BYTES] = "here";
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	(void)argument;
	if (fd < 0)
		return -errno;
	n = pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE_BYTES * sizeof(entry)));
	(void)close(fd);
	return n == (ssize_t)sizeof(entry) && (entry & ((1ull << 55) - 1)) ? 0 : -EPERM;
}

/* --- processes ------------------------------------------------------------------------------- */

static int try_descriptors(const char *argument)
{
	(void)argument;
	for (int fd = OWN_FDS; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 0;
	return -ENOENT;
}

/* Any process that is seen and is not this one. */
static int try_other_processes(const char *argument)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int r = -ENOENT;

	(void)argument;
	while (proc && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != getpid())
			r = 0;
	if (proc)
		(void)closedir(proc);
	return r;
}

static int try_parent(const char *argument)
{
	(void)argument;
	return getppid() ? of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)) : -ESRCH;
}

static int try_signal_all(const char *argument)
{
	(void)argument;
	return of(kill(-1, 0));
}

/* The memory of another process: number 1 is this program itself. */
static int try_memory(const char *pid)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {(void *)try_memory, 1};

	return of(process_vm_readv(atoi(pid), &local, 1, &remote, 1, 0));
}

static int try_setns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : of(setns(fd, 0));

	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* In a child, so that nothing that comes later runs in a namespace of its own. */
static int try_unshare(const char *flags)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare((int)strtol(flags, NULL, 16)) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* --- the kernel ------------------------------------------------------------------------------ */

static int try_mount(const char *type)
{
	return of(mount("none", "/tmp", type, 0, NULL));
}

static int try_bind(const char *path)
{
	return of(mount("/", path, NULL, MS_BIND, NULL));
}

static int try_remount(const char *path)
{
	return of(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int try_umount(const char *path)
{
	return of(umount2(path, MNT_DETACH));
}

static int try_reboot(const char *argument)
{
	(void)argument;
	return of(reboot(RB_DISABLE_CAD));
}

static int try_module(const char *argument)
{
	static const char bytes[64] = "\177ELF";

	(void)argument;
	return of(syscall(SYS_init_module, bytes, sizeof(bytes), ""));
}

static int try_module_remove(const char *name)
{
	return of(syscall(SYS_delete_module, name, O_NONBLOCK));
}

static int try_kexec(const char *argument)
{
	(void)argument;
	return of(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int try_bpf(const char *argument)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
			       .max_entries = 1};

	(void)argument;
	return of(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int try_perf(const char *argument)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
				       .config = PERF_COUNT_SW_CPU_CLOCK};

	(void)argument;
	return of(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int try_userfaultfd(const char *argument)
{
	(void)argument;
	return of(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int try_io_uring(const char *argument)
{
	char params[120] = {};

	(void)argument;
	return of(syscall(SYS_io_uring_setup, 1, params));
}

static int try_keyring(const char *argument)
{
	(void)argument;
	return of(syscall(SYS_add_key, "user", "name", "x", 1, -3));
}

static int try_handle(const char *argument)
{
	struct file_handle handle = {.handle_bytes = 8, .handle_type = 1};

	(void)argument;
	(void)handle;
	return of(syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
}

static int try_hostname(const char *name)
{
	return of(sethostname(name, strlen(name)));
}

static int try_clock(const char *argument)
{
	struct timeval now;

	(void)argument;
	(void)gettimeofday(&now, NULL);
	return of(settimeofday(&now, NULL));
}

static int try_kernel_log(const char *argument)
{
	char text[256];

	(void)argument;
	return of(klogctl(3, text, sizeof(text)));
}

static int try_priority(const char *argument)
{
	(void)argument;
	return of(setpriority(PRIO_PROCESS, 0, -10));
}

static int try_limits(const char *argument)
{
	struct rlimit limit = {1 << 20, 1 << 20};

	(void)argument;
	return of(setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_socket(const char *argument)
{
	int domain = (int)strtol(argument, NULL, 10);
	int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, domain == AF_PACKET ? RAW : 0);
	int r = of(fd);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int try_root(const char *argument)
{
	(void)argument;
	return of(setuid(0)) == 0 && geteuid() == 0 ? 0 : -EPERM;
}

/* --- all of them ----------------------------------------------------------------------------- */

static const struct attempt {
	const char *name;
	attempt_fn *run;
	const char *argument;
} attempts[] = {
	{"read /dev/mem", try_read, "/dev/mem"},
	{"read /dev/kmsg", try_read, "/dev/kmsg"},
	{"read /dev/pmem0", try_read, "/dev/pmem0"},
	{"read /dev/ttyS0", try_read, "/dev/ttyS0"},
	{"node of /dev/mem", try_node, "c 1 1"},
	{"node of /dev/kmsg", try_node, "c 1 11"},
	{"node of /dev/pmem0", try_node, "b 259 0"},
	{"further devices", try_devices, "/dev"},
	{"PCI in /sys", try_pci_below, "/sys"},
	{"PCI in /proc", try_pci_below, "/proc/bus"},
	{"rescan PCI", try_write, "/sys/bus/pci/rescan"},
	{"iopl", try_iopl, ""},
	{"ioperm", try_ioperm, ""},
	{"doorbell beyond its page", try_doorbell_beyond, ""},
	{"mailbox smaller", try_mailbox_resize, "0"},
	{"mailbox larger", try_mailbox_resize, "4194304"},
	{"mailbox emptied", try_mailbox_hole, ""},
	{"own physical addresses", try_pagemap, ""},

	{"further descriptors", try_descriptors, ""},
	{"other processes", try_other_processes, ""},
	{"ptrace the parent", try_parent, ""},
	{"signal others", try_signal_all, ""},
	{"memory of process 2", try_memory, "2"},
	{"setns of process 1", try_setns, "/proc/1/ns/uts"},
	{"setns pid", try_setns, "/proc/self/ns/pid_for_children"},
	{"unshare user", try_unshare, "10000000"},
	{"unshare mount", try_unshare, "20000"},
	{"unshare network", try_unshare, "40000000"},
	{"become root", try_root, ""},

	{"mount tmpfs", try_mount, "tmpfs"},
	{"mount proc", try_mount, "proc"},
	{"mount sysfs", try_mount, "sysfs"},
	{"mount devtmpfs", try_mount, "devtmpfs"},
	{"bind /", try_bind, "/tmp"},
	{"remount /sys", try_remount, "/sys"},
	{"unmount the mask of PCI", try_umount, "/sys/devices/pci0000:00"},
	{"unmount /proc", try_umount, "/proc"},
	{"reboot", try_reboot, ""},
	{"load a module", try_module, ""},
	{"remove a module", try_module_remove, "loop"},
	{"kexec", try_kexec, ""},
	{"bpf", try_bpf, ""},
	{"perf", try_perf, ""},
	{"userfaultfd", try_userfaultfd, ""},
	{"io_uring", try_io_uring, ""},
	{"keyring", try_keyring, ""},
	{"open by handle", try_handle, ""},
	{"set the hostname", try_hostname, "mine"},
	{"set the clock", try_clock, ""},
	{"kernel log", try_kernel_log, ""},
	{"higher priority", try_priority, ""},
	{"higher limits", try_limits, ""},
	{"socket AF_PACKET", try_socket, "17"},
	{"socket AF_VSOCK", try_socket, "40"},

	{"read /proc/kcore", try_read, "/proc/kcore"},
	{"read /proc/kmsg", try_read, "/proc/kmsg"},
	{"read /proc/keys", try_read, "/proc/keys"},
	{"read /proc/timer_list", try_read, "/proc/timer_list"},
	{"read /sys/firmware", try_read, "/sys/firmware/acpi/tables/DSDT"},
	{"write /proc/sysrq-trigger", try_write, "/proc/sysrq-trigger"},
	{"write core_pattern", try_write, "/proc/sys/kernel/core_pattern"},
	{"write modprobe", try_write, "/proc/sys/kernel/modprobe"},
	{"write hostname", try_write, "/proc/sys/kernel/hostname"},
	{"write uevent_helper", try_write, "/sys/kernel/uevent_helper"},
	{"write cgroup.procs", try_write, "/sys/fs/cgroup/cgroup.procs"},
	{"write memory.max", try_write, "/sys/fs/cgroup/memory.max"},
	{"make a cgroup", try_make, "/sys/fs/cgroup/x"},
	{"write the machine id", try_write, "/etc/machine-id"},
	{"write the contract", try_write, "/run/quark/bin/contract"},
	{"make in /run/quark", try_make, "/run/quark/x"},
	{"write own program", try_write, "/function/function"},
	{"make in /", try_make, "/x"},
	{"make in /tmp", try_make, "/tmp/x"},
	{"make in /dev/shm", try_make, "/dev/shm/x"},
	{"overwrite a file of the image", try_overwrite, "/etc/group"},
};

/* A reason that has no quotation marks in it. */
static void report(char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "{\"done\": [");
	const char *comma = "";
	int results[sizeof(attempts) / sizeof(attempts[0])];

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		errno = 0;
		found[0] = 0;
		results[i] = attempts[i].run(attempts[i].argument);
		if (results[i] == 0) {
			used += (size_t)snprintf(text + used, size - used, "%s\"%s\"", comma,
						 attempts[i].name);
			comma = ", ";
			if (found[0])
				(void)quark_log("%s: %s", attempts[i].name, found);
		}
	}
	used += (size_t)snprintf(text + used, size - used, "], \"refused\": {");
	comma = "";
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		if (results[i] == 0)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s\"%s\": \"%s\"", comma,
					 attempts[i].name, strerror(-results[i]));
		comma = ", ";
	}
	(void)snprintf(text + used, size - used, "}}\n");
}

int main(void)
{
	static char text[16384];
	struct quark_request request;

	while (quark_next(&request) == 0) {
		text[0] = 0;
		if (request.bytes > 0) /* not for the sample of the build */
			report(text, sizeof(text));
		if (quark_respond(text, strlen(text)) < 0)
			return 1;
	}
	return 1;
}
