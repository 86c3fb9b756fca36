/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port of rig-agent: one virtio-serial device, a byte stream to one client at a time.
 *
 * The stream goes on when a client dies and the next one comes; only the driver's hints and the
 * hello tell them apart. A port belongs to the process that serves it and, while a command runs, to
 * that command's session.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rig_agent_priv.h"

#define CLIENT_GRACE_MS 2000

/*
 * Reads what is there, at least one byte. Without a client the driver calls the port readable and
 * returns 0, so there is nothing to poll for; but its SIGIO tells of connections and of data. The
 * signal stays blocked and is waited for, so that none is missed.
 */
static size_t port_read_any(int port, void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLIN};
	sigset_t set;
	ssize_t n;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	for (;;) {
		n = read(port, buf, len);
		if (n > 0)
			return (size_t)n;
		if (n == 0)
			sigwaitinfo(&set, NULL);
		else
			poll(&pfd, 1, -1);
	}
}

/*
 * The port says that its client is gone. The driver learns of clients and of data from two queues,
 * and may hand out the first bytes of a new client before it hears that the old one went and this
 * one came. So a client is gone for good only when none is there for a while. (When there is
 * another one by then, what it sends is no frame, and ends the session too.)
 */
static bool port_has_client(int port)
{
	struct pollfd pfd = {.fd = port};

	for (int ms = 0; ms < CLIENT_GRACE_MS; ms += 5) {
		poll(&pfd, 1, 0);
		if (!(pfd.revents & POLLHUP))
			return true;
		usleep(5000);
	}
	return false;
}

/* Finds the device of the port with a name such as "rig.0"; the numbers of devices are not ours. */
int port_open(unsigned number)
{
	char path[PATH_MAX], name[64], wanted[64];
	struct dirent *entry;
	DIR *dir = opendir("/sys/class/virtio-ports");
	int fd = -1;

	snprintf(wanted, sizeof(wanted), RIG_PORT_NAME "%u\n", number);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strcmp(name, wanted)) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

void port_hello(int port, struct rig_hello *ret_hello)
{
	uint8_t buf[sizeof(*ret_hello)];
	size_t have = 0, skip;

	for (;;) {
		have += port_read_any(port, buf + have, sizeof(buf) - have);
		for (skip = 0; skip < have; skip++)
			if (!memcmp(buf + skip, RIG_HELLO_MAGIC, have - skip < 8 ? have - skip : 8))
				break;
		have -= skip;
		memmove(buf, buf + skip, have);
		if (have == sizeof(buf))
			break;
	}
	memcpy(ret_hello, buf, sizeof(buf));
}

bool port_read(int port, void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLIN};
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = read(port, p, len);
		if (n == 0 && !port_has_client(port))
			return false;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n <= 0) {
			poll(&pfd, 1, -1);
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool port_write(int port, const void *buf, size_t len)
{
	struct pollfd pfd = {.fd = port, .events = POLLOUT};
	const uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = write(port, p, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		poll(&pfd, 1, -1);
		if ((pfd.revents & POLLHUP) && !port_has_client(port))
			return false;
	}
	return true;
}

/* Header and payload in one write: each write is a trip to the host. */
bool port_send(int port, enum rig_frame_type type, const void *payload, size_t len)
{
	static uint8_t buf[sizeof(struct rig_frame) + RIG_OUTPUT_MAX];
	const struct rig_frame frame = {
		.magic = RIG_FRAME_MAGIC, .type = type, .len = (uint32_t)len};

	memcpy(buf, &frame, sizeof(frame));
	if (len > 0)
		memcpy(buf + sizeof(frame), payload, len);
	return port_write(port, buf, sizeof(frame) + len);
}
