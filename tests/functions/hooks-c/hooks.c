/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks-c: answers how often its hooks ran, and what the one after the restore drew.
 */
#include <inttypes.h>
#include <quark.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

struct seen {
	unsigned int before, after;
	uint64_t token;
};

static void before_snapshot(void *context)
{
	struct seen *seen = context;

	seen->before++;
	seen->token = 0;
}

static void after_restore(void *context)
{
	struct seen *seen = context;

	seen->after++;
	if (getrandom(&seen->token, sizeof(seen->token), 0) != (ssize_t)sizeof(seen->token))
		seen->token = 0;
}

int main(void)
{
	struct quark_request request;
	struct seen seen = {};
	char text[128];

	if (quark_before_snapshot(before_snapshot, &seen) < 0 ||
	    quark_after_restore(after_restore, &seen) < 0)
		return 1;
	while (quark_next(&request) == 0) {
		int n = snprintf(text, sizeof(text),
				 "{\"before\": %u, \"after\": %u, \"token\": \"%016" PRIx64 "\"}",
				 seen.before, seen.after, seen.token);

		if (quark_respond(text, (size_t)n) < 0)
			return 1;
	}
	return 1;
}
