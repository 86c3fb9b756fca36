/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore: a template's memory copy-on-write under an empty VM, its state into it.
 *
 * The VM's memslots stand over a reserved address range; mapping the memory layer over that range
 * with MAP_FIXED is all that "loading" is, whatever the size.
 *
 * While a VM waits for its request (timers stopped), the pages of its working set are also faulted
 * in on the host's side, so that the guest's own fault finds them: about 8,000 instructions a page
 * then, 10,000 otherwise. When the request is already there this does not pay: populating costs
 * 9,500.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lumper.h"
#include "mailbox.h"
#include "snapshot.h"

static int map_layer(uint8_t *base, uint64_t bytes, int fd, struct err *err)
{
	if (mmap(base, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the memory layer: %s", strerror(errno));
	return 0;
}

static int map_mailbox(struct vm *vm, const struct restore_config *config, struct err *err)
{
	void *at;

	if (config->mailbox_fd < 0 || !config->state->mailbox_gpa)
		return 0;
	at = vm_memory_at(vm, config->state->mailbox_gpa, MAILBOX_BYTES);
	if (!at)
		return err_set(err, -EINVAL, "the snapshot's mailbox lies outside of its memory");
	if (mmap(at, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 config->mailbox_fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the mailbox: %s", strerror(errno));
	return 0;
}

/* Pages that follow each other and have the same flags go in one call. A failure costs time later,
 * nothing else, so it is not one. */
static void prefault(uint8_t *base, uint64_t bytes, const struct working_set *set)
{
	uint32_t i = 0;

	while (i < set->count) {
		const struct working_set_entry *first = &set->entries[i];
		int advice = first->flags & WORKING_SET_WRITTEN ? MADV_POPULATE_WRITE :
								  MADV_POPULATE_READ;
		uint64_t pages = 1;

		while (i + pages < set->count &&
		       first[pages].offset == first->offset + pages * GUEST_PAGE_BYTES &&
		       first[pages].flags == first->flags)
			pages++;
		i += (uint32_t)pages;
		if (first->offset + pages * GUEST_PAGE_BYTES <= bytes)
			(void)madvise(base + first->offset, pages * GUEST_PAGE_BYTES, advice);
	}
}

int snapshot_map_memory(struct vm *vm, const struct restore_config *config, struct err *err)
{
	uint8_t *base = vm_memory_base(vm);
	uint64_t bytes = vm_memory_bytes(vm);
	int r;

	if (config->state->memory_bytes != bytes)
		return err_set(err, -EINVAL,
			       "the snapshot has %llu MiB of memory, this VM %llu MiB",
			       (unsigned long long)(config->state->memory_bytes >> 20),
			       (unsigned long long)(bytes >> 20));
	r = map_layer(base, bytes, config->memory_fd, err);
	if (r < 0)
		return r;
	r = map_mailbox(vm, config, err);
	if (r < 0)
		return r;
	if (config->working_set && config->timers == VM_TIMERS_STOPPED)
		prefault(base, bytes, config->working_set);
	return 0;
}

int snapshot_restore(struct vm *vm, const struct restore_config *config, struct err *err)
{
	int r = snapshot_map_memory(vm, config, err);

	return r < 0 ? r : vm_state_set(vm, config->state, config->timers, err);
}
