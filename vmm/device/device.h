/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device models and the two buses (port I/O and MMIO) that they sit on.
 *
 * A device is one `static const struct device_ops`, one file and one row in vm.c's table. The bus
 * owns the devices and serialises access to them, but for those whose ops are `lockless`.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "le.h"

struct device;
struct vm;
struct vm_event;

struct device_ops {
	const char *name;
	uint32_t version; /* of save's encoding */
	bool lockless;
	/* `offset` is relative to `region` (its number among the device's); 1 to 8 bytes. */
	void (*read)(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
		     unsigned int bytes);
	/* True: `event` has been filled and the vCPU must stop. */
	bool (*write)(struct device *device, unsigned int region, uint64_t offset,
		      const uint8_t *data, unsigned int bytes, struct vm_event *event);
	void (*save)(const struct device *device, struct le_writer *writer);
	/* Or NULL. Refuses a state that this VM cannot take, before anything of the VM has
	 * changed. */
	int (*check)(const struct device *device, struct le_reader reader, struct err *err);
	int (*load)(struct device *device, struct le_reader *reader); /* 0, -EINVAL */
	void (*free)(struct device *device);
};

struct device {
	const struct device_ops *ops;
};

enum bus_space { BUS_PIO, BUS_MMIO };

struct bus_region {
	enum bus_space space;
	bool enabled;
	uint64_t base, bytes;
	unsigned int region;
	struct device *device; /* borrowed */
};

enum { BUS_REGIONS_MAX = 16, BUS_DEVICES_MAX = 8 };

struct device_bus {
	pthread_mutex_t lock;
	unsigned int device_count, region_count;
	struct device *devices[BUS_DEVICES_MAX]; /* owned */
	struct bus_region regions[BUS_REGIONS_MAX];
};

void bus_init(struct device_bus *bus);
void bus_done(struct device_bus *bus);
void bus_add_device(struct device_bus *bus, struct device *device);

/* Returns the region, so that its owner can move or enable it later. */
struct bus_region *bus_add_region(struct device_bus *bus, struct device *device,
				  enum bus_space space, unsigned int region, uint64_t base,
				  uint64_t bytes);

/* Reads of nothing give ones, writes to nothing are dropped, as on a PC. */
void bus_read(struct device_bus *bus, enum bus_space space, uint64_t address, uint8_t *data,
	      unsigned int bytes);
bool bus_write(struct device_bus *bus, enum bus_space space, uint64_t address, const uint8_t *data,
	       unsigned int bytes, struct vm_event *event);

/* --- devices ------------------------------------------------------------------------------ */

/* Raises or lowers a GSI of the in-kernel irqchip. */
typedef void (*irq_set_fn)(void *context, bool level);

struct serial;
struct serial *serial_new(struct device_bus *bus, irq_set_fn irq_set, void *irq_context,
			  void (*output)(void *context, const uint8_t *data, size_t bytes),
			  void *output_context);
/* Queues input; returns how many bytes fitted. Takes the bus lock. */
size_t serial_input(struct serial *serial, const uint8_t *data, size_t bytes);

/* i8042 command port and the reset register: only what a reset needs. `crash_flag` is the two bytes
 * at guest-physical 0x472 (the BIOS warm-boot flag), by which Linux tells a panic's reset from an
 * ordinary one when it runs with reboot=k,panic_warm. */
int reset_new(struct device_bus *bus, const uint8_t *crash_flag);

/* ACPI PM1a event and control blocks: power-off. */
int acpi_pm_new(struct device_bus *bus);

/* PCI bus 0 by configuration mechanism 1: host bridge in slot 0, doorbell in slot 1, pmem in 2. */
struct pci;
struct doorbell;
struct pci *pci_new(struct device_bus *bus);

enum { PCI_CONFIG_WORDS = 64 };

/* A single-function device with at most one memory BAR. Identity and masks are the owner's. */
struct pci_function {
	uint32_t config[PCI_CONFIG_WORDS];
	uint32_t writable[PCI_CONFIG_WORDS]; /* bits that the guest may change */
	struct bus_region *bar0;	     /* follows BAR0 and the command register; or NULL */
};
void pci_add(struct pci *pci, unsigned int slot, struct pci_function *function);

struct doorbell *doorbell_new(struct device_bus *bus, struct pci *pci, uint64_t memory_bytes);
uint64_t doorbell_mailbox_gpa(const struct doorbell *doorbell);

/* virtio-pmem: where the image lies, and how long it is (0: there is none). */
struct pmem;
struct guest_memory;
struct pmem *pmem_new(struct device_bus *bus, struct pci *pci, const struct guest_memory *memory,
		      irq_set_fn irq_set, void *irq_context);
void pmem_set_image(struct pmem *pmem, uint64_t bytes);
