/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox and the doorbell: everything that host and guest say to each other around a request.
 *
 * The mailbox is one 2 MiB huge page of guest memory, physically contiguous and aligned, that the
 * guest's PID 1 allocates (a hugetlb memfd), pins by its nature and registers once with the host.
 * It is ordinary write-back guest RAM. On the host the same bytes are a shared memfd, mapped over
 * the guest-physical range, so that caller, VMM and function see one memory and nothing is copied
 * on the way. docs/adr/ says why.
 *
 * The doorbell is the register at offset 12 of BAR0 of a PCI function with ivshmem's identity
 * (QEMU docs/specs/ivshmem-spec.txt). A 32-bit store of one of the values below stops the vCPU in
 * user mode.
 *
 * All fields are little-endian. Each side copies what the other side wrote once, then checks the
 * copy. This header is shared with guest code: no dependency but the C standard headers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MAILBOX_MAGIC 0x786f626b72617571ull /* "quarkbox" */
#define MAILBOX_VERSION 1u

#define MAILBOX_BYTES (2u << 20)
#define MAILBOX_SHIFT 21

/* Where payloads go. Small ones share the header's page: a small request touches one page. */
#define MAILBOX_SMALL_REQUEST_OFFSET 1024u
#define MAILBOX_SMALL_REQUEST_MAX 1024u
#define MAILBOX_SMALL_RESPONSE_OFFSET 2048u
#define MAILBOX_SMALL_RESPONSE_MAX 2048u
#define MAILBOX_REQUEST_OFFSET 4096u
#define MAILBOX_REQUEST_MAX ((1u << 20) - 4096u)
#define MAILBOX_RESPONSE_OFFSET (1u << 20)
#define MAILBOX_RESPONSE_MAX ((1u << 20) - 65536u)
#define MAILBOX_LOG_OFFSET (MAILBOX_BYTES - 65536u)
#define MAILBOX_LOG_MAX 4096u

/* What the host asks of the guest that returns from a READY or DONE store. */
enum mailbox_order {
	MAILBOX_ORDER_NONE = 0,	   /* nothing: ring READY again */
	MAILBOX_ORDER_REQUEST = 1, /* request_offset/request_bytes hold a request */
	MAILBOX_ORDER_PARK = 2,	   /* touch the listed pages, then ring READY again */
};

/* An entry of the PARK list: a guest-virtual address of the function, bit 0 set when the page is
 * to be made writable (by adding zero to its first byte atomically) rather than only read. */
#define MAILBOX_TOUCH_WRITE 1ull
#define MAILBOX_TOUCH_MAX 4096u

struct mailbox_header {
	/* Written by the host before the vCPU is entered. */
	uint64_t magic;
	uint32_t version;
	uint32_t order;	     /* enum mailbox_order */
	uint64_t generation; /* a new number for every restored clone, never 0 */
	uint64_t realtime_ns; /* host CLOCK_REALTIME when the order was written */
	uint8_t entropy[64]; /* fresh for every restored clone */
	uint32_t request_offset;
	uint32_t request_bytes;
	uint32_t touch_offset;
	uint32_t touch_count;
	uint64_t sequence; /* number of the order within this clone, from 1 */

	/* Written by the guest before it rings. */
	uint64_t guest_magic;
	uint32_t guest_version;
	uint32_t response_offset;
	uint32_t response_bytes;
	uint32_t log_bytes; /* of the text at MAILBOX_LOG_OFFSET, for DOORBELL_LOG */
	uint64_t guest_sequence; /* the order that the response answers */
};

/* Values of the doorbell register. */
enum doorbell_value {
	DOORBELL_READY = 1,  /* at next(): the snapshot point, and every later wait for work */
	DOORBELL_DONE = 2,   /* response_* hold the response */
	DOORBELL_FAILED = 3, /* response_* hold the function's error message */
	DOORBELL_LOG = 4,    /* log_bytes of text; the guest goes on at once */
	DOORBELL_MAILBOX = 5, /* bits 31..16: its address >> MAILBOX_SHIFT; once, by PID 1 */
};

#define DOORBELL_REGISTER_OFFSET 12u
/* Beyond ivshmem's registers: 8 bytes that read as the host's CLOCK_REALTIME in ns. A guest loses
 * ticks while it boots, before kvmclock is its clocksource; PID 1 sets its clock right by this. */
#define DOORBELL_TIME_OFFSET 16u
#define DOORBELL_VALUE_MASK 0xffffu
#define DOORBELL_ARGUMENT_SHIFT 16

/* How PID 1 tells the function where the two are: environment variables with fd numbers. */
#define QUARK_ENV_DOORBELL_FD "QUARK_DOORBELL_FD"
#define QUARK_ENV_MAILBOX_FD "QUARK_MAILBOX_FD"

/* PCI identity of the doorbell device, as ivshmem's: sysfs finds it at this address. */
#define DOORBELL_PCI_VENDOR 0x1af4u
#define DOORBELL_PCI_DEVICE 0x1110u
#define DOORBELL_SYSFS "/sys/bus/pci/devices/0000:00:01.0/resource0"
#define DOORBELL_BAR_BYTES 4096u
