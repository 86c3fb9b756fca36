/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liblumper: one KVM virtual machine in this process.
 *
 * A `struct vm` is created empty, gets its contents either from a kernel (vm_boot_linux) or from a
 * snapshot (libsnapshot, through vm_state_set and guest memory), and is then run until something
 * happens that its owner has to decide about. Between two calls of vm_run no vCPU executes.
 *
 * Not thread-safe, except vm_kick: one thread owns a VM. Functions return 0 or -errno with `err`
 * filled, unless said otherwise. Nothing here prints, exits or reads the environment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "vm_state.h"

struct vm;

#define GUEST_PAGE_BYTES 4096ull
#define GUEST_MEMORY_MIN_BYTES (32ull << 20)
#define GUEST_MEMORY_MAX_BYTES (8ull << 30)

/* Guest-physical layout: RAM from 0, a hole below 4 GiB for devices, the rest of RAM above it. */
#define GUEST_HOLE_START 0xc0000000ull
#define GUEST_HOLE_END 0x100000000ull

/* Hot memory: a NUMA node of its own, if there is so much memory. A guest puts what a start touches
 * there, and a shell has it ready before it knows what that is. Two large pages. */
#define GUEST_HOT_START (64ull << 20)
#define GUEST_HOT_END (68ull << 20)

struct vm_config {
	uint64_t memory_bytes; /* multiple of 2 MiB; 0: 128 MiB */
	unsigned int vcpus;    /* 0: 1 */
	enum cpu_template cpu_template;

	/* The VM will never be given an image: spares its memslot, which costs 70 us, 20 KiB of the
	 * host kernel's memory, and 20 MiB of it where KVM keeps a word for every guest page
	 * (without its TDP MMU). */
	bool no_image;

	/* Microsoft's Virtual Machine Generation ID, for guests that are told so that they are
	 * clones: in the ACPI tables of a boot, and for vm_generation_set. */
	bool vmgenid;

	/* A snapshot that the VM will be given: its CPUID is then used instead of the template's on
	 * this host, because a vCPU's CPUID is fixed once it has run. Borrowed for the call, or
	 * NULL. */
	const struct vm_state *like;

	/* Receives what the guest prints on its serial port, on a vCPU's thread. NULL drops it. */
	void (*console_write)(void *context, const uint8_t *data, size_t bytes);
	void *console_context; /* borrowed until vm_free */
};

/* Opens /dev/kvm, checks every capability that lumper needs, creates VM, irqchip, PIT, memslots
 * over a reserved (empty, private, anonymous) address range, devices and vCPUs. Takes
 * milliseconds. */
int vm_new(struct vm **ret_vm, const struct vm_config *config, struct err *err);
struct vm *vm_free(struct vm *vm);

/* --- memory ------------------------------------------------------------------------------- */

/* Host address of `bytes` bytes of guest RAM at `gpa`, or NULL when any of them is not RAM (or when
 * the range spans the hole). The only way to guest memory. */
void *vm_memory_at(const struct vm *vm, uint64_t gpa, uint64_t bytes);

/* The whole guest RAM as one host range; file offset of a memory layer == offset in it. */
void *vm_memory_base(const struct vm *vm);
uint64_t vm_memory_bytes(const struct vm *vm);

/* Translates between guest-physical address and offset in that range; false when not RAM. */
bool guest_gpa_to_offset(uint64_t memory_bytes, uint64_t gpa, uint64_t *ret_offset);
uint64_t guest_offset_to_gpa(uint64_t offset);

/* --- image -------------------------------------------------------------------------------- */

/* A read-only file in the guest's physical address space, above all RAM: a virtio-pmem function at
 * 00:02.0 describes it, so a guest mounts it with DAX and its pages are the host's page cache. The
 * memslot of GUEST_IMAGE_MAX_BYTES is made with the VM, over a reserved range; mapping a file over
 * that needs no KVM call. */
#define GUEST_IMAGE_GPA (16ull << 30)
#define GUEST_IMAGE_MAX_BYTES (8ull << 30)
#define GUEST_IMAGE_ALIGN_BYTES (2ull << 20)

/* Maps `bytes` (a multiple of the alignment, at most the maximum) of the file, read-only. Once per
 * VM, before vm_state_set of a state that has an image, or after that of one that has none (then
 * the guest's driver finds it when it is loaded). -EINVAL for a bad size and for a VM made with
 * no_image, -EBUSY the second time. The file must not become shorter: a page that is gone ends the
 * VM, with an event, as does a read behind the image. The descriptor is the caller's and may be
 * closed. */
int vm_image_map(struct vm *vm, int fd, uint64_t bytes, struct err *err);

/* The whole range, for a recorder (NULL with no_image), and how much of it is mapped (0: no
 * image). */
void *vm_image_base(const struct vm *vm);
uint64_t vm_image_bytes(const struct vm *vm);

/* --- contents ----------------------------------------------------------------------------- */

struct boot_config {
	const char *kernel;  /* path of a bzImage or an ELF vmlinux */
	const char *initrd;  /* path, or NULL */
	const char *cmdline; /* NULL: "" */
};

/* Loads kernel, initrd, command line, boot parameters and ACPI tables, and sets vCPU 0 up for the
 * 64-bit boot protocol (Documentation/arch/x86/boot.rst). */
int vm_boot_linux(struct vm *vm, const struct boot_config *config, struct err *err);

/* What the timers of a VM do while its state is loaded. */
enum vm_timers {
	VM_TIMERS_STOPPED, /* no host timer runs for this VM until vm_timers_start */
	VM_TIMERS_RUNNING, /* the clock has caught up, the timers run, none is already due */
	VM_TIMERS_LATE,	   /* the same, but none fires within VM_TIMER_LATE_NS: for recording */
	VM_TIMERS_DUE,	   /* the same, but the guest takes a timer interrupt before all else */
};

/* Copies the state of all vCPUs, the VM and its devices out or in. The VM must not be running.
 * `get` completes a pending exit first. `set` refuses a state of another shape or for another CPU
 * and has then changed nothing; after another failure the VM is unusable. */
int vm_state_get(struct vm *vm, struct vm_state *ret_state, struct err *err);
int vm_state_set(struct vm *vm, const struct vm_state *state, enum vm_timers timers,
		 struct err *err);

/* Makes an empty VM execute one instruction on each vCPU, so that KVM has allocated what it
 * allocates at first use. The VM is then as empty as before to vm_state_set, but not to
 * vm_boot_linux. */
int vm_rehearse(struct vm *vm, struct err *err);

/* Makes vCPU 0 of an empty, rehearsed VM read, or with VM_TOUCH_WRITE write back what is there, one
 * byte of each page of the list: guest-physical addresses below 4 GiB, multiples of the page size
 * but for that bit. What lies there has to be memory. Afterwards KVM's second-stage entries for
 * these pages exist, until the host maps something else. */
#define VM_TOUCH_WRITE 1u
int vm_touch(struct vm *vm, const uint32_t *list, size_t count, struct err *err);

/* Whether the processor itself translates guest-physical addresses (EPT, NPT). Without, KVM reads
 * the guest's page tables through the host's mapping, and a page of them that is absent there looks
 * to the guest like one that it has not mapped. Reads /sys. */
bool vm_host_has_two_stages(void);

/* A VM whose memory is not all there. The handler is called, on whatever thread but never twice at
 * once, when KVM cannot reach something that a vCPU touches: which page that is nobody tells, so it
 * makes some of the rest be there, what is wanted most probably first, and is called again if that
 * was not it. With `all`, before vm_memory_at hands out a pointer, all has to be there afterwards.
 * It is not called again after it has returned 0; 1: it can do more. A failure ends the VM. */
typedef int vm_memory_handler(void *context, bool all, struct err *err);
void vm_memory_incomplete(struct vm *vm, vm_memory_handler *handler, void *context);
int vm_memory_complete(struct vm *vm, struct err *err);

/* The guest kernel's own reckoning of time (and the vDSO's) overflows when kvmclock has moved by
 * more than 2^40 ns, 18 minutes, since it last looked. A VM whose last look is older than this
 * takes a timer interrupt first when its timers start; that costs milliseconds, so templates are
 * refreshed. */
#define VM_CLOCK_AGE_MAX_NS (900ull * 1000000000ull)

/* Stops the LAPIC timers of a VM that is going to wait for long, and lets them go on: no timer
 * fires in between, and the first one after the start lies VM_TIMER_MARGIN_NS ahead at least. */
#define VM_TIMER_MARGIN_NS 20000000ull
#define VM_TIMER_LATE_NS 4000000000ull
int vm_timers_stop(struct vm *vm, struct err *err);
int vm_timers_start(struct vm *vm, struct err *err);

/* Names the CPU features that `state` needs and this host lacks into err (-ENOTSUP), or 0. */
int vm_check_cpu(const struct vm *vm, const struct vm_state *state, struct err *err);

/* --- running ------------------------------------------------------------------------------ */

enum vm_event_kind {
	VM_EVENT_DOORBELL = 1, /* the guest rang: `doorbell` */
	VM_EVENT_KICKED,       /* vm_kick */
	VM_EVENT_POWEROFF,     /* ACPI S5 */
	VM_EVENT_RESET,	       /* the guest asked for a reset */
	VM_EVENT_CRASH,	       /* the guest kernel panicked */
	VM_EVENT_TRIPLE_FAULT,
	VM_EVENT_UNHANDLED, /* an exit that nobody handles: `report` */
};

enum { VM_REPORT_BYTES = 2048 };

struct vm_event {
	enum vm_event_kind kind;
	unsigned int vcpu;
	uint32_t doorbell; /* raw register value, enum doorbell_value in the low 16 bits */
	char report[VM_REPORT_BYTES]; /* registers, instruction bytes, reason; empty otherwise */
};

/* Runs all vCPUs until one of them causes an event, then stops them all. Blocking. DOORBELL_MAILBOX
 * is handled inside. */
int vm_run(struct vm *vm, struct vm_event *ret_event, struct err *err);

/* Makes a running (or the next) vm_run return VM_EVENT_KICKED. Callable from any thread and from a
 * signal handler. */
void vm_kick(struct vm *vm);

/* Guest-physical address of the registered mailbox, 0 when none is. */
uint64_t vm_mailbox_gpa(const struct vm *vm);

/* Gives a clone its new generation id and tells its kernel by an interrupt: a Linux guest mixes it
 * into its random numbers before it hands out any more. After vm_state_set, once the timers run
 * (their start puts the LAPIC's pending interrupts back). -ENOTSUP when vm_config did not ask for
 * it. */
int vm_generation_set(struct vm *vm, const uint8_t guid[16], struct err *err);

/* Feeds console input to the serial port; returns how many bytes it took. Callable from another
 * thread than the owner's. */
size_t vm_console_input(struct vm *vm, const uint8_t *data, size_t bytes);

/* Counters for reports, never on a hot path. */
struct vm_counters {
	uint64_t exits;	 /* KVM_RUN returns */
	uint64_t faults; /* second-stage page faults that KVM took; 0 when not counted */
};
void vm_counters_get(const struct vm *vm, struct vm_counters *ret_counters);

/* The descriptors of this VM for a syscall filter: allowed ioctl requests, NUL-terminated table. */
extern const unsigned long vm_run_ioctls[];

/* Text for an event, for messages. */
const char *vm_event_name(enum vm_event_kind kind);
