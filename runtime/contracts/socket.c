/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets on 127.0.0.1: written without blocking, read when poll says so.
 */
#include "socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "child.h"
#include "cleanup.h"
#include "err.h"

enum {
	/* One function; more connections than it has threads are not waited for. */
	BACKLOG = 16,
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* Heads and bodies go out as they are written: Nagle's algorithm would wait for acknowledgements
 * that the other side delays. */
static void set_no_delay(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

int socket_connect(uint16_t port)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = loopback(port);

	/* On the loopback interface a connection is made or refused at once, except where the
	 * listener's queue is full: SO_SNDTIMEO bounds that. */
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = 1},
		       sizeof(struct timeval)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	set_no_delay(fd);
	return TAKE_FD(fd);
}

int socket_listen(uint16_t port, struct err *err)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in address = loopback(port);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_set(err, -errno, "cannot listen on 127.0.0.1:%u: %s", port,
			       strerror(errno));
	return TAKE_FD(fd);
}

int socket_accept(int fd)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (connection < 0)
		return -errno;
	set_no_delay(connection);
	return connection;
}

void socket_acknowledge(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
}

static void parts_advance(struct socket_parts *parts, size_t bytes)
{
	while (parts->first < parts->count && bytes >= parts->parts[parts->first].iov_len)
		bytes -= parts->parts[parts->first++].iov_len;
	if (parts->first < parts->count) {
		struct iovec *part = &parts->parts[parts->first];

		part->iov_base = (char *)part->iov_base + bytes;
		part->iov_len -= bytes;
	}
}

int socket_write(int fd, struct socket_parts *parts)
{
	while (parts->first < parts->count) {
		struct msghdr message = {.msg_iov = parts->parts + parts->first,
					 .msg_iovlen = parts->count - parts->first};
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return -errno;
		parts_advance(parts, (size_t)n);
	}
	return 0;
}

int socket_send(int fd, struct socket_parts *parts, struct child *child, uint64_t deadline_ns)
{
	struct pollfd fds[CHILD_POLL_FIRST + 1];
	int r;

	while ((r = socket_write(fd, parts)) == -EAGAIN) {
		fds[CHILD_POLL_FIRST] = (struct pollfd){.fd = fd, .events = POLLOUT};
		r = child_poll(child, fds, CHILD_POLL_FIRST + 1, deadline_ns);
		if (r < 0)
			return r;
		if (child->ended && !fds[CHILD_POLL_FIRST].revents)
			return -EPIPE;
	}
	return r;
}
