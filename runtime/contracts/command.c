/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function's program and environment.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child_priv.h"
#include "cleanup.h"
#include "err.h"
#include "mailbox.h"

/* As of execvp without PATH. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What of the search is worth telling is the last thing that was there but would not do. */
static bool is_program(const char *path, int *error)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return true;
	*error = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
	return false;
}

static char *path_join(const char *folder, size_t bytes, const char *name)
{
	char *path;

	if (bytes == 0)
		return asprintf(&path, "./%s", name) < 0 ? NULL : path;
	return asprintf(&path, "%.*s/%s", (int)bytes, folder, name) < 0 ? NULL : path;
}

static char *path_search(const char *name, int *error)
{
	const char *at = getenv("PATH");

	for (at = at ? at : PATH_DEFAULT;; at++) {
		size_t bytes = strcspn(at, ":");
		cleanup_free char *path = path_join(at, bytes, name);

		if (path && is_program(path, error))
			return TAKE_PTR(path);
		at += bytes;
		if (!*at)
			return NULL;
	}
}

char *command_find(const char *name, struct err *err)
{
	char *path = NULL;
	int error = ENOENT;

	if (!strchr(name, '/'))
		path = *name ? path_search(name, &error) : NULL;
	else if (is_program(name, &error))
		path = strdup(name);
	if (!path)
		(void)err_set(err, -error, "cannot run '%s': %s", name, strerror(error));
	return path;
}

static bool has_name(const char *word, const char *name, size_t name_bytes)
{
	return !strncmp(word, name, name_bytes) && word[name_bytes] == '=';
}

static bool is_replaced(const char *word, char *const *extra)
{
	static const char *const own[] = {QUARK_ENV_DOORBELL_FD, QUARK_ENV_MAILBOX_FD,
					  QUARK_ENV_WAKE};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (has_name(word, own[i], strlen(own[i])))
			return true;
	for (; extra && *extra; extra++)
		if (has_name(word, *extra, strcspn(*extra, "=")))
			return true;
	return false;
}

static size_t words_count(char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

char **environment_make(char *const *extra)
{
	char **made = calloc(words_count(environ) + words_count(extra) + 1, sizeof(*made));
	size_t count = 0;

	if (!made)
		return NULL;
	for (char **word = environ; word && *word; word++)
		if (!is_replaced(*word, extra))
			made[count++] = *word;
	for (; extra && *extra; extra++)
		made[count++] = *extra;
	return made;
}
