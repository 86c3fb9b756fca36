/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a guest that shows one thing about its machine. Which one is what "do=" says on the
 * kernel command line, whose unknown parameters come as environment variables.
 */
#include <ctype.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

enum { CPUS_MAX = 8 };

/* The console is a serial port: what was written has to get out first. */
static void end(int how)
{
	(void)fflush(stdout);
	(void)tcdrain(STDOUT_FILENO);
	(void)reboot(how);
}

static void do_nproc(void)
{
	printf("cpus %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	end(RB_POWER_OFF);
}

static void do_poweroff(void)
{
	end(RB_POWER_OFF);
}

static void do_reset(void)
{
	end(RB_AUTOBOOT);
}

/* A kernel that loses its PID 1 panics. */
static void do_panic(void)
{
	_exit(3);
}

static void do_input(void)
{
	char line[256];

	puts("say something");
	if (!fgets(line, sizeof(line), stdin))
		return;
	for (char *at = line; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	printf("heard %s", line);
	end(RB_POWER_OFF);
}

static void do_wait(void)
{
	puts("waiting");
	for (;;)
		(void)pause();
}

/* A process pinned to `cpu`: adds to its counter for ever. */
static int count_on(int cpu, volatile uint64_t *counter)
{
	cpu_set_t set;
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -1 : 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		_exit(1);
	for (;;)
		++*counter;
}

/* Every CPU works all the time. A line for each round in which all of them have come further. */
static void do_rounds(void)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	volatile uint64_t *counters;
	uint64_t before[CPUS_MAX];

	counters = mmap(NULL, CPUS_MAX * 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (counters == MAP_FAILED || cpus > CPUS_MAX)
		return;
	for (int cpu = 0; cpu < cpus; cpu++)
		if (count_on(cpu, &counters[cpu * 8]) < 0)
			return;
	for (unsigned int round = 1;; round++) {
		for (int cpu = 0; cpu < cpus; cpu++)
			before[cpu] = counters[cpu * 8];
		for (int cpu = 0; cpu < cpus; cpu++)
			while (counters[cpu * 8] == before[cpu])
				(void)usleep(1000);
		printf("round %u of %d cpus\n", round, cpus);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} things[] = {
	{"nproc", do_nproc}, {"poweroff", do_poweroff}, {"reset", do_reset},   {"panic", do_panic},
	{"input", do_input}, {"wait", do_wait},		{"rounds", do_rounds},
};

int main(void)
{
	const char *what = getenv("do");

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; what && i < sizeof(things) / sizeof(things[0]); i++)
		if (strcmp(things[i].name, what) == 0)
			things[i].run();
	printf("cannot do '%s'\n", what ? what : "");
	end(RB_POWER_OFF);
	return 1;
}
