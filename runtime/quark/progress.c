/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress lines.
 */
#include "progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define NS_PER_S 1000000000ull

static double elapsed_s(const struct progress *progress)
{
	return (double)(monotonic_ns() - progress->began_ns) / (double)NS_PER_S;
}

static void show(struct progress *progress)
{
	progress->shown = true;
	if (progress->tty)
		fprintf(stderr, "\rquark: %s ... %.0f s\033[K", progress->label,
			elapsed_s(progress));
	else
		fprintf(stderr, "quark: %s ... %.0f s\n", progress->label, elapsed_s(progress));
	(void)fflush(stderr);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

static void *show_until_end(void *argument)
{
	struct progress *progress = argument;
	uint64_t step_ns = NS_PER_S, next_ns = progress->began_ns + NS_PER_S;

	(void)pthread_mutex_lock(&progress->lock);
	while (!progress->ended) {
		const struct timespec until = timespec_of(next_ns);

		if (pthread_cond_timedwait(&progress->changed, &progress->lock, &until) !=
		    ETIMEDOUT)
			continue;
		show(progress);
		if (!progress->tty && step_ns < 16 * NS_PER_S)
			step_ns *= 2;
		next_ns += step_ns;
	}
	(void)pthread_mutex_unlock(&progress->lock);
	return NULL;
}

/* Signals are for the thread that works. */
static bool start_thread(struct progress *progress)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&progress->thread, NULL, show_until_end, progress);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0;
}

void progress_begin(struct progress *progress, const char *label, bool quiet)
{
	pthread_condattr_t attributes;

	*progress = (struct progress){
		.label = label,
		.began_ns = monotonic_ns(),
		.tty = isatty(STDERR_FILENO) == 1,
	};
	if (quiet)
		return;
	(void)pthread_mutex_init(&progress->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&progress->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	progress->has_thread = start_thread(progress);
}

void progress_end(struct progress *progress)
{
	if (!progress->has_thread)
		return;
	(void)pthread_mutex_lock(&progress->lock);
	progress->ended = true;
	(void)pthread_cond_signal(&progress->changed);
	(void)pthread_mutex_unlock(&progress->lock);
	(void)pthread_join(progress->thread, NULL);
	progress->has_thread = false;
	if (progress->shown)
		fprintf(stderr, "%squark: %s: %.1f s%s\n", progress->tty ? "\r" : "",
			progress->label, elapsed_s(progress), progress->tty ? "\033[K" : "");
	(void)pthread_cond_destroy(&progress->changed);
	(void)pthread_mutex_destroy(&progress->lock);
}
