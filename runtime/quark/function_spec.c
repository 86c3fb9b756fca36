/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing config.json. What is the same for all functions stands here as the JSON that it becomes;
 * the rest is put in by cJSON, which takes JSON text as it is (numbers above 2^53 too).
 */
#include "function_spec.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "function_seccomp.h"
#include "mailbox.h"

/* A member of an object: either the JSON text that it is, or who makes it (NULL: out of memory). */
struct part {
	const char *name;
	const char *text;
	cJSON *(*make)(const struct function_spec *spec);
};

/* --- process --------------------------------------------------------------------------------- */

/* Docker's default set but MKNOD: the guest's own devices (the image, the console) are none of the
 * function's business, and those that programs use are there. Nothing is inheritable or ambient. */
#define CAPABILITIES                                                                              \
	"[\"CAP_CHOWN\", \"CAP_DAC_OVERRIDE\", \"CAP_FSETID\", \"CAP_FOWNER\", \"CAP_NET_RAW\", "   \
	"\"CAP_SETGID\", \"CAP_SETUID\", \"CAP_SETFCAP\", \"CAP_SETPCAP\", "                        \
	"\"CAP_NET_BIND_SERVICE\", \"CAP_SYS_CHROOT\", \"CAP_KILL\", \"CAP_AUDIT_WRITE\"]"

static const char root_capabilities[] = "{\"bounding\": " CAPABILITIES
					", \"effective\": " CAPABILITIES
					", \"permitted\": " CAPABILITIES "}";
static const char no_capabilities[] = "{\"bounding\": [], \"effective\": [], \"permitted\": []}";

/* No core files, since they would fill the guest's memory. Large functions may lock what they
 * must not page in after a restore. */
static const char rlimits[] =
	"[{\"type\": \"RLIMIT_CORE\", \"hard\": 0, \"soft\": 0},"
	" {\"type\": \"RLIMIT_NOFILE\", \"hard\": 524288, \"soft\": 1024},"
	" {\"type\": \"RLIMIT_MEMLOCK\", \"hard\": 18446744073709551615, "
	"\"soft\": 18446744073709551615}]";

static cJSON *strings(const struct string_list *list)
{
	return cJSON_CreateStringArray((const char *const *)list->items, (int)list->count);
}

static cJSON *make_args(const struct function_spec *spec)
{
	return strings(&spec->process->args);
}

static cJSON *make_env(const struct function_spec *spec)
{
	return strings(&spec->process->env);
}

static cJSON *make_cwd(const struct function_spec *spec)
{
	return cJSON_CreateString(spec->process->cwd);
}

static cJSON *make_capabilities(const struct function_spec *spec)
{
	return cJSON_CreateRaw(spec->process->uid == 0 ? root_capabilities : no_capabilities);
}

static cJSON *make_uid(const struct function_spec *spec)
{
	return cJSON_CreateNumber(spec->process->uid);
}

static cJSON *make_gid(const struct function_spec *spec)
{
	return cJSON_CreateNumber(spec->process->gid);
}

static cJSON *make_groups(const struct function_spec *spec)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; list && i < spec->process->group_count; i++) {
		cJSON *number = cJSON_CreateNumber(spec->process->groups[i]);

		if (!number || !cJSON_AddItemToArray(list, number)) {
			cJSON_Delete(number);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

/* --- mounts ---------------------------------------------------------------------------------- */

#define MOUNT(destination, type, source, options)                                      \
	"{\"destination\": \"" destination "\", \"type\": \"" type "\", \"source\": \"" source \
	"\", \"options\": [" options "]}"
#define CLOSED "\"nosuid\", \"noexec\", \"nodev\""

/* PID 1 keeps the identity of the clone in these files, and changes them after each restore. */
#define IDENTITY(name) \
	MOUNT("/etc/" name, "bind", "/run/identity/" name, "\"bind\", \"ro\", " CLOSED)

#define USUAL_MOUNTS                                                                              \
	MOUNT("/proc", "proc", "proc", CLOSED) ", "                                               \
	MOUNT("/dev", "tmpfs", "tmpfs",                                                           \
	      "\"nosuid\", \"noexec\", \"strictatime\", \"mode=755\", \"size=64k\"") ", "         \
	MOUNT("/dev/pts", "devpts", "devpts", "\"nosuid\", \"noexec\", \"newinstance\", "         \
	      "\"ptmxmode=0666\", \"mode=0620\", \"gid=5\"") ", "                                 \
	MOUNT("/dev/shm", "tmpfs", "shm", CLOSED ", \"mode=1777\"") ", "                          \
	MOUNT("/dev/mqueue", "mqueue", "mqueue", CLOSED) ", "                                     \
	MOUNT("/sys", "sysfs", "sysfs", CLOSED ", \"ro\"") ", "                                   \
	MOUNT("/sys/fs/cgroup", "cgroup", "cgroup", CLOSED ", \"relatime\", \"ro\"") ", "         \
	MOUNT("/run/quark", "bind", "/quark", "\"rbind\", \"ro\", \"nosuid\", \"nodev\"") ", "     \
	IDENTITY("machine-id") ", " IDENTITY("hostname") ", " IDENTITY("hosts")

static const char image_mounts[] = "[" USUAL_MOUNTS "]";
static const char plain_mounts[] =
	"[" USUAL_MOUNTS ", "
	MOUNT("/tmp", "tmpfs", "tmpfs", "\"nosuid\", \"nodev\", \"mode=1777\"") "]";

static cJSON *make_mounts(const struct function_spec *spec)
{
	return cJSON_CreateRaw(spec->has_image ? image_mounts : plain_mounts);
}

/* --- Linux ----------------------------------------------------------------------------------- */

static const char namespaces[] =
	"[{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"}, "
	"{\"type\": \"mount\"}, {\"type\": \"cgroup\"}]";

/* Docker's list. Beyond it: the configuration, registers and memory of the guest's PCI devices. The
 * doorbell is the only one that a function has, by a descriptor. */
static const char masked_paths[] =
	"[\"/proc/acpi\", \"/proc/asound\", \"/proc/bus/pci\", \"/proc/interrupts\", "
	"\"/proc/kcore\", \"/proc/keys\", "
	"\"/proc/kmsg\", \"/proc/kpagecount\", \"/proc/kpageflags\", \"/proc/latency_stats\", "
	"\"/proc/sched_debug\", \"/proc/scsi\", \"/proc/timer_list\", \"/proc/timer_stats\", "
	"\"/sys/devices/pci0000:00\", \"/sys/devices/virtual/powercap\", \"/sys/firmware\", "
	"\"/sys/kernel/debug\"]";
static const char readonly_paths[] =
	"[\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"]";

/* What no rule allows is refused; run0 adds the devices without which programs do not work. */
static const char devices[] = "[{\"allow\": false, \"access\": \"rwm\"}]";
static const char pids[] = "{\"limit\": 4096}";

static bool add(cJSON *object, const char *name, cJSON *item)
{
	if (item && cJSON_AddItemToObject(object, name, item))
		return true;
	cJSON_Delete(item);
	return false;
}

/* Without swap in the guest, memory is all that there is to limit. */
static cJSON *make_resources(const struct function_spec *spec)
{
	cJSON *object = cJSON_CreateObject(), *memory;
	bool good;

	if (!object)
		return NULL;
	good = add(object, "devices", cJSON_CreateRaw(devices)) &&
	       add(object, "pids", cJSON_CreateRaw(pids));
	if (good && spec->memory_bytes) {
		memory = cJSON_CreateObject();
		good = memory && add(memory, "limit",
				     cJSON_CreateNumber((double)spec->memory_bytes));
		good = add(object, "memory", memory) && good;
	}
	if (good)
		return object;
	cJSON_Delete(object);
	return NULL;
}

/* --- the document ---------------------------------------------------------------------------- */

static cJSON *object_of(const struct part *parts, size_t count, const struct function_spec *spec)
{
	cJSON *object = cJSON_CreateObject();

	for (size_t i = 0; object && i < count; i++) {
		if (add(object, parts[i].name,
			parts[i].text ? cJSON_CreateRaw(parts[i].text) : parts[i].make(spec)))
			continue;
		cJSON_Delete(object);
		object = NULL;
	}
	return object;
}

static cJSON *make_user(const struct function_spec *spec)
{
	static const struct part parts[] = {
		{"uid", .make = make_uid},
		{"gid", .make = make_gid},
		{"additionalGids", .make = make_groups},
	};

	return object_of(parts, ARRAY_SIZE(parts), spec);
}

static cJSON *make_process(const struct function_spec *spec)
{
	static const struct part parts[] = {
		{"terminal", .text = "false"},
		{"user", .make = make_user},
		{"args", .make = make_args},
		{"env", .make = make_env},
		{"cwd", .make = make_cwd},
		{"capabilities", .make = make_capabilities},
		{"rlimits", .text = rlimits},
		{"noNewPrivileges", .text = "true"},
	};

	return object_of(parts, ARRAY_SIZE(parts), spec);
}

static cJSON *make_linux(const struct function_spec *spec)
{
	static const struct part parts[] = {
		{"namespaces", .text = namespaces},
		{"cgroupsPath", .text = "\"/function\""},
		{"resources", .make = make_resources},
		{"seccomp", .text = function_seccomp},
		{"maskedPaths", .text = masked_paths},
		{"readonlyPaths", .text = readonly_paths},
	};

	return object_of(parts, ARRAY_SIZE(parts), spec);
}

int function_spec_text(const struct function_spec *spec, char **ret_text, struct err *err)
{
	static const struct part parts[] = {
		{"ociVersion", .text = "\"1.1.0\""},
		{"root", .text = "{\"path\": \"/rootfs\", \"readonly\": false}"},
		{"hostname", .text = "\"quark\""},
		{"process", .make = make_process},
		{"mounts", .make = make_mounts},
		{"linux", .make = make_linux},
	};
	cJSON *document = object_of(parts, ARRAY_SIZE(parts), spec);
	char *text = document ? cJSON_PrintUnformatted(document) : NULL;

	cJSON_Delete(document);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_text = text;
	return 0;
}

int function_spec_order(const struct function_spec *spec, uint8_t **ret_order, size_t *ret_bytes,
			struct err *err)
{
	struct mailbox_create create = {
		.flags = (spec->has_image ? MAILBOX_CREATE_IMAGE : 0) |
			 (spec->direct ? MAILBOX_CREATE_DIRECT : 0) |
			 (spec->no_identity ? MAILBOX_CREATE_NO_IDENTITY : 0),
	};
	cleanup_free char *text = NULL;
	size_t bytes;
	int r;

	r = function_spec_text(spec, &text, err);
	if (r < 0)
		return r;
	bytes = strlen(text);
	if (bytes > MAILBOX_REQUEST_MAX - sizeof(create))
		return err_set(err, -E2BIG,
			       "the container's configuration has %zu bytes, more than %zu", bytes,
			       (size_t)MAILBOX_REQUEST_MAX - sizeof(create));
	create.config_bytes = (uint32_t)bytes;
	*ret_order = malloc(sizeof(create) + bytes);
	if (!*ret_order)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(*ret_order, &create, sizeof(create));
	memcpy(*ret_order + sizeof(create), text, bytes);
	*ret_bytes = sizeof(create) + bytes;
	return 0;
}
