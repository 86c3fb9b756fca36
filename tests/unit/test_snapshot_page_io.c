/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page I/O: both implementations behave alike, for more extents than are in flight at once, and
 * report the errors of a batch. And the tests of which pages a mapping can hold.
 */
#include "snapshot_sample.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 300, DEPTH = 32, PAGE = 4096 };

static int temporary_file(void)
{
	char path[] = "/tmp/snapshot-page-io-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(path);
	return fd;
}

/* Extents of one to three pages, in no order, with gaps: every third page is in none. */
static size_t scattered(struct page_extent *extents, uint8_t *memory)
{
	size_t count = 0;

	for (size_t i = 0; i < PAGES; i += 3) {
		size_t at = (i * 7) % PAGES;

		extents[count++] = (struct page_extent){memory + at * PAGE, 2 * PAGE, at * PAGE};
	}
	return count;
}

static void check_round_trip(const struct page_io_ops *ops, const struct page_io_ops *reader)
{
	cleanup_free uint8_t *out = malloc(PAGES * PAGE), *in = calloc(PAGES, PAGE);
	cleanup_fd int fd = temporary_file();
	struct page_extent extents[PAGES];
	struct page_io *io;
	uint64_t seed = 3;
	size_t count;

	sample_fill(&seed, out, PAGES * PAGE);
	assert_int_equal(ops->open(&io, DEPTH), 0);
	count = scattered(extents, out);
	assert_true(count > DEPTH);
	assert_int_equal(ops->write(io, fd, extents, count), 0);
	assert_int_equal(ops->write(io, fd, extents, 0), 0);
	ops->close(io);

	assert_int_equal(reader->open(&io, DEPTH), 0);
	(void)scattered(extents, in);
	assert_int_equal(reader->read(io, fd, extents, count), 0);
	reader->close(io);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(in + extents[i].offset, out + extents[i].offset, 2 * PAGE);
}

/* Errors come back, and the ring is usable after them. */
static void check_errors(const struct page_io_ops *ops)
{
	cleanup_free uint8_t *memory = calloc(PAGES, PAGE);
	cleanup_fd int fd = temporary_file();
	struct page_extent extents[PAGES];
	struct page_io *io;
	size_t count = scattered(extents, memory);

	assert_int_equal(ops->open(&io, DEPTH), 0);
	assert_int_equal(ops->read(io, fd, extents, count), -ENODATA);
	assert_int_equal(ops->write(io, -1, extents, count), -EBADF);
	assert_int_equal(ops->write(io, fd, extents, count), 0);
	assert_int_equal(ftruncate(fd, PAGE / 2), 0);
	assert_int_equal(ops->read(io, fd, extents, 1), -ENODATA);
	extents[count / 2].buf = NULL;
	assert_int_equal(ops->write(io, fd, extents, count), -EFAULT);
	ops->close(io);
}

static void test_sync(void **unused)
{
	(void)unused;
	check_round_trip(&page_io_sync_ops, &page_io_sync_ops);
	check_errors(&page_io_sync_ops);
}

static void test_uring(void **unused)
{
	int fds = open_fds();

	(void)unused;
	if (page_io_default() != &page_io_uring_ops) {
		print_message("this host refuses io_uring\n");
		skip();
	}
	check_round_trip(&page_io_uring_ops, &page_io_sync_ops);
	check_round_trip(&page_io_uring_ops, &page_io_uring_ops);
	check_errors(&page_io_uring_ops);
	assert_int_equal(open_fds(), fds);
}

/* --- residency -------------------------------------------------------------------------------- */

enum { BLOCK = RESIDENCY_BLOCK_PAGES * PAGE, BLOCKS = 4 };

static uint8_t *map_blocks(int flags, int fd)
{
	void *at = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	/* A large page would make more pages resident than the test touches. */
	(void)madvise(at, BLOCKS * BLOCK, MADV_NOHUGEPAGE);
	return at;
}

/* How many pages of a block are not known to be zero. */
static int count_maybe(uint8_t *base, uint64_t block)
{
	enum page_kind kinds[RESIDENCY_BLOCK_PAGES];
	struct residency *residency;
	int count = 0;

	assert_int_equal(residency_open(&residency, base, BLOCKS * BLOCK, -1, NULL), 0);
	residency_block(residency, block * BLOCK, kinds);
	for (size_t i = 0; i < RESIDENCY_BLOCK_PAGES; i++) {
		assert_int_not_equal(kinds[i], PAGE_OF_FILE);
		count += kinds[i] == PAGE_UNKNOWN;
	}
	residency_free(residency);
	return count;
}

static void test_residency_anonymous(void **unused)
{
	uint8_t *at = map_blocks(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)unused;
	at[BLOCK + 5 * PAGE] = 1;
	at[BLOCK + 9 * PAGE] = 1;
	assert_int_equal(count_maybe(at, 0), 0);
	assert_int_equal(count_maybe(at, 1), 2);
	assert_int_equal(count_maybe(at, 3), 0);
	(void)munmap(at, BLOCKS * BLOCK);
}

/* Whatever a file backs may hold data without being mapped. */
static void test_residency_of_files(void **unused)
{
	static const int flags[] = {MAP_PRIVATE, MAP_SHARED};
	cleanup_fd int fd = temporary_file();

	(void)unused;
	assert_int_equal(ftruncate(fd, BLOCKS * BLOCK), 0);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		uint8_t *at = map_blocks(flags[i], fd);

		assert_int_equal(count_maybe(at, 2), RESIDENCY_BLOCK_PAGES);
		(void)munmap(at, BLOCKS * BLOCK);
	}
}

/* A file mapped over part of anonymous memory: the mailbox of a live VM looks like this. */
static void test_residency_mixed(void **unused)
{
	uint8_t *at = map_blocks(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cleanup_fd int fd = temporary_file();

	(void)unused;
	assert_int_equal(ftruncate(fd, BLOCK), 0);
	assert_ptr_not_equal(mmap(at + BLOCK, BLOCK, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0),
			     MAP_FAILED);
	assert_int_equal(count_maybe(at, 0), 0);
	assert_int_equal(count_maybe(at, 1), RESIDENCY_BLOCK_PAGES);
	assert_int_equal(count_maybe(at, 2), 0);
	(void)munmap(at, BLOCKS * BLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_uring),
		cmocka_unit_test(test_residency_anonymous),
		cmocka_unit_test(test_residency_of_files),
		cmocka_unit_test(test_residency_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
