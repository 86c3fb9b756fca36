/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp: keeps every CPU busy and answers how far each has come since the request arrived. The main
 * thread counts on CPU 0 while it waits, every other CPU has a pinned thread that counts. A thread
 * whose CPU was not restored stands still, and the request fails.
 *
 * No thread shares a CPU with the main one: the guest's scheduler charges the time that a template
 * has waited to the thread that was running, and would let the other catch up first.
 */
#include <pthread.h>
#include <quark.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { CPUS_MAX = 64 };

enum { DEADLINE_S = 10 };

/* Each on its own cache line. */
static struct counter {
	_Alignas(64) volatile uint64_t value;
} counters[CPUS_MAX];

static void *count(void *argument)
{
	struct counter *counter = argument;

	for (;;)
		counter->value++;
	return NULL;
}

static cpu_set_t only(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

static bool thread_start(int cpu)
{
	const cpu_set_t set = only(cpu);
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	if (pthread_attr_init(&attributes))
		return false;
	started = pthread_attr_setaffinity_np(&attributes, sizeof(set), &set) == 0 &&
		  pthread_create(&thread, &attributes, count, &counters[cpu]) == 0;
	(void)pthread_attr_destroy(&attributes);
	return started;
}

/* Not by time(): between a restore and the first tick that is the time of the snapshot. */
static time_t seconds(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Waits until every counter has left its base. */
static bool all_move(const uint64_t *base, int cpus)
{
	time_t end = seconds() + DEADLINE_S;

	for (int cpu = 0; cpu < cpus; cpu++) {
		while (counters[cpu].value == base[cpu]) {
			if (seconds() > end)
				return false;
			counters[0].value++;
		}
	}
	return true;
}

static void bases_take(uint64_t *base, int cpus)
{
	for (int cpu = 0; cpu < cpus; cpu++)
		base[cpu] = counters[cpu].value;
}

static size_t text_write(char *text, size_t room, const uint64_t *base, int cpus)
{
	size_t n = (size_t)snprintf(text, room, "{\"cpus\":%d,\"progress\":[", cpus);

	for (int cpu = 0; cpu < cpus; cpu++)
		n += (size_t)snprintf(text + n, room - n, "%s%llu", cpu ? "," : "",
				      (unsigned long long)(counters[cpu].value - base[cpu]));
	return n + (size_t)snprintf(text + n, room - n, "]}\n");
}

int main(void)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct quark_request request;
	uint64_t base[CPUS_MAX] = {};
	cpu_set_t first = only(0);
	static char text[CPUS_MAX * 24 + 64];

	if (cpus < 1 || cpus > CPUS_MAX || sched_setaffinity(0, sizeof(first), &first) < 0)
		return 2;
	for (int cpu = 1; cpu < cpus; cpu++)
		if (!thread_start(cpu))
			return 2;
	if (!all_move(base, cpus))
		return 2;

	while (quark_next(&request) == 0) {
		bases_take(base, cpus);
		if (!all_move(base, cpus))
			(void)quark_fail("a CPU does not run");
		else if (quark_respond(text, text_write(text, sizeof(text), base, cpus)) < 0)
			return 1;
	}
	return 1;
}
