/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function that a base is calibrated with: it does what every function does, and as little of
 * its own as it can. Which pages its start touches tells a shell what to prepare for any function
 * on that base.
 */
#include <quark.h>
#include <stddef.h>
#include <stdint.h>

int main(void)
{
	struct quark_request request;
	uint8_t answer[1024];

	while (quark_next(&request) == 0) {
		const uint8_t *in = request.data;
		size_t bytes = request.bytes < sizeof(answer) ? request.bytes : sizeof(answer);

		for (size_t i = 0; i < bytes; i++)
			answer[i] = in[i];
		if (quark_respond(answer, bytes) < 0)
			return 1;
	}
	return 1;
}
