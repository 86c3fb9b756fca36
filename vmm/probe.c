/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probing /dev/kvm with tiny guests.
 *
 * One VM with one vCPU and 64 KiB of memory serves all checks. Each check puts the vCPU into long
 * mode at one entry point of the guest program below, in ring 0 or ring 3, and runs it until it
 * reports: a store to a page without memory, which exits to us as MMIO from any ring. The guest
 * program is position-dependent data of this file; it is never executed here.
 *
 * Used by one thread; the caller owns the result.
 */
#include "kvm_probe.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "clock.h"
#include "err.h"
#include "vm_priv.h"

/* Guest-physical layout; virtual addresses are the same. */
#define GUEST_BYTES 0x10000u
#define PML4_GPA 0x1000u
#define PDPT_GPA 0x2000u
#define PD_GPA 0x3000u
#define PT_GPA 0x4000u
#define GDT_GPA 0x5000u
#define IDT_GPA 0x5100u
#define TSS_GPA 0x5300u
#define CODE_GPA 0x6000u
#define RING0_STACK_TOP 0x8000u
#define RING3_STACK_TOP 0x9000u
#define PVCLOCK_GPA 0x9000u
#define REPORT_GVA 0x10000u /* the first page behind guest memory: a store exits */
#define HOLE_GVA 0x11000u   /* not present until the guest's fault handler maps it */
#define HOLE_GPA 0xd000u
#define HOLE_PTE_GPA (PT_GPA + (HOLE_GVA >> 12) * 8)
#define HOLE_VALUE 0x5eedu

#define PTE_PRESENT 1u
#define PTE_WRITABLE 2u
#define PTE_USER 4u
#define PTE_ALL (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

#define SELECTOR_CODE0 0x08u
#define SELECTOR_DATA0 0x10u
#define SELECTOR_SYSRET 0x18u /* STAR's base: SYSRET takes SS from +8, CS from +16, with RPL 3 */
#define SELECTOR_DATA3 0x23u
#define SELECTOR_CODE3 0x2bu
#define SELECTOR_TSS 0x30u

#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_SFMASK 0xc0000084u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u

#define CR0_LONG_MODE 0x80050033ull /* PG AM WP NE ET MP PE */
#define CR4_PAE 0x20ull
#define EFER_LONG_MODE 0x501ull /* SCE LME LMA */

#define PAGE_FAULT_VECTOR 14u
#define PAGE_FAULT_USER_WRITE 6u /* error code: user, write, not present */

/* Emulation costs several hundred times the native loop, nesting next to nothing. */
#define RING0_WARMUP_LOOPS 200u
#define RING0_LOOPS 20000u
#define RING0_ROUNDS 3
#define RING0_SLOWDOWN_MAX 50.0

#define TIME_WAIT_NS 2000000l
#define TIME_SLACK_NS 200000ull


/* clang-format off */
__asm__(
	".pushsection .rodata\n"
	"probe_guest_start:\n"
	/* ring 0; ecx: how often */
	"probe_guest_loop:\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	mov %eax, 0x10000\n"
	/* ring 3 */
	"probe_guest_syscall:\n"
	"	syscall\n"
	"	mov %cs, %eax\n"
	"	mov %eax, 0x10000\n"
	"probe_guest_syscall_entry:\n"
	"	mov %cs, %eax\n"
	"	mov %eax, 0x10000\n"
	"	sysretq\n"
	/* ring 3; ebx: what to store at rdi */
	"probe_guest_fault:\n"
	"	mov %ebx, (%rdi)\n"
	"	mov %cs, %eax\n"
	"	mov %eax, 0x10000\n"
	/* reports cs, then cr2 in rsi and the error code in rdx; stores r8 to the PTE at r9 */
	"probe_guest_fault_entry:\n"
	"	mov %cs, %eax\n"
	"	mov %cr2, %rsi\n"
	"	pop %rdx\n"
	"	mov %eax, 0x10000\n"
	"	mov %r8, (%r9)\n"
	"	iretq\n"
	/* ring 0; the TSC in rax, as often as it is run */
	"probe_guest_time:\n"
	"	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	mov %eax, 0x10000\n"
	"	jmp probe_guest_time\n"
	"probe_guest_end:\n"
	".popsection\n");
/* clang-format on */

extern const uint8_t probe_guest_start[], probe_guest_loop[], probe_guest_syscall[],
	probe_guest_syscall_entry[], probe_guest_fault[], probe_guest_fault_entry[],
	probe_guest_time[], probe_guest_end[];

/* Guest address of a label of the guest program. */
#define GUEST_ADDRESS(label) (CODE_GPA + (uint64_t)((label) - probe_guest_start))

/* All descriptors are owned. `run` is NULL until the vCPU exists. */
struct probe_vm {
	int kvm_fd, vm_fd, vcpu_fd;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_bytes;
};

/* How a check starts its vCPU. */
struct probe_start {
	uint64_t entry;
	bool ring3;
	uint64_t rbx, rcx, rdi, r8, r9;
};

const char *const kvm_check_names[KVM_CHECKS] = {
	[KVM_CHECK_DEVICE] = "device",
	[KVM_CHECK_RING0] = "ring0-speed",
	[KVM_CHECK_SYSCALL] = "syscall",
	[KVM_CHECK_PAGE_FAULT] = "page-fault",
	[KVM_CHECK_TIME] = "time",
};

static void probe_vm_done(struct probe_vm *vm)
{
	if (vm->run)
		(void)munmap(vm->run, vm->run_bytes);
	if (vm->memory)
		(void)munmap(vm->memory, GUEST_BYTES);
	vm->vcpu_fd = fd_close(vm->vcpu_fd);
	vm->vm_fd = fd_close(vm->vm_fd);
	vm->kvm_fd = fd_close(vm->kvm_fd);
}

#define cleanup_probe_vm __attribute__((cleanup(probe_vm_done)))

static void guest_put64(struct probe_vm *vm, uint32_t gpa, uint64_t value)
{
	memcpy(vm->memory + gpa, &value, sizeof(value));
}

static void write_page_tables(struct probe_vm *vm)
{
	guest_put64(vm, PML4_GPA, PDPT_GPA | PTE_ALL);
	guest_put64(vm, PDPT_GPA, PD_GPA | PTE_ALL);
	guest_put64(vm, PD_GPA, PT_GPA | PTE_ALL);
	for (uint32_t gva = 0; gva <= REPORT_GVA; gva += 4096)
		guest_put64(vm, PT_GPA + (gva >> 12) * 8, gva | PTE_ALL);
}

static void write_descriptors(struct probe_vm *vm)
{
	const uint64_t handler = GUEST_ADDRESS(probe_guest_fault_entry);
	const uint32_t gate = IDT_GPA + PAGE_FAULT_VECTOR * 16;

	guest_put64(vm, GDT_GPA + SELECTOR_CODE0, 0x00af9b000000ffffull);
	guest_put64(vm, GDT_GPA + SELECTOR_DATA0, 0x00cf93000000ffffull);
	guest_put64(vm, GDT_GPA + (SELECTOR_DATA3 & ~3u), 0x00cff3000000ffffull);
	guest_put64(vm, GDT_GPA + (SELECTOR_CODE3 & ~3u), 0x00affb000000ffffull);
	/* A busy 64-bit TSS: limit, base and type; the upper half of the base is zero. */
	guest_put64(vm, GDT_GPA + SELECTOR_TSS, 0x00008b0000000067ull | (uint64_t)TSS_GPA << 16);
	guest_put64(vm, TSS_GPA + 4, RING0_STACK_TOP); /* RSP0 */

	/* A present interrupt gate of DPL 0; the handler lies below 64 KiB. */
	guest_put64(vm, gate, 0x00008e0000000000ull | (uint64_t)SELECTOR_CODE0 << 16 | handler);
}

static struct kvm_segment code_or_data(bool code, bool ring3)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = code ? (ring3 ? SELECTOR_CODE3 : SELECTOR_CODE0)
				 : (ring3 ? SELECTOR_DATA3 : SELECTOR_DATA0),
		.type = code ? 11 : 3,
		.present = 1,
		.dpl = ring3 ? 3 : 0,
		.db = !code,
		.s = 1,
		.l = code,
		.g = 1,
	};
}

static int set_sregs(struct probe_vm *vm, bool ring3)
{
	const struct kvm_segment data = code_or_data(false, ring3);
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = code_or_data(true, ring3);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){.base = TSS_GPA,
					.limit = 0x67,
					.selector = SELECTOR_TSS,
					.type = 11,
					.present = 1};
	sregs.ldt = (struct kvm_segment){.unusable = 1};
	sregs.gdt = (struct kvm_dtable){.base = GDT_GPA, .limit = SELECTOR_TSS + 15};
	sregs.idt = (struct kvm_dtable){.base = IDT_GPA, .limit = PAGE_FAULT_VECTOR * 16 + 15};
	sregs.cr0 = CR0_LONG_MODE;
	sregs.cr3 = PML4_GPA;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LONG_MODE;
	return ioctl(vm->vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

/* Completes the last exit, so that nothing of it is left to happen to the new registers. */
static void finish_exit(struct probe_vm *vm)
{
	vm->run->immediate_exit = 1;
	(void)ioctl(vm->vcpu_fd, KVM_RUN, 0);
	vm->run->immediate_exit = 0;
}

static int start_guest(struct probe_vm *vm, const struct probe_start *start, struct err *err)
{
	const struct kvm_regs regs = {
		.rip = start->entry,
		.rsp = start->ring3 ? RING3_STACK_TOP : RING0_STACK_TOP,
		.rflags = 2,
		.rbx = start->rbx,
		.rcx = start->rcx,
		.rdi = start->rdi,
		.r8 = start->r8,
		.r9 = start->r9,
	};
	int r;

	finish_exit(vm);
	r = set_sregs(vm, start->ring3);
	if (r == 0 && ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "cannot set registers: %s", strerror(-r)) : 0;
}

/* Says what ended a run that did not report. */
static int unexpected_exit(const struct kvm_run *run, struct err *err)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		return err_set(err, -EIO, "the guest died of a triple fault");
	case KVM_EXIT_INTERNAL_ERROR:
		return err_set(err, -EIO, "KVM gave up (internal error %u)",
			       run->internal.suberror);
	case KVM_EXIT_FAIL_ENTRY:
		return err_set(err, -EIO, "KVM could not enter the guest (hardware reason 0x%llx)",
			       run->fail_entry.hardware_entry_failure_reason);
	default:
		return err_set(err, -EIO, "unexpected exit, reason %u", run->exit_reason);
	}
}

/* Runs until the guest reports a value. */
static int run_guest(struct probe_vm *vm, uint32_t *ret_value, struct err *err)
{
	const struct kvm_run *run = vm->run;
	int r;

	do
		r = ioctl(vm->vcpu_fd, KVM_RUN, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_set(err, -errno, "KVM_RUN: %s", strerror(errno));
	if (run->exit_reason != KVM_EXIT_MMIO || !run->mmio.is_write ||
	    run->mmio.phys_addr != REPORT_GVA)
		return unexpected_exit(run, err);
	memcpy(ret_value, run->mmio.data, sizeof(*ret_value));
	return 0;
}

static int guest_regs(struct probe_vm *vm, struct kvm_regs *ret_regs, struct err *err)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, ret_regs) < 0)
		return err_set(err, -errno, "KVM_GET_REGS: %s", strerror(errno));
	return 0;
}

static const char *device_advice(int r)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
		return "add yourself to the group kvm, then log in again";
	case -ENOTSUP:
		return "use a newer kernel";
	default:
		return "load kvm-amd or kvm-intel, or enable virtualization in the firmware, or "
		       "nested virtualization in the hypervisor";
	}
}

static int check_device(struct probe_vm *vm, struct kvm_check_result *result, struct err *err)
{
	int r = kvm_open(&vm->kvm_fd, err);

	if (r < 0) {
		(void)snprintf(result->advice, sizeof(result->advice), "%s", device_advice(r));
		return r;
	}
	(void)snprintf(result->found, sizeof(result->found),
		       "API version %d with every capability that is needed",
		       ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0));
	return 0;
}

static int set_cpuid(struct probe_vm *vm)
{
	enum { ENTRIES = 256 };
	cleanup_free struct kvm_cpuid2 *cpuid = NULL;

	cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = ENTRIES;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		return -errno;
	return 0;
}

static int set_msrs(struct probe_vm *vm)
{
	const struct kvm_msr_entry entries[] = {
		{.index = MSR_STAR,
		 .data = (uint64_t)SELECTOR_SYSRET << 48 | (uint64_t)SELECTOR_CODE0 << 32},
		{.index = MSR_LSTAR, .data = GUEST_ADDRESS(probe_guest_syscall_entry)},
		{.index = MSR_SFMASK, .data = 0},
		{.index = MSR_KVM_SYSTEM_TIME_NEW, .data = PVCLOCK_GPA | 1},
	};
	cleanup_free struct kvm_msrs *msrs = NULL;
	int r;

	msrs = calloc(1, sizeof(*msrs) + sizeof(entries));
	if (!msrs)
		return -ENOMEM;
	msrs->nmsrs = ARRAY_SIZE(entries);
	memcpy(msrs->entries, entries, sizeof(entries));
	r = ioctl(vm->vcpu_fd, KVM_SET_MSRS, msrs);
	if (r < 0)
		return -errno;
	return r == (int)ARRAY_SIZE(entries) ? 0 : -EINVAL;
}

static int map_guest_memory(struct probe_vm *vm)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_BYTES};
	void *memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	vm->memory = memory;
	region.userspace_addr = (uintptr_t)memory;
	return ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static int map_run(struct probe_vm *vm)
{
	int bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	if (bytes < 0)
		return -errno;
	run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vm->run = run;
	vm->run_bytes = (size_t)bytes;
	return 0;
}

static int create_vcpu(struct probe_vm *vm)
{
	uint64_t identity_map = 0xfffbc000;
	int r;

	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		return -errno;
	/* Intel CPUs without unrestricted guests need both, before the vCPU exists. */
	if (ioctl(vm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000) < 0)
		return -errno;
	r = map_guest_memory(vm);
	if (r < 0)
		return r;
	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	return vm->vcpu_fd < 0 ? -errno : map_run(vm);
}

/* Makes the VM and loads the guest program. */
static int prepare_guest(struct probe_vm *vm, struct err *err)
{
	int r = create_vcpu(vm);

	if (r < 0)
		return err_set(err, r, "cannot make a VM: %s", strerror(-r));
	memcpy(vm->memory + CODE_GPA, probe_guest_start,
	       (size_t)(probe_guest_end - probe_guest_start));
	write_page_tables(vm);
	write_descriptors(vm);
	r = set_cpuid(vm);
	if (r == 0)
		r = set_msrs(vm);
	return r < 0 ? err_set(err, r, "cannot set CPUID or MSRs: %s", strerror(-r)) : 0;
}

static int time_guest_loop(struct probe_vm *vm, uint32_t loops, uint64_t *ret_ns, struct err *err)
{
	const struct probe_start start = {.entry = GUEST_ADDRESS(probe_guest_loop), .rcx = loops};
	uint64_t before;
	uint32_t value;
	int r;

	r = start_guest(vm, &start, err);
	if (r < 0)
		return r;
	before = monotonic_ns();
	r = run_guest(vm, &value, err);
	*ret_ns = monotonic_ns() - before;
	return r;
}

/* The same two instructions as the guest's, here. */
static uint64_t time_native_loop(uint32_t loops)
{
	const uint64_t before = monotonic_ns();

	__asm__ volatile("1:	dec %0\n	jnz 1b" : "+r"(loops) : : "cc");
	return monotonic_ns() - before;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The shortest of a few rounds, since anything else may have had the CPU in one of them; the exit
 * itself is taken off by a run of one loop. Stops as soon as the guest proves to be fast. */
static int check_ring0(struct probe_vm *vm, struct kvm_check_result *result, struct err *err)
{
	uint64_t native = UINT64_MAX, exit = UINT64_MAX, guest = UINT64_MAX, ns;
	double slowdown = 0, instruction_ns = 0;
	int r;

	/* Not counted: an emulated host translates the guest's and KVM's own code on first use. */
	r = time_guest_loop(vm, RING0_WARMUP_LOOPS, &ns, err);
	if (r < 0)
		return r;
	for (int round = 0; round < RING0_ROUNDS; round++) {
		r = time_guest_loop(vm, 1, &ns, err);
		if (r < 0)
			return r;
		exit = min_u64(exit, ns);
		r = time_guest_loop(vm, RING0_LOOPS, &ns, err);
		if (r < 0)
			return r;
		guest = min_u64(guest, ns);
		native = min_u64(native, time_native_loop(RING0_LOOPS));

		ns = guest > exit ? guest - exit : 0;
		instruction_ns = (double)ns / (2.0 * RING0_LOOPS);
		slowdown = (double)ns / (double)(native ? native : 1);
		if (guest > exit && slowdown < RING0_SLOWDOWN_MAX)
			break;
	}
	(void)snprintf(result->found, sizeof(result->found),
		       "%.1f ns an instruction in guest ring 0, %.1f times the host's",
		       instruction_ns, slowdown);
	return slowdown < RING0_SLOWDOWN_MAX ? 0 : err_set(err, -EIO, "%s", result->found);
}

static int expect_ring(uint32_t cs, unsigned int ring, const char *what, struct err *err)
{
	if ((cs & 3) != ring)
		return err_set(err, -EIO, "%s in ring %u instead of %u", what, cs & 3, ring);
	return 0;
}

static int check_syscall(struct probe_vm *vm, struct kvm_check_result *result, struct err *err)
{
	const struct probe_start start = {.entry = GUEST_ADDRESS(probe_guest_syscall),
					  .ring3 = true};
	uint32_t cs;
	int r;

	r = start_guest(vm, &start, err);
	if (r == 0)
		r = run_guest(vm, &cs, err);
	if (r == 0)
		r = expect_ring(cs, 0, "SYSCALL arrives at the guest kernel", err);
	if (r == 0)
		r = run_guest(vm, &cs, err);
	if (r == 0)
		r = expect_ring(cs, 3, "SYSRET returns", err);
	if (r == 0)
		(void)snprintf(result->found, sizeof(result->found),
			       "ring 3 to 0 by SYSCALL and back by SYSRET");
	return r;
}

/* At the fault handler's report. */
static int expect_fault(struct probe_vm *vm, uint32_t cs, struct err *err)
{
	struct kvm_regs regs = {};
	int r = expect_ring(cs, 0, "a page fault is delivered", err);

	if (r == 0)
		r = guest_regs(vm, &regs, err);
	if (r < 0)
		return r;
	if (regs.rsi != HOLE_GVA || regs.rdx != PAGE_FAULT_USER_WRITE)
		return err_set(err, -EIO,
			       "a page fault says 0x%llx, error 0x%llx instead of 0x%x, 0x%x",
			       regs.rsi, regs.rdx, HOLE_GVA, PAGE_FAULT_USER_WRITE);
	return 0;
}

static int check_page_fault(struct probe_vm *vm, struct kvm_check_result *result, struct err *err)
{
	const struct probe_start start = {
		.entry = GUEST_ADDRESS(probe_guest_fault),
		.ring3 = true,
		.rbx = HOLE_VALUE,
		.rdi = HOLE_GVA,
		.r8 = HOLE_GPA | PTE_ALL,
		.r9 = HOLE_PTE_GPA,
	};
	uint32_t cs, stored;
	int r;

	r = start_guest(vm, &start, err);
	if (r == 0)
		r = run_guest(vm, &cs, err);
	if (r == 0)
		r = expect_fault(vm, cs, err);
	if (r == 0)
		r = run_guest(vm, &cs, err);
	if (r == 0)
		r = expect_ring(cs, 3, "IRET returns", err);
	if (r < 0)
		return r;
	memcpy(&stored, vm->memory + HOLE_GPA, sizeof(stored));
	if (stored != HOLE_VALUE)
		return err_set(err, -EIO, "the store that faulted was lost");
	(void)snprintf(result->found, sizeof(result->found),
		       "delivered with its address and error code, mapped, store repeated");
	return 0;
}

/* What KVM publishes to a guest about its clock (Documentation/virt/kvm/x86/msr.rst). */
struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
} __attribute__((packed));

/* One reading of the guest's clocks, and when on the host's clock it was made. */
struct time_sample {
	uint64_t tsc, kvmclock_ns;
	uint64_t host_before_ns, host_after_ns;
};

static uint64_t pvclock_ns(const struct pvclock *clock, uint64_t tsc)
{
	uint64_t delta = tsc - clock->tsc_timestamp;

	delta = clock->tsc_shift >= 0 ? delta << (clock->tsc_shift & 63)
				      : delta >> (-clock->tsc_shift & 63);
	return clock->system_time +
	       (uint64_t)(((unsigned __int128)delta * clock->tsc_to_system_mul) >> 32);
}

static int sample_time(struct probe_vm *vm, struct time_sample *ret_sample, struct err *err)
{
	struct time_sample sample = {.host_before_ns = monotonic_ns()};
	struct kvm_regs regs = {};
	struct pvclock clock;
	uint32_t low;
	int r;

	r = run_guest(vm, &low, err);
	if (r == 0)
		r = guest_regs(vm, &regs, err);
	if (r < 0)
		return r;
	sample.host_after_ns = monotonic_ns();
	memcpy(&clock, vm->memory + PVCLOCK_GPA, sizeof(clock));
	if (clock.version == 0 || clock.tsc_to_system_mul == 0)
		return err_set(err, -EIO, "KVM does not publish kvmclock to the guest");
	sample.tsc = regs.rax;
	sample.kvmclock_ns = pvclock_ns(&clock, sample.tsc);
	*ret_sample = sample;
	return 0;
}

static int compare_time(const struct time_sample *first, const struct time_sample *second,
			struct kvm_check_result *result, struct err *err)
{
	const uint64_t at_least = second->host_before_ns - first->host_after_ns;
	const uint64_t at_most = second->host_after_ns - first->host_before_ns;
	const uint64_t guest = second->kvmclock_ns - first->kvmclock_ns;

	if (second->tsc <= first->tsc)
		return err_set(err, -EIO, "the guest's TSC stands still");
	(void)snprintf(result->found, sizeof(result->found),
		       "kvmclock advanced %.2f ms while the host's clock did %.2f",
		       (double)guest * 1e-6, (double)at_least * 1e-6);
	if (guest + TIME_SLACK_NS < at_least || guest > at_most + TIME_SLACK_NS)
		return err_set(err, -EIO, "%s", result->found);
	return 0;
}

static int check_time(struct probe_vm *vm, struct kvm_check_result *result, struct err *err)
{
	const struct probe_start start = {.entry = GUEST_ADDRESS(probe_guest_time)};
	const struct timespec wait = {.tv_nsec = TIME_WAIT_NS};
	struct time_sample first = {}, second = {};
	int r;

	r = start_guest(vm, &start, err);
	if (r == 0)
		r = sample_time(vm, &first, err);
	if (r < 0)
		return r;
	(void)nanosleep(&wait, NULL);
	r = sample_time(vm, &second, err);
	return r < 0 ? r : compare_time(&first, &second, result, err);
}

struct guest_check {
	enum kvm_check check;
	int (*run)(struct probe_vm *vm, struct kvm_check_result *result, struct err *err);
};

static const struct guest_check guest_checks[] = {
	{KVM_CHECK_RING0, check_ring0},
	{KVM_CHECK_SYSCALL, check_syscall},
	{KVM_CHECK_PAGE_FAULT, check_page_fault},
	{KVM_CHECK_TIME, check_time},
};

static const char rig_advice[] =
	"this /dev/kvm cannot run an ordinary guest kernel: use the rig, or a host with hardware "
	"virtualization";

/* Ends a check: r is its result. Returns whether it passed. */
static bool conclude(struct kvm_check_result *result, int r, const struct err *err)
{
	if (r == 0) {
		result->status = KVM_CHECK_OK;
		return true;
	}
	(void)snprintf(result->found, sizeof(result->found), "%.*s",
		       (int)sizeof(result->found) - 1, err->message);
	if (result->advice[0] == '\0')
		(void)snprintf(result->advice, sizeof(result->advice), "%s", rig_advice);
	result->status = KVM_CHECK_FAILED;
	return false;
}

void kvm_probe_run(struct kvm_probe *probe)
{
	cleanup_probe_vm struct probe_vm vm = {.kvm_fd = -1, .vm_fd = -1, .vcpu_fd = -1};
	struct kvm_check_result *result = &probe->checks[KVM_CHECK_DEVICE];
	struct err err = {0};

	result->status = KVM_CHECK_RUNNING;
	if (!conclude(result, check_device(&vm, result, &err), &err))
		return;

	for (size_t i = 0; i < ARRAY_SIZE(guest_checks); i++) {
		const struct guest_check *check = &guest_checks[i];
		int r = 0;

		result = &probe->checks[check->check];
		result->status = KVM_CHECK_RUNNING;
		if (!vm.run)
			r = prepare_guest(&vm, &err);
		if (r == 0)
			r = check->run(&vm, result, &err);
		(void)conclude(result, r, &err);
		if (!vm.run)
			return;
	}
}

bool kvm_probe_passed(const struct kvm_probe *probe)
{
	for (size_t i = 0; i < KVM_CHECKS; i++)
		if (probe->checks[i].status != KVM_CHECK_OK)
			return false;
	return true;
}
