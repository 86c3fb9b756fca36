/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment's additions. HOME is from the image's /etc/passwd: a file of strangers, so it is
 * not read by the C library's modules, and bounded.
 */
#include "container/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "number.h"
#include "spec/spec.h"

enum { PASSWD_MAX_BYTES = 1 << 20, FIELDS = 7 };

static bool has_home(const struct oci_strings *env)
{
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], "HOME=", 5) == 0)
			return true;
	return false;
}

/* Not blocking on a FIFO that somebody has put there. */
static char *read_passwd(void)
{
	cleanup_fd int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	uint8_t *text = NULL;
	struct stat st;
	size_t bytes;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    file_read_fd(fd, PASSWD_MAX_BYTES, &text, &bytes) < 0)
		return NULL;
	return (char *)text;
}

/* name:password:uid:gid:comment:home:shell. The home of the line when its user is `uid`. */
static const char *home_of_line(char *line, uint32_t uid)
{
	char *fields[FIELDS] = {};
	uint64_t number;

	for (size_t i = 0; i < FIELDS && line; i++)
		fields[i] = strsep(&line, ":");
	if (!fields[5] || !number_parse(fields[2], 0, UINT32_MAX, &number) || number != uid)
		return NULL;
	return fields[5];
}

static const char *find_home(char *passwd, uint32_t uid)
{
	char *rest = passwd;

	while (rest) {
		const char *home = home_of_line(strsep(&rest, "\n"), uid);

		if (home && *home == '/')
			return home;
	}
	return "/";
}

static int add(struct oci_spec *spec, const char *name, const char *value, struct err *err)
{
	struct oci_strings *env = &spec->process->env;
	const char **items = spec_alloc(spec, (env->count + 2) * sizeof(*items));
	size_t bytes = strlen(name) + strlen(value) + 2, count = 0;
	char *pair = spec_alloc(spec, bytes);

	if (!pair || !items)
		return err_set(err, -ENOMEM, "out of memory");
	(void)snprintf(pair, bytes, "%s=%s", name, value);
	/* A client may have set it for another process. */
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], pair, strlen(name) + 1) != 0)
			items[count++] = env->items[i];
	items[count++] = pair;
	*env = (struct oci_strings){ .items = items, .count = count };
	return 0;
}

static int add_home(struct oci_spec *spec, struct err *err)
{
	cleanup_free char *passwd = NULL;

	if (has_home(&spec->process->env))
		return 0;
	passwd = read_passwd();
	return add(spec, "HOME", passwd ? find_home(passwd, spec->process->user.uid) : "/", err);
}

/* We are the process that becomes the program, and have its number already. */
static int add_listen_fds(struct oci_spec *spec, unsigned int listen_fds, struct err *err)
{
	char number[12];
	int r;

	if (!listen_fds)
		return 0;
	(void)snprintf(number, sizeof(number), "%u", listen_fds);
	r = add(spec, "LISTEN_FDS", number, err);
	if (r < 0)
		return r;
	(void)snprintf(number, sizeof(number), "%d", getpid());
	return add(spec, "LISTEN_PID", number, err);
}

int environment_complete(struct oci_spec *spec, unsigned int listen_fds, struct err *err)
{
	int r = add_home(spec, err);

	return r < 0 ? r : add_listen_fds(spec, listen_fds, err);
}
