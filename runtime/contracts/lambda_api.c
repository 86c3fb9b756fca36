/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the Runtime API.
 */
#include "lambda_api.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "err.h"
#include "line.h"
#include "socket.h"

#define API_PATH "/2018-06-01/runtime/"
#define INVOCATION "invocation/"
#define REPLY_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

enum {
	SLOT_LISTEN = CHILD_POLL_FIRST,
	SLOT_FIRST,
	SLOT_COUNT = SLOT_FIRST + LAMBDA_CONNECTIONS_MAX,
	HEAD_BYTES = 1024,
	REPLY_MS = 30000, /* who does not read its reply for so long has lost it */
};

struct path_row {
	const char *path;
	enum http_method method;
	enum lambda_call call;
};

static const struct path_row paths[] = {
	{"invocation/next", HTTP_GET, LAMBDA_NEXT},
	{"init/error", HTTP_POST, LAMBDA_INIT_ERROR},
	{"restore/next", HTTP_GET, LAMBDA_RESTORE_NEXT},
	{"restore/error", HTTP_POST, LAMBDA_RESTORE_ERROR},
};

/* `invocation/ID/response` and `invocation/ID/error`. */
static enum lambda_call invocation_call(const struct lambda_api *api, const char *path)
{
	const char *id = path + strlen(INVOCATION);
	const char *verb = strchr(id, '/');
	enum lambda_call call;

	if (!verb)
		return LAMBDA_UNKNOWN;
	if (!strcmp(verb, "/response"))
		call = LAMBDA_RESPONSE;
	else if (!strcmp(verb, "/error"))
		call = LAMBDA_ERROR;
	else
		return LAMBDA_UNKNOWN;
	if (!api->id[0] || (size_t)(verb - id) != LAMBDA_ID_BYTES ||
	    memcmp(id, api->id, LAMBDA_ID_BYTES) != 0)
		return LAMBDA_OTHER_ID;
	return call;
}

static enum lambda_call call_of(const struct lambda_api *api, const struct http_message *message)
{
	const char *path = message->url + strlen(API_PATH);

	if (strncmp(message->url, API_PATH, strlen(API_PATH)) != 0)
		return LAMBDA_UNKNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (!strcmp(path, paths[i].path))
			return message->parser.method == paths[i].method ? paths[i].call
									 : LAMBDA_UNKNOWN;
	if (!strncmp(path, INVOCATION, strlen(INVOCATION)) &&
	    message->parser.method == HTTP_POST)
		return invocation_call(api, path);
	return LAMBDA_UNKNOWN;
}

/* The head is there: whose body is it? */
static void on_head(struct http_message *message, void *context)
{
	struct lambda_connection *connection = context;
	struct lambda_api *api = connection->api;

	connection->call = call_of(api, message);
	message->body = NULL;
	if (message->expect) /* else curl waits for a second */
		(void)send(connection->fd, REPLY_CONTINUE, strlen(REPLY_CONTINUE),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
	if (connection->call == LAMBDA_UNKNOWN || connection->call == LAMBDA_OTHER_ID ||
	    message->parser.method != HTTP_POST || api->body_owner)
		return;
	body_reset(&api->body);
	api->body_owner = connection;
	message->body = &api->body;
}

static void message_begin(struct lambda_connection *connection)
{
	if (connection->api->body_owner == connection)
		connection->api->body_owner = NULL;
	http_message_begin(&connection->message, HTTP_REQUEST);
}

static void connection_close(struct lambda_connection *connection)
{
	struct lambda_api *api = connection->api;

	message_begin(connection);
	if (api->next == connection)
		api->next = NULL;
	if (api->restore_next == connection)
		api->restore_next = NULL;
	connection->fd = fd_close(connection->fd);
}

static void connection_accept(struct lambda_api *api)
{
	struct lambda_connection *free_slot = NULL;
	int fd = socket_accept(api->listen_fd);

	for (size_t i = 0; i < LAMBDA_CONNECTIONS_MAX && !free_slot; i++)
		if (api->connections[i].fd < 0)
			free_slot = &api->connections[i];
	if (fd < 0 || !free_slot) { /* no slot: not polled for; fd < 0: it is gone again */
		(void)fd_close(fd);
		return;
	}
	*free_slot = (struct lambda_connection){
		.api = api,
		.fd = fd,
		.message = {.wanted = "Lambda-Runtime-Function-Error-Type",
			    .on_head = on_head,
			    .context = free_slot},
	};
	message_begin(free_slot);
}

/* A second one that waits takes the first one's place, who can only have given up. The path is
 * looked at again: the invocation may have been another when the head came. */
static void message_take(struct lambda_connection *connection)
{
	struct lambda_api *api = connection->api;

	connection->call = call_of(api, &connection->message);
	switch (connection->call) {
	case LAMBDA_NEXT:
		api->next = connection;
		break;
	case LAMBDA_RESTORE_NEXT:
		api->restore_next = connection;
		break;
	default:
		api->posted = connection;
		break;
	}
}

static void connection_read(struct lambda_connection *connection)
{
	struct lambda_api *api = connection->api;
	ssize_t n = recv(connection->fd, api->read, sizeof(api->read), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	/* More than one message at a time, or bytes after it, is nothing that a runtime sends. */
	if (n <= 0 || connection->message.complete ||
	    http_message_feed(&connection->message, api->read, (size_t)n, NULL) < 0)
		connection_close(connection);
	else if (connection->message.complete)
		message_take(connection);
}

/* New connections wait in the kernel while all slots are taken. */
static bool has_free_slot(const struct lambda_api *api)
{
	for (size_t i = 0; i < LAMBDA_CONNECTIONS_MAX; i++)
		if (api->connections[i].fd < 0)
			return true;
	return false;
}

int lambda_api_open(struct lambda_api *api, uint16_t port, struct child *child, struct err *err)
{
	int fd;

	*api = (struct lambda_api){.child = child};
	for (size_t i = 0; i < LAMBDA_CONNECTIONS_MAX; i++)
		api->connections[i].fd = -1;
	fd = socket_listen(port, err);
	api->listen_fd = fd;
	return fd < 0 ? fd : 0;
}

int lambda_api_step(struct lambda_api *api, uint64_t deadline_ns)
{
	struct pollfd fds[SLOT_COUNT];
	int r;

	fds[SLOT_LISTEN] = (struct pollfd){.fd = has_free_slot(api) ? api->listen_fd : -1,
					   .events = POLLIN};
	for (size_t i = 0; i < LAMBDA_CONNECTIONS_MAX; i++)
		fds[SLOT_FIRST + i] =
			(struct pollfd){.fd = api->connections[i].fd, .events = POLLIN};
	r = child_poll(api->child, fds, SLOT_COUNT, deadline_ns);
	if (r < 0)
		return r;
	/* One message at a time: what was posted is answered before the next is read. */
	for (size_t i = 0; i < LAMBDA_CONNECTIONS_MAX && !api->posted; i++)
		if (fds[SLOT_FIRST + i].revents)
			connection_read(&api->connections[i]);
	if (fds[SLOT_LISTEN].revents)
		connection_accept(api);
	return 0;
}

void lambda_api_reply(struct lambda_api *api, struct lambda_connection *connection,
		      const char *status, const char *headers, size_t headers_bytes,
		      const char *data, size_t bytes)
{
	char text[HEAD_BYTES];
	struct line head = {.text = text, .max = sizeof(text)};
	struct socket_parts parts = {.parts = {{text, 0}, {(void *)data, bytes}}, .count = 2};
	bool keep_alive = connection->message.keep_alive;

	line_add_text(&head, "HTTP/1.1 ");
	line_add_text(&head, status);
	line_add_text(&head, "\r\nContent-Type: application/json\r\n");
	line_add(&head, headers, headers_bytes);
	line_add_text(&head, keep_alive ? "Content-Length: "
					: "Connection: close\r\nContent-Length: ");
	line_add_number(&head, bytes);
	line_add_text(&head, "\r\n\r\n");
	parts.parts[0].iov_len = head.bytes;

	if (api->next == connection)
		api->next = NULL;
	if (api->restore_next == connection)
		api->restore_next = NULL;
	if (socket_send(connection->fd, &parts, api->child, deadline_in(REPLY_MS)) < 0 ||
	    !keep_alive)
		connection_close(connection);
	else
		message_begin(connection);
}
