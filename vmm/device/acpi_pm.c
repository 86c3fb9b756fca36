/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed-hardware registers that ACPI demands (ACPI 6.4, section 4.8.3): PM1a status, enable and
 * control. The VM is always in ACPI mode; the one thing that happens here is S5, power-off.
 *
 * And the PM timer, for the sake of one moment of boot: with it as a reference, Linux trusts its
 * calibration of the LAPIC timer. Without, it verifies that by counting the PIT's ticks, on a busy
 * host gets a wrong count, and gives the LAPIC timer up for good. Nobody reads the timer later, so
 * it simply shows the host's clock and has no state.
 */
#include <errno.h>
#include <stdlib.h>

#include "boot/boot.h"
#include "clock.h"
#include "device.h"
#include "lumper.h"

enum { REGION_PM1, REGION_TIMER };
enum { REGISTER_STATUS, REGISTER_ENABLE, REGISTER_CONTROL, REGISTERS };

#define CONTROL_SCI_ENABLE 0x0001u
#define CONTROL_SLEEP_ENABLE 0x2000u
#define CONTROL_SLEEP_TYPE(value) (((value) >> 10) & 7u)

/* 24 bits at 3.579545 MHz (ACPI 6.4, section 4.8.3.3). */
enum { TIMER_HZ = 3579545, TIMER_MASK = 0xffffff, NS_PER_S = 1000000000 };

struct acpi_pm {
	struct device device;
	uint16_t enable;
};

static uint16_t register_value(const struct acpi_pm *pm, unsigned int index)
{
	const uint16_t values[REGISTERS] = {
		[REGISTER_ENABLE] = pm->enable,
		[REGISTER_CONTROL] = CONTROL_SCI_ENABLE,
	};

	return index < REGISTERS ? values[index] : 0xffff;
}

static uint32_t timer_value(void)
{
	uint64_t ns = monotonic_ns();
	uint64_t ticks = ns / NS_PER_S * TIMER_HZ + ns % NS_PER_S * TIMER_HZ / NS_PER_S;

	return ticks & TIMER_MASK;
}

static void acpi_pm_read(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
			 unsigned int bytes)
{
	const struct acpi_pm *pm = (struct acpi_pm *)device;
	uint32_t timer = region == REGION_TIMER ? timer_value() : 0;

	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int at = (unsigned int)offset + i;

		data[i] = region == REGION_TIMER ?
				  (uint8_t)(timer >> at % 4 * 8) :
				  (uint8_t)(register_value(pm, at / 2) >> (at % 2 * 8));
	}
}

/* The kernel writes these registers as aligned words; anything else has no effect. */
static bool acpi_pm_write(struct device *device, unsigned int region, uint64_t offset,
			  const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	struct acpi_pm *pm = (struct acpi_pm *)device;
	uint16_t value;

	if (region != REGION_PM1 || bytes < 2 || offset % 2)
		return false;
	memcpy(&value, data, sizeof(value));
	if (offset / 2 == REGISTER_ENABLE)
		pm->enable = value;
	if (offset / 2 != REGISTER_CONTROL || !(value & CONTROL_SLEEP_ENABLE) ||
	    CONTROL_SLEEP_TYPE(value) != ACPI_SLEEP_TYPE_S5)
		return false;
	event->kind = VM_EVENT_POWEROFF;
	return true;
}

static void acpi_pm_save(const struct device *device, struct le_writer *writer)
{
	le_put(writer, ((const struct acpi_pm *)device)->enable, 2);
}

static int acpi_pm_load(struct device *device, struct le_reader *reader)
{
	((struct acpi_pm *)device)->enable = (uint16_t)le_get(reader, 2);
	return 0;
}

static void acpi_pm_free(struct device *device)
{
	free(device);
}

static const struct device_ops acpi_pm_ops = {
	.name = "acpi-pm",
	.version = 1,
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.save = acpi_pm_save,
	.load = acpi_pm_load,
	.free = acpi_pm_free,
};

int acpi_pm_new(struct device_bus *bus)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return -ENOMEM;
	pm->device.ops = &acpi_pm_ops;
	bus_add_device(bus, &pm->device);
	(void)bus_add_region(bus, &pm->device, BUS_PIO, REGION_PM1, ACPI_PM1A_EVENT_PORT,
			     REGISTERS * 2);
	(void)bus_add_region(bus, &pm->device, BUS_PIO, REGION_TIMER, ACPI_PM_TIMER_PORT, 4);
	return 0;
}
