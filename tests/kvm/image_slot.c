/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image KERNEL INITRD IMAGE: a guest's life with an image (guest/image_init.c is what it does), in
 * three VMs, as templates are made: one that boots without the image, one that is given it and uses
 * it, and one that goes on from there. A state is refused by a VM that has another image or none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm_test.h"
#include "lumper.h"
#include "mailbox.h"

#define MEMORY_BYTES (256ull << 20)

/* A VM that is stopped, outside of any VM. */
struct capture {
	struct vm_state state;
	uint8_t *memory;
};

struct image {
	int fd;
	uint64_t bytes;
	uint8_t *before; /* a copy of its contents */
};

static void print_console(void *context, const uint8_t *data, size_t bytes)
{
	(void)context;
	(void)fwrite(data, 1, bytes, stdout);
}

static struct vm *new_vm(const struct vm_state *like)
{
	const struct vm_config config = {
		.memory_bytes = MEMORY_BYTES,
		.like = like,
		.console_write = print_console,
	};
	struct vm *vm = NULL;
	struct err err = {};

	REQUIRE(vm_new(&vm, &config, &err) == 0, "%s", err.message);
	return vm;
}

static struct vm *boot(const char *kernel, const char *initrd)
{
	const struct boot_config config = {
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = "console=ttyS0 quiet panic=-1 reboot=k,panic_warm no_timer_check "
			   "clocksource=kvm-clock rdinit=/init",
	};
	struct vm *vm = new_vm(NULL);
	struct err err = {};

	REQUIRE(vm_boot_linux(vm, &config, &err) == 0, "%s", err.message);
	return vm;
}

static void run_to(struct vm *vm, enum vm_event_kind kind, uint32_t doorbell)
{
	static struct vm_event event;
	struct err err = {};

	REQUIRE(vm_run(vm, &event, &err) == 0, "%s", err.message);
	REQUIRE(event.kind == kind, "the guest ended with '%s', not '%s'\n%s",
		vm_event_name(event.kind), vm_event_name(kind), event.report);
	REQUIRE(kind != VM_EVENT_DOORBELL || event.doorbell == doorbell,
		"the guest rang %#x, not %#x", event.doorbell, doorbell);
	if (event.report[0])
		printf("%.*s\n", (int)strcspn(event.report, "\n"), event.report);
}

static void take(struct vm *vm, struct capture *capture)
{
	struct err err = {};

	REQUIRE(vm_state_get(vm, &capture->state, &err) == 0, "%s", err.message);
	memcpy(capture->memory, vm_memory_base(vm), MEMORY_BYTES);
	(void)vm_free(vm);
}

/* Zero pages stay holes. */
static void put_memory(struct vm *vm, const struct capture *capture)
{
	static const uint8_t zero[GUEST_PAGE_BYTES];
	uint8_t *to = vm_memory_base(vm);

	for (uint64_t at = 0; at < MEMORY_BYTES; at += GUEST_PAGE_BYTES)
		if (memcmp(capture->memory + at, zero, GUEST_PAGE_BYTES) != 0)
			memcpy(to + at, capture->memory + at, GUEST_PAGE_BYTES);
}

static void put_state(struct vm *vm, const struct capture *capture)
{
	struct err err = {};

	REQUIRE(vm_state_set(vm, &capture->state, VM_TIMERS_RUNNING, &err) == 0, "%s",
		err.message);
}

static void map_image(struct vm *vm, const struct image *image)
{
	struct err err = {};

	REQUIRE(vm_image_map(vm, image->fd, image->bytes, &err) == 0, "%s", err.message);
	REQUIRE(vm_image_bytes(vm) == image->bytes, "the VM has another image");
}

static void require_refused(int r, int code, const struct err *err)
{
	REQUIRE(r == code, "%d instead of %d", r, code);
	REQUIRE(err->message[0], "refused without a word");
	printf("refused: %s\n", err->message);
}

static void check_map_refusals(struct vm *vm, const struct image *image)
{
	const uint64_t sizes[] = { 0, 4096, GUEST_IMAGE_MAX_BYTES + GUEST_IMAGE_ALIGN_BYTES,
				   UINT64_MAX & ~(GUEST_IMAGE_ALIGN_BYTES - 1),
				   image->bytes + GUEST_IMAGE_ALIGN_BYTES };
	struct err err = {};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		require_refused(vm_image_map(vm, image->fd, sizes[i], &err), -EINVAL, &err);
	REQUIRE(vm_image_bytes(vm) == 0, "a refused image is there");
}

/* The guest of `capture` has mounted the image. */
static void check_state_refusals(const struct capture *capture, const struct image *image)
{
	struct vm *vm = new_vm(&capture->state);
	struct err err = {};

	require_refused(vm_state_set(vm, &capture->state, VM_TIMERS_STOPPED, &err), -EINVAL, &err);
	REQUIRE(vm_image_map(vm, image->fd, image->bytes - GUEST_IMAGE_ALIGN_BYTES, &err) == 0,
		"%s", err.message);
	require_refused(vm_state_set(vm, &capture->state, VM_TIMERS_STOPPED, &err), -EINVAL, &err);
	require_refused(vm_image_map(vm, image->fd, image->bytes, &err), -EBUSY, &err);
	(void)vm_free(vm);
}

static struct image open_image(const char *path)
{
	struct image image = { .fd = open(path, O_RDWR | O_CLOEXEC) };
	struct stat st;

	REQUIRE(image.fd >= 0 && fstat(image.fd, &st) == 0, "cannot open %s", path);
	image.bytes = (uint64_t)st.st_size;
	image.before = malloc(image.bytes);
	REQUIRE(image.before && pread(image.fd, image.before, image.bytes, 0) == st.st_size,
		"cannot read %s", path);
	return image;
}

/* The descriptor would have allowed it. */
static void require_unchanged(const struct image *image)
{
	void *now = mmap(NULL, image->bytes, PROT_READ, MAP_SHARED, image->fd, 0);

	REQUIRE(now != MAP_FAILED && memcmp(now, image->before, image->bytes) == 0,
		"the guest has changed the image");
	(void)munmap(now, image->bytes);
}

int main(int argc, char **argv)
{
	static struct capture capture;
	struct image image;
	struct vm *vm;

	REQUIRE(argc == 4, "usage: image KERNEL INITRD IMAGE");
	image = open_image(argv[3]);
	capture.memory = malloc(MEMORY_BYTES);
	REQUIRE(capture.memory, "out of memory");
	(void)setvbuf(stdout, NULL, _IOLBF, 0);

	vm = boot(argv[1], argv[2]);
	run_to(vm, VM_EVENT_DOORBELL, DOORBELL_READY);
	take(vm, &capture);

	vm = new_vm(&capture.state);
	put_memory(vm, &capture);
	put_state(vm, &capture);
	check_map_refusals(vm, &image);
	map_image(vm, &image);
	run_to(vm, VM_EVENT_DOORBELL, DOORBELL_READY);
	take(vm, &capture);

	check_state_refusals(&capture, &image);
	vm = new_vm(&capture.state);
	put_memory(vm, &capture);
	map_image(vm, &image);
	put_state(vm, &capture);
	run_to(vm, VM_EVENT_DOORBELL, DOORBELL_DONE);
	require_unchanged(&image);
	run_to(vm, VM_EVENT_UNHANDLED, 0);
	(void)vm_free(vm);
	free(capture.memory);
	free(image.before);
	(void)close(image.fd);
	return 0;
}
