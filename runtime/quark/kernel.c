/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the guest kernel. The cache is kernel-fetch's: its `current` is the newest.
 */
#include "kernel.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

static char *cache_folder(void)
{
	const char *quark_cache = getenv("QUARK_CACHE");
	const char *xdg_cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char *folder;
	int n;

	if (quark_cache && quark_cache[0])
		n = asprintf(&folder, "%s/kernel/current", quark_cache);
	else if (xdg_cache && xdg_cache[0])
		n = asprintf(&folder, "%s/quark/kernel/current", xdg_cache);
	else
		n = asprintf(&folder, "%s/.cache/quark/kernel/current", home ? home : "");
	return n < 0 ? NULL : folder;
}

/* The last one in version order, should there be several. The real path names the version, and
 * stays what it is when the cache gets a newer one. */
static char *newest_image(const char *folder)
{
	cleanup_free char *pattern = NULL;
	char *image = NULL;
	glob_t found;

	if (asprintf(&pattern, "%s/boot/vmlinuz-*", folder) < 0)
		return NULL;
	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
		const char *newest = found.gl_pathv[0];

		for (size_t i = 1; i < found.gl_pathc; i++)
			if (strverscmp(found.gl_pathv[i], newest) > 0)
				newest = found.gl_pathv[i];
		image = realpath(newest, NULL);
	}
	globfree(&found);
	return image;
}

int kernel_find(const struct paths *paths, char **ret_kernel, struct err *err)
{
	const char *chosen = getenv("QUARK_KERNEL");
	cleanup_free char *place = chosen && chosen[0] ? strdup(chosen) : cache_folder();
	struct stat st;

	if (!place)
		return err_set(err, -ENOMEM, "out of memory");
	if (stat(place, &st) == 0 && S_ISREG(st.st_mode))
		*ret_kernel = realpath(place, NULL);
	else
		*ret_kernel = newest_image(place);
	if (!*ret_kernel)
		return err_set(err, -ENOENT,
			       "no guest kernel in '%s': run %s (images/kernel/fetch)", place,
			       paths->kernel_fetch);
	return 0;
}
