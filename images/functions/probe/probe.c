/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: does what the request says, so that tests can see how a function's every end, error and
 * environment looks from outside. A request is a verb and, after a space, its argument.
 */
#include <errno.h>
#include <fcntl.h>
#include <quark.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct probe {
	struct quark_request request;
	char *argument; /* behind the verb; "" when there is none */
};

static char buffer[64 << 10];

static int fail_errno(const char *what)
{
	(void)snprintf(buffer, sizeof(buffer), "%s: %s", what, strerror(errno));
	return quark_fail(buffer);
}

static unsigned long number(const struct probe *probe)
{
	return strtoul(probe->argument, NULL, 0);
}

static int do_echo(struct probe *probe)
{
	return quark_respond(probe->argument, strlen(probe->argument));
}

static int do_fail(struct probe *probe)
{
	return quark_fail(probe->argument);
}

static int do_log(struct probe *probe)
{
	(void)quark_log("%s", probe->argument);
	return quark_respond("logged\n", 7);
}

/* N bytes of a pattern that the caller can check: byte i is i modulo 251. */
static int do_big(struct probe *probe)
{
	size_t bytes = number(probe);
	uint8_t *out = quark_response_buffer();

	for (size_t i = 0; i < bytes && i < quark_response_max(); i++)
		out[i] = (uint8_t)(i % 251);
	if (quark_respond(out, bytes) == -EMSGSIZE)
		return quark_fail("larger than the mailbox takes");
	return 0;
}

static int do_exit(struct probe *probe)
{
	exit((int)number(probe));
}

static int do_segv(struct probe *probe)
{
	(void)probe;
	*(volatile int *)8 = 0;
	return 0;
}

static int do_loop(struct probe *probe)
{
	(void)probe;
	for (;;)
		__asm__ volatile("pause");
	return 0;
}

/* Needs a timer interrupt, and the guest kernel behind it. */
static int do_sleep(struct probe *probe)
{
	struct timespec t = {.tv_sec = (time_t)(number(probe) / 1000),
			     .tv_nsec = (long)(number(probe) % 1000) * 1000000};

	if (nanosleep(&t, NULL) < 0)
		return fail_errno("nanosleep");
	return quark_respond("slept\n", 6);
}

static int do_cat(struct probe *probe)
{
	int fd = open(probe->argument, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return fail_errno("open");
	n = read(fd, buffer, sizeof(buffer));
	(void)close(fd);
	return n < 0 ? fail_errno("read") : quark_respond(buffer, (size_t)n);
}

static int do_write(struct probe *probe)
{
	int fd = open(probe->argument, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fail_errno("open");
	(void)close(fd);
	return quark_respond("writable\n", 9);
}

/* The open descriptors, as one line of numbers. */
static int do_fds(struct probe *probe)
{
	size_t n = 0;

	(void)probe;
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += (size_t)snprintf(buffer + n, sizeof(buffer) - n, "%s%d", n ? " " : "",
					      fd);
	return quark_respond(buffer, n);
}

static int do_entropy(struct probe *probe)
{
	for (int i = 0; i < 64; i++)
		(void)snprintf(buffer + 2 * i, 3, "%02x", probe->request.entropy[i]);
	return quark_respond(buffer, 128);
}

static int do_generation(struct probe *probe)
{
	int n = snprintf(buffer, sizeof(buffer), "%llu",
			 (unsigned long long)probe->request.generation);

	return quark_respond(buffer, (size_t)n);
}

/* Falls silent about the request and asks for the next one. */
static int do_skip(struct probe *probe)
{
	(void)probe;
	return 0;
}

static const struct verb {
	const char *name;
	int (*run)(struct probe *probe);
} verbs[] = {
	{"echo", do_echo},
	{"fail", do_fail},
	{"log", do_log},
	{"big", do_big},
	{"exit", do_exit},
	{"segv", do_segv},
	{"loop", do_loop},
	{"sleep", do_sleep},
	{"cat", do_cat},
	{"write", do_write},
	{"fds", do_fds},
	{"entropy", do_entropy},
	{"generation", do_generation},
	{"skip", do_skip},
};

static int carry_out(struct probe *probe, char *text)
{
	size_t verb_bytes = strcspn(text, " ");

	probe->argument = text + verb_bytes;
	if (*probe->argument)
		*probe->argument++ = 0;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, text) == 0)
			return verbs[i].run(probe);
	return quark_fail("no such verb");
}

int main(void)
{
	static char text[1 << 20];
	struct probe probe;

	while (quark_next(&probe.request) == 0) {
		size_t bytes = probe.request.bytes;

		if (bytes >= sizeof(text))
			bytes = sizeof(text) - 1;
		memcpy(text, probe.request.data, bytes);
		text[bytes] = 0;
		if (carry_out(&probe, text) < 0)
			return 1;
	}
	return 1;
}
