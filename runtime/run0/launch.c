/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0, as it is called: runs libexec/quark/run0 from a place that no container can write to.
 *
 * A process that makes containers must not have its program where they could overwrite it
 * (CVE-2019-5736; liboci's protect_self.c says how). Were the program itself to see to that, it
 * would be started twice, with its shared libraries, by which a container takes a fifth more
 * instructions. This one is static, and so small that its own start hardly counts. It decides
 * nothing: the program looks where it is, and protects itself when this one could not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM "/../libexec/quark/run0"

enum { PATH_BYTES = 4096, EXIT_NOT_STARTED = 1 };

/* Beside the folder that this program is in. */
static int find_program(char *path)
{
	ssize_t bytes = readlink("/proc/self/exe", path, PATH_BYTES - sizeof(PROGRAM));
	char *slash;

	if (bytes <= 0)
		return -1;
	path[bytes] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		return -1;
	memcpy(slash, PROGRAM, sizeof(PROGRAM));
	return 0;
}

/* A private bind mount that nobody else can see, read-only for good. */
static void run_read_only(const char *path, char **argv, char **envp)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		(void)syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	if (fd >= 0)
		(void)close(fd);
}

int main(int argc, char **argv, char **envp)
{
	static const char complaint[] = "run0: cannot run its program, libexec/quark/run0\n";
	char path[PATH_BYTES];

	(void)argc;
	if (find_program(path) == 0) {
		run_read_only(path, argv, envp);
		(void)execve(path, argv, envp);
	}
	(void)!write(STDERR_FILENO, complaint, sizeof(complaint) - 1);
	return EXIT_NOT_STARTED;
}
