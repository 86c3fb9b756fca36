/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP to and from the function, on the loopback interface, while its output is served.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct child;
struct err;

/* A connection to 127.0.0.1:port, or -errno (-ECONNREFUSED: nobody listens). */
int socket_connect(uint16_t port);

/* A non-blocking socket that listens there, or -errno with `err` filled. */
int socket_listen(uint16_t port, struct err *err);

/* The next connection, or -errno. */
int socket_accept(int fd);

/* Acknowledges what was read at once. A server that writes head and body apart, without
 * TCP_NODELAY, keeps the body back until then: 20 to 40 ms. */
void socket_acknowledge(int fd);

/* What is still to be sent. */
struct socket_parts {
	struct iovec parts[2];
	size_t first, count; /* those from `first` to `count` are left */
};

/* Sends what the socket takes now: 0 when all is sent, -EAGAIN when some is left, or -errno
 * (-EPIPE, -ECONNRESET: the other side closed). */
int socket_write(int fd, struct socket_parts *parts);

/* Sends all of it: 0, -ETIMEDOUT, or -errno. */
int socket_send(int fd, struct socket_parts *parts, struct child *child, uint64_t deadline_ns);
