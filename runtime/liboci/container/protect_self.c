/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the container from writing to the runtime's program (CVE-2019-5736).
 *
 * A process of the container sees the runtime's executable as /proc/PID/exe as long as one of the
 * runtime's processes is inside. It cannot write to it while it runs (ETXTBSY), but a descriptor
 * got then can be opened for writing through /proc/self/fd when it has ended; and the container's
 * root may be the file's owner. So the program runs from a place that nobody can write to:
 *
 * - a private read-only bind mount of the executable, attached to no namespace: two system calls
 *   and an exec, nothing is copied. Takes CAP_SYS_ADMIN over the mount namespace.
 * - without that privilege, a sealed copy in memory. That is needed only when the caller can write
 *   to the file, or make it writable, as then the container's root is the caller.
 *
 * docs/adr has the alternatives.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "oci.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

#define SELF "/proc/self/exe"
/* Marks the second start, which must find itself protected. */
#define MARK "OCI_PROTECTED_PROGRAM=1"

enum { COPY_BYTES = 1 << 30 }; /* more than any program has, less than sendfile's limit */
enum { ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* A descriptor that reaches the file through a read-only mount can never be opened for writing. */
static int is_on_read_only_mount(void)
{
	struct statfs fs;

	if (statfs(SELF, &fs) < 0)
		return -errno;
	return (fs.f_flags & ST_RDONLY) != 0;
}

static bool is_sealed_copy(void)
{
	cleanup_fd int fd = open(SELF, O_RDONLY | O_CLOEXEC);
	const int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_WRITE);
}

/* Whether processes with our user id may write to the file, now or after a chmod. */
static bool is_writable_by_caller(void)
{
	struct stat st;

	return stat(SELF, &st) < 0 || st.st_uid == geteuid() ||
	       faccessat(AT_FDCWD, SELF, W_OK, AT_EACCESS) == 0;
}

static int bind_read_only(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	cleanup_fd int fd = (int)syscall(SYS_open_tree, AT_FDCWD, SELF,
					 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 ||
	    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int copy_all(int from, int to)
{
	ssize_t n;

	do
		n = sendfile(to, from, NULL, COPY_BYTES);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int copy_to_memory(void)
{
	cleanup_fd int from = open(SELF, O_RDONLY | O_CLOEXEC);
	cleanup_fd int to = -1;
	int r;

	if (from < 0)
		return -errno;
	/* The name is what the copy's processes are called until they say otherwise. */
	to = memfd_create("run0", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (to < 0 && errno == EINVAL)
		to = memfd_create("run0", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0)
		return -errno;
	r = copy_all(from, to);
	if (r < 0)
		return r;
	return fcntl(to, F_ADD_SEALS, ALL_SEALS) < 0 ? -errno : TAKE_FD(to);
}

static size_t count_of(char **strings)
{
	size_t count = 0;

	while (strings[count])
		count++;
	return count;
}

static bool is_second_start(char **envp)
{
	for (; *envp; envp++)
		if (!strcmp(*envp, MARK))
			return true;
	return false;
}

/* The kernel has called this process after the descriptor. */
static void take_name_back(char **argv)
{
	const char *name = argv[0] ? strrchr(argv[0], '/') : NULL;

	if (argv[0])
		(void)prctl(PR_SET_NAME, name ? name + 1 : argv[0], 0, 0, 0);
}

/* Returns only on failure. */
static int start_again(int fd, char **argv, char **envp, struct err *err)
{
	const size_t count = count_of(envp);
	cleanup_free char **env = calloc(count + 2, sizeof(*env));

	if (!env)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(env, envp, count * sizeof(*env));
	env[count] = (char *)(uintptr_t)MARK;
	(void)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
	return err_set(err, -errno, "cannot run this program from a protected place: %s",
		       strerror(errno));
}

int oci_protect_self(char **argv, char **envp, struct err *err)
{
	const bool again = is_second_start(envp);
	cleanup_fd int fd = -1;
	int r = is_on_read_only_mount();

	if (r < 0)
		return err_set(err, r, "cannot look at " SELF ": %s", strerror(-r));
	if (again)
		take_name_back(argv);
	if (r > 0 || is_sealed_copy())
		return 0;
	if (again)
		return err_set(err, -ELOOP,
			       "this program is still writable after its second start");
	if (geteuid() != 0 && !is_writable_by_caller())
		return 0;
	fd = bind_read_only();
	if (fd < 0)
		fd = copy_to_memory();
	if (fd < 0)
		return err_set(err, fd, "cannot protect this program: %s", strerror(-fd));
	return start_again(fd, argv, envp, err);
}
