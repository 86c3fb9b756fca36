/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working-set record: round trips, the golden file of version 2, and what must be refused.
 */
#include "snapshot_sample.h"

#include <errno.h>

static int decode_into(struct working_set *set, const uint8_t *data, size_t bytes, struct err *err)
{
	return working_set_decode(set, SAMPLE_MEMORY_BYTES, SAMPLE_IMAGE_BYTES, data, bytes, err);
}

static int decode(const uint8_t *data, size_t bytes, struct err *err)
{
	static struct working_set set;

	return decode_into(&set, data, bytes, err);
}

static size_t encode(uint8_t buf[WORKING_SET_FILE_MAX_BYTES])
{
	cleanup_free struct working_set *set = sample_working_set();
	size_t bytes;

	assert_int_equal(working_set_encode(set, buf, WORKING_SET_FILE_MAX_BYTES, &bytes), 0);
	return bytes;
}

static void test_round_trip(void **unused)
{
	cleanup_free struct working_set *set = sample_working_set();
	cleanup_free struct working_set *back = malloc(sizeof(*back));
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
	size_t bytes = encode(buf);

	(void)unused;
	assert_int_equal(decode_into(back, buf, bytes, NULL), 0);
	assert_int_equal(back->count, set->count);
	for (uint32_t i = 0; i < set->count; i++) {
		assert_int_equal(back->entries[i].offset, set->entries[i].offset);
		assert_int_equal(back->entries[i].gva, set->entries[i].gva);
		assert_int_equal(back->entries[i].flags, set->entries[i].flags);
	}
	assert_memory_equal(buf, "QSNPWSET", 8);
	assert_equals_golden("working_set-v2", buf, bytes);
}

static void test_empty_and_full(void **unused)
{
	cleanup_free struct working_set *set = calloc(1, sizeof(*set));
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
	size_t bytes;

	(void)unused;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), 0);
	assert_int_equal(decode(buf, bytes, NULL), 0);
	set->count = WORKING_SET_MAX;
	for (uint32_t i = 0; i < set->count; i++)
		set->entries[i].offset = i * 4096ull;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), 0);
	assert_int_equal(bytes, sizeof(buf));
	assert_int_equal(decode(buf, bytes, NULL), 0);
	assert_int_equal(working_set_encode(set, buf, sizeof(buf) - 1, &bytes), -ENOBUFS);
	set->count++;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), -EINVAL);
}

static void test_truncated(void **unused)
{
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES] = {};
	size_t bytes = encode(buf);

	(void)unused;
	assert_truncations_refused(decode, buf, bytes);
	assert_refused(decode, buf, bytes + 1);
}

static void test_flipped(void **unused)
{
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
	size_t bytes = encode(buf);

	(void)unused;
	assert_flips_refused(decode, buf, bytes);
}

/* Whole records that say something wrong: one 32-bit word changed, sealed again. */
static void test_malformed(void **unused)
{
	static const struct {
		size_t at;
		uint32_t value;
		int code;
	} cases[] = {
		{0, 0, -EBADMSG},	    /* magic */
		{8, 1, -EPROTONOSUPPORT},   /* version */
		{8, 3, -EPROTONOSUPPORT},
		{12, 1, -EPROTONOSUPPORT},  /* features */
		{16, 3, -EBADMSG},	    /* count: fewer, more, too many */
		{16, 5, -EBADMSG},
		{16, WORKING_SET_MAX + 1, -EBADMSG},
		{20, 1, -EBADMSG},	    /* reserved */
		{24, 0x1001, -EBADMSG},	    /* offset: not a page, not ascending, beyond memory */
		{24, 0x3000, -EBADMSG},
		{24 + 48, SAMPLE_MEMORY_BYTES, -EBADMSG},
		{28 + 48, 1, -EBADMSG},
		{32, 1, -EBADMSG},	    /* gva: not a page, kernel half */
		{36, 0xffff8000, -EBADMSG},
		{40, 4, -EBADMSG},	    /* flags: unknown, of the image before memory */
		{40, WORKING_SET_IMAGE, -EBADMSG},
		{40 + 72, WORKING_SET_IMAGE | WORKING_SET_WRITTEN, -EBADMSG},
		{40 + 72, 0, -EBADMSG},	    /* the image's page as memory: out of order */
		{24 + 72, SAMPLE_IMAGE_BYTES, -EBADMSG}, /* beyond the image */
		{44, 1, -EBADMSG},	    /* reserved */
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
		size_t bytes = encode(buf);
		struct err err = {};
		uint64_t checksum;

		memcpy(buf + cases[i].at, &cases[i].value, 4);
		checksum = checksum64(buf, bytes - 8);
		memcpy(buf + bytes - 8, &checksum, 8);
		if (decode(buf, bytes, &err) != cases[i].code)
			fail_msg("%u at %zu: %s", cases[i].value, cases[i].at, err.message);
		assert_one_line(&err);
	}
}

/* A template without an image has no page of one, and either bound is exact. */
static void test_bounds(void **unused)
{
	cleanup_free struct working_set *set = sample_working_set();
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
	size_t bytes = encode(buf);
	struct err err = {};

	(void)unused;
	assert_int_equal(working_set_decode(set, SAMPLE_MEMORY_BYTES, 0, buf, bytes, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.message, "entry 3"));
	assert_int_equal(working_set_decode(set, SAMPLE_MEMORY_BYTES, 0x3000, buf, bytes, NULL), 0);
	assert_int_equal(working_set_decode(set, SAMPLE_MEMORY_BYTES, 0x2000, buf, bytes, NULL),
			 -EBADMSG);
	assert_int_equal(working_set_decode(set, SAMPLE_MEMORY_BYTES - 4096, 0x3000, buf, bytes,
					    &err),
			 -EBADMSG);
	assert_non_null(strstr(err.message, "entry 2"));
}

/* Order: memory before image, and equal offsets only in different ones. */
static void test_order(void **unused)
{
	cleanup_free struct working_set *set = calloc(1, sizeof(*set));
	uint8_t buf[WORKING_SET_FILE_MAX_BYTES];
	size_t bytes;

	(void)unused;
	set->count = 2;
	set->entries[1].flags = WORKING_SET_IMAGE;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), 0);
	assert_int_equal(decode(buf, bytes, NULL), 0);
	set->entries[1].flags = 0;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), -EINVAL);
	set->entries[0].flags = WORKING_SET_IMAGE;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), -EINVAL);
	set->entries[1].flags = WORKING_SET_IMAGE;
	assert_int_equal(working_set_encode(set, buf, sizeof(buf), &bytes), -EINVAL);
}

static void test_version_1(void **unused)
{
	size_t bytes;
	cleanup_free uint8_t *old = read_golden("working_set-v1", &bytes);
	struct err err = {};

	(void)unused;
	assert_int_equal(decode(old, bytes, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.message, "version 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	cmocka_unit_test(test_empty_and_full),
		cmocka_unit_test(test_truncated),	cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_malformed),	cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_order),		cmocka_unit_test(test_version_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
