/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driving lumper to make a template.
 */
#include "bake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "child.h"
#include "clock.h"
#include "file.h"
#include "format.h"
#include "guest_cmdline.h"
#include "progress.h"
#include "rig.h"
#include "text.h"

enum {
	CMDLINE_MAX = 512,
	NUMBER_MAX = 16,
	CONSOLE_MAX_BYTES = 16 << 20,
	CONSOLE_SHOWN_LINES = 20,
	STALE_AFTER_S = 600, /* well before VM_CLOCK_AGE_MAX_NS, so that it serves for a while */
	TIMEOUT_GRACE_S = 15, /* lumper's own time-out, inside the rig, comes first */
};

/* The last lines of what the guest or lumper printed tell most often what went wrong. */
static void show_end(const char *whose, const char *path)
{
	cleanup_free uint8_t *text = NULL;
	const char *from;
	size_t bytes;
	int lines = 0;

	if (file_read(path, CONSOLE_MAX_BYTES, &text, &bytes, NULL) < 0 || bytes == 0)
		return;
	from = (const char *)text + bytes;
	while (from > (const char *)text && (from[-1] != '\n' || lines++ < CONSOLE_SHOWN_LINES))
		from--;
	fprintf(stderr, "quark: last words of %s:\n", whose);
	text_write_clean(stderr, from, (size_t)((const char *)text + bytes - from));
}

/* lumper's codes for the ways a guest ends are one to us; a signal that killed it is a plain
 * error. */
static int exit_code_of_lumper(int code)
{
	if (code > 128)
		return EXIT_ERROR;
	return code >= EXIT_GUEST_POWEROFF && code <= EXIT_GUEST_UNHANDLED ? EXIT_GUEST_DIED : code;
}

struct lumper_run {
	const char *label;	/* for the progress line */
	const char *output;	/* path of a file for its standard output */
	bool hide_errors;	/* standard error goes there too */
	unsigned int timeout_s; /* lumper's own; we wait a while longer */
	struct args args;
};

/* Runs lumper where micro-VMs run. */
static int run_lumper(const struct cli *cli, const struct lumper_run *run)
{
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = open(run->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct child_config config = {
		.in = null,
		.out = cli->verbose ? STDERR_FILENO : out,
		.err = run->hide_errors && !cli->verbose ? out : -1,
		.timeout_s = run->timeout_s + TIMEOUT_GRACE_S,
	};
	struct progress progress;
	struct args args = {0};
	struct err err = {0};
	char timeout[NUMBER_MAX];
	int code = EXIT_ERROR;
	int r;

	if (null < 0 || out < 0) {
		(void)err_set(&err, -errno, "cannot open '%s': %s", run->output, strerror(errno));
		return cli_fail_as(EXIT_ERROR, &err);
	}
	if (cli->mode == HOST_MODE_RIG) {
		if (rig_ensure(cli, &err) < 0)
			return cli_fail(&err);
		rig_add_exec(cli, &args);
	}
	(void)snprintf(timeout, sizeof(timeout), "%u", run->timeout_s);
	args_add_all(&args, run->args.items, run->args.count);
	ARGS_ADD(&args, "--timeout", timeout);
	progress_begin(&progress, run->label, cli->quiet);
	r = child_run(&args, &config, &code, &err);
	progress_end(&progress);
	return r < 0 ? cli_fail(&err) : code;
}

/* Says what did not come about, after the last words of whoever was to do it; with --verbose these
 * have been said. */
static int fail_run(const struct cli *cli, const struct lumper_run *run, const char *whose,
		    int code, const char *what, const char *name)
{
	struct err err = {0};

	if (!cli->verbose)
		show_end(whose, run->output);
	(void)err_set(&err, -EIO, "%s '%s' was not made (lumper's exit code %d)", what, name, code);
	return cli_fail_as(exit_code_of_lumper(code), &err);
}

static int write_request(const char *path, const struct request *request, struct err *err)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : file_write_all(fd, request->data, request->bytes);

	return r < 0 ? err_set(err, r, "cannot write '%s': %s", path, strerror(-r)) : 0;
}

int base_bake(const struct cli *cli, const struct bake_base *bake)
{
	cleanup_free char *console = NULL;
	struct lumper_run run = {
		.label = "booting the base and taking its snapshot",
		.timeout_s = bake->timeout_s,
	};
	char cmdline[CMDLINE_MAX], memory[NUMBER_MAX], vcpus[NUMBER_MAX];
	struct err err = {0};
	int code;

	if (guest_cmdline(cmdline, sizeof(cmdline), &err) < 0)
		return cli_fail(&err);
	if (asprintf(&console, "%s/console", bake->workdir) < 0)
		return EXIT_ERROR;
	run.output = console;
	(void)snprintf(memory, sizeof(memory), "%u", bake->memory_mib);
	(void)snprintf(vcpus, sizeof(vcpus), "%u", bake->vcpus);
	ARGS_ADD(&run.args, cli->paths.lumper, "boot", "--kernel", bake->kernel, "--initrd",
		 bake->initrd, "--cmdline", cmdline, "--memory", memory, "--vcpus", vcpus, "--cpu",
		 cpu_template_name(bake->cpu_template), "--snapshot", bake->folder, "--inputs",
		 bake->inputs);
	code = run_lumper(cli, &run);
	if (code == EXIT_OK)
		return code;
	return fail_run(cli, &run, "the guest", code, "the base in", bake->folder);
}

/* What a file of `bake->workdir` holds is given to lumper as @FILE. */
static int add_request(const struct bake *bake, const struct request *request, char **ret_word,
		       struct err *err)
{
	if (asprintf(ret_word, "@%s/request", bake->workdir) < 0) {
		*ret_word = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	return write_request(*ret_word + 1, request, err);
}

static void add_optional(struct args *args, const char *name, const char *value)
{
	if (value)
		ARGS_ADD(args, name, value);
}

int template_bake(const struct cli *cli, const struct bake *bake)
{
	cleanup_free char *console = NULL, *request = NULL;
	struct lumper_run run = {
		.label = "starting the function and taking its snapshot",
		.timeout_s = bake->timeout_s,
	};
	char warm_up[NUMBER_MAX];
	struct err err = {0};
	int code;

	if (asprintf(&console, "%s/console", bake->workdir) < 0)
		return EXIT_ERROR;
	run.output = console;
	ARGS_ADD(&run.args, cli->paths.lumper, "build", bake->base, "--create", bake->create,
		 "--snapshot", bake->folder, "--function", bake->name, "--inputs", bake->inputs,
		 "--wake", bake->wake);
	add_optional(&run.args, "--image", bake->image);
	add_optional(&run.args, "--files", bake->files);
	if (bake->warm_up && bake->warm_up_count) {
		if (add_request(bake, bake->warm_up, &request, &err) < 0)
			return cli_fail(&err);
		(void)snprintf(warm_up, sizeof(warm_up), "%u", bake->warm_up_count);
		ARGS_ADD(&run.args, "--warm-up", warm_up, "--request", request);
	}
	code = run_lumper(cli, &run);
	if (code == EXIT_OK)
		return code;
	return fail_run(cli, &run, "the guest", code, "template", bake->name);
}

int template_record(const struct cli *cli, const struct bake *bake, const struct request *sample)
{
	cleanup_free char *request = NULL, *response = NULL;
	struct lumper_run run = {
		.label = "recording the working set",
		.hide_errors = true,
		.timeout_s = bake->timeout_s,
	};
	struct err err = {0};
	int code;

	if (asprintf(&response, "%s/response", bake->workdir) < 0)
		return EXIT_ERROR;
	if (add_request(bake, sample, &request, &err) < 0)
		return cli_fail(&err);
	run.output = response;
	ARGS_ADD(&run.args, cli->paths.lumper, "restore", bake->folder, "--record", "--request",
		 request, "--quiet");
	code = run_lumper(cli, &run);
	if (code == EXIT_OK)
		return code;
	if (code != EXIT_FUNCTION_FAILED)
		return fail_run(cli, &run, "lumper", code, "the working set of", bake->name);
	show_end("lumper", response);
	cli_say(cli, "the function failed the sample request, so no working set is recorded: name "
		     "a request that it answers with --sample");
	return EXIT_OK;
}

/* A clock that was set back makes the age unknown. */
bool template_is_stale(const struct template *template)
{
	uint64_t taken = template_manifest(template)->realtime_ns;
	uint64_t now = clock_ns(CLOCK_REALTIME);

	return now < taken || now - taken > STALE_AFTER_S * 1000000000ull;
}

/* Restores the template for what `verb` names, and captures it again. */
static int capture_again(const struct cli *cli, const struct bake *bake, const char *verb,
			 const char *label, const char *what)
{
	cleanup_free char *console = NULL;
	struct lumper_run run = {
		.label = label,
		.hide_errors = true,
		.timeout_s = bake->timeout_s,
	};
	int code;

	if (asprintf(&console, "%s/console", bake->workdir) < 0)
		return EXIT_ERROR;
	run.output = console;
	ARGS_ADD(&run.args, cli->paths.lumper, "restore", bake->folder, verb, "--quiet");
	code = run_lumper(cli, &run);
	if (code == EXIT_OK)
		return code;
	return fail_run(cli, &run, "lumper", code, what, bake->name);
}

int template_gather(const struct cli *cli, const struct bake *bake)
{
	return capture_again(cli, bake, "--gather", "gathering what a start touches",
			     "the gathered template");
}

int template_refresh(const struct cli *cli, const struct bake *bake)
{
	return capture_again(cli, bake, "--refresh", "refreshing the template's clock",
			     "a younger template");
}
