/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libunprotected: preloaded into run0's program, makes it believe that it runs from a read-only
 * mount. So it does without its protection, and a test of that can show that it would fail.
 */
#include <dlfcn.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

int statfs(const char *path, struct statfs *fs)
{
	int (*real)(const char *path, struct statfs *fs) = dlsym(RTLD_NEXT, "statfs");
	const int r = real(path, fs);

	if (r == 0 && strcmp(path, "/proc/self/exe") == 0)
		fs->f_flags |= ST_RDONLY;
	return r;
}
