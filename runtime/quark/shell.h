/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's side of a lumper shell: start one, give it a template, park it, send a request.
 *
 * One shell serves one clone. shell_free kills the process if it is still there and waits for it;
 * nothing outlives it. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "snapshot.h"

struct shell;

enum start_level {
	LEVEL_COLD, /* new process, new VM, restore */
	LEVEL_SHELL,
	LEVEL_TEMPLATE,
	LEVEL_PARKED,
	LEVELS,
};

extern const char *const level_names[LEVELS];

struct shell_config {
	const char *lumper;    /* path of the lumper program */
	uint64_t memory_bytes; /* the shape that templates must have */
	uint32_t vcpus;
	uint32_t cpu_template;
	const struct template *like; /* borrowed: a template of the wanted CPU; may be NULL */
	/* Borrowed: a template with the base that those to come are expected to have, which the VM
	 * is then prepared for; takes the place of `like`. May be NULL. */
	const struct template *calibration;
	int pack_fd; /* borrowed: made of the template and the calibration, without which it is not
		      * looked at; -1 or 0: none */
	unsigned int timeout_ms; /* of a call, logs or not; of start_function: of all it does.
				  * 0: 10,000 */
	void (*log)(void *context, const char *text, size_t bytes); /* LOG text; NULL drops */
	void *log_context;
};

/* Times of one start, in ns, from the caller's clock and the shell's stamps. Zero where a stage was
 * paid before the request came. Their sum is `total` but for rounding: what no stage covers is
 * `hop`. */
enum stage {
	STAGE_PROCESS, /* spawn, exec, dynamic linking */
	STAGE_VM,      /* KVM_CREATE_VM to vCPUs and jail */
	STAGE_MEMORY,  /* mapping the memory layer and what is pre-faulted */
	STAGE_STATE,   /* vCPU, VM and device state */
	STAGE_RUN,     /* first KVM_RUN to the doorbell, second-stage faults included */
	STAGE_HOP,     /* the socket, both ways; mailbox header; response in the caller's hands */
	STAGES,
};

extern const char *const stage_names[STAGES];

struct start_times {
	uint64_t total_ns;
	uint64_t stage_ns[STAGES];
};

struct response {
	const uint8_t *data; /* borrowed from the shell's mailbox until shell_free */
	size_t bytes;
	bool failed; /* the function called quark_fail: data is its message */
};

/* Starts the process and waits for its HELLO. The kernel kills the process when the thread that
 * calls this ends, so that a caller that is killed leaves no guest behind. */
int shell_new(struct shell **ret_shell, const struct shell_config *config, struct err *err);
struct shell *shell_free(struct shell *shell);

static inline void cleanup_shell_p(struct shell **shell)
{
	(void)shell_free(*shell);
}
#define cleanup_shell __attribute__((cleanup(cleanup_shell_p)))

/* shell -> template -> parked. Each may be left out: shell_invoke does what is missing. */
int shell_load(struct shell *shell, const struct template *template, struct err *err);
int shell_park(struct shell *shell, struct err *err);

/* Sends one request and waits for the response. `template` may be NULL when one is loaded. Can be
 * called again on the same shell (level `warm`). -ETIMEDOUT, -ECONNRESET (lumper died), -EPROTO
 * (the guest broke the mailbox protocol), -ENOTRECOVERABLE (the guest ended). */
int shell_invoke(struct shell *shell, const struct template *template, const void *request,
		 size_t bytes, struct response *ret_response, struct start_times *ret_times,
		 struct err *err);

/* What the VM has cost so far: exits and second-stage faults. Not for the time between request and
 * response. */
int shell_counters(struct shell *shell, struct vm_counters *ret_counters, struct err *err);

pid_t shell_pid(const struct shell *shell);

/* Does all of a level: makes a shell, brings it to `level` (not timed), then invokes (timed; for
 * LEVEL_COLD the making of the shell is timed too). The caller frees *ret_shell after using the
 * response. */
int start_function(struct shell **ret_shell, const struct shell_config *config,
		   const struct template *template, enum start_level level, const void *request,
		   size_t bytes, struct response *ret_response, struct start_times *ret_times,
		   struct err *err);
