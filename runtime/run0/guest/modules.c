/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel modules, by a list that the host made: /modules/order has lines "KIND NAME" in load order,
 * the file is /modules/NAME.ko. Without that list the kernel has all it needs built in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "init.h"

#define ORDER "/modules/order"

enum { LINE_BYTES = 128 };

/* Letters, digits, '_' and '-': what names of modules are made of, and no path. */
static bool is_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	return *name && !name[strspn(name, allowed)];
}

static int module_load(const char *name, struct err *err)
{
	char path[LINE_BYTES + sizeof("/modules/.ko")];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		return err_set(err, -errno, "module %s: %s", name, strerror(errno));
	return 0;
}

/* A line of another kind is for another time. */
static int line_take(char *line, const char *kind, struct err *err)
{
	char *name = line, *word;

	line[strcspn(line, "\n")] = '\0';
	word = strsep(&name, " ");
	if (!name || !is_name(word) || !is_name(name))
		return err_set(err, -EINVAL, ORDER ": the line '%.100s' is not 'KIND NAME'", word);
	return strcmp(word, kind) ? 0 : module_load(name, err);
}

int modules_load(const char *kind, struct err *err)
{
	cleanup_file FILE *file = fopen(ORDER, "re");
	char line[LINE_BYTES];
	int r = 0;

	if (!file && errno == ENOENT)
		return 0;
	if (!file)
		return err_set(err, -errno, ORDER ": %s", strerror(errno));
	while (r == 0 && fgets(line, sizeof(line), file))
		r = line_take(line, kind, err);
	return r;
}
