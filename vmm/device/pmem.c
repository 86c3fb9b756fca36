/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's device: a modern virtio-pci function (virtio 1.2, section 4.1) of type persistent
 * memory (section 5.19), which says where in the guest's physical address space the image lies.
 * Reading it needs no device at all: the guest maps it.
 *
 * All structures are in BAR0. There is no MSI-X: the queue exists for flushes, which a read-only
 * file system never asks for, so INTx is enough. Left out, against 4.1.4.9.1: access to BAR0
 * through configuration space, which is for firmware that cannot map memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "boot/boot.h"
#include "device.h"
#include "device/virtq.h"
#include "lumper.h"

#define PMEM_ID 0x105b1af4u	   /* 0x1040 + 27 */
#define PMEM_CLASS 0x00ff0001u	   /* no class; revision 1: not transitional */
#define PMEM_SUBSYSTEM 0x11001af4u
#define PMEM_BAR_GPA (PCI_WINDOW_START + 0x1000)
#define PMEM_BAR_BYTES 4096u
#define STATUS_CAPABILITIES (1u << 20) /* of the PCI status register, in the command's word */
#define COMMAND_MEMORY 2u
#define PIN_INTA (1u << 8)

#define FEATURE_VERSION_1 (1ull << 32)
#define FEATURES FEATURE_VERSION_1
#define NO_VECTOR 0xffffu
#define ISR_QUEUE 1u
#define ISR_CONFIG 2u

/* Device status, section 2.1. */
enum {
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
};

/* Where the structures are in BAR0, and how many bytes each has. */
enum {
	COMMON_OFFSET = 0x000,
	COMMON_BYTES = 56,
	ISR_OFFSET = 0x100,
	ISR_BYTES = 1,
	DEVICE_OFFSET = 0x200,
	DEVICE_BYTES = 16,
	NOTIFY_OFFSET = 0x300,
	NOTIFY_BYTES = 2,
};

/* Section 5.19.6: requests and their answers. */
#define REQUEST_FLUSH 0u
#define RESPONSE_OK 0u
#define RESPONSE_ERROR 0xffffffffu

struct pmem {
	struct device device;
	struct pci_function function;
	const struct guest_memory *memory; /* borrowed */
	irq_set_fn irq_set;
	void *irq_context;

	uint64_t image_bytes; /* what is mapped; 0: no image */
	uint8_t status, isr;
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	uint16_t queue_select;
	struct virtq queue;
};

static void reset(struct pmem *pmem)
{
	bool raised = pmem->isr;

	*pmem = (struct pmem){
		.device = pmem->device,
		.function = pmem->function,
		.memory = pmem->memory,
		.irq_set = pmem->irq_set,
		.irq_context = pmem->irq_context,
		.image_bytes = pmem->image_bytes,
	};
	virtq_reset(&pmem->queue);
	if (raised)
		pmem->irq_set(pmem->irq_context, false);
}

static void raise_interrupt(struct pmem *pmem, uint8_t reason)
{
	pmem->isr |= reason;
	pmem->irq_set(pmem->irq_context, true);
}

static uint8_t read_isr(struct pmem *pmem)
{
	uint8_t isr = pmem->isr;

	pmem->isr = 0;
	if (isr)
		pmem->irq_set(pmem->irq_context, false);
	return isr;
}

/* The driver has broken the queue. Nothing happens any more until it resets the device. */
static void give_up(struct pmem *pmem)
{
	pmem->status |= STATUS_NEEDS_RESET;
	raise_interrupt(pmem, ISR_CONFIG);
}

/* --- queue -------------------------------------------------------------------------------- */

/* There is nothing to flush: the image cannot be written. Returns how many bytes were answered;
 * none to a chain that is not request and response. */
static uint32_t answer(struct pmem *pmem, const struct virtq_chain *chain)
{
	const struct virtq_buffer *request = &chain->buffers[0];
	const struct virtq_buffer *response = &chain->buffers[chain->count - 1];
	uint32_t type, result;
	const uint8_t *from = guest_memory_at(pmem->memory, request->gpa, sizeof(type));
	uint8_t *to = guest_memory_at(pmem->memory, response->gpa, sizeof(result));

	if (request->writable || request->bytes < sizeof(type) || !response->writable ||
	    response->bytes < sizeof(result) || !from || !to)
		return 0;
	memcpy(&type, from, sizeof(type));
	result = type == REQUEST_FLUSH ? RESPONSE_OK : RESPONSE_ERROR;
	memcpy(to, &result, sizeof(result));
	return sizeof(result);
}

/* Bounded by the ring's size, twice: chains, and descriptors of each. Another vCPU that makes more
 * available meanwhile has to notify, too. */
static int serve_queue(struct pmem *pmem)
{
	int count = virtq_available(&pmem->queue, pmem->memory);

	for (int i = 0; i < count; i++) {
		struct virtq_chain chain;
		int r = virtq_take(&pmem->queue, pmem->memory, &chain);

		if (r < 0)
			return r;
		virtq_give(&pmem->queue, pmem->memory, chain.head, answer(pmem, &chain));
	}
	return count;
}

static void notify(struct pmem *pmem, uint16_t queue)
{
	const uint8_t ready = STATUS_FEATURES_OK | STATUS_DRIVER_OK;
	int r;

	if (queue != 0 || !pmem->queue.enabled ||
	    (pmem->status & (ready | STATUS_NEEDS_RESET)) != ready)
		return;
	r = serve_queue(pmem);
	if (r < 0)
		give_up(pmem);
	else if (r > 0 && virtq_wants_interrupt(&pmem->queue, pmem->memory))
		raise_interrupt(pmem, ISR_QUEUE);
}

/* --- common configuration (4.1.4.3) -------------------------------------------------------- */

/* A field is only reached whole, by an access of its own width; 64-bit addresses by halves. */
#define FIELD(offset, bytes) ((offset) << 4 | (bytes))

enum common_field {
	DEVICE_FEATURE_SELECT = FIELD(0, 4),
	DEVICE_FEATURE = FIELD(4, 4),
	DRIVER_FEATURE_SELECT = FIELD(8, 4),
	DRIVER_FEATURE = FIELD(12, 4),
	CONFIG_MSIX_VECTOR = FIELD(16, 2),
	NUM_QUEUES = FIELD(18, 2),
	DEVICE_STATUS = FIELD(20, 1),
	CONFIG_GENERATION = FIELD(21, 1),
	QUEUE_SELECT = FIELD(22, 2),
	QUEUE_SIZE = FIELD(24, 2),
	QUEUE_MSIX_VECTOR = FIELD(26, 2),
	QUEUE_ENABLE = FIELD(28, 2),
	QUEUE_NOTIFY_OFF = FIELD(30, 2),
	QUEUE_DESC_LOW = FIELD(32, 4),
	QUEUE_DESC_HIGH = FIELD(36, 4),
	QUEUE_DRIVER_LOW = FIELD(40, 4),
	QUEUE_DRIVER_HIGH = FIELD(44, 4),
	QUEUE_DEVICE_LOW = FIELD(48, 4),
	QUEUE_DEVICE_HIGH = FIELD(52, 4),
};

static uint32_t half(uint64_t value, bool high)
{
	return (uint32_t)(high ? value >> 32 : value);
}

static void set_half(uint64_t *value, bool high, uint32_t part)
{
	*value = high ? (*value & 0xffffffff) | (uint64_t)part << 32 :
			(*value & ~0xffffffffull) | part;
}

/* Of a feature word beyond the second there is nothing. */
static uint32_t feature_word(uint64_t features, uint32_t select)
{
	return select < 2 ? half(features, select == 1) : 0;
}

static uint32_t read_queue_field(const struct virtq *queue, enum common_field field)
{
	switch (field) {
	case QUEUE_SIZE:
		return queue->size;
	case QUEUE_ENABLE:
		return queue->enabled;
	case QUEUE_DESC_LOW:
	case QUEUE_DESC_HIGH:
		return half(queue->desc, field == QUEUE_DESC_HIGH);
	case QUEUE_DRIVER_LOW:
	case QUEUE_DRIVER_HIGH:
		return half(queue->driver, field == QUEUE_DRIVER_HIGH);
	case QUEUE_DEVICE_LOW:
	case QUEUE_DEVICE_HIGH:
		return half(queue->device, field == QUEUE_DEVICE_HIGH);
	default:
		return 0;
	}
}

static uint32_t read_common(const struct pmem *pmem, enum common_field field)
{
	switch (field) {
	case DEVICE_FEATURE_SELECT:
		return pmem->device_feature_select;
	case DEVICE_FEATURE:
		return feature_word(FEATURES, pmem->device_feature_select);
	case DRIVER_FEATURE_SELECT:
		return pmem->driver_feature_select;
	case DRIVER_FEATURE:
		return feature_word(pmem->driver_features, pmem->driver_feature_select);
	case CONFIG_MSIX_VECTOR:
	case QUEUE_MSIX_VECTOR:
		return NO_VECTOR;
	case NUM_QUEUES:
		return 1;
	case DEVICE_STATUS:
		return pmem->status;
	case CONFIG_GENERATION: /* changes with the one change that there is */
		return pmem->image_bytes != 0;
	case QUEUE_SELECT:
		return pmem->queue_select;
	default: /* the second queue on has size 0: is not there */
		return pmem->queue_select == 0 ? read_queue_field(&pmem->queue, field) : 0;
	}
}

/* Features are fixed once they are agreed upon, a queue's places once it is enabled. */
static void write_queue_field(struct pmem *pmem, enum common_field field, uint32_t value)
{
	struct virtq *queue = &pmem->queue;

	if (queue->enabled)
		return;
	switch (field) {
	case QUEUE_SIZE:
		if (virtq_size_is_valid(value))
			queue->size = (uint16_t)value;
		break;
	case QUEUE_ENABLE:
		if (value == 1 && virtq_enable(queue, pmem->memory) < 0)
			give_up(pmem);
		break;
	case QUEUE_DESC_LOW:
	case QUEUE_DESC_HIGH:
		set_half(&queue->desc, field == QUEUE_DESC_HIGH, value);
		break;
	case QUEUE_DRIVER_LOW:
	case QUEUE_DRIVER_HIGH:
		set_half(&queue->driver, field == QUEUE_DRIVER_HIGH, value);
		break;
	case QUEUE_DEVICE_LOW:
	case QUEUE_DEVICE_HIGH:
		set_half(&queue->device, field == QUEUE_DEVICE_HIGH, value);
		break;
	default:
		break;
	}
}

/* The driver adds bits; 0 resets. Features that are not what was offered are not agreed upon. */
static void write_status(struct pmem *pmem, uint8_t value)
{
	bool agreed = pmem->driver_features == FEATURES;

	if (value == 0) {
		reset(pmem);
		return;
	}
	if (!agreed)
		value &= (uint8_t)~STATUS_FEATURES_OK;
	pmem->status = value | (pmem->status & STATUS_NEEDS_RESET);
}

static void write_common(struct pmem *pmem, enum common_field field, uint32_t value)
{
	switch (field) {
	case DEVICE_FEATURE_SELECT:
		pmem->device_feature_select = value;
		break;
	case DRIVER_FEATURE_SELECT:
		pmem->driver_feature_select = value;
		break;
	case DRIVER_FEATURE:
		if (!(pmem->status & STATUS_FEATURES_OK) && pmem->driver_feature_select < 2)
			set_half(&pmem->driver_features, pmem->driver_feature_select == 1, value);
		break;
	case DEVICE_STATUS:
		write_status(pmem, (uint8_t)value);
		break;
	case QUEUE_SELECT:
		pmem->queue_select = (uint16_t)value;
		break;
	default:
		if (pmem->queue_select == 0)
			write_queue_field(pmem, field, value);
	}
}

/* --- BAR0 --------------------------------------------------------------------------------- */

/* Start and size (5.19.4), in accesses of any width. */
static void read_config(const struct pmem *pmem, uint64_t offset, uint8_t *data,
			unsigned int bytes)
{
	const uint64_t config[DEVICE_BYTES / 8] = { GUEST_IMAGE_GPA, pmem->image_bytes };

	for (unsigned int i = 0; i < bytes && offset + i < sizeof(config); i++)
		data[i] = ((const uint8_t *)config)[offset + i];
}

static void pmem_read(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
		      unsigned int bytes)
{
	struct pmem *pmem = (struct pmem *)device;
	uint32_t value;

	(void)region;
	memset(data, 0, bytes);
	if (offset < COMMON_BYTES && bytes <= sizeof(value)) {
		value = read_common(pmem, FIELD((unsigned int)offset, bytes));
		memcpy(data, &value, bytes);
	} else if (offset == ISR_OFFSET) {
		data[0] = read_isr(pmem);
	} else if (offset >= DEVICE_OFFSET && offset < DEVICE_OFFSET + DEVICE_BYTES) {
		read_config(pmem, offset - DEVICE_OFFSET, data, bytes);
	}
}

static bool pmem_write(struct device *device, unsigned int region, uint64_t offset,
		       const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	struct pmem *pmem = (struct pmem *)device;
	uint32_t value = 0;

	(void)region;
	(void)event;
	if (bytes > sizeof(value))
		return false;
	memcpy(&value, data, bytes);
	if (offset < COMMON_BYTES)
		write_common(pmem, FIELD((unsigned int)offset, bytes), value);
	else if (offset == NOTIFY_OFFSET && bytes == NOTIFY_BYTES)
		notify(pmem, (uint16_t)value);
	return false;
}

/* --- state -------------------------------------------------------------------------------- */

static void pmem_save(const struct device *device, struct le_writer *writer)
{
	const struct pmem *pmem = (const struct pmem *)device;

	le_put(writer, pmem->image_bytes, 8);
	le_put(writer, pmem->status, 1);
	le_put(writer, pmem->isr, 1);
	le_put(writer, pmem->device_feature_select, 4);
	le_put(writer, pmem->driver_feature_select, 4);
	le_put(writer, pmem->driver_features, 8);
	le_put(writer, pmem->queue_select, 2);
	virtq_save(&pmem->queue, writer);
}

/* A guest that has mounted an image must find that one again. One that has not takes any. */
static int pmem_check(const struct device *device, struct le_reader reader, struct err *err)
{
	const struct pmem *pmem = (const struct pmem *)device;
	uint64_t bytes = le_get(&reader, 8);

	if (bytes == 0 || bytes == pmem->image_bytes)
		return 0;
	if (pmem->image_bytes == 0)
		return err_set(err, -EINVAL,
			       "the snapshot has an image of %llu bytes, this VM has none",
			       (unsigned long long)bytes);
	return err_set(err, -EINVAL, "the snapshot has an image of %llu bytes, this VM one of %llu",
		       (unsigned long long)bytes, (unsigned long long)pmem->image_bytes);
}

/* The interrupt line is the irqchip's state. */
static int pmem_load(struct device *device, struct le_reader *reader)
{
	struct pmem *pmem = (struct pmem *)device;
	struct virtq queue;

	(void)le_get(reader, 8); /* pmem_check has seen it */
	pmem->status = (uint8_t)le_get(reader, 1);
	pmem->isr = (uint8_t)le_get(reader, 1) & (ISR_QUEUE | ISR_CONFIG);
	pmem->device_feature_select = (uint32_t)le_get(reader, 4);
	pmem->driver_feature_select = (uint32_t)le_get(reader, 4);
	pmem->driver_features = le_get(reader, 8);
	pmem->queue_select = (uint16_t)le_get(reader, 2);
	if (virtq_load(&queue, pmem->memory, reader) < 0 ||
	    ((pmem->status & STATUS_FEATURES_OK) && pmem->driver_features != FEATURES))
		return -EINVAL;
	pmem->queue = queue;
	return 0;
}

static void pmem_free(struct device *device)
{
	free(device);
}

static const struct device_ops pmem_ops = {
	.name = "virtio-pmem",
	.version = 1,
	.read = pmem_read,
	.write = pmem_write,
	.save = pmem_save,
	.check = pmem_check,
	.load = pmem_load,
	.free = pmem_free,
};

/* --- configuration space ------------------------------------------------------------------- */

enum {
	CAPABILITY_VENDOR = 0x09,
	CAPABILITY_BYTES = 16,
	CAPABILITY_NOTIFY_BYTES = 20,
};

/* Numbers of 32-bit words in configuration space: one 16-byte capability after the other. */
enum { WORD_CAPABILITIES = 16, WORD_NOTIFY = 28 };

/* The first word of a structure's capability (4.1.4), and its place in BAR 0. `next` is 0 for the
 * last. */
#define CAPABILITY(next, bytes, type, offset, length)                             \
	CAPABILITY_VENDOR | (next) << 8 | (bytes) << 16 | (uint32_t)(type) << 24, \
		0, (offset), (length)

static const uint32_t capabilities[] = {
	CAPABILITY(0x50, CAPABILITY_BYTES, 1, COMMON_OFFSET, COMMON_BYTES),
	CAPABILITY(0x60, CAPABILITY_BYTES, 3, ISR_OFFSET, ISR_BYTES),
	CAPABILITY(0x70, CAPABILITY_BYTES, 4, DEVICE_OFFSET, DEVICE_BYTES),
	CAPABILITY(0, CAPABILITY_NOTIFY_BYTES, 2, NOTIFY_OFFSET, NOTIFY_BYTES),
	0, /* every queue's notification is at the same place */
};

static const struct pci_function pmem_function = {
	.config = {
		[0] = PMEM_ID,
		[1] = COMMAND_MEMORY | STATUS_CAPABILITIES,
		[2] = PMEM_CLASS,
		[4] = (uint32_t)PMEM_BAR_GPA,
		[11] = PMEM_SUBSYSTEM,
		[13] = WORD_CAPABILITIES * 4,
		[15] = PIN_INTA | PCI_INTX_GSI,
	},
	.writable = {
		[1] = 7,
		[3] = 0xff,
		[4] = ~(PMEM_BAR_BYTES - 1),
		[15] = 0xff,
	},
};

struct pmem *pmem_new(struct device_bus *bus, struct pci *pci, const struct guest_memory *memory,
		      irq_set_fn irq_set, void *irq_context)
{
	struct pmem *pmem = calloc(1, sizeof(*pmem));

	if (!pmem)
		return NULL;
	*pmem = (struct pmem){
		.device.ops = &pmem_ops,
		.function = pmem_function,
		.memory = memory,
		.irq_set = irq_set,
		.irq_context = irq_context,
	};
	memcpy(&pmem->function.config[WORD_CAPABILITIES], capabilities, sizeof(capabilities));
	virtq_reset(&pmem->queue);
	bus_add_device(bus, &pmem->device);
	pmem->function.bar0 = bus_add_region(bus, &pmem->device, BUS_MMIO, 0, PMEM_BAR_GPA,
					     PMEM_BAR_BYTES);
	pci_add(pci, PMEM_PCI_SLOT, &pmem->function);
	return pmem;
}

void pmem_set_image(struct pmem *pmem, uint64_t bytes)
{
	pmem->image_bytes = bytes;
}
