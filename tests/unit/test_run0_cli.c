/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0's command line: which options reach liboci and how, and what is refused before.
 */
#include <pty.h>
#include <signal.h>

#include "run0/signal_name.h"
#include "run0_fake.h"

static void test_create_as_containerd(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_create, "--bundle", "/b", "--pid-file", "/p", "--console-socket",
			     "/s", "--no-pivot", "--preserve-fds", "2", "id"),
			 0);
	assert_string_equal(notes.call, "create");
	assert_string_equal(notes.id, "id");
	assert_string_equal(notes.create.bundle, "/b");
	assert_string_equal(notes.create.pid_file, "/p");
	assert_string_equal(notes.create.console_socket, "/s");
	assert_true(notes.create.no_pivot && !notes.create.no_new_keyring);
	assert_int_equal(notes.create.preserve_fds, 2);
	assert_int_equal(notes.create.terminal_fd, -1);
	assert_string_equal(output, "");
}

static void test_create_as_conmon(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_create, "id", "--bundle=/b", "--pid-file=", "--no-new-keyring",
			     "--no-subreaper"),
			 0);
	assert_string_equal(notes.create.bundle, "/b");
	assert_null(notes.create.pid_file);
	assert_true(notes.create.no_new_keyring);
	assert_int_equal(RUN(&verb_create, "id"), 0);
	assert_string_equal(notes.create.bundle, ".");
}

static void test_listen_fds_come_first(void **state)
{
	(void)state;
	(void)setenv("LISTEN_FDS", "3", 1);
	assert_int_equal(RUN(&verb_create, "--preserve-fds=2", "id"), 0);
	assert_int_equal(notes.create.preserve_fds, 5);
	assert_int_equal(notes.create.listen_fds, 3);
	(void)setenv("LISTEN_FDS", "99999999999", 1);
	assert_int_equal(RUN(&verb_create, "id"), 0);
	assert_int_equal(notes.create.preserve_fds, 0);
}

static void test_run_exits_as_its_process(void **state)
{
	(void)state;
	notes.status = 137;
	assert_int_equal(RUN(&verb_run, "-d", "--keep", "id"), 137);
	assert_true(notes.create.detach && notes.create.keep);
	notes.answer = -EINVAL;
	assert_int_equal(RUN(&verb_run, "id"), 1);
	assert_string_equal(output, "run0: the reason\n");
}

static void test_terminal_is_raw_only_meanwhile(void **state)
{
	int master;

	(void)state;
	assert_int_equal(openpty(&master, &terminal_fd, NULL, NULL, NULL), 0);
	assert_int_equal(RUN(&verb_run, "id"), 0);
	assert_int_equal(notes.create.terminal_fd, 0);
	assert_true(notes.raw_while_relaying);
	/* The fake never said that the relay ended, as after an error: it is restored all the same.
	 */
	assert_false(is_raw(terminal_fd));
	assert_int_equal(RUN(&verb_run, "--detach", "id"), 0);
	assert_int_equal(notes.create.terminal_fd, -1);
	(void)close(master);
	(void)close(terminal_fd);
}

static void test_exec_options_end_at_the_id(void **state)
{
	(void)state;
	notes.status = 3;
	assert_int_equal(RUN(&verb_exec, "-te", "A=1", "--env=B=", "-g", "1,2", "-g=3", "--user",
			     "5:6", "--cwd", "/w", "-c", "CAP_KILL", "--cgroup", "c",
			     "--ignore-paused", "id", "sh", "--env", "-t", "--"),
			 3);
	assert_string_equal(notes.id, "id");
	assert_string_equal(notes.exec_arguments, "sh;--env;-t;--;");
	assert_string_equal(notes.exec_env, "A=1;B=;");
	assert_string_equal(notes.exec_gids, "1;2;3;");
	assert_string_equal(notes.exec.user, "5:6");
	assert_string_equal(notes.exec.cwd, "/w");
	assert_string_equal(notes.exec.cgroup, "c");
	assert_true(notes.exec.tty && notes.exec.ignore_paused && !notes.exec.detach);
	assert_null(notes.exec.process_path);
}

static void test_exec_with_process_file(void **state)
{
	(void)state;
	assert_int_equal(
		RUN(&verb_exec, "--process", "/p.json", "--detach", "--pid-file", "/p", "id"), 0);
	assert_string_equal(notes.exec.process_path, "/p.json");
	assert_null(notes.exec.args);
	assert_true(notes.exec.detach);
}

static void test_exec_failures_are_255(void **state)
{
	static char *const bad_gids[] = { "",   "1,",         ",1",  "x",
					  "-1", "4294967295", "1;2", "99999999999999999999" };

	(void)state;
	assert_int_equal(RUN(&verb_exec, "id"), 255);
	assert_null(notes.call);
	for (size_t i = 0; i < ARRAY_SIZE(bad_gids); i++)
		assert_int_equal(RUN(&verb_exec, "-g", bad_gids[i], "id", "true"), 255);
	assert_null(notes.call);
	notes.answer = -ENOENT;
	assert_int_equal(RUN(&verb_exec, "id", "true"), 255);
}

static void test_flags_with_values(void **state)
{
	(void)state;
	assert_int_equal(RUN(&verb_delete, "--force=false", "id"), 0);
	assert_false(notes.force);
	assert_int_equal(RUN(&verb_delete, "--force=true", "id"), 0);
	assert_true(notes.force);
	assert_int_equal(RUN(&verb_delete, "id", "-f=0"), 0);
	assert_false(notes.force);
	assert_int_equal(RUN(&verb_delete, "-force", "id"), 0);
	assert_true(notes.force);
}

static void test_bad_command_lines(void **state)
{
	static const struct {
		const struct verb *verb;
		char *items[4];
		const char *message;
	} lines[] = {
		{ &verb_create, { "--nope", "id" }, "unknown option '--nope'" },
		{ &verb_create, { "-x", "id" }, "unknown option '-x'" },
		{ &verb_create, { "id", "--bundle" }, "option --bundle needs a value" },
		{ &verb_create, { "id", "-b" }, "option --bundle needs a value" },
		{ &verb_create, { "--no-pivot=maybe", "id" }, "neither true nor false" },
		{ &verb_create, { "--preserve-fds=-1", "id" }, "'-1' is not a number" },
		{ &verb_create, { "--preserve-fds=65536", "id" }, "'65536' is not a number" },
		{ &verb_create, { NULL }, "an argument is missing" },
		{ &verb_create, { "a", "b" }, "unexpected argument 'b'" },
		{ &verb_delete, { "--forc", "id" }, "unknown option '--forc'" },
		{ &verb_list, { "--format=xml" }, "'xml' is none of: table json" },
		{ &verb_list, { "--format=table json" }, "is none of" },
		{ &verb_list, { "--format=" }, "is none of" },
		{ &verb_kill, { "id", "NOPE" }, "unknown signal 'NOPE'" },
		{ &verb_ps, { "id", "aux" }, "ps option 'aux'" },
		{ &verb_events, { "--interval=0", "id" }, "'0' is no time" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *items[5] = { lines[i].items[0], lines[i].items[1], lines[i].items[2] };

		assert_int_equal(run_in(&(struct cli){ 0 }, lines[i].verb, items), 1);
		assert_printed(lines[i].message);
		assert_printed("--help");
		assert_null(notes.call);
	}
}

/* Who runs itself again (oci_protect_self) needs the argv that it got. */
static void test_global_options_leave_argv_alone(void **state)
{
	char *argv[] = { "--root=/r", "--debug", "--log", "/l", "create", "--bundle", "/b", NULL };
	char *const before[] = { argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], argv[6] };
	struct arguments arguments = { .items = argv, .count = 7 };
	struct global_options options = { 0 };

	(void)state;
	assert_int_equal(options_parse(global_options, &options, true, &arguments, NULL), 0);
	assert_memory_equal(argv, before, sizeof(before));
	assert_int_equal(arguments.count, 3);
	assert_string_equal(arguments.items[0], "create");
	assert_string_equal(options.root, "/r");
	assert_string_equal(options.log, "/l");
	assert_true(options.debug);
}

static void test_cgroup_managers(void **state)
{
	static const struct {
		const char *manager;
		bool flag, systemd, disabled, good;
	} rows[] = {
		{ NULL, false, false, false, true },
		{ NULL, true, true, false, true },
		{ "systemd", false, true, false, true },
		{ "systemd", true, true, false, true },
		{ "cgroupfs", false, false, false, true },
		{ "cgroupfs", true, false, false, false },
		{ "disabled", false, false, true, true },
		{ "disabled", true, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cli cli = { .options = { .cgroup_manager = rows[i].manager,
						.systemd_cgroup = rows[i].flag,
						.root = "/r" } };
		const int r = cli_open(&cli, NULL);

		assert_int_equal(r, rows[i].good ? 0 : -EINVAL);
		if (r == 0) {
			assert_int_equal(cli.runtime.systemd_cgroup, rows[i].systemd);
			assert_int_equal(cli.runtime.cgroup_disabled, rows[i].disabled);
		}
		cli_done(&cli);
	}
}

static void test_root_is_absolute(void **state)
{
	char here[PATH_MAX], wanted[PATH_MAX + 8];
	struct cli cli = { .options = { .root = "some", .rootless = "true" } };

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	(void)snprintf(wanted, sizeof(wanted), "%s/some", here);
	assert_int_equal(cli_open(&cli, NULL), 0);
	assert_string_equal(cli.runtime.root, wanted);
	assert_true(cli.runtime.rootless);
	cli_done(&cli);
}

static void test_signals(void **state)
{
	static const struct {
		const char *text;
		int number;
	} rows[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "sigkill", SIGKILL },
		{ "hup", SIGHUP },
		{ "9", 9 },
		{ "0", 0 },
		{ "64", 64 },
		{ "65", -1 },
		{ "-1", -1 },
		{ "", -1 },
		{ "SIG", -1 },
		{ "SIG9", -1 },
		{ "TERMX", -1 },
		{ "9x", -1 },
		{ "IOT", SIGABRT },
		{ "RTMIN", 34 },
		{ "SIGRTMIN+3", 37 },
		{ "RTMAX-1", 63 },
		{ "RTMIN-1", -1 },
		{ "RTMAX+1", -1 },
		{ "RTMIN+99", -1 },
		{ "RTMIN+", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(signal_parse(rows[i].text), rows[i].number);
	assert_int_equal(RUN(&verb_kill, "id"), 0);
	assert_int_equal(notes.signal, SIGTERM);
	assert_int_equal(RUN(&verb_kill, "-a", "id", "9"), 0);
	assert_true(notes.signal == 9 && notes.all);
}

/* containerd looks for these words. */
static void test_kill_of_the_dead(void **state)
{
	(void)state;
	notes.answer = -ESRCH;
	assert_int_equal(RUN(&verb_kill, "id"), 1);
	assert_string_equal(output, "run0: container not running: the reason\n");
	notes.message = "'id': container not running";
	assert_int_equal(RUN(&verb_kill, "id"), 1);
	assert_string_equal(output, "run0: 'id': container not running\n");
	notes.answer = -ENOENT;
	assert_int_equal(RUN(&verb_kill, "id"), 1);
	assert_printed("container does not exist");
}

static void test_verbs_with_an_id(void **state)
{
	static const struct verb *const all[] = { &verb_start, &verb_pause, &verb_resume };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		notes.answer = 0;
		assert_int_equal(RUN(all[i], "id"), 0);
		assert_string_equal(notes.call, all[i]->name);
		assert_string_equal(notes.id, "id");
		notes.answer = -EBUSY;
		assert_int_equal(RUN(all[i], "id"), 1);
	}
	notes.answer = 0;
	assert_int_equal(RUN(&verb_state, "id"), 0);
	assert_string_equal(output, "{\"status\":\"running\"}\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_create_as_containerd, forget),
		cmocka_unit_test_setup(test_create_as_conmon, forget),
		cmocka_unit_test_setup(test_listen_fds_come_first, forget),
		cmocka_unit_test_setup(test_run_exits_as_its_process, forget),
		cmocka_unit_test_setup(test_terminal_is_raw_only_meanwhile, forget),
		cmocka_unit_test_setup(test_exec_options_end_at_the_id, forget),
		cmocka_unit_test_setup(test_exec_with_process_file, forget),
		cmocka_unit_test_setup(test_exec_failures_are_255, forget),
		cmocka_unit_test_setup(test_flags_with_values, forget),
		cmocka_unit_test_setup(test_bad_command_lines, forget),
		cmocka_unit_test_setup(test_global_options_leave_argv_alone, forget),
		cmocka_unit_test_setup(test_cgroup_managers, forget),
		cmocka_unit_test_setup(test_root_is_absolute, forget),
		cmocka_unit_test_setup(test_signals, forget),
		cmocka_unit_test_setup(test_kill_of_the_dead, forget),
		cmocka_unit_test_setup(test_verbs_with_an_id, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
