/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unique LUMPER TEMPLATE N: N clones of one template, one after another, each restored from a shell
 * and asked. Each answers with one JSON object; every member of it, a string or a number, must
 * differ from the same member of every other clone, but `realtime_ns`, which must be the host's
 * time.
 *
 * What a clone reads on its clock, it reads at some moment between the host's readings before the
 * request and after the answer. In an emulated host a first request takes longer than a clock may
 * be off, so a clone is asked again until an answer was fast enough to tell: nothing sets a clone's
 * clock between its requests.
 */
#include <cjson/cJSON.h>
#include <float.h>
#include <string.h>

#include "clock.h"
#include "kvm_test.h"

enum { MEMBERS_MAX = 16, ANSWERS_MAX = 100 };

/* Answered with the time alone, at once. */
static const char clock_request[] = "clock";

static const double clock_tolerance_ns = 10e6;
static const double clock_step_ns = 1e6; /* JavaScript's clock */

struct answers {
	unsigned int n;
	unsigned int members;
	char *names[MEMBERS_MAX];
	char **values[MEMBERS_MAX]; /* one for each clone */
	double clock_worst_ns;
	unsigned int asked_most;
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

/* Between what a clone's clock minus the host's is, as far as its answers tell. */
struct clock_bounds {
	double least_ns, most_ns;
};

static double worst_ns(const struct clock_bounds *bounds)
{
	return bounds->most_ns > -bounds->least_ns ? bounds->most_ns : -bounds->least_ns;
}

/* The caller deletes the object. */
static cJSON *parse_answer(unsigned int clone, const struct response *response)
{
	cJSON *object;

	REQUIRE(!response->failed, "clone %u failed: %.*s", clone, (int)response->bytes,
		(const char *)response->data);
	object = cJSON_ParseWithLength((const char *)response->data, response->bytes);
	REQUIRE(cJSON_IsObject(object), "clone %u: no JSON object", clone);
	return object;
}

/* An answer that is certainly wrong is a failure, however long it took. */
static void narrow_bounds(struct clock_bounds *bounds, unsigned int clone, const cJSON *object,
			  double before, double after)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "realtime_ns");
	double least, most;

	REQUIRE(cJSON_IsNumber(item), "clone %u: no number 'realtime_ns'", clone);
	least = item->valuedouble - after;
	most = item->valuedouble - before;
	REQUIRE(least <= clock_tolerance_ns && most >= -clock_tolerance_ns,
		"clone %u: its clock is %+.3f to %+.3f ms off", clone, least / 1e6, most / 1e6);
	REQUIRE(least <= bounds->most_ns + clock_step_ns &&
			most >= bounds->least_ns - clock_step_ns,
		"clone %u: its clock has jumped between two requests", clone);
	bounds->least_ns = least > bounds->least_ns ? least : bounds->least_ns;
	bounds->most_ns = most < bounds->most_ns ? most : bounds->most_ns;
}

static void ask_again(struct clock_bounds *bounds, unsigned int clone, struct shell *shell)
{
	double before = (double)clock_ns(CLOCK_REALTIME);
	struct start_times times = {};
	struct response response;
	struct err err = {};
	cJSON *object;

	REQUIRE(shell_invoke(shell, NULL, clock_request, strlen(clock_request), &response, &times,
			     &err) == 0,
		"clone %u: %s", clone, err.message);
	object = parse_answer(clone, &response);
	narrow_bounds(bounds, clone, object, before, (double)clock_ns(CLOCK_REALTIME));
	cJSON_Delete(object);
}

static void check_clock(struct answers *answers, unsigned int clone, struct shell *shell,
			struct clock_bounds bounds)
{
	unsigned int asked = 1;

	for (; worst_ns(&bounds) > clock_tolerance_ns && asked < ANSWERS_MAX; asked++)
		ask_again(&bounds, clone, shell);
	REQUIRE(worst_ns(&bounds) <= clock_tolerance_ns,
		"clone %u: after %u answers its clock may still be %+.3f to %+.3f ms off", clone,
		asked, bounds.least_ns / 1e6, bounds.most_ns / 1e6);
	if (worst_ns(&bounds) > answers->clock_worst_ns)
		answers->clock_worst_ns = worst_ns(&bounds);
	if (asked > answers->asked_most)
		answers->asked_most = asked;
}

static void keep_members(struct answers *answers, unsigned int clone, const cJSON *object)
{
	unsigned int members = 0;

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
}

static void ask(struct answers *answers, unsigned int clone, const struct shell_config *config,
		const struct template *template)
{
	struct start_times times = {};
	struct response response;
	struct shell *shell = NULL;
	struct clock_bounds bounds = { .least_ns = -DBL_MAX, .most_ns = DBL_MAX };
	struct err err = {};
	double after;
	cJSON *object;

	REQUIRE(start_function(&shell, config, template, LEVEL_SHELL, "{}", 2, &response, &times,
			       &err) == 0,
		"clone %u: %s", clone, err.message);
	after = (double)clock_ns(CLOCK_REALTIME);
	object = parse_answer(clone, &response);
	keep_members(answers, clone, object);
	narrow_bounds(&bounds, clone, object, after - (double)times.total_ns, after);
	check_clock(answers, clone, shell, bounds);
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
	printf("clocks: within %.3f ms of the host's, known from at most %u answers\n",
	       answers.clock_worst_ns / 1e6, answers.asked_most);
	REQUIRE(bad == 0, "%u of %u members are not unique", bad, answers.members);
	(void)template_free(template);
	return 0;
}
