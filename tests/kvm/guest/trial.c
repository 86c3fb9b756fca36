/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function of the tests of PID 1: its first argument says what it does before its first next(),
 * a request what it does then. An answer is text, one fact a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <quark.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 8192, MIB = 1 << 20 };

struct answer {
	char text[ANSWER_BYTES];
	size_t used;
};

static unsigned int before_runs, after_runs;

__attribute__((format(printf, 2, 3))) static void say(struct answer *answer, const char *format,
						      ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(answer->text + answer->used, sizeof(answer->text) - answer->used, format,
		      args);
	va_end(args);
	if (n > 0 && answer->used + (size_t)n < sizeof(answer->text))
		answer->used += (size_t)n;
}

static void say_file(struct answer *answer, const char *name, const char *path)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		say(answer, "%s !%s\n", name, strerror(errno));
	else
		say(answer, "%s %.*s\n", name, (int)strcspn(text, "\n"), text);
	if (fd >= 0)
		(void)close(fd);
}

/* --- who am I -------------------------------------------------------------------------------- */

static void do_who(struct answer *answer)
{
	uint8_t random[16];
	char name[65] = "";
	struct timespec now;

	(void)gethostname(name, sizeof(name));
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		say(answer, "random !%s\n", strerror(errno));
	say(answer, "random ");
	for (size_t i = 0; i < sizeof(random); i++)
		say(answer, "%02x", random[i]);
	say(answer, "\nhostname %s\n", name);
	say_file(answer, "machine-id", "/etc/machine-id");
	say_file(answer, "hostname-file", "/etc/hostname");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	say(answer, "realtime %lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	say(answer, "coarse %lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	say(answer, "hooks %u %u\nuid %d\npid %d\n", before_runs, after_runs, getuid(), getpid());
	say_file(answer, "layout", "/proc/self/personality");
	say_file(answer, "piece", "/function/data/piece");
	say_file(answer, "link", "/function/link");
}

/* --- what must not be within reach ----------------------------------------------------------- */

static void try_open(struct answer *answer, const char *path, int flags)
{
	int fd = open(path, flags);
	char byte;

	if (fd < 0)
		say(answer, "%s closed: %s\n", path, strerror(errno));
	else if (read(fd, &byte, 1) <= 0)
		say(answer, "%s unreadable or empty\n", path);
	else
		say(answer, "%s OPEN\n", path);
	if (fd >= 0)
		(void)close(fd);
}

static void try_map(struct answer *answer, const char *path)
{
	int fd = open(path, O_RDWR);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	say(answer, "%s %s\n", path, at == MAP_FAILED ? "closed" : "OPEN");
	if (fd >= 0)
		(void)close(fd);
}

static void list_descriptors(struct answer *answer)
{
	for (int fd = 0; fd < 64; fd++) {
		char link[64], target[128];
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target));
		if (n > 0)
			say(answer, "fd %d %.*s\n", fd, (int)n, target);
	}
}

static void do_isolation(struct answer *answer)
{
	static const char *const files[] = {
		"/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/dev/pmem0", "/dev/kmsg",
		"/init", "/bundle/config.json", "/modules/order", "/run/run0.log", "/files/upper",
		"/proc/2/mem", "/proc/1/root/init", "/proc/sysrq-trigger",
	};
	static const char *const resources[] = {
		"/sys/bus/pci/devices/0000:00:01.0/resource0",
		"/sys/bus/pci/devices/0000:00:02.0/resource0",
		"/sys/bus/pci/devices/0000:00:00.0/resource0",
		"/sys/bus/pci/devices/0000:00:01.0/config",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		try_open(answer, files[i], O_RDONLY);
	try_open(answer, "/dev/mem", O_RDWR);
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		try_map(answer, resources[i]);
	say(answer, "mknod %s\n",
	    mknod("/tmp/mem", S_IFCHR | 0600, 0x101) < 0 ? strerror(errno) : "OPEN");
	say(answer, "sethostname %s\n", sethostname("x", 1) < 0 ? strerror(errno) : "OPEN");
	say(answer, "parent %d\n", getppid());
	list_descriptors(answer);
}

/* --- the ways to end ------------------------------------------------------------------------- */

static void use_memory(void)
{
	for (;;) {
		void *at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);

		if (at == MAP_FAILED)
			_exit(9);
		memset(at, 0x5a, MIB);
	}
}

static void before_next(const char *what)
{
	if (!strcmp(what, "exit"))
		_exit(3);
	/* The first process of a PID namespace is deaf to signals of its own making. */
	if (!strcmp(what, "kill"))
		__builtin_trap();
	if (!strcmp(what, "memory"))
		use_memory();
}

static void do_exit(struct answer *answer)
{
	(void)answer;
	_exit(5);
}

static void do_memory(struct answer *answer)
{
	(void)answer;
	use_memory();
}

static const struct {
	const char *request;
	void (*run)(struct answer *answer);
} requests[] = {
	{"who", do_who},
	{"isolation", do_isolation},
	{"exit", do_exit},
	{"memory", do_memory},
};

static void count_run(void *context)
{
	(*(unsigned int *)context)++;
}

int main(int argc, char **argv)
{
	struct quark_request request;

	(void)quark_before_snapshot(count_run, &before_runs);
	(void)quark_after_restore(count_run, &after_runs);
	if (argc > 1)
		before_next(argv[1]);
	while (quark_next(&request) == 0) {
		static struct answer answer;

		answer.used = 0;
		for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
			if (request.bytes == strlen(requests[i].request) &&
			    !memcmp(request.data, requests[i].request, request.bytes))
				requests[i].run(&answer);
		(void)quark_respond(answer.text, answer.used);
	}
	return 1;
}
