/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page I/O in batches through one io_uring.
 *
 * A transfer keeps up to `depth` extents in flight, each in a slot that remembers what is left of
 * it, because reads and writes may be short. Nothing is in flight between two calls: buffers belong
 * to the caller again when a transfer returns, even when it fails. One thread owns a struct page_io
 * (its registered ring descriptor is that thread's).
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "cleanup.h"
#include "snapshot_priv.h"

enum {
	DEPTH_DEFAULT = 64,
	DEPTH_MAX = 1024,
	TRANSFER_MAX_BYTES = 1 << 30, /* of one request, whose length is 32 bits */
};

struct slot {
	struct page_extent left;
	unsigned int next_free; /* index + 1 of the next free slot */
};

struct page_io {
	struct io_uring ring;
	unsigned int depth;
	unsigned int free;  /* index + 1 of the first free slot */
	struct slot *slots; /* owned, `depth` of them */
};

/* One call of read or write. */
struct transfer {
	struct page_io *io;
	void (*prepare)(struct io_uring_sqe *sqe, int fd, const struct page_extent *extent);
	int fd;
	int end_of_file; /* what a transfer of no bytes means */
	const struct page_extent *extents;
	size_t count, next;	/* extents handed to slots so far */
	unsigned int in_flight; /* slots that are taken */
	int result;		/* the first error */
};

static void slot_put(struct page_io *io, unsigned int index)
{
	io->slots[index].next_free = io->free;
	io->free = index + 1;
}

static unsigned int slot_take(struct page_io *io)
{
	unsigned int index = io->free - 1;

	io->free = io->slots[index].next_free;
	return index;
}

static void prepare_read(struct io_uring_sqe *sqe, int fd, const struct page_extent *extent)
{
	io_uring_prep_read(sqe, fd, extent->buf, (unsigned int)extent->bytes, extent->offset);
}

static void prepare_write(struct io_uring_sqe *sqe, int fd, const struct page_extent *extent)
{
	io_uring_prep_write(sqe, fd, extent->buf, (unsigned int)extent->bytes, extent->offset);
}

/* Never short of entries: the queue holds as many as there are slots. */
static void slot_queue(struct transfer *t, unsigned int index)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->io->ring);
	struct page_extent part = t->io->slots[index].left;

	if (part.bytes > TRANSFER_MAX_BYTES)
		part.bytes = TRANSFER_MAX_BYTES;
	t->prepare(sqe, t->fd, &part);
	io_uring_sqe_set_data64(sqe, index);
}

static void fill_queue(struct transfer *t)
{
	while (t->result == 0 && t->next < t->count && t->io->free) {
		unsigned int index = slot_take(t->io);

		t->io->slots[index].left = t->extents[t->next++];
		t->in_flight++;
		slot_queue(t, index);
	}
}

static void slot_done(struct transfer *t, unsigned int index, int result)
{
	slot_put(t->io, index);
	t->in_flight--;
	if (t->result == 0)
		t->result = result;
}

static void complete(struct transfer *t, unsigned int index, int transferred)
{
	struct page_extent *left = &t->io->slots[index].left;
	bool again = transferred == -EINTR || transferred == -EAGAIN;

	if (!again && transferred < 0)
		return slot_done(t, index, transferred);
	if (!again && transferred == 0 && left->bytes > 0)
		return slot_done(t, index, t->end_of_file);
	if (!again) {
		left->buf = (char *)left->buf + transferred;
		left->bytes -= (size_t)transferred;
		left->offset += (uint64_t)transferred;
	}
	if (left->bytes == 0)
		return slot_done(t, index, 0);
	if (t->result < 0)
		return slot_done(t, index, t->result);
	slot_queue(t, index);
}

/* Submits what is queued and takes what is complete, at least one. */
static int turn(struct transfer *t)
{
	struct io_uring *ring = &t->io->ring;
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;
	int r;

	r = io_uring_submit_and_wait(ring, 1);
	if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
		return r;
	io_uring_for_each_cqe(ring, head, cqe) {
		complete(t, (unsigned int)io_uring_cqe_get_data64(cqe), cqe->res);
		seen++;
	}
	io_uring_cq_advance(ring, seen);
	return 0;
}

static int transfer_run(struct transfer *t)
{
	fill_queue(t);
	while (t->in_flight > 0) {
		/* Fails only on a ring that is no ring, which then has nothing in flight. */
		int r = turn(t);

		if (r < 0)
			return r;
		fill_queue(t);
	}
	return t->result;
}

static int uring_read(struct page_io *io, int fd, const struct page_extent *extents, size_t count)
{
	struct transfer t = {
		.io = io,
		.prepare = prepare_read,
		.fd = fd,
		.end_of_file = -ENODATA,
		.extents = extents,
		.count = count,
	};

	return transfer_run(&t);
}

static int uring_write(struct page_io *io, int fd, const struct page_extent *extents, size_t count)
{
	struct transfer t = {
		.io = io,
		.prepare = prepare_write,
		.fd = fd,
		.end_of_file = -EIO,
		.extents = extents,
		.count = count,
	};

	return transfer_run(&t);
}

static int uring_open(struct page_io **ret_io, unsigned int depth)
{
	cleanup_free struct page_io *io = NULL;
	cleanup_free struct slot *slots = NULL;
	int r;

	if (depth == 0)
		depth = DEPTH_DEFAULT;
	if (depth > DEPTH_MAX)
		return -EINVAL;
	io = calloc(1, sizeof(*io));
	slots = calloc(depth, sizeof(*slots));
	if (!io || !slots)
		return -ENOMEM;

	r = io_uring_queue_init(depth, &io->ring, 0);
	if (r < 0)
		return r;
	/* Saves a descriptor look-up per system call; kernels before 5.18 lack it. */
	(void)io_uring_register_ring_fd(&io->ring);

	io->depth = depth;
	io->slots = TAKE_PTR(slots);
	for (unsigned int i = depth; i > 0; i--)
		slot_put(io, i - 1);
	*ret_io = TAKE_PTR(io);
	return 0;
}

static void uring_close(struct page_io *io)
{
	if (!io)
		return;
	io_uring_queue_exit(&io->ring);
	free(io->slots);
	free(io);
}

const struct page_io_ops page_io_uring_ops = {
	.name = "io_uring",
	.open = uring_open,
	.read = uring_read,
	.write = uring_write,
	.close = uring_close,
};
