/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image: a read-only file in the guest's physical address space, above all RAM.
 *
 * Its memslot is made with the VM, over a reserved range in which nothing is mapped, and a file is
 * mapped over the beginning of that. KVM refuses the guest's writes, which become exits that nobody
 * handles; a read behind the file ends the VM, because there is nothing to read.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vm_priv.h"

/* The `portable` CPU template has the fewest physical address bits. */
enum { PHYSICAL_BITS_MIN = 36 };
_Static_assert(GUEST_IMAGE_GPA + GUEST_IMAGE_MAX_BYTES <= 1ull << PHYSICAL_BITS_MIN,
	       "every guest CPU must reach the image");
_Static_assert(GUEST_MEMORY_MAX_BYTES + (GUEST_HOLE_END - GUEST_HOLE_START) <= GUEST_IMAGE_GPA,
	       "the image lies above all RAM");

int image_reserve(struct vm *vm, struct err *err)
{
	int r = range_reserve(GUEST_IMAGE_MAX_BYTES, &vm->image, err);

	return r < 0 ? r : memory_slot(vm->fd, IMAGE_SLOT, KVM_MEM_READONLY, GUEST_IMAGE_GPA,
				       vm->image, GUEST_IMAGE_MAX_BYTES, err);
}

void image_release(struct vm *vm)
{
	if (vm->image)
		range_release(vm->image, GUEST_IMAGE_MAX_BYTES);
	vm->image = NULL;
}

static int check_file(int fd, uint64_t bytes, struct err *err)
{
	struct stat st;

	if (bytes == 0 || bytes % GUEST_IMAGE_ALIGN_BYTES || bytes > GUEST_IMAGE_MAX_BYTES)
		return err_set(err, -EINVAL,
			       "an image has 2 MiB to 8 GiB in steps of 2 MiB, not %llu bytes",
			       (unsigned long long)bytes);
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at the image: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < bytes)
		return err_set(err, -EINVAL, "the image is not a file of %llu bytes",
			       (unsigned long long)bytes);
	return 0;
}

int vm_image_map(struct vm *vm, int fd, uint64_t bytes, struct err *err)
{
	int r = check_file(fd, bytes, err);

	if (r < 0)
		return r;
	if (!vm->image)
		return err_set(err, -EINVAL, "the VM was made without room for an image");
	if (vm->image_bytes)
		return err_set(err, -EBUSY, "the VM has an image already");
	if (mmap(vm->image, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the image: %s", strerror(errno));
	vm->image_bytes = bytes;
	pmem_set_image(vm->pmem, bytes);
	return 0;
}

void *vm_image_base(const struct vm *vm)
{
	return vm->image;
}

uint64_t vm_image_bytes(const struct vm *vm)
{
	return vm->image_bytes;
}
