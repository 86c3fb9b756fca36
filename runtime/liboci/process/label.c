/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of the Linux security modules, taken on at the next exec.
 *
 * They are written to the container's own /proc, which a hostile image or config can replace by
 * something else, so that the label would be lost or the text land elsewhere (CVE-2019-16884): it
 * must be procfs, and the file must be reached without crossing another mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process_priv.h"
#include "spec/spec.h"

enum { LABEL_BYTES = 4096 };

static int attribute_open(const char *name, int *ret_fd)
{
	const struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	long fd;

	if (proc < 0 || fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return -ENOTDIR;
	fd = syscall(SYS_openat2, proc, name, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

static int attribute_write(const char *name, const char *text, const char *member,
			   const char *module, struct err *err)
{
	cleanup_fd int fd = -1;
	int r = attribute_open(name, &fd);

	if (r == -ENOTDIR)
		return err_set(err, r, "%s: the container's /proc is not procfs", member);
	if (r == -ENOENT)
		return err_set(err, r, "%s: this kernel has no %s", member, module);
	if (r < 0)
		return err_set(err, r, "%s: cannot open /proc/%s: %s", member, name, strerror(-r));
	if (write(fd, text, strlen(text)) < 0)
		return err_set(err, -errno, "%s: refused%s%s: %s", member,
			       errno == EINVAL ? ", or this kernel runs without " : "",
			       errno == EINVAL ? module : "", strerror(errno));
	return 0;
}

/* "unconfined" is what every process of a kernel without AppArmor is. */
static int apparmor_set(const char *profile, struct err *err)
{
	static const char member[] = "process.apparmorProfile";
	char text[LABEL_BYTES];
	const int bytes = snprintf(text, sizeof(text), "exec %s", profile);
	int r;

	if (bytes < 0 || (size_t)bytes >= sizeof(text))
		return err_set(err, -ENAMETOOLONG, "%s: too long", member);
	r = attribute_write("thread-self/attr/apparmor/exec", text, member, "AppArmor", err);
	return r == -ENOENT && !strcmp(profile, "unconfined") ? 0 : r;
}

int labels_set(const struct oci_process *process, struct err *err)
{
	int r = 0;

	if (process->apparmor_profile && process->apparmor_profile[0])
		r = apparmor_set(process->apparmor_profile, err);
	if (r == 0 && process->selinux_label && process->selinux_label[0])
		r = attribute_write("thread-self/attr/exec", process->selinux_label,
				    "process.selinuxLabel", "SELinux", err);
	return r;
}
