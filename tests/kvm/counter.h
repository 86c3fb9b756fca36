/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the answers of the sample function `counter`.
 */
#pragma once

#include <inttypes.h>
#include <string.h>

#include "kvm_test.h"

struct count {
	unsigned int count;
	uint64_t generation;
};

static inline struct count count_parse(const struct response *response)
{
	struct count count = {};
	char text[128];

	REQUIRE(!response->failed, "the function failed");
	REQUIRE(response->bytes < sizeof(text), "a response of %zu bytes", response->bytes);
	memcpy(text, response->data, response->bytes);
	text[response->bytes] = '\0';
	REQUIRE(sscanf(text, "{\"count\":%u,\"generation\":%" SCNu64 "}", &count.count,
		       &count.generation) == 2,
		"'%s' is no answer of counter", text);
	return count;
}

/* Asks a clone that has its template. */
static inline struct count count_ask(struct shell *shell, const struct template *template)
{
	struct start_times times = {};
	struct response response;
	struct err err = {};

	REQUIRE(shell_invoke(shell, template, "", 0, &response, &times, &err) == 0, "%s",
		err.message);
	return count_parse(&response);
}
