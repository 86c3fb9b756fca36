/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suite `floor`: what the same machine takes, by the same clock, for less isolation: fork+exec+wait
 * of a static program, and a container of it by crun and runc where they are installed.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int sample(char *const argv[], const char *name, const struct bench_options *options,
		  struct rows *rows, struct err *err)
{
	cleanup_free uint64_t *samples = calloc(options->n, sizeof(uint64_t));
	struct row row = { .suite = "floor", .level = "process" };
	int r = samples ? 0 : err_set(err, -ENOMEM, "out of memory");

	for (unsigned int i = 0; i < options->n + UNCOUNTED && r == 0; i++) {
		uint64_t ns = 0;

		r = time_command(argv, &ns, err);
		if (r == 0 && i >= UNCOUNTED)
			samples[i - UNCOUNTED] = ns;
	}
	if (r < 0)
		return r;
	(void)snprintf(row.function, sizeof(row.function), "%s", name);
	row_fill(&row, samples, options->n);
	row_add(rows, &row);
	return 0;
}

static int sample_runtime(const char *runtime, const char *bundle,
			  const struct bench_options *options, struct rows *rows, struct err *err)
{
	char path[PATH_BYTES];
	char *argv[] = { path, "run", "--bundle", (char *)bundle, "quark-bench-floor", NULL };
	int r;

	(void)snprintf(path, sizeof(path), "/usr/bin/%s", runtime);
	if (access(path, X_OK) < 0) {
		(void)snprintf(path, sizeof(path), "/usr/sbin/%s", runtime);
		if (access(path, X_OK) < 0)
			return 0;
	}
	r = sample(argv, runtime, options, rows, err);
	if (r < 0) /* a kernel that it does not get on with: say so, go on */
		fprintf(stderr, "quark-bench: %s left out: %s\n", runtime, err->message);
	return 0;
}

int floor_run(const struct bench_options *options, struct rows *rows, struct err *err)
{
	char *argv[] = { (char *)options->static_true, NULL };
	char bundle[] = "/tmp/quark-bench-XXXXXX";
	int r;

	r = sample(argv, "fork-exec", options, rows, err);
	if (r < 0)
		return r;
	if (!mkdtemp(bundle))
		return err_set(err, -errno, "mkdtemp: %s", strerror(errno));
	r = make_bundle(bundle, options->static_true, err);
	if (r == 0)
		r = sample_runtime("crun", bundle, options, rows, err);
	if (r == 0)
		r = sample_runtime("runc", bundle, options, rows, err);
	remove_bundle(bundle);
	return r;
}
