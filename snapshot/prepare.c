/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparing a VM for the templates of one base, before anybody says which of them.
 *
 * The calibration, a template on this base, tells where such templates differ from the base and
 * which pages a start touches. Where they do not differ, the base is mapped now. Where they do lie
 * the windows: private memory in which only the hot pages, those that the calibration's start has
 * touched, are there, to be filled when a template comes. All else in a window is absent: an access
 * fails, by userfaultfd without anybody who serves it, until a page is installed or the rest is
 * mapped (vmm/memory_gap.c). The guest-side loop then makes the second-stage entries.
 *
 * Windows are mapped for writing only. The processor knows no such thing, but KVM asks for the
 * permission to read before it hands a fault that it cannot resolve to a worker thread, to wait for
 * the disk; that thread would fail, tell nobody, and the vCPU would try again for ever.
 *
 * What a template brings is copied by the processor, in small pieces, from a mapping of its layer:
 * a read into memory costs the system call and, page by page, a string instruction.
 *
 * One thread, but for complete(), which any vCPU may call once after loading.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "mailbox.h"
#include "snapshot_priv.h"

/* Below 1 MiB device models and KVM keep addresses of their own. */
#define WINDOWS_START (1ull << 20)
#define TOUCH_END (1ull << 32)
#define KVM_STRUCT_BYTES 64ull

enum {
	/* Beyond so many pages to install, it is cheaper to map the windows whole. */
	INSTALL_MAX = 256,
	PRESENT_MAX = WORKING_SET_MAX + INSTALL_MAX,
	GAP_STAGES = 3,
	TOUCH_MAX = WORKING_SET_MAX + (GUEST_HOT_END - GUEST_HOT_START) / GUEST_PAGE_BYTES,
};

struct preparation {
	struct vm *vm;   /* borrowed */
	uint8_t *memory; /* borrowed: the VM's */
	uint64_t bytes;
	int base_fd, fault_fd; /* owned; fault_fd -1: there are no windows */
	dev_t base_device;
	ino_t base_inode;
	uint8_t *base;    /* owned mapping, read-only */
	uint64_t mailbox; /* offset of what the mailbox is mapped over; `bytes`: nothing */
	bool has_hot_memory; /* it is filled, and no part of a window */
	uint32_t window_count, hot_count, touch_count;
	struct snapshot_extent windows[SNAPSHOT_EXTENTS_MAX];
	uint64_t hot[WORKING_SET_MAX]; /* offsets of pages, ascending */
	uint32_t touches[TOUCH_MAX];

	/* Of the template that was loaded. */
	int layer_fd;         /* borrowed until all is mapped */
	uint32_t stage;       /* of complete(); GAP_STAGES: nothing is absent any more */
	const uint8_t *layer; /* owned mapping, read-only; NULL: not needed so far */
	struct pack pack;     /* owned; reserved before, mapped if there is one */
	uint32_t extent_count, present_count, fresh_count;
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
	uint64_t present[PRESENT_MAX]; /* in windows, ascending */
	uint64_t fresh[INSTALL_MAX];   /* of these, those that are not hot */
};

const unsigned long preparation_ioctls[] = { UFFDIO_COPY, 0 };

/* --- ranges ---------------------------------------------------------------------------------- */

static uint64_t end_of(const struct snapshot_extent *extent)
{
	return extent->offset + extent->bytes;
}

/* --- which windows --------------------------------------------------------------------------- */

/* Pages at which a window has to stop: they are the base's, and prepared. */
static bool is_base_page(const struct template *like, const struct working_set_entry *entry)
{
	const struct manifest *manifest = template_manifest(like);

	return !(entry->flags & WORKING_SET_IMAGE) &&
	       !extents_hold(manifest->extents, manifest->extent_count, entry->offset);
}

/* The largest range around the extent without a page that is prepared as the base's. */
static struct snapshot_extent widest(const struct template *like,
				     const struct snapshot_extent *extent)
{
	const struct working_set *set = template_working_set(like);
	uint64_t start = WINDOWS_START, end = template_manifest(like)->memory_bytes;

	for (uint32_t i = 0; i < set->count; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		if (!is_base_page(like, entry))
			continue;
		if (entry->offset < extent->offset && entry->offset >= start)
			start = entry->offset + GUEST_PAGE_BYTES;
		if (entry->offset > extent->offset && entry->offset < end)
			end = entry->offset;
	}
	return (struct snapshot_extent){ start, end - start };
}

static void add_window(struct preparation *p, uint64_t start, uint64_t end)
{
	struct snapshot_extent *last = p->window_count ? &p->windows[p->window_count - 1] : NULL;

	if (last && start < end_of(last))
		start = end_of(last);
	if (start < end && p->window_count < ARRAY_SIZE(p->windows))
		p->windows[p->window_count++] = (struct snapshot_extent){ start, end - start };
}

/* What has a mapping of its own, in ascending order: mailbox and hot memory. Returns how many. */
static uint32_t find_holes(const struct preparation *p, struct snapshot_extent ret_holes[2])
{
	const struct snapshot_extent mailbox = { p->mailbox, MAILBOX_BYTES };
	const struct snapshot_extent hot = { GUEST_HOT_START, GUEST_HOT_END - GUEST_HOT_START };
	const bool has_mailbox = p->mailbox < p->bytes;
	uint32_t count = 0;

	if (has_mailbox && p->mailbox < GUEST_HOT_START)
		ret_holes[count++] = mailbox;
	if (p->has_hot_memory)
		ret_holes[count++] = hot;
	if (has_mailbox && p->mailbox >= GUEST_HOT_START)
		ret_holes[count++] = mailbox;
	return count;
}

static void add_window_without_holes(struct preparation *p, const struct snapshot_extent *window)
{
	struct snapshot_extent holes[2];
	const uint32_t count = find_holes(p, holes);
	uint64_t at = window->offset, end = end_of(window);

	for (uint32_t i = 0; i < count && holes[i].offset < end; i++) {
		add_window(p, at, holes[i].offset);
		if (end_of(&holes[i]) > at)
			at = end_of(&holes[i]);
	}
	add_window(p, at, end);
}

static void find_windows(struct preparation *p, const struct template *like)
{
	const struct manifest *manifest = template_manifest(like);

	for (uint32_t i = 0; i < manifest->extent_count; i++) {
		struct snapshot_extent window;

		if (manifest->extents[i].offset < WINDOWS_START)
			continue;
		window = widest(like, &manifest->extents[i]);
		add_window_without_holes(p, &window);
	}
}

/* --- mapping --------------------------------------------------------------------------------- */

static int map_over(struct preparation *p, uint64_t offset, uint64_t bytes, int fd, struct err *err)
{
	if (bytes && mmap(p->memory + offset, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the memory layer: %s", strerror(errno));
	return 0;
}

/* What the loaded template has in [start, end): its layer where that holds it, else the base. */
static int map_contents(struct preparation *p, uint64_t start, uint64_t end, struct err *err)
{
	int r = 0;

	while (r == 0 && start < end) {
		const struct snapshot_extent *extent =
			extent_from(p->extents, p->extent_count, start);
		bool in_layer = extent && start >= extent->offset;
		uint64_t stop = !extent ? end : in_layer ? end_of(extent) : extent->offset;

		if (stop > end)
			stop = end;
		r = map_over(p, start, stop - start, in_layer ? p->layer_fd : p->base_fd, err);
		start = stop;
	}
	return r;
}

/* How many pages of [start, end) the template's layer holds. */
static uint64_t layer_pages(const struct preparation *p, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < p->extent_count; i++) {
		uint64_t from = p->extents[i].offset, to = end_of(&p->extents[i]);

		from = from > start ? from : start;
		to = to < end ? to : end;
		bytes += from < to ? to - from : 0;
	}
	return bytes / GUEST_PAGE_BYTES;
}

/* [start, end) of a window, in which nothing is present, if the layer holds [least, limit) pages of
 * it. */
static int map_gap(struct preparation *p, uint64_t start, uint64_t end, uint64_t least,
		   uint64_t limit, struct err *err)
{
	const uint64_t pages = layer_pages(p, start, end);

	return pages < least || pages >= limit ? 0 : map_contents(p, start, end, err);
}

static int map_gaps(struct preparation *p, uint64_t least, uint64_t limit, struct err *err)
{
	uint32_t next = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->window_count; i++) {
		uint64_t at = p->windows[i].offset, end = end_of(&p->windows[i]);

		for (; r == 0 && next < p->present_count && p->present[next] < end; next++) {
			r = map_gap(p, at, p->present[next], least, limit, err);
			at = p->present[next] + GUEST_PAGE_BYTES;
		}
		if (r == 0)
			r = map_gap(p, at, end, least, limit, err);
	}
	return r;
}

/* The permission to read what is present: KVM needs that for a page that has been swapped out. It
 * costs all second-stage entries. */
static int allow_reading(const struct preparation *p, struct err *err)
{
	for (uint32_t i = 0; i < p->window_count; i++)
		if (mprotect(p->memory + p->windows[i].offset, p->windows[i].bytes,
			     PROT_READ | PROT_WRITE) < 0)
			return err_set(err, -errno, "mprotect: %s", strerror(errno));
	return 0;
}

/* For vm_memory_incomplete. The gaps of which the layer holds most come first: a function's own
 * memory is there, which is what differs from request to request, and they are few. */
static int complete(void *context, bool all, struct err *err)
{
	static const uint64_t least[GAP_STAGES] = { 256, 32, 0 };
	struct preparation *p = context;
	int r = 0;

	if (p->stage == GAP_STAGES)
		return all ? 1 : allow_reading(p, err);
	do {
		const uint64_t limit = p->stage ? least[p->stage - 1] : UINT64_MAX;

		r = map_gaps(p, least[p->stage++], limit, err);
	} while (r == 0 && all && p->stage < GAP_STAGES);
	return r < 0 ? r : 1;
}

/* The next range at or behind `at` that is filled and not mapped over: hot memory or a window. */
static struct snapshot_extent next_filled(const struct preparation *p, uint64_t at)
{
	const struct snapshot_extent hot = { GUEST_HOT_START, GUEST_HOT_END - GUEST_HOT_START };
	const struct snapshot_extent *window = extent_from(p->windows, p->window_count, at);

	if (p->has_hot_memory && at < end_of(&hot) && (!window || hot.offset < window->offset))
		return hot;
	return window ? *window : (struct snapshot_extent){ p->bytes, 0 };
}

/* What the template has beside them goes over the base. */
static int map_outside(struct preparation *p, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->extent_count; i++) {
		uint64_t at = p->extents[i].offset, end = end_of(&p->extents[i]);

		while (r == 0 && at < end) {
			const struct snapshot_extent filled = next_filled(p, at);
			uint64_t stop = filled.offset < end ? filled.offset : end;

			if (at < stop)
				r = map_over(p, at, stop - at, p->layer_fd, err);
			at = stop < end ? end_of(&filled) : end;
		}
	}
	return r;
}

/* --- pages ----------------------------------------------------------------------------------- */

/* NULL when the layer cannot be mapped. */
static const uint8_t *layer_at(struct preparation *p, uint64_t offset)
{
	const void *at;

	if (!p->layer) {
		at = mmap(NULL, p->bytes, PROT_READ, MAP_SHARED, p->layer_fd, 0);
		p->layer = at == MAP_FAILED ? NULL : at;
	}
	return p->layer ? p->layer + offset : NULL;
}

static const uint8_t *contents_at(struct preparation *p, uint64_t offset)
{
	const uint8_t *at;

	if (!extents_hold(p->extents, p->extent_count, offset))
		return p->base + offset;
	at = pack_page(&p->pack, offset);
	return at ? at : layer_at(p, offset);
}

static int install(const struct preparation *p, uint64_t offset, const uint8_t *from,
		   struct err *err)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)p->memory + offset,
		.src = (uintptr_t)from,
		.len = GUEST_PAGE_BYTES,
	};

	if (ioctl(p->fault_fd, UFFDIO_COPY, &copy) < 0)
		return err_set(err, -errno, "UFFDIO_COPY: %s", strerror(errno));
	return 0;
}

/* --- before a template is known -------------------------------------------------------------- */

struct preparation *preparation_free(struct preparation *p)
{
	if (!p)
		return NULL;
	if (p->base)
		(void)munmap(p->base, p->bytes);
	if (p->layer)
		(void)munmap((void *)(uintptr_t)p->layer, p->bytes);
	pack_release(&p->pack);
	(void)fd_close(p->base_fd);
	(void)fd_close(p->fault_fd);
	free(p);
	return NULL;
}

static void cleanup_preparation_p(struct preparation **p)
{
	(void)preparation_free(*p);
}

/* Everything is where it would be without windows, too. */
static void do_without_windows(struct preparation *p)
{
	p->fault_fd = fd_close(p->fault_fd);
	p->window_count = p->hot_count = 0;
}

/* For faults of user mode only, which nobody needs a privilege for: KVM's then fail, and so do all
 * others, since they are to be signals. */
static void open_faults(struct preparation *p)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };

	if (!vm_host_has_two_stages())
		return;
	p->fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (p->fault_fd >= 0 && ioctl(p->fault_fd, UFFDIO_API, &api) < 0)
		p->fault_fd = fd_close(p->fault_fd);
}

static int make_windows(struct preparation *p, struct err *err)
{
	for (uint32_t i = 0; i < p->window_count; i++) {
		const struct snapshot_extent *window = &p->windows[i];
		struct uffdio_register range = {
			.range = { (uintptr_t)p->memory + window->offset, window->bytes },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (mmap(p->memory + window->offset, window->bytes, PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED ||
		    ioctl(p->fault_fd, UFFDIO_REGISTER, &range) < 0)
			return err_set(err, -errno, "cannot make a window: %s", strerror(errno));
	}
	return 0;
}

static int map_mailbox(struct preparation *p, int fd, struct err *err)
{
	if (p->mailbox == p->bytes)
		return 0;
	if (mmap(p->memory + p->mailbox, MAILBOX_BYTES, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the mailbox: %s", strerror(errno));
	return 0;
}

static int add_touch(struct preparation *p, const struct working_set_entry *entry, struct err *err)
{
	static const uint8_t zeros[GUEST_PAGE_BYTES];
	const uint64_t gpa = guest_offset_to_gpa(entry->offset);
	bool hot = extents_hold(p->windows, p->window_count, entry->offset);
	int r = hot ? install(p, entry->offset, zeros, err) : 0;

	if (r < 0)
		return r;
	if (hot) {
		/* Present for good, and so in a mapping apart: what is absent around it can be
		 * mapped over then without splitting one. Best effort. */
		(void)mprotect(p->memory + entry->offset, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE);
		p->hot[p->hot_count++] = entry->offset;
	}
	if (gpa < TOUCH_END)
		p->touches[p->touch_count++] =
			(uint32_t)gpa |
			(hot || entry->flags & WORKING_SET_WRITTEN ? VM_TOUCH_WRITE : 0);
	return 0;
}

/* Pages that were written and are the base's become copies now. What a template without windows
 * will map its layer over is left alone. */
static int add_touches(struct preparation *p, const struct template *like, struct err *err)
{
	const struct working_set *set = template_working_set(like);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		if (!(entry->flags & WORKING_SET_IMAGE) &&
		    !(p->has_hot_memory && hot_memory_holds(entry->offset)) &&
		    (p->fault_fd >= 0 || is_base_page(like, entry)))
			r = add_touch(p, entry, err);
	}
	return r;
}

static int make_hot_memory(struct preparation *p, struct err *err)
{
	if (!p->has_hot_memory)
		return 0;
	for (uint64_t at = GUEST_HOT_START; at < GUEST_HOT_END; at += GUEST_PAGE_BYTES)
		p->touches[p->touch_count++] = (uint32_t)at | VM_TOUCH_WRITE;
	return hot_memory_map(p->memory, p->base_fd, err);
}

static int map_base(struct preparation *p, int fd, struct err *err)
{
	struct stat st;
	void *base;

	p->base_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (p->base_fd < 0 || fstat(p->base_fd, &st) < 0)
		return err_set(err, -errno, "cannot keep the base open: %s", strerror(errno));
	p->base_device = st.st_dev;
	p->base_inode = st.st_ino;
	base = mmap(NULL, p->bytes, PROT_READ, MAP_SHARED, p->base_fd, 0);
	if (base == MAP_FAILED)
		return err_set(err, -errno, "cannot map the base: %s", strerror(errno));
	p->base = base;
	return map_over(p, 0, p->bytes, p->base_fd, err);
}

static int check_like(const struct vm *vm, const struct template *like, struct err *err)
{
	if (template_manifest(like)->memory_bytes != vm_memory_bytes(vm))
		return err_set(err, -EINVAL, "the calibration is for a VM of another size");
	if (template_base_fd(like) < 0 || !template_working_set(like))
		return err_set(err, -EINVAL, "a calibration has a base and a working set");
	return 0;
}

int preparation_new(struct preparation **ret_preparation, struct vm *vm,
		    const struct template *like, int mailbox_fd, struct err *err)
{
	__attribute__((cleanup(cleanup_preparation_p))) struct preparation *p = NULL;
	int r = check_like(vm, like, err);

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->vm = vm;
	p->memory = vm_memory_base(vm);
	p->bytes = vm_memory_bytes(vm);
	p->base_fd = p->fault_fd = p->layer_fd = -1;
	if (mailbox_fd < 0 ||
	    !guest_gpa_to_offset(p->bytes, template_manifest(like)->mailbox_gpa, &p->mailbox) ||
	    !template_manifest(like)->mailbox_gpa)
		p->mailbox = p->bytes;
	p->has_hot_memory = p->bytes >= GUEST_HOT_END &&
			    (p->mailbox + MAILBOX_BYTES <= GUEST_HOT_START ||
			     p->mailbox >= GUEST_HOT_END);
	open_faults(p);
	if (p->fault_fd >= 0)
		find_windows(p, like);
	r = map_base(p, template_base_fd(like), err);
	if (r == 0 && make_windows(p, err) < 0) {
		do_without_windows(p);
		r = map_over(p, 0, p->bytes, p->base_fd, err);
	}
	if ((r = r < 0 ? r : map_mailbox(p, mailbox_fd, err)) < 0 ||
	    (r = pack_reserve(&p->pack, err)) < 0 || (r = make_hot_memory(p, err)) < 0 ||
	    (r = add_touches(p, like, err)) < 0)
		return r;
	*ret_preparation = TAKE_PTR(p);
	return 0;
}

int preparation_touch(struct preparation *p, struct err *err)
{
	/* The host's side of what is going to be read from the base. */
	for (uint32_t i = 0; i < p->hot_count; i++)
		(void)*(const volatile uint8_t *)(p->base + p->hot[i]);
	return vm_touch(p->vm, p->touches, p->touch_count, err);
}

/* --- when it is known ------------------------------------------------------------------------ */

/* A mailbox elsewhere could be in a window, and would be mapped over when that is completed. */
static bool mailbox_fits(const struct preparation *p, const struct restore_config *config)
{
	uint64_t offset;

	if (config->mailbox_fd < 0 || !config->state->mailbox_gpa)
		return true;
	return guest_gpa_to_offset(p->bytes, config->state->mailbox_gpa, &offset) &&
	       offset == p->mailbox;
}

bool preparation_serves(const struct preparation *p, const struct restore_config *config)
{
	struct stat st;

	return config->has_base && mailbox_fits(p, config) && fstat(config->base_fd, &st) == 0 &&
	       st.st_dev == p->base_device && st.st_ino == p->base_inode;
}

bool preparation_has_mailbox(const struct preparation *p, uint64_t gpa)
{
	uint64_t offset;

	if (!guest_gpa_to_offset(p->bytes, gpa, &offset) || offset != p->mailbox)
		return false;
	for (uint32_t i = 0; i < p->extent_count; i++)
		if (p->extents[i].offset < p->mailbox + MAILBOX_BYTES &&
		    end_of(&p->extents[i]) > p->mailbox)
			return false;
	return true;
}

/* A page that has to be there: hot, or installed now. False: it is one too many. */
static bool want(struct preparation *p, uint64_t offset)
{
	uint32_t at = p->present_count;

	if (!extents_hold(p->windows, p->window_count, offset))
		return true;
	while (at > 0 && p->present[at - 1] > offset)
		at--;
	if (at > 0 && p->present[at - 1] == offset)
		return true;
	if (p->fresh_count == INSTALL_MAX)
		return false;
	memmove(&p->present[at + 1], &p->present[at],
		(p->present_count - at) * sizeof(p->present[0]));
	p->present[at] = offset;
	p->present_count++;
	p->fresh[p->fresh_count++] = offset;
	return true;
}

/* In order, so that want() finds the place at once. */
static bool want_working_set(struct preparation *p, const struct working_set *set)
{
	uint32_t hot = 0;

	p->present_count = p->fresh_count = 0;
	for (uint32_t i = 0; set && i < set->count; i++) {
		const struct working_set_entry *entry = &set->entries[i];

		if (entry->flags & WORKING_SET_IMAGE)
			break;
		while (hot < p->hot_count && p->hot[hot] <= entry->offset)
			p->present[p->present_count++] = p->hot[hot++];
		if (!want(p, entry->offset))
			return false;
	}
	while (hot < p->hot_count)
		p->present[p->present_count++] = p->hot[hot++];
	return true;
}

/* No structure that KVM keeps in the guest is longer than the range. */
static bool want_around(struct preparation *p, uint64_t value)
{
	const uint64_t first = value & ~(KVM_STRUCT_BYTES - 1), last = first + KVM_STRUCT_BYTES - 1;
	uint64_t offset;

	for (uint64_t gpa = first; gpa <= last; gpa += KVM_STRUCT_BYTES - 1)
		if (guest_gpa_to_offset(p->bytes, gpa, &offset) &&
		    !want(p, offset & ~(GUEST_PAGE_BYTES - 1)))
			return false;
	return true;
}

/* KVM itself writes to these when their registers are set or the guest runs, and says nothing when
 * it cannot. */
static bool want_kvm_pages(struct preparation *p, const struct vm_state *state)
{
	static const uint32_t registers[] = {
		MSR_KVM_WALL_CLOCK,      MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW,
		MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_ASYNC_PF_EN, MSR_KVM_STEAL_TIME,
		MSR_KVM_PV_EOI_EN,
	};

	for (uint32_t v = 0; v < state->vcpu_count; v++) {
		const struct vcpu_state *vcpu = &state->vcpus[v];

		for (uint32_t i = 0; i < vcpu->msr_count; i++)
			for (size_t k = 0; k < ARRAY_SIZE(registers); k++)
				if (vcpu->msrs[i].index == registers[k] && vcpu->msrs[i].data &&
				    !want_around(p, vcpu->msrs[i].data))
					return false;
	}
	return true;
}

static int fill_page(struct preparation *p, uint64_t offset, bool is_hot, struct err *err)
{
	const uint8_t *from = contents_at(p, offset);

	if (!from)
		return err_set(err, -ENOMEM, "cannot map the memory layer");
	if (!is_hot)
		return install(p, offset, from, err);
	page_copy(p->memory + offset, from);
	return 0;
}

static int fill(struct preparation *p, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->hot_count; i++)
		r = fill_page(p, p->hot[i], true, err);
	for (uint32_t i = 0; r == 0 && i < p->fresh_count; i++)
		r = fill_page(p, p->fresh[i], false, err);
	return r;
}

/* Any file can be the layer, but one that is too short would be noticed by a signal. */
static int check_layer(const struct preparation *p, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at the memory layer: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < p->bytes)
		return err_set(err, -EBADMSG, "the memory layer is too short");
	return 0;
}

static int take_layer(struct preparation *p, const struct restore_config *config, struct err *err)
{
	int r = extents_check(config->extents, config->extent_count, p->bytes, err);

	if (r == 0)
		r = check_layer(p, config->memory_fd, err);
	if (r == 0 && config->has_pack)
		r = pack_map(&p->pack, config->pack_fd, err);
	if (r < 0)
		return r;
	if (config->extent_count)
		memcpy(p->extents, config->extents, config->extent_count * sizeof(p->extents[0]));
	p->extent_count = config->extent_count;
	p->layer_fd = config->memory_fd;
	return 0;
}

/* Hot path. */
int preparation_load(struct preparation *p, const struct restore_config *config, struct err *err)
{
	int r = take_layer(p, config, err);

	if (r == 0)
		r = map_outside(p, err);
	if (r == 0 && p->has_hot_memory)
		r = hot_memory_load(p->memory, p->extents, p->extent_count, p->layer_fd, &p->pack,
				    err);
	if (r < 0 || p->window_count == 0)
		return r;
	if (!want_working_set(p, config->working_set) || !want_kvm_pages(p, config->state)) {
		p->present_count = 0;
		return map_gaps(p, 0, UINT64_MAX, err);
	}
	r = fill(p, err);
	if (r == 0)
		vm_memory_incomplete(p->vm, complete, p);
	return r;
}

void preparation_trim(struct preparation *p)
{
	if (p->has_hot_memory && p->layer_fd >= 0)
		hot_memory_trim(p->memory);
}
