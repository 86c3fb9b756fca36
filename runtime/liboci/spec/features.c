/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `run0 features` prints: the Features structure of the runtime specification 1.1
 * (features-linux.md). All lists are the tables by which configs are decoded, so that nothing is
 * promised that the decoder refuses.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "oci.h"
#include "process/seccomp.h"
#include "spec/spec_priv.h"

/* <linux/seccomp.h> of Linux 5.19 and later. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1u << 5)
#endif

static void cleanup_json_p(cJSON **json)
{
	cJSON_Delete(*json);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_p)))

static void add_string(cJSON *array, const char *text)
{
	(void)cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

static void add_words(cJSON *object, const char *name, const char *const *words)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (; *words; words++)
		add_string(array, *words);
}

static void add_names(cJSON *object, const char *name, const struct json_table *table)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (size_t i = 0; i < table->count; i++)
		add_string(array, table->fields[i].name);
}

static void add_mount_options(cJSON *root)
{
	cJSON *array = cJSON_AddArrayToObject(root, "mountOptions");
	const char *name;

	for (size_t i = 0; (name = mount_option_name(i)); i++)
		add_string(array, name);
}

static void add_namespaces(cJSON *linux_part)
{
	cJSON *array = cJSON_AddArrayToObject(linux_part, "namespaces");

	for (const struct json_name *row = namespace_names; row->name; row++)
		add_string(array, row->name);
}

static void add_cgroup(cJSON *linux_part)
{
	cJSON *cgroup = cJSON_AddObjectToObject(linux_part, "cgroup");
	static const char *const members[] = { "v1", "v2", "systemd", "systemdUser", "rdma" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		(void)cJSON_AddTrueToObject(cgroup, members[i]);
}

/* A filter at address 0 cannot be read (EFAULT), which the kernel finds out after it has found the
 * flag unknown (EINVAL). Nothing is installed. */
static bool kernel_has_flags(unsigned int flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

static void add_supported_flags(cJSON *seccomp)
{
	static const struct {
		const char *name;
		unsigned int flags;
	} flags[] = {
		{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
		{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
		{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
		{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
		  /* valid with a listener only */
		  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | SECCOMP_FILTER_FLAG_NEW_LISTENER },
	};
	cJSON *array = cJSON_AddArrayToObject(seccomp, "supportedFlags");

	for (const char *const *name = seccomp_flags(); *name; name++)
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (strcmp(flags[i].name, *name) == 0 && kernel_has_flags(flags[i].flags))
				add_string(array, *name);
}

static void add_seccomp(cJSON *linux_part)
{
	cJSON *seccomp = cJSON_AddObjectToObject(linux_part, "seccomp");

	(void)cJSON_AddTrueToObject(seccomp, "enabled");
	add_words(seccomp, "actions", seccomp_actions());
	add_words(seccomp, "operators", seccomp_operators());
	add_words(seccomp, "archs", seccomp_architectures());
	add_words(seccomp, "knownFlags", seccomp_flags());
	add_supported_flags(seccomp);
}

static void add_enabled(cJSON *parent, const char *name)
{
	(void)cJSON_AddTrueToObject(cJSON_AddObjectToObject(parent, name), "enabled");
}

static void add_linux(cJSON *root)
{
	cJSON *linux_part = cJSON_AddObjectToObject(root, "linux");

	add_namespaces(linux_part);
	add_words(linux_part, "capabilities", capability_names);
	add_cgroup(linux_part);
	add_seccomp(linux_part);
	add_enabled(linux_part, "apparmor");
	add_enabled(linux_part, "selinux");
	add_enabled(linux_part, "intelRdt");
	add_enabled(cJSON_AddObjectToObject(linux_part, "mountExtensions"), "idmap");
}

static void add_annotations(cJSON *root)
{
	cJSON *annotations = cJSON_AddObjectToObject(root, "annotations");
	const struct scmp_version *version = seccomp_version();
	char text[64];

	(void)snprintf(text, sizeof(text), "%u.%u.%u", version->major, version->minor,
		       version->micro);
	(void)cJSON_AddStringToObject(annotations, "io.github.seccomp.libseccomp.version", text);
}

char *oci_features_json(void)
{
	cleanup_json cJSON *root = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(root, "ociVersionMin", "1.0.0");
	(void)cJSON_AddStringToObject(root, "ociVersionMax", "1.1.0");
	add_names(root, "hooks", &hooks_table);
	add_mount_options(root);
	add_linux(root);
	add_annotations(root);
	return cJSON_Print(root);
}
