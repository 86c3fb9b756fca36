/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch of port and memory accesses to devices. Called on vCPU threads.
 */
#include "device.h"

#include <assert.h>

#include "lumper.h"

void bus_init(struct device_bus *bus)
{
	*bus = (struct device_bus){};
	(void)pthread_mutex_init(&bus->lock, NULL);
}

void bus_done(struct device_bus *bus)
{
	for (unsigned int i = 0; i < bus->device_count; i++)
		bus->devices[i]->ops->free(bus->devices[i]);
	(void)pthread_mutex_destroy(&bus->lock);
}

void bus_add_device(struct device_bus *bus, struct device *device)
{
	assert(bus->device_count < BUS_DEVICES_MAX);
	bus->devices[bus->device_count++] = device;
}

struct bus_region *bus_add_region(struct device_bus *bus, struct device *device,
				  enum bus_space space, unsigned int region, uint64_t base,
				  uint64_t bytes)
{
	struct bus_region *added = &bus->regions[bus->region_count];

	assert(bus->region_count < BUS_REGIONS_MAX);
	bus->region_count++;
	*added = (struct bus_region){
		.space = space,
		.enabled = true,
		.base = base,
		.bytes = bytes,
		.region = region,
		.device = device,
	};
	return added;
}

static const struct bus_region *bus_find(const struct device_bus *bus, enum bus_space space,
					 uint64_t address, unsigned int bytes)
{
	for (unsigned int i = 0; i < bus->region_count; i++) {
		const struct bus_region *region = &bus->regions[i];
		uint64_t offset = address - region->base;

		if (region->space == space && region->enabled && address >= region->base &&
		    offset < region->bytes && bytes <= region->bytes - offset)
			return region;
	}
	return NULL;
}

/* An access wider than what a region has left (a 4-byte read of a byte-wide port) is split. */
void bus_read(struct device_bus *bus, enum bus_space space, uint64_t address, uint8_t *data,
	      unsigned int bytes)
{
	const struct bus_region *region;

	memset(data, 0xff, bytes);
	(void)pthread_mutex_lock(&bus->lock);
	region = bus_find(bus, space, address, bytes);
	if (region) {
		region->device->ops->read(region->device, region->region, address - region->base,
					  data, bytes);
	} else {
		for (unsigned int i = 0; i < bytes && bytes > 1; i++) {
			region = bus_find(bus, space, address + i, 1);
			if (region)
				region->device->ops->read(region->device, region->region,
							  address + i - region->base, data + i, 1);
		}
	}
	(void)pthread_mutex_unlock(&bus->lock);
}

static bool write_region(struct device_bus *bus, const struct bus_region *region, uint64_t address,
			 const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	const struct device_ops *ops = region->device->ops;
	bool raised;

	if (ops->lockless)
		return ops->write(region->device, region->region, address - region->base, data,
				  bytes, event);
	(void)pthread_mutex_lock(&bus->lock);
	raised = ops->write(region->device, region->region, address - region->base, data, bytes,
			    event);
	(void)pthread_mutex_unlock(&bus->lock);
	return raised;
}

/* Hot path: the doorbell's store comes through here. Regions change only under a device's write
 * (PCI BAR moves), which a guest that races with its own doorbell may see either way. */
bool bus_write(struct device_bus *bus, enum bus_space space, uint64_t address, const uint8_t *data,
	       unsigned int bytes, struct vm_event *event)
{
	const struct bus_region *region = bus_find(bus, space, address, bytes);
	bool raised = false;

	if (region)
		return write_region(bus, region, address, data, bytes, event);
	for (unsigned int i = 0; i < bytes && bytes > 1 && !raised; i++) {
		region = bus_find(bus, space, address + i, 1);
		if (region)
			raised = write_region(bus, region, address + i, data + i, 1, event);
	}
	return raised;
}
