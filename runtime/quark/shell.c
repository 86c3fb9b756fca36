/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's side of a lumper shell.
 *
 * The mailbox is a memfd that both processes map and that lumper puts under the guest's mailbox
 * address: the request is written straight into guest memory and the response is read from there.
 * What goes over the socket is one small order and one small reply.
 */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "clock.h"
#include "lumper/shell_proto.h"
#include "mailbox_host.h"

enum { DEFAULT_TIMEOUT_MS = 10000, CHILD_SOCKET_FD = 3, CHILD_MAILBOX_FD = 4, CHILD_LIKE_FD = 5 };

const char *const level_names[LEVELS] = {
	[LEVEL_COLD] = "cold",
	[LEVEL_SHELL] = "shell",
	[LEVEL_TEMPLATE] = "template",
	[LEVEL_PARKED] = "parked",
};

const char *const stage_names[STAGES] = {
	[STAGE_PROCESS] = "process", [STAGE_VM] = "vm",	  [STAGE_MEMORY] = "memory",
	[STAGE_STATE] = "state",     [STAGE_RUN] = "run", [STAGE_HOP] = "hop",
};

struct shell {
	struct shell_config config;
	pid_t pid;
	int socket;	     /* owned */
	int mailbox_fd;	     /* owned */
	uint8_t *mailbox;    /* owned mapping */
	struct mailbox_identity identity;
	uint64_t sequence;
	uint64_t deadline_ns; /* of all calls until it is 0 again; 0: each has its own */
	uint64_t spawned_ns; /* when shell_new began */
	uint64_t hello[SHELL_STAMPS];
	const struct template *template; /* borrowed; NULL: none loaded */
	struct shell_reply reply;
};

/* --- the process -------------------------------------------------------------------------- */

static int make_mailbox(struct shell *shell, struct err *err)
{
	void *at;

	/* Sealed: who shares it cannot make it smaller under our hands. */
	shell->mailbox_fd = memfd_create("quark-mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (shell->mailbox_fd < 0 || ftruncate(shell->mailbox_fd, MAILBOX_BYTES) < 0 ||
	    fcntl(shell->mailbox_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(err, -errno, "cannot make a mailbox: %s", strerror(errno));
	at = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, shell->mailbox_fd, 0);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "cannot map the mailbox: %s", strerror(errno));
	shell->mailbox = at;
	return mailbox_identity_new(&shell->identity, err);
}

static unsigned int timeout_ms(const struct shell *shell)
{
	return shell->config.timeout_ms ? shell->config.timeout_ms : DEFAULT_TIMEOUT_MS;
}

static uint64_t new_deadline(const struct shell *shell)
{
	return monotonic_ns() + timeout_ms(shell) * 1000000ull;
}

/* How long a receive waits is a property of the socket, which saves the hot path a call. Zero would
 * mean for ever. */
static int limit_wait(const struct shell *shell, uint64_t deadline_ns, struct err *err)
{
	uint64_t now = monotonic_ns();
	uint64_t us = deadline_ns > now ? (deadline_ns - now) / 1000 : 0;
	struct timeval timeout = { .tv_sec = (time_t)(us / 1000000),
				   .tv_usec = (suseconds_t)(us % 1000000) };

	if (us == 0)
		return err_set(err, -ETIMEDOUT, "no answer within %u ms", timeout_ms(shell));
	if (setsockopt(shell->socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return err_set(err, -errno, "SO_RCVTIMEO: %s", strerror(errno));
	return 0;
}

static int make_socket(struct shell *shell, int *ret_other, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	shell->socket = pair[0];
	*ret_other = pair[1];
	return limit_wait(shell, new_deadline(shell), err);
}

/* What the child inherits, by the numbers that its command line names. */
struct inheritance {
	posix_spawn_file_actions_t actions;
	int copies[3]; /* owned */
	size_t count;
};

/* dup2 onto the same number would leave close-on-exec set, so each goes through a higher one. */
static int inherit(struct inheritance *inheritance, int fd, int as, struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (copy < 0)
		return err_set(err, -errno, "cannot duplicate a descriptor: %s", strerror(errno));
	inheritance->copies[inheritance->count++] = copy;
	(void)posix_spawn_file_actions_adddup2(&inheritance->actions, copy, as);
	return 0;
}

static const struct template *like_of(const struct shell *shell)
{
	return shell->config.calibration ? NULL : shell->config.like;
}

static int inherit_all(const struct shell *shell, struct inheritance *inheritance, int other,
		       struct err *err)
{
	const struct template *like = like_of(shell);
	posix_spawn_file_actions_t *actions = &inheritance->actions;
	int r;

	/* Our input and output are no business of a process that runs strangers' machines. */
	(void)posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if ((r = inherit(inheritance, other, CHILD_SOCKET_FD, err)) < 0 ||
	    (r = inherit(inheritance, shell->mailbox_fd, CHILD_MAILBOX_FD, err)) < 0)
		return r;
	if (like && (r = inherit(inheritance, template_state_fd(like), CHILD_LIKE_FD, err)) < 0)
		return r;
	(void)posix_spawn_file_actions_addclosefrom_np(actions, like ? CHILD_LIKE_FD + 1 :
								       CHILD_LIKE_FD);
	return 0;
}

static int spawn_lumper(struct shell *shell, int other, struct err *err)
{
	static const char *const cpu_names[] = { "portable", "host" };
	char memory[32], vcpus[8], *environment[] = { NULL };
	char *cpu = (char *)cpu_names[shell->config.cpu_template == CPU_TEMPLATE_HOST];
	char *argv[] = {
		"lumper", "shell", "--socket", "3", "--mailbox", "4",	  "--memory",
		memory,	  "--vcpus", vcpus,    "--cpu", cpu,	 NULL,	   NULL, NULL,
	};
	char **option = &argv[ARRAY_SIZE(argv) - 3];
	struct inheritance inheritance = {};
	int r;

	if (shell->config.calibration) {
		option[0] = "--calibration";
		option[1] = (char *)template_folder(shell->config.calibration);
	} else if (shell->config.like) {
		option[0] = "--like";
		option[1] = "5";
	}
	(void)snprintf(memory, sizeof(memory), "%lluK",
		       (unsigned long long)(shell->config.memory_bytes >> 10));
	(void)snprintf(vcpus, sizeof(vcpus), "%u", shell->config.vcpus);
	(void)posix_spawn_file_actions_init(&inheritance.actions);
	r = inherit_all(shell, &inheritance, other, err);
	if (r == 0) {
		r = -posix_spawn(&shell->pid, shell->config.lumper, &inheritance.actions, NULL,
				 argv, environment);
		if (r < 0) {
			shell->pid = 0;
			(void)err_set(err, r, "cannot start '%s': %s", shell->config.lumper,
				      strerror(-r));
		}
	}
	(void)posix_spawn_file_actions_destroy(&inheritance.actions);
	for (size_t i = 0; i < inheritance.count; i++)
		(void)fd_close(inheritance.copies[i]);
	return r;
}

/* --- talking ------------------------------------------------------------------------------ */

/* What a LOAD brings, in the protocol's order; returns how many. */
static size_t template_fds(const struct shell *shell, const struct template *template,
			   int fds[SHELL_FDS_MAX], uint32_t *ret_files)
{
	/* By the bits of enum shell_file. */
	const int files[] = {
		template_working_set_fd(template),
		template_base_fd(template),
		template_image_fd(template),
		shell->config.calibration && shell->config.pack_fd > 0 ? shell->config.pack_fd : -1,
	};
	size_t count = 0;

	_Static_assert(ARRAY_SIZE(files) + 2 == SHELL_FDS_MAX, "a file without its descriptor");
	fds[count++] = template_memory_fd(template);
	fds[count++] = template_state_fd(template);
	*ret_files = 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (files[i] >= 0) {
			*ret_files |= 1u << i;
			fds[count++] = files[i];
		}
	}
	return count;
}

/* Hot path. Of `order` the extents are left out: they go from where they lie. */
static int send_parts(const struct shell *shell, const struct shell_order *order,
		      const struct snapshot_extent *extents, const int *fds, size_t count,
		      struct err *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SHELL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec parts[] = {
		{ .iov_base = (void *)order, .iov_len = offsetof(struct shell_order, extents) },
		{ .iov_base = (void *)extents, .iov_len = order->extent_count * sizeof(*extents) },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };

	if (count) {
		struct cmsghdr *head = &control.align;

		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	if (sendmsg(shell->socket, &message, MSG_NOSIGNAL) < 0)
		return err_set(err, -ECONNRESET, "lumper is gone: %s", strerror(errno));
	return 0;
}

/* Hot path. With a template the order is to load it, too. */
static int send_order(struct shell *shell, uint32_t op, const struct template *template,
		      struct err *err)
{
	const struct snapshot_extent *extents = NULL;
	const struct manifest *manifest;
	int fds[SHELL_FDS_MAX];
	struct shell_order order; /* set up to its extents */
	size_t count = 0;

	order.version = SHELL_PROTO_VERSION;
	order.op = op;
	order.sequence = shell->sequence;
	order.files = order.extent_count = 0;
	order.image_bytes = 0;
	if (template) {
		manifest = template_manifest(template);
		order.op |= SHELL_LOAD;
		count = template_fds(shell, template, fds, &order.files);
		extents = manifest->extents;
		order.extent_count = manifest->extent_count;
		order.image_bytes = manifest->image.bytes;
		shell->template = template;
	}
	return send_parts(shell, &order, extents, fds, count, err);
}

static int receive_one(struct shell *shell, struct err *err)
{
	struct shell_reply *reply = &shell->reply;
	ssize_t n;

	do {
		n = recv(shell->socket, reply, sizeof(*reply), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return err_set(err, -ETIMEDOUT, "no answer within %u ms", timeout_ms(shell));
	if (n <= 0)
		return err_set(err, -ECONNRESET, "lumper died");
	if ((size_t)n < offsetof(struct shell_reply, text) ||
	    reply->version != SHELL_PROTO_VERSION || reply->sequence != shell->sequence ||
	    (size_t)n != offsetof(struct shell_reply, text) + reply->text_bytes)
		return err_set(err, -EPROTO, "lumper sent a malformed reply");
	return 0;
}

static int text_error(const struct shell *shell, int code, const char *what, struct err *err)
{
	return err_set(err, code, "%s%.*s", what, (int)shell->reply.text_bytes, shell->reply.text);
}

/* Passes a log on, and takes the time that it took from what is left to wait: a guest that logs
 * for ever must not be waited for so long. */
static int pass_log(const struct shell *shell, uint64_t deadline_ns, struct err *err)
{
	if (shell->config.log)
		shell->config.log(shell->config.log_context, shell->reply.text,
				  shell->reply.text_bytes);
	return limit_wait(shell, deadline_ns, err);
}

/* Waits for a reply of kind `wanted` (or SHELL_FAILED); logs are passed on meanwhile. */
static int receive_reply(struct shell *shell, enum shell_reply_kind wanted, struct err *err)
{
	const struct shell_reply *reply = &shell->reply;
	uint64_t deadline_ns = shell->deadline_ns ? shell->deadline_ns : new_deadline(shell);
	bool limited = false;

	for (;;) {
		int r = receive_one(shell, err);

		if (r < 0)
			return r;
		if (limited && reply->kind != SHELL_LOG && !shell->deadline_ns)
			(void)limit_wait(shell, new_deadline(shell), NULL);
		if (reply->kind == wanted || (wanted == SHELL_DONE && reply->kind == SHELL_FAILED))
			return 0;
		if (reply->kind == SHELL_ERROR)
			return text_error(shell, reply->code < 0 ? reply->code : -EIO, "", err);
		if (reply->kind == SHELL_DIED)
			return text_error(shell, -ENOTRECOVERABLE, "the guest died: ", err);
		if (reply->kind != SHELL_LOG)
			return err_set(err, -EPROTO, "lumper sent an unexpected reply (%u)",
				       reply->kind);
		r = pass_log(shell, deadline_ns, err);
		if (r < 0)
			return r;
		limited = true;
	}
}

/* --- life --------------------------------------------------------------------------------- */

int shell_new(struct shell **ret_shell, const struct shell_config *config, struct err *err)
{
	cleanup_shell struct shell *shell = NULL;
	cleanup_fd int other = -1;
	int r;

	shell = calloc(1, sizeof(*shell));
	if (!shell)
		return err_set(err, -ENOMEM, "out of memory");
	shell->spawned_ns = monotonic_ns();
	shell->config = *config;
	shell->socket = shell->mailbox_fd = -1;
	if ((r = make_mailbox(shell, err)) < 0 || (r = make_socket(shell, &other, err)) < 0 ||
	    (r = spawn_lumper(shell, other, err)) < 0)
		return r;
	other = fd_close(other);
	r = receive_reply(shell, SHELL_HELLO, err);
	if (r < 0)
		return r;
	memcpy(shell->hello, shell->reply.stamps, sizeof(shell->hello));
	*ret_shell = TAKE_PTR(shell);
	return 0;
}

struct shell *shell_free(struct shell *shell)
{
	if (!shell)
		return NULL;
	(void)fd_close(shell->socket);
	if (shell->pid > 0) {
		(void)kill(shell->pid, SIGKILL);
		while (waitpid(shell->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (shell->mailbox)
		(void)munmap(shell->mailbox, MAILBOX_BYTES);
	(void)fd_close(shell->mailbox_fd);
	free(shell);
	return NULL;
}

pid_t shell_pid(const struct shell *shell)
{
	return shell->pid;
}

/* --- template, parked --------------------------------------------------------------------- */

int shell_load(struct shell *shell, const struct template *template, struct err *err)
{
	int r = send_order(shell, 0, template, err);

	return r < 0 ? r : receive_reply(shell, SHELL_LOADED, err);
}

/* The guest touches its own pages, because only that fills the second-stage page table on every
 * host kernel. Pages of its kernel and of its page tables have no address here; the walker touches
 * the latter by itself. */
static uint32_t write_touch_list(struct shell *shell)
{
	const struct working_set *set = template_working_set(shell->template);
	uint64_t *list = (uint64_t *)(shell->mailbox + MAILBOX_REQUEST_OFFSET);
	uint32_t count = 0;

	for (uint32_t i = 0; set && i < set->count && count < MAILBOX_TOUCH_MAX; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		if (entry->gva)
			list[count++] = entry->gva | (entry->flags & WORKING_SET_WRITTEN ?
							      MAILBOX_TOUCH_WRITE :
							      0);
	}
	return count;
}

int shell_park(struct shell *shell, struct err *err)
{
	int r;

	if (!shell->template)
		return err_set(err, -EINVAL, "no template is loaded");
	mailbox_order_write(shell->mailbox, MAILBOX_ORDER_PARK, &shell->identity,
			    ++shell->sequence, 0, 0, write_touch_list(shell));
	r = send_order(shell, SHELL_PARK, NULL, err);
	return r < 0 ? r : receive_reply(shell, SHELL_PARKED, err);
}

/* --- requests ----------------------------------------------------------------------------- */

static void fill_times(const struct shell *shell, uint64_t begin, uint64_t end,
		       struct start_times *times)
{
	const uint64_t *stamps = shell->reply.stamps;
	uint64_t start = stamps[SHELL_AT_START], inside;

	*times = (struct start_times){ .total_ns = end - begin };
	if (stamps[SHELL_AT_MEMORY]) {
		times->stage_ns[STAGE_MEMORY] = stamps[SHELL_AT_MEMORY] - start;
		times->stage_ns[STAGE_STATE] = stamps[SHELL_AT_STATE] - stamps[SHELL_AT_MEMORY];
		start = stamps[SHELL_AT_STATE];
	}
	times->stage_ns[STAGE_RUN] = stamps[SHELL_AT_DOORBELL] - start;
	inside = stamps[SHELL_AT_DOORBELL] - stamps[SHELL_AT_START];
	times->stage_ns[STAGE_HOP] = times->total_ns - inside;
}

/* Hot path: request in, order out, reply in. */
int shell_invoke(struct shell *shell, const struct template *template, const void *request,
		 size_t bytes, struct response *ret_response, struct start_times *ret_times,
		 struct err *err)
{
	uint64_t begin = monotonic_ns();
	int r;

	if (!shell->template && !template)
		return err_set(err, -EINVAL, "no template is loaded");
	if (shell->template)
		template = NULL;
	r = mailbox_request_write(shell->mailbox, MAILBOX_ORDER_REQUEST, &shell->identity,
				  ++shell->sequence, request, bytes, err);
	if (r == 0)
		r = send_order(shell, SHELL_RUN, template, err);
	if (r < 0 || (r = receive_reply(shell, SHELL_DONE, err)) < 0)
		return r;
	if (shell->reply.response_bytes > MAILBOX_BYTES ||
	    shell->reply.response_offset > MAILBOX_BYTES - shell->reply.response_bytes)
		return err_set(err, -EPROTO, "lumper sent a response outside of the mailbox");
	*ret_response = (struct response){
		.data = shell->mailbox + shell->reply.response_offset,
		.bytes = shell->reply.response_bytes,
		.failed = shell->reply.kind == SHELL_FAILED,
	};
	fill_times(shell, begin, monotonic_ns(), ret_times);
	return 0;
}

int shell_counters(struct shell *shell, struct vm_counters *ret_counters, struct err *err)
{
	int r = send_order(shell, SHELL_COUNT, NULL, err);

	if (r == 0)
		r = receive_reply(shell, SHELL_COUNTED, err);
	if (r < 0)
		return r;
	*ret_counters = (struct vm_counters){
		.exits = shell->reply.exits,
		.faults = shell->reply.faults,
	};
	return 0;
}

/* --- levels ------------------------------------------------------------------------------- */

static int bring_to(struct shell *shell, const struct template *template, enum start_level level,
		    struct err *err)
{
	int r = 0;

	if (level >= LEVEL_TEMPLATE)
		r = shell_load(shell, template, err);
	if (r == 0 && level >= LEVEL_PARKED &&
	    (r = limit_wait(shell, shell->deadline_ns, err)) == 0)
		r = shell_park(shell, err);
	return r < 0 ? r : limit_wait(shell, shell->deadline_ns, err);
}

static void add_cold_stages(const struct shell *shell, uint64_t begin, struct start_times *times)
{
	uint64_t all = monotonic_ns() - begin;
	uint64_t known = 0;

	times->stage_ns[STAGE_PROCESS] = shell->hello[SHELL_AT_START] - shell->spawned_ns;
	times->stage_ns[STAGE_VM] = shell->hello[SHELL_AT_VM] - shell->hello[SHELL_AT_START];
	for (int i = 0; i < STAGES; i++)
		known += i == STAGE_HOP ? 0 : times->stage_ns[i];
	times->total_ns = all;
	times->stage_ns[STAGE_HOP] = all > known ? all - known : 0;
}

int start_function(struct shell **ret_shell, const struct shell_config *config,
		   const struct template *template, enum start_level level, const void *request,
		   size_t bytes, struct response *ret_response, struct start_times *ret_times,
		   struct err *err)
{
	cleanup_shell struct shell *shell = NULL;
	struct shell_config full = *config;
	uint64_t begin = monotonic_ns();
	int r;

	full.like = template;
	if (level == LEVEL_COLD) /* preparing costs more than the one start gets from it */
		full.calibration = NULL;
	r = shell_new(&shell, &full, err);
	if (r < 0)
		return r;
	shell->deadline_ns = shell->spawned_ns + timeout_ms(shell) * 1000000ull;
	if ((r = limit_wait(shell, shell->deadline_ns, err)) < 0 ||
	    (r = bring_to(shell, template, level, err)) < 0 ||
	    (r = shell_invoke(shell, template, request, bytes, ret_response, ret_times, err)) < 0)
		return r;
	if (level == LEVEL_COLD)
		add_cold_stages(shell, begin, ret_times);
	shell->deadline_ns = 0;
	(void)limit_wait(shell, new_deadline(shell), NULL);
	*ret_shell = TAKE_PTR(shell);
	return 0;
}
