/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper build: a function's template over a base, without a boot.
 *
 * The base is a guest that waits at the doorbell for its first order. It is given the function's
 * files and the container's configuration, one order for each READY, and captured when the function
 * has arrived at its first next(): base and image are shared with it, only what differs is new.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "files.h"
#include "guest.h"

struct build_options {
	/* In the order of their numbers below. */
	const char *create, *files, *image, *snapshot, *function, *inputs, *wake, *request;
	const char *base;
	unsigned int warm_up;
	struct guest_options guest;
};

struct build {
	const struct build_options *options;
	struct template *base;	   /* owned */
	struct shared_file image;  /* fd is owned; -1: none */
	int files_fd;		   /* owned; -1: none */
	uint8_t *create, *request; /* owned */
	size_t create_bytes, request_bytes;
	struct guest guest;
};

static const char help[] =
	"usage: lumper build BASE --create FILE --snapshot DIR --function NAME [OPTIONS]\n"
	"\n"
	"  --create FILE       what the guest makes the container of: a CREATE order, that is\n"
	"                      struct mailbox_create and an OCI config.json\n"
	"  --files DIR         the tree that goes below the container's root\n"
	"  --image FILE        the container's root: an erofs file of whole 2 MiB\n"
	"  --snapshot DIR      write the template to DIR when the function is at its first next()\n"
	"  --function NAME     name to record in the template\n"
	"  --inputs DIGEST     digest of what went into the template, to record in it\n"
	"  --wake run0|direct  who stops at the doorbell (default run0)\n"
	"  --warm-up N         let the function answer N requests before the snapshot\n"
	"  --request TEXT|@FILE  what they are (default: empty)\n"
	"  --input             feed stdin to the guest's console (Ctrl-A x ends the VM)\n"
	"  --quiet             drop the guest's console output\n"
	"  --timeout SECONDS   give up (exit code 124) when it takes longer\n"
	"\n"
	"BASE is a template without a function. The guest's console goes to standard output.\n"
	"Exit codes: 0 captured, 3 the function failed, 5 base refused, 6 no such base or file,\n"
	"10 power-off, 11 reset, 12 kernel panic, 13 triple fault, 14 unhandled exit.\n";

enum {
	OPT_CREATE = OPT_VERB, OPT_FILES, OPT_IMAGE, OPT_SNAPSHOT, OPT_FUNCTION, OPT_INPUTS,
	OPT_WAKE, OPT_REQUEST, OPT_TEXTS, OPT_WARM_UP = OPT_TEXTS,
};

static const struct option long_options[] = {
	{ "create", required_argument, NULL, OPT_CREATE },
	{ "files", required_argument, NULL, OPT_FILES },
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "function", required_argument, NULL, OPT_FUNCTION },
	{ "inputs", required_argument, NULL, OPT_INPUTS },
	{ "wake", required_argument, NULL, OPT_WAKE },
	{ "warm-up", required_argument, NULL, OPT_WARM_UP },
	{ "request", required_argument, NULL, OPT_REQUEST },
	GUEST_LONG_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool parse_option(void *context, int option)
{
	struct build_options *options = context;
	const char **texts[] = {
		&options->create,   &options->files,  &options->image, &options->snapshot,
		&options->function, &options->inputs, &options->wake,  &options->request,
	};
	uint64_t number = 0;

	_Static_assert(ARRAY_SIZE(texts) == OPT_TEXTS - OPT_VERB, "an option without a text");
	if (option >= OPT_VERB && option < OPT_TEXTS) {
		*texts[option - OPT_VERB] = optarg;
		return true;
	}
	if (option != OPT_WARM_UP)
		return guest_option(&options->guest, option);
	if (!option_number("warm-up", optarg, 0, 1000000, &number))
		return false;
	options->warm_up = (unsigned int)number;
	return true;
}

static int parse_options(struct build_options *options, int argc, char **argv)
{
	int code = options_parse(argc, argv, long_options, help, parse_option, options);

	if (code >= 0)
		return code;
	if (optind + 1 != argc)
		return fail(EXIT_USAGE, "it takes one base folder (see lumper build --help)");
	options->base = argv[optind];
	if (!options->create || !options->snapshot || !options->function)
		return fail(EXIT_USAGE, "--create, --snapshot and --function are needed");
	if (!options->wake)
		options->wake = "run0";
	if (strcmp(options->wake, "run0") != 0 && strcmp(options->wake, "direct") != 0)
		return fail(EXIT_USAGE, "--wake takes run0 or direct, not '%s'", options->wake);
	if (options->request && !options->warm_up)
		return fail(EXIT_USAGE, "--request needs --warm-up");
	return -1;
}

static bool wakes_directly(const struct build *build)
{
	return strcmp(build->options->wake, "direct") == 0;
}

/* --- what goes in ------------------------------------------------------------------------- */

/* An exit code, or -1. A FIFO must not let us wait. */
static int open_input(const char *path, int flags, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);

	if (fd < 0)
		return fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_ERROR, "cannot open '%s': %s",
			    path, strerror(errno));
	*ret_fd = fd;
	return -1;
}

/* The guest is told by its flags what the options tell us: who wakes, and whether to mount the
 * image. */
static int check_create(const struct build *build)
{
	struct mailbox_create create;
	struct err err = {};

	if (mailbox_create_check(build->create, build->create_bytes, &create, &err) < 0)
		return fail(EXIT_ERROR, "'%s': %s", build->options->create, err.message);
	if (!(create.flags & MAILBOX_CREATE_DIRECT) == wakes_directly(build))
		return fail(EXIT_ERROR, "'%s' is not for --wake %s", build->options->create,
			    build->options->wake);
	if (!(create.flags & MAILBOX_CREATE_IMAGE) == (build->image.fd >= 0))
		return fail(EXIT_ERROR, "'%s' is for a container %s an image",
			    build->options->create, build->image.fd >= 0 ? "without" : "with");
	return -1;
}

static int read_texts(struct build *build)
{
	const struct build_options *options = build->options;
	const char *request = options->request ? options->request : "";
	struct err err = {};
	int r;

	r = file_read(options->create, MAILBOX_REQUEST_MAX, &build->create, &build->create_bytes,
		      &err);
	if (r == 0)
		r = option_data(request, &build->request, &build->request_bytes, &err);
	if (r < 0)
		return fail(r == -ENOENT ? EXIT_NOT_FOUND : EXIT_ERROR, "%s", err.message);
	return -1;
}

static int open_image(struct build *build)
{
	struct shared_file image = {};
	struct err err = {};
	int fd = -1, code = open_input(build->options->image, 0, &fd);

	if (code >= 0)
		return code;
	build->image.fd = fd;
	if (shared_file_digest(fd, &image, &err) < 0)
		return fail(EXIT_ERROR, "'%s': %s", build->options->image, err.message);
	image.fd = fd;
	build->image = image;
	return -1;
}

static int open_base(struct build *build)
{
	const char *folder = build->options->base;
	const struct manifest *manifest;
	int code = guest_open_template(&build->base, folder);

	if (code >= 0)
		return code;
	manifest = template_manifest(build->base);
	if (manifest->base.name[0] || manifest->wake[0])
		return fail(EXIT_REFUSED, "'%s' is a function's template, not a base", folder);
	if (!manifest->mailbox_gpa)
		return fail(EXIT_REFUSED, "'%s' has no mailbox, so it takes no orders", folder);
	return -1;
}

static int open_inputs(struct build *build)
{
	const struct build_options *options = build->options;
	int code = open_base(build);

	if (code < 0 && options->image)
		code = open_image(build);
	if (code < 0 && options->files)
		code = open_input(options->files, O_DIRECTORY, &build->files_fd);
	if (code < 0)
		code = read_texts(build);
	return code < 0 ? check_create(build) : code;
}

/* --- the guest ---------------------------------------------------------------------------- */

/* A base knows no image: the guest's driver finds what is mapped when it is loaded. */
static int restore_base(struct build *build, struct err *err)
{
	struct restore_config config = {};
	int r;

	restore_config_of(build->base, &config);
	config.state = template_state(build->base);
	config.mailbox_fd = -1;
	config.timers = VM_TIMERS_DUE;
	r = snapshot_restore(build->guest.vm, &config, err);
	if (r == 0 && build->image.fd >= 0)
		r = vm_image_map(build->guest.vm, build->image.fd, build->image.bytes, err);
	return r;
}

static int start(struct build *build)
{
	const struct guest_options *options = &build->options->guest;
	struct err err = {};
	int code = guest_new_like(&build->guest, build->base, options, STDOUT_FILENO);

	if (code >= 0)
		return code;
	if (restore_base(build, &err) < 0)
		return fail(err.code == -ENOTSUP ? EXIT_REFUSED : EXIT_ERROR, "%s", err.message);
	if (guest_jail(&build->guest, options, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return -1;
}

/* Carries an order out that lies in the mailbox: -1 when the guest is back at READY. */
static int run_order(struct build *build, const char *what)
{
	unsigned int rung;
	int code = guest_run_until(&build->guest, 1u << DOORBELL_READY | 1u << DOORBELL_FAILED,
				   &rung);

	if (code >= 0 || rung == DOORBELL_READY)
		return code;
	guest_last_words(&build->guest);
	return guest_fail(&build->guest, EXIT_FUNCTION_FAILED, what);
}

/* files_take: 0, -errno, or the exit code for a guest that did not take it, which is positive. */
static int send_file(void *context, const struct mailbox_file *file, const char *path,
		     const void *data, struct err *err)
{
	struct build *build = context;
	struct guest *guest = &build->guest;
	unsigned int rung;
	void *mailbox;
	int code, r;

	if ((r = guest_mailbox(guest, &mailbox, err)) < 0 ||
	    (r = mailbox_file_write(mailbox, &guest->identity, ++guest->sequence, file, path, data,
				    err)) < 0)
		return r;
	code = guest_run_until(guest, 1u << DOORBELL_READY | 1u << DOORBELL_FAILED, &rung);
	if (code < 0 && rung == DOORBELL_FAILED)
		code = guest_fail(guest, EXIT_ERROR, "the guest does not take the files");
	return code < 0 ? 0 : code;
}

static int send_files(struct build *build)
{
	struct err err = {};
	int r = build->files_fd < 0 ? 0 : files_walk(build->files_fd, send_file, build, &err);

	if (r < 0)
		return fail(EXIT_ERROR, "'%s': %s", build->options->files, err.message);
	return r > 0 ? r : -1;
}

static int create(struct build *build)
{
	struct err err = {};

	if (guest_order(&build->guest, MAILBOX_ORDER_CREATE, build->create, build->create_bytes,
			&err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return run_order(build, "the function did not start");
}

/* One request, and on to the READY that follows its answer. */
static int warm_up_once(struct build *build)
{
	struct guest *guest = &build->guest;
	struct err err = {};
	unsigned int rung;
	int code;

	if (guest_order(guest, MAILBOX_ORDER_REQUEST, build->request, build->request_bytes,
			&err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	code = guest_run_until(guest, 1u << DOORBELL_DONE | 1u << DOORBELL_FAILED, &rung);
	if (code < 0 && rung == DOORBELL_FAILED)
		code = guest_fail(guest, EXIT_FUNCTION_FAILED,
				  "the function failed a warm-up request");
	return code >= 0 ? code : run_order(build, "the function failed after a warm-up request");
}

/* A function that has answered stops at the doorbell by itself: run0 has to take over again. */
static int warm_up(struct build *build)
{
	struct err err = {};
	int code = -1;

	for (unsigned int i = 0; i < build->options->warm_up && code < 0; i++)
		code = warm_up_once(build);
	if (code >= 0 || !build->options->warm_up || wakes_directly(build))
		return code;
	if (guest_order(&build->guest, MAILBOX_ORDER_SLEEP, NULL, 0, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return run_order(build, "the function did not go back to sleep");
}

/* --- the template ------------------------------------------------------------------------- */

static void describe(const struct build *build, struct manifest *description)
{
	const struct build_options *options = build->options;
	const struct manifest *base = template_manifest(build->base);
	const struct manifest_text texts[] = {
		MANIFEST_TEXT(description->function, options->function),
		MANIFEST_TEXT(description->inputs, options->inputs),
		MANIFEST_TEXT(description->wake, options->wake),
		MANIFEST_TEXT(description->kernel, base->kernel),
		MANIFEST_TEXT(description->cmdline, base->cmdline),
	};

	manifest_describe(description, texts, ARRAY_SIZE(texts));
}

/* An extent costs a restore 30,000 instructions, a tenth of all that a direct start is. So its
 * template is whole: more on the disk, for one mapping. */
static int capture(struct build *build)
{
	const struct shared_file base = shared_file_of(&template_manifest(build->base)->memory,
						       template_memory_fd(build->base));
	struct manifest description = {};
	const struct capture_config config = {
		.folder = build->options->snapshot,
		.description = &description,
		.base = wakes_directly(build) ? NULL : &base,
		.mapped = &base,
		.image = build->image.fd >= 0 ? &build->image : NULL,
	};
	struct err err = {};

	describe(build, &description);
	if (snapshot_capture(build->guest.vm, &config, &err) < 0)
		return fail(EXIT_ERROR, "%s", err.message);
	return EXIT_OK;
}

static int build_template(struct build *build)
{
	static int (*const steps[])(struct build *build) = {
		open_inputs, start, send_files, create, warm_up, capture,
	};
	int code = -1;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && code < 0; i++)
		code = steps[i](build);
	return code;
}

int cmd_build(int argc, char **argv)
{
	struct build_options options = {};
	struct build build = { .options = &options, .image.fd = -1, .files_fd = -1 };
	int code = parse_options(&options, argc, argv);

	if (code >= 0)
		return code;
	code = build_template(&build);
	guest_done(&build.guest);
	(void)template_free(build.base);
	(void)fd_close(build.image.fd);
	(void)fd_close(build.files_fd);
	free(build.create);
	free(build.request);
	return code;
}
