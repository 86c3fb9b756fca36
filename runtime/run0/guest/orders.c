/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's orders to PID 1: copied out of the mailbox once, then checked.
 *
 * The guest trusts its host, so this is no defence; but a mistake there, or two versions that do
 * not belong together, must come out as a message and not as a machine that hangs. Pure functions,
 * which the unit tests call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "init.h"

/* An offset below the area wraps round and is beyond its end. */
static bool is_within(uint64_t offset, uint64_t bytes, uint32_t area, uint32_t area_bytes)
{
	return offset - area <= area_bytes && bytes <= area_bytes - (offset - area);
}

static bool has_payload(uint32_t kind)
{
	return kind == MAILBOX_ORDER_REQUEST || kind == MAILBOX_ORDER_FILE ||
	       kind == MAILBOX_ORDER_CREATE || kind == MAILBOX_ORDER_GATHER;
}

int order_read(const uint8_t *mailbox, struct order *ret_order, struct err *err)
{
	const volatile struct mailbox_header *header = (const volatile void *)mailbox;
	const uint64_t magic = header->magic;
	const uint32_t version = header->version;
	const struct order order = {
		.kind = header->order,
		.offset = header->request_offset,
		.bytes = header->request_bytes,
		.generation = header->generation,
		.sequence = header->sequence,
	};

	if (magic != MAILBOX_MAGIC)
		return err_set(err, -EPROTO, "the host has not written an order");
	if (version != MAILBOX_VERSION)
		return err_set(err, -EPROTO, "the host speaks mailbox version %u, the guest %u",
			       version, MAILBOX_VERSION);
	if (has_payload(order.kind) &&
	    !is_within(order.offset, order.bytes, MAILBOX_SMALL_REQUEST_OFFSET,
		       MAILBOX_SMALL_REQUEST_MAX) &&
	    !is_within(order.offset, order.bytes, MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_MAX))
		return err_set(err, -EPROTO,
			       "order %u: its %u bytes at %u are in no area for requests",
			       order.kind, order.bytes, order.offset);
	*ret_order = order;
	return 0;
}

/* --- FILE ------------------------------------------------------------------------------------ */

/* Relative, without empty parts, "." and "..": the one spelling of a path. */
static bool is_clean_path(const char *path, size_t bytes)
{
	if (bytes == 0 || memchr(path, 0, bytes))
		return false;
	for (const char *part = path; part <= path + bytes;) {
		const size_t length = strcspn(part, "/");

		if (length == 0 || (length == 1 && part[0] == '.') ||
		    (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += length + 1;
	}
	return true;
}

static int check_file(const struct file_order *file, struct err *err)
{
	const struct mailbox_file *head = &file->head;

	if (!is_clean_path(file->path, head->path_bytes))
		return err_set(err, -EPROTO,
			       "file order: '%.200s' is not a relative path without '.' and '..'",
			       file->path);
	if ((head->mode & ~(uint32_t)(S_IFMT | FILE_MODE_BITS)) ||
	    (!S_ISREG(head->mode) && !S_ISDIR(head->mode) && !S_ISLNK(head->mode)))
		return err_set(err, -EPROTO, "file order: '%.200s' has the unknown mode %o",
			       file->path, head->mode);
	if (head->offset > INT64_MAX - (uint64_t)head->data_bytes)
		return err_set(err, -EPROTO, "file order: '%.200s' does not end", file->path);
	if (!S_ISREG(head->mode) && head->offset)
		return err_set(err, -EPROTO, "file order: '%.200s' is no file, and has an offset",
			       file->path);
	if (S_ISDIR(head->mode) && head->data_bytes)
		return err_set(err, -EPROTO, "file order: the folder '%.200s' has contents",
			       file->path);
	if (S_ISLNK(head->mode) && (head->data_bytes == 0 || head->data_bytes > FILE_PATH_MAX))
		return err_set(err, -EPROTO, "file order: '%.200s' is a link of %u bytes",
			       file->path, head->data_bytes);
	return 0;
}

int file_order_read(const uint8_t *mailbox, const struct order *order,
		    struct file_order *ret_file, struct err *err)
{
	const uint8_t *from = mailbox + order->offset;
	struct mailbox_file *head = &ret_file->head;

	if (order->bytes < sizeof(*head))
		return err_set(err, -EPROTO, "file order: it has only %u bytes", order->bytes);
	memcpy(head, from, sizeof(*head));
	if (head->path_bytes > FILE_PATH_MAX)
		return err_set(err, -EPROTO, "file order: the path has %u bytes, the most is %d",
			       head->path_bytes, FILE_PATH_MAX);
	if ((uint64_t)sizeof(*head) + head->path_bytes + head->data_bytes != order->bytes)
		return err_set(err, -EPROTO,
			       "file order: a path of %u and data of %u bytes, in an order of %u",
			       head->path_bytes, head->data_bytes, order->bytes);
	memcpy(ret_file->path, from + sizeof(*head), head->path_bytes);
	ret_file->path[head->path_bytes] = '\0';
	ret_file->data = from + sizeof(*head) + head->path_bytes;
	return check_file(ret_file, err);
}

/* --- CREATE ---------------------------------------------------------------------------------- */

int create_order_read(const uint8_t *mailbox, const struct order *order,
		      struct create_order *ret_create, struct err *err)
{
	static const uint32_t known =
		MAILBOX_CREATE_IMAGE | MAILBOX_CREATE_DIRECT | MAILBOX_CREATE_NO_IDENTITY;
	const uint8_t *from = mailbox + order->offset;
	struct mailbox_create *head = &ret_create->head;

	if (order->bytes < sizeof(*head))
		return err_set(err, -EPROTO, "create order: it has only %u bytes", order->bytes);
	memcpy(head, from, sizeof(*head));
	if (head->flags & ~known)
		return err_set(err, -EPROTO, "create order: unknown flags %x",
			       head->flags & ~known);
	if ((uint64_t)sizeof(*head) + head->config_bytes != order->bytes)
		return err_set(err, -EPROTO,
			       "create order: a configuration of %u bytes, in an order of %u",
			       head->config_bytes, order->bytes);
	ret_create->config = from + sizeof(*head);
	return 0;
}
