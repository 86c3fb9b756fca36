/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener of a filter with SCMP_ACT_NOTIFY, and its way to the agent.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/seccomp_priv.h"

enum {
	AGENT_TIMEOUT_S = 10, /* to accept, and to take the message */
	HELPER_STACK_BYTES = 32 << 10,
	HELPER_LOOK_NS = 20000,
};

/* What `listener` holds before the filter is loaded. */
enum { LISTENER_AWAITED = -1, LISTENER_NEVER = -2 };

/* Between process_become's thread and its helper. */
struct delivery {
	int socket_fd;
	const char *state_json; /* borrowed */
	_Atomic int listener;	/* a descriptor, or one of the above */
	_Atomic pid_t helper;	/* its thread id, which the kernel clears when it has ended */
	int result;
	struct err err;
};

int seccomp_agent_connect(const char *path, int *ret_fd, struct err *err)
{
	static const char member[] = "linux.seccomp.listenerPath";
	const struct timeval timeout = { .tv_sec = AGENT_TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: longer than %zu bytes", member,
			       sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", member, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, -errno, "%s: cannot connect to '%s': %s", member, path,
			       strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The first part, with the descriptor; returns how much of the text went with it. */
static ssize_t send_with_descriptor(int socket_fd, int fd, const char *text, size_t bytes)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)text, .iov_len = bytes };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t n;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	do
		n = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

int seccomp_agent_send(int socket_fd, int listener_fd, const char *state_json, struct err *err)
{
	size_t bytes = strlen(state_json);
	ssize_t n = bytes ? send_with_descriptor(socket_fd, listener_fd, state_json, bytes) : 0;

	while (n >= 0 && (size_t)n < bytes) {
		state_json += n;
		bytes -= (size_t)n;
		do
			n = send(socket_fd, state_json, bytes, MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		return err_set(err, -errno,
			       "linux.seccomp.listenerPath: cannot send the listener: %s",
			       strerror(errno));
	return 0;
}

/* The helper thread. It has no thread-local storage of its own: the other thread, which waits for
 * it, has no use for errno meanwhile. Looking now and then is all it can do, as a filtered thread
 * cannot be counted on to wake it. */
static int deliver(void *argument)
{
	const struct timespec pause = { .tv_nsec = HELPER_LOOK_NS };
	struct delivery *delivery = argument;
	int listener;

	while ((listener = atomic_load(&delivery->listener)) == LISTENER_AWAITED)
		(void)syscall(SYS_nanosleep, &pause, NULL);
	if (listener >= 0)
		delivery->result = seccomp_agent_send(delivery->socket_fd, listener,
						      delivery->state_json, &delivery->err);
	return 0;
}

static void await_helper(struct delivery *delivery)
{
	while (atomic_load(&delivery->helper))
		__builtin_ia32_pause();
}

int seccomp_filter_load_and_send(const struct seccomp_filter *filter, int socket_fd,
				 const char *state_json, struct err *err)
{
	_Alignas(16) char stack[HELPER_STACK_BYTES];
	struct delivery delivery = {
		.socket_fd = socket_fd,
		.state_json = state_json ? state_json : "",
		.listener = LISTENER_AWAITED,
	};
	int listener;
	int r;

	r = clone(deliver, stack + sizeof(stack),
		  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		  &delivery, (pid_t *)&delivery.helper, NULL, (pid_t *)&delivery.helper);
	if (r < 0)
		return err_set(err, -errno, "linux.seccomp: cannot start a thread: %s",
			       strerror(errno));
	r = seccomp_filter_load(filter, &listener, err);
	atomic_store(&delivery.listener, r < 0 || listener < 0 ? LISTENER_NEVER : listener);
	await_helper(&delivery);
	if (r == 0 && delivery.result < 0) {
		r = delivery.result;
		if (err)
			*err = delivery.err;
	}
	return r;
}
