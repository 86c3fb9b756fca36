/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The global options, what follows from them, and reporting. The environment is read
 * here and in listen_fds.h alone.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

#define DEFAULT_ROOT "/run/run0"

#define AT(member) offsetof(struct global_options, member)
const struct cli_option global_options[] = {
	{ "root", 0, OPTION_TEXT, AT(root), "DIR", NULL,
	  "folder of all state (default /run/run0, or\n"
	  "$XDG_RUNTIME_DIR/run0 when rootless)" },
	{ "log", 0, OPTION_TEXT, AT(log), "FILE", NULL, "add errors and warnings to this file" },
	{ "log-format", 0, OPTION_WORD, AT(log_format), "FORMAT", "text json",
	  "form of the log: text (default) or json" },
	{ "debug", 0, OPTION_FLAG, AT(debug), NULL, NULL, "log more" },
	{ "systemd-cgroup", 0, OPTION_FLAG, AT(systemd_cgroup), NULL, NULL,
	  "as --cgroup-manager=systemd" },
	{ "cgroup-manager", 0, OPTION_WORD, AT(cgroup_manager), "MANAGER",
	  "cgroupfs systemd disabled",
	  "who makes cgroups: cgroupfs (default), systemd, or\n"
	  "disabled: nobody" },
	{ "rootless", 0, OPTION_WORD, AT(rootless), "MODE", "auto true false",
	  "whether to do without the host's root: true, false,\n"
	  "or auto (default): as found" },
	{ "criu", 0, OPTION_IGNORED_TEXT, 0, "FILE", NULL, "ignored: there are no checkpoints" },
	{ "version", 'v', OPTION_FLAG, AT(version), NULL, NULL, "show the version" },
	{ 0 },
};
#undef AT

/* The inode of the first user namespace is a constant of the kernel (PROC_USER_INIT_INO in
 * include/linux/proc_ns.h); asking for it is cheaper than reading uid_map. */
static bool is_in_user_namespace(void)
{
	static const ino_t FIRST = 0xeffffffd;
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST;
}

/* Not the host's root: an ordinary user, or root in a user namespace. */
static bool is_rootless(const char *mode, bool is_host_root)
{
	if (mode && strcmp(mode, "auto") != 0)
		return strcmp(mode, "true") == 0;
	return !is_host_root;
}

/* As runc finds it. Root of a system container (LXC) has a user namespace too and is known by its
 * name; a user's podman, which is root in its namespace, keeps the user's. */
static const char *runtime_folder(bool is_host_root)
{
	const char *folder = is_host_root ? NULL : getenv("XDG_RUNTIME_DIR");
	const char *user;

	if (!folder || folder[0] != '/')
		return NULL;
	user = geteuid() == 0 ? getenv("USER") : NULL;
	return user && strcmp(user, "root") == 0 ? NULL : folder;
}

static int choose_root(struct cli *cli, bool is_host_root, struct err *err)
{
	const char *given = cli->options.root;
	cleanup_free char *here = NULL;
	const char *folder;
	int r;

	if (!given) {
		folder = runtime_folder(is_host_root);
		r = folder ? asprintf(&cli->root, "%s/run0", folder)
			   : asprintf(&cli->root, "%s", DEFAULT_ROOT);
	} else if (given[0] == '/') {
		r = asprintf(&cli->root, "%s", given);
	} else {
		here = getcwd(NULL, 0);
		if (!here)
			return err_set(err, -errno, "--root: no current folder: %s",
				       strerror(errno));
		r = asprintf(&cli->root, "%s/%s", here, given);
	}
	if (r < 0)
		cli->root = NULL;
	return r < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static void warn(void *context, const char *message)
{
	const struct cli *cli = context;

	log_write(&cli->log, LEVEL_WARNING, message);
}

static void relaying(void *context, bool begins)
{
	struct cli *cli = context;

	if (begins)
		terminal_make_raw(&cli->terminal);
	else
		terminal_restore(&cli->terminal);
}

static void open_log(struct cli *cli)
{
	const char *path = cli->options.log;
	const char *format = cli->options.log_format;

	/* runc's name for there being none. */
	if (path && strcmp(path, "/dev/stderr") == 0)
		path = NULL;
	cli->log = (struct log){
		.path = path,
		.json = format && strcmp(format, "json") == 0,
		.debug = cli->options.debug,
	};
}

int cli_open(struct cli *cli, struct err *err)
{
	const char *manager = cli->options.cgroup_manager ? cli->options.cgroup_manager : "";
	const bool is_host_root = geteuid() == 0 && !is_in_user_namespace();
	const bool systemd = cli->options.systemd_cgroup
				     ? !*manager || strcmp(manager, "systemd") == 0
				     : strcmp(manager, "systemd") == 0;
	int r;

	open_log(cli);
	if (cli->options.systemd_cgroup && !systemd)
		return err_set(err, -EINVAL,
			       "--systemd-cgroup and --cgroup-manager=%s exclude "
			       "each other",
			       manager);
	r = choose_root(cli, is_host_root, err);
	if (r < 0)
		return r;
	cli->runtime = (struct oci_runtime){
		.root = cli->root,
		.systemd_cgroup = systemd,
		.cgroup_disabled = strcmp(manager, "disabled") == 0,
		.rootless = is_rootless(cli->options.rootless, is_host_root),
		.warn = warn,
		.relaying = relaying,
		.context = cli,
	};
	return 0;
}

void cli_done(struct cli *cli)
{
	terminal_restore(&cli->terminal);
	free(cli->root);
	cli->root = NULL;
}

static bool count_arguments(const struct cli *cli, const struct arguments *arguments)
{
	const struct verb *verb = cli->verb;

	if (arguments->count < verb->least)
		(void)cli_usage(cli, "an argument is missing: %s", verb->arguments);
	else if (verb->most >= 0 && arguments->count > verb->most)
		(void)cli_usage(cli, "unexpected argument '%s'", arguments->items[verb->most]);
	else
		return true;
	return false;
}

static int failure_status(const struct cli *cli)
{
	return cli->verb && cli->verb->failure ? cli->verb->failure : EXIT_FAILURE;
}

bool cli_parse(struct cli *cli, void *values, struct arguments *arguments, int *ret_status)
{
	struct err err = { 0 };
	int r;

	r = options_parse(cli->verb->options, values, cli->verb->in_order, arguments, &err);
	if (r > 0) {
		cli_print_help(cli);
		*ret_status = EXIT_SUCCESS;
		return false;
	}
	if (r < 0) {
		*ret_status = cli_usage(cli, "%s", err.message);
		return false;
	}
	*ret_status = failure_status(cli);
	return count_arguments(cli, arguments);
}

int cli_terminal(struct cli *cli)
{
	cli->terminal = terminal_find();
	return cli->terminal.fd;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char what[LOG_MESSAGE_BYTES / 2];
	char message[LOG_MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	(void)snprintf(message, sizeof(message), "%s (see run0 %s%s--help)", what,
		       cli->verb ? cli->verb->name : "", cli->verb ? " " : "");
	log_write(&cli->log, LEVEL_ERROR, message);
	return failure_status(cli);
}

int cli_fail(const struct cli *cli, const struct err *err)
{
	log_write(&cli->log, LEVEL_ERROR, err->message);
	return failure_status(cli);
}

int cli_result(const struct cli *cli, int r, const struct err *err)
{
	return r < 0 ? cli_fail(cli, err) : EXIT_SUCCESS;
}

void cli_warn(const struct cli *cli, const char *fmt, ...)
{
	char message[LOG_MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	log_write(&cli->log, LEVEL_WARNING, message);
}

void cli_debug(const struct cli *cli, const char *fmt, ...)
{
	char message[LOG_MESSAGE_BYTES];
	va_list args;

	if (!cli->log.debug)
		return;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	log_write(&cli->log, LEVEL_DEBUG, message);
}

int cli_print_document(const struct cli *cli, const char *text)
{
	const size_t bytes = text ? strlen(text) : 0;
	struct err err = { 0 };
	int r;

	if (!text) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		return cli_fail(cli, &err);
	}
	r = file_write_all(STDOUT_FILENO, text, bytes);
	if (r == 0 && (bytes == 0 || text[bytes - 1] != '\n'))
		r = file_write_all(STDOUT_FILENO, "\n", 1);
	if (r < 0)
		(void)err_set(&err, r, "cannot write to standard output: %s", strerror(-r));
	return cli_result(cli, r, &err);
}
