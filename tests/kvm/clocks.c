/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clocks LUMPER CLOCK-TEMPLATE: right after its restore, at every level of start, a clone knows the
 * time of day, by vDSO and by system call; its monotonic clock went on by what has passed since the
 * capture, and goes on from request to request.
 */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "kvm_test.h"

/* What a clock may be wrong by. The answer was given between two readings of the host's. */
static const uint64_t tolerance_ns = 10000000;

struct reading {
	uint64_t before, after; /* the host's, around the request */
	uint64_t vdso, call, monotonic, request;
};

static struct reading read_clocks(struct shell *shell, const struct template *template)
{
	struct reading reading = { .before = clock_ns(CLOCK_REALTIME) };
	struct start_times times = {};
	struct response response;
	struct err err = {};
	char text[512];

	REQUIRE(shell_invoke(shell, template, "", 0, &response, &times, &err) == 0, "%s",
		err.message);
	reading.after = clock_ns(CLOCK_REALTIME);
	REQUIRE(!response.failed && response.bytes < sizeof(text), "no answer of clock");
	memcpy(text, response.data, response.bytes);
	text[response.bytes] = '\0';
	REQUIRE(sscanf(text,
		       "{\"realtime_ns\":%" SCNu64 ",\"realtime_syscall_ns\":%" SCNu64
		       ",\"monotonic_ns\":%" SCNu64 ",\"request_realtime_ns\":%" SCNu64 "}",
		       &reading.vdso, &reading.call, &reading.monotonic, &reading.request) == 4,
		"'%s' is no answer of clock", text);
	return reading;
}

/* Since the request was sent. */
static double seconds(uint64_t realtime_ns, const struct reading *reading)
{
	return ((double)realtime_ns - (double)reading->before) / 1e9;
}

static void check_realtime(const char *level, const char *which, uint64_t ns,
			   const struct reading *reading)
{
	REQUIRE(ns + tolerance_ns >= reading->before && ns <= reading->after + tolerance_ns,
		"level %s: the clone's time (%s) is %+.3f s off: vDSO %+.3f, system call %+.3f, "
		"monotonic %.3f, request %+.3f, answered %+.3f",
		level, which, seconds(ns, reading), seconds(reading->vdso, reading),
		seconds(reading->call, reading), (double)reading->monotonic / 1e9,
		seconds(reading->request, reading), seconds(reading->after, reading));
}

static void check_level(const struct shell_config *config, const struct template *template,
			enum start_level level)
{
	uint64_t captured_ns = template_manifest(template)->realtime_ns;
	const char *name = level_names[level];
	struct reading first, second;
	struct shell *shell = NULL;
	struct err err = {};
	uint64_t passed_ns;

	REQUIRE(shell_new(&shell, config, &err) == 0, "%s", err.message);
	REQUIRE(level < LEVEL_TEMPLATE || shell_load(shell, template, &err) == 0, "%s",
		err.message);
	REQUIRE(level < LEVEL_PARKED || shell_park(shell, &err) == 0, "%s", err.message);
	first = read_clocks(shell, template);
	second = read_clocks(shell, template);
	(void)shell_free(shell);

	check_realtime(name, "vDSO", first.vdso, &first);
	check_realtime(name, "system call", first.call, &first);
	check_realtime(name, "request", first.request, &first);
	check_realtime(name, "vDSO, second request", second.vdso, &second);
	passed_ns = first.before - captured_ns;
	REQUIRE(first.monotonic + tolerance_ns >= passed_ns,
		"level %s: %.3f s since the capture, but the monotonic clock is at %.3f", name,
		(double)passed_ns / 1e9, (double)first.monotonic / 1e9);
	REQUIRE(second.monotonic > first.monotonic, "level %s: the monotonic clock went back",
		name);
	printf("level %-8s %.3f s old, %+.3f ms off\n", name, (double)passed_ns / 1e9,
	       ((double)first.vdso - (double)first.before) / 1e6);
}

int main(int argc, char **argv)
{
	struct shell_config config;
	struct template *template;

	REQUIRE(argc == 3, "usage: clocks LUMPER TEMPLATE");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	for (int level = LEVEL_SHELL; level < LEVELS; level++)
		check_level(&config, template, (enum start_level)level);
	(void)template_free(template);
	return 0;
}
