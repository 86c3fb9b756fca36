/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel payloads. Linux's build ends each of them with the unpacked size in four bytes: gzip has
 * it in its format, to the others it is appended (scripts/Makefile.lib, size_append). So memory is
 * allocated once, of a size checked beforehand, and each decoder is one call that must fill it
 * exactly.
 */
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "boot/boot.h"
#include "cleanup.h"
#include "le.h"

/* The minimum is less than any format can do with, and more than a magic and the trailer. */
enum { TRAILER_BYTES = 4, PAYLOAD_MIN_BYTES = 16 };

/* Legacy LZ4 frames: a magic, then blocks of at most 8 MiB unpacked, each after its packed size. */
enum { LZ4_MAGIC_BYTES = 4, LZ4_BLOCK_MAX = 8 << 20 };

/* The kernel's build asks xz for a dictionary of 32 MiB, since 6.12 of 128 MiB. */
#define XZ_MEMORY_MAX (192ull << 20)

struct span {
	const uint8_t *data;
	size_t bytes;
};

static uint32_t le32_at(const uint8_t *data)
{
	struct le_reader r = { .buf = data, .len = sizeof(uint32_t) };

	return (uint32_t)le_get(&r, sizeof(uint32_t));
}

/* Each decoder returns how many bytes it wrote to `out`, or a negative number when the input is
 * corrupt or does not fit. */

static int64_t lz4_decode(struct span in, uint8_t *out, size_t out_bytes)
{
	struct le_reader r = { .buf = in.data, .len = in.bytes, .pos = LZ4_MAGIC_BYTES };
	size_t done = 0;

	while (r.pos < r.len) {
		size_t packed = le_get(&r, 4);
		const uint8_t *block = le_take(&r, packed);
		size_t room = out_bytes - done < LZ4_BLOCK_MAX ? out_bytes - done : LZ4_BLOCK_MAX;
		int n;

		if (!block || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX))
			return -1;
		n = LZ4_decompress_safe((const char *)block, (char *)out + done, (int)packed,
					(int)room);
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return (int64_t)done;
}

static int64_t gzip_decode(struct span in, uint8_t *out, size_t out_bytes)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)in.data,
		.avail_in = (uInt)in.bytes,
		.next_out = out,
		.avail_out = (uInt)out_bytes,
	};
	int r;

	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) /* + 16: a gzip header, no other */
		return -1;
	r = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	if (r != Z_STREAM_END || z.avail_in != 0)
		return -1;
	return (int64_t)z.total_out;
}

static int64_t xz_decode(struct span in, uint8_t *out, size_t out_bytes)
{
	uint64_t memory_max = XZ_MEMORY_MAX;
	size_t in_pos = 0, out_pos = 0;
	lzma_ret r;

	r = lzma_stream_buffer_decode(&memory_max, 0, NULL, in.data, &in_pos, in.bytes, out,
				      &out_pos, out_bytes);
	if (r != LZMA_OK || in_pos != in.bytes)
		return -1;
	return (int64_t)out_pos;
}

static int64_t zstd_decode(struct span in, uint8_t *out, size_t out_bytes)
{
	size_t n = ZSTD_decompress(out, out_bytes, in.data, in.bytes);

	return ZSTD_isError(n) ? -1 : (int64_t)n;
}

struct codec {
	const char *name;
	const char *magic;
	size_t magic_bytes;
	size_t appended_bytes; /* what follows the compressed stream */
	int64_t (*decode)(struct span in, uint8_t *out, size_t out_bytes);
};

static const struct codec codecs[] = {
	{ "LZ4", "\x02\x21\x4c\x18", 4, TRAILER_BYTES, lz4_decode },
	{ "gzip", "\x1f\x8b", 2, 0, gzip_decode },
	{ "XZ", "\xfd" "7zXZ", 6, TRAILER_BYTES, xz_decode },
	{ "Zstandard", "\x28\xb5\x2f\xfd", 4, TRAILER_BYTES, zstd_decode },
};

static const struct codec *codec_find(const uint8_t *payload)
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		if (memcmp(payload, codecs[i].magic, codecs[i].magic_bytes) == 0)
			return &codecs[i];
	}
	return NULL;
}

int payload_decompress(const uint8_t *payload, size_t bytes, size_t max_bytes, uint8_t **ret_data,
		       size_t *ret_bytes, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	const struct codec *codec;
	size_t data_bytes;
	int64_t n;

	/* zlib counts in 32 bits. */
	if (bytes < PAYLOAD_MIN_BYTES || bytes > UINT32_MAX)
		return err_set(err, -ENOEXEC, "payload of %zu bytes is not a compressed kernel",
			       bytes);
	codec = codec_find(payload);
	if (!codec)
		return err_set(err, -ENOEXEC,
			       "payload starts with %02x %02x %02x %02x: neither LZ4, gzip, XZ nor "
			       "Zstandard",
			       payload[0], payload[1], payload[2], payload[3]);

	data_bytes = le32_at(payload + bytes - TRAILER_BYTES);
	if (data_bytes == 0)
		return err_set(err, -ENOEXEC, "%s payload says that it unpacks to nothing",
			       codec->name);
	if (data_bytes > max_bytes)
		return err_set(err, -ENOSPC,
			       "%s payload unpacks to %zu bytes, more than the guest's memory of "
			       "%zu",
			       codec->name, data_bytes, max_bytes);
	data = malloc(data_bytes);
	if (!data)
		return err_set(err, -ENOMEM, "out of memory for a kernel of %zu bytes", data_bytes);

	n = codec->decode((struct span){ payload, bytes - codec->appended_bytes }, data,
			  data_bytes);
	if (n < 0 || (size_t)n != data_bytes)
		return err_set(err, -EBADMSG, "%s payload is corrupt or truncated", codec->name);
	*ret_data = TAKE_PTR(data);
	*ret_bytes = data_bytes;
	return 0;
}
