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
	CONSOLE_MAX_BYTES = 16 << 20,
	CONSOLE_SHOWN_LINES = 20,
	STALE_AFTER_S = 600, /* well before VM_CLOCK_AGE_MAX_NS, so that it serves for a while */
	TIMEOUT_GRACE_S = 15, /* lumper's own time-out, inside the rig, comes first */
};

struct numbers {
	char memory[16], vcpus[16], timeout[16];
};

static struct numbers numbers_of(const struct bake *bake)
{
	struct numbers numbers;

	(void)snprintf(numbers.memory, sizeof(numbers.memory), "%u", bake->memory_mib);
	(void)snprintf(numbers.vcpus, sizeof(numbers.vcpus), "%u", bake->vcpus);
	(void)snprintf(numbers.timeout, sizeof(numbers.timeout), "%u", bake->timeout_s);
	return numbers;
}

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
	const char *label;  /* for the progress line */
	const char *output; /* path of a file for its standard output */
	bool hide_errors;   /* standard error goes there too */
	struct args args;
};

/* Runs lumper where micro-VMs run. */
static int run_lumper(const struct cli *cli, const struct bake *bake, const struct lumper_run *run)
{
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = open(run->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct child_config config = {
		.in = null,
		.out = cli->verbose ? STDERR_FILENO : out,
		.err = run->hide_errors && !cli->verbose ? out : -1,
		.timeout_s = bake->timeout_s + TIMEOUT_GRACE_S,
	};
	struct progress progress;
	struct args args = {0};
	struct err err = {0};
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
	args_add_all(&args, run->args.items, run->args.count);
	progress_begin(&progress, run->label, cli->quiet);
	r = child_run(&args, &config, &code, &err);
	progress_end(&progress);
	return r < 0 ? cli_fail(&err) : code;
}

static int write_request(const char *path, const struct request *request, struct err *err)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : file_write_all(fd, request->data, request->bytes);

	return r < 0 ? err_set(err, r, "cannot write '%s': %s", path, strerror(-r)) : 0;
}

int template_bake(const struct cli *cli, const struct bake *bake)
{
	const struct numbers numbers = numbers_of(bake);
	cleanup_free char *console = NULL;
	struct lumper_run run = {.label = "booting the function and taking its snapshot"};
	struct err err = {0};
	char cmdline[CMDLINE_MAX];
	int code;

	if (guest_cmdline(cmdline, sizeof(cmdline), &err) < 0)
		return cli_fail(&err);
	if (asprintf(&console, "%s/console", bake->workdir) < 0)
		return EXIT_ERROR;
	run.output = console;
	ARGS_ADD(&run.args, cli->paths.lumper, "boot", "--kernel", bake->kernel, "--initrd",
		 bake->initrd, "--cmdline", cmdline, "--memory", numbers.memory, "--vcpus",
		 numbers.vcpus, "--cpu", cpu_template_name(bake->cpu_template), "--snapshot",
		 bake->folder, "--function", bake->name, "--inputs", bake->inputs, "--timeout",
		 numbers.timeout);
	code = run_lumper(cli, bake, &run);
	if (code == EXIT_OK)
		return code;
	show_end("the guest", console);
	(void)err_set(&err, -EIO, "template '%s' was not made (lumper's exit code %d)", bake->name,
		      code);
	return cli_fail_as(exit_code_of_lumper(code), &err);
}

int template_record(const struct cli *cli, const struct bake *bake, const struct request *sample)
{
	const struct numbers numbers = numbers_of(bake);
	cleanup_free char *request = NULL, *response = NULL;
	struct lumper_run run = {.label = "recording the working set", .hide_errors = true};
	struct err err = {0};
	int code;

	/* The file's name follows an '@' in lumper's option. */
	if (asprintf(&request, "@%s/request", bake->workdir) < 0 ||
	    asprintf(&response, "%s/response", bake->workdir) < 0)
		return EXIT_ERROR;
	if (write_request(request + 1, sample, &err) < 0)
		return cli_fail(&err);
	run.output = response;
	ARGS_ADD(&run.args, cli->paths.lumper, "restore", bake->folder, "--record", "--request",
		 request, "--quiet", "--timeout", numbers.timeout);
	code = run_lumper(cli, bake, &run);
	if (code == EXIT_OK)
		return code;
	show_end("lumper", response);
	if (code == EXIT_FUNCTION_FAILED) {
		cli_say(cli, "the function failed the sample request, so no working set is "
			     "recorded: name a request that it answers with --sample");
		return EXIT_OK;
	}
	(void)err_set(&err, -EIO,
		      "the working set of '%s' was not recorded (lumper's exit code %d)",
		      bake->name, code);
	return cli_fail_as(exit_code_of_lumper(code), &err);
}

/* A clock that was set back makes the age unknown. */
bool template_is_stale(const struct template *template)
{
	uint64_t taken = template_manifest(template)->realtime_ns;
	uint64_t now = clock_ns(CLOCK_REALTIME);

	return now < taken || now - taken > STALE_AFTER_S * 1000000000ull;
}

int template_refresh(const struct cli *cli, const struct bake *bake)
{
	const struct numbers numbers = numbers_of(bake);
	cleanup_free char *console = NULL;
	struct lumper_run run = {.label = "refreshing the template's clock", .hide_errors = true};
	struct err err = {0};
	int code;

	if (asprintf(&console, "%s/console", bake->workdir) < 0)
		return EXIT_ERROR;
	run.output = console;
	ARGS_ADD(&run.args, cli->paths.lumper, "restore", bake->folder, "--refresh", "--quiet",
		 "--timeout", numbers.timeout);
	code = run_lumper(cli, bake, &run);
	if (code == EXIT_OK)
		return code;
	show_end("lumper", console);
	(void)err_set(&err, -EIO, "template '%s' was not refreshed (lumper's exit code %d)",
		      bake->name, code);
	return cli_fail_as(exit_code_of_lumper(code), &err);
}
