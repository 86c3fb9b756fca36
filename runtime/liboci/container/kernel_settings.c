/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host name, domain name, sysctls, loopback.
 *
 * Sysctls are written through the host's /proc before the container's root is entered: what the
 * image has put at its own /proc/sys is never followed (CVE-2025-52881). The kernel looks at the
 * writer's namespaces, not at the mount.
 */
#include "container/kernel_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "spec/spec.h"

/* Which namespace keeps a setting apart. A name that ends in '.' stands for all below it. */
static const struct {
	const char *name;
	enum oci_namespace_type type;
} namespaced[] = {
	{ "net.", OCI_NS_NETWORK },	   { "fs.mqueue.", OCI_NS_IPC },
	{ "kernel.msgmax", OCI_NS_IPC },   { "kernel.msgmnb", OCI_NS_IPC },
	{ "kernel.msgmni", OCI_NS_IPC },   { "kernel.sem", OCI_NS_IPC },
	{ "kernel.shmall", OCI_NS_IPC },   { "kernel.shmmax", OCI_NS_IPC },
	{ "kernel.shmmni", OCI_NS_IPC },   { "kernel.shm_rmid_forced", OCI_NS_IPC },
	{ "kernel.domainname", OCI_NS_UTS }, { "kernel.hostname", OCI_NS_UTS },
};

static bool matches(const char *name, const char *pattern)
{
	size_t length = strlen(pattern);

	if (pattern[length - 1] == '.')
		return strncmp(name, pattern, length) == 0;
	return strcmp(name, pattern) == 0;
}

/* Both spellings are in use: net.ipv4.ip_forward and net/ipv4/ip_forward; in the latter a dot is
 * part of a name. */
static int with_dots(const char *name, char *to, size_t bytes)
{
	size_t length = strlen(name);

	if (length == 0 || length >= bytes)
		return -EINVAL;
	memcpy(to, name, length + 1);
	if (strchr(to, '/'))
		for (char *at = to; *at; at++)
			*at = *at == '/' ? '.' : *at == '.' ? '/' : *at;
	return 0;
}

static int check_sysctl(const struct oci_spec *spec, const char *name, struct err *err)
{
	char dotted[256];

	if (with_dots(name, dotted, sizeof(dotted)) < 0 || strstr(dotted, "..") || dotted[0] == '.')
		return err_set(err, -EINVAL, "linux.sysctl: '%.100s' is not the name of a sysctl",
			       name);
	for (size_t i = 0; i < ARRAY_SIZE(namespaced); i++) {
		if (!matches(dotted, namespaced[i].name))
			continue;
		if (spec->linux.namespaces[namespaced[i].type].present)
			return 0;
		return err_set(err, -EINVAL,
			       "linux.sysctl.%s: would change the host, the container shares this "
			       "namespace with it",
			       name);
	}
	return err_set(err, -EINVAL, "linux.sysctl.%s: no namespace keeps this setting apart",
		       name);
}

int kernel_settings_check(const struct oci_spec *spec, struct err *err)
{
	bool own_names = spec->linux.namespaces[OCI_NS_UTS].present;

	if (spec->hostname && !own_names)
		return err_set(err, -EINVAL, "hostname: needs a UTS namespace");
	if (spec->domainname && !own_names)
		return err_set(err, -EINVAL, "domainname: needs a UTS namespace");
	for (size_t i = 0; i < spec->linux.sysctl.count; i++) {
		int r = check_sysctl(spec, spec->linux.sysctl.items[i].name, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int open_proc_sys(struct err *err)
{
	cleanup_fd int fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, -ENOENT, "linux.sysctl: there is no /proc/sys");
	return TAKE_FD(fd);
}

static int write_sysctl(int proc_sys, const struct oci_pair *pair, struct err *err)
{
	cleanup_fd int fd = -1;
	char path[256];

	(void)with_dots(pair->name, path, sizeof(path));
	for (char *at = path; *at; at++)
		*at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
	fd = openat(proc_sys, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, pair->value, strlen(pair->value)) < 0)
		return err_set(err, -errno, "linux.sysctl.%s: %s", pair->name, strerror(errno));
	return 0;
}

static int apply_sysctls(const struct oci_pairs *sysctls, struct err *err)
{
	cleanup_fd int proc_sys = -1;

	if (sysctls->count == 0)
		return 0;
	proc_sys = open_proc_sys(err);
	if (proc_sys < 0)
		return proc_sys;
	for (size_t i = 0; i < sysctls->count; i++) {
		int r = write_sysctl(proc_sys, &sysctls->items[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* A new network namespace has a loopback device that is down; every runtime sets it up. */
static int raise_loopback(struct err *err)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_set(err, -errno, "cannot set up the loopback device: %s",
			       strerror(errno));
	return 0;
}

int kernel_settings_apply(const struct oci_spec *spec, struct err *err)
{
	const struct oci_namespace *network = &spec->linux.namespaces[OCI_NS_NETWORK];
	int r = 0;

	if (network->present && !network->path)
		r = raise_loopback(err);
	if (r < 0)
		return r;
	if (spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_set(err, -errno, "hostname: %s", strerror(errno));
	if (spec->domainname && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		return err_set(err, -errno, "domainname: %s", strerror(errno));
	return apply_sysctls(&spec->linux.sysctl, err);
}
