/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter: counts the requests that this machine has seen. Every fresh clone answers 1; the
 * generation is another one for each.
 */
#include <inttypes.h>
#include <quark.h>
#include <stdio.h>

int main(void)
{
	struct quark_request request;
	unsigned int count = 0;
	char text[80];

	while (quark_next(&request) == 0) {
		int n = snprintf(text, sizeof(text), "{\"count\":%u,\"generation\":%" PRIu64 "}\n",
				 ++count, request.generation);

		if (quark_respond(text, (size_t)n) < 0)
			return 1;
	}
	return 1;
}
