/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper shell: an empty VM in a jailed process, waiting for a template and a request.
 *
 * Everything that can be paid before the request comes is paid before HELLO: the VM, its vCPUs, the
 * jail, our own page faults, and KVM's first-run costs. What is left is in carry_out().
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "lumper_priv.h"
#include "mailbox_host.h"
#include "shell_proto.h"
#include "snapshot.h"

static const char help[] =
	"usage: lumper shell --socket FD --mailbox FD [OPTIONS]\n"
	"\n"
	"  --socket FD        inherited SOCK_SEQPACKET socket for orders and replies\n"
	"  --mailbox FD       inherited 2 MiB memfd, shared with the caller\n"
	"  --memory SIZE      guest memory in MiB, or with K, M, G (default 128)\n"
	"  --vcpus N          1 to 8 (default 1)\n"
	"  --cpu TEMPLATE     portable (default) or host\n"
	"  --like FD          inherited state file whose CPUID the VM shall have\n"
	"  --calibration FOLDER\n"
	"                     a template whose base those that come are expected to have, and whose\n"
	"                     CPUID: the VM is prepared for them\n"
	"\n"
	"Ends when the socket closes. Not for people: quark starts shells.\n";

/* A state file of one vCPU is smaller than this. */
enum { TOUCHED_FILE_BYTES = 16 << 10 };

/* What a LOAD brings: two files always, and one for each bit of `files`. */
struct shell_fds {
	int memory, state, file[SHELL_FDS_MAX - 2];
};
/* Numbers of the bits of enum shell_file. */
enum { FILE_WORKING_SET, FILE_BASE, FILE_IMAGE, FILE_PACK };

/* One per process, and large: it lives in .bss, touched once before HELLO. */
struct shell_process {
	int socket, mailbox_fd, like_fd;
	const char *calibration; /* NULL: none */
	struct shape_options shape;
	struct vm *vm;
	struct preparation *preparation; /* NULL: none */
	struct vm_counters before;	 /* at HELLO */
	uint8_t *mailbox;
	bool spent; /* has been given a template, whether that could be loaded or not */
	bool loaded, timers_running;
	struct shell_order order;
	int fds[SHELL_FDS_MAX]; /* owned; as many as have come */
	unsigned int fd_count;
	struct shell_reply reply;
	struct vm_event event;
	struct vm_state state;
	struct working_set working_set;
	uint8_t file[SNAPSHOT_STATE_MAX_BYTES];
};

/* --- talking ------------------------------------------------------------------------------ */

static int send_reply(struct shell_process *shell, enum shell_reply_kind kind)
{
	size_t bytes = offsetof(struct shell_reply, text) + shell->reply.text_bytes;

	shell->reply.version = SHELL_PROTO_VERSION;
	shell->reply.kind = kind;
	return send(shell->socket, &shell->reply, bytes, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void set_text(struct shell_process *shell, const char *text)
{
	size_t bytes = strlen(text);

	if (bytes > SHELL_TEXT_MAX)
		bytes = SHELL_TEXT_MAX;
	memcpy(shell->reply.text, text, bytes);
	shell->reply.text_bytes = (uint32_t)bytes;
}

static int reply_error(struct shell_process *shell, const struct err *err)
{
	set_text(shell, err->message);
	shell->reply.code = err->code;
	return send_reply(shell, SHELL_ERROR);
}

static int reply_died(struct shell_process *shell, enum vm_event_kind event, const char *text)
{
	shell->reply.event = event;
	set_text(shell, text);
	return send_reply(shell, SHELL_DIED);
}

/* Descriptors that came with an order, whatever their number, are ours to close. */
static int take_fds(struct shell_process *shell, struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	size_t count;

	shell->fd_count = 0;
	if (!head)
		return 0;
	if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(head) + i * sizeof(fd), sizeof(fd));
		if (i < SHELL_FDS_MAX)
			shell->fds[shell->fd_count++] = fd;
		else /* alignment leaves room for one more */
			(void)fd_close(fd);
	}
	return message->msg_flags & MSG_CTRUNC || count > SHELL_FDS_MAX ? -EPROTO : 0;
}

static void close_fds(struct shell_process *shell)
{
	for (unsigned int i = 0; i < shell->fd_count; i++)
		(void)fd_close(shell->fds[i]);
	shell->fd_count = 0;
}

/* Version first: what follows it in another one is not known. Then the length, and with it that
 * every extent has come. */
static bool order_is_whole(const struct shell_order *order, size_t bytes)
{
	return bytes >= offsetof(struct shell_order, extents) &&
	       order->version == SHELL_PROTO_VERSION &&
	       order->extent_count <= SNAPSHOT_EXTENTS_MAX &&
	       bytes == offsetof(struct shell_order, extents) +
				order->extent_count * sizeof(order->extents[0]);
}

/* 1: an order; 0: the caller is gone; negative: -errno. */
static int receive_order(struct shell_process *shell)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SHELL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = &shell->order, .iov_len = sizeof(shell->order) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do {
		n = recvmsg(shell->socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	if (take_fds(shell, &message) < 0 || message.msg_flags & MSG_TRUNC ||
	    !order_is_whole(&shell->order, (size_t)n))
		return -EPROTO;
	return 1;
}

/* --- loading ------------------------------------------------------------------------------ */

static int read_fd(struct shell_process *shell, int fd, size_t *ret_bytes, struct err *err)
{
	ssize_t n = pread(fd, shell->file, sizeof(shell->file), 0);

	if (n < 0)
		return err_set(err, -errno, "cannot read the template: %s", strerror(errno));
	*ret_bytes = (size_t)n;
	return 0;
}

/* The descriptors by their names: as many as the order says, no more and no fewer. */
static int name_fds(const struct shell_process *shell, struct shell_fds *ret_fds, struct err *err)
{
	const uint32_t files = shell->order.files;
	unsigned int next = 2;

	if (shell->fd_count != 2 + (unsigned int)__builtin_popcount(files) ||
	    files >= 1u << ARRAY_SIZE(ret_fds->file))
		return err_set(err, -EPROTO, "an order to load has %u descriptors for files %#x",
			       shell->fd_count, files);
	ret_fds->memory = shell->fds[0];
	ret_fds->state = shell->fds[1];
	for (unsigned int i = 0; i < ARRAY_SIZE(ret_fds->file); i++)
		ret_fds->file[i] = files & 1u << i ? shell->fds[next++] : -1;
	return 0;
}

/* What is not mapped yet may be needed any time: it stays open until the process ends. */
static void keep_memory_fd(struct shell_process *shell)
{
	for (unsigned int i = 1; i < shell->fd_count; i++)
		shell->fds[i - 1] = shell->fds[i];
	shell->fd_count--;
}

/* Each extent is mapped over guest memory: it must not reach beyond. */
static int check_extents(const struct shell_order *order, uint64_t memory_bytes, struct err *err)
{
	uint64_t end = 0;

	if (order->extent_count && !(order->files & SHELL_FILE_BASE))
		return err_set(err, -EPROTO, "an order has extents, but no base");
	for (uint32_t i = 0; i < order->extent_count; i++) {
		const struct snapshot_extent *extent = &order->extents[i];

		if ((extent->offset | extent->bytes) & (GUEST_PAGE_BYTES - 1) || !extent->bytes ||
		    (i && extent->offset <= end) || extent->offset > memory_bytes ||
		    extent->bytes > memory_bytes - extent->offset)
			return err_set(err, -EPROTO, "extent %u of an order lies wrong", i);
		end = extent->offset + extent->bytes;
	}
	return 0;
}

static int read_state(struct shell_process *shell, const struct shell_fds *fds, struct err *err)
{
	size_t bytes = 0;
	int r = read_fd(shell, fds->state, &bytes, err);

	return r < 0 ? r : state_decode(&shell->state, shell->file, bytes, err);
}

static int read_working_set(struct shell_process *shell, const struct shell_fds *fds,
			    struct err *err)
{
	size_t bytes = 0;
	int r = read_fd(shell, fds->file[FILE_WORKING_SET], &bytes, err);

	return r < 0 ? r :
		       working_set_decode(&shell->working_set, shell->state.memory_bytes,
					  shell->order.image_bytes, shell->file, bytes, err);
}

static int load(struct shell_process *shell, enum vm_timers timers, struct err *err)
{
	const struct shell_order *order = &shell->order;
	struct restore_config config = {
		.state = &shell->state,
		.mailbox_fd = shell->mailbox_fd,
		.timers = timers,
		.has_base = order->files & SHELL_FILE_BASE,
		.extents = order->extents,
		.extent_count = order->extent_count,
		.has_image = order->files & SHELL_FILE_IMAGE,
		.image_bytes = order->image_bytes,
		.preparation = shell->preparation,
		.has_pack = order->files & SHELL_FILE_PACK,
	};
	struct shell_fds fds = {};
	int r;

	if (shell->spent)
		return err_set(err, -EBUSY, "this shell has already been given a template");
	if ((r = name_fds(shell, &fds, err)) < 0 || (r = read_state(shell, &fds, err)) < 0 ||
	    (r = check_extents(order, shell->state.memory_bytes, err)) < 0)
		return r;
	if (order->files & SHELL_FILE_WORKING_SET) {
		if ((r = read_working_set(shell, &fds, err)) < 0)
			return r;
		config.working_set = &shell->working_set;
	}
	config.memory_fd = fds.memory;
	config.base_fd = fds.file[FILE_BASE];
	config.image_fd = fds.file[FILE_IMAGE];
	config.pack_fd = fds.file[FILE_PACK];
	/* What fails from here on leaves a VM that is neither empty nor whole. */
	shell->spent = true;
	if (shell->preparation)
		keep_memory_fd(shell);
	r = snapshot_map_memory(shell->vm, &config, err);
	if (r < 0)
		return r;
	shell->reply.stamps[SHELL_AT_MEMORY] = monotonic_ns();
	r = vm_state_set(shell->vm, &shell->state, timers, err);
	if (r < 0)
		return r;
	shell->reply.stamps[SHELL_AT_STATE] = monotonic_ns();
	shell->loaded = true;
	shell->timers_running = timers == VM_TIMERS_RUNNING;
	return 0;
}

/* --- running ------------------------------------------------------------------------------ */

static int start_timers(struct shell_process *shell, struct err *err)
{
	int r;

	if (shell->timers_running)
		return 0;
	r = vm_timers_start(shell->vm, err);
	if (r == 0)
		shell->timers_running = true;
	return r;
}

static int forward_log(struct shell_process *shell)
{
	shell->reply.text_bytes =
		(uint32_t)mailbox_log_read(shell->mailbox, shell->reply.text, SHELL_TEXT_MAX);
	return send_reply(shell, SHELL_LOG);
}

/* Runs until the doorbell says one of `wanted` (a bit per value) and returns that value; 0 when the
 * guest died and the caller has been told. A READY in between is a guest that asks again for the
 * work that lies in its mailbox. */
static int run_until(struct shell_process *shell, unsigned int wanted, struct err *err)
{
	for (;;) {
		unsigned int value;
		int r = vm_run(shell->vm, &shell->event, err);

		if (r < 0)
			return r;
		if (shell->event.kind != VM_EVENT_DOORBELL) {
			const char *text = shell->event.report[0] ?
						   shell->event.report :
						   vm_event_name(shell->event.kind);

			r = reply_died(shell, shell->event.kind, text);
			return r < 0 ? err_set(err, r, "the caller is gone") : 0;
		}
		value = shell->event.doorbell & DOORBELL_VALUE_MASK;
		if (value == DOORBELL_LOG && forward_log(shell) < 0)
			return err_set(err, -EPIPE, "the caller is gone");
		if (value <= DOORBELL_MAILBOX && wanted & 1u << value)
			return (int)value;
	}
}

static int park(struct shell_process *shell, struct err *err)
{
	int r;

	if ((r = start_timers(shell, err)) < 0 ||
	    (r = run_until(shell, 1u << DOORBELL_READY, err)) <= 0)
		return r;
	r = vm_timers_stop(shell->vm, err);
	shell->timers_running = false;
	return r < 0 ? r : 1;
}

static int run_request(struct shell_process *shell, struct err *err)
{
	struct mailbox_answer answer;
	int value, r;

	if ((r = start_timers(shell, err)) < 0)
		return r;
	value = run_until(shell, 1u << DOORBELL_DONE | 1u << DOORBELL_FAILED, err);
	if (value <= 0)
		return value;
	shell->reply.stamps[SHELL_AT_DOORBELL] = monotonic_ns();
	r = mailbox_answer_read(shell->mailbox, &answer, err);
	if (r < 0)
		return r;
	shell->reply.response_offset = answer.offset;
	shell->reply.response_bytes = answer.bytes;
	shell->reply.text_bytes = 0;
	r = send_reply(shell, value == DOORBELL_DONE ? SHELL_DONE : SHELL_FAILED);
	return r < 0 ? err_set(err, r, "the caller is gone") : 0;
}

static int report_counters(struct shell_process *shell)
{
	struct vm_counters counters;

	vm_counters_get(shell->vm, &counters);
	shell->reply.exits = counters.exits - shell->before.exits;
	shell->reply.faults = counters.faults - shell->before.faults;
	return send_reply(shell, SHELL_COUNTED);
}

/* Hot path: an order from its arrival to the reply. 0: replied; negative: `err` is to be sent. */
static int carry_out(struct shell_process *shell, struct err *err)
{
	const uint32_t op = shell->order.op;
	int r;

	if (op & SHELL_LOAD) {
		r = load(shell,
			 op & (SHELL_RUN | SHELL_PARK) ? VM_TIMERS_RUNNING : VM_TIMERS_STOPPED,
			 err);
		if (r < 0)
			return r;
		/* It will wait for its request. */
		if (!(op & SHELL_RUN) && shell->preparation)
			preparation_trim(shell->preparation);
	}
	if (op & SHELL_COUNT)
		return report_counters(shell);
	if (!shell->loaded)
		return err_set(err, -EINVAL, "no template is loaded");
	if (op & SHELL_PARK) {
		r = park(shell, err);
		if (r <= 0)
			return r;
	}
	if (op & SHELL_RUN)
		return run_request(shell, err);
	return send_reply(shell, op & SHELL_PARK ? SHELL_PARKED : SHELL_LOADED);
}

static int serve(struct shell_process *shell)
{
	for (;;) {
		struct err err = {};
		int r = receive_order(shell);

		if (r <= 0)
			return r < 0 ? EXIT_ERROR : EXIT_OK;
		memset(&shell->reply, 0, offsetof(struct shell_reply, text));
		shell->reply.sequence = shell->order.sequence;
		shell->reply.stamps[SHELL_AT_START] = monotonic_ns();
		if (shell->order.op & SHELL_EXIT)
			return EXIT_OK;
		r = carry_out(shell, &err);
		/* The mapping holds the memory layer; the descriptors are not needed again. */
		close_fds(shell);
		if (r < 0 && reply_error(shell, &err) < 0)
			return EXIT_ERROR;
	}
}

/* --- before HELLO ------------------------------------------------------------------------- */

static int map_mailbox(struct shell_process *shell, struct err *err)
{
	void *at = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			shell->mailbox_fd, 0);

	if (at == MAP_FAILED)
		return err_set(err, -errno, "cannot map the mailbox: %s", strerror(errno));
	shell->mailbox = at;
	return 0;
}

/* A first touch of our own memory costs as much as one of the guest's. */
static void touch_buffers(struct shell_process *shell)
{
	volatile uint8_t *bytes = (volatile uint8_t *)shell;

	for (size_t at = 0; at < offsetof(struct shell_process, file) + TOUCHED_FILE_BYTES;
	     at += GUEST_PAGE_BYTES)
		bytes[at] = bytes[at];
}

static int read_like(struct shell_process *shell, struct err *err)
{
	size_t bytes = 0;
	int r = read_fd(shell, shell->like_fd, &bytes, err);

	if (r == 0)
		r = state_decode(&shell->state, shell->file, bytes, err);
	shell->like_fd = fd_close(shell->like_fd);
	return r;
}

/* A caller that is killed takes its shell along: inside KVM_RUN nobody reads the socket. One that
 * was gone before this call gets no HELLO. No core file and no debugger may see guest memory. */
static int bind_process(struct err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set(err, -errno, "prctl: %s", strerror(errno));
	return 0;
}

static int make_vm(struct shell_process *shell, const struct template *calibration,
		   struct err *err)
{
	struct vm_config config = {
		.memory_bytes = shell->shape.memory_bytes,
		.vcpus = shell->shape.vcpus,
		.cpu_template = shell->shape.cpu_template,
	};
	int r = 0;

	if (calibration) {
		config.like = template_state(calibration);
	} else if (shell->like_fd >= 0) {
		r = read_like(shell, err);
		config.like = &shell->state;
	}
	if (r == 0)
		r = vm_new(&shell->vm, &config, err);
	if (r == 0 && calibration)
		r = preparation_new(&shell->preparation, shell->vm, calibration, shell->mailbox_fd,
				    err);
	return r;
}

/* Guest code, our own too, runs inside the jail only. */
static int rehearse(struct shell_process *shell, struct err *err)
{
	int r = vm_rehearse(shell->vm, err);

	return r < 0 || !shell->preparation ? r : preparation_touch(shell->preparation, err);
}

static int prepare(struct shell_process *shell, struct err *err)
{
	cleanup_template struct template *calibration = NULL;
	int r = 0;

	if (shell->calibration)
		r = template_open(&calibration, shell->calibration, err);
	if (r < 0 || (r = make_vm(shell, calibration, err)) < 0 ||
	    (r = map_mailbox(shell, err)) < 0)
		return r;
	calibration = template_free(calibration);
	touch_buffers(shell);
	if ((r = bind_process(err)) < 0)
		return r;
	r = jail_enter(JAIL_SHELL, err);
	return r < 0 ? r : rehearse(shell, err);
}

enum { OPT_SOCKET = 256, OPT_MAILBOX, OPT_LIKE, OPT_MEMORY, OPT_VCPUS, OPT_CPU,
       OPT_CALIBRATION };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "mailbox", required_argument, NULL, OPT_MAILBOX },
	{ "like", required_argument, NULL, OPT_LIKE },
	{ "calibration", required_argument, NULL, OPT_CALIBRATION },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "vcpus", required_argument, NULL, OPT_VCPUS },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static bool option_fd(const char *name, int *ret_fd)
{
	uint64_t number = 0;

	if (!option_number(name, optarg, 0, 1 << 20, &number))
		return false;
	*ret_fd = (int)number;
	return true;
}

static bool parse_option(void *context, int option)
{
	struct shell_process *shell = context;
	uint64_t number = 0;

	switch (option) {
	case OPT_SOCKET:
		return option_fd("socket", &shell->socket);
	case OPT_MAILBOX:
		return option_fd("mailbox", &shell->mailbox_fd);
	case OPT_LIKE:
		return option_fd("like", &shell->like_fd);
	case OPT_CALIBRATION:
		shell->calibration = optarg;
		return true;
	case OPT_MEMORY:
		return option_memory(optarg, &shell->shape.memory_bytes);
	case OPT_VCPUS:
		if (!option_number("vcpus", optarg, 1, VM_VCPUS_MAX, &number))
			return false;
		shell->shape.vcpus = (unsigned int)number;
		return true;
	case OPT_CPU:
		return option_cpu(optarg, &shell->shape.cpu_template);
	default:
		return false;
	}
}

int cmd_shell(int argc, char **argv)
{
	static struct shell_process shell = { .socket = -1, .mailbox_fd = -1, .like_fd = -1 };
	uint64_t start = monotonic_ns();
	struct err err = {};
	int code = options_parse(argc, argv, long_options, help, parse_option, &shell);

	if (code >= 0)
		return code;
	if (optind < argc)
		return fail(EXIT_USAGE, "unexpected argument '%s'", argv[optind]);
	if (shell.socket < 0 || shell.mailbox_fd < 0)
		return fail(EXIT_USAGE, "--socket and --mailbox are needed");
	shell.reply.stamps[SHELL_AT_START] = start;
	if (prepare(&shell, &err) < 0) {
		(void)reply_error(&shell, &err);
		return EXIT_HOST;
	}
	vm_counters_get(shell.vm, &shell.before);
	shell.reply.stamps[SHELL_AT_VM] = monotonic_ns();
	if (send_reply(&shell, SHELL_HELLO) < 0)
		return EXIT_ERROR;
	return serve(&shell);
}
