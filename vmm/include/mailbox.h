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
#define MAILBOX_VERSION 2u

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

/* What the host asks of the guest that returns from a READY or DONE store. FILE and CREATE are for
 * PID 1 before it has a container, SLEEP is for a function that wakes through run0, GATHER for PID
 * 1 while that sleeps. */
enum mailbox_order {
	MAILBOX_ORDER_NONE = 0,	   /* nothing: ring READY again */
	MAILBOX_ORDER_REQUEST = 1, /* request_offset/request_bytes hold a request */
	MAILBOX_ORDER_PARK = 2,	   /* touch the listed pages, then ring READY again */
	MAILBOX_ORDER_FILE = 3,	   /* request_* hold a struct mailbox_file: write it, ring READY */
	MAILBOX_ORDER_CREATE = 4,  /* request_* hold a struct mailbox_create: make and start the
				    * container. READY once the function is at next(), or FAILED */
	MAILBOX_ORDER_SLEEP = 5,   /* go back to where run0 wakes the function: run0 rings READY */
	MAILBOX_ORDER_GATHER = 6,  /* request_* hold a GATHER list: move its pages to hot memory,
				    * ring READY again */
};

/* A piece of a file of the function, in request_*: this struct, the path (path_bytes, no NUL,
 * relative to the container's root, made with its folders), then data_bytes of contents. */
struct mailbox_file {
	uint32_t mode;	     /* type and permissions: S_IFREG, S_IFDIR or S_IFLNK (data: target) */
	uint32_t path_bytes; /* 1 to 4095 */
	uint64_t offset;     /* of the data in the file; 0 begins it anew */
	uint32_t data_bytes;
	uint32_t owner; /* uid and gid */
};

/* In request_*: this struct, then config_bytes of an OCI config.json. */
struct mailbox_create {
	uint32_t flags;
	uint32_t config_bytes;
};
#define MAILBOX_CREATE_IMAGE 1u	     /* the image is the root, under a writable overlay */
#define MAILBOX_CREATE_DIRECT 2u     /* the function itself stops at the doorbell (wake "direct") */
#define MAILBOX_CREATE_NO_IDENTITY 4u /* for tests: leave out every duty of the wake */

/* An entry of the GATHER list, a uint64_t: the guest-physical address of a page, in ascending
 * order, bit 0 set when it is of the image and a copy of it has to be moved. */
#define MAILBOX_GATHER_COPY 1ull

/* The word between run0 and the function, on which either waits (futex). A fresh mailbox says
 * ASLEEP. */
enum mailbox_wake {
	MAILBOX_WAKE_ASLEEP = 0,
	MAILBOX_WAKE_ARRIVED = 1, /* the function: it is at next() and will sleep */
	MAILBOX_WAKE_GO = 2,	  /* run0: the clone is unique, take the order */
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

	uint32_t wake; /* enum mailbox_wake: guest only, the host neither reads nor writes it */
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
/* "run0" or "direct": who stops at the doorbell for the snapshot. Absent: direct. */
#define QUARK_ENV_WAKE "QUARK_WAKE"

/* PCI identity of the doorbell device, as ivshmem's: sysfs finds it at this address. */
#define DOORBELL_PCI_VENDOR 0x1af4u
#define DOORBELL_PCI_DEVICE 0x1110u
#define DOORBELL_SYSFS "/sys/bus/pci/devices/0000:00:01.0/resource0"
#define DOORBELL_BAR_BYTES 4096u
