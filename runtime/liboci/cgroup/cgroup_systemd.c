/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The systemd manager: a container's cgroup as a transient scope, made by systemd over D-Bus.
 *
 * libsystemd is loaded when the first scope needs it and not linked: every start of a program pays
 * for each library that it is linked with, and most never ask for systemd. Its headers give the
 * types of the few functions used. Where the bus is is fixed, so that no variable of the
 * environment can lead elsewhere: the system bus or the user's, else systemd's own socket (as
 * other runtimes do, for machines without a bus).
 *
 * systemd is told of the limits that it has properties for, since it sets what it knows again when
 * it is reloaded; the files themselves are written by cgroup_resources.c in any case, which is
 * exact and knows which member failed. Device rules are not: our program stays beside systemd's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "clock.h"
#include "err.h"
#include "number.h"

#define LIBRARY "libsystemd.so.0"
#define DESTINATION "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

enum {
	UNIT_BYTES = 256, /* the longest name of a unit */
	JOB_SECONDS = 25, /* as long as D-Bus waits for a call */
	CPU_BITS = 8192,
};

/* --- the library --------------------------------------------------------------------------- */

#define SD_BUS_FUNCTIONS(X)            \
	X(sd_bus_new)                  \
	X(sd_bus_set_address)          \
	X(sd_bus_set_bus_client)       \
	X(sd_bus_start)                \
	X(sd_bus_call)                 \
	X(sd_bus_process)              \
	X(sd_bus_wait)                 \
	X(sd_bus_match_signal)         \
	X(sd_bus_flush_close_unref)    \
	X(sd_bus_error_free)           \
	X(sd_bus_get_property_string)  \
	X(sd_bus_path_encode)          \
	X(sd_bus_message_new_method_call) \
	X(sd_bus_message_append)       \
	X(sd_bus_message_append_array) \
	X(sd_bus_message_open_container) \
	X(sd_bus_message_close_container) \
	X(sd_bus_message_read)         \
	X(sd_bus_message_unref)        \
	X(sd_bus_unref)

struct library {
#define X(name) __typeof__(&name) name;
	SD_BUS_FUNCTIONS(X)
#undef X
};

static int load_library(struct library *library, struct err *err)
{
	/* RTLD_NODELETE: it keeps thread-local state that must outlive us. */
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!handle)
		return err_set(err, -ENOENT, "the systemd cgroup manager needs " LIBRARY ": %s",
			       dlerror());
#define X(name)                                                                                \
	*(void **)&library->name = dlsym(handle, #name);                                       \
	if (!library->name)                                                                    \
		return err_set(err, -ENOSYS, LIBRARY " has no " #name);
	SD_BUS_FUNCTIONS(X)
#undef X
	return 0;
}

struct cgroup_scope {
	char slice[UNIT_BYTES], unit[UNIT_BYTES];
	bool user;	 /* the user's instance of systemd */
	bool has_matched;
	sd_bus *bus;	 /* owned; NULL until needed */
	struct library library;
	char job[128];	 /* the object of the job that is waited for */
	char result[32]; /* of it; empty until it has ended */
};

/* --- names --------------------------------------------------------------------------------- */

static bool unit_name_is_valid(const char *name, const char *suffix)
{
	size_t length = strnlen(name, UNIT_BYTES);
	size_t tail = strlen(suffix);

	if (length <= tail || length >= UNIT_BYTES || strcmp(name + length - tail, suffix) != 0)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@",
			    name[i]))
			return false;
	return true;
}

/* "a-b.slice" is inside "a.slice"; an empty part would name none. "-.slice" is the root. */
static bool slice_is_valid(const char *slice)
{
	if (strcmp(slice, "-.slice") == 0)
		return true;
	return unit_name_is_valid(slice, ".slice") && *slice != '-' && !strstr(slice, "--") &&
	       !strstr(slice, "-.slice");
}

static int check_names(const struct cgroup_scope *scope, struct err *err)
{
	if (!slice_is_valid(scope->slice))
		return err_set(err, -EINVAL, "linux.cgroupsPath: not the name of a slice, which "
			       "the systemd manager wants before the first ':'");
	if (!unit_name_is_valid(scope->unit, ".scope"))
		return err_set(err, -EINVAL, "linux.cgroupsPath: not the name of a scope");
	return 0;
}

static struct cgroup_scope *scope_alloc(bool user)
{
	struct cgroup_scope *scope = calloc(1, sizeof(*scope));

	if (scope)
		scope->user = user;
	return scope;
}

/* Parts that are too long are cut here and then refused, since they lack their ending. */
static void take_names(struct cgroup_scope *scope, const char *cgroups_path, const char *id)
{
	const char *prefix = cgroups_path ? strchr(cgroups_path, ':') : NULL;
	const char *name = prefix ? strchr(prefix + 1, ':') : NULL;
	int slice_length = prefix ? (int)(prefix - cgroups_path) : 0;

	if (slice_length > 0)
		(void)snprintf(scope->slice, UNIT_BYTES, "%.*s", slice_length, cgroups_path);
	else
		(void)snprintf(scope->slice, UNIT_BYTES, "%s",
			       scope->user ? "user.slice" : "system.slice");
	if (!cgroups_path || !*cgroups_path)
		(void)snprintf(scope->unit, UNIT_BYTES, "run0-%s.scope", id);
	else if (!name || name == prefix + 1)
		(void)snprintf(scope->unit, UNIT_BYTES, "%s.scope",
			       name ? name + 1 : prefix ? prefix + 1 : cgroups_path);
	else
		(void)snprintf(scope->unit, UNIT_BYTES, "%.*s-%s.scope",
			       (int)(name - prefix - 1), prefix + 1, name + 1);
}

int cgroup_scope_new(struct cgroup_scope **ret_scope, const char *cgroups_path, const char *id,
		     bool user, struct err *err)
{
	struct cgroup_scope *scope = scope_alloc(user);
	int r;

	if (!scope)
		return err_set(err, -ENOMEM, "out of memory");
	take_names(scope, cgroups_path, id);
	r = check_names(scope, err);
	if (r < 0) {
		(void)cgroup_scope_free(scope);
		return r;
	}
	*ret_scope = scope;
	return 0;
}

int cgroup_scope_open(struct cgroup_scope **ret_scope, const char *names, bool user,
		      struct err *err)
{
	struct cgroup_scope *scope = scope_alloc(user);
	const char *space = strchr(names, ' ');
	int r = -EINVAL;

	if (!scope)
		return err_set(err, -ENOMEM, "out of memory");
	if (space) {
		(void)snprintf(scope->slice, UNIT_BYTES, "%.*s", (int)(space - names), names);
		(void)snprintf(scope->unit, UNIT_BYTES, "%s", space + 1);
		r = check_names(scope, NULL);
	}
	if (r < 0) {
		(void)cgroup_scope_free(scope);
		return err_set(err, r, "not the description of a cgroup");
	}
	*ret_scope = scope;
	return 0;
}

struct cgroup_scope *cgroup_scope_free(struct cgroup_scope *scope)
{
	if (scope && scope->bus)
		(void)scope->library.sd_bus_flush_close_unref(scope->bus);
	free(scope);
	return NULL;
}

const char *cgroup_scope_slice(const struct cgroup_scope *scope)
{
	return scope->slice;
}

const char *cgroup_scope_unit(const struct cgroup_scope *scope)
{
	return scope->unit;
}

/* The user on the machine whom the caller is: inside a user namespace the first line of its map
 * says so ("0 1000 1"). */
static uid_t host_uid(void)
{
	uint64_t inside, outside, count, own = geteuid();
	char text[128];
	char *at;

	if (cgroup_file_read(AT_FDCWD, "/proc/self/uid_map", text, sizeof(text)) <= 0)
		return (uid_t)own;
	at = text + strspn(text, " ");
	if (!number_take(at, &at, &inside) || !number_take(at + strspn(at, " "), &at, &outside) ||
	    !number_take(at + strspn(at, " "), &at, &count))
		return (uid_t)own;
	return (uid_t)(own >= inside && own - inside < count ? own - inside + outside : own);
}

/* "a-b.slice" is at /a.slice/a-b.slice. */
char *cgroup_scope_path(const struct cgroup_scope *scope)
{
	char path[CGROUP_PATH_BYTES] = "";
	size_t used = 0;
	char *text;

	if (scope->user)
		used = (size_t)snprintf(path, sizeof(path),
					"/user.slice/user-%u.slice/user@%u.service", host_uid(),
					host_uid());
	for (const char *dash = strchr(scope->slice, '-'); dash && dash > scope->slice;
	     dash = strchr(dash + 1, '-')) {
		int n = snprintf(path + used, sizeof(path) - used, "/%.*s.slice",
				 (int)(dash - scope->slice), scope->slice);

		used += (size_t)n;
		if (used >= sizeof(path))
			return NULL;
	}
	if (asprintf(&text, "%s%s%s/%s", path, *scope->slice == '-' ? "" : "/",
		     *scope->slice == '-' ? "" : scope->slice, scope->unit) < 0)
		return NULL;
	return text;
}

/* --- the bus ------------------------------------------------------------------------------- */

/* -errno of the last step. */
static int try_connect(struct cgroup_scope *scope, const char *address, bool is_bus)
{
	const struct library *library = &scope->library;
	sd_bus *bus = NULL;
	int r = library->sd_bus_new(&bus);

	if (r >= 0)
		r = library->sd_bus_set_address(bus, address);
	if (r >= 0)
		r = library->sd_bus_set_bus_client(bus, is_bus);
	if (r >= 0)
		r = library->sd_bus_start(bus);
	if (r < 0) {
		(void)library->sd_bus_unref(bus);
		return r;
	}
	scope->bus = bus;
	return 0;
}

static int scope_connect(struct cgroup_scope *scope, struct err *err)
{
	const char *bus = "unix:path=/run/dbus/system_bus_socket";
	const char *direct = "unix:path=/run/systemd/private";
	char user_bus[64], user_direct[64];
	int r;

	if (scope->bus)
		return 0;
	r = load_library(&scope->library, err);
	if (r < 0)
		return r;
	if (scope->user) {
		uid_t uid = host_uid();

		(void)snprintf(user_bus, sizeof(user_bus), "unix:path=/run/user/%u/bus", uid);
		(void)snprintf(user_direct, sizeof(user_direct),
			       "unix:path=/run/user/%u/systemd/private", uid);
		bus = user_bus;
		direct = user_direct;
	}
	r = try_connect(scope, bus, true);
	if (r < 0)
		r = try_connect(scope, direct, false);
	return r < 0 ? err_set(err, r, "cannot reach systemd at the %s bus: %s",
			       scope->user ? "user's" : "system", strerror(-r)) : 0;
}

static int job_removed(sd_bus_message *message, void *context, sd_bus_error *error)
{
	struct cgroup_scope *scope = context;
	const char *job, *unit, *result;
	uint32_t id;

	(void)error;
	if (scope->library.sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0)
		return 0;
	if (strcmp(job, scope->job) == 0 || (!*scope->job && strcmp(unit, scope->unit) == 0)) {
		(void)snprintf(scope->job, sizeof(scope->job), "%s", job);
		(void)snprintf(scope->result, sizeof(scope->result), "%s", result);
	}
	return 0;
}

static int new_call(struct cgroup_scope *scope, const char *method, sd_bus_message **ret_call)
{
	return scope->library.sd_bus_message_new_method_call(scope->bus, ret_call, DESTINATION,
							     OBJECT, MANAGER, method);
}

static int wait_for_job(struct cgroup_scope *scope, const char *what, struct err *err)
{
	const struct library *library = &scope->library;
	uint64_t deadline = monotonic_ns() + JOB_SECONDS * 1000000000ull;
	int r = 0;

	while (!*scope->result && r >= 0) {
		uint64_t now = monotonic_ns();

		if (now >= deadline)
			return err_set(err, -ETIMEDOUT, "systemd has not %s '%s' within %d s",
				       what, scope->unit, JOB_SECONDS);
		r = library->sd_bus_process(scope->bus, NULL);
		if (r == 0)
			r = library->sd_bus_wait(scope->bus, (deadline - now) / 1000);
	}
	if (r < 0)
		return err_set(err, r, "lost the connection to systemd: %s", strerror(-r));
	if (strcmp(scope->result, "done") != 0)
		return err_set(err, -EIO, "systemd has not %s '%s': %s", what, scope->unit,
			       scope->result);
	return 0;
}

/* Sends a call that starts a job, and waits for the job. Takes the message over. *ret_gone, if not
 * NULL, tells that there is no such unit, which then is no error. */
static int run_job(struct cgroup_scope *scope, sd_bus_message *call, const char *what,
		   bool *ret_gone, struct err *err)
{
	const struct library *library = &scope->library;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *job;
	int r;

	scope->job[0] = scope->result[0] = '\0';
	r = library->sd_bus_call(scope->bus, call, 0, &error, &reply);
	if (r < 0 && ret_gone && error.name &&
	    strcmp(error.name, "org.freedesktop.systemd1.NoSuchUnit") == 0) {
		*ret_gone = true;
		r = 0;
	} else if (r < 0) {
		r = err_set(err, r, "systemd has not %s '%s': %s", what, scope->unit,
			    error.message ? error.message : strerror(-r));
	} else if (library->sd_bus_message_read(reply, "o", &job) >= 0) {
		(void)snprintf(scope->job, sizeof(scope->job), "%s", job);
		r = wait_for_job(scope, what, err);
	}
	library->sd_bus_error_free(&error);
	(void)library->sd_bus_message_unref(reply);
	(void)library->sd_bus_message_unref(call);
	return r;
}

static int subscribe(struct cgroup_scope *scope, struct err *err)
{
	int r = scope_connect(scope, err);

	if (r < 0 || scope->has_matched)
		return r;
	r = scope->library.sd_bus_match_signal(scope->bus, NULL, DESTINATION, OBJECT, MANAGER,
					       "JobRemoved", job_removed, scope);
	scope->has_matched = r >= 0;
	return r < 0 ? err_set(err, r, "cannot reach systemd: %s", strerror(-r)) : 0;
}

/* --- properties ---------------------------------------------------------------------------- */

struct properties {
	struct cgroup_scope *scope;
	sd_bus_message *call;
	const struct oci_resources *resources;
	int r; /* the first failure */
};

static void append_u64(struct properties *properties, const char *name, uint64_t value)
{
	if (properties->r >= 0)
		properties->r = properties->scope->library.sd_bus_message_append(
			properties->call, "(sv)", name, "t", value);
}

static void append_bool(struct properties *properties, const char *name)
{
	if (properties->r >= 0)
		properties->r = properties->scope->library.sd_bus_message_append(
			properties->call, "(sv)", name, "b", 1);
}

static void append_text(struct properties *properties, const char *name, const char *value)
{
	if (properties->r >= 0)
		properties->r = properties->scope->library.sd_bus_message_append(
			properties->call, "(sv)", name, "s", value);
}

static bool is_given(const struct oci_number *number)
{
	return number->set && number->value != 0;
}

static uint64_t size_or_none(int64_t value)
{
	return value < 0 ? UINT64_MAX : (uint64_t)value;
}

static void append_size(struct properties *properties, const char *name,
			const struct oci_number *number)
{
	if (is_given(number))
		append_u64(properties, name, size_or_none(number->value));
}

/* CPU time per second, in whole hundredths as systemd keeps it, rounded up as runc does. */
static void append_quota(struct properties *properties)
{
	const struct oci_number *quota = &properties->resources->cpu.quota;
	const struct oci_number *period = &properties->resources->cpu.period;
	uint64_t period_us = is_given(period) && period->value > 0 ? (uint64_t)period->value :
								     100000;
	uint64_t per_second = UINT64_MAX;

	if (is_given(period) && period->value > 0)
		append_u64(properties, "CPUQuotaPeriodUSec", period_us);
	if (!is_given(quota))
		return;
	if (quota->value > 0 && (uint64_t)quota->value < UINT64_MAX / 1000000) {
		per_second = (uint64_t)quota->value * 1000000 / period_us;
		per_second = (per_second + 9999) / 10000 * 10000;
	}
	append_u64(properties, "CPUQuotaPerSecUSec", per_second);
}

/* "0-3,5" as the bits of bytes. False for what is no such list, which the write to the file
 * tells. */
static bool parse_list(const char *text, uint8_t bits[CPU_BITS / 8], size_t *ret_bytes)
{
	uint64_t first, last;
	char *end;

	*ret_bytes = 0;
	while (number_take(text, &end, &first)) {
		last = first;
		if (*end == '-' && !number_take(end + 1, &end, &last))
			return false;
		if (last >= CPU_BITS || first > last)
			return false;
		for (uint64_t i = first; i <= last; i++)
			bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
		if (last / 8 + 1 > *ret_bytes)
			*ret_bytes = last / 8 + 1;
		if (*end != ',')
			return *end == '\0';
		text = end + 1;
	}
	return false;
}

static void append_list(struct properties *properties, const char *name, const char *text)
{
	const struct library *library = &properties->scope->library;
	uint8_t bits[CPU_BITS / 8] = {0};
	sd_bus_message *call = properties->call;
	size_t bytes;
	int r = properties->r;

	if (r < 0 || !text || !parse_list(text, bits, &bytes))
		return;
	(void)((r = library->sd_bus_message_open_container(call, 'r', "sv")) < 0 ||
	       (r = library->sd_bus_message_append(call, "s", name)) < 0 ||
	       (r = library->sd_bus_message_open_container(call, 'v', "ay")) < 0 ||
	       (r = library->sd_bus_message_append_array(call, 'y', bits, bytes)) < 0 ||
	       (r = library->sd_bus_message_close_container(call)) < 0 ||
	       (r = library->sd_bus_message_close_container(call)) < 0);
	properties->r = r;
}

static void append_memory_v2(struct properties *properties)
{
	const struct oci_resources *resources = properties->resources;
	int64_t swap;

	append_size(properties, "MemoryMax", &resources->memory.limit);
	append_size(properties, "MemoryLow", &resources->memory.reservation);
	if (is_given(&resources->memory.swap) &&
	    cgroup_swap_without_memory(resources->memory.swap.value,
				       resources->memory.limit.value, &swap) == 0)
		append_u64(properties, "MemorySwapMax", size_or_none(swap));
}

static void append_limits(struct properties *properties, bool v2)
{
	const struct oci_resources *resources = properties->resources;
	const struct oci_number *shares = &resources->cpu.shares;
	const struct oci_number *pids = &resources->pids_limit;

	if (v2)
		append_memory_v2(properties);
	else
		append_size(properties, "MemoryLimit", &resources->memory.limit);
	if (is_given(shares) && shares->value > 0)
		append_u64(properties, v2 ? "CPUWeight" : "CPUShares",
			   v2 ? cgroup_weight_from_shares((uint64_t)shares->value) :
				(uint64_t)shares->value);
	append_quota(properties);
	if (pids->set)
		append_u64(properties, "TasksMax",
			   pids->value > 0 ? (uint64_t)pids->value : UINT64_MAX);
	if (v2) {
		append_list(properties, "AllowedCPUs", resources->cpu.cpus);
		append_list(properties, "AllowedMemoryNodes", resources->cpu.mems);
	}
}

/* Delegate: what is below is the container's. CollectMode: a scope whose processes were killed
 * shall not stay behind as failed and keep its name. */
static void append_scope(struct properties *properties, pid_t pid)
{
	static const char *const accounting[] = {"CPUAccounting", "MemoryAccounting",
						 "IOAccounting", "TasksAccounting"};
	struct cgroup_scope *scope = properties->scope;
	char description[UNIT_BYTES + 16];

	(void)snprintf(description, sizeof(description), "container %s", scope->unit);
	append_text(properties, "Description", description);
	append_text(properties, "Slice", scope->slice);
	append_text(properties, "CollectMode", "inactive-or-failed");
	append_bool(properties, "Delegate");
	for (size_t i = 0; i < ARRAY_SIZE(accounting); i++)
		append_bool(properties, accounting[i]);
	if (properties->r >= 0)
		properties->r = scope->library.sd_bus_message_append(
			properties->call, "(sv)", "DefaultDependencies", "b", 0);
	if (properties->r >= 0)
		properties->r = scope->library.sd_bus_message_append(
			properties->call, "(sv)", "PIDs", "au", 1, (uint32_t)pid);
}

/* --- scopes -------------------------------------------------------------------------------- */

int cgroup_scope_start(struct cgroup_scope *scope, pid_t pid,
		       const struct oci_resources *resources, bool v2, struct err *err)
{
	const struct library *library = &scope->library;
	struct properties properties = {.scope = scope, .resources = resources};
	sd_bus_message *call = NULL;
	int r = subscribe(scope, err);

	if (r < 0)
		return r;
	(void)((r = new_call(scope, "StartTransientUnit", &call)) < 0 ||
	       (r = library->sd_bus_message_append(call, "ss", scope->unit, "fail")) < 0 ||
	       (r = library->sd_bus_message_open_container(call, 'a', "(sv)")) < 0);
	properties.call = call;
	properties.r = r;
	append_scope(&properties, pid);
	if (resources)
		append_limits(&properties, v2);
	r = properties.r;
	if (r >= 0)
		(void)((r = library->sd_bus_message_close_container(call)) < 0 ||
		       (r = library->sd_bus_message_append(call, "a(sa(sv))", 0)) < 0);
	if (r < 0) {
		(void)library->sd_bus_message_unref(call);
		return err_set(err, r, "cannot compose a message to systemd: %s", strerror(-r));
	}
	return run_job(scope, call, "started", NULL, err);
}

int cgroup_scope_update(struct cgroup_scope *scope, const struct oci_resources *resources, bool v2,
			struct err *err)
{
	const struct library *library = &scope->library;
	struct properties properties = {.scope = scope, .resources = resources};
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL;
	int r = scope_connect(scope, err);

	if (r < 0)
		return r;
	(void)((r = new_call(scope, "SetUnitProperties", &call)) < 0 ||
	       (r = library->sd_bus_message_append(call, "sb", scope->unit, 1)) < 0 ||
	       (r = library->sd_bus_message_open_container(call, 'a', "(sv)")) < 0);
	properties.call = call;
	properties.r = r;
	append_limits(&properties, v2);
	r = properties.r;
	if (r >= 0)
		r = library->sd_bus_message_close_container(call);
	if (r >= 0)
		r = library->sd_bus_call(scope->bus, call, 0, &error, NULL);
	if (r < 0)
		r = err_set(err, r, "systemd has not changed '%s': %s", scope->unit,
			    error.message ? error.message : strerror(-r));
	library->sd_bus_error_free(&error);
	(void)library->sd_bus_message_unref(call);
	return r < 0 ? r : 0;
}

int cgroup_scope_stop(struct cgroup_scope *scope, struct err *err)
{
	sd_bus_message *call = NULL;
	bool gone = false;
	int r = subscribe(scope, err);

	if (r < 0)
		return r;
	r = new_call(scope, "StopUnit", &call);
	if (r >= 0)
		r = scope->library.sd_bus_message_append(call, "ss", scope->unit, "replace");
	if (r < 0) {
		(void)scope->library.sd_bus_message_unref(call);
		return err_set(err, r, "cannot compose a message to systemd: %s", strerror(-r));
	}
	return run_job(scope, call, "stopped", &gone, err);
}

int cgroup_scope_ask_path(struct cgroup_scope *scope, char **ret_path, struct err *err)
{
	const struct library *library = &scope->library;
	char *object = NULL, *path = NULL;
	int r = scope_connect(scope, err);

	if (r < 0)
		return r;
	r = library->sd_bus_path_encode("/org/freedesktop/systemd1/unit", scope->unit, &object);
	if (r >= 0)
		r = library->sd_bus_get_property_string(scope->bus, DESTINATION, object,
							"org.freedesktop.systemd1.Scope",
							"ControlGroup", NULL, &path);
	free(object);
	if (r < 0 || !cgroup_path_is_clean(path)) {
		free(path);
		return err_set(err, -ENOENT, "systemd has no '%s'", scope->unit);
	}
	*ret_path = path;
	return 0;
}
