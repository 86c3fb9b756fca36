/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ways by which a PC guest resets itself: command 0xfe to the i8042 keyboard controller,
 * and the reset control register at port 0xcf9. No keyboard: the status port always says "idle".
 */
#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "lumper.h"

enum { REGION_I8042, REGION_RESET_CONTROL };

#define I8042_DATA_PORT 0x60u
#define I8042_STATUS_OFFSET 4u
#define I8042_PULSE_RESET 0xfeu
#define RESET_CONTROL_PORT 0xcf9u
#define RESET_CONTROL_CPU 0x04u
#define WARM_BOOT_MAGIC 0x1234u

struct reset {
	struct device device;
	const uint8_t *crash_flag; /* borrowed, guest memory */
};

static void reset_read(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
		       unsigned int bytes)
{
	(void)device;
	(void)region;
	(void)offset;
	memset(data, 0, bytes);
}

static bool asks_for_reset(unsigned int region, uint64_t offset, uint8_t value)
{
	if (region == REGION_RESET_CONTROL)
		return value & RESET_CONTROL_CPU;
	return offset == I8042_STATUS_OFFSET && value == I8042_PULSE_RESET;
}

static bool reset_write(struct device *device, unsigned int region, uint64_t offset,
			const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	const struct reset *reset = (struct reset *)device;
	uint16_t flag;

	(void)bytes;
	if (!asks_for_reset(region, offset, data[0]))
		return false;
	memcpy(&flag, reset->crash_flag, sizeof(flag));
	event->kind = flag == WARM_BOOT_MAGIC ? VM_EVENT_CRASH : VM_EVENT_RESET;
	return true;
}

static void reset_save(const struct device *device, struct le_writer *writer)
{
	(void)device;
	(void)writer;
}

static int reset_load(struct device *device, struct le_reader *reader)
{
	(void)device;
	(void)reader;
	return 0;
}

static void reset_free(struct device *device)
{
	free(device);
}

static const struct device_ops reset_ops = {
	.name = "reset",
	.version = 1,
	.read = reset_read,
	.write = reset_write,
	.save = reset_save,
	.load = reset_load,
	.free = reset_free,
};

int reset_new(struct device_bus *bus, const uint8_t *crash_flag)
{
	struct reset *reset = calloc(1, sizeof(*reset));

	if (!reset)
		return -ENOMEM;
	reset->device.ops = &reset_ops;
	reset->crash_flag = crash_flag;
	bus_add_device(bus, &reset->device);
	(void)bus_add_region(bus, &reset->device, BUS_PIO, REGION_I8042, I8042_DATA_PORT, 5);
	(void)bus_add_region(bus, &reset->device, BUS_PIO, REGION_RESET_CONTROL, RESET_CONTROL_PORT,
			     1);
	return 0;
}
