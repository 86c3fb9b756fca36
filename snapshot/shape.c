/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts about a machine that manifest and state both carry, and their bounds: one check for
 * both, so that neither can say what the other would refuse.
 */
#include <errno.h>

#include "mailbox.h"
#include "snapshot_priv.h"

static bool is_huge_aligned(uint64_t value)
{
	return value % MAILBOX_BYTES == 0;
}

int shape_check(const struct shape *shape, struct err *err)
{
	uint64_t offset;

	if (shape->memory_bytes < GUEST_MEMORY_MIN_BYTES ||
	    shape->memory_bytes > GUEST_MEMORY_MAX_BYTES || !is_huge_aligned(shape->memory_bytes))
		return err_set(err, -EBADMSG, "impossible memory size %llu",
			       (unsigned long long)shape->memory_bytes);
	if (shape->vcpus < 1 || shape->vcpus > VM_VCPUS_MAX)
		return err_set(err, -EBADMSG, "impossible number of vCPUs %u", shape->vcpus);
	if (shape->cpu_template > CPU_TEMPLATE_HOST)
		return err_set(err, -EBADMSG, "unknown CPU template %u", shape->cpu_template);
	if (!is_huge_aligned(shape->mailbox_gpa) ||
	    !guest_gpa_to_offset(shape->memory_bytes, shape->mailbox_gpa, &offset))
		return err_set(err, -EBADMSG, "mailbox at 0x%llx is not in guest memory",
			       (unsigned long long)shape->mailbox_gpa);
	return 0;
}
