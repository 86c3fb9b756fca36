/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of a function's inputs. Each input goes in with its name and length before it, so that
 * no two sets of inputs look alike.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "build_priv.h"
#include "cleanup.h"
#include "file.h"

enum {
	INPUT_MAX_BYTES = 512 << 20,
	INPUTS_MAX = 4096,
};

static void digest_text(XXH3_state_t *state, const char *text)
{
	(void)XXH3_128bits_update(state, text, strlen(text) + 1);
}

static int digest_file(XXH3_state_t *state, const char *name, const char *path, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	char length[32];
	size_t bytes;
	int r;

	r = file_read(path, INPUT_MAX_BYTES, &data, &bytes, err);
	if (r < 0)
		return r;
	(void)snprintf(length, sizeof(length), "%zu", bytes);
	digest_text(state, name);
	digest_text(state, length);
	(void)XXH3_128bits_update(state, data, bytes);
	return 0;
}

/* Large files that others install: which one it is shows without reading it. */
static int digest_identity(XXH3_state_t *state, const char *path, struct err *err)
{
	char text[PATH_MAX + 128];
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "cannot read '%s': %s", path, strerror(errno));
	(void)snprintf(text, sizeof(text), "%s %lld %lld.%09ld", path, (long long)st.st_size,
		       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	digest_text(state, text);
	return 0;
}

/* A compiler is named by path, or found where function_build's PATH leads. */
static int digest_compiler(XXH3_state_t *state, const char *compiler, struct err *err)
{
	static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
	char path[PATH_MAX];

	if (strchr(compiler, '/'))
		return digest_identity(state, compiler, err);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], compiler);
		if (access(path, X_OK) == 0)
			return digest_identity(state, path, err);
	}
	return err_set(err, -ENOENT, "there is no compiler '%s': apt-get install %s", compiler,
		       compiler);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Takes one entry of the walk in; hidden files and folders are left out. */
static int digest_entry(XXH3_state_t *state, FTS *walk, FTSENT *entry, size_t root_bytes,
			struct err *err)
{
	switch (entry->fts_info) {
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return err_set(err, -entry->fts_errno, "cannot read '%s': %s", entry->fts_path,
			       strerror(entry->fts_errno));
	case FTS_F:
		break;
	default:
		if (entry->fts_level > 0 && entry->fts_name[0] == '.')
			(void)fts_set(walk, entry, FTS_SKIP);
		return 0;
	}
	if (entry->fts_name[0] == '.')
		return 0;
	return digest_file(state, entry->fts_path + root_bytes, entry->fts_accpath, err);
}

/* Follows symbolic links, as the compiler does. */
static int digest_folder(XXH3_state_t *state, const char *folder, struct err *err)
{
	char *roots[] = {(char *)folder, NULL};
	FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	FTSENT *entry;
	int r = 0, inputs = 0;

	if (!walk)
		return err_set(err, -errno, "cannot list '%s': %s", folder, strerror(errno));
	errno = 0;
	while (r == 0 && (entry = fts_read(walk))) {
		if (++inputs > INPUTS_MAX)
			r = err_set(err, -E2BIG, "'%s' holds more than %d files", folder,
				    INPUTS_MAX);
		else
			r = digest_entry(state, walk, entry, strlen(folder), err);
		errno = 0;
	}
	if (r == 0 && errno)
		r = err_set(err, -errno, "cannot list '%s': %s", folder, strerror(errno));
	(void)fts_close(walk);
	return r;
}

/* How it is compiled belongs to what is made; the program's path does not. */
static int digest_command(XXH3_state_t *state, const struct function_config *config,
			  const struct build_paths *paths, struct err *err)
{
	cleanup_build_args struct build_args args = {};

	build_args_fill(&args, config, paths, "function");
	if (args.failed)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < args.count; i++)
		digest_text(state, args.items[i]);
	return digest_compiler(state, build_compiler(paths), err);
}

static int digest_inputs(XXH3_state_t *state, const struct function_config *config,
			 const struct build_paths *paths, const char *kernel, struct err *err)
{
	const struct {
		const char *folder, *name;
	} files[] = {
		{paths->include_dir, "/quark.h"},
		{paths->lib_dir, "/libquark.a"},
		{paths->init, ""},
	};
	char text[PATH_MAX + 16];
	int r;

	(void)snprintf(text, sizeof(text), "%u MiB %u vcpus cpu %d", config->memory_mib,
		       config->vcpus, (int)config->cpu_template);
	digest_text(state, text);
	r = digest_command(state, config, paths, err);
	if (r == 0)
		r = digest_identity(state, kernel, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", files[i].folder, files[i].name);
		r = digest_file(state, files[i].name, text, err);
	}
	return r < 0 ? r : digest_folder(state, config->folder, err);
}

int function_digest(const struct function_config *config, const struct build_paths *paths,
		    const char *kernel, char ret_digest[FUNCTION_DIGEST_BYTES], struct err *err)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash;
	int r;

	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	(void)XXH3_128bits_reset(state);
	r = digest_inputs(state, config, paths, kernel, err);
	hash = XXH3_128bits_digest(state);
	(void)XXH3_freeState(state);
	if (r < 0)
		return r;
	(void)snprintf(ret_digest, FUNCTION_DIGEST_BYTES, "%016llx%016llx",
		       (unsigned long long)hash.high64, (unsigned long long)hash.low64);
	return 0;
}
