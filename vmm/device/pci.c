/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI bus 0 through configuration mechanism 1 (PCI Local Bus 3.0, section 3.2.2.3.2): an address
 * latch at 0xcf8 and a data window at 0xcfc.
 *
 * A function is its configuration space and a mask of the bits that the guest may change; BAR
 * sizing needs nothing else. When BAR0 or the command register change, the function's bus region
 * follows.
 */
#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "lumper.h"

enum { REGION_ADDRESS, REGION_DATA, PCI_SLOTS = 32 };

#define CONFIG_ADDRESS_PORT 0xcf8u
#define CONFIG_DATA_PORT 0xcfcu
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_SLOT(address) (((address) >> 11) & 31u)
#define ADDRESS_BUS_AND_FUNCTION 0x00ff0700u
#define ADDRESS_WORD(address) (((address) >> 2) & 63u)

enum { WORD_ID = 0, WORD_COMMAND = 1, WORD_CLASS = 2, WORD_BAR0 = 4 };
#define COMMAND_MEMORY 2u
#define BAR_ADDRESS_MASK 0xfffffff0u

#define HOST_BRIDGE_ID 0x12378086u
#define HOST_BRIDGE_CLASS 0x06000002u

struct pci {
	struct device device;
	uint32_t address;
	struct pci_function host_bridge;
	struct pci_function *functions[PCI_SLOTS]; /* borrowed from their devices */
};

static struct pci_function *addressed(struct pci *pci)
{
	if (!(pci->address & ADDRESS_ENABLE) || (pci->address & ADDRESS_BUS_AND_FUNCTION))
		return NULL;
	return pci->functions[ADDRESS_SLOT(pci->address)];
}

/* The latch answers 32-bit accesses only; narrower ones are other devices' (0xcf9). */
static void pci_read(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
		     unsigned int bytes)
{
	struct pci *pci = (struct pci *)device;
	const struct pci_function *function;
	uint32_t value = 0xffffffff;

	if (region == REGION_ADDRESS) {
		if (bytes == 4)
			memcpy(data, &pci->address, 4);
		return;
	}
	function = addressed(pci);
	if (function)
		value = function->config[ADDRESS_WORD(pci->address)];
	for (unsigned int i = 0; i < bytes && offset + i < 4; i++)
		data[i] = (uint8_t)(value >> ((offset + i) * 8));
}

static void move_region(const struct pci_function *function)
{
	struct bus_region *region = function->bar0;

	if (!region)
		return;
	region->base = function->config[WORD_BAR0] & BAR_ADDRESS_MASK;
	region->enabled = function->config[WORD_COMMAND] & COMMAND_MEMORY;
}

static bool pci_write(struct device *device, unsigned int region, uint64_t offset,
		      const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	struct pci *pci = (struct pci *)device;
	struct pci_function *function;
	unsigned int word;
	uint32_t value, mask = 0;

	(void)event;
	if (region == REGION_ADDRESS) {
		if (bytes == 4)
			memcpy(&pci->address, data, 4);
		return false;
	}
	function = addressed(pci);
	if (!function)
		return false;
	word = ADDRESS_WORD(pci->address);
	value = function->config[word];
	for (unsigned int i = 0; i < bytes && offset + i < 4; i++) {
		unsigned int shift = (unsigned int)(offset + i) * 8;

		value = (value & ~(0xffu << shift)) | ((uint32_t)data[i] << shift);
		mask |= 0xffu << shift;
	}
	mask &= function->writable[word];
	function->config[word] = (function->config[word] & ~mask) | (value & mask);
	move_region(function);
	return false;
}

static void pci_save(const struct device *device, struct le_writer *writer)
{
	const struct pci *pci = (const struct pci *)device;

	le_put(writer, pci->address, 4);
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		const struct pci_function *function = pci->functions[slot];

		if (!function)
			continue;
		for (unsigned int word = 0; word < PCI_CONFIG_WORDS; word++)
			if (function->writable[word])
				le_put(writer, function->config[word], 4);
	}
}

static int pci_load(struct device *device, struct le_reader *reader)
{
	struct pci *pci = (struct pci *)device;

	pci->address = (uint32_t)le_get(reader, 4);
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_function *function = pci->functions[slot];

		if (!function)
			continue;
		for (unsigned int word = 0; word < PCI_CONFIG_WORDS; word++) {
			uint32_t mask = function->writable[word];

			if (mask)
				function->config[word] = (function->config[word] & ~mask) |
							 ((uint32_t)le_get(reader, 4) & mask);
		}
		move_region(function);
	}
	return 0;
}

static void pci_free(struct device *device)
{
	free(device);
}

static const struct device_ops pci_ops = {
	.name = "pci",
	.version = 2, /* 2: with the pmem function */
	.read = pci_read,
	.write = pci_write,
	.save = pci_save,
	.load = pci_load,
	.free = pci_free,
};

void pci_add(struct pci *pci, unsigned int slot, struct pci_function *function)
{
	pci->functions[slot] = function;
	move_region(function);
}

struct pci *pci_new(struct device_bus *bus)
{
	struct pci *pci = calloc(1, sizeof(*pci));

	if (!pci)
		return NULL;
	pci->device.ops = &pci_ops;
	pci->host_bridge.config[WORD_ID] = HOST_BRIDGE_ID;
	pci->host_bridge.config[WORD_CLASS] = HOST_BRIDGE_CLASS;
	pci_add(pci, 0, &pci->host_bridge);
	bus_add_device(bus, &pci->device);
	(void)bus_add_region(bus, &pci->device, BUS_PIO, REGION_ADDRESS, CONFIG_ADDRESS_PORT, 4);
	(void)bus_add_region(bus, &pci->device, BUS_PIO, REGION_DATA, CONFIG_DATA_PORT, 4);
	return pci;
}
