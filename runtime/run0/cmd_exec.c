/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 exec: one more process in a container.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "listen_fds.h"
#include "number.h"

struct values {
	const char *process, *pid_file, *console_socket, *cwd, *user, *apparmor, *process_label;
	const char *cgroup;
	struct text_list env, caps, additional_gids;
	unsigned int preserve_fds;
	bool tty, detach, no_new_privs, ignore_paused;
};

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "process", 'p', OPTION_TEXT, AT(process), "FILE", NULL,
	  "read the process object from this file; the COMMAND\n"
	  "and the options that describe it are then not used" },
	{ "tty", 't', OPTION_FLAG, AT(tty), NULL, NULL, "give it a terminal" },
	{ "detach", 'd', OPTION_FLAG, AT(detach), NULL, NULL, "do not wait for its end" },
	{ "pid-file", 0, OPTION_TEXT, AT(pid_file), "FILE", NULL,
	  "write its process id to this file" },
	{ "console-socket", 0, OPTION_TEXT, AT(console_socket), "SOCKET", NULL,
	  "socket that is sent the master of its terminal" },
	{ "cwd", 0, OPTION_TEXT, AT(cwd), "DIR", NULL, "its folder, in the container" },
	{ "env", 'e', OPTION_LIST, AT(env), "NAME=VALUE", NULL,
	  "add to its environment; may be repeated" },
	{ "user", 'u', OPTION_TEXT, AT(user), "UID[:GID]", NULL, "its user and group" },
	{ "additional-gids", 'g', OPTION_LIST, AT(additional_gids), "GID", NULL,
	  "add a group, or several with commas between; may be\nrepeated" },
	{ "cap", 'c', OPTION_LIST, AT(caps), "CAP", NULL, "add a capability; may be repeated" },
	{ "no-new-privs", 0, OPTION_FLAG, AT(no_new_privs), NULL, NULL,
	  "let no program that it runs give it more privileges" },
	{ "apparmor", 0, OPTION_TEXT, AT(apparmor), "PROFILE", NULL, "its AppArmor profile" },
	{ "process-label", 0, OPTION_TEXT, AT(process_label), "LABEL", NULL, "its SELinux label" },
	{ "cgroup", 0, OPTION_TEXT, AT(cgroup), "PATH", NULL,
	  "run it in a cgroup below the container's" },
	{ "preserve-fds", 0, OPTION_COUNT, AT(preserve_fds), "N", NULL,
	  "let it inherit N descriptors from 3 on, after those\n"
	  "of $LISTEN_FDS (default 0)" },
	{ "ignore-paused", 0, OPTION_FLAG, AT(ignore_paused), NULL, NULL,
	  "also when the container is paused: it waits then" },
	{ "no-subreaper", 0, OPTION_IGNORED, 0, NULL, NULL, "ignored: there never is a subreaper" },
	{ 0 },
};
#undef AT

/* Each row of the list is a number, or several with commas between. */
static int parse_gids(const struct text_list *list, uint32_t **ret_gids, size_t *ret_count,
		      struct err *err)
{
	cleanup_free uint32_t *gids = NULL;
	size_t most = 0;
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		most += strlen(list->items[i]) / 2 + 1;
	gids = calloc(most + 1, sizeof(*gids));
	if (!gids)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++) {
		const char *at = list->items[i];
		uint64_t gid;
		char *end;

		for (;; at = end + 1) {
			/* The last number means "unchanged" to the kernel. */
			if (!number_take(at, &end, &gid) || gid >= UINT32_MAX ||
			    (*end && *end != ','))
				return err_set(err, -EINVAL,
					       "option --additional-gids: '%s' is no group",
					       list->items[i]);
			gids[count++] = (uint32_t)gid;
			if (!*end)
				break;
		}
	}
	*ret_gids = TAKE_PTR(gids);
	*ret_count = count;
	return 0;
}

static struct oci_exec_options library_options(const struct values *values,
					       const struct arguments *arguments)
{
	const unsigned int listen_fds = listen_fds_from_environment();

	return (struct oci_exec_options){
		.id = arguments->items[0],
		.process_path = values->process,
		.args = values->process ? NULL : (const char *const *)arguments->items + 1,
		.env = values->env.items,
		.cwd = values->cwd,
		.user = values->user,
		.caps = values->caps.items,
		.apparmor = values->apparmor,
		.process_label = values->process_label,
		.no_new_privs = values->no_new_privs,
		.tty = values->tty,
		.detach = values->detach,
		.ignore_paused = values->ignore_paused,
		.pid_file = values->pid_file,
		.console_socket = values->console_socket,
		.cgroup = values->cgroup,
		.terminal_fd = -1,
		.preserve_fds = values->preserve_fds + listen_fds,
		.listen_fds = listen_fds,
	};
}

static int exec(struct cli *cli, const struct values *values, const struct arguments *arguments)
{
	struct oci_exec_options library = library_options(values, arguments);
	cleanup_free uint32_t *gids = NULL;
	struct err err = { 0 };
	int status = EXIT_SUCCESS;
	int r;

	r = parse_gids(&values->additional_gids, &gids, &library.additional_gid_count, &err);
	if (r < 0)
		return cli_fail(cli, &err);
	library.additional_gids = gids;
	if (!values->detach && !values->console_socket)
		library.terminal_fd = cli_terminal(cli);
	r = oci_exec(&cli->runtime, &library, &status, &err);
	terminal_restore(&cli->terminal);
	return r < 0 ? cli_fail(cli, &err) : status;
}

static void cleanup_values_p(struct values *values)
{
	free(values->env.items);
	free(values->caps.items);
	free(values->additional_gids.items);
}

static int run(struct cli *cli, struct arguments *arguments)
{
	__attribute__((cleanup(cleanup_values_p))) struct values values = { 0 };
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	if (!values.process && arguments->count < 2)
		return cli_usage(cli, "a command is missing, or --process");
	return exec(cli, &values, arguments);
}

const struct verb verb_exec = {
	.name = "exec",
	.summary = "run one more process in a container",
	.arguments = "ID COMMAND [ARGUMENT]...",
	.description =
		"Runs a process in a running container, by the settings of the container's own\n"
		"where no option says otherwise. Options go before ID. Exits as the process does,\n"
		"with 128 + N when signal N ended it; with 255 when it could not be run.",
	.options = options,
	.least = 1,
	.most = -1,
	.failure = EXIT_EXEC_FAILED,
	.in_order = true,
	.starts_processes = true,
	.takes_id = true,
	.run = run,
};
