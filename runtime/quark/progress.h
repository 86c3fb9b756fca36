/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of a phase on stderr: silent for the first second, then a live line on a terminal, or
 * plain lines at growing distances elsewhere, and the time it took when it ends. Nothing when
 * quiet.
 *
 * A thread does the writing, so a phase is any code between progress_begin and progress_end.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *label; /* borrowed until progress_end */
	uint64_t began_ns;
	bool has_thread, tty;
	bool ended, shown; /* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
};

/* Cannot fail: without a thread there is no progress to see. *progress must stay where it is. */
void progress_begin(struct progress *progress, const char *label, bool quiet);
void progress_end(struct progress *progress);
