/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restores LUMPER COUNTER-TEMPLATE N: N clones one after another, each from a shell. Each has never
 * been asked before, none shares its generation with another, and the caller is in the end as it
 * was in the beginning: no descriptor, mapping, process or memory is left.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counter.h"

enum { WARM_UP = 20, RSS_SLACK_KIB = 256 };

struct residue {
	unsigned int fds, mappings;
	long rss_kib;
};

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	REQUIRE(dir, "no /proc/self/fd");
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static unsigned int count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned int count = 0;
	int c;

	REQUIRE(file, "cannot open %s", path);
	while ((c = fgetc(file)) != EOF)
		count += c == '\n';
	(void)fclose(file);
	return count;
}

static long rss_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		(void)sscanf(line, "VmRSS: %ld", &kib);
	REQUIRE(file && kib > 0, "no VmRSS");
	(void)fclose(file);
	return kib;
}

static struct residue take_residue(void)
{
	return (struct residue){
		.fds = count_fds(),
		.mappings = count_lines("/proc/self/maps"),
		.rss_kib = rss_kib(),
	};
}

static uint64_t restore_once(const struct shell_config *config, const struct template *template)
{
	struct shell *shell = NULL;
	struct count count;
	struct err err = {};

	REQUIRE(shell_new(&shell, config, &err) == 0, "%s", err.message);
	count = count_ask(shell, template);
	REQUIRE(count.count == 1, "a fresh clone counts %u", count.count);
	(void)shell_free(shell);
	return count.generation;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void require_distinct(uint64_t *generations, unsigned int n)
{
	qsort(generations, n, sizeof(generations[0]), by_value);
	REQUIRE(generations[0] != 0, "a generation is 0");
	for (unsigned int i = 1; i < n; i++)
		REQUIRE(generations[i] != generations[i - 1], "two clones have one generation");
}

static void require_same(const struct residue *before, const struct residue *after)
{
	REQUIRE(after->fds == before->fds, "%u descriptors became %u", before->fds, after->fds);
	REQUIRE(after->mappings == before->mappings, "%u mappings became %u", before->mappings,
		after->mappings);
	REQUIRE(after->rss_kib <= before->rss_kib + RSS_SLACK_KIB, "resident %ld KiB became %ld",
		before->rss_kib, after->rss_kib);
	REQUIRE(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child process is left");
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0;
	struct residue before, after;
	struct shell_config config;
	struct template *template;
	uint64_t *generations;

	REQUIRE(n > 0, "usage: restores LUMPER TEMPLATE N");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	generations = calloc(n, sizeof(generations[0]));
	REQUIRE(generations, "out of memory");
	memset(generations, 0xff, n * sizeof(generations[0])); /* touched: not growth later */

	for (unsigned int i = 0; i < WARM_UP; i++)
		(void)restore_once(&config, template);
	before = take_residue();
	for (unsigned int i = 0; i < n; i++)
		generations[i] = restore_once(&config, template);
	after = take_residue();

	require_same(&before, &after);
	require_distinct(generations, n);
	free(generations);
	(void)template_free(template);
	printf("%u restores: %u descriptors, %u mappings, %ld KiB before and %ld after\n", n,
	       after.fds, after.mappings, before.rss_kib, after.rss_kib);
	return 0;
}
