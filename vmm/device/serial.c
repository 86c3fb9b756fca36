/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART at COM1 (National Semiconductor PC16550D data sheet): the console. The transmitter
 * is always ready; the receiver has a queue that serial_input fills from another thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "lumper.h"

#define COM1_PORT 0x3f8u

enum {
	REG_DATA = 0, /* divisor low with DLAB */
	REG_IER = 1,  /* divisor high with DLAB */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
	REGISTERS = 8,
};

#define IER_RECEIVE 0x01u
#define IER_TRANSMIT 0x02u
#define IIR_NONE 0x01u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE 0x04u
#define IIR_FIFO 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RECEIVE 0x02u
#define LCR_DLAB 0x80u
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_IDLE 0x60u
#define MSR_CONNECTED 0xb0u /* DCD, DSR, CTS */

enum { QUEUE_BYTES = 256 };

struct serial {
	struct device device;
	struct device_bus *bus; /* borrowed */
	irq_set_fn irq_set;
	void *irq_context;
	void (*output)(void *context, const uint8_t *data, size_t bytes);
	void *output_context;

	uint8_t ier, fcr, lcr, mcr, scr, divisor_low, divisor_high;
	bool transmit_pending, irq_level;
	uint8_t queue[QUEUE_BYTES];
	unsigned int queue_head, queue_count;
};

static uint8_t interrupt_id(const struct serial *serial)
{
	if ((serial->ier & IER_RECEIVE) && serial->queue_count)
		return IIR_RECEIVE;
	if ((serial->ier & IER_TRANSMIT) && serial->transmit_pending)
		return IIR_TRANSMIT;
	return IIR_NONE;
}

static void update_irq(struct serial *serial)
{
	bool level = interrupt_id(serial) != IIR_NONE;

	if (level == serial->irq_level)
		return;
	serial->irq_level = level;
	serial->irq_set(serial->irq_context, level);
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t value;

	if (serial->lcr & LCR_DLAB)
		return serial->divisor_low;
	if (!serial->queue_count)
		return 0;
	value = serial->queue[serial->queue_head];
	serial->queue_head = (serial->queue_head + 1) % QUEUE_BYTES;
	serial->queue_count--;
	return value;
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t id = interrupt_id(serial);

	if (id == IIR_TRANSMIT)
		serial->transmit_pending = false;
	return id | (serial->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

/* In loopback the modem control outputs come back as modem status inputs. */
static uint8_t modem_status(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4);
}

static uint8_t read_register(struct serial *serial, unsigned int reg)
{
	switch (reg) {
	case REG_DATA:
		return read_data(serial);
	case REG_IER:
		return serial->lcr & LCR_DLAB ? serial->divisor_high : serial->ier;
	case REG_IIR:
		return read_iir(serial);
	case REG_LCR:
		return serial->lcr;
	case REG_MCR:
		return serial->mcr;
	case REG_LSR:
		return LSR_IDLE | (serial->queue_count ? LSR_DATA : 0);
	case REG_MSR:
		return modem_status(serial);
	default:
		return serial->scr;
	}
}

static void queue_put(struct serial *serial, uint8_t value)
{
	if (serial->queue_count == QUEUE_BYTES)
		return;
	serial->queue[(serial->queue_head + serial->queue_count) % QUEUE_BYTES] = value;
	serial->queue_count++;
}

static void write_data(struct serial *serial, uint8_t value)
{
	if (serial->lcr & LCR_DLAB) {
		serial->divisor_low = value;
		return;
	}
	serial->transmit_pending = true;
	if (serial->mcr & MCR_LOOP)
		queue_put(serial, value);
	else if (serial->output)
		serial->output(serial->output_context, &value, 1);
}

static void write_ier(struct serial *serial, uint8_t value)
{
	if (serial->lcr & LCR_DLAB) {
		serial->divisor_high = value;
		return;
	}
	/* Enabling the transmitter's interrupt while it is empty raises it at once. */
	if (!(serial->ier & IER_TRANSMIT) && (value & IER_TRANSMIT))
		serial->transmit_pending = true;
	serial->ier = value & 0x0f;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	serial->fcr = value;
	if (value & FCR_CLEAR_RECEIVE)
		serial->queue_count = 0;
}

static void write_register(struct serial *serial, unsigned int reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA:
		write_data(serial, value);
		break;
	case REG_IER:
		write_ier(serial, value);
		break;
	case REG_IIR:
		write_fcr(serial, value);
		break;
	case REG_LCR:
		serial->lcr = value;
		break;
	case REG_MCR:
		serial->mcr = value & 0x1f;
		break;
	case REG_SCR:
		serial->scr = value;
		break;
	default:
		break;
	}
}

static void serial_read(struct device *device, unsigned int region, uint64_t offset, uint8_t *data,
			unsigned int bytes)
{
	struct serial *serial = (struct serial *)device;

	(void)region;
	for (unsigned int i = 0; i < bytes; i++)
		data[i] = read_register(serial, (unsigned int)(offset + i) % REGISTERS);
	update_irq(serial);
}

static bool serial_write(struct device *device, unsigned int region, uint64_t offset,
			 const uint8_t *data, unsigned int bytes, struct vm_event *event)
{
	struct serial *serial = (struct serial *)device;

	(void)region;
	(void)event;
	for (unsigned int i = 0; i < bytes; i++)
		write_register(serial, (unsigned int)(offset + i) % REGISTERS, data[i]);
	update_irq(serial);
	return false;
}

/* Input that the guest has not read yet is not part of a snapshot. */
static void serial_save(const struct device *device, struct le_writer *writer)
{
	const struct serial *serial = (const struct serial *)device;
	const uint8_t registers[] = {
		serial->ier, serial->fcr,	  serial->lcr,		serial->mcr,
		serial->scr, serial->divisor_low, serial->divisor_high,
	};

	le_put_bytes(writer, registers, sizeof(registers));
	le_put(writer, serial->transmit_pending, 1);
	le_put(writer, serial->irq_level, 1);
}

static int serial_load(struct device *device, struct le_reader *reader)
{
	struct serial *serial = (struct serial *)device;

	serial->ier = (uint8_t)le_get(reader, 1) & 0x0f;
	serial->fcr = (uint8_t)le_get(reader, 1);
	serial->lcr = (uint8_t)le_get(reader, 1);
	serial->mcr = (uint8_t)le_get(reader, 1) & 0x1f;
	serial->scr = (uint8_t)le_get(reader, 1);
	serial->divisor_low = (uint8_t)le_get(reader, 1);
	serial->divisor_high = (uint8_t)le_get(reader, 1);
	serial->transmit_pending = le_get(reader, 1) & 1;
	serial->irq_level = le_get(reader, 1) & 1;
	serial->queue_head = serial->queue_count = 0;
	return 0;
}

static void serial_free(struct device *device)
{
	free(device);
}

static const struct device_ops serial_ops = {
	.name = "serial",
	.version = 1,
	.read = serial_read,
	.write = serial_write,
	.save = serial_save,
	.load = serial_load,
	.free = serial_free,
};

struct serial *serial_new(struct device_bus *bus, irq_set_fn irq_set, void *irq_context,
			  void (*output)(void *context, const uint8_t *data, size_t bytes),
			  void *output_context)
{
	struct serial *serial = calloc(1, sizeof(*serial));

	if (!serial)
		return NULL;
	*serial = (struct serial){
		.device.ops = &serial_ops,
		.bus = bus,
		.irq_set = irq_set,
		.irq_context = irq_context,
		.output = output,
		.output_context = output_context,
	};
	bus_add_device(bus, &serial->device);
	(void)bus_add_region(bus, &serial->device, BUS_PIO, 0, COM1_PORT, REGISTERS);
	return serial;
}

size_t serial_input(struct serial *serial, const uint8_t *data, size_t bytes)
{
	size_t room;

	(void)pthread_mutex_lock(&serial->bus->lock);
	room = QUEUE_BYTES - serial->queue_count;
	if (bytes > room)
		bytes = room;
	for (size_t i = 0; i < bytes; i++)
		queue_put(serial, data[i]);
	update_irq(serial);
	(void)pthread_mutex_unlock(&serial->bus->lock);
	return bytes;
}
