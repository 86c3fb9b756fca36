/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clones LUMPER COUNTER-TEMPLATE N: N clones alive at once, each with its own state. Clone i is
 * asked i % 5 + 1 times, in an order that jumps between them; then each once more, and it knows how
 * often that was.
 */
#include "counter.h"

enum { CLONES_MAX = 256, TURNS = 5 };

static unsigned int turns_of(unsigned int clone)
{
	return clone % TURNS + 1;
}

static void ask_in_turns(struct shell **shells, unsigned int n, const struct template *template)
{
	for (unsigned int turn = 1; turn <= TURNS; turn++) {
		for (unsigned int i = 0; i < n; i++) {
			struct count count;

			if (turn > turns_of(i))
				continue;
			count = count_ask(shells[i], template);
			REQUIRE(count.count == turn, "clone %u counts %u in turn %u", i,
				count.count, turn);
		}
	}
}

static void ask_once_more(struct shell **shells, unsigned int n, const struct template *template)
{
	uint64_t generations[CLONES_MAX];

	for (unsigned int i = 0; i < n; i++) {
		struct count count = count_ask(shells[i], template);

		REQUIRE(count.count == turns_of(i) + 1, "clone %u counts %u, not %u", i,
			count.count, turns_of(i) + 1);
		for (unsigned int j = 0; j < i; j++)
			REQUIRE(generations[j] != count.generation,
				"clones %u and %u have one generation", i, j);
		generations[i] = count.generation;
	}
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0;
	struct shell *shells[CLONES_MAX] = {};
	struct shell_config config;
	struct template *template;
	struct err err = {};

	REQUIRE(n > 0 && n <= CLONES_MAX, "usage: clones LUMPER TEMPLATE N");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	for (unsigned int i = 0; i < n; i++)
		REQUIRE(shell_new(&shells[i], &config, &err) == 0, "clone %u: %s", i, err.message);
	ask_in_turns(shells, n, template);
	ask_once_more(shells, n, template);
	for (unsigned int i = 0; i < n; i++)
		(void)shell_free(shells[i]);
	(void)template_free(template);
	printf("%u clones, each with its own count\n", n);
	return 0;
}
