/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tar, streamed: file -> digest of the blob -> decompression -> digest of the tar -> entries.
 *
 * libarchive does the middle twice: one reader only decompresses, the other only reads tar, and
 * draws from the first. So both digests see every byte, and neither reader tries a filter or a
 * format that the media type does not name. The tar may be longer than the files in it by a bounded
 * amount only, so that nothing decompresses for ever.
 */
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <unistd.h>

#include "image_priv.h"

#define STREAM_EXTRA_BYTES (16ull << 20) /* padding at the end, extended headers */
#define STREAM_ENTRY_BYTES (16ull << 10) /* headers and padding of an entry */

enum { PIECE_BYTES = 128 << 10 };

struct layer {
	int fd; /* borrowed */
	const struct source_layer *source;
	struct unpack *unpack;
	struct digest_stream *blob_digest; /* owned; NULL: not checked */
	struct digest_stream *tar_digest;  /* owned; NULL: not checked */
	struct archive *inflate;	   /* owned; NULL: the blob is the tar */
	bool inflates_to_nothing;
	struct archive *tar;		   /* owned */
	uint64_t blob_bytes, tar_bytes, tar_bytes_before;
	struct err failure; /* that made a callback fail */
	uint8_t blob_piece[PIECE_BYTES], tar_piece[PIECE_BYTES];
};

/* The blob's next bytes; 0 at the end, -errno with layer->failure. */
static ssize_t blob_pull(struct layer *layer)
{
	ssize_t n;

	do
		n = read(layer->fd, layer->blob_piece, sizeof(layer->blob_piece));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(&layer->failure, -errno, "cannot read: %s", strerror(errno));
	layer->blob_bytes += (uint64_t)n;
	if (layer->source->known && layer->blob_bytes > layer->source->bytes)
		return err_set(&layer->failure, -EBADMSG,
			       "wrong size: it is longer than %" PRIu64 " bytes",
			       layer->source->bytes);
	if (layer->blob_digest)
		digest_stream_add(layer->blob_digest, layer->blob_piece, (size_t)n);
	return n;
}

static la_ssize_t blob_callback(struct archive *archive, void *context, const void **ret_data)
{
	struct layer *layer = context;
	const ssize_t n = blob_pull(layer);

	(void)archive;
	*ret_data = layer->blob_piece;
	return n < 0 ? ARCHIVE_FATAL : n;
}

static int check_stream(struct layer *layer)
{
	const struct unpack *unpack = layer->unpack;

	if (layer->tar_bytes_before + layer->tar_bytes >
	    unpack->bytes + unpack->entries * STREAM_ENTRY_BYTES + STREAM_EXTRA_BYTES)
		return err_set(&layer->failure, -EFBIG,
			       "it unpacks to far more bytes than there are in its files");
	return 0;
}

/* The tar's next bytes, likewise. */
static ssize_t tar_pull(struct layer *layer, const void **ret_data)
{
	ssize_t n;

	if (!layer->inflate) {
		n = blob_pull(layer);
		*ret_data = layer->blob_piece;
	} else {
		n = layer->inflates_to_nothing ? 0
					       : archive_read_data(layer->inflate, layer->tar_piece,
								   sizeof(layer->tar_piece));
		*ret_data = layer->tar_piece;
		if (n < 0 && layer->failure.code == 0)
			(void)err_set(&layer->failure, -EBADMSG, "damaged: %s",
				      archive_error_string(layer->inflate)
					      ? SHOWN(archive_error_string(layer->inflate))
					      : "it cannot be decompressed");
	}
	if (n < 0)
		return layer->failure.code;
	layer->tar_bytes += (uint64_t)n;
	if (check_stream(layer) < 0)
		return layer->failure.code;
	if (layer->tar_digest)
		digest_stream_add(layer->tar_digest, *ret_data, (size_t)n);
	return n;
}

static la_ssize_t tar_callback(struct archive *archive, void *context, const void **ret_data)
{
	const ssize_t n = tar_pull(context, ret_data);

	(void)archive;
	return n < 0 ? ARCHIVE_FATAL : n;
}

/* By the first bytes, where nothing says it: RFC 1952, RFC 8878. */
static enum media_kind kind_by_magic(int fd)
{
	static const struct {
		uint8_t bytes[4];
		size_t count;
		enum media_kind kind;
	} magics[] = {
		{ { 0x1f, 0x8b }, 2, MEDIA_LAYER_GZIP },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, MEDIA_LAYER_ZSTD },
	};
	uint8_t head[4] = { 0 };

	if (pread(fd, head, sizeof(head), 0) == sizeof(head))
		for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
			if (memcmp(head, magics[i].bytes, magics[i].count) == 0)
				return magics[i].kind;
	return MEDIA_LAYER;
}

static int open_inflate(struct layer *layer, enum media_kind kind, struct err *err)
{
	struct archive_entry *entry;
	int r;

	if (kind == MEDIA_LAYER)
		return 0;
	layer->inflate = archive_read_new();
	if (!layer->inflate)
		return err_set(err, -ENOMEM, "out of memory");
	r = kind == MEDIA_LAYER_GZIP ? archive_read_support_filter_gzip(layer->inflate)
				     : archive_read_support_filter_zstd(layer->inflate);
	if (r == ARCHIVE_OK)
		r = archive_read_support_format_raw(layer->inflate);
	if (r == ARCHIVE_OK)
		r = archive_read_support_format_empty(layer->inflate);
	if (r != ARCHIVE_OK)
		return err_set(err, -EIO, "libarchive: %s", archive_error_string(layer->inflate));
	r = archive_read_open(layer->inflate, layer, NULL, blob_callback, NULL);
	if (r == ARCHIVE_OK)
		r = archive_read_next_header(layer->inflate, &entry);
	layer->inflates_to_nothing = r == ARCHIVE_EOF;
	if (r == ARCHIVE_OK || r == ARCHIVE_EOF)
		return 0;
	if (layer->failure.code != 0)
		return err_set(err, layer->failure.code, "%s", layer->failure.message);
	return err_set(err, -EBADMSG, "damaged: %s",
		       archive_error_string(layer->inflate)
			       ? SHOWN(archive_error_string(layer->inflate))
			       : "it cannot be decompressed");
}

/* What went wrong when the tar's reader says that something did. */
static int read_failed(struct layer *layer, struct err *err)
{
	const char *text = archive_error_string(layer->tar);

	if (layer->failure.code != 0)
		return err_set(err, layer->failure.code, "%s", layer->failure.message);
	return err_set(err, -EBADMSG, "damaged: %s", text ? SHOWN(text) : "it is no tar");
}

/* Names in extended headers are UTF-8, which libarchive converts to the thread's character set. */
static int unpack_tar(struct layer *layer, struct err *err)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	int r = 1;

	if (!utf8)
		return err_set(err, -ENOENT, "the C library lacks the locale C.UTF-8");
	if (archive_read_open(layer->tar, layer, NULL, tar_callback, NULL) == ARCHIVE_OK)
		r = unpack_entries(layer->unpack, layer->tar, err);
	if (r == 1)
		r = read_failed(layer, err);
	(void)uselocale(before);
	freelocale(utf8);
	return r;
}

/* Behind the end that the tar has, and the compressed stream has, there may be more, which the
 * digests are over as well. */
static int drain(struct layer *layer, struct err *err)
{
	const void *data;
	ssize_t n;

	do
		n = tar_pull(layer, &data);
	while (n > 0);
	if (n == 0)
		do
			n = blob_pull(layer);
		while (n > 0);
	return n < 0 ? err_set(err, layer->failure.code, "%s", layer->failure.message) : 0;
}

static int check(struct layer *layer, const struct digest *diff_id, struct err *err)
{
	const struct source_layer *source = layer->source;
	int r = 0;

	if (source->known && layer->blob_bytes != source->bytes)
		return err_set(err, -EBADMSG, "wrong size: %" PRIu64 " bytes, not %" PRIu64,
			       layer->blob_bytes, source->bytes);
	if (layer->blob_digest)
		r = digest_stream_check(layer->blob_digest, &source->digest, err);
	if (r == 0 && layer->tar_digest) {
		r = digest_stream_check(layer->tar_digest, diff_id, err);
		if (r < 0)
			return err_prefix(err, r, "unpacked");
	}
	return r;
}

static int layer_init(struct layer *layer, const struct digest *diff_id, struct err *err)
{
	enum media_kind kind = layer->source->kind;

	if (layer->source->known)
		layer->blob_digest = digest_stream_new(&layer->source->digest);
	if (diff_id)
		layer->tar_digest = digest_stream_new(diff_id);
	layer->tar = archive_read_new();
	if (!layer->tar || (diff_id && !layer->tar_digest) ||
	    (layer->source->known && !layer->blob_digest))
		return err_set(err, -ENOMEM, "out of memory");
	if (archive_read_support_format_tar(layer->tar) != ARCHIVE_OK ||
	    archive_read_support_format_empty(layer->tar) != ARCHIVE_OK)
		return err_set(err, -EIO, "libarchive: %s", archive_error_string(layer->tar));
	if (kind == MEDIA_NONE)
		kind = kind_by_magic(layer->fd);
	return open_inflate(layer, kind, err);
}

static void layer_free(struct layer *layer)
{
	(void)archive_read_free(layer->tar);
	(void)archive_read_free(layer->inflate);
	(void)digest_stream_free(layer->blob_digest);
	(void)digest_stream_free(layer->tar_digest);
	free(layer);
}

int layer_unpack(int fd, const struct source_layer *source, const struct digest *diff_id,
		 struct unpack *unpack, struct err *err)
{
	struct layer *layer = calloc(1, sizeof(*layer));
	int r;

	if (!layer)
		return err_set(err, -ENOMEM, "out of memory");
	layer->fd = fd;
	layer->source = source;
	layer->unpack = unpack;
	layer->tar_bytes_before = unpack->tar_bytes;
	r = layer_init(layer, diff_id, err);
	if (r == 0)
		r = unpack_tar(layer, err);
	if (r == 0)
		r = drain(layer, err);
	if (r == 0)
		r = check(layer, diff_id, err);
	unpack->tar_bytes += layer->tar_bytes;
	layer_free(layer);
	return r;
}
