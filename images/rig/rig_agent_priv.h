/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of rig-agent share: rig-agent.c (PID 1: the machine, one server for each port),
 * rig_port.c (the byte stream to a client) and rig_session.c (one command).
 */
#ifndef RIG_AGENT_PRIV_H
#define RIG_AGENT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rig_wire.h"

#define WORKS_MAX 64

/* From /rig.conf in the initramfs: one "KEY VALUE" a line. */
struct config {
	char *modules[32];
	size_t n_modules;
	char *works[WORKS_MAX]; /* the n-th has the virtiofs tag "workN" */
	size_t n_works;
	bool writable_root;
	unsigned n_ports;
	unsigned work_cache_ms; /* how long names and attributes of work folders may be old */
};

/* ---- rig_port.c ---- */

/* Opens the device of the port with this number; -1 while there is none. */
int port_open(unsigned number);

/* Waits for a client. Skips zeros and what a dead client left, up to the next hello. */
void port_hello(int port, struct rig_hello *ret_hello);

/* Transfer all of it, however long that takes; false when the client is gone. */
bool port_read(int port, void *buf, size_t len);
bool port_write(int port, const void *buf, size_t len);
bool port_send(int port, enum rig_frame_type type, const void *payload, size_t len);

/* ---- rig_session.c ---- */

/* Serves the client that said hello, in a process of its own, and ends that process. */
void __attribute__((noreturn))
session_run(int port, const struct config *config, const struct rig_hello *hello);

#endif
