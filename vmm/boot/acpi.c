/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables (ACPI specification 6.3): enough for a kernel to find all CPUs, the IOAPIC, the PCI
 * host bridge with its windows and the serial port, to reset, to power off, and when it is asked
 * for to hear that it has been cloned.
 *
 *   RSDP -> XSDT -> FADT -> FACS, DSDT
 *                -> MADT
 *                -> SRAT
 *
 * Not hardware-reduced: the devices that remain of a PC (PM registers, PIC, PIT) are there. What
 * is not there is said: no CMOS clock, no VGA, no keyboard. The last one although port
 * 0x64 resets the machine: a kernel that hopes for a keyboard controller waits for its self-test.
 */
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "cleanup.h"
#include "le.h"
#include "lumper.h"

/* --- tables ------------------------------------------------------------------------------- */

enum {
	RSDP_BYTES = 36,
	RSDP_V1_BYTES = 20, /* what the first of its two checksums covers */
	RSDP_CHECKSUM = 8,
	RSDP_CHECKSUM_EXTENDED = 32,
	HEADER_BYTES = 36,
	HEADER_LENGTH = 4,
	HEADER_CHECKSUM = 9,
	TABLE_ALIGN = 64, /* the FACS needs it */
};

#define OEM_ID "QUARK "
#define OEM_TABLE_ID "LUMPER  "
#define CREATOR_ID "QRK "

static void checksum_set(uint8_t *table, size_t bytes, size_t at)
{
	uint8_t sum = 0;

	table[at] = 0;
	for (size_t i = 0; i < bytes; i++)
		sum += table[i];
	table[at] = (uint8_t)-sum;
}

static void align(struct le_writer *w)
{
	(void)le_room(w, -w->len % TABLE_ALIGN);
}

/* Starts a table with its header; returns its offset. */
static size_t table_begin(struct le_writer *w, const char *signature, uint8_t revision)
{
	size_t start;

	align(w);
	start = w->len;
	le_put_bytes(w, signature, 4);
	le_put(w, 0, 4); /* length: table_end */
	le_put(w, revision, 1);
	le_put(w, 0, 1); /* checksum: table_end */
	le_put_bytes(w, OEM_ID, 6);
	le_put_bytes(w, OEM_TABLE_ID, 8);
	le_put(w, 1, 4); /* OEM revision */
	le_put_bytes(w, CREATOR_ID, 4);
	le_put(w, 1, 4); /* creator revision */
	return start;
}

/* Fills in length and checksum; returns the table's guest-physical address. */
static uint64_t table_end(struct le_writer *w, size_t start)
{
	uint32_t bytes = (uint32_t)(w->len - start);

	if (!w->bad) {
		memcpy(w->buf + start + HEADER_LENGTH, &bytes, sizeof(bytes));
		checksum_set(w->buf + start, bytes, HEADER_CHECKSUM);
	}
	return BOOT_ACPI_GPA + start;
}

/* --- AML (ACPI 20.2) ---------------------------------------------------------------------- */

enum aml_op {
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_NOTIFY = 0x86,
	AML_DEVICE = 0x825b, /* extended: 0x5b 0x82 */
};

/* PkgLength in its two-byte form, whatever the length: up to 4095 bytes. */
enum { PKG_LENGTH_BYTES = 2, PKG_LENGTH_MAX = 0xfff };

/* Opens an object whose length is not known yet; returns where that length goes. */
static size_t aml_begin(struct le_writer *w, enum aml_op op)
{
	size_t at;

	le_put(w, op, op > 0xff ? 2 : 1);
	at = w->len;
	le_put(w, 0, PKG_LENGTH_BYTES);
	return at;
}

static void aml_end(struct le_writer *w, size_t at)
{
	size_t bytes = w->len - at;

	if (bytes > PKG_LENGTH_MAX)
		w->bad = true;
	if (w->bad)
		return;
	w->buf[at] = (uint8_t)(1u << 6 | (bytes & 0xf)); /* bits 7..6: one byte follows */
	w->buf[at + 1] = (uint8_t)(bytes >> 4);
}

/* A name of four characters, behind any root prefix. */
static void aml_name_string(struct le_writer *w, const char *name)
{
	le_put_bytes(w, name, strlen(name));
}

static void aml_name(struct le_writer *w, const char *name)
{
	le_put(w, AML_NAME, 1);
	aml_name_string(w, name);
}

static void aml_name_byte(struct le_writer *w, const char *name, uint8_t value)
{
	aml_name(w, name);
	le_put(w, AML_BYTE, 1);
	le_put(w, value, 1);
}

static void aml_string(struct le_writer *w, const char *text)
{
	le_put(w, AML_STRING, 1);
	le_put_bytes(w, text, strlen(text) + 1);
}

static void aml_name_text(struct le_writer *w, const char *name, const char *text)
{
	aml_name(w, name);
	aml_string(w, text);
}

/* "PNP0A03" compressed: five bits a letter, then the digits as hex, the most significant first. */
static void aml_name_eisa_id(struct le_writer *w, const char *name, const char letters[static 3],
			     uint16_t digits)
{
	uint16_t vendor = 0;

	for (int i = 0; i < 3; i++)
		vendor = (uint16_t)(vendor << 5 | (letters[i] - '@'));
	aml_name(w, name);
	le_put(w, AML_DWORD, 1);
	le_put(w, __builtin_bswap16(vendor), 2);
	le_put(w, __builtin_bswap16(digits), 2);
}

/* --- resource templates (ACPI 6.4): a buffer of descriptors under the name _CRS ------------- */

struct resources {
	size_t begin; /* of the buffer object */
	size_t size;  /* where its size goes */
};

static struct resources resources_begin(struct le_writer *w)
{
	struct resources resources;

	aml_name(w, "_CRS");
	resources.begin = aml_begin(w, AML_BUFFER);
	le_put(w, AML_WORD, 1);
	resources.size = w->len;
	le_put(w, 0, 2);
	return resources;
}

static void resources_end(struct le_writer *w, struct resources resources)
{
	uint16_t bytes;

	le_put(w, 0x79, 1); /* end tag */
	le_put(w, 0, 1);    /* checksum 0: taken as right */
	bytes = (uint16_t)(w->len - resources.size - 2);
	if (!w->bad)
		memcpy(w->buf + resources.size, &bytes, sizeof(bytes));
	aml_end(w, resources.begin);
}

enum window_type { WINDOW_MEMORY = 0, WINDOW_IO = 1, WINDOW_BUS = 2 };

enum {
	WINDOW_FIXED = 0xc,	   /* neither end may move; the device hands the range on */
	WINDOW_IO_ENTIRE = 0x3,	   /* ISA and non-ISA addresses */
	WINDOW_MEMORY_WRITE = 0x1, /* read-write, not cacheable */
};

/* An address space descriptor of `width`-byte fields: word or double word. */
static void window(struct le_writer *w, unsigned int width, enum window_type type,
		   uint8_t type_flags, uint64_t first, uint64_t last)
{
	le_put(w, width == 2 ? 0x88 : 0x87, 1);
	le_put(w, 3 + 5 * width, 2); /* bytes that follow */
	le_put(w, type, 1);
	le_put(w, WINDOW_FIXED, 1);
	le_put(w, type_flags, 1);
	le_put(w, 0, width); /* granularity */
	le_put(w, first, width);
	le_put(w, last, width);
	le_put(w, 0, width); /* translation */
	le_put(w, last - first + 1, width);
}

static void io_ports(struct le_writer *w, uint16_t first, uint8_t count)
{
	le_put(w, 0x47, 1);
	le_put(w, 1, 1); /* decodes 16 bits */
	le_put(w, first, 2);
	le_put(w, first, 2);
	le_put(w, 1, 1); /* alignment */
	le_put(w, count, 1);
}

static void irq(struct le_writer *w, unsigned int line)
{
	le_put(w, 0x22, 1);
	le_put(w, 1u << line, 2);
}

/* An extended interrupt descriptor: a GSI of the device's own, by edge, active high. */
static void interrupt_edge(struct le_writer *w, uint32_t gsi)
{
	enum { CONSUMER = 1 << 0, EDGE = 1 << 1, BYTES = 6 };

	le_put(w, 0x89, 1);
	le_put(w, BYTES, 2);
	le_put(w, CONSUMER | EDGE, 1);
	le_put(w, 1, 1); /* how many */
	le_put(w, gsi, 4);
}

/* --- DSDT --------------------------------------------------------------------------------- */

static void write_sleep_state(struct le_writer *w)
{
	enum { ELEMENTS = 4 }; /* SLP_TYP for PM1a and PM1b, two reserved */
	const uint8_t values[ELEMENTS] = { ACPI_SLEEP_TYPE_S5, ACPI_SLEEP_TYPE_S5 };
	size_t package;

	aml_name(w, "\\_S5_");
	package = aml_begin(w, AML_PACKAGE);
	le_put(w, ELEMENTS, 1);
	for (int i = 0; i < ELEMENTS; i++) {
		le_put(w, AML_BYTE, 1);
		le_put(w, values[i], 1);
	}
	aml_end(w, package);
}

/* One route (ACPI 6.2.13): INTA of all functions of the slot to a GSI, level-triggered as PCI has
 * it. */
static void write_interrupt_routes(struct le_writer *w)
{
	enum { ROUTES = 1, ELEMENTS = 4, ZERO_OP = 0 };
	size_t routes, route;

	aml_name(w, "_PRT");
	routes = aml_begin(w, AML_PACKAGE);
	le_put(w, ROUTES, 1);
	route = aml_begin(w, AML_PACKAGE);
	le_put(w, ELEMENTS, 1);
	le_put(w, AML_DWORD, 1);
	le_put(w, PMEM_PCI_SLOT << 16 | 0xffff, 4);
	le_put(w, ZERO_OP, 1); /* pin INTA */
	le_put(w, ZERO_OP, 1); /* no link device: the next is a GSI */
	le_put(w, AML_BYTE, 1);
	le_put(w, PCI_INTX_GSI, 1);
	aml_end(w, route);
	aml_end(w, routes);
}

static void write_host_bridge(struct le_writer *w)
{
	size_t device = aml_begin(w, AML_DEVICE);
	struct resources resources;

	aml_name_string(w, "PCI0");
	aml_name_eisa_id(w, "_HID", "PNP", 0x0a03);
	aml_name_byte(w, "_UID", 0);
	resources = resources_begin(w);
	window(w, 2, WINDOW_BUS, 0, 0, 0);
	window(w, 2, WINDOW_IO, WINDOW_IO_ENTIRE, 0, 0xcf7);
	io_ports(w, 0xcf8, 8); /* configuration mechanism 1, the bridge's own */
	window(w, 2, WINDOW_IO, WINDOW_IO_ENTIRE, 0xd00, 0xffff);
	window(w, 4, WINDOW_MEMORY, WINDOW_MEMORY_WRITE, PCI_WINDOW_START, PCI_WINDOW_END - 1);
	resources_end(w, resources);
	write_interrupt_routes(w);
	aml_end(w, device);
}

static void write_serial_port(struct le_writer *w)
{
	size_t device = aml_begin(w, AML_DEVICE);
	struct resources resources;

	aml_name_string(w, "COM1");
	aml_name_eisa_id(w, "_HID", "PNP", 0x0501);
	aml_name_byte(w, "_UID", 1);
	resources = resources_begin(w);
	io_ports(w, 0x3f8, 8);
	irq(w, 4);
	resources_end(w, resources);
	aml_end(w, device);
}

/* Virtual Machine Generation ID (Microsoft, 2012): its address in two halves. The second _CID is
 * the one that Hyper-V came to add. */
static void write_generation_id(struct le_writer *w)
{
	enum { CIDS = 2, HALVES = 2 };
	size_t device = aml_begin(w, AML_DEVICE);
	size_t package;

	aml_name_string(w, "VGEN");
	aml_name_text(w, "_HID", "QRKV0001");
	aml_name(w, "_CID");
	package = aml_begin(w, AML_PACKAGE);
	le_put(w, CIDS, 1);
	aml_string(w, "VM_Gen_Counter");
	aml_string(w, "VMGENCTR");
	aml_end(w, package);
	aml_name_text(w, "_DDN", "VM_Gen_Counter");
	aml_name(w, "ADDR");
	package = aml_begin(w, AML_PACKAGE);
	le_put(w, HALVES, 1);
	for (int i = 0; i < HALVES; i++) {
		le_put(w, AML_DWORD, 1);
		le_put(w, BOOT_GENERATION_GPA >> (32 * i) & 0xffffffff, 4);
	}
	aml_end(w, package);
	aml_end(w, device);
}

/* A generic event device (ACPI 5.6.9): its one interrupt is a notification to the device above.
 * Unlike a general-purpose event it needs no registers. */
static void write_generation_event(struct le_writer *w)
{
	enum { ONE_ARGUMENT = 1, SERIALIZED = 1 << 3, STATUS_CHANGE = 0x80 };
	size_t device = aml_begin(w, AML_DEVICE);
	struct resources resources;
	size_t method;

	aml_name_string(w, "GED_");
	aml_name_text(w, "_HID", "ACPI0013");
	aml_name_byte(w, "_UID", 0);
	resources = resources_begin(w);
	interrupt_edge(w, GENERATION_GSI);
	resources_end(w, resources);
	method = aml_begin(w, AML_METHOD);
	aml_name_string(w, "_EVT");
	le_put(w, ONE_ARGUMENT | SERIALIZED, 1);
	le_put(w, AML_NOTIFY, 1);
	aml_name_string(w, "VGEN");
	le_put(w, AML_BYTE, 1);
	le_put(w, STATUS_CHANGE, 1);
	aml_end(w, method);
	aml_end(w, device);
}

static uint64_t write_dsdt(struct le_writer *w, bool vmgenid)
{
	size_t start = table_begin(w, "DSDT", 2);
	size_t scope;

	write_sleep_state(w);
	scope = aml_begin(w, AML_SCOPE);
	aml_name_string(w, "\\_SB_");
	write_host_bridge(w);
	write_serial_port(w);
	if (vmgenid) {
		write_generation_id(w);
		write_generation_event(w);
	}
	aml_end(w, scope);
	return table_end(w, start);
}

/* --- FACS, FADT --------------------------------------------------------------------------- */

/* The one table without a common header and without a checksum. It holds the global lock. */
static uint64_t write_facs(struct le_writer *w)
{
	enum { BYTES = 64, VERSION_OFFSET = 32 };
	uint8_t *facs;

	align(w);
	facs = le_room(w, BYTES);
	if (facs) {
		memcpy(facs, "FACS", 4);
		facs[4] = BYTES;
		facs[VERSION_OFFSET] = 2;
	}
	return BOOT_ACPI_GPA + w->len - BYTES;
}

enum {
	FADT_BYTES = 276,
	FADT_REVISION = 6,
	FADT_MINOR = 3,

	ARCH_LEGACY_DEVICES = 1 << 0,
	ARCH_NO_VGA = 1 << 2,
	ARCH_NO_CMOS_RTC = 1 << 5,

	FLAG_WBINVD = 1 << 0,
	FLAG_C1 = 1 << 2,
	FLAG_NO_POWER_BUTTON = 1 << 4, /* among the fixed events; likewise the next two */
	FLAG_NO_SLEEP_BUTTON = 1 << 5,
	FLAG_NO_RTC_WAKE = 1 << 6,
	FLAG_RESET_REGISTER = 1 << 10,

	NO_C2_LATENCY = 101,  /* us; more than 100 means that there is no C2 */
	NO_C3_LATENCY = 1001, /* us; more than 1000 */

	RESET_PORT = 0x64,  /* the keyboard controller's command port */
	RESET_VALUE = 0xfe, /* pulse the CPU's reset line */

	PM1_EVENT_BYTES = 4,
	PM1_CONTROL_BYTES = 2,
	PM_TIMER_BYTES = 4,
};

/* A field of a table: offset from its start, width in bytes, value. */
struct field {
	uint16_t offset;
	uint8_t width;
	uint64_t value;
};

/* A generic address: `bits` bits of I/O ports, accessed in units of 1 << (access - 1) bytes. */
#define IO_ADDRESS(at, bits, access, port)                                           \
	{ (at), 1, 1 }, /* address space: I/O */                                     \
	{ (at) + 1, 1, (bits) }, { (at) + 3, 1, (access) }, { (at) + 4, 8, (port) }

static const struct field fadt_fields[] = {
	{ 45, 1, 4 }, /* preferred power profile: enterprise server */
	{ 46, 2, ACPI_SCI_GSI },
	/* SMI_CMD at 48 is 0: always in ACPI mode. */
	{ 56, 4, ACPI_PM1A_EVENT_PORT },
	{ 64, 4, ACPI_PM1A_CONTROL_PORT },
	{ 76, 4, ACPI_PM_TIMER_PORT },
	{ 88, 1, PM1_EVENT_BYTES },
	{ 89, 1, PM1_CONTROL_BYTES },
	{ 91, 1, PM_TIMER_BYTES },
	{ 96, 2, NO_C2_LATENCY },
	{ 98, 2, NO_C3_LATENCY },
	{ 109, 2, ARCH_LEGACY_DEVICES | ARCH_NO_VGA | ARCH_NO_CMOS_RTC },
	{ 112, 4,
	  FLAG_WBINVD | FLAG_C1 | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON | FLAG_NO_RTC_WAKE |
		  FLAG_RESET_REGISTER },
	IO_ADDRESS(116, 8, 1, RESET_PORT),
	{ 128, 1, RESET_VALUE },
	{ 131, 1, FADT_MINOR },
	IO_ADDRESS(148, PM1_EVENT_BYTES * 8, 2, ACPI_PM1A_EVENT_PORT),
	IO_ADDRESS(172, PM1_CONTROL_BYTES * 8, 2, ACPI_PM1A_CONTROL_PORT),
	IO_ADDRESS(208, PM_TIMER_BYTES * 8, 3, ACPI_PM_TIMER_PORT),
};

static void field_set(uint8_t *table, struct field field)
{
	memcpy(table + field.offset, &field.value, field.width);
}

static uint64_t write_fadt(struct le_writer *w, uint64_t facs, uint64_t dsdt)
{
	size_t start = table_begin(w, "FACP", FADT_REVISION);

	if (le_room(w, FADT_BYTES - HEADER_BYTES)) {
		uint8_t *fadt = w->buf + start;

		for (size_t i = 0; i < ARRAY_SIZE(fadt_fields); i++)
			field_set(fadt, fadt_fields[i]);
		field_set(fadt, (struct field){ 36, 4, facs });
		field_set(fadt, (struct field){ 40, 4, dsdt });
		field_set(fadt, (struct field){ 140, 8, dsdt });
	}
	return table_end(w, start);
}

/* --- MADT --------------------------------------------------------------------------------- */

enum {
	MADT_REVISION = 5,
	MADT_PCAT_COMPAT = 1 << 0, /* there are 8259s as well */
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_ALL_CPUS = 0xff,
	LAPIC_ENABLED = 1 << 0,
	INTI_HIGH_LEVEL = 1 << 0 | 3 << 2, /* active high, level-triggered */
};

static void madt_lapic(struct le_writer *w, unsigned int cpu)
{
	le_put(w, MADT_LAPIC, 1);
	le_put(w, 8, 1);
	le_put(w, cpu, 1); /* processor UID */
	le_put(w, cpu, 1); /* APIC id */
	le_put(w, LAPIC_ENABLED, 4);
}

static void madt_ioapic(struct le_writer *w)
{
	le_put(w, MADT_IOAPIC, 1);
	le_put(w, 12, 1);
	le_put(w, 0, 1); /* id */
	le_put(w, 0, 1);
	le_put(w, IOAPIC_GPA, 4);
	le_put(w, 0, 4); /* first GSI */
}

static void madt_override(struct le_writer *w, unsigned int isa_irq, unsigned int gsi,
			  uint16_t flags)
{
	le_put(w, MADT_OVERRIDE, 1);
	le_put(w, 10, 1);
	le_put(w, 0, 1); /* bus: ISA */
	le_put(w, isa_irq, 1);
	le_put(w, gsi, 4);
	le_put(w, flags, 2);
}

static void madt_lapic_nmi(struct le_writer *w)
{
	le_put(w, MADT_LAPIC_NMI, 1);
	le_put(w, 6, 1);
	le_put(w, MADT_ALL_CPUS, 1);
	le_put(w, 0, 2); /* polarity and trigger as the bus has them */
	le_put(w, 1, 1); /* LINT1 */
}

static uint64_t write_madt(struct le_writer *w, unsigned int vcpus)
{
	size_t start = table_begin(w, "APIC", MADT_REVISION);

	le_put(w, LAPIC_GPA, 4);
	le_put(w, MADT_PCAT_COMPAT, 4);
	for (unsigned int i = 0; i < vcpus; i++)
		madt_lapic(w, i);
	madt_ioapic(w);
	madt_override(w, ACPI_SCI_GSI, ACPI_SCI_GSI, INTI_HIGH_LEVEL);
	madt_lapic_nmi(w);
	return table_end(w, start);
}

/* --- SRAT --------------------------------------------------------------------------------- */

enum {
	SRAT_REVISION = 3,
	SRAT_LAPIC = 0,
	SRAT_MEMORY = 1,
	SRAT_ENABLED = 1 << 0,
	NODE_ORDINARY = 0,
	NODE_HOT = 1,
};

static void srat_lapic(struct le_writer *w, unsigned int cpu)
{
	le_put(w, SRAT_LAPIC, 1);
	le_put(w, 16, 1);
	le_put(w, NODE_ORDINARY, 1); /* bits 7..0 */
	le_put(w, cpu, 1);	     /* APIC id */
	le_put(w, SRAT_ENABLED, 4);
	le_put(w, 0, 4); /* SAPIC's; bits 31..8 of the node */
	le_put(w, 0, 4); /* clock domain */
}

static void srat_memory(struct le_writer *w, uint32_t node, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	le_put(w, SRAT_MEMORY, 1);
	le_put(w, 40, 1);
	le_put(w, node, 4);
	le_put(w, 0, 2);
	le_put(w, start, 8);
	le_put(w, end - start, 8);
	le_put(w, 0, 4);
	le_put(w, SRAT_ENABLED, 4);
	le_put(w, 0, 8);
}

/* All CPUs and all memory are of one node, but for the hot memory, to which pages go only when
 * somebody moves them there. */
static uint64_t write_srat(struct le_writer *w, unsigned int vcpus, uint64_t memory_bytes)
{
	const uint64_t low_end = memory_bytes < GUEST_HOLE_START ? memory_bytes : GUEST_HOLE_START;
	size_t start = table_begin(w, "SRAT", SRAT_REVISION);

	le_put(w, 1, 4); /* as revision 1 had it */
	le_put(w, 0, 8);
	for (unsigned int i = 0; i < vcpus; i++)
		srat_lapic(w, i);
	srat_memory(w, NODE_ORDINARY, 0, GUEST_HOT_START);
	srat_memory(w, NODE_HOT, GUEST_HOT_START, GUEST_HOT_END);
	srat_memory(w, NODE_ORDINARY, GUEST_HOT_END, low_end);
	srat_memory(w, NODE_ORDINARY, GUEST_HOLE_END, GUEST_HOLE_END + memory_bytes - low_end);
	return table_end(w, start);
}

/* --- XSDT, RSDP --------------------------------------------------------------------------- */

static uint64_t write_xsdt(struct le_writer *w, const uint64_t *tables, size_t count)
{
	size_t start = table_begin(w, "XSDT", 1);

	for (size_t i = 0; i < count; i++)
		le_put(w, tables[i], 8);
	return table_end(w, start);
}

static void write_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
	struct le_writer w = { .buf = rsdp, .cap = RSDP_BYTES };

	le_put_bytes(&w, "RSD PTR ", 8);
	le_put(&w, 0, 1); /* checksum */
	le_put_bytes(&w, OEM_ID, 6);
	le_put(&w, 2, 1); /* revision */
	le_put(&w, 0, 4); /* no RSDT */
	le_put(&w, RSDP_BYTES, 4);
	le_put(&w, xsdt, 8);
	checksum_set(rsdp, RSDP_V1_BYTES, RSDP_CHECKSUM);
	checksum_set(rsdp, RSDP_BYTES, RSDP_CHECKSUM_EXTENDED);
}

int acpi_write_tables(const struct guest_memory *memory, unsigned int vcpus, bool vmgenid,
		      struct err *err)
{
	struct le_writer w = { .cap = BOOT_ACPI_MAX };
	uint64_t facs, dsdt, xsdt, tables[3];
	size_t count = 0;
	uint8_t *rsdp;

	if (vcpus == 0 || vcpus > VM_VCPUS_MAX)
		return err_set(err, -EINVAL, "ACPI: %u vCPUs, expected 1 to %u", vcpus,
			       (unsigned int)VM_VCPUS_MAX);
	w.buf = guest_memory_at(memory, BOOT_ACPI_GPA, BOOT_ACPI_MAX);
	if (!w.buf)
		return err_set(err, -ENOSPC, "ACPI: no guest memory at 0x%llx", BOOT_ACPI_GPA);

	/* The RSDP is where a kernel scans for it, and what boot_params points to. */
	rsdp = le_room(&w, RSDP_BYTES);
	facs = write_facs(&w);
	dsdt = write_dsdt(&w, vmgenid);
	tables[count++] = write_fadt(&w, facs, dsdt);
	tables[count++] = write_madt(&w, vcpus);
	if (memory->bytes >= GUEST_HOT_END)
		tables[count++] = write_srat(&w, vcpus, memory->bytes);
	xsdt = write_xsdt(&w, tables, count);
	if (w.bad)
		return err_set(err, -EOVERFLOW, "ACPI: the tables exceed %u bytes", BOOT_ACPI_MAX);
	write_rsdp(rsdp, xsdt);
	return 0;
}
