/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading requests.
 */
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "mailbox.h"

/* Reads to the end, which a pipe does not tell in advance: up to one byte more than allowed. */
static int read_stream(struct request *request, int fd, const char *name, struct err *err)
{
	const size_t room = MAILBOX_REQUEST_MAX + 1;
	ssize_t n;

	request->data = malloc(room);
	if (!request->data)
		return err_set(err, -ENOMEM, "out of memory");
	do {
		n = read(fd, request->data + request->bytes, room - request->bytes);
		if (n > 0)
			request->bytes += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_set(err, -errno, "cannot read the request from %s: %s", name,
			       strerror(errno));
	return 0;
}

static int read_file(struct request *request, const char *path, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	return read_stream(request, fd, path, err);
}

static int copy_text(struct request *request, const char *text, struct err *err)
{
	request->bytes = strlen(text);
	request->data = (uint8_t *)strdup(text);
	return request->data ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int request_read(struct request *ret_request, const char *source, struct err *err)
{
	cleanup_request struct request request = {0};
	int r;

	if (!source)
		source = "";
	if (strcmp(source, "-") == 0)
		r = read_stream(&request, STDIN_FILENO, "stdin", err);
	else if (source[0] == '@')
		r = read_file(&request, source + 1, err);
	else
		r = copy_text(&request, source, err);
	if (r < 0)
		return r;
	if (request.bytes > MAILBOX_REQUEST_MAX)
		return err_set(err, -EMSGSIZE, "the request is larger than %u bytes",
			       MAILBOX_REQUEST_MAX);
	*ret_request = request;
	request = (struct request){0};
	return 0;
}

void request_done(struct request *request)
{
	free(request->data);
	*request = (struct request){0};
}

int request_open(const struct request *request, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = memfd_create("request", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "cannot make a memfd: %s", strerror(errno));
	r = file_pwrite_all(fd, request->data, request->bytes, 0);
	if (r < 0)
		return err_set(err, r, "cannot keep the request: %s", strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}
