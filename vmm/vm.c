/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine as a whole: making it, its state in and out, its clock and timers.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "clock.h"
#include "vm_priv.h"

#define DEFAULT_MEMORY_BYTES (128ull << 20)
#define MEMORY_ALIGN_BYTES (2ull << 20)
#define TSS_GPA 0xfffbd000ull
#define CRASH_FLAG_GPA 0x472ull
#define SERIAL_GSI 4u

/* A guest that was stopped for longer is told so, lest its watchdogs bark. */
#define CLOCK_PAUSE_NS 1000000000ull

/* kvmclock and the host's clock are read, or set, one after the other. What comes between them a
 * guest's clock is behind for ever: clones of clones add it up. When it was more than this, we try
 * again. */
#define CLOCK_GAP_MAX_NS 200000u
enum { CLOCK_TRIES = 8 };

const unsigned long vm_run_ioctls[] = {
	KVM_RUN,	     KVM_SET_SREGS,	 KVM_GET_LAPIC,		KVM_SET_LAPIC,
	KVM_SET_MSRS,	     KVM_GET_MSRS,	 KVM_SET_REGS,		KVM_GET_REGS,
	KVM_GET_SREGS,	     KVM_SET_FPU,	 KVM_SET_XSAVE,		KVM_SET_XCRS,
	KVM_SET_MP_STATE,    KVM_SET_VCPU_EVENTS, KVM_SET_DEBUGREGS,	KVM_SET_IRQCHIP,
	KVM_SET_PIT2,	     KVM_SET_CLOCK,	 KVM_KVMCLOCK_CTRL,	KVM_IRQ_LINE,
	KVM_SET_CPUID2,	     KVM_TRANSLATE,	 0,
};

const char *vm_event_name(enum vm_event_kind kind)
{
	static const char *const names[] = {
		[VM_EVENT_DOORBELL] = "doorbell",
		[VM_EVENT_KICKED] = "interrupted",
		[VM_EVENT_POWEROFF] = "guest powered off",
		[VM_EVENT_RESET] = "guest reset itself",
		[VM_EVENT_CRASH] = "guest kernel crashed",
		[VM_EVENT_TRIPLE_FAULT] = "triple fault",
		[VM_EVENT_UNHANDLED] = "unhandled exit",
	};

	return kind < ARRAY_SIZE(names) && names[kind] ? names[kind] : "unknown event";
}

/* --- making ------------------------------------------------------------------------------- */

static void set_irq(const struct vm *vm, uint32_t gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	(void)ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

static void set_serial_irq(void *context, bool level)
{
	set_irq(context, SERIAL_GSI, level);
}

static void set_pmem_irq(void *context, bool level)
{
	set_irq(context, PCI_INTX_GSI, level);
}

static int add_devices(struct vm *vm, const struct vm_config *config, struct err *err)
{
	const uint8_t *crash_flag = vm_memory_at(vm, CRASH_FLAG_GPA, sizeof(uint16_t));
	struct pci *pci;

	vm->serial = serial_new(&vm->bus, set_serial_irq, vm, config->console_write,
				config->console_context);
	pci = pci_new(&vm->bus);
	if (pci)
		vm->doorbell = doorbell_new(&vm->bus, pci, vm->memory.bytes);
	if (vm->doorbell)
		vm->pmem = pmem_new(&vm->bus, pci, &vm->memory, set_pmem_irq, vm);
	if (!vm->serial || !vm->pmem || reset_new(&vm->bus, crash_flag) < 0 ||
	    acpi_pm_new(&vm->bus) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int create_machine(struct vm *vm, struct err *err)
{
	struct kvm_pit_config pit = {};

	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return err_set(err, -errno, "cannot create a VM: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA) < 0)
		return err_set(err, -errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_set(err, -errno, "cannot create the irqchip: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return err_set(err, -errno, "cannot create the PIT: %s", strerror(errno));
	return 0;
}

static int choose_cpuid(struct vm *vm, const struct vm_state *like, struct err *err)
{
	int r = cpuid_supported(vm->kvm_fd, &vm->supported, err);

	if (r < 0)
		return r;
	if (!like) {
		vm->cpuid = vm->supported;
		cpuid_apply_template(&vm->cpuid, vm->cpu_template);
		return 0;
	}
	r = cpuid_check(&vm->supported, like, err);
	if (r < 0)
		return r;
	vm->cpuid.head.nent = like->cpuid_count;
	memcpy(vm->cpuid.entries, like->cpuid, sizeof(vm->cpuid.entries));
	return 0;
}

static int create_vcpus(struct vm *vm, const struct vm_state *like, struct err *err)
{
	int r = choose_cpuid(vm, like, err);

	if (r < 0)
		return r;
	vm->has_xsave = vm->cpu_template == CPU_TEMPLATE_HOST &&
			ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE) > 0;
	r = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (r < (int)sizeof(struct kvm_run))
		return err_set(err, -EIO, "KVM_GET_VCPU_MMAP_SIZE gives %d", r);
	vm->run_bytes = (size_t)r;
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		r = vcpu_init(&vm->vcpus[i], vm, i, err);
		if (r < 0)
			return r;
		r = vcpu_set_cpuid(&vm->vcpus[i], err);
		if (r < 0)
			return r;
	}
	/* Without a rate KVM's clock is wrong by seconds: it was loaded before the kernel had
	 * measured the TSC, and too far from what that gave. */
	r = ioctl(vm->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
	if (r <= 0)
		return err_set(err, -EIO,
			       "KVM does not know the TSC's rate: load the module kvm again");
	vm->tsc_khz = (uint32_t)r;
	vm->msrs_fresh = true;
	return msr_select(vm->vcpus[0].fd, &vm->msrs, err);
}

static int check_config(const struct vm_config *config, struct err *err)
{
	if (config->memory_bytes < GUEST_MEMORY_MIN_BYTES ||
	    config->memory_bytes > GUEST_MEMORY_MAX_BYTES ||
	    config->memory_bytes % MEMORY_ALIGN_BYTES)
		return err_set(err, -EINVAL,
			       "guest memory is 32 MiB to 8 GiB in steps of 2 MiB, not %llu bytes",
			       (unsigned long long)config->memory_bytes);
	if (config->vcpus > VM_VCPUS_MAX)
		return err_set(err, -EINVAL, "a VM has 1 to %d vCPUs, not %u", VM_VCPUS_MAX,
			       config->vcpus);
	if (config->cpu_template > CPU_TEMPLATE_HOST)
		return err_set(err, -EINVAL, "no such CPU template");
	return 0;
}

static struct vm *vm_alloc(const struct vm_config *config)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->kvm_fd = vm->fd = -1;
	vm->cpu_template = config->cpu_template;
	vm->vcpu_count = config->vcpus;
	vm->vmgenid = config->vmgenid;
	for (unsigned int i = 0; i < VM_VCPUS_MAX; i++)
		vm->vcpus[i].fd = vm->vcpus[i].stats_fd = -1;
	bus_init(&vm->bus);
	memory_gap_init(&vm->gap);
	(void)pthread_mutex_init(&vm->lock, NULL);
	(void)pthread_cond_init(&vm->changed, NULL);
	return vm;
}

static void cleanup_vm_p(struct vm **vm)
{
	(void)vm_free(*vm);
}
#define cleanup_vm __attribute__((cleanup(cleanup_vm_p)))

int vm_new(struct vm **ret_vm, const struct vm_config *config, struct err *err)
{
	cleanup_vm struct vm *vm = NULL;
	struct vm_config full = *config;
	int r;

	if (!full.memory_bytes)
		full.memory_bytes = DEFAULT_MEMORY_BYTES;
	if (!full.vcpus)
		full.vcpus = 1;
	r = check_config(&full, err);
	if (r < 0)
		return r;
	vm = vm_alloc(&full);
	if (!vm)
		return err_set(err, -ENOMEM, "out of memory");

	if ((r = kvm_open(&vm->kvm_fd, err)) < 0 || (r = create_machine(vm, err)) < 0 ||
	    (r = memory_reserve(&vm->memory, full.memory_bytes, err)) < 0 ||
	    (r = memory_register(vm->fd, &vm->memory, err)) < 0 || (r = rom_add(vm, err)) < 0 ||
	    (!full.no_image && (r = image_reserve(vm, err)) < 0) ||
	    (r = add_devices(vm, &full, err)) < 0 || (r = create_vcpus(vm, full.like, err)) < 0 ||
	    (r = vm_threads_start(vm, err)) < 0)
		return r;
	*ret_vm = TAKE_PTR(vm);
	return 0;
}

struct vm *vm_free(struct vm *vm)
{
	if (!vm)
		return NULL;
	vm_threads_stop(vm);
	for (unsigned int i = 0; i < vm->vcpu_count; i++)
		vcpu_done(&vm->vcpus[i]);
	bus_done(&vm->bus);
	memory_release(&vm->memory);
	memory_gap_done(&vm->gap);
	image_release(vm);
	if (vm->rom)
		(void)munmap(vm->rom, GUEST_PAGE_BYTES);
	(void)fd_close(vm->fd);
	(void)fd_close(vm->kvm_fd);
	(void)pthread_cond_destroy(&vm->changed);
	(void)pthread_mutex_destroy(&vm->lock);
	free(vm);
	return NULL;
}

/* An edge: nothing of it stays in the irqchip once the LAPIC has it. */
int vm_generation_set(struct vm *vm, const uint8_t guid[GENERATION_BYTES], struct err *err)
{
	uint8_t *to = vm_memory_at(vm, BOOT_GENERATION_GPA, GENERATION_BYTES);

	if (!vm->vmgenid)
		return err_set(err, -ENOTSUP, "the VM was made without a generation id");
	memcpy(to, guid, GENERATION_BYTES);
	set_irq(vm, GENERATION_GSI, true);
	set_irq(vm, GENERATION_GSI, false);
	return 0;
}

uint64_t vm_mailbox_gpa(const struct vm *vm)
{
	return doorbell_mailbox_gpa(vm->doorbell);
}

size_t vm_console_input(struct vm *vm, const uint8_t *data, size_t bytes)
{
	return serial_input(vm->serial, data, bytes);
}

void vm_counters_get(const struct vm *vm, struct vm_counters *ret_counters)
{
	*ret_counters = (struct vm_counters){};
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *vcpu = &vm->vcpus[i];
		uint64_t faults = 0;

		ret_counters->exits += vcpu->exits;
		if (vcpu->stats_faults_offset &&
		    pread(vcpu->stats_fd, &faults, sizeof(faults), vcpu->stats_faults_offset) ==
			    (ssize_t)sizeof(faults))
			ret_counters->faults += faults;
	}
}

/* --- state out ---------------------------------------------------------------------------- */

static int devices_save(struct vm *vm, struct vm_state *state, struct err *err)
{
	state->device_count = vm->bus.device_count;
	for (unsigned int i = 0; i < vm->bus.device_count; i++) {
		const struct device *device = vm->bus.devices[i];
		struct device_state *saved = &state->devices[i];
		struct le_writer writer = { .buf = saved->data, .cap = sizeof(saved->data) };

		*saved = (struct device_state){ .version = device->ops->version };
		(void)strncpy(saved->name, device->ops->name, sizeof(saved->name) - 1);
		device->ops->save(device, &writer);
		if (writer.bad)
			return err_set(err, -EOVERFLOW, "device %s: its state is too large",
				       saved->name);
		saved->bytes = (uint32_t)writer.len;
	}
	return 0;
}

static int clock_save(struct vm *vm, struct vm_state *state, struct err *err)
{
	unsigned int tries = 0;
	uint64_t before;

	do {
		before = clock_ns(CLOCK_REALTIME);
		if (ioctl(vm->fd, KVM_GET_CLOCK, &state->clock) < 0)
			return err_set(err, -errno, "KVM_GET_CLOCK: %s", strerror(errno));
		state->realtime_ns = clock_ns(CLOCK_REALTIME);
	} while (state->realtime_ns - before > CLOCK_GAP_MAX_NS && ++tries < CLOCK_TRIES);
	return 0;
}

static int machine_get(struct vm *vm, struct vm_state *state, struct err *err)
{
	for (uint32_t i = 0; i < VM_IRQCHIPS; i++) {
		state->irqchip[i].chip_id = i;
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &state->irqchip[i]) < 0)
			return err_set(err, -errno, "KVM_GET_IRQCHIP: %s", strerror(errno));
	}
	if (ioctl(vm->fd, KVM_GET_PIT2, &state->pit) < 0)
		return err_set(err, -errno, "KVM_GET_PIT2: %s", strerror(errno));
	return clock_save(vm, state, err);
}

int vm_state_get(struct vm *vm, struct vm_state *ret_state, struct err *err)
{
	int r;

	ret_state->memory_bytes = vm->memory.bytes;
	ret_state->mailbox_gpa = vm_mailbox_gpa(vm);
	ret_state->tsc_khz = vm->tsc_khz;
	ret_state->cpu_template = vm->cpu_template;
	ret_state->cpuid_count = vm->cpuid.head.nent;
	memcpy(ret_state->cpuid, vm->cpuid.entries, sizeof(ret_state->cpuid));
	ret_state->vcpu_count = vm->vcpu_count;
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		r = vcpu_finish_exit(&vm->vcpus[i], err);
		if (r < 0)
			return r;
	}
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		r = vcpu_state_get(&vm->vcpus[i], &ret_state->vcpus[i], err);
		if (r < 0)
			return r;
	}
	r = machine_get(vm, ret_state, err);
	return r < 0 ? r : devices_save(vm, ret_state, err);
}

/* --- state in ----------------------------------------------------------------------------- */

int vm_check_cpu(const struct vm *vm, const struct vm_state *state, struct err *err)
{
	return cpuid_check(&vm->supported, state, err);
}

static int check_devices(const struct vm *vm, const struct vm_state *state, struct err *err)
{
	for (unsigned int i = 0; i < vm->bus.device_count; i++) {
		const struct device *device = vm->bus.devices[i];
		const struct device_state *saved = &state->devices[i];
		struct le_reader reader = { .buf = saved->data, .len = saved->bytes };
		int r;

		if (strncmp(saved->name, device->ops->name, sizeof(saved->name)) != 0)
			return err_set(err, -EINVAL,
				       "device %u: the snapshot has '%s', this VM '%s'", i,
				       saved->name, device->ops->name);
		if (saved->version != device->ops->version)
			return err_set(err, -EINVAL, "device %s: state version %u, known is %u",
				       saved->name, saved->version, device->ops->version);
		r = device->ops->check ? device->ops->check(device, reader, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_shape(const struct vm *vm, const struct vm_state *state, struct err *err)
{
	if (state->memory_bytes != vm->memory.bytes)
		return err_set(err, -EINVAL, "the snapshot has %llu MiB of memory, this VM %llu",
			       (unsigned long long)(state->memory_bytes >> 20),
			       (unsigned long long)(vm->memory.bytes >> 20));
	if (state->vcpu_count != vm->vcpu_count)
		return err_set(err, -EINVAL, "the snapshot has %u vCPUs, this VM %u",
			       state->vcpu_count, vm->vcpu_count);
	if (state->device_count != vm->bus.device_count)
		return err_set(err, -EINVAL, "the snapshot has %u devices, this VM %u",
			       state->device_count, vm->bus.device_count);
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		int r = msr_check(&vm->msrs, &state->vcpus[i], err);

		if (r < 0)
			return r;
		if (state->vcpus[i].has_xsave && !vm->has_xsave)
			return err_set(err, -EINVAL,
				       "the snapshot holds XSAVE state, this VM does not");
	}
	return check_devices(vm, state, err);
}

/* A shell already has its template's CPUID; only a snapshot from another host needs the ioctl. */
static int cpuid_load(struct vm *vm, const struct vm_state *state, struct err *err)
{
	size_t bytes = state->cpuid_count * sizeof(state->cpuid[0]);
	int r;

	if (state->cpuid_count == vm->cpuid.head.nent &&
	    memcmp(state->cpuid, vm->cpuid.entries, bytes) == 0)
		return 0;
	r = vm_check_cpu(vm, state, err);
	if (r < 0)
		return r;
	vm->cpuid.head.nent = state->cpuid_count;
	memcpy(vm->cpuid.entries, state->cpuid, bytes);
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		r = vcpu_set_cpuid(&vm->vcpus[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int devices_load(struct vm *vm, const struct vm_state *state, struct err *err)
{
	for (unsigned int i = 0; i < vm->bus.device_count; i++) {
		struct device *device = vm->bus.devices[i];
		const struct device_state *saved = &state->devices[i];
		struct le_reader reader = { .buf = saved->data, .len = saved->bytes };

		if (device->ops->load(device, &reader) < 0 || reader.bad ||
		    reader.pos != reader.len)
			return err_set(err, -EINVAL, "device %s: its state is malformed",
				       saved->name);
	}
	return 0;
}

/* kvmclock goes on from where it was plus the real time since, so the wall clock, which the guest
 * derives from it, is right. A guest that is being recorded is told that it was stopped however
 * short that was: what it does then belongs to the working set of all later clones. */
static int clock_load(struct vm *vm, const struct vm_state *state, enum vm_timers timers,
		      struct err *err)
{
	struct kvm_clock_data clock = {};
	unsigned int tries = 0;
	uint64_t now, passed;
	bool was_stopped;

	do {
		now = clock_ns(CLOCK_REALTIME);
		passed = now > state->realtime_ns ? now - state->realtime_ns : 0;
		clock.clock = state->clock.clock + passed;
		if (ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
			return err_set(err, -errno, "KVM_SET_CLOCK: %s", strerror(errno));
	} while (clock_ns(CLOCK_REALTIME) - now > CLOCK_GAP_MAX_NS && ++tries < CLOCK_TRIES);
	was_stopped = passed > CLOCK_PAUSE_NS || timers == VM_TIMERS_LATE;
	for (unsigned int i = 0; i < vm->vcpu_count && was_stopped; i++)
		(void)ioctl(vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
	return 0;
}

/* Linux shuts the PIT down by setting mode 0 with a full count, and KVM would arm a host timer for
 * that: an interrupt 55 ms after the restore, for nobody. The VM's own PIT is silent as it is. */
static bool pit_is_shut_down(const struct kvm_pit_state2 *pit)
{
	return pit->channels[0].mode == 0;
}

static int machine_set(struct vm *vm, const struct vm_state *state, enum vm_timers timers,
		       struct err *err)
{
	for (unsigned int i = 0; i < VM_IRQCHIPS; i++)
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &state->irqchip[i]) < 0)
			return err_set(err, -errno, "KVM_SET_IRQCHIP: %s", strerror(errno));
	if (!pit_is_shut_down(&state->pit) && ioctl(vm->fd, KVM_SET_PIT2, &state->pit) < 0)
		return err_set(err, -errno, "KVM_SET_PIT2: %s", strerror(errno));
	return clock_load(vm, state, timers, err);
}

/* --- timers ------------------------------------------------------------------------------- */

/* Does this start have to begin with a timer interrupt? If so, the guest will look at its clock. */
static bool takes_tick(struct vm *vm, enum vm_timers timers)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);
	bool overdue = now > vm->guest_ticked_ns && now - vm->guest_ticked_ns > VM_CLOCK_AGE_MAX_NS;

	if (timers != VM_TIMERS_DUE && !overdue)
		return false;
	vm->guest_ticked_ns = now;
	return true;
}

/* vCPU 0 keeps the time of a Linux guest unless it was idle, so each takes its tick. */
static void arm(struct kvm_lapic_state *lapic, enum vm_timers timers, bool tick)
{
	if (timers == VM_TIMERS_STOPPED)
		lapic_timer_stop(lapic);
	else if (tick)
		lapic_timer_raise(lapic);
	else
		lapic_timer_defer(lapic, timers == VM_TIMERS_LATE ? VM_TIMER_LATE_NS :
								    VM_TIMER_MARGIN_NS);
}

int vm_timers_stop(struct vm *vm, struct err *err)
{
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct kvm_lapic_state stopped;

		if (ioctl(vm->vcpus[i].fd, KVM_GET_LAPIC, &vm->lapics[i]) < 0)
			return err_set(err, -errno, "KVM_GET_LAPIC: %s", strerror(errno));
		stopped = vm->lapics[i];
		lapic_timer_stop(&stopped);
		if (ioctl(vm->vcpus[i].fd, KVM_SET_LAPIC, &stopped) < 0)
			return err_set(err, -errno, "KVM_SET_LAPIC: %s", strerror(errno));
	}
	return 0;
}

int vm_timers_start(struct vm *vm, struct err *err)
{
	bool tick = takes_tick(vm, VM_TIMERS_RUNNING);

	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		arm(&vm->lapics[i], VM_TIMERS_RUNNING, tick);
		if (ioctl(vm->vcpus[i].fd, KVM_SET_LAPIC, &vm->lapics[i]) < 0)
			return err_set(err, -errno, "KVM_SET_LAPIC: %s", strerror(errno));
	}
	return 0;
}

static int vcpus_load(struct vm *vm, const struct vm_state *state, enum vm_timers timers,
		      struct err *err)
{
	bool tick = timers != VM_TIMERS_STOPPED && timers != VM_TIMERS_LATE &&
		    takes_tick(vm, timers);

	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct kvm_lapic_state lapic = state->vcpus[i].lapic;
		int r;

		vm->lapics[i] = lapic;
		arm(&lapic, timers, tick);
		r = vcpu_state_set(&vm->vcpus[i], &state->vcpus[i], &lapic, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Hot path: one pass, nothing allocated. The clock comes before the LAPICs are armed. */
int vm_state_set(struct vm *vm, const struct vm_state *state, enum vm_timers timers,
		 struct err *err)
{
	int r;

	if ((r = check_shape(vm, state, err)) < 0 || (r = cpuid_load(vm, state, err)) < 0 ||
	    (r = devices_load(vm, state, err)) < 0)
		return r;
	vm->guest_ticked_ns = state->realtime_ns;
	r = vcpus_load(vm, state, timers, err);
	vm->msrs_fresh = false; /* also after a failure, which may have come half-way */
	return r < 0 ? r : machine_set(vm, state, timers, err);
}
