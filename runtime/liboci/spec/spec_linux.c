/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "linux" object, and the checks that need more than one member.
 */
#include <string.h>
#include <sys/personality.h>

#include "cleanup.h"
#include "err.h"
#include "spec/arena.h"
#include "spec/spec_priv.h"

/* --- namespaces and mappings ----------------------------------------------------------------- */

const struct json_name namespace_names[] = {
	{ "user", OCI_NS_USER },
	{ "pid", OCI_NS_PID },
	{ "network", OCI_NS_NETWORK },
	{ "mount", OCI_NS_MOUNT },
	{ "ipc", OCI_NS_IPC },
	{ "uts", OCI_NS_UTS },
	{ "cgroup", OCI_NS_CGROUP },
	{ "time", OCI_NS_TIME },
	{ NULL, 0 },
};

/* An element of the array, which in struct oci_linux is not a list. */
struct namespace_entry {
	int type;
	const char *path;
};

static const struct json_field namespace_fields[] = {
	{ JSON_MEMBER("type", struct namespace_entry, type, json_name),
	  .required = true,
	  .names = namespace_names },
	{ JSON_MEMBER("path", struct namespace_entry, path, json_path) },
};
static const struct json_table namespace_table = JSON_TABLE(namespace_fields);

static int decode_namespaces(const struct json_value *value, const struct json_field *field,
			     void *to)
{
	struct oci_namespace *namespaces = to;
	struct json_value element = { .reader = value->reader, .parent = value };

	(void)field;
	if (!cJSON_IsArray(value->item))
		return json_fail(value, "not an array");
	cJSON_ArrayForEach(element.item, value->item) {
		struct namespace_entry entry = { 0 };
		int r = json_members(&element, &namespace_table, &entry);

		if (r < 0)
			return r;
		if (namespaces[entry.type].present)
			return json_fail(&element, "a second namespace of that type");
		namespaces[entry.type] =
			(struct oci_namespace){ .present = true, .path = entry.path };
		element.index++;
	}
	return 0;
}

static const struct json_field id_mapping_fields[] = {
	{ JSON_MEMBER("containerID", struct oci_id_mapping, container_id, json_u32),
	  .required = true },
	{ JSON_MEMBER("hostID", struct oci_id_mapping, host_id, json_u32), .required = true },
	{ JSON_MEMBER("size", struct oci_id_mapping, size, json_u32),
	  .required = true,
	  .least = 1,
	  .most = UINT32_MAX },
};
static const struct json_table id_mapping_table = JSON_TABLE(id_mapping_fields);

static int decode_id_mapping(const struct json_value *value, const struct json_field *field,
			     void *to)
{
	const struct oci_id_mapping *mapping = to;
	int r = json_members(value, field->table, to);

	if (r < 0)
		return r;
	if (mapping->size > UINT32_MAX - mapping->container_id ||
	    mapping->size > UINT32_MAX - mapping->host_id)
		return json_fail(value, "ends above the last id");
	return 0;
}

const struct json_field id_mapping_element = { .decode = decode_id_mapping,
					       .table = &id_mapping_table };

static const struct json_field offset_fields[] = {
	{ JSON_MEMBER("secs", struct oci_time_offset, seconds, json_i64) },
	{ JSON_MEMBER("nanosecs", struct oci_time_offset, nanoseconds, json_i64),
	  .most = 999999999 },
};
static const struct json_table offset_table = JSON_TABLE(offset_fields);

static const struct json_field offsets_fields[] = {
	{ JSON_MEMBER("monotonic", struct oci_linux, monotonic, json_present_object),
	  .table = &offset_table },
	{ JSON_MEMBER("boottime", struct oci_linux, boottime, json_present_object),
	  .table = &offset_table },
};
static const struct json_table offsets_table = JSON_TABLE(offsets_fields);

/* --- devices --------------------------------------------------------------------------------- */

static int decode_node_type(const struct json_value *value, const struct json_field *field,
			    void *to)
{
	const char *type = NULL;
	int r = json_text(value, field, &type);

	if (r < 0)
		return r;
	if (!type[0] || !strchr("cbup", type[0]) || type[1])
		return json_fail(value, "unknown value '%.60s'", type);
	*(char *)to = (char)(type[0] == 'u' ? 'c' : type[0]);
	return 0;
}

/* Of the mode only the permissions count; the rest repeats the type, in Go's or the kernel's
 * numbers. */
static int decode_file_mode(const struct json_value *value, const struct json_field *field,
			    void *to)
{
	struct oci_number *mode = to;
	int r = json_number(value, field, mode);

	mode->value &= 07777;
	return r;
}

#define OWNER(key, member) \
	{ JSON_MEMBER(key, struct oci_device_node, member, json_number), .most = UINT32_MAX }

static const struct json_field node_fields[] = {
	{ JSON_MEMBER("path", struct oci_device_node, path, json_path), .required = true },
	{ JSON_MEMBER("type", struct oci_device_node, type, decode_node_type), .required = true },
	{ JSON_MEMBER("major", struct oci_device_node, major, json_i64), .most = UINT32_MAX },
	{ JSON_MEMBER("minor", struct oci_device_node, minor, json_i64), .most = UINT32_MAX },
	{ JSON_MEMBER("fileMode", struct oci_device_node, file_mode, decode_file_mode),
	  .most = UINT32_MAX },
	OWNER("uid", uid),
	OWNER("gid", gid),
};
static const struct json_table node_table = JSON_TABLE(node_fields);

/* Only a FIFO has no number. */
static int decode_node(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_device_node *node = to;
	int r;

	node->major = node->minor = -1;
	r = json_members(value, field->table, node);
	if (r < 0)
		return r;
	if (node->type != 'p' && (node->major < 0 || node->minor < 0))
		return json_fail_member(value, node->major < 0 ? "major" : "minor", "missing");
	if (node->type == 'p')
		node->major = node->minor = 0;
	return 0;
}

static const struct json_field node_element = { .decode = decode_node, .table = &node_table };

/* --- the rest -------------------------------------------------------------------------------- */

/* The name of a folder below resctrl's. */
static int decode_clos_id(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *id = NULL;
	int r = json_string(value, field, &id);

	if (r < 0)
		return r;
	if (id && (strchr(id, '/') || strcmp(id, ".") == 0 || strcmp(id, "..") == 0))
		return json_fail(value, "'%.60s' is not a folder's name", id);
	*(const char **)to = id;
	return 0;
}

#define RDT(key, member, how) { JSON_MEMBER(key, struct oci_linux, intel_rdt.member, how) }

static const struct json_field rdt_fields[] = {
	{ JSON_MEMBER("closID", struct oci_linux, intel_rdt.clos_id, decode_clos_id),
	  .most_bytes = 255 },
	RDT("l3CacheSchema", l3_cache_schema, json_string),
	RDT("memBwSchema", mem_bw_schema, json_string),
	RDT("enableCMT", enable_cmt, json_boolean),
	RDT("enableMBM", enable_mbm, json_boolean),
};
static const struct json_table rdt_table = JSON_TABLE(rdt_fields);

static int decode_rdt(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_linux *linux_part = to;

	linux_part->intel_rdt.present = true;
	return json_members(value, field->table, to);
}

static const struct json_name domain_names[] = {
	{ "LINUX", PER_LINUX },
	{ "LINUX32", PER_LINUX32 },
	{ NULL, 0 },
};

struct personality_entry {
	int domain;
	const char **flags;
	size_t flag_count;
};

static const struct json_field personality_fields[] = {
	{ JSON_MEMBER("domain", struct personality_entry, domain, json_name),
	  .required = true,
	  .names = domain_names },
	{ JSON_LIST("flags", struct personality_entry, flags, flag_count, json_text_element) },
};
static const struct json_table personality_table = JSON_TABLE(personality_fields);

/* The specification names no flag so far. */
static int decode_personality(const struct json_value *value, const struct json_field *field,
			      void *to)
{
	struct personality_entry entry = { 0 };
	struct oci_number *personality = to;
	int r = json_members(value, field->table, &entry);

	if (r < 0)
		return r;
	if (entry.flag_count)
		return json_fail_member(value, "flags", "unknown value '%.60s'", entry.flags[0]);
	*personality = (struct oci_number){ .set = true, .value = entry.domain };
	return 0;
}

/* Names become paths below /proc/sys. */
static bool is_sysctl(const char *name)
{
	return !strchr("./", name[0]) && !strstr(name, "..") && !strstr(name, "//") &&
	       !strstr(name, "/.") && !strstr(name, "./") && strlen(name) < 1024;
}

#define MAPPINGS(key, member)                                                            \
	{ JSON_LIST(key, struct oci_linux, member.items, member.count, id_mapping_element), \
	  .most_items = ID_MAPPINGS_MAX }
#define PATHS(key, member) \
	{ JSON_LIST(key, struct oci_linux, member.items, member.count, json_path_element) }

static const struct json_field linux_fields[] = {
	{ JSON_MEMBER("namespaces", struct oci_linux, namespaces, decode_namespaces) },
	MAPPINGS("uidMappings", uid_mappings),
	MAPPINGS("gidMappings", gid_mappings),
	{ .name = "timeOffsets", .decode = json_object, .table = &offsets_table },
	{ JSON_LIST("devices", struct oci_linux, devices, device_count, node_element),
	  .most_items = 4096 },
	{ JSON_MEMBER("cgroupsPath", struct oci_linux, cgroups_path, json_string),
	  .most_bytes = 4095 },
	{ JSON_MEMBER("resources", struct oci_linux, resources, json_object),
	  .table = &resources_table },
	{ .name = "intelRdt", .decode = decode_rdt, .table = &rdt_table },
	{ JSON_MEMBER("sysctl", struct oci_linux, sysctl, json_pairs), .allows_name = is_sysctl },
	{ JSON_MEMBER("seccomp", struct oci_linux, seccomp, decode_seccomp) },
	{ JSON_MEMBER("rootfsPropagation", struct oci_linux, rootfs_propagation,
		      decode_propagation) },
	PATHS("maskedPaths", masked_paths),
	PATHS("readonlyPaths", readonly_paths),
	{ JSON_MEMBER("mountLabel", struct oci_linux, mount_label, json_string),
	  .most_bytes = 4095 },
	{ JSON_MEMBER("personality", struct oci_linux, personality, decode_personality),
	  .table = &personality_table },
};
const struct json_table linux_table = JSON_TABLE(linux_fields);

/* --- more than one member -------------------------------------------------------------------- */

/* Each of these would change the host's instead of the container's. */
int check_linux(const struct json_value *root, const struct oci_spec *spec)
{
	const struct oci_namespace *namespaces = spec->linux.namespaces;
	const struct {
		const char *member;
		bool asked, possible;
		const char *type;
	} needs[] = {
		{ "hostname", spec->hostname, namespaces[OCI_NS_UTS].present, "uts" },
		{ "domainname", spec->domainname, namespaces[OCI_NS_UTS].present, "uts" },
		{ "linux.uidMappings", spec->linux.uid_mappings.count,
		  namespaces[OCI_NS_USER].present, "user" },
		{ "linux.gidMappings", spec->linux.gid_mappings.count,
		  namespaces[OCI_NS_USER].present, "user" },
		{ "linux.timeOffsets", spec->linux.monotonic.set || spec->linux.boottime.set,
		  namespaces[OCI_NS_TIME].present && !namespaces[OCI_NS_TIME].path, "new time" },
		{ "linux.maskedPaths", spec->linux.masked_paths.count,
		  namespaces[OCI_NS_MOUNT].present, "mount" },
		{ "linux.readonlyPaths", spec->linux.readonly_paths.count,
		  namespaces[OCI_NS_MOUNT].present, "mount" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].asked && !needs[i].possible)
			return json_fail_member(root, needs[i].member,
						"needs a %s namespace in linux.namespaces",
						needs[i].type);
	return 0;
}
