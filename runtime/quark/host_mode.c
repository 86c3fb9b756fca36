/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing the host mode.
 *
 * The probe runs in a forked child with its result in shared memory, because a broken KVM may keep
 * a process in KVM_RUN for good, and because a child's death must not be ours.
 */
#include "host_mode.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "quark_paths.h"

enum {
	PROBE_TIMEOUT_MS = 2000,
	KEY_BYTES = 512,
	MEMORY_FILE_MAX = 1024,
};

#define MEMORY_FILE "host-mode"
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

const char *const host_mode_names[HOST_MODES] = {
	[HOST_MODE_AUTO] = "auto",
	[HOST_MODE_KVM] = "kvm",
	[HOST_MODE_RIG] = "rig",
};

int host_mode_parse(const char *text, enum host_mode *ret_mode, struct err *err)
{
	for (size_t i = 0; i < HOST_MODES; i++) {
		if (strcmp(text, host_mode_names[i]) == 0) {
			*ret_mode = (enum host_mode)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "'%s' is not a host mode: kvm, rig or auto", text);
}

enum host_mode host_mode_decide(const struct kvm_probe *probe)
{
	return kvm_probe_passed(probe) ? HOST_MODE_KVM : HOST_MODE_RIG;
}

/* Waits for the child, which is killed at the time-out. Returns whether it ended by itself. */
static bool wait_child(pid_t child)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd fds = {.fd = pidfd, .events = POLLIN};
	int status;
	int r;

	do
		r = poll(&fds, 1, PROBE_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		(void)kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return r > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The child did not live to end the check that it was in. */
static void fail_running_check(struct kvm_probe *probe)
{
	for (size_t i = 0; i < KVM_CHECKS; i++) {
		struct kvm_check_result *result = &probe->checks[i];

		if (result->status != KVM_CHECK_RUNNING)
			continue;
		result->status = KVM_CHECK_FAILED;
		(void)snprintf(result->found, sizeof(result->found),
			       "the guest hung, or killed the process that ran it");
		(void)snprintf(result->advice, sizeof(result->advice),
			       "this " KVM_DEVICE " cannot be used: use the rig");
	}
}

int host_probe(struct kvm_probe *ret_probe, struct err *err)
{
	struct kvm_probe *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	if (shared == MAP_FAILED)
		return err_set(err, -errno, "cannot map memory: %s", strerror(errno));
	child = fork();
	if (child == 0) {
		kvm_probe_run(shared);
		_exit(0);
	}
	if (child < 0) {
		int r = -errno;

		(void)munmap(shared, sizeof(*shared));
		return err_set(err, r, "cannot fork: %s", strerror(-r));
	}
	if (!wait_child(child))
		fail_running_check(shared);
	*ret_probe = *shared;
	(void)munmap(shared, sizeof(*shared));
	return 0;
}

/* All that the answer depends on, as one line. */
static int memory_key(const char *device, char *key, size_t bytes)
{
	cleanup_fd int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	struct stat st = {0};
	struct utsname kernel;
	char boot_id[37] = "";
	int n;

	if (fd < 0 || read(fd, boot_id, sizeof(boot_id) - 1) != sizeof(boot_id) - 1)
		return -ENODATA;
	(void)uname(&kernel);
	(void)stat(device, &st);
	n = snprintf(key, bytes, "boot %s kernel %s device %llx inode %llu access %d", boot_id,
		     kernel.release, (unsigned long long)st.st_rdev, (unsigned long long)st.st_ino,
		     faccessat(AT_FDCWD, device, R_OK | W_OK, AT_EACCESS));
	return n < 0 || (size_t)n >= bytes ? -EOVERFLOW : 0;
}

static char *memory_path(const char *home, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/" MEMORY_FILE "%s", home, suffix) < 0 ? NULL : path;
}

void host_mode_remember(const char *home, const char *device, enum host_mode mode)
{
	cleanup_free char *path = memory_path(home, "");
	cleanup_free char *fresh = memory_path(home, ".XXXXXX");
	cleanup_fd int fd = -1;
	char key[KEY_BYTES];

	if (!path || !fresh || memory_key(device, key, sizeof(key)) < 0 ||
	    make_folders(home, NULL) < 0)
		return;
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return;
	if (dprintf(fd, "%s\n%s\n", host_mode_names[mode], key) < 0 || rename(fresh, path) < 0)
		(void)unlink(fresh);
}

enum host_mode host_mode_recall(const char *home, const char *device)
{
	cleanup_free char *path = memory_path(home, "");
	cleanup_free uint8_t *text = NULL;
	char key[KEY_BYTES], expected[KEY_BYTES + 16];
	size_t bytes;

	if (!path || memory_key(device, key, sizeof(key)) < 0 ||
	    file_read(path, MEMORY_FILE_MAX, &text, &bytes, NULL) < 0)
		return HOST_MODE_AUTO;
	for (size_t i = HOST_MODE_KVM; i < HOST_MODES; i++) {
		(void)snprintf(expected, sizeof(expected), "%s\n%s\n", host_mode_names[i], key);
		if (strcmp((const char *)text, expected) == 0)
			return (enum host_mode)i;
	}
	return HOST_MODE_AUTO;
}
