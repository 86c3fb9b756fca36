/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets between the runtime and the container's first process.
 */
#include "container/sync.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "err.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int sync_pair(int ret_fds[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return err_set(err, -errno, "socketpair: %s", strerror(errno));
	return 0;
}

int sync_send(int socket, enum sync_kind kind, int32_t number, const char *text, int fd)
{
	struct sync_message message = { .kind = kind, .number = number };
	struct iovec part = { .iov_base = &message };
	union control control = {};
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	if (text)
		(void)snprintf(message.text, sizeof(message.text), "%s", text);
	part.iov_len = offsetof(struct sync_message, text) + strlen(message.text) + 1;
	if (fd >= 0) {
		packet.msg_control = &control;
		packet.msg_controllen = sizeof(control.bytes);
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int sync_receive(int socket, struct sync_message *ret_message, int *ret_fd)
{
	struct iovec part = { .iov_base = ret_message, .iov_len = sizeof(*ret_message) };
	union control control = {};
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t bytes;

	if (ret_fd) {
		*ret_fd = -1;
		packet.msg_control = &control;
		packet.msg_controllen = sizeof(control.bytes);
	}
	do
		bytes = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
	while (bytes < 0 && errno == EINTR);
	if (bytes < 0)
		return -errno;
	if ((size_t)bytes <= offsetof(struct sync_message, text))
		return -EPIPE;
	ret_message->text[sizeof(ret_message->text) - 1] = 0;
	if (ret_fd && packet.msg_controllen && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(*ret_fd));
	return 0;
}
