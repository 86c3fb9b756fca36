/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of extents, against all choices there are, and the bounds of a list of them.
 */
#include "snapshot_sample.h"

#include <errno.h>

enum { PAGES_MAX = 14, PAGE = 4096 };

/* How many stored pages that are equal lie in the extents; all that differ have to. */
static uint64_t stored_in(const struct snapshot_extent *extents, uint32_t count,
			  const struct page_facts *pages, uint64_t n)
{
	bool in[1024] = {};
	uint64_t sum = 0;

	assert_true(n <= ARRAY_SIZE(in));
	assert_int_equal(extents_check(extents, count, n * PAGE, NULL), 0);
	for (uint32_t i = 0; i < count; i++)
		for (uint64_t at = 0; at < extents[i].bytes; at += PAGE)
			in[(extents[i].offset + at) / PAGE] = true;
	for (uint64_t i = 0; i < n; i++) {
		assert_true(in[i] || !pages[i].differs);
		sum += in[i] && !pages[i].differs && pages[i].stored;
	}
	return sum;
}

/* Whether the pages `in`, a bit each, are at most `max` runs, with `gap` stored pages between any
 * two at least. */
static bool is_allowed(uint32_t in, uint32_t stored, unsigned int n, struct extent_limits limits)
{
	unsigned int runs = 0, worth = 0;

	for (unsigned int i = 0; i < n; i++) {
		bool begins = in >> i & 1 && (i == 0 || !(in >> (i - 1) & 1));

		if (begins && runs++ && worth < limits.gap_min_pages)
			return false;
		worth = in >> i & 1 ? 0 : worth + (stored >> i & 1);
	}
	return runs <= limits.max;
}

/* The fewest stored pages in any set of pages that is allowed and holds those that differ. */
static uint64_t least_stored(uint32_t differs, uint32_t stored, unsigned int n,
			     struct extent_limits limits)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t in = 0; in < 1u << n; in++) {
		uint64_t cost = (uint64_t)__builtin_popcount(in & ~differs & stored);

		if ((in & differs) == differs && cost < least &&
		    is_allowed(in, stored, n, limits))
			least = cost;
	}
	return least;
}

static void check_choice(uint32_t differs, uint32_t stored, unsigned int n,
			 struct extent_limits limits)
{
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
	struct page_facts pages[PAGES_MAX];
	uint64_t sum, least = least_stored(differs, stored, n, limits);
	uint32_t count;

	for (unsigned int i = 0; i < n; i++)
		pages[i] = (struct page_facts){differs >> i & 1, stored >> i & 1};
	count = extents_choose(pages, n, limits, extents);
	assert_true(count <= limits.max);
	sum = stored_in(extents, count, pages, n);
	if (sum != least)
		fail_msg("%x of %x, %u pages, gap %llu, max %u: %llu stored, not %llu", differs,
			 stored, n, (unsigned long long)limits.gap_min_pages, limits.max,
			 (unsigned long long)sum, (unsigned long long)least);
}

/* Every set of up to 8 pages, and some of 14. */
static void test_against_all_choices(void **unused)
{
	const uint32_t all = (1u << PAGES_MAX) - 1;
	uint64_t seed = 3;

	(void)unused;
	for (uint32_t set = 0; set < 1u << 8; set++)
		for (uint32_t stored = 0; stored < 1u << 8; stored += 5)
			for (unsigned int gap = 1; gap <= 3; gap++)
				for (uint32_t max = 1; max <= 4; max++)
					check_choice(set, stored, 8,
						     (struct extent_limits){max, gap});
	for (int i = 0; i < 300; i++)
		check_choice((uint32_t)(sample_random(&seed) >> 20) & all,
			     (uint32_t)(sample_random(&seed) >> 20) & all, PAGES_MAX,
			     (struct extent_limits){1 + (uint32_t)i % 6, 1 + i % 3});
}

static void set_all(struct page_facts pages[1024], bool differs)
{
	for (size_t i = 0; i < 1024; i++)
		pages[i] = (struct page_facts){differs, true};
}

static void test_none_and_all(void **unused)
{
	const struct extent_limits limits = {SNAPSHOT_EXTENTS_MAX, 1};
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
	struct page_facts pages[1024];

	(void)unused;
	set_all(pages, false);
	assert_int_equal(extents_choose(pages, 1024, limits, extents), 0);
	set_all(pages, true);
	assert_int_equal(extents_choose(pages, 1024, limits, extents), 1);
	assert_int_equal(extents[0].offset, 0);
	assert_int_equal(extents[0].bytes, 1024 * PAGE);
}

/* First and last page alone, and every other page: more runs than extents. */
static void test_ends_and_many(void **unused)
{
	const struct extent_limits many = {SNAPSHOT_EXTENTS_MAX, 1}, one = {1, 1}, wide = {8, 2};
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
	struct page_facts pages[1024];
	uint32_t count;

	(void)unused;
	set_all(pages, false);
	pages[0].differs = pages[1023].differs = true;
	assert_int_equal(extents_choose(pages, 1024, many, extents), 2);
	assert_int_equal(extents[1].offset, 1023 * PAGE);
	assert_int_equal(extents[1].bytes, PAGE);
	assert_int_equal(extents_choose(pages, 1024, one, extents), 1);
	assert_int_equal(extents[0].bytes, 1024 * PAGE);
	for (size_t i = 0; i < 1024; i += 2)
		pages[i].differs = true;
	count = extents_choose(pages, 1024, many, extents);
	assert_int_equal(count, SNAPSHOT_EXTENTS_MAX);
	assert_int_equal(stored_in(extents, count, pages, 1024), 511 - 63);
	assert_int_equal(extents_choose(pages, 1024, wide, extents), 1);
}

/* A gap that the base does not store costs nothing when it is closed. */
static void test_holes_between(void **unused)
{
	const struct extent_limits limits = {2, 1};
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
	struct page_facts pages[1024] = {};

	(void)unused;
	pages[10].differs = pages[900].differs = pages[910].differs = true;
	assert_int_equal(extents_choose(pages, 1024, limits, extents), 1);
	pages[905].stored = true;
	assert_int_equal(extents_choose(pages, 1024, limits, extents), 2);
	assert_int_equal(extents[0].offset, 10 * PAGE);
	assert_int_equal(extents[0].bytes, 891 * PAGE);
	assert_int_equal(extents[1].offset, 910 * PAGE);
}

static void test_check(void **unused)
{
	static const struct {
		uint32_t count;
		struct snapshot_extent extents[2];
		int code;
	} cases[] = {
		{0, {}, 0},
		{1, {{0, 16 * PAGE}}, 0},
		{2, {{0, PAGE}, {2 * PAGE, 14 * PAGE}}, 0},
		{SNAPSHOT_EXTENTS_MAX + 1, {{0, PAGE}, {2 * PAGE, PAGE}}, -EBADMSG},
		{1, {{0, 17 * PAGE}}, -EBADMSG},
		{1, {{16 * PAGE, PAGE}}, -EBADMSG},
		{1, {{15 * PAGE, 2 * PAGE}}, -EBADMSG},
		{1, {{PAGE, UINT64_MAX - PAGE + 1}}, -EBADMSG}, /* wraps to 0 */
		{1, {{UINT64_MAX - PAGE + 1, PAGE}}, -EBADMSG},
		{1, {{0, 0}}, -EBADMSG},
		{1, {{1, PAGE}}, -EBADMSG},
		{1, {{0, PAGE + 1}}, -EBADMSG},
		{2, {{0, PAGE}, {PAGE, PAGE}}, -EBADMSG},
		{2, {{0, 2 * PAGE}, {PAGE, PAGE}}, -EBADMSG},
		{2, {{2 * PAGE, PAGE}, {0, PAGE}}, -EBADMSG},
		{2, {{0, PAGE}, {0, PAGE}}, -EBADMSG},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {};
		int r = extents_check(cases[i].extents, cases[i].count, 16 * PAGE, &err);

		if (r != cases[i].code)
			fail_msg("case %zu: %d: %s", i, r, err.message);
		if (r < 0)
			assert_one_line(&err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_all_choices),
		cmocka_unit_test(test_none_and_all),
		cmocka_unit_test(test_ends_and_many),
		cmocka_unit_test(test_holes_between),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
