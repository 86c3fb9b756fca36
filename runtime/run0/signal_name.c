/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of signals, by the C library's table.
 */
#include "signal_name.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "cleanup.h"
#include "number.h"

/* Linux has 64 signals; the C library keeps the first two real-time ones for itself, but a
 * container may have another library, so a number may be any. */
enum { SIGNAL_MAX = 64 };

/* What follows "RTMIN" or "RTMAX": nothing, or a distance from it. */
static int parse_distance(const char *text, int base, char sign)
{
	uint64_t distance;

	if (!*text)
		return base;
	if (*text != sign || !number_parse(text + 1, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &distance))
		return -1;
	return sign == '+' ? base + (int)distance : base - (int)distance;
}

int signal_parse(const char *text)
{
	static const struct {
		const char *name;
		int number;
	} others[] = { { "IOT", SIGIOT }, { "CLD", SIGCHLD }, { "POLL", SIGPOLL } };
	uint64_t number;

	if (number_parse(text, 0, SIGNAL_MAX, &number))
		return (int)number;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	if (strncasecmp(text, "RTMIN", 5) == 0)
		return parse_distance(text + 5, SIGRTMIN, '+');
	if (strncasecmp(text, "RTMAX", 5) == 0)
		return parse_distance(text + 5, SIGRTMAX, '-');
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(name, text) == 0)
			return i;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcasecmp(others[i].name, text) == 0)
			return others[i].number;
	return -1;
}
