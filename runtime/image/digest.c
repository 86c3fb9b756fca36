/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of the image specification (descriptor.md, "Digests"), by libcrypto.
 */
#include <errno.h>
#include <openssl/evp.h>

#include "image_priv.h"

static const struct algorithm {
	const char *head;
	size_t digits;
	const EVP_MD *(*md)(void);
} algorithms[] = {
	{ "sha256:", 64, EVP_sha256 },
	{ "sha512:", 128, EVP_sha512 },
};

struct digest_stream {
	EVP_MD_CTX *context; /* owned */
	const struct algorithm *algorithm;
	bool bad;
};

static const struct algorithm *algorithm_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (strncmp(text, algorithms[i].head, strlen(algorithms[i].head)) == 0)
			return &algorithms[i];
	return NULL;
}

int digest_parse(const char *text, struct digest *ret_digest, struct err *err)
{
	const struct algorithm *algorithm = algorithm_of(text);
	const char *hex = algorithm ? text + strlen(algorithm->head) : NULL;

	if (!algorithm)
		return err_set(err, -EBADMSG, "digest '%s' is neither sha256 nor sha512",
			       SHOWN(text));
	if (strlen(hex) != algorithm->digits ||
	    strspn(hex, "0123456789abcdef") != algorithm->digits)
		return err_set(err, -EBADMSG, "malformed digest '%s'", SHOWN(text));
	memcpy(ret_digest->text, text, strlen(text) + 1);
	return 0;
}

const char *digest_hex(const struct digest *digest)
{
	return strchr(digest->text, ':') + 1;
}

struct digest_stream *digest_stream_new(const struct digest *like)
{
	cleanup_digest_stream struct digest_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->algorithm = algorithm_of(like->text);
	stream->context = EVP_MD_CTX_new();
	if (!stream->algorithm || !stream->context ||
	    !EVP_DigestInit_ex(stream->context, stream->algorithm->md(), NULL))
		return NULL;
	return TAKE_PTR(stream);
}

struct digest_stream *digest_stream_free(struct digest_stream *stream)
{
	if (stream)
		EVP_MD_CTX_free(stream->context);
	free(stream);
	return NULL;
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t bytes)
{
	if (!EVP_DigestUpdate(stream->context, data, bytes))
		stream->bad = true;
}

static int digest_stream_end(struct digest_stream *stream, struct digest *ret_digest)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char value[EVP_MAX_MD_SIZE];
	unsigned int bytes = 0;
	char *at;

	if (stream->bad || !EVP_DigestFinal_ex(stream->context, value, &bytes) ||
	    bytes * 2 != stream->algorithm->digits)
		return -EIO;
	at = stpcpy(ret_digest->text, stream->algorithm->head);
	for (unsigned int i = 0; i < bytes; i++) {
		*at++ = digits[value[i] >> 4];
		*at++ = digits[value[i] & 15];
	}
	*at = '\0';
	return 0;
}

int digest_stream_check(struct digest_stream *stream, const struct digest *want, struct err *err)
{
	struct digest got;
	int r = digest_stream_end(stream, &got);

	if (r < 0)
		return err_set(err, r, "libcrypto cannot make a digest");
	if (strcmp(got.text, want->text) != 0)
		return err_set(err, -EBADMSG, "wrong digest: it is %.19s..., not %.19s...",
			       got.text, want->text);
	return 0;
}

int digest_check(const struct digest *want, const void *data, size_t bytes, struct err *err)
{
	cleanup_digest_stream struct digest_stream *stream = digest_stream_new(want);

	if (!stream)
		return err_set(err, -ENOMEM, "out of memory");
	digest_stream_add(stream, data, bytes);
	return digest_stream_check(stream, want, err);
}

int digest_sha256(const void *data, size_t bytes, struct digest *ret_digest, struct err *err)
{
	static const struct digest like = { .text = "sha256:" };
	cleanup_digest_stream struct digest_stream *stream = digest_stream_new(&like);

	if (!stream)
		return err_set(err, -ENOMEM, "out of memory");
	digest_stream_add(stream, data, bytes);
	if (digest_stream_end(stream, ret_digest) < 0)
		return err_set(err, -EIO, "libcrypto cannot make a digest");
	return 0;
}
