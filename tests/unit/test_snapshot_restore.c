/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping a template under a VM, recording what is touched of it, and the walk over the guest's
 * page tables: with a VM that is memory only, so that no KVM is needed. State and image are the
 * test's own (the linker wraps liblumper's functions): a vCPU in user mode, a range of addresses
 * and what was mapped there.
 */
#include "snapshot_folder.h"

#include <errno.h>

#include "vm_priv.h"

enum { TABLES = 0x1000 }; /* gpa of the function's page tables */

static struct {
	uint8_t *base;
	uint64_t bytes; /* mapped; 0: no image */
	int maps;	/* how often */
} image;

int __wrap_vm_image_map(struct vm *vm, int fd, uint64_t bytes, struct err *err);
void *__wrap_vm_image_base(const struct vm *vm);
uint64_t __wrap_vm_image_bytes(const struct vm *vm);

int __wrap_vm_image_map(struct vm *vm, int fd, uint64_t bytes, struct err *err)
{
	(void)vm;
	if (mmap(image.base, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return err_set(err, -errno, "cannot map the image");
	image.bytes = bytes;
	image.maps++;
	return 0;
}

void *__wrap_vm_image_base(const struct vm *vm)
{
	(void)vm;
	return image.base;
}

uint64_t __wrap_vm_image_bytes(const struct vm *vm)
{
	(void)vm;
	return image.bytes;
}

int __wrap_vm_state_get(struct vm *vm, struct vm_state *ret_state, struct err *err);

/* The function has just answered; at the snapshot another one was in user mode. */
int __wrap_vm_state_get(struct vm *vm, struct vm_state *ret_state, struct err *err)
{
	(void)vm;
	(void)err;
	ret_state->vcpu_count = 2;
	ret_state->vcpus[0].sregs.cr3 = 0x5000;
	ret_state->vcpus[1].sregs.cs.selector = 0x33;
	ret_state->vcpus[1].sregs.cr3 = TABLES;
	return 0;
}

/* --- the machine ------------------------------------------------------------------------------ */

static struct vm *fake_vm(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	assert_non_null(vm);
	assert_int_equal(memory_reserve(&vm->memory, SAMPLE_MEMORY_BYTES, NULL), 0);
	image.base = mmap(NULL, 2 * SAMPLE_IMAGE_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(image.base, MAP_FAILED);
	image.bytes = 0;
	image.maps = 0;
	return vm;
}

static void fake_vm_free(struct vm *vm)
{
	memory_release(&vm->memory);
	(void)munmap(image.base, 2 * SAMPLE_IMAGE_BYTES);
	free(vm);
}

enum { PRESENT = 1, WRITABLE = 2, USER = 4, LARGE = 0x80 };

/* Page tables of a function, in memory that is to be captured: two pages, one of the image. */
static void put_user_tables(uint8_t *memory)
{
	const uint64_t flags = PRESENT | WRITABLE | USER;

	for (uint64_t table = TABLES; table < TABLES + 3 * PAGE; table += PAGE) {
		memset(memory + table, 0, PAGE);
		*(uint64_t *)(memory + table) = (table + PAGE) | flags;
	}
	memset(memory + TABLES + 3 * PAGE, 0, PAGE);
	((uint64_t *)(memory + TABLES + 3 * PAGE))[7] =
		(GUEST_IMAGE_GPA + 50 * PAGE) | PRESENT | USER;
	((uint64_t *)(memory + TABLES + 3 * PAGE))[8] = (500 * PAGE) | PRESENT | USER;
}

static struct template *layered_template(struct fixture *f)
{
	make_shared(f, f->parent);
	write_some(f);
	put_user_tables(f->memory);
	memset(f->memory + 37 * PAGE, 0, PAGE);
	must_capture(f, "layer");
	return must_open(f->folder);
}

static void assert_vm_memory_is(const struct vm *vm, const uint8_t *memory)
{
	const uint8_t *base = vm_memory_base(vm);
	const size_t after = SAMPLE_MAILBOX_GPA + MAILBOX_BYTES;

	assert_memory_equal(base, memory, SAMPLE_MAILBOX_GPA);
	assert_memory_equal(base + after, memory + after, SAMPLE_MEMORY_BYTES - after);
}

/* Whether a page table of this process has it. */
static bool is_mapped(const uint8_t *page)
{
	cleanup_fd int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	assert_int_equal(file_pread_all(fd, &entry, sizeof(entry),
					(off_t)((uintptr_t)page / PAGE * sizeof(entry))),
			 0);
	return entry >> 63;
}

/* --- mapping ---------------------------------------------------------------------------------- */

static void test_map_layered(void **state)
{
	struct fixture *f = *state;
	struct template *template = layered_template(f);
	cleanup_free struct working_set *set = sample_working_set();
	cleanup_free uint8_t *contents = malloc(SAMPLE_IMAGE_BYTES);
	cleanup_fd int mailbox = memfd_create("mailbox", MFD_CLOEXEC);
	struct restore_config config = {
		.state = template_state(template),
		.working_set = set,
		.mailbox_fd = mailbox,
		.timers = VM_TIMERS_STOPPED,
	};
	struct vm *vm = fake_vm();
	struct err err = {};
	uint8_t *base = vm_memory_base(vm);

	assert_int_equal(ftruncate(mailbox, MAILBOX_BYTES), 0);
	restore_config_of(template, &config);
	assert_true(config.has_base && config.has_image);
	assert_int_equal(config.extent_count, 4);
	if (snapshot_map_memory(vm, &config, &err) < 0)
		fail_msg("%s", err.message);
	/* The working set, of memory and of the image, and nothing else is there beforehand. */
	assert_true(is_mapped(base + 0x1000) && is_mapped(base + 0x3000));
	assert_true(is_mapped(image.base + 0x2000));
	assert_false(is_mapped(base + (30 << 20)) || is_mapped(image.base + (1 << 20)));
	assert_vm_memory_is(vm, f->memory);
	assert_int_equal(image.maps, 1);
	assert_int_equal(file_pread_all(f->image.fd, contents, SAMPLE_IMAGE_BYTES, 0), 0);
	assert_memory_equal(image.base, contents, SAMPLE_IMAGE_BYTES);

	/* The mailbox is the caller's, and what is written stays in this VM. */
	base[SAMPLE_MAILBOX_GPA] = 42;
	assert_int_equal(file_pread_all(mailbox, contents, 1, 0), 0);
	assert_int_equal(contents[0], 42);
	memset(base, 1, SAMPLE_MAILBOX_GPA);
	fake_vm_free(vm);
	assert_int_equal(template_verify(template, NULL), 0);
	template_free(template);
	assert_template(f->folder, "layer");
}

static void test_map_whole(void **state)
{
	struct fixture *f = *state;
	struct template *template;
	struct restore_config config = {.mailbox_fd = -1, .has_base = true, .has_image = true};
	struct vm *vm = fake_vm();

	must_capture(f, "whole");
	template = must_open(f->folder);
	config.state = template_state(template);
	restore_config_of(template, &config);
	assert_false(config.has_base || config.has_image);
	assert_int_equal(config.extent_count, 0);
	assert_int_equal(config.mailbox_fd, -1); /* not the template's to say */
	assert_int_equal(snapshot_map_memory(vm, &config, NULL), 0);
	assert_vm_memory_is(vm, f->memory);
	assert_int_equal(image.maps, 0);
	fake_vm_free(vm);
	template_free(template);
}

/* Extents come over a socket: a bad list maps nothing, and nothing outside of memory is touched. */
static void test_bad_extents(void **state)
{
	static const struct snapshot_extent bad[][2] = {
		{{SAMPLE_MEMORY_BYTES, PAGE}, {}},
		{{SAMPLE_MEMORY_BYTES - PAGE, 2 * PAGE}, {}},
		{{-(uint64_t)PAGE, PAGE}, {}}, /* the page before memory */
		{{0, 0}, {}},
		{{PAGE, PAGE}, {0, PAGE}},
	};
	struct fixture *f = *state;
	struct template *template = layered_template(f);
	struct restore_config config = {.mailbox_fd = -1, .state = template_state(template)};

	restore_config_of(template, &config);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vm *vm = fake_vm();
		struct err err = {};

		config.extents = bad[i];
		config.extent_count = bad[i][1].bytes ? 2 : 1;
		assert_int_equal(snapshot_map_memory(vm, &config, &err), -EBADMSG);
		assert_one_line(&err);
		assert_true(page_is_zero(vm_memory_base(vm)));
		fake_vm_free(vm);
	}
	config.extent_count = SNAPSHOT_EXTENTS_MAX + 1;
	{
		struct vm *vm = fake_vm();

		assert_int_equal(snapshot_map_memory(vm, &config, NULL), -EBADMSG);
		fake_vm_free(vm);
	}
	template_free(template);
}

/* --- recording -------------------------------------------------------------------------------- */

static const struct working_set_entry *entry_for(const struct working_set *set, uint64_t offset,
						 uint32_t flags)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (set->entries[i].offset == offset &&
		    (set->entries[i].flags & WORKING_SET_IMAGE) == (flags & WORKING_SET_IMAGE))
			return &set->entries[i];
	return NULL;
}

/* Pages from an extent, from the base, from a hole over the base's data, and from the image. */
static void test_record(void **state)
{
	struct fixture *f = *state;
	struct template *template = layered_template(f);
	cleanup_free struct working_set *set = calloc(1, sizeof(*set));
	cleanup_free uint8_t *contents = malloc(SAMPLE_IMAGE_BYTES);
	struct recorder *recorder = NULL;
	struct vm *vm = fake_vm();
	volatile uint8_t *base = vm_memory_base(vm);
	const size_t in_extent = 5 * PAGE, in_base = 500 * PAGE, hole = 37 * PAGE;
	const size_t written = 2500 * PAGE, in_image = 50 * PAGE;
	struct err err = {};
	int r = recorder_new(&recorder, vm, template, &err);

	if (r == -EPERM || r == -ENOSYS) {
		print_message("%s\n", err.message);
		fake_vm_free(vm);
		template_free(template);
		skip();
	}
	if (r < 0)
		fail_msg("%s", err.message);
	assert_int_equal(image.maps, 1);
	assert_int_equal(file_pread_all(f->image.fd, contents, SAMPLE_IMAGE_BYTES, 0), 0);
	assert_int_equal(base[in_extent + 9], f->memory[in_extent + 9]);
	assert_int_equal(base[in_base + 9], f->memory[in_base + 9]);
	assert_int_equal(base[hole + 9], 0);
	base[written] ^= 0xff;
	assert_int_equal(image.base[in_image + 100], contents[in_image + 100]);
	if (recorder_finish(recorder, set, &err) < 0)
		fail_msg("%s", err.message);

	assert_true(page_is_zero((const uint8_t *)base + hole));
	assert_memory_equal((const uint8_t *)base + in_extent, f->memory + in_extent, PAGE);
	assert_memory_equal((const uint8_t *)base + in_base, f->memory + in_base, PAGE);
	assert_memory_equal(image.base + in_image, contents + in_image, PAGE);
	assert_int_equal(set->count, 5); /* and not what the walk reads in the end */
	assert_int_equal(entry_for(set, in_extent, 0)->flags, 0);
	assert_int_equal(entry_for(set, in_base, 0)->flags, 0);
	assert_int_equal(entry_for(set, hole, 0)->flags, 0);
	assert_int_equal(entry_for(set, written, 0)->flags, WORKING_SET_WRITTEN);
	assert_int_equal(entry_for(set, in_image, WORKING_SET_IMAGE)->flags, WORKING_SET_IMAGE);
	assert_int_equal(entry_for(set, in_image, WORKING_SET_IMAGE)->gva, 0x7000);
	assert_int_equal(entry_for(set, in_base, 0)->gva, 0x8000);
	assert_int_equal(set->entries[set->count - 1].offset, in_image);
	assert_int_equal(template_set_working_set(f->folder, set, &err), 0);
	assert_template(f->folder, "layer");
	recorder_free(recorder);
	fake_vm_free(vm);
	template_free(template);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void put_entry(struct vm *vm, uint64_t table, unsigned int index, uint64_t entry)
{
	((uint64_t *)vm_memory_at(vm, table, PAGE))[index] = entry;
}

/* PML4 at 0x1000, then one table of each level; the page table at 0x4000 maps from `gva` 0 up. */
static void put_tables(struct vm *vm)
{
	put_entry(vm, 0x1000, 0, 0x2000 | PRESENT | WRITABLE | USER);
	put_entry(vm, 0x2000, 0, 0x3000 | PRESENT | WRITABLE | USER);
	put_entry(vm, 0x3000, 0, 0x4000 | PRESENT | WRITABLE | USER);
}

static void add(struct working_set *set, uint64_t offset, uint32_t flags)
{
	set->entries[set->count++] = (struct working_set_entry){.offset = offset, .flags = flags};
}

static void test_walk(void **unused)
{
	cleanup_free struct working_set *set = calloc(1, sizeof(*set));
	struct vm *vm = fake_vm();

	(void)unused;
	image.bytes = SAMPLE_IMAGE_BYTES;
	put_tables(vm);
	put_entry(vm, 0x4000, 1, 0x9000 | PRESENT | USER);
	put_entry(vm, 0x4000, 2, 0xa000 | PRESENT | USER | WRITABLE);
	put_entry(vm, 0x4000, 3, (GUEST_IMAGE_GPA + 0x9000) | PRESENT | USER);
	put_entry(vm, 0x4000, 4, (GUEST_IMAGE_GPA + 0xa000) | PRESENT | USER | WRITABLE);
	put_entry(vm, 0x4000, 5, (GUEST_IMAGE_GPA + SAMPLE_IMAGE_BYTES) | PRESENT | USER);
	put_entry(vm, 0x4000, 6, (GUEST_IMAGE_GPA + 0xb000) | PRESENT); /* the kernel's */
	/* Two MiB of the image in one entry, at 2 MiB, seen second. */
	put_entry(vm, 0x3000, 1, GUEST_IMAGE_GPA | PRESENT | USER | LARGE);
	/* A table in the image, one beyond everything, and one that is its own. */
	put_entry(vm, 0x3000, 2, (GUEST_IMAGE_GPA + 0x1000) | PRESENT | USER);
	put_entry(vm, 0x3000, 3, 0x000ffffffffff000 | PRESENT | USER);
	put_entry(vm, 0x2000, 1, 0x2000 | PRESENT | USER);

	add(set, 0x4000, 0);
	add(set, 0x9000, 0);
	add(set, 0xa000, 0);
	add(set, 0x9000, WORKING_SET_IMAGE);
	add(set, 0xa000, WORKING_SET_IMAGE);
	add(set, 0xb000, WORKING_SET_IMAGE);
	guest_walk_assign(vm, 0x1000, set);

	assert_int_equal(set->entries[0].flags, WORKING_SET_WRITTEN); /* the page table */
	assert_int_equal(set->entries[0].gva, 0);
	assert_int_equal(set->entries[1].flags, 0);
	assert_int_equal(set->entries[1].gva, 0x1000);
	assert_int_equal(set->entries[2].flags, WORKING_SET_WRITTEN);
	assert_int_equal(set->entries[2].gva, 0x2000);
	assert_int_equal(set->entries[3].flags, WORKING_SET_IMAGE);
	assert_int_equal(set->entries[3].gva, 0x3000);
	assert_int_equal(set->entries[4].flags, WORKING_SET_IMAGE); /* though mapped writable */
	assert_int_equal(set->entries[4].gva, 0x4000);
	assert_int_equal(set->entries[5].gva, 0x200000 + 0xb000);
	assert_true(working_set_fits(set, SAMPLE_MEMORY_BYTES, SAMPLE_IMAGE_BYTES));
	fake_vm_free(vm);
}

/* Without an image its addresses are nobody's. */
static void test_walk_without_image(void **unused)
{
	cleanup_free struct working_set *set = calloc(1, sizeof(*set));
	struct vm *vm = fake_vm();

	(void)unused;
	put_tables(vm);
	put_entry(vm, 0x4000, 1, GUEST_IMAGE_GPA | PRESENT | USER);
	add(set, 0, 0);
	add(set, 0, WORKING_SET_IMAGE);
	guest_walk_assign(vm, 0x1000, set);
	assert_int_equal(set->entries[0].gva, 0);
	assert_int_equal(set->entries[1].gva, 0);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_map_layered),
		FOLDER_TEST(test_map_whole),
		FOLDER_TEST_IN_MEMORY(test_bad_extents),
		FOLDER_TEST(test_record),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_without_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
