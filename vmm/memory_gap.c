/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM whose memory is not all there, until somebody needs what is absent.
 *
 * A vCPU that touches an absent page makes KVM_RUN fail with EFAULT and nothing changed; code of
 * ours would get a signal, so guest_memory_at asks first. The owner's handler then maps what is
 * absent, for a vCPU a part of it at a time, whoever comes first; the others wait for it. A vCPU
 * may have met the gap just before it was closed: each is forgiven one more EFAULT, and the next is
 * a real one.
 */
#include <errno.h>
#include <stdio.h>

#include "file.h"
#include "vm_priv.h"

bool vm_host_has_two_stages(void)
{
	static const char *const switches[] = {
		"/sys/module/kvm_intel/parameters/ept",
		"/sys/module/kvm_amd/parameters/npt",
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		FILE *file = fopen(switches[i], "re");
		int first = file ? fgetc(file) : EOF;

		if (file)
			(void)fclose(file);
		if (first == 'Y' || first == '1')
			return true;
	}
	return false;
}

void memory_gap_init(struct memory_gap *gap)
{
	(void)pthread_mutex_init(&gap->lock, NULL);
}

void memory_gap_done(struct memory_gap *gap)
{
	(void)pthread_mutex_destroy(&gap->lock);
}

static int make_more(struct memory_gap *gap, bool all, struct err *err)
{
	int r = 0;

	if (!atomic_load(&gap->open))
		return 0;
	(void)pthread_mutex_lock(&gap->lock);
	if (atomic_load(&gap->open))
		r = gap->handler(gap->context, all, err);
	if (r == 0)
		atomic_store(&gap->open, false);
	(void)pthread_mutex_unlock(&gap->lock);
	return r < 0 ? r : 0;
}

int vm_memory_complete(struct vm *vm, struct err *err)
{
	return make_more(&vm->gap, true, err);
}

static int before_use(void *context)
{
	return vm_memory_complete(context, NULL);
}

void vm_memory_incomplete(struct vm *vm, vm_memory_handler *handler, void *context)
{
	vm->gap.handler = handler;
	vm->gap.context = context;
	for (unsigned int i = 0; i < vm->vcpu_count; i++)
		vm->vcpus[i].fault_forgiven = false;
	vm->memory.before_use = before_use;
	vm->memory.context = vm;
	atomic_store(&vm->gap.open, true);
}

bool memory_gap_forgives(struct vcpu *vcpu, struct err *err)
{
	struct vm *vm = vcpu->vm;

	if (atomic_load(&vm->gap.open))
		return make_more(&vm->gap, false, err) == 0;
	if (!vm->gap.handler || vcpu->fault_forgiven)
		return false;
	vcpu->fault_forgiven = true;
	return true;
}
