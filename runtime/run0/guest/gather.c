/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering: what a start touches is moved together, to hot memory.
 *
 * A page that a restored clone touches first costs ten thousand instructions, because the host
 * cannot know before which page of which function it is. Hot memory is the exception: it is a NUMA
 * node of its own, at the same addresses in every guest, so a shell has it ready and only copies
 * contents. The host has recorded which pages a request touches. Whichever of them a process has in
 * a private mapping is read, given back to the kernel and written again, by this process, whose new
 * pages come from that node.
 *
 * move_pages(2) would be the way for that, but does not move what lies in a mapping of the image
 * (vma_migratable of Linux 6.1: DAX). Pages that nobody has written, such as code of the image, are
 * not given back: writing makes a copy (/proc/PID/mem, as for a breakpoint). All bytes of it are
 * written, for the kernel makes others' copies of a DAX page empty, since it reads it at the
 * address of who asks (__wp_page_copy_user).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "init.h"

#define PAGE_BYTES 4096ull
#define PAGE_SHIFT 12
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_OF_FILE (1ull << 61)
#define PAGEMAP_EXCLUSIVE (1ull << 56)
#define PAGEMAP_PFN ((1ull << 55) - 1)
#define HOT_NODE_STATISTICS "/sys/devices/system/node/node1/vmstat"

enum {
	HOT_NODE = 1,
	ROOM_KEPT = 32,	   /* pages: below that the node counts as full */
	LIMIT_KEPT = 1024, /* pages that the function can still have: it answers requests, too */
	LINE_BYTES = 4352, /* of /proc/PID/maps: numbers and a path */
};

/* Memory first: a page of it saves more than one of a file, which the host's page cache has. */
enum pass { PASS_MEMORY, PASS_FILES, PASS_COUNT };

struct gathering {
	const uint64_t *wanted; /* guest-physical, ascending; in the mailbox */
	size_t wanted_count;
	long room; /* pages that still fit */
	enum pass pass;

	/* The process of now. */
	struct stopped stopped;
	int pagemap_fd, memory_fd;
};

/* --- pages ----------------------------------------------------------------------------------- */

/* The list's entry for that page; 0: it has none. */
static uint64_t find_wanted(const struct gathering *gathering, uint64_t gpa)
{
	size_t low = 0, high = gathering->wanted_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const uint64_t entry = gathering->wanted[middle];

		if ((entry & ~MAILBOX_GATHER_COPY) == gpa)
			return entry;
		if (entry < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* 0: it has; 1: it has not, and the page stays; or -errno when nobody knows. */
static int give_back(const struct gathering *gathering, uint64_t address)
{
	const struct stopped_arguments arguments = {SYS_madvise, address, PAGE_BYTES,
						    MADV_DONTNEED};
	long result = 0;
	int r;

	if (!gathering->stopped.syscall_address)
		return 1;
	r = stopped_call(&gathering->stopped, &arguments, &result);
	return r < 0 ? r : result != 0;
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

/* What cannot be moved stays, which costs time later and nothing else. But what has been given back
 * has to be written again. The kernel's one page of zeros looks like a page of everybody's. */
static int move_page(struct gathering *gathering, uint64_t address, uint64_t entry)
{
	static uint8_t page[PAGE_BYTES];
	const off_t at = (off_t)address;
	int r;

	if (pread(gathering->memory_fd, page, sizeof(page), at) != (ssize_t)sizeof(page) ||
	    (!(entry & PAGEMAP_EXCLUSIVE) && is_zero(page)))
		return 0;
	r = gathering->pass == PASS_MEMORY ? give_back(gathering, address) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	gathering->room--;
	return pwrite(gathering->memory_fd, page, sizeof(page), at) == (ssize_t)sizeof(page) ?
		       0 :
		       -EIO;
}

static int take_page(struct gathering *gathering, uint64_t address, uint64_t entry)
{
	uint64_t wanted = 0;
	bool of_file;

	if (entry & PAGEMAP_PRESENT && gathering->room > 0)
		wanted = find_wanted(gathering, (entry & PAGEMAP_PFN) << PAGE_SHIFT);
	/* The kernel does not say it of pages that are mapped from the image itself. */
	of_file = entry & PAGEMAP_OF_FILE || wanted & MAILBOX_GATHER_COPY;
	if (!wanted || of_file != (gathering->pass == PASS_FILES))
		return 0;
	return move_page(gathering, address, entry);
}

/* --- processes ------------------------------------------------------------------------------- */

static int take_range(struct gathering *gathering, uint64_t start, uint64_t end)
{
	static uint64_t entries[512];
	int r = 0;

	while (r == 0 && start < end) {
		size_t pages = (end - start) / PAGE_BYTES;
		ssize_t n;

		if (pages > ARRAY_SIZE(entries))
			pages = ARRAY_SIZE(entries);
		n = pread(gathering->pagemap_fd, entries, pages * sizeof(entries[0]),
			  (off_t)(start / PAGE_BYTES * sizeof(entries[0])));
		if (n <= 0)
			return 0;
		for (size_t i = 0; r == 0 && i < (size_t)n / sizeof(entries[0]); i++)
			r = take_page(gathering, start + i * PAGE_BYTES, entries[i]);
		start += pages * PAGE_BYTES;
	}
	return r;
}

/* Private mappings that can be read. The others have nothing, or share it with somebody. */
static int take_mappings(struct gathering *gathering, int pid)
{
	static char line[LINE_BYTES];
	cleanup_file FILE *maps = NULL;
	unsigned long start, end;
	char path[64], access[5];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && r == 0 && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3 && access[0] == 'r' &&
		    access[3] == 'p')
			r = take_range(gathering, start, end);
	return r;
}

/* One that cannot be stopped, since it has a debugger or has gone, is left alone. But a thread that
 * will stop later would stop in a clone. */
static int take_process(struct gathering *gathering, int pid)
{
	cleanup_fd int pagemap_fd = -1, memory_fd = -1;
	char path[64];
	int r = stopped_begin(&gathering->stopped, pid);

	if (r < 0)
		return r == -ETIMEDOUT ? r : 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory_fd = open(path, O_RDWR | O_CLOEXEC);
	gathering->pagemap_fd = pagemap_fd;
	gathering->memory_fd = memory_fd;
	if (pagemap_fd >= 0 && memory_fd >= 0)
		r = take_mappings(gathering, pid);
	stopped_end(&gathering->stopped);
	return r;
}

/* The kernel's threads have no executable. */
static bool is_program(int pid)
{
	char path[64], target[8];

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return pid > 1 && readlink(path, target, sizeof(target)) > 0;
}

static int take_processes(struct gathering *gathering)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int r = proc ? 0 : -errno;

	while (r == 0 && (entry = readdir(proc)))
		if (is_program(atoi(entry->d_name)))
			r = take_process(gathering, atoi(entry->d_name));
	if (proc)
		(void)closedir(proc);
	return r;
}

/* --- the node -------------------------------------------------------------------------------- */

/* 0 where there is no such node. */
static long find_room(void)
{
	cleanup_file FILE *file = fopen(HOT_NODE_STATISTICS, "re");
	long pages;

	if (!file || fscanf(file, "nr_free_pages %ld", &pages) != 1)
		return 0;
	return pages - ROOM_KEPT;
}

static bool read_number(int fd, long long *ret_number)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && sscanf(text, "%lld", ret_number) == 1;
}

/* Copies of files' pages count as the function's memory. A limit that is none is a word. */
static long find_room_below_limit(const struct init *init, long room)
{
	long long limit, used, left;

	if (!read_number(init->memory_max_fd, &limit) ||
	    !read_number(init->memory_current_fd, &used))
		return room;
	left = (limit - used) / (long long)PAGE_BYTES - LIMIT_KEPT;
	return left < room ? (long)left : room;
}

/* Where pages come from that this process makes, in whatever address space. */
static void set_policy(int mode, unsigned long nodes)
{
	(void)syscall(SYS_set_mempolicy, (long)mode, nodes ? &nodes : NULL,
		      nodes ? 8 * sizeof(nodes) : 0);
}

int gather(const struct init *init)
{
	static struct gathering gathering;
	struct order order;
	int r = order_read(init->mailbox, &order, NULL);

	if (r < 0)
		return r;
	gathering.wanted = (const uint64_t *)(const void *)(init->mailbox + order.offset);
	gathering.wanted_count = order.bytes / sizeof(uint64_t);
	gathering.room = find_room();
	set_policy(MPOL_PREFERRED, 1ul << HOT_NODE);
	for (gathering.pass = PASS_MEMORY; r == 0 && gathering.pass < PASS_COUNT;
	     gathering.pass++) {
		if (gathering.pass == PASS_FILES)
			gathering.room = find_room_below_limit(init, gathering.room);
		r = take_processes(&gathering);
	}
	set_policy(MPOL_DEFAULT, 0);
	return r;
}
