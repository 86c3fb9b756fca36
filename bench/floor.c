/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suites `floor` and `oci`: what the same machine takes, by the same clock, for less isolation than
 * a VM: fork+exec+wait of a static program, and a container of it by run0, crun and runc, where
 * these are installed. `oci` also tells how much memory the runtime had resident at most.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"

enum { UNCOUNTED = 2, PATH_BYTES = 512 };

static const char bundle_config[] =
	"{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
	"\"args\":[\"/true\"],\"cwd\":\"/\",\"env\":[\"PATH=/\"]},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
	"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}],"
	"\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},"
	"{\"type\":\"uts\"},{\"type\":\"network\"}]}}";

/* Start and wait of `argv`; the exit status must be 0. vfork, as posix_spawn does: the cost of
 * copying this process is not the subject's. */
static int time_command(char *const argv[], uint64_t *ret_ns, struct err *err)
{
	uint64_t begin = monotonic_ns();
	int status = 0;
	pid_t pid;

	pid = vfork();
	if (pid < 0)
		return err_set(err, -errno, "vfork: %s", strerror(errno));
	if (pid == 0) {
		(void)execv(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret_ns = monotonic_ns() - begin;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, -EIO, "'%s' ended with status %#x", argv[0],
			       (unsigned int)status);
	return 0;
}

static int write_text(const char *path, const char *text)
{
	cleanup_file FILE *file = fopen(path, "we");

	return file && fputs(text, file) >= 0 && fflush(file) == 0 ? 0 : -EIO;
}

static int copy_file(const char *from, const char *to)
{
	cleanup_free uint8_t *data = NULL;
	cleanup_file FILE *file = NULL;
	size_t bytes;

	if (file_read(from, 64 << 20, &data, &bytes, NULL) < 0)
		return -EIO;
	file = fopen(to, "we");
	if (!file || fwrite(data, 1, bytes, file) != bytes || fflush(file) != 0)
		return -EIO;
	return chmod(to, 0755) < 0 ? -errno : 0;
}

/* In the order of making; removed backwards. */
static const char *const bundle_folders[] = { "rootfs", "rootfs/proc", "rootfs/dev", "rootfs/sys" };

static int make_bundle(const char *folder, const char *program, struct err *err)
{
	char path[PATH_BYTES];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bundle_folders) && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, bundle_folders[i]);
		if (mkdir(path, 0755) < 0)
			r = -errno;
	}
	(void)snprintf(path, sizeof(path), "%s/rootfs/true", folder);
	if (r == 0)
		r = copy_file(program, path);
	(void)snprintf(path, sizeof(path), "%s/config.json", folder);
	if (r == 0)
		r = write_text(path, bundle_config);
	return r < 0 ? err_set(err, r, "cannot make a bundle in '%s'", folder) : 0;
}

static void remove_in(const char *folder, const char *name)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)remove(path);
}

static void remove_bundle(const char *folder)
{
	remove_in(folder, "rootfs/true");
	remove_in(folder, "config.json");
	for (size_t i = ARRAY_SIZE(bundle_folders); i > 0; i--)
		remove_in(folder, bundle_folders[i - 1]);
	(void)remove(folder);
}

/* By a program that is small itself: what a child has resident begins with its parent's memory. */
static long peak_rss_kib(const struct bench_options *options, char *const argv[])
{
	enum { WORDS_MAX = 8 };
	char *words[WORDS_MAX + 2] = { (char *)options->peak_rss };
	char text[32] = "";
	int pipes[2], status = -1;
	pid_t pid;

	for (size_t i = 0; i < WORDS_MAX && argv[i]; i++)
		words[i + 1] = argv[i];
	if (pipe(pipes) < 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)execv(words[0], words);
		_exit(127);
	}
	(void)close(pipes[1]);
	if (read(pipes[0], text, sizeof(text) - 1) < 0)
		text[0] = 0;
	(void)close(pipes[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? strtol(text, NULL, 10)
									 : 0;
}

static int sample(char *const argv[], const struct row *kind, const struct bench_options *options,
		  struct rows *rows, struct err *err)
{
	cleanup_free uint64_t *samples = calloc(options->n, sizeof(uint64_t));
	struct row row = *kind;
	int r = samples ? 0 : err_set(err, -ENOMEM, "out of memory");

	for (unsigned int i = 0; i < options->n + UNCOUNTED && r == 0; i++) {
		uint64_t ns = 0;

		r = time_command(argv, &ns, err);
		if (r == 0 && i >= UNCOUNTED)
			samples[i - UNCOUNTED] = ns;
	}
	if (r < 0)
		return r;
	row_fill(&row, samples, options->n);
	if (options->peak_rss)
		row.rss_kib = peak_rss_kib(options, argv);
	row_add(rows, &row);
	return 0;
}

static const char *find_runtime(const char *name, const struct bench_options *options, char *path)
{
	static const char *const folders[] = { "/usr/bin", "/usr/sbin" };

	if (strcmp(name, "run0") == 0)
		return options->run0;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, PATH_BYTES, "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

static void sample_runtime(const char *name, const char *bundle, const char *suite,
			   const struct bench_options *options, struct rows *rows)
{
	char path[PATH_BYTES];
	const char *program = find_runtime(name, options, path);
	char *argv[] = { (char *)program, "run", "--bundle", (char *)bundle, "quark-bench-floor",
			 NULL };
	struct row row = { .suite = suite, .level = "process", .runtime = name };
	struct err err = {};

	(void)snprintf(row.function, sizeof(row.function), "%s", name);
	if (program && sample(argv, &row, options, rows, &err) < 0)
		/* A kernel that it does not get on with: say so, go on. */
		fprintf(stderr, "quark-bench: %s left out: %s\n", name, err.message);
}

static int run(const char *suite, const char *const *runtimes, const struct bench_options *options,
	       struct rows *rows, struct err *err)
{
	char *argv[] = { (char *)options->static_true, NULL };
	struct row row = { .suite = suite, .level = "process", .function = "fork-exec",
			   .runtime = "fork-exec" };
	char bundle[] = "/tmp/quark-bench-XXXXXX";
	int r = sample(argv, &row, options, rows, err);

	if (r < 0)
		return r;
	if (!mkdtemp(bundle))
		return err_set(err, -errno, "mkdtemp: %s", strerror(errno));
	r = make_bundle(bundle, options->static_true, err);
	for (; r == 0 && *runtimes; runtimes++)
		sample_runtime(*runtimes, bundle, suite, options, rows);
	remove_bundle(bundle);
	return r;
}

int floor_run(const struct bench_options *options, struct rows *rows, struct err *err)
{
	static const char *const runtimes[] = { "crun", "runc", NULL };
	struct bench_options without_rss = *options;

	without_rss.peak_rss = NULL;
	return run("floor", runtimes, &without_rss, rows, err);
}

int oci_run_suite(const struct bench_options *options, struct rows *rows, struct err *err)
{
	static const char *const runtimes[] = { "run0", "crun", "runc", NULL };

	return run("oci", runtimes, options, rows, err);
}
