/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree to an erofs, by mkfs.erofs.
 *
 * Plain 4 KiB blocks, and no tail of a file beside its inode ("noinline_data"): Linux maps only
 * such files directly (DAX; fs/erofs/inode.c, EROFS_INODE_FLAT_PLAIN). The same tree gives the same
 * bytes: no label, a fixed UUID, and a fixed time in the superblock. That time is in the far
 * future, as mkfs.erofs cuts the times of files at it; they are kept, for what Python compiled
 * is valid only for a source of the same time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "file.h"
#include "image_priv.h"
#include "le.h"
#include "lumper.h"

#define UUID "71756172-6b00-4000-8000-726f6f746673"

/* erofs_fs.h, struct erofs_super_block. */
enum {
	SUPERBLOCK_AT = 1024,
	SUPERBLOCK_BYTES = 128,
	MAGIC_AT = 0,
	BLOCK_BITS_AT = 12,
	BLOCKS_AT = 36,
	MAGIC_V1 = (int)0xe0f5e1e2,
	BLOCK_BITS = 12,
	DIGEST_PIECE_BYTES = 1 << 20,
};

/* mkfs.erofs does not notice every short write: the file must be as long as it says itself. */
static int check_superblock(int fd, uint64_t *ret_bytes, struct err *err)
{
	uint8_t block[SUPERBLOCK_BYTES] = { 0 };
	struct le_reader magic = { .buf = block + MAGIC_AT, .len = 4 };
	struct le_reader bits = { .buf = block + BLOCK_BITS_AT, .len = 1 };
	struct le_reader blocks = { .buf = block + BLOCKS_AT, .len = 4 };
	struct stat st = { .st_size = 0 };
	uint64_t bytes;
	int r = file_pread_all(fd, block, sizeof(block), SUPERBLOCK_AT);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, r, "cannot read what mkfs.erofs made: %s", strerror(-r));
	bytes = le_get(&blocks, 4) << BLOCK_BITS;
	if (le_get(&magic, 4) != (uint32_t)MAGIC_V1 || le_get(&bits, 1) != BLOCK_BITS ||
	    (uint64_t)st.st_size != bytes)
		return err_set(err, -EIO, "mkfs.erofs made something else than an erofs of %" PRIu64
					  " bytes", bytes);
	*ret_bytes = bytes;
	return 0;
}

static int pad(int fd, uint64_t *bytes, struct err *err)
{
	const uint64_t align = GUEST_IMAGE_ALIGN_BYTES;

	*bytes = (*bytes + align - 1) / align * align;
	if (ftruncate(fd, (off_t)*bytes) < 0 || fchmod(fd, 0444) < 0)
		return err_set(err, -errno, "cannot pad the image: %s", strerror(errno));
	return 0;
}

static int take_digest(int fd, struct image *image, struct err *err)
{
	cleanup_free uint8_t *piece = malloc(DIGEST_PIECE_BYTES);
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash;
	int r = 0;

	if (!piece || !state) {
		(void)XXH3_freeState(state);
		return err_set(err, -ENOMEM, "out of memory");
	}
	(void)XXH3_128bits_reset(state);
	for (uint64_t at = 0; r == 0 && at < image->root_bytes; at += DIGEST_PIECE_BYTES) {
		const uint64_t left = image->root_bytes - at;
		const size_t bytes = left < DIGEST_PIECE_BYTES ? left : DIGEST_PIECE_BYTES;

		r = file_pread_all(fd, piece, bytes, (off_t)at);
		if (r == 0)
			(void)XXH3_128bits_update(state, piece, bytes);
	}
	hash = XXH3_128bits_digest(state);
	(void)XXH3_freeState(state);
	if (r < 0)
		return err_set(err, r, "cannot read the image: %s", strerror(-r));
	image->root_digest[0] = hash.low64;
	image->root_digest[1] = hash.high64;
	return 0;
}

/* Each file, folder and link takes whole blocks, and attributes come on top: a root may be more
 * than its files together, and more than a guest has addresses for. 0: only the latter is the
 * limit. */
static int check_size(const struct image *image, uint64_t limit, struct err *err)
{
	if (limit == 0 || limit > GUEST_IMAGE_MAX_BYTES)
		limit = GUEST_IMAGE_MAX_BYTES;
	if (image->root_bytes <= limit)
		return 0;
	return err_set(err, -EFBIG,
		       "its file system has %" PRIu64 " bytes, more than the limit of %" PRIu64,
		       image->root_bytes, limit);
}

int erofs_make(struct workspace *workspace, const char *tree, const char *path, uint64_t limit,
	       struct image *image, struct err *err)
{
	static const char *const env[] = { "SOURCE_DATE_EPOCH=4102444800", NULL };
	const bool root = geteuid() == 0;
	const char *const args[] = { "--quiet",	      "-d1", ("-U" UUID), "-E", "noinline_data",
				     root ? path : "--all-root", root ? tree : path,
				     root ? NULL : tree, NULL };
	const struct program mkfs = {
		.name = "mkfs.erofs", .package = "erofs-utils", .args = args, .env = env, .out = -1
	};
	cleanup_fd int fd = -1;
	int r = program_run(&mkfs, workspace, err);

	if (r < 0)
		return r;
	fd = openat(workspace->fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "cannot open what mkfs.erofs made: %s",
			       strerror(errno));
	r = check_superblock(fd, &image->root_bytes, err);
	if (r == 0)
		r = pad(fd, &image->root_bytes, err);
	if (r == 0)
		r = check_size(image, limit, err);
	if (r == 0 && fsync(fd) < 0)
		r = err_set(err, -errno, "cannot write the image: %s", strerror(errno));
	return r < 0 ? r : take_digest(fd, image, err);
}
