/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (virtio 1.2, section 2.7) in the memory of a guest that
 * may write whatever it likes there, also while it is read. Pure functions over guest memory.
 * Called under the bus lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "le.h"

enum { VIRTQ_SIZE_MAX = 16 };

struct virtq {
	uint16_t size; /* a power of two, at most VIRTQ_SIZE_MAX */
	bool enabled;  /* only with all three rings aligned and in guest RAM */
	uint16_t next_avail, next_used;
	uint64_t desc, driver, device; /* guest-physical addresses of the rings */
};

struct virtq_buffer {
	uint64_t gpa;
	uint32_t bytes;
	bool writable; /* by the device */
};

struct virtq_chain {
	uint16_t head;
	unsigned int count; /* 1 to VIRTQ_SIZE_MAX */
	struct virtq_buffer buffers[VIRTQ_SIZE_MAX];
};

void virtq_reset(struct virtq *queue);

/* Whether `size` is one that a driver may choose. */
bool virtq_size_is_valid(uint64_t size);

/* Enables the queue, or -EINVAL when its rings are not where rings can be. */
int virtq_enable(struct virtq *queue, const struct guest_memory *memory);

/* How many chains the driver has made available, or -EPROTO: more than the ring holds. */
int virtq_available(const struct virtq *queue, const struct guest_memory *memory);

/* Takes the next of them, a copy. -EPROTO: a chain that leaves the table, runs in a circle or is
 * indirect, which no driver may use here. */
int virtq_take(struct virtq *queue, const struct guest_memory *memory,
	       struct virtq_chain *ret_chain);

/* Returns a chain, into which `bytes` were written. */
void virtq_give(struct virtq *queue, const struct guest_memory *memory, uint16_t head,
		uint32_t bytes);

/* Whether the driver wants to hear of that. */
bool virtq_wants_interrupt(const struct virtq *queue, const struct guest_memory *memory);

void virtq_save(const struct virtq *queue, struct le_writer *writer);
int virtq_load(struct virtq *queue, const struct guest_memory *memory, struct le_reader *reader);
