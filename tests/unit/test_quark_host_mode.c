/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a probe's result to a host mode, and what is remembered of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "host_mode.h"
#include "store.h"

static void test_decision(void **state)
{
	static const enum kvm_check_status others[] = {KVM_CHECK_SKIPPED, KVM_CHECK_RUNNING,
						       KVM_CHECK_FAILED};
	struct kvm_probe probe;

	(void)state;
	for (size_t i = 0; i < KVM_CHECKS; i++)
		probe.checks[i].status = KVM_CHECK_OK;
	assert_int_equal(host_mode_decide(&probe), HOST_MODE_KVM);
	for (size_t i = 0; i < KVM_CHECKS; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(others); j++) {
			probe.checks[i].status = others[j];
			assert_int_equal(host_mode_decide(&probe), HOST_MODE_RIG);
		}
		probe.checks[i].status = KVM_CHECK_OK;
	}
}

/* Whatever this host is, the probe ends, and what it says is consistent. */
static void test_probe_of_this_host(void **state)
{
	struct kvm_probe probe;
	struct err err = {0};

	(void)state;
	assert_int_equal(host_probe(&probe, &err), 0);
	for (size_t i = 0; i < KVM_CHECKS; i++) {
		const struct kvm_check_result *result = &probe.checks[i];

		assert_int_not_equal(result->status, KVM_CHECK_RUNNING);
		assert_int_equal(result->found[0] != '\0', result->status != KVM_CHECK_SKIPPED);
		assert_int_equal(result->advice[0] != '\0', result->status == KVM_CHECK_FAILED);
		print_message("%s: %s\n", kvm_check_names[i], result->found);
	}
	assert_int_equal(kvm_probe_passed(&probe), host_mode_decide(&probe) == HOST_MODE_KVM);
}

static void test_parse(void **state)
{
	enum host_mode mode = HOST_MODE_AUTO;
	struct err err = {0};

	(void)state;
	assert_int_equal(host_mode_parse("kvm", &mode, &err), 0);
	assert_int_equal(mode, HOST_MODE_KVM);
	assert_int_equal(host_mode_parse("rig", &mode, &err), 0);
	assert_int_equal(mode, HOST_MODE_RIG);
	assert_int_equal(host_mode_parse("auto", &mode, &err), 0);
	assert_int_equal(mode, HOST_MODE_AUTO);
	assert_int_equal(host_mode_parse("KVM", &mode, &err), -EINVAL);
	assert_int_equal(host_mode_parse("", &mode, &err), -EINVAL);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_memory(void **state)
{
	char base[] = "/tmp/test_host_mode.XXXXXX";
	char home[64], device[64], other[64], memory[80];
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(base));
	(void)snprintf(home, sizeof(home), "%s/a/home", base);
	(void)snprintf(device, sizeof(device), "%s/device", base);
	(void)snprintf(other, sizeof(other), "%s/other", base);
	(void)snprintf(memory, sizeof(memory), "%s/host-mode", home);
	write_file(device, "");
	write_file(other, "");

	assert_int_equal(host_mode_recall(home, device), HOST_MODE_AUTO);
	host_mode_remember(home, device, HOST_MODE_RIG);
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_RIG);
	host_mode_remember(home, device, HOST_MODE_KVM);
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_KVM);

	/* Another device, or none, is another host. */
	assert_int_equal(host_mode_recall(home, other), HOST_MODE_AUTO);
	assert_int_equal(rename(other, device), 0);
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_AUTO);
	host_mode_remember(home, device, HOST_MODE_KVM);
	assert_int_equal(unlink(device), 0);
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_AUTO);

	/* Nonsense is not remembered. */
	write_file(memory, "kvm\n");
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_AUTO);
	write_file(memory, "");
	assert_int_equal(host_mode_recall(home, device), HOST_MODE_AUTO);

	assert_int_equal(folder_remove(home, &err), 0);
	(void)snprintf(home, sizeof(home), "%s/a", base);
	assert_int_equal(rmdir(home), 0);
	assert_int_equal(folder_remove(base, &err), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decision),
		cmocka_unit_test(test_probe_of_this_host),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
