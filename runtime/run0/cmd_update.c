/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 update: other limits for a container that exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"
#include "resources.h"

enum { RESOURCES_FILE_MAX = 1 << 20 };

struct values {
	const char *resources, *kernel_memory, *kernel_memory_tcp;
	struct resource_options single;
};

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "resources", 'r', OPTION_TEXT, AT(resources), "FILE", NULL,
	  "read a linux.resources object from this file, or\n"
	  "from standard input when it is -; the options below\n"
	  "are then not used" },
	{ "blkio-weight", 0, OPTION_TEXT, AT(single.blkio_weight), "N", NULL,
	  "weight of its block I/O, 10 to 1000" },
	{ "cpu-period", 0, OPTION_TEXT, AT(single.cpu_period), "US", NULL,
	  "period of the CPU limit, in microseconds" },
	{ "cpu-quota", 0, OPTION_TEXT, AT(single.cpu_quota), "US", NULL,
	  "CPU time in a period; -1: no limit" },
	{ "cpu-burst", 0, OPTION_TEXT, AT(single.cpu_burst), "US", NULL,
	  "unused CPU time that may be used in a later period" },
	{ "cpu-share", 0, OPTION_TEXT, AT(single.cpu_share), "N", NULL, "weight of its CPU time" },
	{ "cpu-rt-period", 0, OPTION_TEXT, AT(single.cpu_rt_period), "US", NULL,
	  "period of the real-time limit" },
	{ "cpu-rt-runtime", 0, OPTION_TEXT, AT(single.cpu_rt_runtime), "US", NULL,
	  "real-time CPU time in a period; -1: no limit" },
	{ "cpu-idle", 0, OPTION_TEXT, AT(single.cpu_idle), "N", "0 1",
	  "1: only CPU time that nobody else wants; 0: not so" },
	{ "cpuset-cpus", 0, OPTION_TEXT, AT(single.cpuset_cpus), "LIST", NULL,
	  "CPUs that it may use: 0-3,7" },
	{ "cpuset-mems", 0, OPTION_TEXT, AT(single.cpuset_mems), "LIST", NULL,
	  "memory nodes that it may use" },
	{ "memory", 0, OPTION_TEXT, AT(single.memory), "BYTES", NULL,
	  "memory limit; k, m, g may follow; -1: no limit" },
	{ "memory-reservation", 0, OPTION_TEXT, AT(single.memory_reservation), "BYTES", NULL,
	  "memory that it keeps when memory is short" },
	{ "memory-swap", 0, OPTION_TEXT, AT(single.memory_swap), "BYTES", NULL,
	  "limit of memory and swap together; -1: no limit" },
	{ "pids-limit", 0, OPTION_TEXT, AT(single.pids_limit), "N", NULL,
	  "how many processes it may have; -1: no limit" },
	{ "kernel-memory", 0, OPTION_TEXT, AT(kernel_memory), "BYTES", NULL,
	  "ignored: Linux has no such limit any more" },
	{ "kernel-memory-tcp", 0, OPTION_TEXT, AT(kernel_memory_tcp), "BYTES", NULL,
	  "ignored: the same" },
	{ 0 },
};
#undef AT

/* Any kind of file: a pipe on standard input above all. */
static int read_all(int fd, char *to, size_t size, size_t *ret_bytes)
{
	size_t bytes = 0;
	ssize_t n;

	do {
		n = read(fd, to + bytes, size - bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += (size_t)n;
	} while (n != 0 && bytes < size);
	*ret_bytes = bytes;
	return bytes == size ? -EFBIG : 0;
}

static int read_resources(const char *path, char **ret_json, size_t *ret_bytes, struct err *err)
{
	const bool is_stdin = strcmp(path, "-") == 0;
	cleanup_free char *json = malloc(RESOURCES_FILE_MAX);
	cleanup_fd int opened = -1;
	int r;

	if (!json)
		return err_set(err, -ENOMEM, "out of memory");
	if (!is_stdin)
		opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (!is_stdin && opened < 0)
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	r = read_all(is_stdin ? STDIN_FILENO : opened, json, RESOURCES_FILE_MAX, ret_bytes);
	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", path, strerror(-r));
	*ret_json = TAKE_PTR(json);
	return 0;
}

static int run(struct cli *cli, struct arguments *arguments)
{
	char single[RESOURCES_JSON_BYTES];
	cleanup_free char *json = NULL;
	struct values values = { 0 };
	struct err err = { 0 };
	size_t bytes = 0;
	int status;
	int r;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	if (values.resources)
		r = read_resources(values.resources, &json, &bytes, &err);
	else
		r = resources_json(&values.single, single, &bytes, &err);
	if (r < 0)
		return cli_fail(cli, &err);
	if (values.kernel_memory || values.kernel_memory_tcp)
		cli_warn(cli,
			 "option --kernel-memory is ignored: Linux has no such limit any more");
	r = oci_update(&cli->runtime, arguments->items[0], json ? json : single, bytes, &err);
	return cli_result(cli, r, &err);
}

const struct verb verb_update = {
	.name = "update",
	.summary = "change the limits of a container",
	.arguments = "ID",
	.description =
		"Changes limits of a container, which goes on meanwhile. Limits that are not\n"
		"named stay as they are.",
	.options = options,
	.least = 1,
	.most = 1,
	.takes_id = true,
	.run = run,
};
