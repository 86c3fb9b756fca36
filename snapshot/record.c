/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records a working set: which pages one request touches, and which of them it writes.
 *
 * The page tables of the host cannot tell: a read fault on a file maps its neighbours too. So the
 * VM's range stays empty and userfaultfd reports each first touch, of the guest's and of KVM's own,
 * to a thread that copies the page in from the memory layer or its base. For the image, anonymous
 * memory takes the place of the file's mapping, and its pages are served in the same way.
 *
 * Which pages were written is not asked of the faults: KVM waits for a missing page as if to write
 * it. Written is what differs from the layer at the end; what the function has mapped writable,
 * since a variable may well have got its old value back; and every page-table page, since the
 * processor's walker counts as a writer (AMD64 APM vol. 2, section 15.25.5).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

/* What is watched: memory, and the image if there is one. */
struct region {
	uint8_t *base;
	uint64_t bytes; /* 0: none */
};

struct recorder {
	struct vm *vm;			 /* borrowed */
	const struct template *template; /* borrowed */
	struct region memory, image;
	int fault_fd, stop_fd; /* owned */
	pthread_t thread;
	bool has_thread;
	atomic_bool recording;
	atomic_int failed; /* -errno of the thread's first failure */
	pthread_mutex_t lock;
	struct working_set set; /* guarded by lock; in order of touch until the end */
};

const unsigned long recorder_ioctls[] = { UFFDIO_COPY, UFFDIO_UNREGISTER, UFFDIO_WAKE, 0 };

static void note(struct recorder *recorder, const struct working_set_entry *entry)
{
	struct working_set *set = &recorder->set;

	if (!atomic_load(&recorder->recording))
		return;
	(void)pthread_mutex_lock(&recorder->lock);
	if (set->count < WORKING_SET_MAX)
		set->entries[set->count++] = *entry;
	(void)pthread_mutex_unlock(&recorder->lock);
}

/* The page at an address of the VM's. An entry of the image when it is not of memory: nothing else
 * is watched. */
static struct working_set_entry entry_of(const struct recorder *recorder, uint64_t address)
{
	uint64_t offset = address - (uintptr_t)recorder->memory.base;

	if (offset < recorder->memory.bytes)
		return (struct working_set_entry){ .offset = offset };
	return (struct working_set_entry){
		.offset = address - (uintptr_t)recorder->image.base,
		.flags = WORKING_SET_IMAGE,
	};
}

/* Which file holds a page of the snapshot. */
static int file_of(const struct recorder *recorder, const struct working_set_entry *entry)
{
	const struct template *template = recorder->template;
	const struct manifest *manifest = template_manifest(template);

	if (entry->flags & WORKING_SET_IMAGE)
		return template_image_fd(template);
	if (template_base_fd(template) < 0)
		return template_memory_fd(template);
	for (uint32_t i = 0; i < manifest->extent_count; i++)
		if (entry->offset - manifest->extents[i].offset < manifest->extents[i].bytes)
			return template_memory_fd(template);
	return template_base_fd(template);
}

static int read_page(const struct recorder *recorder, const struct working_set_entry *entry,
		     uint8_t page[GUEST_PAGE_BYTES])
{
	return file_pread_all(file_of(recorder, entry), page, GUEST_PAGE_BYTES,
			      (off_t)entry->offset);
}

/* -EEXIST: another vCPU's fault on the same page was served just before. The page is noted first:
 * with it the guest goes on, and may have ended the recording by then. */
static int serve_fault(struct recorder *recorder, const struct uffd_msg *message)
{
	_Alignas(4096) uint8_t page[GUEST_PAGE_BYTES];
	uint64_t address = message->arg.pagefault.address & ~(GUEST_PAGE_BYTES - 1);
	struct working_set_entry entry = entry_of(recorder, address);
	struct uffdio_copy copy = {
		.dst = address,
		.src = (uintptr_t)page,
		.len = GUEST_PAGE_BYTES,
	};
	int r = read_page(recorder, &entry, page);

	if (r < 0)
		return r;
	note(recorder, &entry);
	if (ioctl(recorder->fault_fd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static void unwatch(const struct recorder *recorder, const struct region *region)
{
	struct uffdio_range range = { .start = (uintptr_t)region->base, .len = region->bytes };

	if (region->bytes)
		(void)ioctl(recorder->fault_fd, UFFDIO_UNREGISTER, &range);
}

/* Nobody would serve the faults to come, and a vCPU would wait in one for ever: from now on the
 * kernel answers them with zeros. */
static void give_up(struct recorder *recorder, int code)
{
	atomic_store(&recorder->failed, code);
	unwatch(recorder, &recorder->memory);
	unwatch(recorder, &recorder->image);
}

static void *fault_thread(void *context)
{
	struct recorder *recorder = context;
	struct pollfd fds[] = {
		{ .fd = recorder->fault_fd, .events = POLLIN },
		{ .fd = recorder->stop_fd, .events = POLLIN },
	};

	for (;;) {
		struct uffd_msg message;
		int r;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (read(recorder->fault_fd, &message, sizeof(message)) !=
			    (ssize_t)sizeof(message) ||
		    message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		r = serve_fault(recorder, &message);
		if (r < 0)
			give_up(recorder, r);
	}
	return NULL;
}

static int watch(const struct recorder *recorder, const struct region *region, struct err *err)
{
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)region->base, .len = region->bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (region->bytes && ioctl(recorder->fault_fd, UFFDIO_REGISTER, &range) < 0)
		return err_set(err, -errno, "cannot watch the guest's memory: %s", strerror(errno));
	return 0;
}

static int watch_all(struct recorder *recorder, struct err *err)
{
	struct uffdio_api api = { .api = UFFD_API };
	int r;

	recorder->fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (recorder->fault_fd < 0)
		return err_set(err, -errno, "cannot record: userfaultfd: %s", strerror(errno));
	if (ioctl(recorder->fault_fd, UFFDIO_API, &api) < 0)
		return err_set(err, -errno, "cannot record: UFFDIO_API: %s", strerror(errno));
	if ((r = watch(recorder, &recorder->memory, err)) < 0 ||
	    (r = watch(recorder, &recorder->image, err)) < 0)
		return r;
	recorder->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (recorder->stop_fd < 0)
		return err_set(err, -errno, "eventfd: %s", strerror(errno));
	return 0;
}

/* The VM is told of the image in the ordinary way; then the mapping is changed for an empty one. */
static int take_image(struct recorder *recorder, struct err *err)
{
	const uint64_t bytes = template_manifest(recorder->template)->image.bytes;
	int fd = template_image_fd(recorder->template);
	void *base;
	int r;

	if (fd < 0)
		return 0;
	r = vm_image_map(recorder->vm, fd, bytes, err);
	if (r < 0)
		return r;
	base = mmap(vm_image_base(recorder->vm), bytes, PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return err_set(err, -errno, "cannot watch the image: %s", strerror(errno));
	recorder->image = (struct region){ .base = base, .bytes = bytes };
	return 0;
}

struct recorder *recorder_free(struct recorder *recorder)
{
	const uint64_t one = 1;

	if (!recorder)
		return NULL;
	if (recorder->has_thread && write(recorder->stop_fd, &one, sizeof(one)) == sizeof(one))
		(void)pthread_join(recorder->thread, NULL);
	(void)fd_close(recorder->fault_fd);
	(void)fd_close(recorder->stop_fd);
	(void)pthread_mutex_destroy(&recorder->lock);
	free(recorder);
	return NULL;
}

static void cleanup_recorder_p(struct recorder **recorder)
{
	(void)recorder_free(*recorder);
}

int recorder_new(struct recorder **ret_recorder, struct vm *vm, const struct template *template,
		 struct err *err)
{
	__attribute__((cleanup(cleanup_recorder_p))) struct recorder *recorder = NULL;
	int r;

	if (template_manifest(template)->memory_bytes != vm_memory_bytes(vm))
		return err_set(err, -EINVAL, "the VM's memory is not of the template's size");
	recorder = calloc(1, sizeof(*recorder));
	if (!recorder)
		return err_set(err, -ENOMEM, "out of memory");
	recorder->vm = vm;
	recorder->template = template;
	recorder->memory = (struct region){ vm_memory_base(vm), vm_memory_bytes(vm) };
	recorder->fault_fd = recorder->stop_fd = -1;
	(void)pthread_mutex_init(&recorder->lock, NULL);
	atomic_store(&recorder->recording, true);
	if ((r = take_image(recorder, err)) < 0 || (r = watch_all(recorder, err)) < 0)
		return r;
	r = pthread_create(&recorder->thread, NULL, fault_thread, recorder);
	if (r)
		return err_set(err, -r, "cannot start a thread: %s", strerror(r));
	recorder->has_thread = true;
	*ret_recorder = TAKE_PTR(recorder);
	return 0;
}

static int by_order(const void *a, const void *b)
{
	return working_set_order(a, b);
}

/* Two vCPUs may have reported one page. */
static void sort_and_merge(struct working_set *set)
{
	uint32_t kept = 0;

	qsort(set->entries, set->count, sizeof(set->entries[0]), by_order);
	for (uint32_t i = 0; i < set->count; i++)
		if (!kept || working_set_order(&set->entries[kept - 1], &set->entries[i]) != 0)
			set->entries[kept++] = set->entries[i];
	set->count = kept;
}

/* Of memory: nobody can write the image. */
static int mark_written(const struct recorder *recorder, struct working_set *set, struct err *err)
{
	uint8_t page[GUEST_PAGE_BYTES];

	for (uint32_t i = 0; i < set->count; i++) {
		struct working_set_entry *entry = &set->entries[i];
		int r;

		if (entry->flags & WORKING_SET_IMAGE)
			continue;
		r = read_page(recorder, entry, page);
		if (r < 0)
			return err_set(err, r, "cannot read the memory layer: %s", strerror(-r));
		if (memcmp(recorder->memory.base + entry->offset, page, sizeof(page)) != 0)
			entry->flags |= WORKING_SET_WRITTEN;
	}
	return 0;
}

/* The address space of the vCPU that is in user mode. */
static uint64_t function_cr3(const struct vm_state *state)
{
	for (uint32_t i = 0; i < state->vcpu_count; i++)
		if ((state->vcpus[i].sregs.cs.selector & 3) == 3)
			return state->vcpus[i].sregs.cr3;
	return state->vcpus[0].sregs.cr3;
}

/* The function's addresses, by the page tables of who has just answered: at the snapshot it may
 * have been PID 1 that was in user mode, to wake the function. */
static int assign_addresses(const struct recorder *recorder, struct working_set *set,
			    struct err *err)
{
	cleanup_free struct vm_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	r = vm_state_get(recorder->vm, state, err);
	if (r < 0)
		return r;
	guest_walk_assign(recorder->vm, function_cr3(state), set);
	return 0;
}

int recorder_finish(struct recorder *recorder, struct working_set *ret_set, struct err *err)
{
	int r;

	atomic_store(&recorder->recording, false);
	r = atomic_load(&recorder->failed);
	if (r < 0)
		return err_set(err, r, "recording failed: %s", strerror(-r));
	(void)pthread_mutex_lock(&recorder->lock);
	*ret_set = recorder->set;
	(void)pthread_mutex_unlock(&recorder->lock);
	sort_and_merge(ret_set);
	r = mark_written(recorder, ret_set, err);
	return r < 0 ? r : assign_addresses(recorder, ret_set, err);
}
