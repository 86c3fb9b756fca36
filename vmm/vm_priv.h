/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of liblumper share: the VM, its vCPUs and how they stop.
 */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "boot/boot.h"
#include "device/device.h"
#include "lumper.h"

/* Ends a KVM_RUN from another thread. Blocked everywhere but inside KVM_RUN, so that no handler is
 * needed. */
#define VM_KICK_SIGNAL (SIGRTMIN + 1)

struct vcpu {
	struct vm *vm; /* borrowed */
	unsigned int index;
	int fd;	      /* owned */
	int stats_fd; /* owned, -1 when the host has none */
	uint32_t stats_faults_offset;
	struct kvm_run *run; /* owned mapping */
	pid_t tid;	     /* of the thread that runs it, 0 while none does */
	pthread_t thread;    /* vCPUs above 0 */
	bool has_thread;
	uint64_t exits;
	bool fault_forgiven; /* the memory has become whole since it was entered */
	bool event_pending; /* `event` was raised while another one was being delivered */
	struct vm_event event;
};

struct kvm_msr_batch {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[VM_MSRS_MAX];
};

struct cpuid_batch {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[VM_CPUID_MAX];
};

/* Memory that is not all there, and who makes it whole. */
struct memory_gap {
	vm_memory_handler *handler; /* NULL: there has never been a gap */
	void *context;		    /* borrowed */
	atomic_bool open;
	pthread_mutex_t lock; /* of those that close it */
};

struct vm {
	int kvm_fd, fd; /* owned */
	enum cpu_template cpu_template;
	struct guest_memory memory; /* owned mapping */
	struct memory_gap gap;	    /* what is absent of it */
	uint8_t *rom;		    /* owned mapping: the page with the reset vector */
	uint8_t *image;		    /* owned mapping of GUEST_IMAGE_MAX_BYTES */
	uint64_t image_bytes;	    /* of it, that a file is mapped over; 0: none */
	unsigned int vcpu_count;
	size_t run_bytes;
	bool has_xsave;
	bool vmgenid;
	uint32_t tsc_khz;

	struct cpuid_batch cpuid;     /* what the vCPUs have been given, but for the APIC ids */
	struct cpuid_batch supported; /* what this host could give */
	struct kvm_msr_batch msrs;    /* which MSRs make up the state, with a fresh vCPU's values */
	bool msrs_fresh;	      /* no MSR has been set since */
	struct kvm_lapic_state lapics[VM_VCPUS_MAX]; /* while the timers are stopped */
	uint64_t guest_ticked_ns; /* real time at which the guest kernel last kept its own time */

	struct device_bus bus;
	struct serial *serial;	   /* owned by the bus */
	struct doorbell *doorbell; /* owned by the bus */
	struct pmem *pmem;	   /* owned by the bus */

	/* Stopping and starting. `stop` is written by any vCPU that has an event; `kicked` by
	 * vm_kick. */
	atomic_bool stop, kicked;
	pthread_mutex_t lock; /* guards the fields below */
	pthread_cond_t changed;
	uint64_t epoch;	      /* counts the starts */
	unsigned int running; /* vCPU threads that have not yet stopped */
	bool quit;

	struct vcpu vcpus[VM_VCPUS_MAX];
};

/* kvm.c */
int kvm_open(int *ret_fd, struct err *err);

/* memory.c: ranges of address space without access, of a multiple of 1 GiB from one on. */
int range_reserve(uint64_t bytes, uint8_t **ret_base, struct err *err);
void range_release(uint8_t *base, uint64_t bytes);
int memory_reserve(struct guest_memory *memory, uint64_t bytes, struct err *err);
void memory_release(struct guest_memory *memory);
int memory_slot(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa, uint8_t *hva,
		uint64_t bytes, struct err *err);
int memory_register(int vm_fd, const struct guest_memory *memory, struct err *err);

/* memory_gap.c. A vCPU's KVM_RUN said EFAULT: true when it can be entered again. */
void memory_gap_init(struct memory_gap *gap);
void memory_gap_done(struct memory_gap *gap);
bool memory_gap_forgives(struct vcpu *vcpu, struct err *err);

/* rehearse.c: the page with the reset vector, in a slot behind those of RAM. */
#define ROM_SLOT 2u
int rom_add(struct vm *vm, struct err *err);

/* image.c: the slot behind that. */
#define IMAGE_SLOT 3u
int image_reserve(struct vm *vm, struct err *err);
void image_release(struct vm *vm);

/* cpuid.c */
int cpuid_supported(int kvm_fd, struct cpuid_batch *ret_cpuid, struct err *err);
void cpuid_apply_template(struct cpuid_batch *cpuid, enum cpu_template cpu_template);
void cpuid_set_apic_id(struct cpuid_batch *cpuid, uint32_t apic_id);
int cpuid_check(const struct cpuid_batch *supported, const struct vm_state *state, struct err *err);

/* msr.c */
int msr_select(int vcpu_fd, struct kvm_msr_batch *ret_msrs, struct err *err);
const struct kvm_msr_entry *msr_find(const struct kvm_msr_batch *msrs, uint32_t index,
				     uint32_t *at);
int msr_check(const struct kvm_msr_batch *msrs, const struct vcpu_state *state, struct err *err);

/* vcpu.c */
int vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int index, struct err *err);
void vcpu_done(struct vcpu *vcpu);
int vcpu_set_cpuid(struct vcpu *vcpu, struct err *err);
int vcpu_finish_exit(struct vcpu *vcpu, struct err *err);
int vcpu_state_get(struct vcpu *vcpu, struct vcpu_state *ret_state, struct err *err);
int vcpu_state_set(struct vcpu *vcpu, const struct vcpu_state *state,
		   const struct kvm_lapic_state *lapic, struct err *err);

/* timer.c */
void lapic_timer_stop(struct kvm_lapic_state *lapic);
void lapic_timer_defer(struct kvm_lapic_state *lapic, uint64_t ns);
void lapic_timer_raise(struct kvm_lapic_state *lapic);

/* exits.c: handles the exit in vcpu->run. 0: go on, 1: vcpu->event is filled. */
int vcpu_handle_exit(struct vcpu *vcpu);
int vcpu_handle_fault(struct vcpu *vcpu);

/* report.c */
void vcpu_report(struct vcpu *vcpu, const char *reason, struct vm_event *event);

/* run.c */
int vm_threads_start(struct vm *vm, struct err *err);
void vm_threads_stop(struct vm *vm);
