/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a Linux kernel into an empty VM: kernel image, initrd, boot parameters, ACPI tables, and
 * vCPU 0 at the 64-bit entry point (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol").
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "cleanup.h"
#include "file.h"
#include "vm_priv.h"

enum { KERNEL_MAX_BYTES = 512 << 20, INITRD_MAX_BYTES = 1 << 30 };

#define CR0_PE 0x00000001ull
#define CR0_MP 0x00000002ull
#define CR0_ET 0x00000010ull
#define CR0_NE 0x00000020ull
#define CR0_WP 0x00010000ull
#define CR0_AM 0x00040000ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull

static int load_files(struct vm *vm, const struct boot_config *config,
		      struct loaded_kernel *ret_kernel, struct err *err)
{
	cleanup_free uint8_t *image = NULL, *initrd = NULL;
	size_t image_bytes, initrd_bytes = 0;
	int r;

	r = file_read(config->kernel, KERNEL_MAX_BYTES, &image, &image_bytes, err);
	if (r < 0)
		return r;
	r = kernel_load(&vm->memory, image, image_bytes, ret_kernel, err);
	if (r < 0)
		return err_prefix(err, r, "kernel '%s'", config->kernel);
	if (config->initrd) {
		r = file_read(config->initrd, INITRD_MAX_BYTES, &initrd, &initrd_bytes, err);
		if (r < 0)
			return r;
	}
	return boot_params_write(&vm->memory, ret_kernel, initrd, initrd_bytes,
				 config->cmdline ? config->cmdline : "", err);
}

/* A guest that is booted has an id of its own from the first moment. */
static int write_tables(struct vm *vm, struct err *err)
{
	void *generation = vm_memory_at(vm, BOOT_GENERATION_GPA, GENERATION_BYTES);
	int r = acpi_write_tables(&vm->memory, vm->vcpu_count, vm->vmgenid, err);

	if (r < 0 || !vm->vmgenid)
		return r;
	if (getrandom(generation, GENERATION_BYTES, 0) != (ssize_t)GENERATION_BYTES)
		return err_set(err, -EIO, "getrandom: %s", strerror(errno));
	return 0;
}

static int enter_long_mode(struct vcpu *vcpu, uint64_t entry, struct err *err)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = BOOT_CS, .type = 11,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = BOOT_DS, .type = 3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	const struct kvm_regs regs = {
		.rip = entry, .rsi = BOOT_PARAMS_GPA, .rsp = BOOT_STACK_GPA, .rflags = 2,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_set(err, -errno, "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	sregs.cr3 = BOOT_PAGE_TABLES_GPA;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){ .limit = 0xffff, .selector = BOOT_TSS, .type = 11,
					 .present = 1 };
	sregs.gdt = (struct kvm_dtable){ .base = BOOT_GDT_GPA, .limit = BOOT_GDT_LIMIT };
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return err_set(err, -errno, "KVM_SET_SREGS: %s", strerror(errno));
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return err_set(err, -errno, "KVM_SET_REGS: %s", strerror(errno));
	return 0;
}

int vm_boot_linux(struct vm *vm, const struct boot_config *config, struct err *err)
{
	struct loaded_kernel kernel = {};
	int r;

	(void)((r = load_files(vm, config, &kernel, err)) < 0 ||
	       (r = boot_paging_write(&vm->memory, err)) < 0 ||
	       (r = write_tables(vm, err)) < 0 ||
	       (r = enter_long_mode(&vm->vcpus[0], kernel.entry, err)) < 0);
	return r;
}
