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

/* Rings READY and waits for a request; one that was not answered fails first. 0; -EPROTO when the
 * host's side of the mailbox is not what this library knows; -ENODEV when the process was not given
 * a doorbell and mailbox. */
int quark_next(struct quark_request *ret_request);

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
