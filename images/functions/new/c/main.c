/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function in C. Build and call it:
 *
 *	quark build . -t hello
 *	quark invoke hello -d world
 */
#include <quark.h>
#include <stdio.h>

int main(void)
{
	struct quark_request request;
	char text[1024];

	/* Here: everything that is the same for all requests. Paid once, before the snapshot. */
	while (quark_next(&request) == 0) {
		int n = snprintf(text, sizeof(text), "hello, %.*s\n",
				 request.bytes < 900 ? (int)request.bytes : 900,
				 (const char *)request.data);

		quark_respond(text, (size_t)n);
	}
	return 1;
}
