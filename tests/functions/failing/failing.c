/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing: does not come to its first next(), in the way that HOW names.
 */
#include <quark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20, MIB_MAX = 4096 };

static void take_memory(void)
{
	for (int i = 0; i < MIB_MAX; i++) {
		char *piece = malloc(PIECE_BYTES);

		if (!piece)
			exit(9);
		memset(piece, i + 1, PIECE_BYTES);
		__asm__ volatile("" : : "r"(piece) : "memory");
	}
}

int main(void)
{
	const char *how = getenv("HOW");
	struct quark_request request;

	if (!how)
		how = "";
	fprintf(stderr, "failing: about to %s\n", how);
	if (!strcmp(how, "exit"))
		return 3;
	if (!strcmp(how, "crash"))
		abort();
	if (!strcmp(how, "hang"))
		(void)pause();
	if (!strcmp(how, "take"))
		take_memory();
	while (quark_next(&request) == 0)
		(void)quark_respond("well", 4);
	return 1;
}
