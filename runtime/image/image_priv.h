/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of libimage share.
 *
 * From the source to the store: reference.c tells what the text means; oci_layout.c,
 * docker_archive.c and registry.c make a `struct source` of it, whose layers layer.c streams
 * through digests into unpack.c; erofs.c makes the root of the tree; store.c commits it.
 * Everything that is not committed lies in a workspace and goes with it.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "err.h"
#include "image.h"

enum {
	DIGEST_TEXT_BYTES = 136,     /* "sha512:", 128 digits, NUL */
	JSON_MAX_BYTES = 4 << 20,    /* what registries accept as a manifest */
	LAYERS_MAX = 512,	     /* Docker's own limit is 127 */
	INDEX_MANIFESTS_MAX = 1024,
	INDEX_DEPTH_MAX = 4,	     /* an index may list indexes */
	MEDIA_TYPE_BYTES = 128,
	SOURCE_PATH_BYTES = 256,
	NESTING_MAX = 128,	     /* folders in folders, in the finished tree and in a path */
	TREE_PATH_MAX = 2048,	     /* in it; mkfs.erofs has PATH_MAX, from the host's root */
	TREE_NAME_MAX = 254,	     /* mkfs.erofs 1.5 loses the last of 255 bytes */
	SHOWN_BYTES = 128,
	OUTPUT_TAIL_BYTES = 4096,    /* of what a program said */
};

#define LIMIT_UNPACKED_BYTES (4ull << 30)
#define LIMIT_ENTRIES 1000000ull

/* Text from an image in our own messages: cleaned, on one line, cut when it is long. `buf` has
 * SHOWN_BYTES bytes and is returned. */
char *shown(const char *text, char *buf);
#define SHOWN(text) shown((text), (char[SHOWN_BYTES]){ 0 })

/* digest.c */

struct digest {
	char text[DIGEST_TEXT_BYTES]; /* "sha256:" and its digits; nothing else ever */
};

/* Accepts "sha256:" and "sha512:" with lower-case digits. */
int digest_parse(const char *text, struct digest *ret_digest, struct err *err);
const char *digest_hex(const struct digest *digest);

/* A running digest by the algorithm of `like`; NULL when out of memory. */
struct digest_stream;
struct digest_stream *digest_stream_new(const struct digest *like);
struct digest_stream *digest_stream_free(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t bytes);
/* -EBADMSG when what was added has another digest than `want`. */
int digest_stream_check(struct digest_stream *stream, const struct digest *want, struct err *err);

int digest_check(const struct digest *want, const void *data, size_t bytes, struct err *err);
int digest_sha256(const void *data, size_t bytes, struct digest *ret_digest, struct err *err);

static inline void cleanup_digest_stream_p(struct digest_stream **stream)
{
	(void)digest_stream_free(*stream);
}
#define cleanup_digest_stream __attribute__((cleanup(cleanup_digest_stream_p)))

/* media_type.c */

enum media_kind {
	MEDIA_NONE, /* not said */
	MEDIA_UNKNOWN,
	MEDIA_INDEX,
	MEDIA_MANIFEST,
	MEDIA_SCHEMA1,
	MEDIA_CONFIG,
	MEDIA_LAYER,
	MEDIA_LAYER_GZIP,
	MEDIA_LAYER_ZSTD,
	MEDIA_NON_DISTRIBUTABLE,
};

enum media_kind media_kind_of(const char *media_type);
static inline bool media_is_layer(enum media_kind kind)
{
	return kind >= MEDIA_LAYER && kind <= MEDIA_LAYER_ZSTD;
}

/* manifest_json.c: pure */

struct descriptor {
	enum media_kind kind;
	char media_type[MEDIA_TYPE_BYTES];
	struct digest digest;
	uint64_t bytes;
	char os[32], architecture[32], variant[16]; /* empty: not said */
	char ref_name[IMAGE_NAME_BYTES];	    /* org.opencontainers.image.ref.name */
	char full_name[IMAGE_NAME_BYTES];	    /* io.containerd.image.name */
};

struct manifest {
	enum media_kind kind; /* MEDIA_INDEX or MEDIA_MANIFEST */
	struct descriptor config;
	struct descriptor *items; /* owned: the index's manifests, or the layers, lowest first */
	size_t count;
};

/* `kind` is what the descriptor that led here says, or MEDIA_NONE. */
int image_manifest_decode(const char *text, size_t bytes, enum media_kind kind,
		    struct manifest *ret_manifest, struct err *err);
void manifest_done(struct manifest *manifest);
#define cleanup_manifest __attribute__((cleanup(manifest_done)))

/* The descriptor for linux/amd64. With `top`, the index is a layout's own index.json: several
 * images in it are told apart by `tag` (NULL: there must be one). */
int manifest_select(const struct manifest *index, bool top, const char *tag,
		    const struct descriptor **ret_descriptor, struct err *err);

/* config_json.c: pure */

struct diff_ids {
	struct digest *items; /* owned */
	size_t count;
};
static inline void diff_ids_done(struct diff_ids *ids)
{
	free(ids->items);
	*ids = (struct diff_ids){ 0 };
}
#define cleanup_diff_ids __attribute__((cleanup(diff_ids_done)))

/* Fills what the configuration says into `image`; refuses other systems than linux/amd64. */
int config_decode(const char *text, size_t bytes, struct image *image, struct diff_ids *ret_ids,
		  struct err *err);

/* image_json.c: the store's own record. `folder` becomes the head of root_path. */
int image_json_encode(const struct image *image, char **ret_text, struct err *err);
int image_json_decode(const char *text, size_t bytes, const char *folder, struct image **ret_image,
		      struct err *err);

/* source: what the three kinds of origin have in common */

struct source_layer {
	char path[SOURCE_PATH_BYTES]; /* below the source's folder */
	bool known;		      /* digest and bytes of the blob */
	struct digest digest;
	uint64_t bytes;
	enum media_kind kind; /* MEDIA_NONE: told by the first bytes */
};

enum blob_layout {
	BLOBS_OCI, /* blobs/ALGORITHM/DIGITS */
	BLOBS_DIR, /* DIGITS, as skopeo's "dir:" has them */
};

struct source {
	int fd; /* owned: the folder with the blobs */
	enum blob_layout layout;
	char id[IMAGE_ID_BYTES];
	char name[IMAGE_NAME_BYTES];
	uint8_t *config; /* owned */
	size_t config_bytes;
	struct source_layer *layers; /* owned, lowest first */
	size_t layer_count;
};
void source_done(struct source *source);
#define cleanup_source __attribute__((cleanup(source_done)))

enum source_kind {
	SOURCE_LAYOUT,
	SOURCE_ARCHIVE,
	SOURCE_REGISTRY,
};

struct reference {
	enum source_kind kind;
	char *path; /* owned: of the folder or file, or the reference itself */
	char *tag;  /* owned, or NULL */
};
int reference_parse(const char *text, struct reference *ret_reference, struct err *err);
void reference_done(struct reference *reference);
#define cleanup_reference __attribute__((cleanup(reference_done)))

/* A name that may stand in the store: [A-Za-z0-9][A-Za-z0-9._/:@+-]*, shorter than
 * IMAGE_NAME_BYTES. */
bool image_name_is_valid(const char *name);
/* `name` when it is valid, else the empty name. */
void image_name_set(char to[IMAGE_NAME_BYTES], const char *name);

/* Opens a regular file below `folder_fd`, wherever links lead, inside. */
int file_open_in(int folder_fd, const char *path, int *ret_fd, uint64_t *ret_bytes,
		 struct err *err);
/* Reads one whole, at most JSON_MAX_BYTES. */
int file_read_in(int folder_fd, const char *path, uint8_t **ret_data, size_t *ret_bytes,
		 struct err *err);

/* oci_layout.c */
int oci_layout_open(int fd, const char *fallback_name, const char *tag, struct source *source,
		    struct err *err);
/* A manifest (no index) and its configuration, whose blobs lie in source->fd. */
int oci_manifest_open(struct source *source, const char *text, size_t bytes, enum media_kind kind,
		      struct err *err);
bool oci_layout_is_at(int fd);

/* A workspace: a folder of the store for one import. */
struct image_store {
	char *folder; /* owned */
	int fd;	      /* owned */
};

struct workspace {
	int store_fd; /* borrowed */
	int fd;	      /* owned; its lock says that somebody works here */
	char name[48];
	unsigned int trash_count;
};
int workspace_init(struct workspace *workspace, struct image_store *store, struct err *err);
void workspace_done(struct workspace *workspace);
#define cleanup_workspace __attribute__((cleanup(workspace_done)))
/* Removes the workspaces that nobody works in. */
int workspace_sweep(struct image_store *store, struct err *err);

/* docker_archive.c: unpacks the outer archive into the workspace. */
int archive_open(int fd, const char *fallback_name, const char *tag, struct workspace *workspace,
		 const struct image_limits *limits, struct source *source, struct err *err);

/* registry.c. registry_id asks for no more than the manifest. */
int registry_id(const char *reference, bool insecure, struct workspace *workspace,
		char ret_id[IMAGE_ID_BYTES], struct err *err);
int registry_open(const char *reference, bool insecure, struct workspace *workspace,
		  struct source *source, struct err *err);

/* tree.c */

/* Removes what `name` in `parent_fd` is. Folders that nest too deep go to the workspace, whose end
 * takes them, so that the depth of a tree costs neither stack nor descriptors. */
int tree_remove(int parent_fd, const char *name, struct workspace *workspace);
/* Removes everything in a workspace. */
int tree_clear(struct workspace *workspace);

struct tree_totals {
	uint64_t bytes, entries;
};
/* Gives every folder the same time, for what is in it came in an order of ours; and counts.
 * -EFBIG when folders nest deeper than NESTING_MAX or a path is longer than
 * TREE_PATH_MAX, or a name than TREE_NAME_MAX. */
int tree_seal(int root_fd, struct tree_totals *ret_totals, struct err *err);

/* whiteout.c */

/* What the present layer made: pairs of a folder and a name. */
struct marks {
	uint64_t (*slots)[2]; /* owned */
	size_t size, used;
};
int marks_add(struct marks *marks, ino_t folder, const char *name);
bool marks_have(const struct marks *marks, ino_t folder, const char *name);
void marks_clear(struct marks *marks);
void marks_done(struct marks *marks);

struct unpack;
/* Removes of `name`, or of everything in `folder_fd`, what lower layers made. */
int whiteout_name(struct unpack *unpack, int parent_fd, const char *name, struct err *err);
int whiteout_folder(struct unpack *unpack, int folder_fd, struct err *err);

/* unpack.c */

struct unpack {
	int root_fd;		     /* borrowed */
	struct workspace *workspace; /* borrowed */
	struct image_limits limits;
	bool layers;		     /* else an ordinary archive: no whiteouts */
	bool owners;		     /* keep them, and what only root may set */
	uint64_t bytes, entries;     /* so far, in all layers */
	uint64_t tar_bytes;	     /* the same, as they stand in the tars */
	uint64_t visits;	     /* of whiteouts */
	struct marks marks;
};
void unpack_init(struct unpack *unpack, int root_fd, struct workspace *workspace,
		 const struct image_limits *limits);
void unpack_done(struct unpack *unpack);
#define cleanup_unpack __attribute__((cleanup(unpack_done)))

struct archive;
/* Everything that `archive`, a tar, has; 1 when reading it failed, of which the caller knows
 * more. */
int unpack_entries(struct unpack *unpack, struct archive *archive, struct err *err);

/* Pure: `name` of an entry to a clean relative path; "" is the root. -EBADMSG for "..", an absolute
 * one, and what is too long or too deep. */
int entry_path(const char *name, char ret_path[PATH_MAX], struct err *err);
/* Whether a symbolic link at the clean path `path` stays in the root by its text. */
bool link_stays_inside(const char *path, const char *text);

/* layer.c: one tar, perhaps compressed, into the tree. Digest and length of the blob are those of
 * `layer`, when known; that of the tar is `diff_id`, when not NULL. */
int layer_unpack(int fd, const struct source_layer *layer, const struct digest *diff_id,
		 struct unpack *unpack, struct err *err);

/* user.c: "USER[:GROUP]" of the image's configuration, by the passwd and group of its root. */
int user_resolve(int root_fd, struct image *image, struct err *err);

/* erofs.c: `tree` in the workspace to the file `path` there, of at most `limit` bytes (see
 * struct image_limits). */
int erofs_make(struct workspace *workspace, const char *tree, const char *path, uint64_t limit,
	       struct image *image, struct err *err);

/* program.c */

struct program {
	const char *name;	  /* looked for in the usual folders */
	const char *package;	  /* that has it, for the message */
	const char *const *args;  /* without argv[0], NULL-terminated */
	const char *const *env;	  /* beside the fixed ones; NULL-terminated, or NULL */
	int out;		  /* for its standard output; -1: with its errors */
};
/* Runs it in the workspace and waits. */
int program_run(const struct program *program, struct workspace *workspace, struct err *err);

/* image.c */
struct image *image_new(void);
void strings_free(char **strings);

/* store.c */
int store_load(struct image_store *store, const char *id, struct image **ret_image,
	       struct err *err);
int store_commit(struct image_store *store, struct workspace *workspace, const char *folder,
		 const char *id, bool replace, struct err *err);
/* names.c: name -> id */
int names_set(struct image_store *store, const struct workspace *workspace, const char *name,
	      const char *id, struct err *err);
int names_get(struct image_store *store, const char *name, char ret_id[IMAGE_ID_BYTES]);
struct name_row {
	char name[IMAGE_NAME_BYTES];
	char id[IMAGE_ID_BYTES];
};
int names_list(struct image_store *store, struct name_row **ret_rows, size_t *ret_count,
	       struct err *err);
int names_remove(struct image_store *store, const char *id, struct err *err);
/* 64 digits behind "sha256-", else false. */
bool store_folder_is_image(const char *entry);
#define STORE_ID_HEAD "sha256-"
#define STORE_NAMES "names"
#define STORE_LOCK ".lock"
#define STORE_WORK_HEAD ".import-"
#define ROOT_FILE "root.erofs"
#define RECORD_FILE "image.json"
