/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orders KERNEL INITRD TRIAL UPPER IMAGE WHAT...: PID 1 of the guest against a host that this
 * program plays: it boots the machine, writes orders into its mailbox, and looks at what comes
 * back. A fresh mailbox is what makes a restored clone to the guest.
 *
 * A boot takes most of a trial's time, so several trials, which must be of one kind of machine,
 * share it: the first one is tried on the machine that was booted, the others on copies of it from
 * before its first order. No file is involved in that, and no snapshot but of the bare machine.
 *
 * The machine has IMAGE, when that is not "", as persistent memory of the old kind: the end of its
 * RAM, which the command line says is one.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "lumper.h"
#include "mailbox.h"

#define REQUIRE(condition, ...)                                                 \
	do {                                                                    \
		if (!(condition)) {                                             \
			fprintf(stderr, "%s:%d: FAILED: ", __FILE__, __LINE__); \
			fprintf(stderr, __VA_ARGS__);                           \
			fputc('\n', stderr);                                    \
			exit(1);                                                \
		}                                                               \
	} while (0)

enum {
	CONSOLE_BYTES = 1 << 16,
	CONFIG_BYTES = 16384,
	PIECE_BYTES = 700 << 10,
};

#define MIB (1ull << 20)
#define IMAGE_AT (192 * MIB)
#define IMAGE_BYTES (64 * MIB)

struct host {
	struct vm_config config;
	struct vm *vm;
	const char *trial, *upper; /* programs */
	uint64_t sequence;
	uint64_t generation;
	char console[CONSOLE_BYTES];
	size_t console_used;
	struct vm_event event;
};

/* --- the machine ----------------------------------------------------------------------------- */

static void console_take(void *context, const uint8_t *data, size_t bytes)
{
	struct host *host = context;

	(void)fwrite(data, 1, bytes, stdout);
	(void)fflush(stdout);
	if (bytes > sizeof(host->console) - 1 - host->console_used)
		bytes = sizeof(host->console) - 1 - host->console_used;
	memcpy(host->console + host->console_used, data, bytes);
	host->console_used += bytes;
}

static void image_load(struct host *host, const char *path)
{
	cleanup_free uint8_t *data = NULL;
	struct err err = {};
	size_t bytes;
	void *to = vm_memory_at(host->vm, IMAGE_AT, IMAGE_BYTES);

	REQUIRE(to, "there is no memory for the image");
	REQUIRE(file_read(path, IMAGE_BYTES, &data, &bytes, &err) == 0, "%s", err.message);
	memcpy(to, data, bytes);
}

static void machine_boot(struct host *host, const char *kernel, const char *initrd,
			 const char *image, unsigned int vcpus)
{
	char cmdline[1024];
	struct err err = {};

	(void)snprintf(cmdline, sizeof(cmdline),
		       "console=ttyS0 quiet panic=-1 reboot=k,panic_warm nokaslr mitigations=off "
		       "clocksource=kvm-clock no_timer_check random.trust_cpu=on hugepages=1 "
		       "8250.nr_uarts=1 initcall_blacklist=tracer_init_tracefs cryptomgr.notests "
		       "lsm=capability psi=0 noautogroup rdinit=/init%s",
		       image ? " memmap=64M!192M" : "");
	host->config = (struct vm_config){
		.vcpus = vcpus,
		.memory_bytes = image ? IMAGE_AT + IMAGE_BYTES : 128 * MIB,
		.console_write = console_take,
		.console_context = host,
	};
	REQUIRE(vm_new(&host->vm, &host->config, &err) == 0, "%s", err.message);
	(void)madvise(vm_memory_base(host->vm), vm_memory_bytes(host->vm), MADV_NOHUGEPAGE);
	REQUIRE(vm_boot_linux(host->vm,
			      &(struct boot_config){.kernel = kernel, .initrd = initrd,
						    .cmdline = cmdline},
			      &err) == 0,
		"%s", err.message);
	if (image)
		image_load(host, image);
}

/* A machine as it was when it was copied. */
struct copy {
	struct vm_state state;
	uint8_t *memory; /* owned */
};

/* To memory that is zero: its pages stay absent where zero pages come. */
static void memory_copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	static const uint8_t zero[GUEST_PAGE_BYTES];

	for (uint64_t at = 0; at < bytes; at += GUEST_PAGE_BYTES)
		if (memcmp(from + at, zero, GUEST_PAGE_BYTES) != 0)
			memcpy(to + at, from + at, GUEST_PAGE_BYTES);
}

static void copy_take(const struct host *host, struct copy *copy)
{
	struct err err = {};

	REQUIRE(vm_state_get(host->vm, &copy->state, &err) == 0, "%s", err.message);
	copy->memory = calloc(1, vm_memory_bytes(host->vm));
	REQUIRE(copy->memory, "out of memory");
	memory_copy(copy->memory, vm_memory_base(host->vm), vm_memory_bytes(host->vm));
}

/* Ends the host's machine, and gives it another one, which is the copy. */
static void copy_use(struct host *host, const struct copy *copy)
{
	struct vm_config config = host->config;
	struct err err = {};

	host->vm = vm_free(host->vm);
	config.like = &copy->state;
	REQUIRE(vm_new(&host->vm, &config, &err) == 0, "%s", err.message);
	(void)madvise(vm_memory_base(host->vm), vm_memory_bytes(host->vm), MADV_NOHUGEPAGE);
	memory_copy(vm_memory_base(host->vm), copy->memory, vm_memory_bytes(host->vm));
	REQUIRE(vm_state_set(host->vm, &copy->state, VM_TIMERS_RUNNING, &err) == 0, "%s",
		err.message);
	host->sequence = 0;
	host->generation = 1;
	host->console_used = 0;
	memset(host->console, 0, sizeof(host->console));
}

static uint8_t *mailbox_of(const struct host *host)
{
	uint8_t *mailbox = vm_memory_at(host->vm, vm_mailbox_gpa(host->vm), MAILBOX_BYTES);

	REQUIRE(vm_mailbox_gpa(host->vm) && mailbox, "the guest has registered no mailbox");
	return mailbox;
}

static struct mailbox_header *header_of(const struct host *host)
{
	return (struct mailbox_header *)mailbox_of(host);
}

/* Runs to the next event, past log lines. */
static enum vm_event_kind run(struct host *host)
{
	struct err err = {};

	do {
		REQUIRE(vm_run(host->vm, &host->event, &err) == 0, "%s", err.message);
		host->event.doorbell &= DOORBELL_VALUE_MASK;
	} while (host->event.kind == VM_EVENT_DOORBELL && host->event.doorbell == DOORBELL_LOG);
	return host->event.kind;
}

/* The text of the last answer or failure. */
static const char *answer(const struct host *host)
{
	static char text[MAILBOX_RESPONSE_MAX + 1];
	const struct mailbox_header *header = header_of(host);

	REQUIRE(header->guest_magic == MAILBOX_MAGIC, "the guest has not signed");
	REQUIRE(header->response_bytes <= MAILBOX_RESPONSE_MAX &&
			header->response_offset <= MAILBOX_BYTES - header->response_bytes,
		"the answer is at %u, %u bytes", header->response_offset, header->response_bytes);
	memcpy(text, mailbox_of(host) + header->response_offset, header->response_bytes);
	text[header->response_bytes] = 0;
	return text;
}

static void expect_ring(struct host *host, uint32_t value)
{
	enum vm_event_kind kind = run(host);

	REQUIRE(kind == VM_EVENT_DOORBELL, "%s %s instead of a ring", vm_event_name(kind),
		host->event.report);
	REQUIRE(host->event.doorbell == value, "the guest rang %u instead of %u: %s",
		host->event.doorbell, value,
		host->event.doorbell == DOORBELL_FAILED ? answer(host) : "");
}

static void expect_failure(struct host *host, const char *text)
{
	expect_ring(host, DOORBELL_FAILED);
	REQUIRE(strstr(answer(host), text), "'%s' instead of '%s'", answer(host), text);
	REQUIRE(header_of(host)->guest_sequence == host->sequence, "it answers order %" PRIu64,
		header_of(host)->guest_sequence);
	REQUIRE(run(host) == VM_EVENT_POWEROFF, "%s", vm_event_name(host->event.kind));
}

/* --- orders ---------------------------------------------------------------------------------- */

static void order_write(struct host *host, enum mailbox_order order, const void *payload,
			size_t bytes)
{
	struct mailbox_header *header = header_of(host);

	REQUIRE(bytes <= MAILBOX_REQUEST_MAX, "%zu bytes", bytes);
	header->magic = MAILBOX_MAGIC;
	header->version = MAILBOX_VERSION;
	header->order = order;
	header->generation = host->generation;
	header->realtime_ns = clock_ns(CLOCK_REALTIME);
	REQUIRE(getrandom(header->entropy, sizeof(header->entropy), 0) ==
			sizeof(header->entropy),
		"getrandom");
	header->request_offset = bytes <= MAILBOX_SMALL_REQUEST_MAX ?
					 MAILBOX_SMALL_REQUEST_OFFSET :
					 MAILBOX_REQUEST_OFFSET;
	header->request_bytes = (uint32_t)bytes;
	header->touch_offset = MAILBOX_REQUEST_OFFSET;
	header->touch_count = 0;
	header->sequence = ++host->sequence;
	if (bytes)
		memcpy((uint8_t *)header + header->request_offset, payload, bytes);
}

/* What a machine finds that is captured and goes on by itself: it may be told to SLEEP again. */
static void mailbox_empty(struct host *host)
{
	memset(mailbox_of(host), 0, MAILBOX_BYTES);
}

/* What a restored clone finds. */
static void mailbox_renew(struct host *host)
{
	mailbox_empty(host);
	host->generation++;
}

static void file_write_order(struct host *host, const char *path, uint32_t mode, uint64_t offset,
			     const void *data, size_t bytes)
{
	static uint8_t payload[MAILBOX_REQUEST_MAX];
	const struct mailbox_file head = {
		.mode = mode,
		.path_bytes = (uint32_t)strlen(path),
		.offset = offset,
		.data_bytes = (uint32_t)bytes,
		.owner = 1000,
	};

	REQUIRE(sizeof(head) + head.path_bytes + bytes <= sizeof(payload), "%s", path);
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), path, head.path_bytes);
	if (bytes)
		memcpy(payload + sizeof(head) + head.path_bytes, data, bytes);
	order_write(host, MAILBOX_ORDER_FILE, payload, sizeof(head) + head.path_bytes + bytes);
}

static void send_file(struct host *host, const char *path, uint32_t mode, const void *data,
		      size_t bytes)
{
	size_t at = 0;

	do {
		size_t n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;

		file_write_order(host, path, mode, at, (const uint8_t *)data + at, n);
		expect_ring(host, DOORBELL_READY);
		at += n;
	} while (at < bytes);
}

static void send_program(struct host *host, const char *program)
{
	cleanup_free uint8_t *data = NULL;
	struct err err = {};
	size_t bytes;

	REQUIRE(file_read(program, 64 * MIB, &data, &bytes, &err) == 0, "%s", err.message);
	send_file(host, "function/function", S_IFREG | 0755, data, bytes);
}

struct container {
	const char *argument; /* the function's */
	const char *wake;
	unsigned int memory_mib; /* limit, 0: none */
	uint32_t flags;
};

#define CLOSED "\"nosuid\",\"noexec\",\"nodev\""

static const char config_format[] =
	"{\"ociVersion\":\"1.1.0\",\"hostname\":\"quark\",\"root\":{\"path\":\"/rootfs\"},"
	"\"process\":{\"user\":{\"uid\":1000,\"gid\":1000},\"cwd\":\"/function\","
	"\"args\":[\"/function/function\",\"%s\"],\"noNewPrivileges\":true,"
	"\"env\":[\"PATH=/usr/bin:/bin\",\"QUARK_DOORBELL_FD=3\",\"QUARK_MAILBOX_FD=4\","
	"\"GLIBC_TUNABLES=glibc.pthread.rseq=0\",\"QUARK_WAKE=%s\"]},"
	"\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
	"\"options\":[" CLOSED "]},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	"\"options\":[\"nosuid\",\"mode=755\",\"size=1m\"]},"
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
	"\"options\":[" CLOSED ",\"ro\"]},"
	"{\"destination\":\"/etc/machine-id\",\"source\":\"/run/identity/machine-id\","
	"\"options\":[\"bind\",\"ro\"]},"
	"{\"destination\":\"/etc/hostname\",\"source\":\"/run/identity/hostname\","
	"\"options\":[\"bind\",\"ro\"]},"
	"{\"destination\":\"/etc/hosts\",\"source\":\"/run/identity/hosts\","
	"\"options\":[\"bind\",\"ro\"]},"
	"{\"destination\":\"/run/quark\",\"source\":\"/quark\",\"options\":[\"rbind\",\"ro\"]}],"
	"\"linux\":{\"cgroupsPath\":\"/function\","
	"\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]%s},"
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
	"{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"}],"
	"\"maskedPaths\":[\"/proc/kcore\",\"/proc/keys\",\"/sys/firmware\"],"
	"\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
	"\"/proc/sysrq-trigger\"]}}";

static void create_write_order(struct host *host, const struct container *container)
{
	static char payload[sizeof(struct mailbox_create) + CONFIG_BYTES];
	char *config = payload + sizeof(struct mailbox_create);
	struct mailbox_create head = {.flags = container->flags};
	char memory[128] = "";
	int n;

	if (container->memory_mib)
		(void)snprintf(memory, sizeof(memory), ",\"memory\":{\"limit\":%llu}",
			       container->memory_mib * MIB);
	n = snprintf(config, CONFIG_BYTES, config_format,
		     container->argument ? container->argument : "",
		     container->wake ? container->wake : "run0", memory);
	REQUIRE(n > 0 && n < CONFIG_BYTES, "the configuration does not fit");
	head.config_bytes = (uint32_t)n;
	memcpy(payload, &head, sizeof(head));
	order_write(host, MAILBOX_ORDER_CREATE, payload, sizeof(head) + (size_t)n);
}

static void create(struct host *host, const struct container *container)
{
	create_write_order(host, container);
	expect_ring(host, DOORBELL_READY);
}

static const char *ask(struct host *host, const char *request)
{
	order_write(host, MAILBOX_ORDER_REQUEST, request, strlen(request));
	expect_ring(host, DOORBELL_DONE);
	return answer(host);
}

/* The value of a line "NAME VALUE" of an answer. */
static void fact(const char *text, const char *name, char value[128])
{
	const size_t bytes = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, bytes) && line[bytes] == ' ') {
			(void)snprintf(value, 128, "%.*s", (int)strcspn(line + bytes + 1, "\n"),
				       line + bytes + 1);
			return;
		}
	}
	REQUIRE(false, "no line '%s' in:\n%s", name, text);
}

static void expect_fact(const char *text, const char *name, const char *value)
{
	char found[128];

	fact(text, name, found);
	REQUIRE(!strcmp(found, value), "%s is '%s' instead of '%s'", name, found, value);
}

/* --- what is tried --------------------------------------------------------------------------- */

static void send_trial(struct host *host)
{
	send_program(host, host->trial);
	send_file(host, "function/data", S_IFDIR | 0750, NULL, 0);
	send_file(host, "function/data/piece", S_IFREG | 0640, "hello", 5);
	send_file(host, "function/link", S_IFLNK | 0777, "data/piece", 10);
	order_write(host, MAILBOX_ORDER_NONE, NULL, 0);
	expect_ring(host, DOORBELL_READY);
}

/* Facts that a clone must have of its own. */
static const char *const own[] = {"random", "hostname", "machine-id", "hostname-file"};
enum { OWN = sizeof(own) / sizeof(own[0]) };

static void check_clone(const char *text, char facts[OWN][128])
{
	char value[128];

	for (size_t i = 0; i < OWN; i++) {
		fact(text, own[i], value);
		REQUIRE(strcmp(value, facts[i]), "%s is the last clone's: %s", own[i], value);
		memcpy(facts[i], value, sizeof(value));
	}
	REQUIRE(!strncmp(facts[1], "quark-", 6) && strlen(facts[1]) == 18, "hostname %s", facts[1]);
	REQUIRE(!strcmp(facts[1], facts[3]), "/etc/hostname says %s", facts[3]);
	REQUIRE(strlen(facts[2]) == 32 && strspn(facts[2], "0123456789abcdef") == 32,
		"machine-id %s", facts[2]);
	expect_fact(text, "uid", "1000");
	expect_fact(text, "pid", "1");
	expect_fact(text, "piece", "hello");
	expect_fact(text, "link", "hello");
	fact(text, "realtime", value);
	REQUIRE(llabs((long long)clock_ns(CLOCK_REALTIME) -
		      (long long)(strtod(value, NULL) * 1e9)) < 2000000000ll,
		"realtime %s", value);
}

static void wakes(struct host *host, uint32_t flags)
{
	char facts[OWN][128] = {};
	char hooks[32];

	send_trial(host);
	create(host, &(struct container){.flags = flags});
	for (unsigned int i = 1; i <= 3; i++) {
		mailbox_empty(host);
		order_write(host, MAILBOX_ORDER_NONE, NULL, 0);
		expect_ring(host, DOORBELL_READY);
		if (i < 3)
			mailbox_empty(host);
		else /* the last one is a clone's */
			mailbox_renew(host);
		if (i == 2) {
			order_write(host, MAILBOX_ORDER_PARK, NULL, 0);
			expect_ring(host, DOORBELL_READY);
		}
		check_clone(ask(host, "who"), facts);
		(void)snprintf(hooks, sizeof(hooks), "%u %u", i, i < 3 ? 1 : 2);
		expect_fact(answer(host), "hooks", hooks);
		/* A second request is the same machine's: names stay, random numbers do not. */
		expect_ring(host, DOORBELL_READY);
		ask(host, "who");
		expect_fact(answer(host), "hostname", facts[1]);
		expect_fact(answer(host), "machine-id", facts[2]);
		expect_fact(answer(host), "hooks", hooks);
		expect_ring(host, DOORBELL_READY);
		if (i == 3)
			break;
		order_write(host, MAILBOX_ORDER_SLEEP, NULL, 0);
		expect_ring(host, DOORBELL_READY);
	}
	printf("%s", answer(host));
}

static void do_run0(struct host *host)
{
	wakes(host, 0);
}

static void do_image(struct host *host)
{
	wakes(host, MAILBOX_CREATE_IMAGE);
}

static void do_no_identity(struct host *host)
{
	send_trial(host);
	create(host, &(struct container){.flags = MAILBOX_CREATE_NO_IDENTITY});
	mailbox_renew(host);
	ask(host, "who");
	expect_fact(answer(host), "hostname", "quark");
	expect_fact(answer(host), "machine-id", "00000000000000000000000000000000");
}

static void do_direct(struct host *host)
{
	send_trial(host);
	create(host, &(struct container){.flags = MAILBOX_CREATE_DIRECT, .wake = "direct"});
	for (int i = 0; i < 2; i++) {
		mailbox_renew(host);
		ask(host, "who");
		expect_ring(host, DOORBELL_READY);
	}
	expect_fact(answer(host), "hooks", "1 2");
}

static void ends_before_next(struct host *host, const struct container *container,
			     const char *message)
{
	send_program(host, host->trial);
	create_write_order(host, container);
	expect_failure(host, message);
}

static void do_exit(struct host *host)
{
	ends_before_next(host, &(struct container){.argument = "exit"},
			 "the function exited with status 3 before its first next()");
}

static void do_exit_direct(struct host *host)
{
	ends_before_next(host,
			 &(struct container){.argument = "exit", .flags = MAILBOX_CREATE_DIRECT,
					     .wake = "direct"},
			 "the function exited with status 3 before its first next()");
}

static void do_kill(struct host *host)
{
	ends_before_next(host, &(struct container){.argument = "kill"},
			 "the function was killed by signal 4 (Illegal instruction) before");
}

static void do_memory(struct host *host)
{
	ends_before_next(host, &(struct container){.argument = "memory", .memory_mib = 24},
			 "the function was killed: out of memory (limit 24 MiB) before");
}

/* After its first next() an end is no matter of the build: a line, and off. */
static void do_late_exit(struct host *host)
{
	send_program(host, host->trial);
	create(host, &(struct container){});
	mailbox_renew(host);
	order_write(host, MAILBOX_ORDER_REQUEST, "exit", 4);
	REQUIRE(run(host) == VM_EVENT_POWEROFF, "%s", vm_event_name(host->event.kind));
	REQUIRE(strstr(host->console, "init: the function exited with status 5\r\n"), "console: %s",
		host->console);
}

static void do_no_program(struct host *host)
{
	create_write_order(host, &(struct container){});
	expect_failure(host, "run0 ");
	printf("%s\n", answer(host));
	REQUIRE(strstr(answer(host), "function"), "%s", answer(host));
}

static void do_bad_config(struct host *host)
{
	struct mailbox_create head = {.config_bytes = 7};
	char payload[sizeof(head) + 7];

	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), "{\"a\":1,", 7);
	order_write(host, MAILBOX_ORDER_CREATE, payload, sizeof(payload));
	expect_failure(host, "run0 create: ");
	printf("%s\n", answer(host));
}

static void do_no_image(struct host *host)
{
	create_write_order(host, &(struct container){.flags = MAILBOX_CREATE_IMAGE});
	expect_failure(host, "the machine has no image");
}

static void do_early_request(struct host *host)
{
	order_write(host, MAILBOX_ORDER_REQUEST, "x", 1);
	expect_failure(host, "order 1 makes no sense before there is a function");
}

static void do_bad_path(struct host *host)
{
	file_write_order(host, "a/../../init", S_IFREG | 0755, 0, "x", 1);
	expect_failure(host, "is not a relative path");
}

/* A link that leads out, and a file below it: it lands inside. */
static void do_link_out(struct host *host)
{
	send_program(host, host->trial);
	send_file(host, "function/data", S_IFLNK | 0777, "/../../../function/real", 23);
	send_file(host, "function/real", S_IFDIR | 0755, NULL, 0);
	send_file(host, "function/data/piece", S_IFREG | 0644, "inside", 6);
	create(host, &(struct container){});
	mailbox_renew(host);
	ask(host, "who");
	expect_fact(answer(host), "piece", "inside");
}

static void do_bad_wake(struct host *host)
{
	send_program(host, host->trial);
	create(host, &(struct container){});
	mailbox_renew(host);
	order_write(host, MAILBOX_ORDER_CREATE, NULL, 0);
	expect_failure(host, "cannot take the host's order");
}

static void do_isolation(struct host *host)
{
	const char *text;
	unsigned int descriptors = 0;

	send_trial(host);
	create(host, &(struct container){});
	mailbox_renew(host);
	text = ask(host, "isolation");
	printf("%s", text);
	REQUIRE(!strstr(text, "OPEN"), "something is open");
	REQUIRE(strstr(text, "fd 3 /sys/devices/pci0000:00/0000:00:01.0/resource0\n") ||
			strstr(text, "fd 3 /devices/pci0000:00/0000:00:01.0/resource0\n"),
		"the doorbell");
	REQUIRE(strstr(text, "fd 4 /memfd:mailbox"), "the mailbox");
	for (const char *at = text; (at = strstr(at, "\nfd ")); at++)
		descriptors++;
	/* 0, 1, 2, doorbell and mailbox. */
	REQUIRE(descriptors == 5, "%u descriptors", descriptors);
}

/* --- figures --------------------------------------------------------------------------------- */

/* Second-stage entries of all RAM go, the pages stay: as a restore into the page cache's pages, and
 * page by page as that. */
static void forget_mappings(struct host *host)
{
	void *base = vm_memory_base(host->vm);
	const size_t bytes = vm_memory_bytes(host->vm);

	REQUIRE(mprotect(base, bytes, PROT_NONE) == 0 &&
			mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0,
		"mprotect");
}

static void measure(struct host *host, const char *name, bool forget)
{
	struct vm_counters before, after;
	struct err err = {};
	uint64_t start;

	REQUIRE(vm_timers_stop(host->vm, &err) == 0 && vm_timers_start(host->vm, &err) == 0, "%s",
		err.message);
	order_write(host, MAILBOX_ORDER_REQUEST, "hello", 5);
	if (forget)
		forget_mappings(host);
	vm_counters_get(host->vm, &before);
	start = clock_ns(CLOCK_MONOTONIC);
	expect_ring(host, DOORBELL_DONE);
	start = clock_ns(CLOCK_MONOTONIC) - start;
	vm_counters_get(host->vm, &after);
	printf("%-24s %9" PRIu64 " ns %4" PRIu64 " faults %3" PRIu64 " exits\n", name, start,
	       after.faults - before.faults, after.exits - before.exits);
	REQUIRE(!strcmp(answer(host), "HELLO"), "'%s'", answer(host));
	expect_ring(host, DOORBELL_READY);
}

static void measure_wakes(struct host *host, const struct container *container, const char *name)
{
	char label[64];

	send_program(host, host->upper);
	create(host, container);
	for (int i = 0; i < 6; i++) {
		mailbox_empty(host);
		(void)snprintf(label, sizeof(label), "%s%s", name, i < 3 ? "" : ", unmapped");
		measure(host, label, i >= 3);
		measure(host, "  second request", false);
		order_write(host, MAILBOX_ORDER_SLEEP, NULL, 0);
		expect_ring(host, DOORBELL_READY);
	}
}

static void do_measure_run0(struct host *host)
{
	measure_wakes(host, &(struct container){}, "run0");
}

static void do_measure_bare(struct host *host)
{
	measure_wakes(host, &(struct container){.flags = MAILBOX_CREATE_NO_IDENTITY},
		      "run0, no identity");
}

static void do_measure_direct(struct host *host)
{
	measure_wakes(host, &(struct container){.flags = MAILBOX_CREATE_DIRECT, .wake = "direct"},
		      "direct");
}

struct trial {
	const char *name;
	void (*run)(struct host *host);
	unsigned int vcpus; /* 0: one */
};

static const struct trial trials[] = {
	{.name = "run0", .run = do_run0},
	{.name = "run0-smp", .run = do_run0, .vcpus = 2},
	{.name = "image", .run = do_image},
	{.name = "no-identity", .run = do_no_identity},
	{.name = "direct", .run = do_direct},
	{.name = "exit", .run = do_exit},
	{.name = "exit-direct", .run = do_exit_direct},
	{.name = "kill", .run = do_kill},
	{.name = "memory", .run = do_memory},
	{.name = "late-exit", .run = do_late_exit},
	{.name = "no-program", .run = do_no_program},
	{.name = "bad-config", .run = do_bad_config},
	{.name = "no-image", .run = do_no_image},
	{.name = "early-request", .run = do_early_request},
	{.name = "bad-path", .run = do_bad_path},
	{.name = "link-out", .run = do_link_out},
	{.name = "bad-wake", .run = do_bad_wake},
	{.name = "isolation", .run = do_isolation},
	{.name = "measure-run0", .run = do_measure_run0},
	{.name = "measure-bare", .run = do_measure_bare},
	{.name = "measure-direct", .run = do_measure_direct},
};

static const struct trial *find_trial(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++)
		if (!strcmp(trials[i].name, name))
			return &trials[i];
	REQUIRE(false, "no trial '%s'", name);
}

enum { FIRST_TRIAL = 6 }; /* of the arguments */

int main(int argc, char **argv)
{
	static struct host host = {.generation = 1};
	static struct copy copy;
	unsigned int vcpus;

	REQUIRE(argc > FIRST_TRIAL, "usage: orders KERNEL INITRD TRIAL UPPER IMAGE WHAT...");
	host.trial = argv[3];
	host.upper = argv[4];
	vcpus = find_trial(argv[FIRST_TRIAL])->vcpus;
	machine_boot(&host, argv[1], argv[2], *argv[5] ? argv[5] : NULL, vcpus);
	expect_ring(&host, DOORBELL_READY);
	copy_take(&host, &copy);
	for (int i = FIRST_TRIAL; i < argc; i++) {
		const struct trial *trial = find_trial(argv[i]);

		printf("--- %s\n", trial->name);
		(void)fflush(stdout);
		REQUIRE(trial->vcpus == vcpus, "'%s' needs another machine", trial->name);
		if (i > FIRST_TRIAL)
			copy_use(&host, &copy);
		trial->run(&host);
		printf("ok: %s\n", trial->name);
	}
	host.vm = vm_free(host.vm);
	free(copy.memory);
	return 0;
}
