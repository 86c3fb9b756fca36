/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unique: answers what two clones must not have in common. The kernel's random bytes have been
 * drawn from before the snapshot, so that their state is copied. But not the boot id: the kernel
 * draws that when it is first read, and gives no way to draw it again. The request "clock" is
 * answered with the time alone.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <quark.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct identity {
	char kernel[33], hostname[65], machine_id[64], boot_id[64];
	uint64_t realtime_ns;
};

static int kernel_random(char text[static 33])
{
	uint8_t bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* The first line of a file. */
static int line_read(const char *path, char *line, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, line, cap - 1);
	(void)close(fd);
	if (n < 0)
		return -1;
	line[n] = 0;
	line[strcspn(line, "\n")] = 0;
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* NULL, or what could not be read. */
static const char *identity_read(struct identity *identity)
{
	if (kernel_random(identity->kernel) < 0)
		return "no random bytes";
	if (gethostname(identity->hostname, sizeof(identity->hostname)) < 0)
		return "no hostname";
	if (line_read("/etc/machine-id", identity->machine_id, sizeof(identity->machine_id)) < 0)
		return "no machine id";
	identity->realtime_ns = realtime_ns();
	return NULL;
}

static int answer_clock(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"realtime_ns\":%" PRIu64 "}\n", realtime_ns());

	return quark_respond(text, (size_t)n);
}

static int answer(const struct quark_request *request)
{
	struct identity identity = {};
	const char *missing;
	char text[512];
	int n;

	if (request->bytes == 5 && memcmp(request->data, "clock", 5) == 0)
		return answer_clock();
	missing = identity_read(&identity);
	if (missing)
		return quark_fail(missing);
	if (line_read("/proc/sys/kernel/random/boot_id", identity.boot_id,
		      sizeof(identity.boot_id)) < 0)
		return quark_fail("no boot id");
	n = snprintf(text, sizeof(text),
		     "{\"kernel\":\"%s\",\"hostname\":\"%s\",\"machine_id\":\"%s\","
		     "\"boot_id\":\"%s\",\"realtime_ns\":%" PRIu64 ",\"generation\":\"%016" PRIx64
		     "\"}\n",
		     identity.kernel, identity.hostname, identity.machine_id, identity.boot_id,
		     identity.realtime_ns, request->generation);
	return quark_respond(text, (size_t)n);
}

int main(void)
{
	struct quark_request request;
	struct identity before;

	(void)identity_read(&before);
	while (quark_next(&request) == 0)
		if (answer(&request) < 0)
			return 1;
	return 1;
}
