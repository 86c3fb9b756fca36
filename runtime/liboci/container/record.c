/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: what a container's folder says of it, and the state document that clients and hooks
 * are shown.
 *
 * The file is ours and not a client's to read, but another release may have written it, and a disk
 * may have damaged it: every member is checked.
 */
#include "container/record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cgroup/cgroup.h"
#include "cleanup.h"
#include "file.h"
#include "number.h"
#include "spec/spec.h"

enum { RECORD_VERSION = 1 };
#define OCI_VERSION "1.1.0"

static const char *const status_names[] = {
	[OCI_CREATING] = "creating", [OCI_CREATED] = "created", [OCI_RUNNING] = "running",
	[OCI_PAUSED] = "paused",     [OCI_STOPPED] = "stopped",
};

const char *oci_status_name(enum oci_status status)
{
	return status_names[status];
}

static void cleanup_json_p(cJSON **json)
{
	cJSON_Delete(*json);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_p)))

/* --- text members by table -------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
	bool required;
} texts[] = {
	{ "bundle", offsetof(struct record, bundle), true },
	{ "rootfs", offsetof(struct record, rootfs), true },
	{ "created", offsetof(struct record, created), true },
	{ "cgroup", offsetof(struct record, cgroup), true },
	{ "intelRdt", offsetof(struct record, intel_rdt), false },
};

static char **text_of(const struct record *record, size_t i)
{
	return (char **)((char *)(uintptr_t)record + texts[i].offset);
}

static int parse_texts(struct record *record, const cJSON *json, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = cJSON_GetStringValue(
			cJSON_GetObjectItemCaseSensitive(json, texts[i].name));

		if (!text && texts[i].required)
			return err_set(err, -ENODATA, "state.json: no '%s'", texts[i].name);
		if (!text)
			continue;
		*text_of(record, i) = strdup(text);
		if (!*text_of(record, i))
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

/* Numbers are kept as text: a double would not hold them all. */
static bool parse_number(const cJSON *json, const char *name, uint64_t most, uint64_t *ret_value)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

	return text && number_parse(text, 0, most, ret_value);
}

static int parse_members(struct record *record, const cJSON *json, struct err *err)
{
	uint64_t version, owner, pid;

	if (!parse_number(json, "recordVersion", UINT32_MAX, &version))
		return err_set(err, -ENODATA, "state.json is damaged");
	if (version != RECORD_VERSION)
		return err_set(err, -ENODATA, "state.json has version %u, this release knows %d",
			       (unsigned int)version, RECORD_VERSION);
	if (!parse_number(json, "owner", UINT32_MAX, &owner) ||
	    !parse_number(json, "pid", INT32_MAX, &pid) ||
	    !parse_number(json, "pidStart", UINT64_MAX, &record->pid_start))
		return err_set(err, -ENODATA, "state.json: a number is missing");
	record->owner = (uid_t)owner;
	record->pid = (pid_t)pid;
	record->created_whole = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "whole"));
	record->no_pivot = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "noPivot"));
	return parse_texts(record, json, err);
}

int record_parse(struct record *ret_record, const char *text, size_t bytes, struct err *err)
{
	cleanup_json cJSON *json = cJSON_ParseWithLength(text, bytes);
	struct record record = {};
	int r;

	if (!cJSON_IsObject(json))
		return err_set(err, -ENODATA, "state.json is damaged");
	r = parse_members(&record, json, err);
	if (r < 0) {
		record_done(&record);
		return r;
	}
	*ret_record = record;
	return 0;
}

int record_read(struct record *ret_record, int dir_fd, struct err *err)
{
	cleanup_fd int fd = openat(dir_fd, STATE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free uint8_t *text = NULL;
	size_t bytes;
	int r;

	if (fd < 0)
		return err_set(err, -ENODATA, "state.json: %s", strerror(errno));
	r = file_read_fd(fd, STATE_MAX_BYTES, &text, &bytes);
	if (r < 0)
		return err_set(err, -ENODATA, "state.json: %s", strerror(-r));
	return record_parse(ret_record, (const char *)text, bytes, err);
}

static void add_number(cJSON *json, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	(void)cJSON_AddStringToObject(json, name, text);
}

char *record_text(const struct record *record, const char *id)
{
	cleanup_json cJSON *json = cJSON_CreateObject();

	add_number(json, "recordVersion", RECORD_VERSION);
	(void)cJSON_AddStringToObject(json, "id", id);
	add_number(json, "owner", record->owner);
	add_number(json, "pid", (uint64_t)record->pid);
	add_number(json, "pidStart", record->pid_start);
	(void)cJSON_AddBoolToObject(json, "whole", record->created_whole);
	(void)cJSON_AddBoolToObject(json, "noPivot", record->no_pivot);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (*text_of(record, i) &&
		    !cJSON_AddStringToObject(json, texts[i].name, *text_of(record, i)))
			return NULL;
	return cJSON_PrintUnformatted(json);
}

void record_done(struct record *record)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(*text_of(record, i));
	*record = (struct record){};
}

/* --- what the process tells ------------------------------------------------------------------- */

/* The command's name stands in parentheses and may hold any byte, parentheses too: the last one
 * counts. Fields after it: state is the first, starttime the 20th (proc(5): 3 and 22). */
bool process_stat(pid_t pid, char *ret_state, uint64_t *ret_start)
{
	enum { FIELDS_TO_START = 19 };
	cleanup_fd int fd = -1;
	char path[32], text[1024];
	const char *at;
	ssize_t bytes;
	char *end;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	bytes = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (bytes <= 0)
		return false;
	text[bytes] = 0;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return false;
	at += 2;
	*ret_state = *at;
	for (int i = 0; i < FIELDS_TO_START; i++) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
	}
	return number_take(at, &end, ret_start);
}

bool container_is_alive(const struct container *container)
{
	const struct record *record = &container->record;
	uint64_t start;
	char state;

	return record->pid > 0 && process_stat(record->pid, &state, &start) &&
	       start == record->pid_start && state != 'Z' && state != 'X';
}

int container_pidfd(const struct container *container, struct err *err)
{
	int fd = container->record.pid <= 0 ?
			 -1 :
			 (int)syscall(SYS_pidfd_open, container->record.pid, 0);

	/* Checked after the descriptor is there: from then on it cannot be another process. */
	if (fd >= 0 && container_is_alive(container))
		return fd;
	(void)fd_close(fd);
	return err_set(err, -ESRCH, "container '%s' is not running", container->id);
}

static bool is_paused(const struct container *container)
{
	struct cgroup *cgroup = NULL;
	bool paused;

	if (container_cgroup(container, &cgroup, NULL) < 0)
		return false;
	paused = cgroup_is_frozen(cgroup);
	(void)cgroup_free(cgroup);
	return paused;
}

enum oci_status container_status(const struct container *container)
{
	if (!container->record.created_whole)
		return OCI_CREATING;
	if (!container_is_alive(container))
		return OCI_STOPPED;
	if (faccessat(container->dir_fd, START_FIFO, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return OCI_CREATED;
	return is_paused(container) ? OCI_PAUSED : OCI_RUNNING;
}

int container_cgroup(const struct container *container, struct cgroup **ret_cgroup,
		     struct err *err)
{
	if (!container->record.cgroup)
		return err_set(err, -ENODATA, "container '%s': no cgroup is recorded",
			       container->id);
	return cgroup_open(ret_cgroup, container->record.cgroup, err);
}

/* --- the specification's state ---------------------------------------------------------------- */

static cJSON *state_object(const struct container *container, enum oci_status status,
			   const struct oci_spec *spec)
{
	const struct record *record = &container->record;
	cJSON *json = cJSON_CreateObject();
	cJSON *annotations;

	(void)cJSON_AddStringToObject(json, "ociVersion",
				      spec && spec->version ? spec->version : OCI_VERSION);
	(void)cJSON_AddStringToObject(json, "id", container->id);
	(void)cJSON_AddStringToObject(json, "status", oci_status_name(status));
	(void)cJSON_AddNumberToObject(json, "pid", status == OCI_STOPPED ? 0 : record->pid);
	(void)cJSON_AddStringToObject(json, "bundle", record->bundle ? record->bundle : "");
	(void)cJSON_AddStringToObject(json, "rootfs", record->rootfs ? record->rootfs : "");
	(void)cJSON_AddStringToObject(json, "created", record->created ? record->created : "");
	if (spec && spec->annotations.count) {
		annotations = cJSON_AddObjectToObject(json, "annotations");
		for (size_t i = 0; i < spec->annotations.count; i++)
			(void)cJSON_AddStringToObject(annotations, spec->annotations.items[i].name,
						      spec->annotations.items[i].value);
	}
	return json;
}

char *container_state_json(const struct container *container, enum oci_status status,
			   const struct oci_spec *spec)
{
	cleanup_json cJSON *json = state_object(container, status, spec);

	return cJSON_Print(json);
}

char *container_agent_json(const struct container *container, const struct oci_spec *spec)
{
	cleanup_json cJSON *json = cJSON_CreateObject();
	const struct oci_seccomp *seccomp = spec->linux.seccomp;
	cJSON *fds = cJSON_AddArrayToObject(json, "fds");

	(void)cJSON_AddStringToObject(json, "ociVersion",
				      spec->version ? spec->version : OCI_VERSION);
	(void)cJSON_AddItemToArray(fds, cJSON_CreateString("seccompFd"));
	(void)cJSON_AddNumberToObject(json, "pid", container->record.pid);
	if (seccomp && seccomp->listener_metadata)
		(void)cJSON_AddStringToObject(json, "metadata", seccomp->listener_metadata);
	(void)cJSON_AddItemToObject(json, "state", state_object(container, OCI_CREATING, spec));
	return cJSON_PrintUnformatted(json);
}
