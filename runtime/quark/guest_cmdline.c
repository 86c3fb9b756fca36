/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we tell the guest's kernel, and why.
 */
#include "guest_cmdline.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"

static const struct {
	const char *option;
	const char *reason;
} options[] = {
	{"console=ttyS0", "the serial port is the only console"},
	{"quiet", "each character is an exit: full boot messages cost more than the boot"},
	{"panic=-1", "a panic becomes a reset at once, which lumper reports as a crash"},
	{"reboot=k,panic_warm", "reset by the keyboard controller; a panic leaves a flag"},
	{"nokaslr", "a snapshot fixes the layout anyway, and equal layouts share pages"},
	{"norandmaps", "the same for programs: PID 1 maps the mailbox at a place of its own"},
	{"mitigations=off", "one tenant and one function in each guest: nothing to defend inside"},
	{"clocksource=kvm-clock", "the clock that can be moved forward after a restore"},
	{"no_timer_check", "the timer works; the check waits for it with loops"},
	{"random.trust_cpu=on", "entropy early, so that nothing waits for it"},
	{"hugepages=1", "the mailbox, physically contiguous"},
	{"8250.nr_uarts=1", "no probing of three ports that are not there"},
	{"initcall_blacklist=tracer_init_tracefs", "its 15,000 files take 12 MB and a second"},
	{"cryptomgr.notests", "self-tests of ciphers that nobody uses"},
	{"lsm=capability", "one tenant: no policies, and no hooks that each call looks at"},
	{"psi=0", "pressure is the host's matter; the scheduler counts it at each switch"},
	{"noautogroup", "no scheduling group for each session"},
	{"cgroup.memory=nokmem,nosocket", "limits are of user memory: objects are not accounted"},
	{"audit=0", "nobody reads it"},
	{"numa_balancing=disable", "hot memory is a node: what is there has been put there"},
	{"transparent_hugepage=madvise", "for who asks: a clone would copy 2 MiB for a byte"},
	{"rdinit=/init", "PID 1 of the initramfs"},
};

int guest_cmdline(char *text, size_t bytes, struct err *err)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const size_t n = strlen(options[i].option);

		if (used + n + 1 > bytes)
			return err_set(err, -ENOBUFS, "the kernel command line does not fit");
		memcpy(text + used, options[i].option, n);
		used += n;
		text[used++] = ' ';
	}
	text[used - 1] = '\0';
	return 0;
}
