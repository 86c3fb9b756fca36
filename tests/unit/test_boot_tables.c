/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel finds in memory when it starts: ACPI tables, boot parameters, page tables, GDT.
 * The tables are read as the kernel reads them: from the RSDP on, by the pointers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "boot_memory.h"
#include "cleanup.h"
#include "lumper.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* --- guest memory ------------------------------------------------------------------------- */

static void test_memory_bounds(void **state)
{
	struct guest_memory memory = memory_new(4 * GIB);

	(void)state;
	assert_ptr_equal(guest_memory_at(&memory, 0, 4096), memory.base);
	assert_non_null(guest_memory_at(&memory, GUEST_HOLE_START - 1, 1));
	assert_null(guest_memory_at(&memory, GUEST_HOLE_START - 1, 2));
	assert_null(guest_memory_at(&memory, GUEST_HOLE_START, 1));
	assert_null(guest_memory_at(&memory, GUEST_HOLE_END - 1, 1));
	assert_ptr_equal(guest_memory_at(&memory, GUEST_HOLE_END, 4096),
			 memory.base + GUEST_HOLE_START);
	assert_null(guest_memory_at(&memory, GUEST_HOLE_START - 4096,
				    GUEST_HOLE_END - GUEST_HOLE_START + 8192));
	assert_non_null(guest_memory_at(&memory, 5 * GIB - 4096, 4096));
	assert_null(guest_memory_at(&memory, 5 * GIB - 4096, 4097));
	assert_null(guest_memory_at(&memory, 5 * GIB, 0));
	assert_null(guest_memory_at(&memory, 4096, UINT64_MAX));
	assert_null(guest_memory_at(&memory, UINT64_MAX, 2));
	memory_free(&memory);
}

/* Chunks end at the guest's page bounds, wherever the source starts. */
static void test_memory_write(void **state)
{
	struct guest_memory memory = memory_new(32 * MIB);
	static uint8_t data[3 * 4096];

	(void)state;
	data[100] = 1;
	data[4096 + 100] = 2;
	assert_int_equal(guest_memory_write(&memory, MIB + 5, data, sizeof(data)), 0);
	assert_memory_equal(memory.base + MIB + 5, data, sizeof(data));
	assert_int_equal(guest_memory_write(&memory, 32 * MIB - 10, data, 11), -ENOSPC);
	assert_int_equal(guest_memory_write(&memory, 32 * MIB - 10, data, 0), 0);
	memory_free(&memory);
}

/* --- ACPI --------------------------------------------------------------------------------- */

static uint64_t get(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return value;
}

static void assert_checksum(const uint8_t *table, size_t bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += table[i];
	assert_int_equal(sum, 0);
}

/* The table at `gpa`, after the checks that every table with a common header must pass. */
static const uint8_t *table_at(const struct guest_memory *memory, uint64_t gpa,
			       const char *signature)
{
	const uint8_t *table;
	uint64_t bytes;

	assert_in_range(gpa, BOOT_ACPI_GPA, BOOT_HIGH_GPA - 36);
	table = guest_memory_at(memory, gpa, 36);
	bytes = get(table + 4, 4);
	assert_memory_equal(table, signature, 4);
	assert_in_range(gpa + bytes, gpa + 36, BOOT_HIGH_GPA);
	assert_checksum(table, bytes);
	return table;
}

/* Where a kernel without a pointer to it finds the RSDP: on a 16-byte bound below 1 MiB. */
static const uint8_t *rsdp_scan(const struct guest_memory *memory)
{
	for (uint64_t gpa = 0xe0000; gpa < BOOT_HIGH_GPA; gpa += 16) {
		const uint8_t *rsdp = guest_memory_at(memory, gpa, 36);

		if (memcmp(rsdp, "RSD PTR ", 8) == 0)
			return rsdp;
	}
	fail_msg("no RSDP");
	return NULL;
}

/* The table that is entry `index` of the XSDT. */
static const uint8_t *xsdt_entry(const struct guest_memory *memory, unsigned int index,
				 const char *signature)
{
	const uint8_t *rsdp = rsdp_scan(memory);
	const uint8_t *xsdt;

	assert_ptr_equal(rsdp, memory->base + BOOT_ACPI_GPA);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(get(rsdp + 20, 4), 36);
	assert_checksum(rsdp, 20);
	assert_checksum(rsdp, 36);
	xsdt = table_at(memory, get(rsdp + 24, 8), "XSDT");
	/* The third, where there is memory for it, is the SRAT. */
	assert_int_equal(get(xsdt + 4, 4), 36 + (memory->bytes < GUEST_HOT_END ? 2 : 3) * 8);
	return table_at(memory, get(xsdt + 36 + index * 8, 8), signature);
}

static struct guest_memory acpi_memory(unsigned int vcpus, bool vmgenid)
{
	struct guest_memory memory = memory_new(32 * MIB);
	struct err err = {};

	if (acpi_write_tables(&memory, vcpus, vmgenid, &err) < 0)
		fail_msg("%s", err.message);
	return memory;
}

static void test_acpi_fadt(void **state)
{
	struct guest_memory memory = acpi_memory(1, false);
	const uint8_t *fadt = xsdt_entry(&memory, 0, "FACP");
	uint64_t facs = get(fadt + 36, 4);

	(void)state;
	assert_int_equal(get(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(memory.base + facs, "FACS\x40\0\0\0", 8);
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8)); /* DSDT, X_DSDT */
	assert_int_equal(get(fadt + 46, 2), ACPI_SCI_GSI);
	assert_int_equal(get(fadt + 48, 4), 0); /* SMI_CMD: always in ACPI mode */
	assert_int_equal(get(fadt + 56, 4), 0x600);
	assert_int_equal(get(fadt + 64, 4), 0x604);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(get(fadt + 76, 4), 0x608);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(get(fadt + 109, 2), 0x25); /* legacy devices, no VGA, no CMOS clock */
	assert_true(get(fadt + 112, 4) & 1 << 10);  /* there is a reset register */
	assert_false(get(fadt + 112, 4) & 1 << 20); /* not hardware-reduced */
	assert_memory_equal(fadt + 116, "\1\10\0\1\x64\0\0\0\0\0\0\0", 12);
	assert_int_equal(fadt[128], 0xfe);
	assert_memory_equal(fadt + 148, "\1\40\0\2\0\6\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 172, "\1\20\0\2\4\6\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 208, "\1\40\0\3\x08\6\0\0\0\0\0\0", 12);
	memory_free(&memory);
}

/* Checks one entry of the MADT against the `index`th that is expected; returns its length. */
static size_t assert_madt_entry(const uint8_t *entry, unsigned int index, unsigned int vcpus)
{
	static const char *const after[] = {
		"\1\14\0\0\0\0\xc0\xfe\0\0\0\0", /* IOAPIC 0 from GSI 0 */
		"\2\12\0\11\11\0\0\0\15\0",	 /* SCI: level, active high */
		"\4\6\377\0\0\1",		 /* NMI at LINT1 of all CPUs */
	};

	if (index < vcpus) {
		const uint8_t lapic[] = { 0, 8, (uint8_t)index, (uint8_t)index, 1, 0, 0, 0 };

		assert_memory_equal(entry, lapic, sizeof(lapic));
		return sizeof(lapic);
	}
	assert_in_range(index - vcpus, 0, ARRAY_SIZE(after) - 1);
	assert_memory_equal(entry, after[index - vcpus], (size_t)after[index - vcpus][1]);
	return entry[1];
}

static void test_acpi_madt(void **state)
{
	(void)state;
	for (unsigned int vcpus = 1; vcpus <= VM_VCPUS_MAX; vcpus++) {
		struct guest_memory memory = acpi_memory(vcpus, false);
		const uint8_t *madt = xsdt_entry(&memory, 1, "APIC");
		size_t bytes = get(madt + 4, 4);
		unsigned int entries = 0;
		size_t at = 44;

		assert_int_equal(get(madt + 36, 4), LAPIC_GPA);
		for (; at < bytes; entries++)
			at += assert_madt_entry(madt + at, entries, vcpus);
		assert_int_equal(at, bytes);
		assert_int_equal(entries, vcpus + 3);
		memory_free(&memory);
	}
}

struct affinity {
	uint64_t node, start, bytes;
};

static void assert_affinity(const uint8_t *entry, struct affinity expected)
{
	assert_memory_equal(entry, "\1\50", 2); /* memory, 40 bytes */
	assert_int_equal(get(entry + 2, 4), expected.node);
	assert_int_equal(get(entry + 8, 8), expected.start);
	assert_int_equal(get(entry + 16, 8), expected.bytes);
	assert_int_equal(get(entry + 28, 4), 1); /* enabled */
}

/* All memory and all CPUs in node 0, but for hot memory, which is node 1. */
static void assert_srat(uint64_t memory_bytes, const struct affinity *expected, size_t count)
{
	struct guest_memory memory = memory_new(memory_bytes);
	struct err err = {};
	const uint8_t *srat, *at;

	assert_int_equal(acpi_write_tables(&memory, 2, false, &err), 0);
	srat = xsdt_entry(&memory, 2, "SRAT");
	at = srat + 48;
	for (unsigned int cpu = 0; cpu < 2; cpu++, at += 16) {
		assert_memory_equal(at, "\0\20\0", 3);
		assert_int_equal(at[3], cpu);
		assert_int_equal(get(at + 4, 4), 1);
		assert_int_equal(get(at + 8, 8), 0);
	}
	for (size_t i = 0; i < count; i++, at += 40)
		assert_affinity(at, expected[i]);
	assert_int_equal(get(srat + 4, 4), at - srat);
	memory_free(&memory);
}

static void test_acpi_srat(void **state)
{
	const struct affinity small[] = {
		{ 0, 0, GUEST_HOT_START },
		{ 1, GUEST_HOT_START, GUEST_HOT_END - GUEST_HOT_START },
	};
	const struct affinity large[] = {
		{ 0, 0, GUEST_HOT_START },
		{ 1, GUEST_HOT_START, GUEST_HOT_END - GUEST_HOT_START },
		{ 0, GUEST_HOT_END, GUEST_HOLE_START - GUEST_HOT_END },
		{ 0, GUEST_HOLE_END, GIB },
	};

	(void)state;
	assert_srat(GUEST_HOT_END, small, ARRAY_SIZE(small));
	assert_srat(4 * GIB, large, ARRAY_SIZE(large));
}

static const uint8_t *find(const uint8_t *table, const void *bytes, size_t count)
{
	const uint8_t *at = memmem(table, get(table + 4, 4), bytes, count);

	assert_non_null(at);
	return at;
}

/* PkgLength in two bytes: how many bytes the object has from there on. */
static size_t pkg_length(const uint8_t *at)
{
	assert_int_equal(at[0] >> 6, 1);
	return (size_t)(at[1] << 4 | (at[0] & 0xf));
}

/* iasl's own encoding of the same objects, and lengths that nest exactly. */
static void test_acpi_dsdt(void **state)
{
	struct guest_memory memory = acpi_memory(1, false);
	const uint8_t *fadt = xsdt_entry(&memory, 0, "FACP");
	const uint8_t *dsdt = table_at(&memory, get(fadt + 140, 8), "DSDT");
	const uint8_t *end = dsdt + get(dsdt + 4, 4);
	const uint8_t *scope, *bridge, *serial, *window;

	(void)state;
	(void)find(dsdt, "\x08\\_S5_\x12", 7);
	(void)find(dsdt, "\x04\x0a\x05\x0a\x05\x0a\0\x0a\0", 9);
	(void)find(dsdt, "_HID\x0c\x41\xd0\x0a\x03", 9); /* PNP0A03 */
	(void)find(dsdt, "_HID\x0c\x41\xd0\x05\x01", 9); /* PNP0501 */
	(void)find(dsdt, "\x47\x01\xf8\x0c\xf8\x0c\x01\x08", 8);
	(void)find(dsdt, "\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x79\x00", 13);

	/* Slot 2, INTA: GSI 10. */
	(void)find(dsdt, "_PRT\x12\x40\x01\x01\x12\x4c\0\x04\x0c\xff\xff\x02\0\0\0\x0a\x0a",
		   21);

	window = find(dsdt, "\x87\x17\x00\x00\x0c\x01", 6);
	assert_int_equal(get(window + 10, 4), PCI_WINDOW_START);
	assert_int_equal(get(window + 14, 4), PCI_WINDOW_END - 1);
	assert_int_equal(get(window + 22, 4), PCI_WINDOW_END - PCI_WINDOW_START);

	scope = find(dsdt, "\\_SB_", 5) - 2;
	bridge = find(dsdt, "\x5b\x82", 2) + 2;
	assert_ptr_equal(scope + pkg_length(scope), end);
	assert_int_equal(scope[-1], 0x10);
	assert_memory_equal(bridge + 2, "PCI0", 4);
	serial = bridge + pkg_length(bridge);
	assert_memory_equal(serial, "\x5b\x82", 2);
	assert_memory_equal(serial + 4, "COM1", 4);
	assert_ptr_equal(serial + 2 + pkg_length(serial + 2), end);
	memory_free(&memory);
}

/* Only where it is asked for: a device that an unprepared guest never has to handle. */
static void test_acpi_generation(void **state)
{
	struct guest_memory without = acpi_memory(1, false), with = acpi_memory(1, true);
	const uint8_t *fadt = xsdt_entry(&with, 0, "FACP");
	const uint8_t *dsdt = table_at(&with, get(fadt + 140, 8), "DSDT");

	(void)state;
	(void)find(dsdt, "_CID\x12\x4d\x01\x02\x0dVM_Gen_Counter\0\x0dVMGENCTR\0", 34);
	(void)find(dsdt, "_DDN\x0dVM_Gen_Counter", 20);
	(void)find(dsdt, "ADDR\x12\x4d\0\x02\x0c\0\0\x0f\0\x0c\0\0\0\0", 18);
	(void)find(dsdt, "_HID\x0d" "ACPI0013", 14);
	(void)find(dsdt, "\x89\x06\0\x03\x01\x0b\0\0\0\x79\0", 11);
	(void)find(dsdt, "_EVT\x09\x86VGEN\x0a\x80", 12);
	fadt = xsdt_entry(&without, 0, "FACP");
	dsdt = table_at(&without, get(fadt + 140, 8), "DSDT");
	assert_null(memmem(dsdt, get(dsdt + 4, 4), "VGEN", 4));
	memory_free(&without);
	memory_free(&with);
}

static void test_acpi_refusals(void **state)
{
	struct guest_memory memory = memory_new(BOOT_ACPI_GPA);
	struct err err = {};

	(void)state;
	assert_int_equal(acpi_write_tables(&memory, 0, false, &err), -EINVAL);
	assert_int_equal(acpi_write_tables(&memory, VM_VCPUS_MAX + 1, false, &err), -EINVAL);
	assert_string_equal(err.message, "ACPI: 9 vCPUs, expected 1 to 8");
	assert_int_equal(acpi_write_tables(&memory, 1, false, &err), -ENOSPC);
	assert_string_equal(err.message, "ACPI: no guest memory at 0xe0000");
	memory_free(&memory);
}

/* --- boot parameters ---------------------------------------------------------------------- */

static const struct loaded_kernel elf_kernel = {
	.entry = 0x1000000, .start = 0x1000000, .end = 0x1800123 };

static struct loaded_kernel setup_kernel(struct setup_header header)
{
	struct loaded_kernel kernel = elf_kernel;

	kernel.has_setup = true;
	memcpy(kernel.setup, &header, sizeof(header));
	return kernel;
}

static const struct boot_params *params_of(const struct guest_memory *memory)
{
	return guest_memory_at(memory, BOOT_PARAMS_GPA, sizeof(struct boot_params));
}

static void assert_e820(uint64_t memory_bytes, const struct boot_e820_entry *expected,
			size_t count)
{
	struct guest_memory memory = memory_new(memory_bytes);
	const struct boot_params *params = params_of(&memory);
	struct err err = {};

	assert_int_equal(boot_params_write(&memory, &elf_kernel, NULL, 0, "", &err), 0);
	assert_int_equal(params->e820_entries, count);
	assert_memory_equal(params->e820_table, expected, count * sizeof(*expected));
	memory_free(&memory);
}

static void test_params_e820(void **state)
{
	const struct boot_e820_entry small[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x60400, 2 },
		{ 0x100000, 31 * MIB, 1 },
	};
	const struct boot_e820_entry full[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x60400, 2 },
		{ 0x100000, 3071 * MIB, 1 },
	};
	const struct boot_e820_entry split[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x60400, 2 },
		{ 0x100000, 3071 * MIB, 1 },
		{ 4 * GIB, 5 * GIB, 1 },
	};

	(void)state;
	assert_e820(32 * MIB, small, ARRAY_SIZE(small));
	assert_e820(3 * GIB, full, ARRAY_SIZE(full));
	assert_e820(8 * GIB, split, ARRAY_SIZE(split));
}

static void test_params_of_elf(void **state)
{
	struct guest_memory memory = memory_new(32 * MIB);
	const struct boot_params *params = params_of(&memory);
	struct err err = {};

	(void)state;
	assert_int_equal(boot_params_write(&memory, &elf_kernel, NULL, 0, "a=b c", &err), 0);
	assert_int_equal(params->hdr.boot_flag, 0xaa55);
	assert_memory_equal(&params->hdr.header, "HdrS", 4);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->sentinel, 0);
	assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
	assert_int_equal(params->hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(params->ext_cmd_line_ptr, 0);
	assert_string_equal((char *)memory.base + 0x20000, "a=b c");
	assert_int_equal(params->hdr.ramdisk_image, 0);
	assert_int_equal(params->hdr.ramdisk_size, 0);
	memory_free(&memory);
}

/* The image's header is handed on, but for what a loader has to say itself. */
static void test_params_of_bzimage(void **state)
{
	struct guest_memory memory = memory_new(32 * MIB);
	const struct boot_params *params = params_of(&memory);
	const struct loaded_kernel kernel = setup_kernel((struct setup_header){
		.header = 0x53726448,
		.boot_flag = 0xaa55,
		.version = 0x020f,
		.type_of_loader = 0x12,
		.loadflags = LOADED_HIGH | KASLR_FLAG,
		.ramdisk_image = 0x1234,
		.ramdisk_size = 0x5678,
		.setup_data = 0x9abc,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 2047,
		.init_size = 0x3378000,
	});
	struct err err = {};

	(void)state;
	assert_int_equal(boot_params_write(&memory, &kernel, NULL, 0, "", &err), 0);
	assert_int_equal(params->hdr.version, 0x020f);
	assert_int_equal(params->hdr.init_size, 0x3378000);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->hdr.loadflags, LOADED_HIGH);
	assert_int_equal(params->hdr.ramdisk_image, 0);
	assert_int_equal(params->hdr.ramdisk_size, 0);
	assert_int_equal(params->hdr.setup_data, 0);
	memory_free(&memory);
}

static void test_params_initrd(void **state)
{
	static const struct {
		uint64_t memory_bytes;
		uint32_t addr_max;
		uint64_t expected;
	} cases[] = {
		{ 32 * MIB, 0x7fffffff, 32 * MIB - 8192 },
		{ 128 * MIB, 0x37fffff, 0x3800000 - 8192 }, /* as the kernel limits it */
		{ 1 * GIB, 0x37ffffff, 0x38000000 - 8192 },
		{ 8 * GIB, 0xffffffff, GUEST_HOLE_START - 8192 },
		{ 8 * GIB, 0x7fffffff, 2 * GIB - 8192 },
		{ 32 * MIB, 0x1800fff, 0x1000000 - 8192 }, /* below the kernel */
	};
	static uint8_t initrd[5000];

	(void)state;
	memset(initrd, 0x77, sizeof(initrd));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest_memory memory = memory_new(cases[i].memory_bytes);
		const struct boot_params *params = params_of(&memory);
		const struct loaded_kernel kernel = setup_kernel((struct setup_header){
			.initrd_addr_max = cases[i].addr_max, .cmdline_size = 2047 });
		struct err err = {};
		int r = boot_params_write(&memory, &kernel, initrd, sizeof(initrd), "", &err);

		assert_int_equal(r, 0);
		assert_int_equal(params->hdr.ramdisk_image, cases[i].expected);
		assert_int_equal(params->hdr.ramdisk_size, sizeof(initrd));
		assert_memory_equal(memory.base + cases[i].expected, initrd, sizeof(initrd));
		memory_free(&memory);
	}
}

static void assert_params_refused(const struct guest_memory *memory,
				  const struct loaded_kernel *kernel, size_t initrd_bytes,
				  const char *cmdline, int code, const char *message)
{
	static const uint8_t initrd[16 << 20];
	struct err err = {};

	assert_in_range(initrd_bytes, 0, sizeof(initrd));
	assert_int_equal(boot_params_write(memory, kernel, initrd, initrd_bytes, cmdline, &err),
			 code);
	assert_string_equal(err.message, message);
}

static void test_params_refusals(void **state)
{
	const struct loaded_kernel strict =
		setup_kernel((struct setup_header){ .initrd_addr_max = 0xfff, .cmdline_size = 3 });
	struct guest_memory memory = memory_new(32 * MIB);
	const struct guest_memory tiny = { .base = memory.base, .bytes = MIB };
	static char cmdline[BOOT_CMDLINE_MAX + 1];

	(void)state;
	memset(cmdline, 'x', BOOT_CMDLINE_MAX);
	assert_params_refused(&memory, &elf_kernel, 0, cmdline, -E2BIG,
			      "kernel command line has 2048 characters, at most 2047 are possible");
	assert_params_refused(&memory, &strict, 0, "quiet", -E2BIG,
			      "kernel command line has 5 characters, at most 3 are possible");
	assert_params_refused(&memory, &strict, 1, "", -ENOSPC,
			      "initrd of 1 bytes does not fit between the kernel's end at "
			      "0x1800123 and 0x1000, nor below the kernel: give the guest more "
			      "memory");
	assert_params_refused(&memory, &elf_kernel, (15 << 20) + 1, "", -ENOSPC,
			      "initrd of 15728641 bytes does not fit between the kernel's end at "
			      "0x1800123 and 0x2000000, nor below the kernel: give the guest "
			      "more memory");
	assert_params_refused(&tiny, &elf_kernel, 0, "", -ENOSPC,
			      "1048576 bytes of guest memory are too few");
	cmdline[BOOT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(boot_params_write(&memory, &elf_kernel, NULL, 0, cmdline, NULL), 0);
	assert_string_equal((char *)memory.base + BOOT_CMDLINE_GPA, cmdline);
	memory_free(&memory);
}

/* --- page tables, GDT --------------------------------------------------------------------- */

#define ADDRESS(entry) ((entry) & 0x000ffffffffff000ull)

/* Walks the tables as the CPU does; the physical address of a linear one below 512 GiB. */
static uint64_t translate(const struct guest_memory *memory, uint64_t linear)
{
	const uint64_t *table = guest_memory_at(memory, BOOT_PAGE_TABLES_GPA, 4096);
	uint64_t entry = table[linear >> 39 & 511];

	assert_int_equal(entry & 3, 3);
	table = guest_memory_at(memory, ADDRESS(entry), 4096);
	entry = table[linear >> 30 & 511];
	if (!(entry & 1))
		return UINT64_MAX;
	assert_int_equal(entry & 0x83, 3);
	table = guest_memory_at(memory, ADDRESS(entry), 4096);
	entry = table[linear >> 21 & 511];
	assert_int_equal(entry & 0x83, 0x83);
	return ADDRESS(entry) | (linear & (2 * MIB - 1));
}

static void test_paging(void **state)
{
	struct guest_memory memory = memory_new(32 * MIB);
	const uint64_t *gdt = guest_memory_at(&memory, BOOT_GDT_GPA, BOOT_GDT_LIMIT + 1);
	struct err err = {};

	(void)state;
	assert_int_equal(boot_paging_write(&memory, &err), 0);
	for (uint64_t linear = 12345; linear < 4 * GIB; linear += 2 * MIB)
		assert_int_equal(translate(&memory, linear), linear);
	assert_int_equal(translate(&memory, 4 * GIB), UINT64_MAX);
	assert_true(BOOT_PAGE_TABLES_GPA + 6 * 4096 <= BOOT_CMDLINE_GPA);

	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[1], 0);
	assert_int_equal(gdt[BOOT_CS / 8], 0x00af9b000000ffff);
	assert_int_equal(gdt[BOOT_DS / 8], 0x00cf93000000ffff);
	assert_int_equal(gdt[BOOT_TSS / 8], 0x008f8b000000ffff);
	memory_free(&memory);
}

static void test_paging_without_memory(void **state)
{
	struct guest_memory memory = memory_new(BOOT_PAGE_TABLES_GPA + 5 * 4096);
	struct err err = {};

	(void)state;
	assert_int_equal(boot_paging_write(&memory, &err), -ENOSPC);
	assert_string_equal(err.message, "no guest memory for the boot page tables");
	memory_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_bounds),
		cmocka_unit_test(test_memory_write),
		cmocka_unit_test(test_acpi_fadt),
		cmocka_unit_test(test_acpi_madt),
		cmocka_unit_test(test_acpi_srat),
		cmocka_unit_test(test_acpi_dsdt),
		cmocka_unit_test(test_acpi_generation),
		cmocka_unit_test(test_acpi_refusals),
		cmocka_unit_test(test_params_e820),
		cmocka_unit_test(test_params_of_elf),
		cmocka_unit_test(test_params_of_bzimage),
		cmocka_unit_test(test_params_initrd),
		cmocka_unit_test(test_params_refusals),
		cmocka_unit_test(test_paging),
		cmocka_unit_test(test_paging_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
