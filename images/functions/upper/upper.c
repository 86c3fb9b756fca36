/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upper: answers its request in capital letters (ASCII; other bytes come back as they are).
 */
#include <quark.h>
#include <stddef.h>
#include <stdint.h>

int main(void)
{
	struct quark_request request;
	uint8_t small[1024];

	while (quark_next(&request) == 0) {
		/* A large response is written where it will be read. A small one is cheaper to
		 * copy: this page of the stack is in use anyway. */
		uint8_t *out = request.bytes <= sizeof(small) ? small : quark_response_buffer();
		const uint8_t *in = request.data;

		for (size_t i = 0; i < request.bytes; i++)
			out[i] = in[i] >= 'a' && in[i] <= 'z' ? in[i] - ('a' - 'A') : in[i];
		if (quark_respond(out, request.bytes) < 0)
			return 1;
	}
	return 1;
}
