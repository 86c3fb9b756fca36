/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file: round trips, the golden file of version 1, and everything that must be refused.
 */
#include "snapshot_sample.h"

#include <errno.h>

/* In the file: where the header keeps what, and the first section begins. */
enum {
	AT_VERSION = 8,
	AT_FEATURES = 12,
	AT_SECTIONS = 16,
	AT_RESERVED = 20,
	AT_TOTAL = 24,
	AT_CHECKSUM = 32,
	AT_VM = 40,
	SECTION_AT_TYPE = 8,
	SECTION_AT_VERSION = 12,
	SECTION_AT_LENGTH = 16,
	SECTION_AT_RESERVED = 20,
	SECTION_AT_PAYLOAD = 24,
};

struct encoded {
	uint8_t *data;
	size_t bytes;
};

static struct encoded encode(const struct vm_state *state)
{
	struct encoded e = {.data = malloc(SNAPSHOT_STATE_MAX_BYTES)};
	struct err err = {};

	assert_non_null(e.data);
	if (state_encode(state, e.data, SNAPSHOT_STATE_MAX_BYTES, &e.bytes, &err) < 0)
		fail_msg("%s", err.message);
	return e;
}

static int decode(const uint8_t *data, size_t bytes, struct err *err)
{
	static struct vm_state state;

	return state_decode(&state, data, bytes, err);
}

static struct vm_state *decoded(const struct encoded *e, int poison)
{
	struct vm_state *state = malloc(sizeof(*state));
	struct err err = {};

	assert_non_null(state);
	memset(state, poison, sizeof(*state));
	if (state_decode(state, e->data, e->bytes, &err) < 0)
		fail_msg("%s", err.message);
	return state;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static void seal_header(uint8_t *file)
{
	uint64_t checksum = checksum64(file, AT_CHECKSUM);

	memcpy(file + AT_CHECKSUM, &checksum, sizeof(checksum));
}

static size_t section_bytes(const uint8_t *section)
{
	return SECTION_AT_PAYLOAD + ((size_t)get32(section + SECTION_AT_LENGTH) + 7) / 8 * 8;
}

static void seal_section(uint8_t *section)
{
	uint64_t checksum = checksum64(section + 8, section_bytes(section) - 8);

	memcpy(section, &checksum, sizeof(checksum));
}

/* The n-th section of a file. */
static uint8_t *section_at(uint8_t *file, int n)
{
	uint8_t *at = file + AT_VM;

	while (n-- > 0)
		at += section_bytes(at);
	return at;
}

static void assert_refused_saying(const uint8_t *data, size_t bytes, int code, const char *text)
{
	struct err err = {};

	assert_int_equal(decode(data, bytes, &err), code);
	assert_one_line(&err);
	if (!strstr(err.message, text))
		fail_msg("'%s' does not say '%s'", err.message, text);
}

/* --- what is stored --------------------------------------------------------------------------- */

static void test_round_trip(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded first = encode(sample);
	cleanup_free struct vm_state *back = decoded(&first, 0);
	struct encoded second = encode(back);

	(void)unused;
	assert_int_equal(first.bytes, second.bytes);
	assert_memory_equal(first.data, second.data, first.bytes);
	assert_int_equal(back->vcpu_count, 2);
	assert_int_equal(back->cpuid_count, sample->cpuid_count);
	assert_int_equal(back->cpuid[29].edx, sample->cpuid[29].edx);
	assert_int_equal(back->vcpus[0].regs.rip, sample->vcpus[0].regs.rip);
	assert_int_equal(back->vcpus[1].sregs.tr.base, sample->vcpus[1].sregs.tr.base);
	assert_false(back->vcpus[0].has_xsave);
	assert_true(back->vcpus[1].has_xsave);
	assert_memory_equal(&back->vcpus[1].xsave, &sample->vcpus[1].xsave, 4096);
	assert_string_equal(back->devices[1].name, "doorbell");
	free(first.data);
	free(second.data);
}

static void test_golden(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);
	cleanup_free struct vm_state *back = decoded(&e, 0);
	struct encoded again = encode(back);

	(void)unused;
	assert_memory_equal(e.data, "QSNPSTAT", 8);
	assert_equals_golden("state-v1", e.data, e.bytes);
	assert_equals_golden("state-v1", again.data, again.bytes);
	free(e.data);
	free(again.data);
}

/* Parts of struct vm_state, and how many bytes of each are padding that is not stored. */
#define PART(member, padding) {#member, offsetof(struct vm_state, member), \
			       sizeof(((struct vm_state *)0)->member), (padding)}

static const struct part {
	const char *name;
	size_t offset, bytes, padding;
} parts[] = {
	PART(realtime_ns, 0),
	PART(tsc_khz, 0),
	PART(cpuid[0], 12),
	PART(cpuid[29], 12),
	PART(irqchip[0].chip.pic, 0),
	PART(irqchip[1].chip.pic, 0),
	PART(irqchip[2].chip.ioapic, 4),
	PART(pit, 36),
	PART(clock, 20),
	PART(devices[0].version, 0),
	PART(vcpus[0].regs, 0),
	PART(vcpus[1].sregs, 8 + 2 * 6),
	PART(vcpus[0].fpu, 1 + 4),
	PART(vcpus[1].xsave, 0),
	PART(vcpus[1].xcrs.xcrs[1], 4),
	PART(vcpus[1].lapic, 0),
	PART(vcpus[1].mp_state, 0),
	PART(vcpus[1].events, 1 + 26),
	PART(vcpus[0].debugregs, 72),
	PART(vcpus[0].msrs[0], 4),
	PART(vcpus[1].msrs[23], 4),
};

/* Changing any byte that is not padding changes the file: nothing is forgotten. */
static void test_every_byte_is_stored(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded before = encode(sample);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t ignored = 0;

		for (size_t n = 0; n < parts[i].bytes; n++) {
			uint8_t *byte = (uint8_t *)sample + parts[i].offset + n;
			struct encoded after;

			*byte ^= 0xff;
			after = encode(sample);
			ignored += memcmp(before.data, after.data, before.bytes) == 0;
			*byte ^= 0xff;
			free(after.data);
		}
		if (ignored != parts[i].padding)
			fail_msg("%s: %zu bytes are not stored", parts[i].name, ignored);
	}
	free(before.data);
}

/* Padding is zero after decoding, whatever was there: KVM refuses reserved bits. */
static void test_padding_is_zeroed(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);
	cleanup_free struct vm_state *a = decoded(&e, 0x00), *b = decoded(&e, 0xff);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (memcmp((uint8_t *)a + parts[i].offset, (uint8_t *)b + parts[i].offset,
			   parts[i].bytes) != 0)
			fail_msg("%s keeps what was in memory", parts[i].name);
	assert_memory_equal(&a->vcpus[1].xcrs, &b->vcpus[1].xcrs, sizeof(a->vcpus[1].xcrs));
	free(e.data);
}

static void test_limits_fit(void **unused)
{
	cleanup_free struct vm_state *state = sample_state();
	struct encoded e;

	(void)unused;
	state->cpuid_count = VM_CPUID_MAX;
	state->device_count = VM_DEVICES_MAX;
	state->vcpu_count = VM_VCPUS_MAX;
	for (int i = 0; i < VM_DEVICES_MAX; i++)
		state->devices[i] = (struct device_state){.name = "fifteen-letters",
							  .bytes = VM_DEVICE_STATE_MAX};
	for (int i = 0; i < VM_VCPUS_MAX; i++) {
		state->vcpus[i] = state->vcpus[1];
		state->vcpus[i].msr_count = VM_MSRS_MAX;
		state->vcpus[i].xcrs.nr_xcrs = KVM_MAX_XCRS;
	}
	e = encode(state);
	assert_int_equal(decode(e.data, e.bytes, NULL), 0);
	for (size_t cap = 0; cap < e.bytes; cap += 97)
		assert_int_equal(state_encode(state, e.data, cap, &e.bytes, NULL), -ENOBUFS);
	free(e.data);
}

/* --- what is refused -------------------------------------------------------------------------- */

static void test_truncated(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);

	(void)unused;
	assert_truncations_refused(decode, e.data, e.bytes);
	e.data[e.bytes] = 0;
	assert_refused(decode, e.data, e.bytes + 1);
	free(e.data);
}

static void test_flipped(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);

	(void)unused;
	assert_flips_refused(decode, e.data, e.bytes);
	free(e.data);
}

static void test_header(void **unused)
{
	static const struct {
		size_t at;
		uint32_t value;
		int code;
		const char *text;
	} cases[] = {
		{AT_VERSION, 2, -EPROTONOSUPPORT, "version 2"},
		{AT_FEATURES, 4, -EPROTONOSUPPORT, "features 0x4"},
		{AT_SECTIONS, 7, -EBADMSG, "7 sections"},
		{AT_RESERVED, 1, -EBADMSG, "reserved"},
		{AT_TOTAL, 100, -EBADMSG, "instead of 100"},
		{0, 0, -EBADMSG, "magic"},
	};
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t before = get32(e.data + cases[i].at);

		put32(e.data + cases[i].at, cases[i].value);
		seal_header(e.data);
		assert_refused_saying(e.data, e.bytes, cases[i].code, cases[i].text);
		put32(e.data + cases[i].at, before);
	}
	seal_header(e.data);
	assert_int_equal(decode(e.data, e.bytes, NULL), 0);
	free(e.data);
}

/* Sections that are whole, but say something wrong. Sections 0 to 5 are the VM's. */
static void test_section(void **unused)
{
	static const struct {
		int section;
		size_t at;
		uint32_t value;
		int code;
		const char *text;
	} cases[] = {
		{0, SECTION_AT_TYPE, 2, -EBADMSG, "'vm': section of type 2"},
		{0, SECTION_AT_VERSION, 2, -EPROTONOSUPPORT, "'vm': version 2"},
		{0, SECTION_AT_VERSION, 0x10001, -EBADMSG, "instance 1"},
		{0, SECTION_AT_RESERVED, 1, -EBADMSG, "reserved"},
		{0, SECTION_AT_LENGTH, 33, -EBADMSG, "do not fit"},
		{0, SECTION_AT_LENGTH, 37, -EBADMSG, "do not fit"},
		{0, SECTION_AT_LENGTH, ~0u, -EBADMSG, "cut off"},
		{0, SECTION_AT_PAYLOAD, 1 << 20, -EBADMSG, "memory size"},
		{0, SECTION_AT_PAYLOAD, (32 << 20) + 4096, -EBADMSG, "memory size"},
		{0, SECTION_AT_PAYLOAD + 4, 2, -EBADMSG, "memory size"},
		{0, SECTION_AT_PAYLOAD + 8, 4096, -EBADMSG, "mailbox"},
		{0, SECTION_AT_PAYLOAD + 8, 32 << 20, -EBADMSG, "mailbox"},
		{0, SECTION_AT_PAYLOAD + 28, 2, -EBADMSG, "CPU template 2"},
		{0, SECTION_AT_PAYLOAD + 32, 0, -EBADMSG, "vCPUs 0"},
		{0, SECTION_AT_PAYLOAD + 32, 9, -EBADMSG, "vCPUs 9"},
		{0, SECTION_AT_PAYLOAD + 32, 1, -EBADMSG, "1 vCPUs need"},
		{0, SECTION_AT_PAYLOAD + 36, 1, -EBADMSG, "padding"},
		{1, SECTION_AT_LENGTH, 29 * 28 + 3, -EBADMSG, "'cpuid'"},
		{2, SECTION_AT_PAYLOAD, 1, -EBADMSG, "chip 0"},
		{5, SECTION_AT_PAYLOAD, 0, -EBADMSG, "device 0"},
		{5, SECTION_AT_PAYLOAD + 12, 1, -EBADMSG, "device 0"},
		{5, SECTION_AT_PAYLOAD + 20, 513, -EBADMSG, "513 bytes"},
		{5, SECTION_AT_PAYLOAD + 20, 100, -EBADMSG, "do not fit"},
		{8, SECTION_AT_PAYLOAD, 2, -EBADMSG, "'fpu' of vCPU 0"},
		{8, SECTION_AT_PAYLOAD + 4, 1, -EBADMSG, "'fpu' of vCPU 0"},
		{16, SECTION_AT_PAYLOAD + 4, 17, -EBADMSG, "'fpu' of vCPU 1: 17 XCRs"},
		{16, SECTION_AT_PAYLOAD, 0, -EBADMSG, "'fpu' of vCPU 1"},
		{21, SECTION_AT_LENGTH, 13, -EBADMSG, "'msrs' of vCPU 1"},
	};
	cleanup_free struct vm_state *sample = sample_state();

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct encoded e = encode(sample);
		uint8_t *section = section_at(e.data, cases[i].section);

		put32(section + cases[i].at, cases[i].value);
		if (section_bytes(section) <= e.bytes - (size_t)(section - e.data))
			seal_section(section);
		assert_refused_saying(e.data, e.bytes, cases[i].code, cases[i].text);
		free(e.data);
	}
}

/* A section more than the format has, though the header counts it. */
static void test_left_over(void **unused)
{
	cleanup_free struct vm_state *sample = sample_state();
	struct encoded e = encode(sample);
	size_t bytes = section_bytes(section_at(e.data, 0));

	(void)unused;
	memcpy(e.data + e.bytes, e.data + AT_VM, bytes);
	e.bytes += bytes;
	put32(e.data + AT_TOTAL, (uint32_t)e.bytes);
	seal_header(e.data);
	assert_refused_saying(e.data, e.bytes, -EBADMSG, "left over");
	free(e.data);
}

static void test_encode_refuses(void **unused)
{
	cleanup_free uint8_t *buf = malloc(SNAPSHOT_STATE_MAX_BYTES);
	struct err err = {};
	size_t bytes;

	(void)unused;
	for (int i = 0; i < 5; i++) {
		cleanup_free struct vm_state *state = sample_state();
		uint32_t *const counts[] = {&state->cpuid_count, &state->device_count,
					    &state->vcpu_count, &state->vcpus[0].msr_count,
					    &state->vcpus[1].xcrs.nr_xcrs};

		*counts[i] = 1000;
		assert_int_equal(
			state_encode(state, buf, SNAPSHOT_STATE_MAX_BYTES, &bytes, &err), -EINVAL);
		assert_one_line(&err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_every_byte_is_stored),
		cmocka_unit_test(test_padding_is_zeroed),
		cmocka_unit_test(test_limits_fit),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_section),
		cmocka_unit_test(test_left_over),
		cmocka_unit_test(test_encode_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
