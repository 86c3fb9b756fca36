/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rig-call (host) and rig-agent (PID 1 of the rig) say to each other over one virtio-serial
 * port.
 *
 * A session is one command. The client sends RIG_PAD_BYTES of zeros and a hello; the agent answers
 * with a welcome that repeats the nonce. Then frames go both ways, each a struct rig_frame and len
 * bytes:
 *
 *	client: SPEC*, GO, then STDIN*, STDIN_EOF, SIGNAL*
 *	agent:  (STDOUT | STDERR | CREDIT | ERROR)*, EXIT
 *
 * A client may die anywhere, and the next one may connect before the agent has noticed. The zeros
 * are longer than any frame, so they complete whatever the dead client had begun, and can never be
 * taken for a hello; leftovers of the agent's are skipped because they lack the new nonce. Both
 * ends are built together and run on one machine: integers are in its byte order.
 */
#ifndef RIG_WIRE_H
#define RIG_WIRE_H

#include <stdint.h>

#define RIG_PAYLOAD_MAX 4096u /* of one frame from the client */
#define RIG_OUTPUT_MAX 65536u /* of one frame from the agent */
#define RIG_SPEC_MAX (1024u * 1024u) /* of all SPEC frames of a session */
#define RIG_CREDIT_BYTES 65536u /* STDIN on the way, not yet in the command's pipe */
#define RIG_PAD_BYTES (RIG_PAYLOAD_MAX + 64u)
#define RIG_PORT_NAME "rig." /* and the number of the port */
#define RIG_PORTS_MAX 16

static const char RIG_HELLO_MAGIC[8] = {'R', 'I', 'G', 'H', 'E', 'L', 'O', '1'};
static const char RIG_WELCOME_MAGIC[8] = {'R', 'I', 'G', 'W', 'E', 'L', 'C', '1'};
#define RIG_FRAME_MAGIC 0x31464752u

struct rig_hello {
	char magic[8];
	uint8_t nonce[16];
	uint64_t wall_ns; /* the host's CLOCK_REALTIME */
};

struct rig_welcome {
	char magic[8];
	uint8_t nonce[16];
};

enum rig_frame_type {
	RIG_SPEC = 1, /* a piece of the spec: struct rig_spec, then NUL-terminated cwd, argv, env */
	RIG_GO, /* the spec is complete: run it */
	RIG_STDIN,
	RIG_STDIN_EOF,
	RIG_SIGNAL, /* uint32_t: for the command's process group */
	RIG_STDOUT,
	RIG_STDERR,
	RIG_CREDIT, /* uint32_t: STDIN bytes that reached the command, or that it will never read */
	RIG_ERROR, /* text: why the command could not be started; EXIT follows */
	RIG_EXIT, /* uint32_t: exit status as a shell would show it */
};

struct rig_frame {
	uint32_t magic;
	uint32_t type;
	uint32_t len;
};

struct rig_spec {
	uint32_t argc;
	uint32_t envc;
};

#endif
