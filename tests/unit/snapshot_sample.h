/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests of snapshot/ share: a sample machine filled with random values, a manifest to
 * go with it, and the damage that every decoder has to refuse.
 */
#pragma once

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum {
	SAMPLE_MEMORY_BYTES = 32 << 20,
	SAMPLE_MAILBOX_GPA = 6 << 20,
	SAMPLE_IMAGE_BYTES = 2 << 20,
	FLIPS = 10000,
	FLIP_SEED = 20231107,
};

/* xorshift64: the same numbers everywhere. */
static inline uint64_t sample_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static inline void sample_fill(uint64_t *seed, void *to, size_t bytes)
{
	uint8_t *at = to;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(sample_random(seed) >> 32);
}

#define SAMPLE_FILL(seed, object) sample_fill((seed), &(object), sizeof(object))

static inline void sample_vcpu(uint64_t *seed, struct vcpu_state *vcpu, bool has_xsave)
{
	SAMPLE_FILL(seed, *vcpu);
	vcpu->has_xsave = has_xsave;
	vcpu->xcrs.nr_xcrs = 2;
	memset(vcpu->xsave.region, 0, sizeof(vcpu->xsave.region));
	sample_fill(seed, vcpu->xsave.region, 576);
	memset(vcpu->lapic.regs, 0, sizeof(vcpu->lapic.regs));
	for (size_t i = 0; i < sizeof(vcpu->lapic.regs); i += 16)
		sample_fill(seed, vcpu->lapic.regs + i, 4);
	vcpu->msr_count = 24;
}

/* Two vCPUs, one with each form of FPU state. Padding and reserved members hold rubbish, which no
 * encoding may store. The caller frees it. */
static inline struct vm_state *sample_state(void)
{
	struct vm_state *state = malloc(sizeof(*state));
	uint64_t seed = 1;

	assert_non_null(state);
	SAMPLE_FILL(&seed, *state);
	state->memory_bytes = SAMPLE_MEMORY_BYTES;
	state->mailbox_gpa = SAMPLE_MAILBOX_GPA;
	state->realtime_ns = 1700000000123456789u;
	state->tsc_khz = 2450000;
	state->cpu_template = CPU_TEMPLATE_HOST;
	state->cpuid_count = 30;
	for (uint32_t i = 0; i < VM_IRQCHIPS; i++)
		state->irqchip[i].chip_id = i;

	state->device_count = 2;
	state->devices[0] = (struct device_state){.name = "serial", .version = 1, .bytes = 12};
	sample_fill(&seed, state->devices[0].data, state->devices[0].bytes);
	state->devices[1] = (struct device_state){.name = "doorbell", .version = 3, .bytes = 0};

	state->vcpu_count = 2;
	sample_vcpu(&seed, &state->vcpus[0], false);
	sample_vcpu(&seed, &state->vcpus[1], true);
	return state;
}

static inline struct manifest sample_manifest(void)
{
	return (struct manifest){
		.format_version = SNAPSHOT_FORMAT_VERSION,
		.function = "upper",
		.created = "2023-11-14T22:13:20Z",
		.tool = "quark 0.1.0",
		.kernel = "vmlinuz-6.1.0-13-cloud-amd64",
		.cmdline = "console=ttyS0 quiet \"quoted\" \\ slash",
		.cpu_template = CPU_TEMPLATE_HOST,
		.vcpus = 2,
		.memory_bytes = SAMPLE_MEMORY_BYTES,
		.mailbox_gpa = SAMPLE_MAILBOX_GPA,
		.realtime_ns = 1700000000123456789u,
		.nonzero_pages = 4242,
		.inputs = "0123456789abcdef",
		.wake = "run0",
		.state = {"state-0000000000000001", 12345, {0x1111, 0x2222222222222222}},
		.memory = {"memory-0000000000000001", SAMPLE_MEMORY_BYTES, {~0ull, 0}},
		.working_set = {"working_set-0000000000000002", 128, {3, 4}},
		.base = {"base-0000000000000001", SAMPLE_MEMORY_BYTES, {5, 6}},
		.image = {"image-0000000000000001", SAMPLE_IMAGE_BYTES, {7, 8}},
		.extent_count = 3,
		.extents = {{0, 0x1000},
			    {0x10000, 0x20000},
			    {SAMPLE_MEMORY_BYTES - 0x3000, 0x3000}},
	};
}

/* The caller frees it. */
static inline struct working_set *sample_working_set(void)
{
	struct working_set *set = calloc(1, sizeof(*set));

	assert_non_null(set);
	set->count = 4;
	set->entries[0] = (struct working_set_entry){0x1000, 0, 0};
	set->entries[1] = (struct working_set_entry){0x3000, 0x7f0000001000, WORKING_SET_WRITTEN};
	set->entries[2] = (struct working_set_entry){SAMPLE_MEMORY_BYTES - 4096, 0x400000, 0};
	set->entries[3] = (struct working_set_entry){0x2000, 0x7f0000003000, WORKING_SET_IMAGE};
	return set;
}

/* Without the page of the image. The caller frees it. */
static inline struct working_set *memory_working_set(void)
{
	struct working_set *set = sample_working_set();

	set->count = 3;
	return set;
}

/* --- damage ---------------------------------------------------------------------------------- */

typedef int (*sample_decoder)(const uint8_t *data, size_t bytes, struct err *err);

static inline void assert_one_line(const struct err *err)
{
	assert_true(err->message[0] != '\0');
	assert_null(strchr(err->message, '\n'));
	assert_true(err->code < 0);
}

/* A copy that ends where its allocation ends, so that a sanitizer sees any byte read beyond. */
static inline void assert_refused(sample_decoder decode, const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);
	struct err err = {};

	assert_non_null(copy);
	memcpy(copy, data, bytes);
	assert_true(decode(copy, bytes, &err) < 0);
	assert_one_line(&err);
	free(copy);
}

static inline void assert_truncations_refused(sample_decoder decode, const uint8_t *data,
					      size_t bytes)
{
	for (size_t n = 0; n < bytes; n++)
		assert_refused(decode, data, n);
}

/* One to four bits of the file, anywhere. The original is decoded first, so that a decoder that
 * refuses everything does not pass. */
static inline void assert_flips_refused(sample_decoder decode, const uint8_t *data, size_t bytes)
{
	cleanup_free uint8_t *copy = malloc(bytes);
	uint64_t seed = FLIP_SEED;
	struct err err = {};

	print_message("%d damaged copies of %zu bytes, seed %d\n", FLIPS, bytes, FLIP_SEED);
	assert_non_null(copy);
	assert_int_equal(decode(data, bytes, &err), 0);
	for (int i = 0; i < FLIPS; i++) {
		memcpy(copy, data, bytes);
		do {
			uint64_t bit = sample_random(&seed) % (bytes * 8);

			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		} while (sample_random(&seed) % 2 || memcmp(copy, data, bytes) == 0);
		assert_refused(decode, copy, bytes);
	}
}

/* --- files ----------------------------------------------------------------------------------- */

/* The caller frees it. */
static inline uint8_t *read_golden(const char *name, size_t *ret_bytes)
{
	uint8_t *golden = NULL;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/tests/unit/golden/%s", TEST_SOURCE_DIR, name);
	assert_int_equal(file_read(path, 1 << 20, &golden, ret_bytes, NULL), 0);
	return golden;
}

static inline void assert_equals_golden(const char *name, const void *data, size_t bytes)
{
	size_t golden_bytes;
	cleanup_free uint8_t *golden = read_golden(name, &golden_bytes);

	assert_int_equal(bytes, golden_bytes);
	assert_memory_equal(data, golden, bytes);
}

static inline int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}
