/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU templates: which CPUID a guest sees, and whether a host can offer what a snapshot saw.
 *
 * Both templates hide the invariant TSC, so that the guest's clocksource is kvm-clock, which a
 * restore can move (KVM_SET_CLOCK). Feature names are those of /proc/cpuinfo.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "vm_priv.h"

#define KVM_CPUID_FEATURES_LEAF 0x40000001u
#define FEATURE_HYPERVISOR (1u << 31)

enum cpuid_register { EAX, EBX, ECX, EDX };

/* What a template does to one register of one leaf: (value & and) | or. Leaves that `portable` does
 * not list are dropped. */
struct cpuid_rule {
	uint32_t function;
	uint32_t and[4], or[4];
};

#define KEEP 0xffffffffu

/* 1.EDX: x86-64-v1 with MTRR, PAT, CLFLUSH; no HTT, no ACPI thermal. 1.ECX: x2APIC, hypervisor.
 * 8000_0001: SYSCALL, NX, LM and the AMD mirror of leaf 1; LAHF. 8000_0008: 36 physical bits. No
 * brand string: two hosts of one vendor give the same view, their templates and shells are alike.
 * 4000_0001: kvmclock (new MSRs, stable) and no I/O delay; nothing that writes to guest memory. */
static const struct cpuid_rule portable_rules[] = {
	{ 0x00000000, { 0, KEEP, KEEP, KEEP }, { 1 } },
	{ 0x00000001, { KEEP, 0x0000ff00, 1u << 21, 0x078bfbff }, { 0, 0, FEATURE_HYPERVISOR, 0 } },
	{ 0x40000000, { 0, KEEP, KEEP, KEEP }, { KVM_CPUID_FEATURES_LEAF } },
	{ KVM_CPUID_FEATURES_LEAF, { 1u << 1 | 1u << 3 | 1u << 24, 0, 0, 0 }, {} },
	{ 0x80000000, { 0, KEEP, KEEP, KEEP }, { 0x80000008 } },
	{ 0x80000001, { 0, 0, 1, 0x2193fbff & ~(1u << 25) & ~(1u << 22) }, {} },
	{ 0x80000008, { 0, 0, 0, 0 }, { 0x3024 } },
};

/* All that KVM supports, but: no nested virtualization, MONITOR or PMU; no AMX, whose state does
 * not fit the 4096 bytes of KVM_GET_XSAVE; kvm features as above. */
static const struct cpuid_rule host_rules[] = {
	{ 0x00000001, { KEEP, KEEP, ~(1u << 3 | 1u << 5), KEEP }, { 0, 0, FEATURE_HYPERVISOR, 0 } },
	{ 0x00000007, { KEEP, KEEP, KEEP, ~(1u << 22 | 1u << 24 | 1u << 25) }, {} },
	{ 0x0000000a, { 0, 0, 0, 0 }, {} },
	{ KVM_CPUID_FEATURES_LEAF, { 1u << 1 | 1u << 3 | 1u << 24, 0, 0, 0 }, {} },
	{ 0x80000001, { KEEP, KEEP, ~(1u << 2 | 1u << 23 | 1u << 24 | 1u << 28), KEEP }, {} },
	{ 0x80000007, { KEEP, KEEP, KEEP, ~(1u << 8) }, {} },
	{ 0x8000000a, { 0, 0, 0, 0 }, {} },
};

static const struct {
	const struct cpuid_rule *rules;
	size_t count;
	bool drop_others;
} templates[] = {
	[CPU_TEMPLATE_PORTABLE] = { portable_rules, ARRAY_SIZE(portable_rules), true },
	[CPU_TEMPLATE_HOST] = { host_rules, ARRAY_SIZE(host_rules), false },
};

int cpuid_supported(int kvm_fd, struct cpuid_batch *ret_cpuid, struct err *err)
{
	ret_cpuid->head.nent = VM_CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &ret_cpuid->head) < 0)
		return err_set(err, -errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	return 0;
}

static const struct cpuid_rule *find_rule(enum cpu_template cpu_template, uint32_t function)
{
	for (size_t i = 0; i < templates[cpu_template].count; i++)
		if (templates[cpu_template].rules[i].function == function)
			return &templates[cpu_template].rules[i];
	return NULL;
}

static void apply_rule(struct kvm_cpuid_entry2 *entry, const struct cpuid_rule *rule)
{
	entry->eax = (entry->eax & rule->and[EAX]) | rule->or[EAX];
	entry->ebx = (entry->ebx & rule->and[EBX]) | rule->or[EBX];
	entry->ecx = (entry->ecx & rule->and[ECX]) | rule->or[ECX];
	entry->edx = (entry->edx & rule->and[EDX]) | rule->or[EDX];
}

/* Linux turns workarounds on by family and model. Emulated AMD hosts show a K8, for which it would
 * distrust the LAPIC timer (erratum 400); every AMD guest sees one Zen 4 signature instead. */
static void set_portable_signature(struct cpuid_batch *cpuid)
{
	static const uint32_t amd_ebx = 0x68747541; /* "Auth" */
	bool amd = false;

	for (uint32_t i = 0; i < cpuid->head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 0)
			amd = entry->ebx == amd_ebx;
		if (entry->function == 1 && amd)
			entry->eax = 0x00a10f11;
	}
}

void cpuid_apply_template(struct cpuid_batch *cpuid, enum cpu_template cpu_template)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->head.nent; i++) {
		struct kvm_cpuid_entry2 entry = cpuid->entries[i];
		const struct cpuid_rule *rule = find_rule(cpu_template, entry.function);

		if (!rule && templates[cpu_template].drop_others)
			continue;
		if (rule)
			apply_rule(&entry, rule);
		cpuid->entries[kept++] = entry;
	}
	cpuid->head.nent = kept;
	if (cpu_template == CPU_TEMPLATE_PORTABLE)
		set_portable_signature(cpuid);
	cpuid_set_apic_id(cpuid, 0);
}

/* Every vCPU is a package of its own, so only its id differs between them. */
void cpuid_set_apic_id(struct cpuid_batch *cpuid, uint32_t apic_id)
{
	for (uint32_t i = 0; i < cpuid->head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 1)
			entry->ebx = (entry->ebx & 0x0000ffff) | apic_id << 24 | 1u << 16;
		if (entry->function == 0xb || entry->function == 0x1f)
			entry->edx = apic_id;
		if (entry->function == 0x8000001e)
			entry->eax = apic_id;
	}
}

/* --- compatibility ------------------------------------------------------------------------ */

struct feature_word {
	uint32_t function, index;
	enum cpuid_register reg;
	const char *leaf;
	const char *names[32];
};

static const struct feature_word feature_words[] = {
	{ 0x00000001, 0, ECX, "1.ecx",
	  { "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3",
	    "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4_1", "sse4_2",
	    "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", "osxsave", "avx",
	    "f16c", "rdrand", "hypervisor" } },
	{ 0x00000001, 0, EDX, "1.edx",
	  { "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep",
	    "mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "dts", "acpi",
	    "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" } },
	{ 0x00000007, 0, EBX, "7.ebx",
	  { "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms",
	    "invpcid", "rtm", "cqm", NULL, "mpx", "rdt_a", "avx512f", "avx512dq", "rdseed", "adx",
	    "smap", "avx512ifma", NULL, "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er",
	    "avx512cd", "sha_ni", "avx512bw", "avx512vl" } },
	{ 0x00000007, 0, ECX, "7.ecx",
	  { NULL, "avx512vbmi", "umip", "pku", "ospke", "waitpkg", "avx512_vbmi2", NULL, "gfni",
	    "vaes", "vpclmulqdq", "avx512_vnni", "avx512_bitalg", "tme", "avx512_vpopcntdq", NULL,
	    "la57", NULL, NULL, NULL, NULL, NULL, "rdpid" } },
	{ 0x00000007, 0, EDX, "7.edx", { [4] = "fsrm", [23] = "avx512_fp16" } },
	{ 0x0000000d, 0, EAX, "xcr0",
	  { "x87", "sse", "avx", "bndregs", "bndcsr", "opmask", "zmm_hi256", "hi16_zmm", NULL,
	    "pkru" } },
	{ 0x0000000d, 1, EAX, "xsave", { "xsaveopt", "xsavec", "xgetbv1", "xsaves" } },
	{ KVM_CPUID_FEATURES_LEAF, 0, EAX, "kvm",
	  { "kvm_clocksource", "kvm_nopiodelay", NULL, "kvm_clocksource2",
	    [24] = "kvm_clocksource_stable" } },
	{ 0x80000001, 0, ECX, "80000001.ecx",
	  { "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a",
	    "misalignsse", "3dnowprefetch", "osvw", [11] = "xop", [16] = "fma4", [21] = "tbm",
	    [22] = "topoext", [23] = "perfctr_core" } },
	{ 0x80000001, 0, EDX, "80000001.edx",
	  { [11] = "syscall", [20] = "nx", [22] = "mmxext", [25] = "fxsr_opt", [26] = "pdpe1gb",
	    [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" } },
};

/* Bits that KVM does not list as supported, though every host has them: hypervisor, OSXSAVE
 * (follows CR4) and the AMD mirror of leaf 1.edx. */
static uint32_t always_there(const struct feature_word *word)
{
	if (word->function == 1 && word->reg == ECX)
		return FEATURE_HYPERVISOR | 1u << 27;
	if (word->function == 0x80000001 && word->reg == EDX)
		return 0x0183f3ff;
	return 0;
}

static uint32_t word_value(const struct kvm_cpuid_entry2 *entries, uint32_t count,
			   const struct feature_word *word)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct kvm_cpuid_entry2 *entry = &entries[i];
		const uint32_t values[] = { entry->eax, entry->ebx, entry->ecx, entry->edx };

		if (entry->function == word->function && entry->index == word->index)
			return values[word->reg];
	}
	return 0;
}

static void name_features(char *list, size_t bytes, const struct feature_word *word,
			  uint32_t missing)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		size_t used = strlen(list);
		const char *space = used ? " " : "";

		if (!(missing & 1u << bit))
			continue;
		if (word->names[bit])
			(void)snprintf(list + used, bytes - used, "%s%s", space, word->names[bit]);
		else
			(void)snprintf(list + used, bytes - used, "%s%s[%u]", space, word->leaf,
				       bit);
	}
}

/* What a capture writes is what its template made. Anything else is forged, and could ask for what
 * templates hide whatever the host offers: nested virtualization, the PMU. */
static int check_template(const struct vm_state *state, struct err *err)
{
	struct cpuid_batch made = { .head.nent = state->cpuid_count };
	size_t bytes = state->cpuid_count * sizeof(state->cpuid[0]);

	memcpy(made.entries, state->cpuid, bytes);
	cpuid_apply_template(&made, (enum cpu_template)state->cpu_template);
	if (made.head.nent != state->cpuid_count || memcmp(made.entries, state->cpuid, bytes) != 0)
		return err_set(err, -ENOTSUP,
			       "the snapshot's CPUID shows more than its CPU template allows");
	return 0;
}

int cpuid_check(const struct cpuid_batch *supported, const struct vm_state *state, struct err *err)
{
	char missing[256] = "";

	for (size_t i = 0; i < ARRAY_SIZE(feature_words); i++) {
		const struct feature_word *word = &feature_words[i];
		uint32_t have = word_value(supported->entries, supported->head.nent, word);
		uint32_t want = word_value(state->cpuid, state->cpuid_count, word);

		name_features(missing, sizeof(missing), word,
			      want & ~have & ~always_there(word));
	}
	if (missing[0])
		return err_set(err, -ENOTSUP, "this host's CPU lacks what the snapshot needs: %s",
			       missing);
	return check_template(state, err);
}
