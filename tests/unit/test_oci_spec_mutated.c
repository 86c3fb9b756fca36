/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 10,000 damaged configs: real ones with bytes changed, pieces cut, doubled and swapped, and words
 * of other places put in. Each gives a spec within its bounds or an error of one line; never a
 * crash, a leak, or a read beyond the text. The generator has a fixed seed.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "spec/spec.h"

enum { MUTATIONS = 10000, CONFIGS_MAX = 16, CHANGES_MAX = 4, CONFIG_MAX_BYTES = 64 << 10 };

struct config {
	char *text; /* owned */
	size_t bytes;
};

struct counts {
	unsigned int taken, refused;
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t below(uint64_t *state, size_t end)
{
	return (size_t)(random_next(state) % end);
}

/* --- configs --------------------------------------------------------------------------------- */

static size_t load_configs(struct config *configs)
{
	static const char folder[] = TEST_SOURCE_DIR "/tests/fuzz/corpus/oci_spec";
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[4096];
		struct err err = { 0 };
		uint8_t *text;

		if (entry->d_name[0] == '.')
			continue;
		assert_true(count < CONFIGS_MAX);
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (file_read(path, CONFIG_MAX_BYTES, &text, &configs[count].bytes, &err) < 0)
			fail_msg("%s", err.message);
		configs[count++].text = (char *)text;
	}
	(void)closedir(dir);
	return count;
}

/* --- damage ---------------------------------------------------------------------------------- */

/* Replaces `cut` bytes at `at`. False, and nothing is done, when it would become too large. */
static bool splice(struct config *config, size_t at, size_t cut, const char *piece, size_t bytes)
{
	char *text;

	if (config->bytes - cut + bytes > CONFIG_MAX_BYTES)
		return false;
	text = malloc(config->bytes - cut + bytes + 1);
	assert_non_null(text);
	memcpy(text, config->text, at);
	memcpy(text + at, piece, bytes);
	memcpy(text + at + bytes, config->text + at + cut, config->bytes - at - cut);
	config->bytes = config->bytes - cut + bytes;
	free(config->text);
	config->text = text;
	return true;
}

static void change_byte(struct config *config, uint64_t *state)
{
	config->text[below(state, config->bytes)] ^= (char)(1u << below(state, 8));
}

static void cut_piece(struct config *config, uint64_t *state)
{
	const size_t at = below(state, config->bytes);
	const size_t bytes = below(state, config->bytes - at < 64 ? config->bytes - at : 64);

	(void)splice(config, at, bytes, "", 0);
}

static void double_piece(struct config *config, uint64_t *state)
{
	const size_t at = below(state, config->bytes);
	const size_t bytes = below(state, config->bytes - at < 256 ? config->bytes - at : 256);
	cleanup_free char *piece = strndup(config->text + at, bytes);

	assert_non_null(piece);
	(void)splice(config, at, 0, piece, strlen(piece));
}

/* One value of the text, from behind a colon to the next comma or bracket. */
static void replace_value(struct config *config, uint64_t *state)
{
	static const char *const values[] = {
		"null", "true", "-1", "0", "1.5", "1e999", "-1e400", "18446744073709551616",
		"9007199254740993", "\"\"", "\"/\"", "\"..\"", "[]", "{}", "[[]]", "[null]",
		"{\"\":\"\"}", "[\"\"]", "\"\\u0000\"", "\"\\ud800\"", "\"\n\x1b[31m\"",
		"[{\"type\":\"pid\"},{\"type\":\"pid\"}]", "\"rprivate\"", "\"a,b=\"",
	};
	const char *value = values[below(state, ARRAY_SIZE(values))];
	const size_t from = below(state, config->bytes);
	const char *colon = memchr(config->text + from, ':', config->bytes - from);
	size_t at, cut = 0;

	if (!colon)
		return;
	at = (size_t)(colon - config->text) + 1;
	while (at + cut < config->bytes && !strchr(",]}", config->text[at + cut]))
		cut++;
	(void)splice(config, at, cut, value, strlen(value));
}

/* A name of the text becomes one of another place. */
static void replace_name(struct config *config, uint64_t *state)
{
	static const char *const names[] = {
		"type", "path", "limit", "options", "linux", "process", "seccomp",
		"args", "names", "devices", "namespaces", "mounts", "source", "uidMappings",
		"resources", "unified", "rdma", "hooks", "root", "", "ociVersion",
	};
	const char *name = names[below(state, ARRAY_SIZE(names))];
	const size_t from = below(state, config->bytes);
	const char *begin = memchr(config->text + from, '"', config->bytes - from);
	const char *end;

	if (!begin)
		return;
	begin++;
	end = memchr(begin, '"', config->bytes - (size_t)(begin - config->text));
	if (end)
		(void)splice(config, (size_t)(begin - config->text), (size_t)(end - begin), name,
			     strlen(name));
}

static void damage(struct config *config, uint64_t *state)
{
	static void (*const ways[])(struct config *, uint64_t *) = {
		change_byte, cut_piece, double_piece, replace_value, replace_value, replace_value,
		replace_name, replace_name,
	};

	if (config->bytes)
		ways[below(state, ARRAY_SIZE(ways))](config, state);
}

/* --- what comes out -------------------------------------------------------------------------- */

static void check_path(const char *path)
{
	assert_true(path[0] == '/' && strlen(path) < 4096);
}

static void check_strings(const struct oci_strings *strings)
{
	assert_int_equal(!strings->items, !strings->count);
	for (size_t i = 0; i < strings->count; i++)
		assert_non_null(strings->items[i]);
	if (strings->items)
		assert_null(strings->items[strings->count]);
}

static void check_spec(const struct oci_spec *spec)
{
	assert_non_null(spec->root_path);
	if (spec->process) {
		assert_true(spec->process->args.count > 0);
		check_strings(&spec->process->args);
		check_strings(&spec->process->env);
		check_path(spec->process->cwd);
	}
	for (size_t i = 0; i < spec->mount_count; i++) {
		check_path(spec->mounts[i].destination);
		assert_true(spec->mounts[i].uid_mappings.count <= 340);
	}
	for (int i = 0; i < OCI_HOOK_POINT_COUNT; i++)
		for (size_t j = 0; j < spec->hooks[i].count; j++)
			check_path(spec->hooks[i].items[j].path);
	check_strings(&spec->linux.masked_paths);
	for (size_t i = 0; i < spec->linux.masked_paths.count; i++)
		check_path(spec->linux.masked_paths.items[i]);
	if (spec->linux.seccomp)
		assert_true(spec->linux.seccomp->text[0] == '{');
}

static void parse(const struct config *config, struct counts *counts)
{
	struct oci_spec *spec = NULL;
	struct err err = { 0 };
	int r = spec_parse(&spec, config->text, config->bytes, &err);

	if (r == 0) {
		counts->taken++;
		check_spec(spec);
		spec = spec_free(spec);
		return;
	}
	counts->refused++;
	assert_int_equal(r, -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_null(spec);
	assert_true(err.message[0] && strstr(err.message, ": "));
	for (const char *at = err.message; *at; at++)
		assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
}

static void test_mutated(void **state)
{
	struct config configs[CONFIGS_MAX];
	const size_t count = load_configs(configs);
	struct counts counts = { 0 };
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)state;
	assert_true(count >= 4);
	for (int i = 0; i < MUTATIONS; i++) {
		const struct config *from = &configs[below(&random, count)];
		struct config config = { malloc(from->bytes), from->bytes };

		assert_non_null(config.text);
		memcpy(config.text, from->text, from->bytes);
		for (size_t j = below(&random, CHANGES_MAX) + 1; j > 0; j--)
			damage(&config, &random);
		/* No byte behind the text, so that the sanitizer sees a read there. */
		config.text = realloc(config.text, config.bytes ? config.bytes : 1);
		parse(&config, &counts);
		free(config.text);
	}
	for (size_t i = 0; i < count; i++) {
		parse(&configs[i], &counts);
		free(configs[i].text);
	}
	/* Damage that only ever breaks JSON would test cJSON alone. */
	assert_int_equal(counts.taken + counts.refused, MUTATIONS + count);
	assert_true(counts.taken > MUTATIONS / 20 && counts.refused > MUTATIONS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
