/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 events: a container's use of resources, and its lack of memory, as lines of JSON.
 */
#include <stdint.h>
#include <time.h>

#include "cleanup.h"
#include "cli.h"
#include "json_text.h"
#include "quantity.h"

enum { DEFAULT_INTERVAL_MS = 5000, OOM_LINE_BYTES = 1200 };

/* What oci_wait_event returns. */
enum { WAIT_ENDED = 0, WAIT_OOM = 1, WAIT_TIMEOUT = 2 };

struct values {
	const char *interval;
	bool stats;
};

static const struct cli_option options[] = {
	{ "interval", 0, OPTION_TEXT, offsetof(struct values, interval), "TIME", NULL,
	  "time between two lines: 500ms, 5s (default), 1m30s" },
	{ "stats", 0, OPTION_FLAG, offsetof(struct values, stats), NULL, NULL,
	  "print one line of statistics and end" },
	{ 0 },
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int print_stats(struct cli *cli, const char *id)
{
	cleanup_free char *json = NULL;
	struct err err = { 0 };

	if (oci_stats_json(&cli->runtime, id, &json, &err) < 0)
		return cli_fail(cli, &err);
	return cli_print_document(cli, json);
}

static int print_oom(struct cli *cli, const char *id)
{
	char line[OOM_LINE_BYTES];
	struct json_text json = json_text_to(line, sizeof(line));

	json_add(&json, "{\"type\":\"oom\",\"id\":");
	json_add_string(&json, id);
	json_add(&json, "}");
	return cli_print_document(cli, line);
}

/* The container may end between the wait and the look: that is an end like any other. */
static int print_stats_if_alive(struct cli *cli, const char *id)
{
	cleanup_free char *json = NULL;
	struct err err = { 0 };

	if (oci_stats_json(&cli->runtime, id, &json, &err) == 0)
		return cli_print_document(cli, json);
	if (oci_wait_event(&cli->runtime, id, 0, NULL) == WAIT_ENDED)
		return EXIT_SUCCESS;
	return cli_fail(cli, &err);
}

/* Until the container has ended. The first statistics come after one interval, as with runc; an
 * event in between does not put them off. */
static int print_events(struct cli *cli, const char *id, int interval_ms)
{
	int64_t next_ms = now_ms() + interval_ms;
	struct err err = { 0 };
	int status = EXIT_SUCCESS;
	int event;

	while (status == EXIT_SUCCESS) {
		const int64_t left_ms = next_ms - now_ms();

		event = oci_wait_event(&cli->runtime, id, left_ms > 0 ? (int)left_ms : 0, &err);
		if (event < 0)
			return cli_fail(cli, &err);
		if (event == WAIT_ENDED)
			break;
		if (event == WAIT_OOM) {
			status = print_oom(cli, id);
			continue;
		}
		status = print_stats_if_alive(cli, id);
		next_ms += interval_ms;
	}
	return status;
}

static int run(struct cli *cli, struct arguments *arguments)
{
	int interval_ms = DEFAULT_INTERVAL_MS;
	struct values values = { 0 };
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	if (values.interval && !quantity_duration_ms(values.interval, &interval_ms))
		return cli_usage(cli, "option --interval: '%s' is no time from 1ms to 24h",
				 values.interval);
	if (values.stats)
		return print_stats(cli, arguments->items[0]);
	return print_events(cli, arguments->items[0], interval_ms);
}

const struct verb verb_events = {
	.name = "events",
	.summary = "print statistics and out-of-memory events",
	.arguments = "ID",
	.description =
		"Prints lines of JSON until the container has ended: {\"type\":\"stats\", ...}\n"
		"with its use of resources at each interval, and {\"type\":\"oom\", ...} when\n"
		"the kernel killed one of its processes for want of memory.",
	.options = options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run,
};
