/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore: a template's memory copy-on-write under an empty VM, its state into it.
 *
 * The VM's memslots stand over a reserved address range; mapping the memory layer over that range
 * with MAP_FIXED is all that "loading" is, whatever the size. A layer with a base takes a mapping
 * for each extent and for each piece of the base between them. Extents laid over one mapping of the
 * base would be fewer, but each of them would split a mapping: 29,000 instructions an extent. Into
 * an empty range it is 16,000.
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
#include "snapshot_priv.h"

/* `place` is MAP_FIXED, or MAP_FIXED_NOREPLACE where nothing is mapped. A kernel that does not know
 * the latter may choose another address. */
static int map_piece(uint8_t *base, uint64_t offset, uint64_t bytes, int fd, int place,
		     struct err *err)
{
	void *at;

	if (bytes == 0)
		return 0;
	at = mmap(base + offset, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | place,
		  fd, (off_t)offset);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "cannot map the memory layer: %s", strerror(errno));
	if (at != base + offset) {
		(void)munmap(at, bytes);
		return err_set(err, -EEXIST, "cannot map the memory layer where it has to be");
	}
	return 0;
}

static int map_extents(uint8_t *base, const struct restore_config *config, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < config->extent_count; i++)
		r = map_piece(base, config->extents[i].offset, config->extents[i].bytes,
			      config->memory_fd, MAP_FIXED_NOREPLACE, err);
	return r;
}

static int map_between_extents(uint8_t *base, uint64_t bytes, const struct restore_config *config,
			       struct err *err)
{
	uint64_t at = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < config->extent_count; i++) {
		r = map_piece(base, at, config->extents[i].offset - at, config->base_fd,
			      MAP_FIXED_NOREPLACE, err);
		at = config->extents[i].offset + config->extents[i].bytes;
	}
	return r < 0 ? r :
		       map_piece(base, at, bytes - at, config->base_fd, MAP_FIXED_NOREPLACE, err);
}

/* The extents come from a manifest, but perhaps by way of another process: a bad one would be
 * mapped over whatever else is in this one. */
static int map_layers(uint8_t *base, uint64_t bytes, const struct restore_config *config,
		      struct err *err)
{
	int r;

	if (!config->has_base)
		return map_piece(base, 0, bytes, config->memory_fd, MAP_FIXED, err);
	r = extents_check(config->extents, config->extent_count, bytes, err);
	if (r < 0)
		return r;
	if (config->extent_count == 0)
		return map_piece(base, 0, bytes, config->base_fd, MAP_FIXED, err);
	if (munmap(base, bytes) < 0)
		return err_set(err, -errno, "cannot empty guest memory: %s", strerror(errno));
	r = map_extents(base, config, err);
	return r < 0 ? r : map_between_extents(base, bytes, config, err);
}

/* With a preparation that serves another base everything is mapped anew, too. */
static int map_memory(uint8_t *base, uint64_t bytes, const struct restore_config *config,
		      bool is_prepared, struct err *err)
{
	return is_prepared ? preparation_load(config->preparation, config, err) :
			     map_layers(base, bytes, config, err);
}

static int map_mailbox(struct vm *vm, const struct restore_config *config, bool is_prepared,
		       struct err *err)
{
	void *at;

	if (config->mailbox_fd < 0 || !config->state->mailbox_gpa ||
	    (is_prepared &&
	     preparation_has_mailbox(config->preparation, config->state->mailbox_gpa)))
		return 0;
	at = vm_memory_at(vm, config->state->mailbox_gpa, MAILBOX_BYTES);
	if (!at)
		return err_set(err, -EINVAL, "the snapshot's mailbox lies outside of its memory");
	if (mmap(at, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 config->mailbox_fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the mailbox: %s", strerror(errno));
	return 0;
}

static int advice_of(const struct working_set_entry *entry)
{
	return entry->flags & WORKING_SET_WRITTEN ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
}

/* Pages that follow each other and have the same flags go in one call. A failure costs time later,
 * nothing else, so it is not one. */
static void prefault(struct vm *vm, const struct working_set *set)
{
	uint32_t i = 0;

	while (i < set->count) {
		const struct working_set_entry *first = &set->entries[i];
		bool of_image = first->flags & WORKING_SET_IMAGE;
		uint8_t *base = of_image ? vm_image_base(vm) : vm_memory_base(vm);
		uint64_t bytes = of_image ? vm_image_bytes(vm) : vm_memory_bytes(vm);
		uint64_t pages = 1;

		while (i + pages < set->count &&
		       first[pages].offset == first->offset + pages * GUEST_PAGE_BYTES &&
		       first[pages].flags == first->flags)
			pages++;
		i += (uint32_t)pages;
		if (first->offset + pages * GUEST_PAGE_BYTES <= bytes)
			(void)madvise(base + first->offset, pages * GUEST_PAGE_BYTES,
				      advice_of(first));
	}
}

void restore_config_of(const struct template *template, struct restore_config *ret_config)
{
	const struct manifest *manifest = template_manifest(template);

	ret_config->memory_fd = template_memory_fd(template);
	ret_config->has_base = template_base_fd(template) >= 0;
	ret_config->base_fd = template_base_fd(template);
	ret_config->extents = manifest->extents;
	ret_config->extent_count = manifest->extent_count;
	ret_config->has_image = template_image_fd(template) >= 0;
	ret_config->image_fd = template_image_fd(template);
	ret_config->image_bytes = manifest->image.bytes;
}

/* Hot path: no allocation, and no system call but the mappings. */
int snapshot_map_memory(struct vm *vm, const struct restore_config *config, struct err *err)
{
	const bool is_prepared =
		config->preparation && preparation_serves(config->preparation, config);
	uint8_t *base = vm_memory_base(vm);
	uint64_t bytes = vm_memory_bytes(vm);
	int r;

	if (config->state->memory_bytes != bytes)
		return err_set(err, -EINVAL,
			       "the snapshot has %llu MiB of memory, this VM %llu MiB",
			       (unsigned long long)(config->state->memory_bytes >> 20),
			       (unsigned long long)(bytes >> 20));
	r = map_memory(base, bytes, config, is_prepared, err);
	if (r == 0)
		r = map_mailbox(vm, config, is_prepared, err);
	if (r == 0 && config->has_image)
		r = vm_image_map(vm, config->image_fd, config->image_bytes, err);
	if (r == 0 && config->working_set && config->timers == VM_TIMERS_STOPPED)
		prefault(vm, config->working_set);
	return r;
}

int snapshot_restore(struct vm *vm, const struct restore_config *config, struct err *err)
{
	int r = snapshot_map_memory(vm, config, err);

	return r < 0 ? r : vm_state_set(vm, config->state, config->timers, err);
}
