/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice between the two implementations of page I/O.
 */
#include "snapshot_priv.h"

/* Containers and hardened hosts refuse io_uring_setup by seccomp or kernel.io_uring_disabled, and
 * only trying tells. */
const struct page_io_ops *page_io_default(void)
{
	struct page_io *io;

	if (page_io_uring_ops.open(&io, 1) < 0)
		return &page_io_sync_ops;
	page_io_uring_ops.close(io);
	return &page_io_uring_ops;
}
