/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libquark: what a function links.
 *
 *	int main(void)
 *	{
 *		struct quark_request request;
 *
 *		prepare();                       // paid once, when the template is built
 *		while (quark_next(&request) == 0) // the first call is the snapshot point
 *			quark_respond(request.data, request.bytes);
 *		return 1;
 *	}
 *
 * No call makes a system call between quark_next's return and the doorbell of quark_respond. One
 * thread of the function calls these; the others may do what they like.
 *
 * The machine is captured inside the first quark_next, and each clone of it goes on from there.
 * What must not be the same in two clones (connections, random numbers that the program drew
 * ahead, cached times) is closed and made anew by hooks:
 *
 *	quark_before_snapshot(disconnect, &connection);
 *	quark_after_restore(connect_again, &connection);
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quark_request {
	const void *data;	/* in the mailbox; valid until the answer is given */
	size_t bytes;
	uint64_t generation;	/* a new number for every clone */
	uint64_t realtime_ns;	/* host wall clock when the request was sent */
	const uint8_t *entropy; /* 64 bytes, fresh for every clone */
};

/* Waits for a request; one that was not answered fails first. The machine that the function runs
 * in is captured and cloned in here: with wake "run0" the function waits meanwhile, and returns
 * when PID 1 has given the clone its own random numbers and names; with "direct" it stops itself.
 * 0; -EPROTO when the host's side of the mailbox is not what this library knows; -ENODEV when the
 * process was not given a doorbell and mailbox. */
int quark_next(struct quark_request *ret_request);

/* Hooks around the snapshot, to be set before the first quark_next. Those of the first kind run in
 * quark_next, in the order in which they were set, whenever the machine may be captured next: at
 * the first call, and after warm-up. Those of the second kind run once in every clone (and once
 * for warm-up), in the order in which they were set, after the clone is unique and before it takes
 * its first request; a pool runs them ahead of the request. They may call quark_log. 0; -EINVAL
 * without a hook; -ENOSPC when there are QUARK_HOOKS_MAX of that kind. */
#define QUARK_HOOKS_MAX 16
int quark_before_snapshot(void (*hook)(void *context), void *context);
int quark_after_restore(void (*hook)(void *context), void *context);

/* Answers the request. `data` may lie anywhere, also in quark_response_buffer (then nothing is
 * copied). 0; -EMSGSIZE when larger than the mailbox takes (quark_response_max), -EINVAL without a
 * request. */
int quark_respond(const void *data, size_t bytes);

/* Answers that the function failed, with a message for the caller. */
int quark_fail(const char *message);

/* Writes a line to the caller's log (formatted; cut at 4096 bytes). Returns at once. */
__attribute__((format(printf, 1, 2))) int quark_log(const char *format, ...);

/* The mailbox's own room for a large response, to write into directly. */
void *quark_response_buffer(void);
size_t quark_response_max(void);

#ifdef __cplusplus
}
#endif
