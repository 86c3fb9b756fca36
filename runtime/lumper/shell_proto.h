/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quark and a lumper shell say to each other.
 *
 * A shell is a jailed lumper process with an empty VM. It inherits two descriptors: a
 * SOCK_SEQPACKET socket, on which one datagram is one order or one reply, and the mailbox memfd
 * (2 MiB, mapped by the caller too), through which all payloads travel. Both ends are of one build:
 * the structs go over the socket as they are, with a version that must match.
 *
 * The caller fills the mailbox header before it orders SHELL_PARK or SHELL_RUN.
 */
#pragma once

#include <stdint.h>

#include "snapshot.h"

#define SHELL_PROTO_VERSION 4u

/* Bits of `op`, carried out in this order within one message. */
enum shell_op {
	SHELL_LOAD = 1, /* fds: memory layer, state, and those of `files`, in the order of bits */
	SHELL_PARK = 2, /* run until the guest is back at READY */
	SHELL_RUN = 4,	/* run until DONE or FAILED */
	SHELL_EXIT = 8,
	SHELL_COUNT = 16, /* alone: report the counters since HELLO */
};

enum shell_file {
	SHELL_FILE_WORKING_SET = 1,
	SHELL_FILE_BASE = 2,
	SHELL_FILE_IMAGE = 4,
	SHELL_FILE_PACK = 8, /* a memfd: pack_new */
};

enum { SHELL_FDS_MAX = 6 };

/* The datagram ends behind the last extent; without LOAD and SHELL_FILE_BASE there is none. */
struct shell_order {
	uint32_t version;
	uint32_t op;
	uint64_t sequence; /* comes back in the reply */
	uint32_t files;	   /* bits of enum shell_file */
	uint32_t extent_count;
	uint64_t image_bytes;
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
};

enum shell_reply_kind {
	SHELL_HELLO = 1, /* the VM is there and the jail is shut */
	SHELL_LOADED,
	SHELL_PARKED,
	SHELL_DONE,
	SHELL_FAILED,	 /* the function failed: its message is the response */
	SHELL_LOG,	 /* text; more replies follow */
	SHELL_COUNTED,	 /* exits, faults */
	SHELL_DIED,	 /* the guest ended without answering: event, text */
	SHELL_ERROR,	 /* the order could not be carried out: code, text */
};

/* CLOCK_MONOTONIC at the points between the stages, 0 where a stage was not passed. */
enum shell_stamp {
	SHELL_AT_START,	   /* HELLO: main() entered. Else: the order was received */
	SHELL_AT_VM,	   /* HELLO: VM created */
	SHELL_AT_MEMORY,   /* memory mapped */
	SHELL_AT_STATE,	   /* state loaded */
	SHELL_AT_DOORBELL, /* first run ended at the doorbell */
	SHELL_STAMPS,
};

enum { SHELL_TEXT_MAX = 4096 };

struct shell_reply {
	uint32_t version;
	uint32_t kind;	/* enum shell_reply_kind */
	int32_t code;	/* -errno for SHELL_ERROR */
	uint32_t event; /* enum vm_event_kind for SHELL_DIED */
	uint64_t sequence;
	uint64_t stamps[SHELL_STAMPS];
	uint32_t response_offset, response_bytes; /* copied from the mailbox and checked */
	uint64_t exits, faults; /* SHELL_COUNTED: struct vm_counters */
	uint32_t text_bytes;	/* of `text`; the datagram ends behind them */
	uint32_t reserved;
	char text[SHELL_TEXT_MAX];
};
