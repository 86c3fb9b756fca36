/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of a function's own files.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_priv.h"
#include "cleanup.h"
#include "file_tree.h"

enum { INPUTS_MAX = 4096 };

/* Large files that others install: which one it is shows without reading it. */
static int digest_identity(struct digest *digest, const char *path, struct err *err)
{
	char text[PATH_MAX + 128];
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "cannot read '%s': %s", path, strerror(errno));
	(void)snprintf(text, sizeof(text), "%s %lld %lld.%09ld", path, (long long)st.st_size,
		       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	digest_text(digest, text);
	return 0;
}

/* A compiler is named by path, or found where function_build's PATH leads. */
static int digest_compiler(struct digest *digest, const char *compiler, struct err *err)
{
	static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
	char path[PATH_MAX];

	if (strchr(compiler, '/'))
		return digest_identity(digest, compiler, err);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], compiler);
		if (access(path, X_OK) == 0)
			return digest_identity(digest, path, err);
	}
	return err_set(err, -ENOENT, "there is no compiler '%s': apt-get install %s", compiler,
		       compiler);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Takes one entry of the walk in; hidden files and folders are left out. */
static int digest_entry(struct digest *digest, FTS *walk, FTSENT *entry, size_t root_bytes,
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
	return digest_file(digest, entry->fts_path + root_bytes, entry->fts_accpath, err);
}

/* Follows symbolic links, as the compiler does. */
static int digest_folder(struct digest *digest, const char *folder, struct err *err)
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
			r = digest_entry(digest, walk, entry, strlen(folder), err);
		errno = 0;
	}
	if (r == 0 && errno)
		r = err_set(err, -errno, "cannot list '%s': %s", folder, strerror(errno));
	(void)fts_close(walk);
	return r;
}

/* How it is compiled belongs to what is made; the program's path does not. */
static int digest_command(struct digest *digest, const struct function_config *config,
			  const struct build_paths *paths, struct err *err)
{
	cleanup_build_args struct build_args args = {};

	build_args_fill(&args, config, paths, "function");
	if (args.failed)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < args.count; i++)
		digest_text(digest, args.items[i]);
	return digest_compiler(digest, build_compiler(paths), err);
}

static int digest_c(struct digest *digest, const struct function_config *config,
		    const struct build_paths *paths, struct err *err)
{
	const struct {
		const char *folder, *name;
	} files[] = {
		{paths->include_dir, "quark.h"},
		{paths->lib_dir, "libquark.a"},
	};
	int r = digest_command(digest, config, paths, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", files[i].folder, files[i].name) < 0)
			return err_set(err, -ENOMEM, "out of memory");
		r = digest_file(digest, files[i].name, path, err);
	}
	return r < 0 ? r : digest_folder(digest, config->folder, err);
}

int function_digest(const struct function_config *config, const struct build_paths *paths,
		    struct digest *digest, struct err *err)
{
	digest_text(digest, lang_names[config->lang]);
	for (size_t i = 0; i < config->files.count; i++)
		digest_text(digest, config->files.items[i]);
	digest_text(digest, "");
	if (config->lang == LANG_C)
		return digest_c(digest, config, paths, err);
	return file_tree_digest(config->folder, digest_update, digest, err);
}
