/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forged TEMPLATE: a state whose checksums are right may still ask for what no capture writes. It
 * is refused before anything of it is in the VM, which then takes the true state.
 */
#include <stdlib.h>
#include <string.h>

#include "kvm_test.h"
#include "lumper.h"

#define FEATURE_SVM (1u << 2)
#define MSR_STEAL_TIME 0x4b564d03u
#define MSR_ARCH_CAPABILITIES 0x10au

static void forge_steal_time(struct vm_state *state)
{
	state->vcpus[0].msrs[0].index = MSR_STEAL_TIME;
}

static void forge_capabilities(struct vm_state *state)
{
	struct vcpu_state *vcpu = &state->vcpus[0];

	vcpu->msrs[vcpu->msr_count - 1].index = MSR_ARCH_CAPABILITIES;
}

static void forge_nesting(struct vm_state *state)
{
	for (uint32_t i = 0; i < state->cpuid_count; i++)
		if (state->cpuid[i].function == 0x80000001)
			state->cpuid[i].ecx |= FEATURE_SVM;
}

static void forge_leaf(struct vm_state *state)
{
	state->cpuid[state->cpuid_count - 1].function = 0xa; /* the PMU's */
}

static void forge_xsave(struct vm_state *state)
{
	state->vcpus[0].has_xsave = true;
}

static const struct {
	const char *name;
	void (*forge)(struct vm_state *state);
} forgeries[] = {
	{ "the steal-time MSR", forge_steal_time },
	{ "an MSR that no guest may write", forge_capabilities },
	{ "nested virtualization", forge_nesting },
	{ "the leaf of the PMU", forge_leaf },
	{ "XSAVE state", forge_xsave },
};

int main(int argc, char **argv)
{
	struct vm_state *state = malloc(sizeof(*state));
	struct template *template;
	struct vm_config config = {};
	struct vm *vm = NULL;
	struct err err = {};

	REQUIRE(argc == 2 && state, "usage: forged TEMPLATE");
	template = test_template(argv[1]);
	config.memory_bytes = template_manifest(template)->memory_bytes;
	config.vcpus = template_manifest(template)->vcpus;
	REQUIRE(vm_new(&vm, &config, &err) == 0, "%s", err.message);
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		*state = *template_state(template);
		forgeries[i].forge(state);
		REQUIRE(vm_state_set(vm, state, VM_TIMERS_STOPPED, &err) < 0,
			"%s is let through", forgeries[i].name);
		printf("refused: %s\n", err.message);
	}
	REQUIRE(vm_state_set(vm, template_state(template), VM_TIMERS_STOPPED, &err) == 0, "%s",
		err.message);
	(void)vm_free(vm);
	(void)template_free(template);
	free(state);
	return 0;
}
