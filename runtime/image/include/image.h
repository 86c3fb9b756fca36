/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libimage: container images, from wherever they lie to one read-only erofs root file each.
 *
 * A store is a folder. Images in it are content-addressed by the SHA-256 of their manifest; those
 * of `docker save`, which has none, by that of their configuration, as `docker images` shows it. An
 * image is a folder STORE/sha256-HEX with `image.json` (what struct image says, committed last) and
 * `root.erofs` (the root, padded to GUEST_IMAGE_ALIGN_BYTES). Names point to images. Any number of
 * processes may use a store at once. Nothing is left of an import that failed or was killed but a
 * temporary folder, which the next one removes (once a skopeo or mkfs.erofs that outlived its
 * parent has ended, too).
 *
 * Kept of the layers' files: contents, modes, times (but folders get the epoch), owners, and the
 * attributes security.capability and user.*; other extended attributes and ACLs are dropped.
 * Where the caller is not root, everything becomes root's, a set-id bit of another owner's and
 * capabilities are dropped, and owners may read (and change folders).
 *
 * All functions block, return 0 or -errno and fill `err` with one line. -ENOENT: no such image;
 * -EBADMSG: the image is malformed, damaged or hostile; -EFBIG: beyond a limit; -ENOSPC as it says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

enum {
	IMAGE_ID_BYTES = 65,	 /* 64 hexadecimal digits and NUL */
	IMAGE_NAME_BYTES = 256,
	IMAGE_LIST_MAX = 1024,	 /* strings of one list of an image's configuration */
};

struct image_store;
int image_store_open(struct image_store **ret_store, const char *folder, struct err *err);
struct image_store *image_store_free(struct image_store *store);

/* What an image's configuration says (OCI image specification 1.1, config.md). Strings are owned by
 * the struct. */
struct image {
	char id[IMAGE_ID_BYTES];
	char name[IMAGE_NAME_BYTES]; /* as imported; may be empty */
	char *root_path;	     /* the erofs file */
	uint64_t root_bytes;
	uint64_t root_digest[2]; /* XXH3-128 over the file, low half first, as a manifest has it */
	uint64_t unpacked_bytes;
	uint64_t imported_s;	     /* CLOCK_REALTIME */
	char **entrypoint, **cmd, **env; /* NULL-terminated, never NULL */
	char **label_names, **label_values;
	char *working_dir;	     /* "/" when the image names none */
	char *user_name;	     /* as the image has it; may be empty */
	uint32_t uid, gid;	     /* resolved by the image's own passwd and group */
	uint32_t *groups;
	size_t group_count;
	char *stop_signal;	     /* or NULL */
	char **exposed_ports;
};

struct image_limits {
	uint64_t unpacked_bytes; /* files of all layers, also hidden ones; 0: 4 GiB */
	uint64_t entries;	 /* of all layers; 0: 1,000,000 */
	uint64_t root_bytes;	 /* of the finished file; 0: what a guest can be given, 8 GiB */
};

struct image_import_options {
	struct image_limits limits;
	/* Told what is being done ("pulling", "unpacking layer 2 of 5", ...); may be NULL. */
	void (*progress)(void *context, const char *what);
	void *context;
	bool insecure_registry; /* plain HTTP, for registries on the loopback */
	bool force;		/* unpack again although the image is there */
};

/* Where an image comes from is told by the text: an existing folder with a file `oci-layout` (with
 * ":TAG" behind it when it holds several), an existing file (a `docker save` or OCI tar, plain or
 * compressed by gzip or zstd, likewise), else a
 * registry reference, which skopeo copies. Unpacks the layers in order (gzip, zstd, plain),
 * checks every digest and size, and makes the root. An image that is there already is not unpacked
 * again. The caller releases *ret_image with image_free. */
int image_import(struct image_store *store, const char *source,
		 const struct image_import_options *options, struct image **ret_image,
		 struct err *err);

/* By id, a unique prefix of at least 12 digits of it, or name. */
int image_open(struct image_store *store, const char *id_or_name, struct image **ret_image,
	       struct err *err);
struct image *image_free(struct image *image);

/* All images, sorted by name, once for each name. The caller frees with image_list_free. One that
 * cannot be read is left out. */
int image_list(struct image_store *store, struct image ***ret_images, size_t *ret_count,
	       struct err *err);
void image_list_free(struct image **images, size_t count);

int image_remove(struct image_store *store, const char *id, struct err *err);

/* Removes leftovers of killed imports, and every image for which `used` is false. */
int image_prune(struct image_store *store, bool (*used)(void *context, const struct image *image),
		void *context, uint64_t *ret_freed_bytes, struct err *err);

static inline void cleanup_image_p(struct image **image)
{
	(void)image_free(*image);
}
#define cleanup_image __attribute__((cleanup(cleanup_image_p)))
static inline void cleanup_image_store_p(struct image_store **store)
{
	(void)image_store_free(*store);
}
#define cleanup_image_store __attribute__((cleanup(cleanup_image_store_p)))
