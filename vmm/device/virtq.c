/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split virtqueue: a table of descriptors, the ring of chains that the driver offers and the
 * ring of those that the device gives back. Every address and index comes from the guest: each is
 * copied once and the copy checked, and memory is only reached through guest_memory_at.
 */
#include "device/virtq.h"

#include <errno.h>
#include <string.h>

/* Section 2.7: alignment and layout of the three parts. */
enum {
	DESC_ALIGN = 16,
	DESC_BYTES = 16,
	DRIVER_ALIGN = 2,
	DEVICE_ALIGN = 4,
	RING_FLAGS = 0,
	RING_INDEX = 2,
	RING_ENTRIES = 4,
	AVAIL_ENTRY_BYTES = 2,
	USED_ENTRY_BYTES = 8,
};

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_KNOWN (DESC_NEXT | DESC_WRITE)
#define AVAIL_NO_INTERRUPT 1u

struct virtq_desc {
	uint64_t gpa;
	uint32_t bytes;
	uint16_t flags, next;
};

static bool part_is_valid(const struct guest_memory *memory, uint64_t gpa, uint64_t align,
			  uint64_t bytes)
{
	return gpa % align == 0 && guest_memory_has(memory, gpa, bytes);
}

/* Nothing is touched: a state may be loaded into memory that is not all there yet. The optional
 * event words behind the rings are not offered, so nothing of them is used. */
static bool is_placed(const struct virtq *queue, const struct guest_memory *memory)
{
	uint64_t n = queue->size;

	return part_is_valid(memory, queue->desc, DESC_ALIGN, n * DESC_BYTES) &&
	       part_is_valid(memory, queue->driver, DRIVER_ALIGN,
			     RING_ENTRIES + n * AVAIL_ENTRY_BYTES) &&
	       part_is_valid(memory, queue->device, DEVICE_ALIGN,
			     RING_ENTRIES + n * USED_ENTRY_BYTES);
}

/* Reads once, whatever another vCPU does meanwhile. The alignment was checked with the ring's. */
static uint16_t driver_word(const struct virtq *queue, const struct guest_memory *memory,
			    uint64_t offset)
{
	const uint16_t *word = guest_memory_at(memory, queue->driver + offset, sizeof(*word));

	return word ? __atomic_load_n(word, __ATOMIC_ACQUIRE) : 0;
}

static int desc_read(const struct virtq *queue, const struct guest_memory *memory, uint16_t index,
		     struct virtq_desc *ret_desc)
{
	const uint8_t *at;

	if (index >= queue->size)
		return -EPROTO;
	at = guest_memory_at(memory, queue->desc + (uint64_t)index * DESC_BYTES, DESC_BYTES);
	if (!at)
		return -EPROTO;
	memcpy(ret_desc, at, sizeof(*ret_desc));
	return ret_desc->flags & ~DESC_KNOWN ? -EPROTO : 0;
}

void virtq_reset(struct virtq *queue)
{
	*queue = (struct virtq){ .size = VIRTQ_SIZE_MAX };
}

bool virtq_size_is_valid(uint64_t size)
{
	return size > 0 && size <= VIRTQ_SIZE_MAX && (size & (size - 1)) == 0;
}

int virtq_enable(struct virtq *queue, const struct guest_memory *memory)
{
	if (!is_placed(queue, memory))
		return -EINVAL;
	queue->enabled = true;
	return 0;
}

int virtq_available(const struct virtq *queue, const struct guest_memory *memory)
{
	uint16_t count = (uint16_t)(driver_word(queue, memory, RING_INDEX) - queue->next_avail);

	return count > queue->size ? -EPROTO : count;
}

int virtq_take(struct virtq *queue, const struct guest_memory *memory,
	       struct virtq_chain *ret_chain)
{
	uint64_t slot = queue->next_avail % queue->size;
	struct virtq_desc desc = { .flags = DESC_NEXT };

	desc.next = driver_word(queue, memory, RING_ENTRIES + slot * AVAIL_ENTRY_BYTES);
	ret_chain->head = desc.next;
	ret_chain->count = 0;
	while (desc.flags & DESC_NEXT) {
		/* A chain that is longer than the table has a circle in it. */
		if (ret_chain->count == queue->size ||
		    desc_read(queue, memory, desc.next, &desc) < 0)
			return -EPROTO;
		ret_chain->buffers[ret_chain->count++] = (struct virtq_buffer){
			.gpa = desc.gpa,
			.bytes = desc.bytes,
			.writable = desc.flags & DESC_WRITE,
		};
	}
	queue->next_avail++;
	return 0;
}

/* The entry comes before the index that announces it: the driver reads them the other way round. */
void virtq_give(struct virtq *queue, const struct guest_memory *memory, uint16_t head,
		uint32_t bytes)
{
	const uint32_t entry[] = { head, bytes };
	uint64_t slot = queue->next_used % queue->size;
	uint8_t *to = guest_memory_at(memory, queue->device + RING_ENTRIES + slot * sizeof(entry),
				      sizeof(entry));
	uint16_t *index = guest_memory_at(memory, queue->device + RING_INDEX, sizeof(*index));

	if (!to || !index)
		return;
	memcpy(to, entry, sizeof(entry));
	__atomic_store_n(index, ++queue->next_used, __ATOMIC_RELEASE);
}

/* The index must be visible before the flag is read, or both sides could wait for the other. */
bool virtq_wants_interrupt(const struct virtq *queue, const struct guest_memory *memory)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(driver_word(queue, memory, RING_FLAGS) & AVAIL_NO_INTERRUPT);
}

void virtq_save(const struct virtq *queue, struct le_writer *writer)
{
	le_put(writer, queue->size, 2);
	le_put(writer, queue->enabled, 1);
	le_put(writer, queue->next_avail, 2);
	le_put(writer, queue->next_used, 2);
	le_put(writer, queue->desc, 8);
	le_put(writer, queue->driver, 8);
	le_put(writer, queue->device, 8);
}

int virtq_load(struct virtq *queue, const struct guest_memory *memory, struct le_reader *reader)
{
	struct virtq loaded = { .size = (uint16_t)le_get(reader, 2) };
	uint64_t enabled = le_get(reader, 1);

	loaded.next_avail = (uint16_t)le_get(reader, 2);
	loaded.next_used = (uint16_t)le_get(reader, 2);
	loaded.desc = le_get(reader, 8);
	loaded.driver = le_get(reader, 8);
	loaded.device = le_get(reader, 8);
	if (reader->bad || enabled > 1 || !virtq_size_is_valid(loaded.size))
		return -EINVAL;
	if (enabled && virtq_enable(&loaded, memory) < 0)
		return -EINVAL;
	*queue = loaded;
	return 0;
}
