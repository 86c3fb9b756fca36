/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the names in a tar may say. Pure.
 *
 * Whatever they say, the kernel resolves them below the root's descriptor (unpack.c); these rules
 * are for a clear word to whoever made the image.
 */
#include <errno.h>

#include "image_priv.h"

static bool is_component(const char *at, size_t bytes, const char *what)
{
	return bytes == strlen(what) && memcmp(at, what, bytes) == 0;
}

int entry_path(const char *name, char ret_path[PATH_MAX], struct err *err)
{
	size_t length = 0, depth = 0;

	if (*name == '/')
		return err_set(err, -EBADMSG, "'%s' is an absolute name", SHOWN(name));
	if (strlen(name) >= PATH_MAX)
		return err_set(err, -EFBIG, "the name '%s' has more than %d bytes", SHOWN(name),
			       PATH_MAX - 1);
	for (const char *at = name; *at;) {
		const size_t bytes = strcspn(at, "/");

		if (is_component(at, bytes, ".."))
			return err_set(err, -EBADMSG, "'%s' leads out of the image", SHOWN(name));
		if (bytes > TREE_NAME_MAX)
			return err_set(err, -EFBIG, "'%s' has more than %d bytes between slashes",
				       SHOWN(name), TREE_NAME_MAX);
		if (bytes > 0 && !is_component(at, bytes, ".")) {
			if (length > 0)
				ret_path[length++] = '/';
			memcpy(ret_path + length, at, bytes);
			length += bytes;
			depth++;
		}
		at += bytes + (at[bytes] == '/');
	}
	ret_path[length] = '\0';
	if (depth > NESTING_MAX)
		return err_set(err, -EFBIG, "'%s' nests deeper than %d", SHOWN(name), NESTING_MAX);
	return 0;
}

bool link_stays_inside(const char *path, const char *text)
{
	size_t depth = 0;

	/* An absolute one begins at the container's own root. */
	if (*text == '/')
		return true;
	for (const char *at = path; (at = strchr(at, '/')); at++)
		depth++;
	while (*text) {
		const size_t bytes = strcspn(text, "/");

		if (is_component(text, bytes, "..")) {
			if (depth == 0)
				return false;
			depth--;
		} else if (bytes > 0 && !is_component(text, bytes, ".")) {
			depth++;
		}
		text += bytes + (text[bytes] == '/');
	}
	return true;
}
