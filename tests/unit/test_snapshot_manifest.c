/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: round trips, the golden file of version 2, and everything that must be refused.
 */
#include "snapshot_sample.h"

#include <errno.h>

static int decode(const uint8_t *data, size_t bytes, struct err *err)
{
	struct manifest manifest;

	return manifest_decode(&manifest, (const char *)data, bytes, err);
}

static char *encode(const struct manifest *manifest, size_t *ret_bytes)
{
	struct err err = {};
	char *text = NULL;

	if (manifest_encode(manifest, &text, ret_bytes, &err) < 0)
		fail_msg("%s", err.message);
	return text;
}

static void test_round_trip(void **unused)
{
	struct manifest sample = sample_manifest(), back;
	cleanup_free char *text = NULL, *again = NULL;
	size_t bytes, again_bytes;

	(void)unused;
	text = encode(&sample, &bytes);
	assert_int_equal(strlen(text), bytes);
	assert_int_equal(manifest_decode(&back, text, bytes, NULL), 0);
	again = encode(&back, &again_bytes);
	assert_string_equal(text, again);

	assert_string_equal(back.cmdline, sample.cmdline);
	assert_int_equal(back.realtime_ns, sample.realtime_ns);
	assert_int_equal(back.memory_bytes, sample.memory_bytes);
	assert_int_equal(back.cpu_template, sample.cpu_template);
	assert_memory_equal(back.memory.digest, sample.memory.digest, 16);
	assert_string_equal(back.working_set.name, sample.working_set.name);
	assert_string_equal(back.base.name, sample.base.name);
	assert_string_equal(back.image.name, sample.image.name);
	assert_int_equal(back.image.bytes, SAMPLE_IMAGE_BYTES);
	assert_int_equal(back.extent_count, 3);
	assert_memory_equal(back.extents, sample.extents, sizeof(sample.extents));
}

static void test_golden(void **unused)
{
	struct manifest sample = sample_manifest();
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	text = encode(&sample, &bytes);
	assert_equals_golden("manifest-v2.json", text, bytes);
}

static void test_no_working_set(void **unused)
{
	struct manifest sample = sample_manifest(), back;
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	sample.working_set = (struct snapshot_file){};
	text = encode(&sample, &bytes);
	assert_null(strstr(text, "working_set"));
	assert_int_equal(manifest_decode(&back, text, bytes, NULL), 0);
	assert_int_equal(back.working_set.name[0], 0);
}

/* What a base is: whole, without a function. */
static void test_no_base(void **unused)
{
	struct manifest sample = sample_manifest(), back;
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	sample.base = sample.image = (struct snapshot_file){};
	sample.extent_count = 0;
	sample.wake[0] = '\0';
	text = encode(&sample, &bytes);
	assert_null(strstr(text, "\"base\""));
	assert_null(strstr(text, "extents"));
	assert_null(strstr(text, "image"));
	assert_int_equal(manifest_decode(&back, text, bytes, NULL), 0);
	assert_int_equal(back.base.name[0], 0);
	assert_int_equal(back.extent_count, 0);
}

/* A template that equals its base has no extent; no template has more than fit. */
static void test_extent_counts(void **unused)
{
	struct manifest sample = sample_manifest(), back;
	cleanup_free char *none = NULL, *all = NULL;
	size_t bytes;

	(void)unused;
	sample.extent_count = 0;
	none = encode(&sample, &bytes);
	assert_non_null(strstr(none, "\"extents\":\t[]"));
	assert_int_equal(manifest_decode(&back, none, bytes, NULL), 0);
	assert_int_equal(back.extent_count, 0);
	sample.extent_count = SNAPSHOT_EXTENTS_MAX;
	for (uint32_t i = 0; i < SNAPSHOT_EXTENTS_MAX; i++)
		sample.extents[i] = (struct snapshot_extent){i * 8192ull, 4096};
	all = encode(&sample, &bytes);
	assert_int_equal(manifest_decode(&back, all, bytes, NULL), 0);
	assert_memory_equal(back.extents, sample.extents, sizeof(sample.extents));
}

static void test_large_numbers(void **unused)
{
	struct manifest sample = sample_manifest(), back;
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	sample.memory_bytes = sample.memory.bytes = sample.base.bytes = GUEST_MEMORY_MAX_BYTES;
	sample.image.bytes = GUEST_IMAGE_MAX_BYTES;
	sample.extents[2].offset = 1ull << 32;
	sample.extents[2].bytes = GUEST_MEMORY_MAX_BYTES - sample.extents[2].offset;
	sample.mailbox_gpa = 0x100000000ull;
	sample.realtime_ns = UINT64_MAX;
	sample.nonzero_pages = GUEST_MEMORY_MAX_BYTES / 4096;
	text = encode(&sample, &bytes);
	assert_int_equal(manifest_decode(&back, text, bytes, NULL), 0);
	assert_int_equal(back.realtime_ns, UINT64_MAX);
	assert_int_equal(back.mailbox_gpa, 0x100000000ull);
	assert_int_equal(back.nonzero_pages, sample.nonzero_pages);
	assert_int_equal(back.image.bytes, GUEST_IMAGE_MAX_BYTES);
	assert_int_equal(back.extents[2].bytes, sample.extents[2].bytes);
}

static void test_truncated(void **unused)
{
	struct manifest sample = sample_manifest();
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	text = encode(&sample, &bytes);
	assert_truncations_refused(decode, (uint8_t *)text, bytes);
	assert_refused(decode, (uint8_t *)text, bytes + 1);
}

static void test_flipped(void **unused)
{
	struct manifest sample = sample_manifest();
	cleanup_free char *text = NULL;
	size_t bytes;

	(void)unused;
	text = encode(&sample, &bytes);
	assert_flips_refused(decode, (uint8_t *)text, bytes);
}

/* Replaces `from` by `to` in the sample's text and seals it again. */
static void assert_edit_refused(const char *from, const char *to, int code, const char *message)
{
	struct manifest sample = sample_manifest();
	cleanup_free char *text = NULL;
	struct err err = {};
	char edited[4096];
	size_t bytes, sealed;
	char *at;
	int n;

	text = encode(&sample, &bytes);
	sealed = (size_t)(strstr(text, "\"checksum\"") - text);
	at = strstr(text, from);
	assert_non_null(at);
	n = snprintf(edited, sizeof(edited), "%.*s%s%.*s", (int)(at - text), text, to,
		     (int)(text + sealed - at - (ptrdiff_t)strlen(from)), at + strlen(from));
	(void)snprintf(edited + n, sizeof(edited) - (size_t)n,
		       "\"checksum\":\t\"xxh3-64:%016llx\"\n}\n",
		       (unsigned long long)checksum64(edited, (size_t)n));
	if (manifest_decode(&sample, edited, strlen(edited), &err) != code)
		fail_msg("'%s' for '%s' is not refused with %d: %s", to, from, code, err.message);
	if (code == 0)
		return;
	assert_one_line(&err);
	if (!strstr(err.message, message))
		fail_msg("'%s' does not say '%s'", err.message, message);
}

static void test_malformed(void **unused)
{
	static const struct {
		const char *from, *to, *message;
	} cases[] = {
		{"\"vcpus\":\t2", "\"vcpus\":\t0", "vCPUs 0"},
		{"\"vcpus\":\t2", "\"vcpus\":\t1.5", "'vcpus'"},
		{"\"vcpus\":\t2", "\"vcpus\":\t-1", "'vcpus'"},
		{"\"vcpus\":\t2", "\"vcpus\":\t1e99", "'vcpus'"},
		{"\"vcpus\":\t2", "\"vcpus\":\t\"2\"", "'vcpus'"},
		{"\"vcpus\":\t2", "\"vcpus\":\tnull", "'vcpus'"},
		{"\"vcpus\":\t2", "\"vcpus\":\t2, \"vcpus\":\t2", "repeated"},
		{"\"vcpus\":\t2", "\"vcpus\":\t2, \"more\":\t2", "unknown"},
		{"\"vcpus\":\t2", "\"VCPUS\":\t2", "'vcpus'"},
		{"\"host\"", "\"huge\"", "'cpu_template'"},
		{"33554432", "33554433", "memory size"},
		{"33554432", "9007199254740994", "'memory_bytes'"},
		{"\"mailbox_gpa\":\t6291456", "\"mailbox_gpa\":\t6291457", "mailbox"},
		{"\"1700000000123456789\"", "1700000000123456789", "'realtime_ns'"},
		{"\"1700000000123456789\"", "\"18446744073709551616\"", "'realtime_ns'"},
		{"\"1700000000123456789\"", "\"\"", "'realtime_ns'"},
		{"\"1700000000123456789\"", "\"01\"", "'realtime_ns'"},
		{"\"1700000000123456789\"", "\" 1\"", "'realtime_ns'"},
		{"4242", "9000", "non-zero pages"},
		{"\"bytes\":\t12345", "\"bytes\":\t0", "'state'"},
		{"\"bytes\":\t12345", "\"bytes\":\t1048577", "'state'"},
		{"\"state-0000000000000001\"", "\"../state\"", "plain"},
		{"\"state-0000000000000001\"", "\"/etc/passwd\"", "plain"},
		{"\"state-0000000000000001\"", "\".hidden\"", "plain"},
		{"\"state-0000000000000001\"", "\"\"", "'state'"},
		{"\"state-0000000000000001\"", "\"a b\"", "plain"},
		{"\"state-0000000000000001\"", "7", "'state'"},
		{"xxh3-128:2222", "xxh3-128:222", "'state'"},
		{"xxh3-128:2222", "xxh3-128:222G", "'state'"},
		{"xxh3-128:2222", "crc-32:2222", "'state'"},
		{"\"upper\"", "\"up\\nper\"", "'function'"},
		{"\"upper\"", "[]", "'function'"},
		{"\"upper\"",
		 "\"0123456789012345678901234567890123456789012345678901234567890123\"",
		 "'function'"},
		{"{", "[", "JSON"},
		{"{", "{} {", "JSON"},
		{"\"format_version\":\t2", "\"format_version\":\t\"2\"", "'format_version'"},
		{"\"run0\"", "\"root\"", "'wake'"},
		{"[0, 4096]", "[0, 4097]", "extent 0 is"},
		{"[0, 4096]", "[1, 4096]", "extent 0 is"},
		{"[0, 4096]", "[0, 0]", "extent 0 is"},
		{"[0, 4096]", "[0, 65536]", "extent 1 is"}, /* touches the next */
		{"[0, 4096]", "[0, 131072]", "extent 1 is"},
		{"[0, 4096]", "[65536, 131072]", "extent 1 is"},
		{"[0, 4096]", "[131072000, 4096]", "extent 0 is"},
		{"[0, 4096]", "[4096, 9007199254740992]", "extent 0 is"},
		{"[0, 4096]", "[9007199254740992, 4096]", "extent 0 is"},
		{"[0, 4096]", "[0, 4096, 1]", "'extents'"},
		{"[0, 4096]", "[0]", "'extents'"},
		{"[0, 4096]", "[0, -4096]", "'extents'"},
		{"[0, 4096]", "{\"a\": 0, \"b\": 4096}", "'extents'"},
		{"[0, 4096]", "[[0], 4096]", "'extents'"},
		{"[0, 4096]", "0", "'extents'"},
		{"\"extents\":\t[[", "\"extents\":\t{}, \"more\": [[", "'extents'"},
		{"\"extents\"", "\"extends\"", "'extents'"},
		{"\"base\"", "\"case\"", "'extents'"}, /* extents, but no base */
		{"\"base-0000000000000001\"", "\"../base\"", "plain"},
		{"\"base-0000000000000001\"", "\"memory-0000000000000001\"", "one name"},
		{"\"image-0000000000000001\"", "\"state-0000000000000001\"", "one name"},
		{"\"image-0000000000000001\"", "\"a/b\"", "plain"},
		{"2097152", "0", "'image'"},
		{"2097152", "4096", "'image'"},
		{"2097152", "3145728", "'image'"},
		{"2097152", "8592031744", "'image'"}, /* 8 GiB and 2 MiB */
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_edit_refused(cases[i].from, cases[i].to, -EBADMSG, cases[i].message);
	assert_edit_refused("upper", "lower", 0, NULL); /* the edit itself is none of the faults */
}

static void test_version(void **unused)
{
	(void)unused;
	assert_edit_refused("\"format_version\":\t2", "\"format_version\":\t3", -EPROTONOSUPPORT,
			    "format version 3, this program reads version 2");
}

/* One clear line, which says what to do. */
static void test_version_1(void **unused)
{
	size_t bytes;
	cleanup_free uint8_t *old = read_golden("manifest-v1.json", &bytes);
	struct err err = {};

	(void)unused;
	assert_int_equal(decode(old, bytes, &err), -EPROTONOSUPPORT);
	assert_string_equal(err.message, MANIFEST_NAME ": format version 1, this program reads "
						       "version 2: build the template again");
}

/* The checksum has to be a member, not the end of another member's name. */
static void test_checksum_is_a_member(void **unused)
{
	(void)unused;
	assert_edit_refused("07\"\n\t},\n\t", "07\"\n\t},\n\t\"x\\", -EBADMSG,
			    "'checksum' is missing");
}

static void test_encode_refuses(void **unused)
{
	struct err err = {};
	char *text = NULL;
	size_t bytes;

	(void)unused;
	for (int i = 0; i < 10; i++) {
		struct manifest m = sample_manifest();

		if (i == 0)
			m.format_version = 0;
		if (i == 1)
			memset(m.function, 'x', sizeof(m.function));
		if (i == 2)
			m.memory.bytes -= 4096;
		if (i == 3)
			m.state.name[0] = '/';
		if (i == 4)
			m.cpu_template = 2;
		if (i == 5)
			m.base = (struct snapshot_file){}; /* its extents stay */
		if (i == 6)
			m.extent_count = SNAPSHOT_EXTENTS_MAX + 1;
		if (i == 7)
			m.image.bytes += 4096;
		if (i == 8)
			m.base.bytes += 4096;
		if (i == 9)
			(void)snprintf(m.wake, sizeof(m.wake), "run1");
		assert_int_equal(manifest_encode(&m, &text, &bytes, &err), -EINVAL);
		assert_one_line(&err);
		assert_null(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_no_working_set),
		cmocka_unit_test(test_no_base),
		cmocka_unit_test(test_extent_counts),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_checksum_is_a_member),
		cmocka_unit_test(test_encode_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
