/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levels LUMPER COUNTER-TEMPLATE: at every level of start a clone is fresh, a second request to it
 * is its second, the stages add up to the total, and those that were paid before the request are
 * zero.
 */
#include "counter.h"

enum { STARTS = 3 };

/* The first stage that a request pays at each level; all before are free. */
static const enum stage first_stage[LEVELS] = {
	[LEVEL_COLD] = STAGE_PROCESS,
	[LEVEL_SHELL] = STAGE_MEMORY,
	[LEVEL_TEMPLATE] = STAGE_RUN,
	[LEVEL_PARKED] = STAGE_RUN,
};

static void check_times(enum start_level level, const struct start_times *times)
{
	uint64_t sum = 0;

	for (int i = 0; i < STAGES; i++) {
		bool paid = i >= (int)first_stage[level];

		REQUIRE((times->stage_ns[i] > 0) == paid, "level %s: stage %s takes %llu ns",
			level_names[level], stage_names[i], (unsigned long long)times->stage_ns[i]);
		sum += times->stage_ns[i];
	}
	REQUIRE(sum <= times->total_ns + STAGES && times->total_ns <= sum + STAGES,
		"level %s: stages sum up to %llu ns of %llu", level_names[level],
		(unsigned long long)sum, (unsigned long long)times->total_ns);
}

static void start_at(const struct shell_config *config, const struct template *template,
		     enum start_level level)
{
	struct start_times times = {};
	struct shell *shell = NULL;
	struct response response;
	struct count first, second;
	struct err err = {};

	REQUIRE(start_function(&shell, config, template, level, "", 0, &response, &times,
			       &err) == 0,
		"level %s: %s", level_names[level], err.message);
	first = count_parse(&response);
	second = count_ask(shell, template);
	REQUIRE(first.count == 1 && second.count == 2, "level %s: counts %u, then %u",
		level_names[level], first.count, second.count);
	REQUIRE(first.generation == second.generation, "level %s: a clone changed its generation",
		level_names[level]);
	check_times(level, &times);
	(void)shell_free(shell);
}

int main(int argc, char **argv)
{
	struct shell_config config;
	struct template *template;

	REQUIRE(argc == 3, "usage: levels LUMPER TEMPLATE");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	for (int level = 0; level < LEVELS; level++)
		for (int i = 0; i < STARTS; i++)
			start_at(&config, template, (enum start_level)level);
	(void)template_free(template);
	printf("%d levels, %d starts each\n", LEVELS, STARTS);
	return 0;
}
