/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 spec: a config.json to start from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "file.h"

#define CONFIG_FILE "config.json"

struct values {
	const char *bundle;
	bool rootless;
};

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "bundle", 'b', OPTION_TEXT, AT(bundle), "DIR", NULL,
	  "where to write it (default: the current folder)" },
	{ "rootless", 0, OPTION_FLAG, AT(rootless), NULL, NULL,
	  "for a container that an ordinary user can run" },
	{ 0 },
};
#undef AT

static int write_whole(int folder, const char *json, struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	/* Nobody's config is overwritten, nor written through a link. */
	fd = openat(folder, CONFIG_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, -EEXIST, "File " CONFIG_FILE " exists. Remove it first");
	if (fd < 0)
		return err_set(err, -errno, "cannot make " CONFIG_FILE ": %s", strerror(errno));
	r = file_write_all(fd, json, strlen(json));
	if (r == 0 && close(TAKE_FD(fd)) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	(void)unlinkat(folder, CONFIG_FILE, 0);
	return err_set(err, r, "cannot write " CONFIG_FILE ": %s", strerror(-r));
}

static int write_config(const char *bundle, const char *json, struct err *err)
{
	cleanup_fd int folder = -1;
	cleanup_free char *line = NULL;

	folder = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_set(err, -errno, "cannot open the bundle '%s': %s", bundle,
			       strerror(errno));
	if (!json || asprintf(&line, "%s\n", json) < 0) {
		line = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	return write_whole(folder, line, err);
}

static int run(struct cli *cli, struct arguments *arguments)
{
	cleanup_free char *json = NULL;
	struct values values = { 0 };
	struct err err = { 0 };
	int status;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	json = oci_default_spec_json(values.rootless);
	return cli_result(cli, write_config(values.bundle ? values.bundle : ".", json, &err), &err);
}

const struct verb verb_spec = {
	.name = "spec",
	.summary = "write a config.json to start from",
	.arguments = "",
	.description =
		"Writes config.json, for a container that runs a shell in the folder rootfs.\n"
		"One that is there is left alone.",
	.options = options,
	.run = run,
};
