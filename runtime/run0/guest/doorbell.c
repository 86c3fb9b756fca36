/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbell and mailbox: found, made, mapped where the wake reaches them cheaply, and registered.
 *
 * A clone touches after its restore every page table on the way to what PID 1 uses. So the
 * doorbell is mapped inside the program, and the mailbox in the program's GiB, as libquark does in
 * functions.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "doorbell.h"
#include "init.h"

#define DOORBELL_ENABLE "/sys/bus/pci/devices/0000:00:01.0/enable"
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"
#define GIB (1ull << 30)

/* Bits of an entry of /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_PFN ((1ull << 55) - 1)

enum { PAGE_SHIFT = 12 };

static uint8_t bell_room[DOORBELL_BAR_BYTES] __attribute__((aligned(DOORBELL_BAR_BYTES)));

int doorbell_open(struct init *init, struct err *err)
{
	uint8_t *bar;

	if (text_write(DOORBELL_ENABLE, "1") < 0)
		return err_set(err, -errno, DOORBELL_ENABLE ": %s", strerror(errno));
	init->doorbell_fd = open(DOORBELL_SYSFS, O_RDWR | O_CLOEXEC);
	if (init->doorbell_fd < 0)
		return err_set(err, -errno, DOORBELL_SYSFS ": %s", strerror(errno));
	bar = mmap(bell_room, DOORBELL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   init->doorbell_fd, 0);
	if (bar == MAP_FAILED)
		return err_set(err, -errno, "mmap " DOORBELL_SYSFS ": %s", strerror(errno));
	init->bell = (volatile uint32_t *)(bar + DOORBELL_REGISTER_OFFSET);
	return 0;
}

/* hugepages=1 on the command line has usually seen to it, when memory was whole. */
static int hugepage_reserve(void)
{
	char digits[16] = "";

	if (text_read(HUGEPAGES, digits, sizeof(digits)) < 0)
		return -errno;
	return digits[0] == '0' ? text_write(HUGEPAGES, "1") : 0;
}

static int pagemap_gpa(const void *address, uint64_t *ret_gpa)
{
	cleanup_fd int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)((uintptr_t)address >> PAGE_SHIFT) * (off_t)sizeof(uint64_t);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry), at) != (ssize_t)sizeof(entry))
		return -EIO;
	if (!(entry & PAGEMAP_PRESENT) || !(entry & PAGEMAP_PFN))
		return -EFAULT;
	*ret_gpa = (entry & PAGEMAP_PFN) << PAGE_SHIFT;
	return *ret_gpa & (MAILBOX_BYTES - 1) ? -EFAULT : 0;
}

/* The size is sealed: the page stays the file's, and its guest-physical address with it, whatever
 * the function does. */
static int mailbox_file(int *ret_fd)
{
	cleanup_fd int fd = memfd_create("mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB |
							    MFD_HUGE_2MB);

	if (fd < 0 || ftruncate(fd, MAILBOX_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int mailbox_make(struct init *init, struct err *err)
{
	void *wish = (void *)(((uintptr_t)bell_room & ~(uintptr_t)(GIB - 1)) + GIB / 2);
	uint8_t *page;
	int r = hugepage_reserve();

	if (r == 0)
		r = mailbox_file(&init->mailbox_fd);
	if (r < 0)
		return err_set(err, r, "huge page: %s", strerror(-r));
	page = mmap(wish, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		    init->mailbox_fd, 0);
	/* The heap may begin anywhere: a page table more. */
	if (page == MAP_FAILED && errno == EEXIST)
		page = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			    init->mailbox_fd, 0);
	if (page == MAP_FAILED)
		return err_set(err, -errno, "mmap: %s", strerror(errno));
	*(volatile uint8_t *)page = 0;
	r = pagemap_gpa(page, &init->mailbox_gpa);
	if (r < 0)
		return err_set(err, r, "address of the huge page: %s", strerror(-r));
	init->mailbox = page;
	return 0;
}

int mailbox_register(struct init *init, struct err *err)
{
	uint64_t number = init->mailbox_gpa >> MAILBOX_SHIFT;

	if (number > UINT16_MAX)
		return err_set(err, -ERANGE, "the huge page is at %llx",
			       (unsigned long long)init->mailbox_gpa);
	doorbell_ring(init->bell, DOORBELL_MAILBOX | (uint32_t)number << DOORBELL_ARGUMENT_SHIFT);
	init->mailbox_registered = true;
	mailbox_sign(init);
	return 0;
}

void mailbox_sign(struct init *init)
{
	volatile struct mailbox_header *header = (volatile void *)init->mailbox;

	header->guest_magic = MAILBOX_MAGIC;
	header->guest_version = MAILBOX_VERSION;
}

void mailbox_put_failure(struct init *init, const char *message)
{
	volatile struct mailbox_header *header = (volatile void *)init->mailbox;
	const size_t bytes = strnlen(message, MAILBOX_SMALL_RESPONSE_MAX);

	mailbox_sign(init);
	memcpy(init->mailbox + MAILBOX_SMALL_RESPONSE_OFFSET, message, bytes);
	header->response_offset = MAILBOX_SMALL_RESPONSE_OFFSET;
	header->response_bytes = (uint32_t)bytes;
	header->guest_sequence = header->sequence;
}
