/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A liboci that only takes notes, and a way to run run0's verbs on it: what main() does but for
 * finding the verb, with the output of both streams caught. For one test program each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "run0/cli.h"
#include "run0/resources.h"

enum { OUTPUT_BYTES = 16384, ARGUMENTS_MAX = 24 };

/* What the fake was called with, and what it shall answer. */
static struct notes {
	const char *call;
	char id[64];
	struct oci_create_options create;
	struct oci_exec_options exec;
	char exec_arguments[256], exec_env[256], exec_gids[64];
	int signal;
	bool all, force, raw_while_relaying;
	char json[RESOURCES_JSON_BYTES];
	int answer, status;
	const char *message, *warning;
	int events[8];
	size_t event;
	int wait_ms_most;
	size_t containers;
} notes;

static inline int note(const struct oci_runtime *runtime, const char *call, const char *id,
		struct err *err)
{
	notes.call = call;
	(void)snprintf(notes.id, sizeof(notes.id), "%s", id);
	assert_int_equal(runtime->root[0], '/');
	if (notes.warning)
		runtime->warn(runtime->context, notes.warning);
	if (notes.answer < 0)
		return err_set(err, notes.answer, "%s", notes.message);
	return notes.answer;
}

static inline void join(char *to, size_t size, const char *const *items)
{
	to[0] = '\0';
	for (; items && *items; items++) {
		strncat(to, *items, size - strlen(to) - 1);
		strncat(to, ";", size - strlen(to) - 1);
	}
}

static inline bool is_raw(int fd)
{
	struct termios now;

	return tcgetattr(fd, &now) == 0 && !(now.c_lflag & (ICANON | ECHO | ISIG));
}

/* As liboci would: only while the relay is up is the terminal raw. */
static inline void relay(const struct oci_runtime *runtime, int fd)
{
	if (fd < 0)
		return;
	assert_false(is_raw(fd));
	runtime->relaying(runtime->context, true);
	notes.raw_while_relaying = is_raw(fd);
}

const char *oci_status_name(enum oci_status status)
{
	return status == OCI_RUNNING ? "running" : "stopped";
}

int oci_create(const struct oci_runtime *runtime, const struct oci_create_options *options,
	       struct err *err)
{
	notes.create = *options;
	return note(runtime, "create", options->id, err);
}

int oci_run(const struct oci_runtime *runtime, const struct oci_create_options *options,
	    int *ret_status, struct err *err)
{
	notes.create = *options;
	*ret_status = notes.status;
	relay(runtime, options->terminal_fd);
	return note(runtime, "run", options->id, err);
}

int oci_exec(const struct oci_runtime *runtime, const struct oci_exec_options *options,
	     int *ret_status, struct err *err)
{
	notes.exec = *options;
	join(notes.exec_arguments, sizeof(notes.exec_arguments), options->args);
	join(notes.exec_env, sizeof(notes.exec_env), options->env);
	notes.exec_gids[0] = '\0';
	for (size_t i = 0; i < options->additional_gid_count; i++) {
		const size_t n = strlen(notes.exec_gids);

		(void)snprintf(notes.exec_gids + n, sizeof(notes.exec_gids) - n, "%u;",
			       options->additional_gids[i]);
	}
	*ret_status = notes.status;
	return note(runtime, "exec", options->id, err);
}

int oci_start(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	return note(runtime, "start", id, err);
}

int oci_pause(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	return note(runtime, "pause", id, err);
}

int oci_resume(const struct oci_runtime *runtime, const char *id, struct err *err)
{
	return note(runtime, "resume", id, err);
}

int oci_kill(const struct oci_runtime *runtime, const char *id, int signal, bool all,
	     struct err *err)
{
	notes.signal = signal;
	notes.all = all;
	return note(runtime, "kill", id, err);
}

int oci_delete(const struct oci_runtime *runtime, const char *id, bool force, struct err *err)
{
	notes.force = force;
	return note(runtime, "delete", id, err);
}

int oci_update(const struct oci_runtime *runtime, const char *id, const char *json, size_t bytes,
	       struct err *err)
{
	assert_true(bytes < sizeof(notes.json));
	memcpy(notes.json, json, bytes);
	notes.json[bytes] = '\0';
	return note(runtime, "update", id, err);
}

int oci_state_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err)
{
	const int r = note(runtime, "state", id, err);

	if (r == 0)
		*ret_json = strdup("{\"status\":\"running\"}");
	return r;
}

int oci_stats_json(const struct oci_runtime *runtime, const char *id, char **ret_json,
		   struct err *err)
{
	const int r = note(runtime, "stats", id, err);

	if (r == 0)
		*ret_json = strdup("{\"type\":\"stats\"}");
	return r;
}

int oci_wait_event(const struct oci_runtime *runtime, const char *id, int timeout_ms,
		   struct err *err)
{
	(void)runtime;
	(void)id;
	(void)err;
	if (timeout_ms > notes.wait_ms_most)
		notes.wait_ms_most = timeout_ms;
	return notes.events[notes.event++];
}

int oci_pids(const struct oci_runtime *runtime, const char *id, pid_t **ret_pids, size_t *ret_count,
	     struct err *err)
{
	*ret_pids = calloc(2, sizeof(**ret_pids));
	assert_non_null(*ret_pids);
	(*ret_pids)[0] = getpid();
	(*ret_pids)[1] = INT_MAX; /* has ended meanwhile */
	*ret_count = 2;
	return note(runtime, "pids", id, err);
}

int oci_list(const struct oci_runtime *runtime, struct oci_container_info **ret_containers,
	     size_t *ret_count, struct err *err)
{
	struct oci_container_info *list = calloc(2, sizeof(*list));

	assert_non_null(list);
	list[0] = (struct oci_container_info){
		.id = strdup("one"),
		.bundle = strdup("/b\"\\\n\033[1m\xff\xc3\xa4"),
		.rootfs = strdup("/r"),
		.created = strdup("2026-01-02T03:04:05Z"),
		.owner = strdup("root"),
		.pid = 12,
		.status = OCI_RUNNING,
	};
	list[1] = (struct oci_container_info){ .id = strdup("two"), .status = OCI_STOPPED };
	*ret_containers = list;
	*ret_count = notes.containers;
	return note(runtime, "list", "", err);
}

void oci_list_free(struct oci_container_info *containers, size_t count)
{
	(void)count; /* the fake always makes two */
	for (size_t i = 0; containers && i < 2; i++) {
		free(containers[i].id);
		free(containers[i].bundle);
		free(containers[i].rootfs);
		free(containers[i].created);
		free(containers[i].owner);
	}
	free(containers);
}

char *oci_features_json(void)
{
	return strdup("{}");
}

char *oci_default_spec_json(bool rootless)
{
	return strdup(rootless ? "{\"rootless\":1}" : "{\"rootless\":0}");
}

/* One run of the command: what main() does but for finding the verb. */

static const struct verb *const no_verbs[] = { &verb_create, &verb_exec, &verb_list, NULL };
static char output[OUTPUT_BYTES]; /* what the last run printed on both streams */
static int terminal_fd = -1;      /* becomes its standard input */

struct streams {
	int saved[3], file;
};

static inline struct streams redirect(void)
{
	struct streams streams = { .file = memfd_create("output", MFD_CLOEXEC) };
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(streams.file >= 0 && null >= 0);
	(void)fflush(stdout);
	for (int fd = 0; fd < 3; fd++)
		streams.saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	assert_int_equal(dup2(terminal_fd >= 0 ? terminal_fd : null, 0), 0);
	assert_int_equal(dup2(streams.file, 1), 1);
	assert_int_equal(dup2(streams.file, 2), 2);
	return streams;
}

static inline void restore(struct streams *streams)
{
	ssize_t n;

	(void)fflush(stdout);
	for (int fd = 0; fd < 3; fd++) {
		assert_int_equal(dup2(streams->saved[fd], fd), fd);
		(void)close(streams->saved[fd]);
	}
	n = pread(streams->file, output, sizeof(output) - 1, 0);
	output[n > 0 ? n : 0] = '\0';
	(void)close(streams->file);
}

static inline int run_in(struct cli *cli, const struct verb *verb, char **items)
{
	struct arguments arguments = { .items = items };
	struct streams streams = redirect();
	struct err err = { 0 };
	int status;

	while (items[arguments.count])
		arguments.count++;
	cli->verbs = no_verbs;
	cli->verb = verb;
	cli->terminal.fd = -1;
	if (cli_open(cli, &err) < 0)
		status = cli_fail(cli, &err);
	else
		status = verb->run(cli, &arguments);
	cli_done(cli);
	restore(&streams);
	return status;
}

#define RUN_IN(cli, verb, ...)                                                                     \
	run_in(cli, verb, (char *[ARGUMENTS_MAX]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
#define RUN(verb, ...) RUN_IN(&(struct cli){ 0 }, verb, __VA_ARGS__)

static inline int forget(void **state)
{
	(void)state;
	notes = (struct notes){ .message = "the reason" };
	terminal_fd = -1;
	(void)unsetenv("LISTEN_FDS");
	return 0;
}

__attribute__((nonnull)) static inline void assert_printed(const char *text)
{
	if (!strstr(output, text))
		fail_msg("'%s' is not in: %s", text, output);
}
