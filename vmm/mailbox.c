/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the mailbox.
 */
#include "mailbox_host.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "clock.h"

enum { PATH_BYTES_MAX = 4095 };

/* A piece of a payload. */
struct part {
	const void *data;
	size_t bytes;
};

int mailbox_identity_new(struct mailbox_identity *ret_identity, struct err *err)
{
	struct mailbox_identity identity;

	do {
		if (getrandom(&identity, sizeof(identity), 0) != (ssize_t)sizeof(identity))
			return err_set(err, -EIO, "getrandom: %s", strerror(errno));
	} while (identity.generation == 0);
	*ret_identity = identity;
	return 0;
}

int mailbox_request_place(size_t bytes, uint32_t *ret_offset, struct err *err)
{
	if (bytes > MAILBOX_REQUEST_MAX)
		return err_set(err, -EMSGSIZE, "a request has at most %u bytes, not %zu",
			       MAILBOX_REQUEST_MAX, bytes);
	*ret_offset = bytes <= MAILBOX_SMALL_REQUEST_MAX ? MAILBOX_SMALL_REQUEST_OFFSET :
							   MAILBOX_REQUEST_OFFSET;
	return 0;
}

/* The guest is stopped while this runs; the VM entry that follows orders these stores before
 * anything that the guest reads. */
void mailbox_order_write(void *mailbox, enum mailbox_order order,
			 const struct mailbox_identity *identity, uint64_t sequence,
			 uint32_t request_offset, uint32_t request_bytes, uint32_t touch_count)
{
	struct mailbox_header *header = mailbox;

	header->magic = MAILBOX_MAGIC;
	header->version = MAILBOX_VERSION;
	header->order = order;
	header->generation = identity->generation;
	header->realtime_ns = clock_ns(CLOCK_REALTIME);
	memcpy(header->entropy, identity->entropy, sizeof(header->entropy));
	header->request_offset = request_offset;
	header->request_bytes = request_bytes;
	header->touch_offset = MAILBOX_REQUEST_OFFSET;
	header->touch_count = touch_count;
	header->sequence = sequence;
}

static int payload_write(void *mailbox, enum mailbox_order order,
			 const struct mailbox_identity *identity, uint64_t sequence,
			 const struct part *parts, size_t count, struct err *err)
{
	uint32_t offset;
	size_t bytes = 0;
	uint8_t *at;
	int r;

	for (size_t i = 0; i < count; i++)
		bytes += parts[i].bytes;
	r = mailbox_request_place(bytes, &offset, err);
	if (r < 0)
		return r;
	at = (uint8_t *)mailbox + offset;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].bytes)
			memcpy(at, parts[i].data, parts[i].bytes);
		at += parts[i].bytes;
	}
	mailbox_order_write(mailbox, order, identity, sequence, offset, (uint32_t)bytes, 0);
	return 0;
}

int mailbox_request_write(void *mailbox, enum mailbox_order order,
			  const struct mailbox_identity *identity, uint64_t sequence,
			  const void *data, size_t bytes, struct err *err)
{
	const struct part part = { .data = data, .bytes = bytes };

	return payload_write(mailbox, order, identity, sequence, &part, 1, err);
}

/* --- files -------------------------------------------------------------------------------- */

/* Components that are names, with one slash between two. */
static bool path_is_plain(const char *path, size_t bytes)
{
	size_t begin = 0;

	for (size_t at = 0; at <= bytes; at++) {
		size_t length = at - begin;

		if (at < bytes && path[at] == '\0')
			return false;
		if (at < bytes && path[at] != '/')
			continue;
		if (length == 0 || (length == 1 && path[begin] == '.') ||
		    (length == 2 && path[begin] == '.' && path[begin + 1] == '.'))
			return false;
		begin = at + 1;
	}
	return true;
}

static int check_file(const struct mailbox_file *file, const char *path, struct err *err)
{
	const uint32_t type = file->mode & S_IFMT;

	if (file->path_bytes > PATH_BYTES_MAX || !path_is_plain(path, file->path_bytes))
		return err_set(err, -EINVAL, "no guest takes the path '%.*s'",
			       (int)(file->path_bytes > PATH_BYTES_MAX ? PATH_BYTES_MAX :
									 file->path_bytes),
			       path);
	if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK)
		return err_set(err, -EINVAL,
			       "'%.*s' is neither a regular file, a folder nor a symbolic link",
			       (int)file->path_bytes, path);
	return 0;
}

uint32_t mailbox_file_room(uint32_t path_bytes)
{
	if (path_bytes > PATH_BYTES_MAX)
		return 0;
	return MAILBOX_REQUEST_MAX - (uint32_t)sizeof(struct mailbox_file) - path_bytes;
}

int mailbox_file_write(void *mailbox, const struct mailbox_identity *identity, uint64_t sequence,
		       const struct mailbox_file *file, const char *path, const void *data,
		       struct err *err)
{
	const struct part parts[] = {
		{ .data = file, .bytes = sizeof(*file) },
		{ .data = path, .bytes = file->path_bytes },
		{ .data = data, .bytes = file->data_bytes },
	};
	int r = check_file(file, path, err);

	return r < 0 ? r :
		       payload_write(mailbox, MAILBOX_ORDER_FILE, identity, sequence, parts,
				     ARRAY_SIZE(parts), err);
}

int mailbox_create_check(const void *data, size_t bytes, struct mailbox_create *ret_create,
			 struct err *err)
{
	const uint32_t known =
		MAILBOX_CREATE_IMAGE | MAILBOX_CREATE_DIRECT | MAILBOX_CREATE_NO_IDENTITY;
	struct mailbox_create create;

	if (bytes < sizeof(create) || bytes > MAILBOX_REQUEST_MAX)
		return err_set(err, -EINVAL, "a CREATE order has %zu to %u bytes, not %zu",
			       sizeof(create), MAILBOX_REQUEST_MAX, bytes);
	memcpy(&create, data, sizeof(create));
	if (create.config_bytes != bytes - sizeof(create))
		return err_set(err, -EINVAL,
			       "a CREATE order says that its config.json has %u bytes: it has %zu",
			       create.config_bytes, bytes - sizeof(create));
	if (create.flags & ~known)
		return err_set(err, -EINVAL, "a CREATE order has unknown flags (%#x)",
			       create.flags);
	*ret_create = create;
	return 0;
}

/* --- answers ------------------------------------------------------------------------------ */

int mailbox_answer_read(const void *mailbox, struct mailbox_answer *ret_answer, struct err *err)
{
	const volatile struct mailbox_header *header = mailbox;
	uint64_t magic = header->guest_magic;
	uint32_t version = header->guest_version;
	struct mailbox_answer answer = {
		.offset = header->response_offset,
		.bytes = header->response_bytes,
	};

	if (magic != MAILBOX_MAGIC)
		return err_set(err, -EPROTO, "the guest has not set the mailbox up");
	if (version != MAILBOX_VERSION)
		return err_set(err, -EPROTO, "the guest speaks mailbox version %u, the host %u",
			       version, MAILBOX_VERSION);
	if (answer.bytes > MAILBOX_BYTES || answer.offset > MAILBOX_BYTES - answer.bytes)
		return err_set(err, -EPROTO,
			       "the guest's response (%u bytes at %u) leaves the mailbox",
			       answer.bytes, answer.offset);
	*ret_answer = answer;
	return 0;
}

size_t mailbox_failure_read(const void *mailbox, char *text, size_t cap)
{
	struct mailbox_answer answer;

	if (mailbox_answer_read(mailbox, &answer, NULL) < 0)
		return 0;
	if (answer.bytes > cap)
		answer.bytes = (uint32_t)cap;
	memcpy(text, (const uint8_t *)mailbox + answer.offset, answer.bytes);
	return answer.bytes;
}

size_t mailbox_log_read(const void *mailbox, char *text, size_t cap)
{
	const volatile struct mailbox_header *header = mailbox;
	size_t bytes = header->log_bytes;

	if (bytes > MAILBOX_LOG_MAX)
		bytes = MAILBOX_LOG_MAX;
	if (bytes > cap)
		bytes = cap;
	memcpy(text, (const uint8_t *)mailbox + MAILBOX_LOG_OFFSET, bytes);
	return bytes;
}
