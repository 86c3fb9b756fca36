/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol LUMPER TEMPLATE: orders to a shell that no honest caller sends. Those that are whole but
 * ask for what is not there are answered with an error, before anything is mapped: the same shell
 * then takes the template. Those that are not whole end the shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_test.h"
#include "mailbox.h"
#include "shell_proto.h"

struct peer {
	int socket;
	pid_t pid;
	struct shell_reply reply;
};

/* An order as it goes out: any number of bytes and descriptors. */
struct message {
	struct shell_order order;
	size_t bytes;
	int fds[SHELL_FDS_MAX + 1];
	size_t fd_count;
};

static void exec_shell(const char *lumper, int socket, int mailbox, uint64_t memory_bytes)
{
	char memory[32];

	(void)snprintf(memory, sizeof(memory), "%lluK", (unsigned long long)(memory_bytes >> 10));
	if (dup2(socket, 10) == 10 && dup2(mailbox, 11) == 11)
		(void)execl(lumper, "lumper", "shell", "--socket", "10", "--mailbox", "11",
			    "--memory", memory, (char *)NULL);
	_exit(127);
}

static struct peer peer_new(const char *lumper, const struct template *template)
{
	int pair[2], mailbox = memfd_create("mailbox", MFD_CLOEXEC);
	struct peer peer = {};

	REQUIRE(mailbox >= 0 && ftruncate(mailbox, MAILBOX_BYTES) == 0, "no mailbox");
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "no socket");
	peer.pid = fork();
	REQUIRE(peer.pid >= 0, "no process");
	if (peer.pid == 0)
		exec_shell(lumper, pair[1], mailbox, template_manifest(template)->memory_bytes);
	(void)close(pair[1]);
	(void)close(mailbox);
	peer.socket = pair[0];
	REQUIRE(recv(peer.socket, &peer.reply, sizeof(peer.reply), 0) > 0 &&
			peer.reply.kind == SHELL_HELLO, "no HELLO");
	return peer;
}

/* Returns the shell's exit status. */
static int peer_end(struct peer *peer)
{
	int status = -1;

	(void)close(peer->socket);
	REQUIRE(waitpid(peer->pid, &status, 0) == peer->pid, "the shell is not there");
	return status;
}

static void send_message(const struct peer *peer, const struct message *message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE((SHELL_FDS_MAX + 1) * sizeof(int))];
	} control = {};
	struct iovec part = { .iov_base = (void *)&message->order, .iov_len = message->bytes };
	struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1 };

	if (message->fd_count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(message->fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), message->fds, message->fd_count * sizeof(int));
		head.msg_control = &control;
		head.msg_controllen = CMSG_SPACE(message->fd_count * sizeof(int));
	}
	REQUIRE(sendmsg(peer->socket, &head, MSG_NOSIGNAL) == (ssize_t)message->bytes,
		"sendmsg: %s", strerror(errno));
}

/* An order to load the template as it is. */
static struct message honest(const struct template *template)
{
	const struct manifest *manifest = template_manifest(template);
	const int more[] = { template_working_set_fd(template), template_base_fd(template),
			     template_image_fd(template) };
	struct message message = {
		.order = { .version = SHELL_PROTO_VERSION, .op = SHELL_LOAD,
			   .extent_count = manifest->extent_count,
			   .image_bytes = manifest->image.bytes },
		.fds = { template_memory_fd(template), template_state_fd(template) },
		.fd_count = 2,
	};

	memcpy(message.order.extents, manifest->extents, sizeof(message.order.extents));
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		if (more[i] >= 0) {
			message.order.files |= 1u << i;
			message.fds[message.fd_count++] = more[i];
		}
	}
	message.bytes = offsetof(struct shell_order, extents) +
			message.order.extent_count * sizeof(struct snapshot_extent);
	return message;
}

static void unaligned(struct message *message)
{
	message->order.extents[0].offset += 512;
}

static void unaligned_end(struct message *message)
{
	message->order.extents[0].bytes -= 1;
}

static void empty(struct message *message)
{
	message->order.extents[0].bytes = 0;
}

static void beyond(struct message *message)
{
	message->order.extents[message->order.extent_count - 1].bytes = 8ull << 30;
}

static void far_beyond(struct message *message)
{
	message->order.extents[message->order.extent_count - 1].offset = -GUEST_PAGE_BYTES;
}

static void wraps_round(struct message *message)
{
	message->order.extents[message->order.extent_count - 1].bytes = -GUEST_PAGE_BYTES;
}

static void descending(struct message *message)
{
	message->order.extents[1] = message->order.extents[0];
}

static void no_base(struct message *message)
{
	message->order.files &= ~(uint32_t)SHELL_FILE_BASE;
	message->fd_count--;
}

static void one_fd_less(struct message *message)
{
	message->fd_count--;
}

static void no_fds(struct message *message)
{
	message->fd_count = 0;
}

static void unknown_file(struct message *message)
{
	message->order.files |= 16;
	message->fds[message->fd_count++] = message->fds[0];
}

static void state_is_no_state(struct message *message)
{
	message->fds[1] = message->fds[0];
}

static const struct {
	const char *name;
	void (*change)(struct message *message);
} refused[] = {
	{ "an extent between pages", unaligned },
	{ "an extent that ends between pages", unaligned_end },
	{ "an empty extent", empty },
	{ "an extent beyond memory", beyond },
	{ "an extent far beyond memory", far_beyond },
	{ "an extent that wraps round", wraps_round },
	{ "extents that do not ascend", descending },
	{ "extents without a base", no_base },
	{ "a descriptor too few", one_fd_less },
	{ "no descriptors", no_fds },
	{ "a file of no kind", unknown_file },
	{ "a state that is none", state_is_no_state },
};

static void test_refused(const char *lumper, const struct template *template)
{
	struct peer peer = peer_new(lumper, template);
	struct message message;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		message = honest(template);
		refused[i].change(&message);
		send_message(&peer, &message);
		REQUIRE(recv(peer.socket, &peer.reply, sizeof(peer.reply), 0) > 0,
			"%s ends the shell", refused[i].name);
		REQUIRE(peer.reply.kind == SHELL_ERROR && peer.reply.code < 0,
			"%s is answered with %u", refused[i].name, peer.reply.kind);
		printf("%s: %.*s\n", refused[i].name, (int)peer.reply.text_bytes, peer.reply.text);
	}
	message = honest(template);
	send_message(&peer, &message);
	REQUIRE(recv(peer.socket, &peer.reply, sizeof(peer.reply), 0) > 0 &&
			peer.reply.kind == SHELL_LOADED,
		"the template itself is refused: %.*s", (int)peer.reply.text_bytes,
		peer.reply.text);
	send_message(&peer, &message);
	REQUIRE(recv(peer.socket, &peer.reply, sizeof(peer.reply), 0) > 0 &&
			peer.reply.kind == SHELL_ERROR, "a second template is taken");
	REQUIRE(peer_end(&peer) == 0, "the shell does not end well");
}

static void cut(struct message *message)
{
	message->bytes -= 1;
}

static void longer(struct message *message)
{
	message->bytes += sizeof(struct snapshot_extent);
}

static void countless(struct message *message)
{
	message->order.extent_count = UINT32_MAX;
}

static void other_version(struct message *message)
{
	message->order.version++;
}

static void tiny(struct message *message)
{
	message->bytes = 4;
}

static void too_many_fds(struct message *message)
{
	while (message->fd_count < SHELL_FDS_MAX + 1)
		message->fds[message->fd_count++] = message->fds[0];
}

static const struct {
	const char *name;
	void (*change)(struct message *message);
} fatal[] = {
	{ "an order that is cut", cut },	  { "an order that is too long", longer },
	{ "a count beyond all bounds", countless }, { "another version", other_version },
	{ "four bytes", tiny },			  { "too many descriptors", too_many_fds },
};

static void test_fatal(const char *lumper, const struct template *template)
{
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		struct peer peer = peer_new(lumper, template);
		struct message message = honest(template);
		int status;

		fatal[i].change(&message);
		send_message(&peer, &message);
		REQUIRE(recv(peer.socket, &peer.reply, sizeof(peer.reply), 0) <= 0,
			"%s is answered", fatal[i].name);
		status = peer_end(&peer);
		REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: wait status %#x",
			fatal[i].name, (unsigned int)status);
	}
}

int main(int argc, char **argv)
{
	struct template *template;

	REQUIRE(argc == 3, "usage: protocol LUMPER TEMPLATE");
	template = test_template(argv[2]);
	REQUIRE(template_manifest(template)->extent_count >= 2, "the template has no two extents");
	test_refused(argv[1], template);
	test_fatal(argv[1], template);
	(void)template_free(template);
	return 0;
}
