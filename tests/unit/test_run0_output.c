/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What run0 makes of results and numbers: log lines, tables, JSON, limits.
 */
#include <sys/stat.h>

#include "run0/quantity.h"
#include "run0_fake.h"

static void test_help_calls_nothing(void **state)
{
	static const struct verb *const all[] = {
		&verb_create, &verb_start,  &verb_run,    &verb_state,    &verb_kill,
		&verb_delete, &verb_exec,   &verb_ps,     &verb_list,     &verb_pause,
		&verb_resume, &verb_update, &verb_events, &verb_features, &verb_spec,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(RUN(all[i], "--help"), 0);
		assert_printed("usage: run0 ");
		assert_printed(all[i]->name);
		for (const char *line = output; *line; line += strcspn(line, "\n") + 1)
			assert_true(strcspn(line, "\n") <= 90);
		assert_null(notes.call);
	}
}

static void test_log_lines(void **state)
{
	static const time_t NOW = 1767323045; /* 2026-01-02T03:04:05Z */
	char line[LOG_LINE_BYTES];
	size_t n;

	(void)state;
	n = log_format(line, true, LEVEL_ERROR, NOW, "a \"b\" \\ \n\033\xff\xc2\x80 \xc3\xa4");
	assert_int_equal(n, strlen(line));
	assert_string_equal(line, "{\"level\":\"error\",\"msg\":\"a \\\"b\\\" \\\\ \\u000a\\u001b"
				  "\\ufffd\\ufffd \xc3\xa4\",\"time\":\"2026-01-02T03:04:05Z\"}\n");
	(void)log_format(line, false, LEVEL_WARNING, NOW, "say \"x\"");
	assert_string_equal(line, "time=\"2026-01-02T03:04:05Z\" level=warning "
				  "msg=\"say \\\"x\\\"\"\n");
}

/* A line that is cut is a whole line all the same. */
static void test_long_log_line(void **state)
{
	static char message[3 * LOG_LINE_BYTES];
	char line[LOG_LINE_BYTES];
	size_t n;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		memset(message, '\001', sizeof(message) - 1);
		memset(message, 'x', i);
		n = log_format(line, true, LEVEL_ERROR, (time_t)1 << 40, message);
		assert_true(n < LOG_LINE_BYTES && n > LOG_LINE_BYTES - 100);
		assert_string_equal(line + n - 4, "Z\"}\n");
	}
	n = log_format(line, false, LEVEL_ERROR, INT64_MAX, message);
	assert_string_equal(line + n - 2, "\"\n");
}

static void test_errors_go_to_both(void **state)
{
	char path[] = "/tmp/test_run0_cli.XXXXXX";
	char text[1024] = "";
	cleanup_fd int fd = mkstemp(path);
	struct cli cli = { .options = { .log = path, .log_format = "json" } };

	(void)state;
	assert_true(fd >= 0);
	notes.answer = -EINVAL;
	notes.warning = "left out";
	assert_int_equal(RUN_IN(&cli, &verb_start, "id"), 1);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(output, "run0: the reason\n");
	assert_non_null(strstr(text, "{\"level\":\"warning\",\"msg\":\"left out\",\"time\":\""));
	assert_non_null(strstr(text, "\n{\"level\":\"error\",\"msg\":\"the reason\",\"time\":\""));
	(void)unlink(path);
}

static void test_errors_without_a_log(void **state)
{
	struct cli json = { .options = { .log_format = "json" } };
	struct cli lost = { .options = { .log = "/nonexistent/log" } };

	(void)state;
	notes.answer = -EINVAL;
	notes.warning = "left\033 out";
	assert_int_equal(RUN(&verb_start, "id"), 1);
	assert_string_equal(output, "run0: warning: left? out\nrun0: the reason\n");
	notes.warning = NULL;
	assert_int_equal(RUN_IN(&json, &verb_start, "id"), 1);
	assert_int_equal(strncmp(output, "{\"level\":\"error\",", 17), 0);
	assert_int_equal(RUN_IN(&lost, &verb_start, "id"), 1);
	assert_printed("cannot write the log '/nonexistent/log'");
	assert_printed("run0: the reason\n");
}

static void test_list_table(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_list), 0);
	assert_string_equal(output,
			    "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
	notes.containers = 2;
	assert_int_equal(RUN(&verb_list, "-q"), 0);
	assert_string_equal(output, "one\ntwo\n");
	assert_int_equal(RUN(&verb_list, "--format", "table"), 0);
	assert_null(strchr(output, '\033'));
	assert_printed("one         12          running     /b\"\\??[1m?\xc3\xa4   "
		       "2026-01-02T03:04:05Z   root\n");
}

static void test_list_json(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_list, "-f", "json"), 0);
	assert_string_equal(output, "null\n");
	notes.containers = 1;
	assert_int_equal(RUN(&verb_list, "--format=json"), 0);
	assert_string_equal(output,
			    "[{\"ociVersion\":\"1.1.0\",\"id\":\"one\",\"pid\":12,"
			    "\"status\":\"running\",\"bundle\":\"/b\\\"\\\\\\u000a\\u001b[1m\\ufffd"
			    "\xc3\xa4\",\"rootfs\":\"/r\",\"created\":\"2026-01-02T03:04:05Z\","
			    "\"owner\":\"root\"}]\n");
	notes.containers = 2;
	assert_int_equal(RUN(&verb_list, "--format=json"), 0);
	assert_printed("},{\"ociVersion\":\"1.1.0\",\"id\":\"two\",\"pid\":0,");
}

static void test_ps(void **state)
{
	char wanted[64];

	(void)state;
	(void)snprintf(wanted, sizeof(wanted), "[%d,%d]\n", getpid(), INT_MAX);
	assert_int_equal(RUN(&verb_ps, "--format", "json", "id"), 0);
	assert_string_equal(output, wanted);
	(void)snprintf(wanted, sizeof(wanted), " %7d %7d ", getpid(), getppid());
	assert_int_equal(RUN(&verb_ps, "id", "-ef"), 0);
	assert_int_equal(strncmp(output, "UID ", 4), 0);
	assert_printed(wanted);
	assert_printed(program_invocation_short_name);
	(void)snprintf(wanted, sizeof(wanted), "%d", INT_MAX);
	assert_null(strstr(output, wanted));
}

static void test_update_options(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_update, "--memory", "512m", "--memory-swap", "-1",
			     "--cpu-quota=-1", "--cpu-period=100000", "--cpu-share", "512",
			     "--cpuset-cpus", "0-3,7", "--pids-limit", "20", "--blkio-weight",
			     "500", "--cpu-idle=1", "id"),
			 0);
	assert_string_equal(
		notes.json,
		"{\"blockIO\":{\"weight\":500},"
		"\"cpu\":{\"shares\":512,\"quota\":-1,\"period\":100000,\"idle\":1,"
		"\"cpus\":\"0-3,7\"},"
		"\"memory\":{\"limit\":536870912,\"swap\":-1},\"pids\":{\"limit\":20}}");
	assert_int_equal(RUN(&verb_update, "id"), 0);
	assert_string_equal(notes.json, "{}");
	assert_int_equal(RUN(&verb_update, "--kernel-memory=5", "id"), 0);
	assert_printed("warning: ");
}

static void test_update_bad_values(void **state)
{
	static char *const bad[][2] = {
		{ "--memory", "-2" },
		{ "--memory", "12q" },
		{ "--memory", "1e3" },
		{ "--memory", "9223372036854775808" },
		{ "--memory", "9007199254740992k" },
		{ "--memory", "1mm" },
		{ "--memory", "1 m" },
		{ "--memory", "m" },
		{ "--blkio-weight", "9" },
		{ "--blkio-weight", "1001" },
		{ "--cpu-share", "-1" },
		{ "--cpu-share", "18446744073709551616" },
		{ "--cpu-quota", "0x10" },
		{ "--cpu-quota", "1," },
		{ "--cpu-idle", "2" },
		{ "--pids-limit", "-2" },
		{ "--cpuset-cpus", "0\"},\"x\":{\"" },
		{ "--cpuset-mems", "0\n1" },
		{ "--cpuset-cpus", "0\\" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(RUN(&verb_update, bad[i][0], bad[i][1], "id"), 1);
		assert_printed(bad[i][0]);
		assert_null(notes.call);
	}
}

/* All at once and as long as they can be still fit. */
static void test_update_longest(void **state)
{
	char list[CPU_LIST_MAX + 2];
	char json[RESOURCES_JSON_BYTES];
	struct resource_options options;
	const char **members = (const char **)&options;
	struct err err = { 0 };
	size_t bytes;

	(void)state;
	memset(list, '1', sizeof(list));
	list[CPU_LIST_MAX] = '\0';
	for (size_t i = 0; i < sizeof(options) / sizeof(*members); i++)
		members[i] = "9223372036854775807";
	options.blkio_weight = "1000";
	options.cpu_idle = "1";
	options.cpuset_cpus = options.cpuset_mems = list;
	assert_int_equal(resources_json(&options, json, &bytes, &err), 0);
	assert_int_equal(bytes, strlen(json));
	assert_int_equal(json[bytes - 1], '}');
	list[CPU_LIST_MAX] = '1';
	list[CPU_LIST_MAX + 1] = '\0';
	assert_int_equal(resources_json(&options, json, &bytes, &err), -EINVAL);
}

static void test_update_from_a_file(void **state)
{
	static const char text[] = "{\"memory\":{}}";
	int pipe_fds[2];
	char path[32];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], text, strlen(text)), (ssize_t)strlen(text));
	(void)close(pipe_fds[1]);
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", pipe_fds[0]);
	assert_int_equal(RUN(&verb_update, "-r", path, "--memory=nonsense", "id"), 0);
	assert_string_equal(notes.json, text);
	(void)close(pipe_fds[0]);
	assert_int_equal(RUN(&verb_update, "--resources=/nonexistent", "id"), 1);
	assert_int_equal(RUN(&verb_update, "--resources=/dev/zero", "id"), 1);
	assert_printed("cannot read '/dev/zero'");
}

static void test_byte_quantities(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "7b", 7 },
		{ "2k", 2048 },
		{ "2K", 2048 },
		{ "3kb", 3072 },
		{ "1MiB", 1 << 20 },
		{ "1GB", 1 << 30 },
		{ "1t", (int64_t)1 << 40 },
		{ "9223372036854775807", INT64_MAX },
	};
	int64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(quantity_bytes(rows[i].text, &bytes));
		assert_int_equal(bytes, rows[i].bytes);
	}
	assert_false(quantity_bytes("1bb", &bytes));
	assert_false(quantity_bytes("1ki", &bytes));
	assert_false(quantity_bytes("", &bytes));
	assert_false(quantity_bytes("8192p", &bytes));
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int ms; /* 0: none */
	} rows[] = {
		{ "5s", 5000 },     { "500ms", 500 },
		{ "1m30s", 90000 }, { "1.5s", 1500 },
		{ "2", 2000 },      { "24h", 86400000 },
		{ "1000us", 1 },    { "0.25h", 900000 },
		{ "24h1ms", 0 },    { "0s", 0 },
		{ "1us", 0 },       { "s", 0 },
		{ "5x", 0 },        { "-5s", 0 },
		{ "1s5", 0 },       { "1.s", 0 },
		{ "", 0 },          { "99999999999h", 0 },
		{ "1s ", 0 },       { "18446744073709551615", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int ms = 0;

		assert_int_equal(quantity_duration_ms(rows[i].text, &ms), rows[i].ms != 0);
		assert_int_equal(ms, rows[i].ms);
	}
}

static void test_events(void **state)
{
	static const int events[] = { 1, 2, 2, 0 };

	(void)state;
	memcpy(notes.events, events, sizeof(events));
	assert_int_equal(RUN(&verb_events, "--interval", "20ms", "id"), 0);
	assert_string_equal(output, "{\"type\":\"oom\",\"id\":\"id\"}\n"
				    "{\"type\":\"stats\"}\n{\"type\":\"stats\"}\n");
	assert_in_range(notes.wait_ms_most, 1, 60); /* the fake does not wait */
	assert_int_equal(RUN(&verb_events, "--stats", "id"), 0);
	assert_string_equal(output, "{\"type\":\"stats\"}\n");
}

static void test_events_of_one_that_ends(void **state)
{
	static const int ended[] = { 2, 0 };
	static const int broken[] = { 2, 2 };

	(void)state;
	notes.answer = -ENOENT;
	memcpy(notes.events, ended, sizeof(ended));
	assert_int_equal(RUN(&verb_events, "id"), 0);
	assert_string_equal(output, "");
	notes.event = 0;
	memcpy(notes.events, broken, sizeof(broken));
	assert_int_equal(RUN(&verb_events, "id"), 1);
	assert_printed("the reason");
}

static void test_spec_never_overwrites(void **state)
{
	char folder[] = "/tmp/test_run0_cli.XXXXXX";
	char path[sizeof(folder) + 16];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/config.json", folder);
	/* Through a link it would come to life where the link points. */
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(RUN(&verb_spec, "--bundle", folder), 1);
	assert_printed("File config.json exists. Remove it first");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(RUN(&verb_spec, "--rootless", "-b", folder), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, strlen("{\"rootless\":1}\n"));
	assert_int_equal(RUN(&verb_spec, "--bundle", folder), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_completions_name_every_option(void **state)
{
	static char *const shells[] = { "bash", "zsh", "fish" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		assert_int_equal(RUN(&verb_completion, shells[i]), 0);
		assert_printed("cgroup-manager");
		for (const struct cli_option *option = verb_exec.options; option->name; option++)
			assert_printed(option->name);
	}
	assert_int_equal(RUN(&verb_completion, "tcsh"), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_help_calls_nothing, forget),
		cmocka_unit_test_setup(test_log_lines, forget),
		cmocka_unit_test_setup(test_long_log_line, forget),
		cmocka_unit_test_setup(test_errors_go_to_both, forget),
		cmocka_unit_test_setup(test_errors_without_a_log, forget),
		cmocka_unit_test_setup(test_list_table, forget),
		cmocka_unit_test_setup(test_list_json, forget),
		cmocka_unit_test_setup(test_ps, forget),
		cmocka_unit_test_setup(test_update_options, forget),
		cmocka_unit_test_setup(test_update_bad_values, forget),
		cmocka_unit_test_setup(test_update_longest, forget),
		cmocka_unit_test_setup(test_update_from_a_file, forget),
		cmocka_unit_test_setup(test_byte_quantities, forget),
		cmocka_unit_test_setup(test_durations, forget),
		cmocka_unit_test_setup(test_events, forget),
		cmocka_unit_test_setup(test_events_of_one_that_ends, forget),
		cmocka_unit_test_setup(test_spec_never_overwrites, forget),
		cmocka_unit_test_setup(test_completions_name_every_option, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
