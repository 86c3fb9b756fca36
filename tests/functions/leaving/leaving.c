/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaving: has a thread that ends the function when a system call of its is interrupted, as
 * stopping it does; and enough pages that stopping it is worth while.
 */
#include <pthread.h>
#include <quark.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum { PAGES = 64, PAGE_BYTES = 4096 };

static volatile unsigned char pages[PAGES * PAGE_BYTES];

static void *wait_for_ever(void *context)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)context;
	(void)epoll_wait(fd, &event, 1, -1);
	exit(5);
}

int main(void)
{
	struct quark_request request;
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		return 2;
	while (quark_next(&request) == 0) {
		for (int i = 0; i < PAGES; i++)
			pages[i * PAGE_BYTES]++;
		(void)quark_respond("here", 4);
	}
	return 1;
}
