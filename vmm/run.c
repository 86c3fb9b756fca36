/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running and stopping.
 *
 * vCPU 0 runs on the thread that calls vm_run; each further vCPU has a thread of its own that waits
 * between runs. An event on any vCPU stops all: the one that has it sets `stop` and interrupts the
 * others' KVM_RUN with VM_KICK_SIGNAL, which is blocked everywhere but inside KVM_RUN
 * (KVM_SET_SIGNAL_MASK) and therefore needs no handler. Two vCPUs with an event at once keep the
 * second one for the next vm_run.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "vm_priv.h"

enum { KERNEL_SIGSET_BYTES = 8 };

static void block_kick_signal(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, VM_KICK_SIGNAL);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Takes the kick that ended a KVM_RUN out of the queue, or the next one would end at once too. */
static void drain_kick_signal(void)
{
	const struct timespec now = {};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, VM_KICK_SIGNAL);
	while (sigtimedwait(&set, NULL, &now) == VM_KICK_SIGNAL)
		;
}

/* Signals of this thread as they are, but for the kick, are blocked inside KVM_RUN. */
static int set_run_mask(struct vcpu *vcpu, struct err *err)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[KERNEL_SIGSET_BYTES];
	} mask = { .head.len = KERNEL_SIGSET_BYTES };
	sigset_t set;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &set);
	(void)sigdelset(&set, VM_KICK_SIGNAL);
	memcpy(mask.set, &set, sizeof(mask.set));
	if (ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask) < 0)
		return err_set(err, -errno, "KVM_SET_SIGNAL_MASK: %s", strerror(errno));
	return 0;
}

static void interrupt_others(struct vm *vm, const struct vcpu *self)
{
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];
		pid_t tid = __atomic_load_n(&vcpu->tid, __ATOMIC_ACQUIRE);

		if (vcpu == self)
			continue;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
		if (tid)
			(void)syscall(SYS_tgkill, getpid(), tid, VM_KICK_SIGNAL);
	}
}

/* The store to `kicked` comes before those to immediate_exit: run_vcpu clears the latter, then
 * looks at the former. */
void vm_kick(struct vm *vm)
{
	atomic_store(&vm->kicked, true);
	interrupt_others(vm, NULL);
}

static bool must_stop(struct vm *vm)
{
	return atomic_load(&vm->stop) || atomic_load(&vm->kicked);
}

/* Runs one vCPU until something stops the VM. Hot path: nothing but KVM_RUN and the exit's handler.
 * On return event_pending says whether this vCPU has an event of its own. */
static int run_vcpu(struct vcpu *vcpu, struct err *err)
{
	struct vm *vm = vcpu->vm;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	while (!must_stop(vm)) {
		int r = ioctl(vcpu->fd, KVM_RUN, 0);

		vcpu->exits++;
		if (r < 0 && errno == EINTR) {
			drain_kick_signal();
			return 0;
		}
		if (r < 0 && errno == EAGAIN)
			continue;
		if (r < 0 && errno != EFAULT)
			return err_set(err, -errno, "vCPU %u: KVM_RUN: %s", vcpu->index,
				       strerror(errno));
		vcpu->event.report[0] = 0;
		if (r < 0 ? vcpu_handle_fault(vcpu) : vcpu_handle_exit(vcpu)) {
			vcpu->event.vcpu = vcpu->index;
			vcpu->event_pending = true;
			return 0;
		}
	}
	return 0;
}

/* --- threads of the vCPUs above 0 --------------------------------------------------------- */

static void thread_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct err err = {};

	for (;;) {
		if (run_vcpu(vcpu, &err) < 0) {
			vcpu->event = (struct vm_event){ .kind = VM_EVENT_UNHANDLED,
							 .vcpu = vcpu->index };
			memcpy(vcpu->event.report, err.message, sizeof(err.message));
			vcpu->event_pending = true;
		}
		if (vcpu->event_pending || must_stop(vm))
			break;
	}
	atomic_store(&vm->stop, true);
	interrupt_others(vm, vcpu);
}

static void *vcpu_thread(void *argument)
{
	struct vcpu *vcpu = argument;
	struct vm *vm = vcpu->vm;
	uint64_t epoch = 0;

	__atomic_store_n(&vcpu->tid, gettid(), __ATOMIC_RELEASE);
	(void)pthread_mutex_lock(&vm->lock);
	vm->running--;
	(void)pthread_cond_broadcast(&vm->changed);
	for (;;) {
		while (vm->epoch == epoch && !vm->quit)
			(void)pthread_cond_wait(&vm->changed, &vm->lock);
		if (vm->quit)
			break;
		epoch = vm->epoch;
		(void)pthread_mutex_unlock(&vm->lock);
		thread_run(vcpu);
		(void)pthread_mutex_lock(&vm->lock);
		vm->running--;
		(void)pthread_cond_broadcast(&vm->changed);
	}
	(void)pthread_mutex_unlock(&vm->lock);
	return NULL;
}

static void wait_for_threads(struct vm *vm)
{
	(void)pthread_mutex_lock(&vm->lock);
	while (vm->running)
		(void)pthread_cond_wait(&vm->changed, &vm->lock);
	(void)pthread_mutex_unlock(&vm->lock);
}

int vm_threads_start(struct vm *vm, struct err *err)
{
	block_kick_signal();
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];
		int r = set_run_mask(vcpu, err);

		if (r < 0)
			return r;
		if (i == 0)
			continue;
		vm->running++;
		r = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
		if (r) {
			vm->running--;
			return err_set(err, -r, "cannot start vCPU %u's thread: %s", i,
				       strerror(r));
		}
		vcpu->has_thread = true;
	}
	wait_for_threads(vm);
	return 0;
}

void vm_threads_stop(struct vm *vm)
{
	(void)pthread_mutex_lock(&vm->lock);
	vm->quit = true;
	(void)pthread_cond_broadcast(&vm->changed);
	(void)pthread_mutex_unlock(&vm->lock);
	for (unsigned int i = 1; i < vm->vcpu_count; i++)
		if (vm->vcpus[i].has_thread)
			(void)pthread_join(vm->vcpus[i].thread, NULL);
}

/* --- the owner's side --------------------------------------------------------------------- */

static void start_others(struct vm *vm)
{
	if (vm->vcpu_count == 1)
		return;
	(void)pthread_mutex_lock(&vm->lock);
	vm->epoch++;
	vm->running = vm->vcpu_count - 1;
	(void)pthread_cond_broadcast(&vm->changed);
	(void)pthread_mutex_unlock(&vm->lock);
}

static void stop_others(struct vm *vm)
{
	if (vm->vcpu_count == 1)
		return;
	atomic_store(&vm->stop, true);
	interrupt_others(vm, &vm->vcpus[0]);
	wait_for_threads(vm);
	drain_kick_signal();
}

static bool take_event(struct vm *vm, struct vm_event *ret_event)
{
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		if (!vcpu->event_pending)
			continue;
		vcpu->event_pending = false;
		ret_event->kind = vcpu->event.kind;
		ret_event->vcpu = vcpu->event.vcpu;
		ret_event->doorbell = vcpu->event.doorbell;
		ret_event->report[0] = 0;
		if (vcpu->event.report[0])
			memcpy(ret_event->report, vcpu->event.report, sizeof(ret_event->report));
		return true;
	}
	return false;
}

/* An event outranks a kick, which stays for the next call. */
int vm_run(struct vm *vm, struct vm_event *ret_event, struct err *err)
{
	struct vcpu *first = &vm->vcpus[0];
	int r = 0;

	if (take_event(vm, ret_event))
		return 0;
	first->tid = gettid();
	for (;;) {
		atomic_store(&vm->stop, false);
		start_others(vm);
		r = run_vcpu(first, err);
		stop_others(vm);
		if (r < 0 || take_event(vm, ret_event))
			return r;
		if (atomic_exchange(&vm->kicked, false)) {
			ret_event->kind = VM_EVENT_KICKED;
			return 0;
		}
	}
}
