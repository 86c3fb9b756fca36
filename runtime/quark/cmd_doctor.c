/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark doctor: which host mode works here, by running tiny guests, and what to do where none does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "json.h"
#include "kernel.h"
#include "rig.h"

/* The probe's checks, and what else quark needs. */
enum { FINDING_RIG = KVM_CHECKS, FINDING_KERNEL, FINDINGS };

/* A check as it is reported. Texts are borrowed. */
struct finding {
	const char *name;
	enum kvm_check_status status;
	const char *found, *advice;
};

struct diagnosis {
	enum host_mode mode;
	bool usable; /* the mode works here */
	struct kvm_probe probe;
	struct err rig_problem, kernel_problem;
	char *kernel; /* owned */
	struct finding findings[FINDINGS];
};

static const char *const status_names[] = {
	[KVM_CHECK_SKIPPED] = "skipped",
	[KVM_CHECK_RUNNING] = "failed",
	[KVM_CHECK_OK] = "ok",
	[KVM_CHECK_FAILED] = "failed",
};

static void judge_rig(const struct cli *cli, struct diagnosis *diagnosis)
{
	const bool works = rig_check(&cli->paths, &diagnosis->rig_problem) == 0;

	diagnosis->findings[FINDING_RIG] = (struct finding){
		.name = "rig",
		.status = works ? KVM_CHECK_OK : KVM_CHECK_FAILED,
		.found = works ? "all that the emulated host needs is installed"
			       : diagnosis->rig_problem.message,
		.advice = works ? "" : "apt-get install " RIG_PACKAGES,
	};
	diagnosis->usable = diagnosis->mode == HOST_MODE_KVM || works;
}

/* Needed to build templates, and by the rig, which fetches it when it is missing. */
static void judge_kernel(const struct cli *cli, struct diagnosis *diagnosis)
{
	const bool found = kernel_find(&cli->paths, &diagnosis->kernel,
				       &diagnosis->kernel_problem) == 0;

	diagnosis->findings[FINDING_KERNEL] = (struct finding){
		.name = "guest-kernel",
		.status = found ? KVM_CHECK_OK : KVM_CHECK_FAILED,
		.found = found ? diagnosis->kernel : diagnosis->kernel_problem.message,
		.advice = found ? "" : "that program fetches Debian's; nothing is installed",
	};
}

static int diagnose(struct cli *cli, struct diagnosis *diagnosis, struct err *err)
{
	int r = host_probe(&diagnosis->probe, err);

	if (r < 0)
		return r;
	diagnosis->mode = host_mode_decide(&diagnosis->probe);
	host_mode_remember(cli->paths.home, KVM_DEVICE, diagnosis->mode);
	for (size_t i = 0; i < KVM_CHECKS; i++) {
		const struct kvm_check_result *result = &diagnosis->probe.checks[i];

		diagnosis->findings[i] = (struct finding){
			.name = kvm_check_names[i],
			.status = result->status,
			.found = result->found,
			.advice = result->advice,
		};
	}
	judge_rig(cli, diagnosis);
	judge_kernel(cli, diagnosis);
	return 0;
}

static void print_text(const struct diagnosis *diagnosis)
{
	printf("host mode: %s%s\n", host_mode_names[diagnosis->mode],
	       diagnosis->usable ? "" : " (but it does not work here)");
	for (size_t i = 0; i < FINDINGS; i++) {
		const struct finding *finding = &diagnosis->findings[i];

		printf("  %-12s %-8s %s\n", finding->name, status_names[finding->status],
		       finding->found);
		if (finding->status == KVM_CHECK_FAILED)
			printf("  %-12s          -> %s\n", "", finding->advice);
	}
}

static int print_json(const struct diagnosis *diagnosis)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *list;

	(void)cJSON_AddStringToObject(object, "host_mode", host_mode_names[diagnosis->mode]);
	(void)cJSON_AddBoolToObject(object, "usable", diagnosis->usable);
	list = cJSON_AddArrayToObject(object, "checks");
	for (size_t i = 0; i < FINDINGS; i++) {
		const struct finding *finding = &diagnosis->findings[i];
		cJSON *item = cJSON_CreateObject();

		(void)cJSON_AddStringToObject(item, "name", finding->name);
		(void)cJSON_AddStringToObject(item, "status", status_names[finding->status]);
		(void)cJSON_AddStringToObject(item, "found", finding->found);
		(void)cJSON_AddStringToObject(item, "advice", finding->advice);
		(void)cJSON_AddItemToArray(list, item);
	}
	return json_print(object);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct diagnosis diagnosis = {0};
	struct err err = {0};
	bool json = false;
	int code;

	if (!cli_simple(cli, argc, argv, &json, &code))
		return code;
	if (cli_open(cli, &err) < 0 || diagnose(cli, &diagnosis, &err) < 0)
		return cli_fail(&err);
	code = diagnosis.usable ? EXIT_OK : EXIT_HOST;
	if (!json)
		print_text(&diagnosis);
	else if (print_json(&diagnosis) != EXIT_OK)
		code = EXIT_ERROR;
	free(diagnosis.kernel);
	return code;
}

static const char help[] =
	"doctor [--json]\n\n"
	"Runs tiny guests on /dev/kvm to see whether it can run an ordinary guest kernel, looks\n"
	"for what the emulated host (the rig) and builds need, and names the host mode. Exit code\n"
	"0: the mode works; 7: neither does.\n\n"
	"Options:\n"
	"  --json           {\"host_mode\": \"kvm\"|\"rig\", \"usable\": BOOL,\n"
	"                   \"checks\": [{\"name\", \"status\", \"found\", \"advice\"}]}\n"
	"                   status: \"ok\", \"failed\" or \"skipped\"\n\n";

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "tell how micro-VMs run on this host",
	.help = help,
	.options = "--json",
	.run = run,
};
