/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig-agent: PID 1 of the rig.
 *
 * Builds the rig's view of the machine (the host's root file system under a writable overlay, the
 * work folders, tmpfs, one cgroup v2 tree), then serves commands: one process for each
 * virtio-serial port, one session process for each command. Static, and the only file in the
 * initramfs that runs. Everything is single-threaded. Protocol: rig_wire.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig_agent_priv.h"

#define NEW_ROOT "/new"
#define CLOCK_STEP_NS 250000000 /* a wall clock that is off by less is left alone */

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "rig-agent: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
}

/* Without its mounts the rig is of no use: say why on the console, and end the machine. */
static void __attribute__((noreturn)) fatal(const char *what, const char *name)
{
	say("%s '%s': %s", what, name, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void make_dirs(const char *path)
{
	char buf[PATH_MAX];

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return;
	for (char *p = buf + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(buf, 0755);
		*p = '/';
	}
	mkdir(buf, 0755);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		say("cannot write '%s' to '%s': %s", text, path, strerror(errno));
	close(fd);
}

/* ---- the machine: everything up to the first command ---- */

static void config_read(struct config *config)
{
	char *line = NULL, *value;
	size_t size = 0;
	FILE *f = fopen("/rig.conf", "re");

	if (!f)
		fatal("cannot open", "/rig.conf");
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(line, "module") && config->n_modules < 32)
			config->modules[config->n_modules++] = strdup(value);
		else if (!strcmp(line, "work") && config->n_works < WORKS_MAX)
			config->works[config->n_works++] = strdup(value);
		else if (!strcmp(line, "writable-root"))
			config->writable_root = true;
		else if (!strcmp(line, "ports"))
			config->n_ports = (unsigned)strtoul(value, NULL, 10);
		else if (!strcmp(line, "work-cache-ms"))
			config->work_cache_ms = (unsigned)strtoul(value, NULL, 10);
	}
	free(line);
	fclose(f);
	if (config->n_ports < 1 || config->n_ports > RIG_PORTS_MAX) {
		errno = EINVAL;
		fatal("bad number of ports in", "/rig.conf");
	}
}

static void load_module(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		fatal("cannot load module", name);
	close(fd);
}

static void load_modules(const struct config *config, bool of_kvm)
{
	for (size_t i = 0; i < config->n_modules; i++)
		if (!strncmp(config->modules[i], "kvm", 3) == of_kvm)
			load_module(config->modules[i]);
}

static void mount_or_die(const char *type, const char *source, const char *target,
			 unsigned long flags, const char *data)
{
	make_dirs(target);
	if (mount(source, target, type, flags, data) < 0)
		fatal("cannot mount", target);
}

static void mount_root(const struct config *config)
{
	if (!config->writable_root) {
		mount_or_die("virtiofs", "root", NEW_ROOT, MS_RDONLY, NULL);
		return;
	}
	mount_or_die("virtiofs", "root", "/lower", MS_RDONLY, NULL);
	mount_or_die("tmpfs", "tmpfs", "/rw", 0, "mode=755");
	make_dirs("/rw/upper");
	make_dirs("/rw/work");
	mount_or_die("overlay", "rig", NEW_ROOT, 0,
		     "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");
}

static void mount_system(void)
{
	static const struct {
		const char *type, *target, *data;
	} table[] = {
		{"proc", NEW_ROOT "/proc", NULL},
		{"sysfs", NEW_ROOT "/sys", NULL},
		{"devtmpfs", NEW_ROOT "/dev", NULL},
		{"devpts", NEW_ROOT "/dev/pts", "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", NEW_ROOT "/dev/shm", "mode=1777"},
		{"mqueue", NEW_ROOT "/dev/mqueue", NULL},
		{"tmpfs", NEW_ROOT "/tmp", "mode=1777"},
		{"tmpfs", NEW_ROOT "/var/tmp", "mode=1777"},
		{"tmpfs", NEW_ROOT "/run", "mode=755"},
		{"cgroup2", NEW_ROOT "/sys/fs/cgroup", NULL},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		mount_or_die(table[i].type, table[i].type, table[i].target, 0, table[i].data);
}

static void mount_works(const struct config *config)
{
	char tag[32], target[PATH_MAX];

	for (size_t i = 0; i < config->n_works; i++) {
		snprintf(tag, sizeof(tag), "work%zu", i);
		if (snprintf(target, sizeof(target), NEW_ROOT "%s", config->works[i]) >=
		    (int)sizeof(target)) {
			errno = ENAMETOOLONG;
			fatal("cannot mount", config->works[i]);
		}
		mount_or_die("virtiofs", tag, target, 0, NULL);
	}
}

static void enter_root(void)
{
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		fatal("cannot enter", NEW_ROOT);
}

static void enable_cgroups(void)
{
	char names[512] = "", *save = NULL, word[64];
	int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, names, sizeof(names) - 1) < 0)
		fatal("cannot read", "cgroup.controllers");
	close(fd);
	for (char *name = strtok_r(names, " \n", &save); name;
	     name = strtok_r(NULL, " \n", &save)) {
		snprintf(word, sizeof(word), "+%.60s", name);
		write_file("/sys/fs/cgroup/cgroup.subtree_control", word);
	}
}

static void loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		say("cannot bring up lo: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* devtmpfs has neither of these, and shells and compilers expect them. */
static void dev_links(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			say("cannot link '%s': %s", links[i][1], strerror(errno));
}

/* KVM takes the TSC's rate when it is loaded. The kernel measures it again about two seconds after
 * its start, and on a busy machine the first figure can be far enough off that KVM then refuses its
 * vCPUs the second one: their clocks are seconds off. So KVM waits for the second. */
static void clock_settle(void)
{
	static const char path[] = NEW_ROOT
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[32] = "";

	for (int tries = 0; tries < 1000 && strcmp(name, "tsc\n") != 0; tries++) {
		FILE *f = fopen(path, "re");

		if (!f)
			fatal("cannot open", path);
		if (!fgets(name, sizeof(name), f))
			name[0] = '\0';
		fclose(f);
		if (tries > 0)
			usleep(10000);
	}
	if (strcmp(name, "tsc\n") != 0)
		say("the TSC is not the clock source, but %s", name);
}

/* Keeps one empty VM for as long as the rig is up. KVM patches the code of the running kernel when
 * the first VM comes and when the last one goes (static keys, one of them in the scheduler), and
 * QEMU's multi-threaded TCG can miss a patch that another CPU made: then both CPUs take the
 * breakpoint of the patching for ever. The descriptors are left open. */
static void kvm_pin(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP) < 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
		say("cannot keep a VM open: %s", strerror(errno));
}

static void machine_setup(const struct config *config)
{
	const struct rlimit files = {.rlim_cur = 65536, .rlim_max = 1024 * 1024};

	load_modules(config, false);
	mount_root(config);
	mount_system();
	clock_settle();
	load_modules(config, true);
	mount_works(config);
	enter_root();
	enable_cgroups();
	loopback_up();
	dev_links();
	chmod("/dev/kvm", 0666);
	kvm_pin();
	umask(022);
	if (sethostname("rig", 3) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		say("cannot set host name or limits: %s", strerror(errno));
}

/* ---- serving ---- */

static void clock_follow(uint64_t wall_ns)
{
	const struct timespec wall = {
		.tv_sec = (time_t)(wall_ns / 1000000000u),
		.tv_nsec = (long)(wall_ns % 1000000000u),
	};
	struct timespec now;
	int64_t off;

	clock_gettime(CLOCK_REALTIME, &now);
	off = (int64_t)wall_ns - (int64_t)now.tv_sec * 1000000000 - now.tv_nsec;
	if (off > CLOCK_STEP_NS || off < -CLOCK_STEP_NS)
		clock_settime(CLOCK_REALTIME, &wall);
}

static void __attribute__((noreturn)) port_serve(unsigned number, const struct config *config)
{
	struct rig_hello hello;
	sigset_t set;
	pid_t pid;
	int port;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* The driver learns of its ports a moment after it was loaded. */
	for (int tries = 0; (port = port_open(number)) < 0 && tries < 1000; tries++)
		usleep(10000);
	if (port < 0)
		fatal("cannot open", RIG_PORT_NAME);
	fcntl(port, F_SETOWN, getpid());
	fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC);
	for (;;) {
		port_hello(port, &hello);
		clock_follow(hello.wall_ns);
		pid = fork();
		if (pid == 0)
			session_run(port, config, &hello);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		else
			say("cannot fork: %s", strerror(errno));
	}
}

static pid_t port_spawn(unsigned number, const struct config *config)
{
	pid_t pid = fork();

	if (pid == 0)
		port_serve(number, config);
	return pid;
}

int main(void)
{
	static struct config config;
	pid_t servers[RIG_PORTS_MAX], pid;

	if (getpid() != 1) {
		fprintf(stderr, "rig-agent runs as PID 1 of a rig only\n");
		return 1;
	}
	config_read(&config);
	machine_setup(&config);
	for (unsigned i = 0; i < config.n_ports; i++)
		servers[i] = port_spawn(i, &config);
	/* From here on PID 1 only reaps, and replaces a server that something killed. */
	while ((pid = wait(NULL)) > 0 || errno == EINTR)
		for (unsigned i = 0; i < config.n_ports; i++)
			if (pid == servers[i])
				servers[i] = port_spawn(i, &config);
	fatal("no child is left", "rig-agent");
}
