/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unique LUMPER TEMPLATE N: N clones of one template, one after another, each restored from a shell and
 * asked once. Each answers with one JSON object; every member of it, a string or a number, must differ
 * from the same member of every other clone, but `realtime_ns`, which must be the host's time.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "clock.h"
#include "kvm_test.h"

enum { MEMBERS_MAX = 16 };

static const double clock_tolerance_ns = 10e6;

struct answers {
	unsigned int n;
	unsigned int members;
	char *names[MEMBERS_MAX];
	char **values[MEMBERS_MAX]; /* one for each clone */
	double clock_worst_ns, window_worst_ns;
};

static unsigned int member_index(struct answers *answers, const char *name, bool first)
{
	for (unsigned int i = 0; i < answers->members; i++)
		if (strcmp(answers->names[i], name) == 0)
			return i;
	REQUIRE(first && answers->members < MEMBERS_MAX, "a clone has another member '%s'", name);
	answers->names[answers->members] = strdup(name);
	answers->values[answers->members] = calloc(answers->n, sizeof(char *));
	REQUIRE(answers->names[answers->members] && answers->values[answers->members],
		"out of memory");
	return answers->members++;
}

static double distance(double value, double least, double most)
{
	return value < least ? least - value : value > most ? value - most : 0;
}

/* How far the clone's clock is outside of the time in which it was asked and answered. */
static void check_clock(struct answers *answers, const cJSON *object, double after, double took)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "realtime_ns");
	double off;

	REQUIRE(cJSON_IsNumber(item), "no number 'realtime_ns'");
	off = distance(item->valuedouble, after - took, after);
	if (off > answers->clock_worst_ns)
		answers->clock_worst_ns = off;
	if (took > answers->window_worst_ns)
		answers->window_worst_ns = took;
	REQUIRE(off <= clock_tolerance_ns, "the clone's clock is %.3f ms off", off / 1e6);
}

static void ask(struct answers *answers, unsigned int clone, const struct shell_config *config,
		const struct template *template)
{
	struct start_times times = {};
	struct response response;
	struct shell *shell = NULL;
	unsigned int members = 0;
	struct err err = {};
	double answered;
	cJSON *object;

	REQUIRE(start_function(&shell, config, template, LEVEL_SHELL, "{}", 2, &response, &times,
			       &err) == 0,
		"clone %u: %s", clone, err.message);
	answered = (double)clock_ns(CLOCK_REALTIME);
	REQUIRE(!response.failed, "clone %u failed: %.*s", clone, (int)response.bytes,
		(const char *)response.data);
	object = cJSON_ParseWithLength((const char *)response.data, response.bytes);
	REQUIRE(cJSON_IsObject(object), "clone %u: no JSON object", clone);
	check_clock(answers, object, answered, (double)times.total_ns);
	for (const cJSON *item = object->child; item; item = item->next) {
		unsigned int i;

		if (strcmp(item->string, "realtime_ns") == 0)
			continue;
		REQUIRE(cJSON_IsString(item) || cJSON_IsNumber(item),
			"clone %u: '%s' is neither a string nor a number", clone, item->string);
		i = member_index(answers, item->string, clone == 0);
		REQUIRE(!answers->values[i][clone], "'%s' is there twice", item->string);
		answers->values[i][clone] = cJSON_PrintUnformatted(item);
		REQUIRE(answers->values[i][clone], "out of memory");
		members++;
	}
	REQUIRE(members > 0 && members == answers->members, "clone %u: %u members instead of %u",
		clone, members, answers->members);
	cJSON_Delete(object);
	(void)shell_free(shell);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many clones share their value with another one. */
static unsigned int count_shared(char **values, unsigned int n)
{
	unsigned int shared = 0;

	qsort(values, n, sizeof(values[0]), by_text);
	for (unsigned int i = 1; i < n; i++)
		shared += strcmp(values[i], values[i - 1]) == 0;
	return shared;
}

int main(int argc, char **argv)
{
	struct answers answers = {.n = argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0};
	struct shell_config config;
	struct template *template;
	unsigned int bad = 0;

	REQUIRE(answers.n > 1, "usage: unique LUMPER TEMPLATE N");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	for (unsigned int i = 0; i < answers.n; i++)
		ask(&answers, i, &config, template);
	for (unsigned int i = 0; i < answers.members; i++) {
		unsigned int shared = count_shared(answers.values[i], answers.n);

		printf("%-15s %u of %u clones have a value of another\n", answers.names[i], shared,
		       answers.n);
		bad += shared > 0;
	}
	printf("clocks: at most %.3f ms outside of the time of a request, which was at most %.3f ms\n",
	       answers.clock_worst_ns / 1e6, answers.window_worst_ns / 1e6);
	REQUIRE(bad == 0, "%u of %u members are not unique", bad, answers.members);
	(void)template_free(template);
	return 0;
}
