/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that are meant for the VM: each sets a flag and kicks the vCPUs, so that vm_run returns
 * and its caller looks at the flags.
 *
 * The state is file-scope because a handler gets no argument. One VM per process (docs/adr/0002).
 */
#include <signal.h>
#include <unistd.h>

#include "cleanup.h"
#include "lumper_priv.h"

static struct vm *signalled_vm; /* borrowed; NULL: none */
static unsigned int timeout;
static volatile sig_atomic_t got_capture, got_timeout, got_end;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		got_capture = 1;
	else if (number == SIGALRM)
		got_timeout = 1;
	else
		got_end = 1;
	if (signalled_vm)
		vm_kick(signalled_vm);
}

void signals_catch(struct vm *vm, unsigned int timeout_s)
{
	static const int numbers[] = { SIGUSR1, SIGALRM, SIGINT, SIGTERM };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	signalled_vm = vm;
	timeout = timeout_s;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaction(numbers[i], &action, NULL);
	(void)alarm(timeout_s);
}

void signals_release(void)
{
	signalled_vm = NULL;
}

bool signals_take_capture(void)
{
	bool got = got_capture;

	got_capture = 0;
	return got;
}

int end_by_signal(const struct console *console)
{
	if (got_timeout)
		return fail(EXIT_TIMEOUT, "no end after %u s", timeout);
	if (got_end || console_wants_exit(console))
		return fail(EXIT_ERROR, "interrupted");
	return -1;
}
