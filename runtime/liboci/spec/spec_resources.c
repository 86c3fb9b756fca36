/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "linux.resources" object.
 *
 * Names that become files' names below a cgroup are checked here: a hostile config shall not write
 * elsewhere.
 */
#include <limits.h>
#include <net/if.h>
#include <string.h>

#include "spec/arena.h"
#include "spec/spec_priv.h"

/* --- devices --------------------------------------------------------------------------------- */

static int decode_device_type(const struct json_value *value, const struct json_field *field,
			      void *to)
{
	const char *type = NULL;
	int r = json_text(value, field, &type);

	if (r < 0)
		return r;
	if (type[0] && (!strchr("abcu", type[0]) || type[1]))
		return json_fail(value, "unknown value '%.60s'", type);
	if (type[0])
		*(char *)to = (char)(type[0] == 'u' ? 'c' : type[0]);
	return 0;
}

/* -1 is written for "any", which is what an absent number means. */
static int decode_device_number(const struct json_value *value, const struct json_field *field,
				void *to)
{
	struct oci_number *number = to;
	int r = json_number(value, field, number);

	if (r < 0)
		return r;
	if (number->value < 0)
		*number = (struct oci_number){ 0 };
	return 0;
}

static int decode_access(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_device_rule *rule = to;
	const char *access = NULL;
	int r = json_text(value, field, &access);

	if (r < 0)
		return r;
	if (access[strspn(access, "rwm")])
		return json_fail(value, "'%.60s' has other letters than r, w, m", access);
	rule->read = strchr(access, 'r');
	rule->write = strchr(access, 'w');
	rule->mknod = strchr(access, 'm');
	return 0;
}

static const struct json_field rule_fields[] = {
	{ JSON_MEMBER("allow", struct oci_device_rule, allow, json_boolean), .required = true },
	{ JSON_MEMBER("type", struct oci_device_rule, type, decode_device_type) },
	{ JSON_MEMBER("major", struct oci_device_rule, major, decode_device_number),
	  .least = -1,
	  .most = UINT32_MAX },
	{ JSON_MEMBER("minor", struct oci_device_rule, minor, decode_device_number),
	  .least = -1,
	  .most = UINT32_MAX },
	{ .name = "access", .decode = decode_access },
};
static const struct json_table rule_table = JSON_TABLE(rule_fields);

/* No type is all devices, no access all of it. */
static int decode_rule(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_device_rule *rule = to;
	int r = json_members(value, field->table, rule);

	if (r < 0)
		return r;
	if (!rule->type)
		rule->type = 'a';
	if (!rule->read && !rule->write && !rule->mknod)
		rule->read = rule->write = rule->mknod = true;
	return 0;
}

static const struct json_field rule_element = { .decode = decode_rule, .table = &rule_table };

/* --- memory, CPU, processes ------------------------------------------------------------------ */

#define NUMBER(key, member) JSON_MEMBER(key, struct oci_resources, member, json_number)
#define FLAG(key, member) { JSON_MEMBER(key, struct oci_resources, member, json_flag) }
/* -1 is "no limit". */
#define LIMIT(key, member) { NUMBER(key, member), .least = -1, .most = INT64_MAX }
#define AMOUNT(key, member) { NUMBER(key, member), .most = INT64_MAX }

static const struct json_field memory_fields[] = {
	LIMIT("limit", memory.limit),
	LIMIT("reservation", memory.reservation),
	LIMIT("swap", memory.swap),
	LIMIT("kernel", memory.kernel),
	LIMIT("kernelTCP", memory.kernel_tcp),
	{ NUMBER("swappiness", memory.swappiness), .most = 200 },
	FLAG("disableOOMKiller", memory.disable_oom_killer),
	FLAG("useHierarchy", memory.use_hierarchy),
	FLAG("checkBeforeUpdate", memory.check_before_update),
};
static const struct json_table memory_table = JSON_TABLE(memory_fields);

/* "0-3,7" and nothing else: the text goes into a file of the kernel's. */
static int decode_cpu_list(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *list = NULL;
	int r = json_string(value, field, &list);

	if (r < 0)
		return r;
	if (list && list[strspn(list, "0123456789,-")])
		return json_fail(value, "'%.60s' is not a list of numbers and ranges", list);
	*(const char **)to = list;
	return 0;
}

static const struct json_field cpu_fields[] = {
	AMOUNT("shares", cpu.shares),
	{ NUMBER("quota", cpu.quota) },
	AMOUNT("burst", cpu.burst),
	AMOUNT("period", cpu.period),
	{ NUMBER("realtimeRuntime", cpu.realtime_runtime) },
	AMOUNT("realtimePeriod", cpu.realtime_period),
	{ NUMBER("idle", cpu.idle) },
	{ JSON_MEMBER("cpus", struct oci_resources, cpu.cpus, decode_cpu_list),
	  .most_bytes = 4095 },
	{ JSON_MEMBER("mems", struct oci_resources, cpu.mems, decode_cpu_list),
	  .most_bytes = 4095 },
};
static const struct json_table cpu_table = JSON_TABLE(cpu_fields);

static const struct json_field pids_fields[] = { { NUMBER("limit", pids_limit) } };
static const struct json_table pids_table = JSON_TABLE(pids_fields);

/* --- block devices --------------------------------------------------------------------------- */

#define DEVICE_NUMBERS(type)                                                             \
	{ JSON_MEMBER("major", type, major, json_i64), .required = true, .most = UINT32_MAX }, \
	{ JSON_MEMBER("minor", type, minor, json_i64), .required = true, .most = UINT32_MAX }
#define WEIGHT(key, type, member) { JSON_MEMBER(key, type, member, json_number), .most = 1000 }

static const struct json_field weight_device_fields[] = {
	DEVICE_NUMBERS(struct oci_weight_device),
	WEIGHT("weight", struct oci_weight_device, weight),
	WEIGHT("leafWeight", struct oci_weight_device, leaf_weight),
};
static const struct json_table weight_device_table = JSON_TABLE(weight_device_fields);
static const struct json_field weight_device_element = { .decode = json_object,
							 .table = &weight_device_table };

static const struct json_field throttle_device_fields[] = {
	DEVICE_NUMBERS(struct oci_throttle_device),
	{ JSON_MEMBER("rate", struct oci_throttle_device, rate, json_u64), .required = true },
};
static const struct json_table throttle_device_table = JSON_TABLE(throttle_device_fields);
static const struct json_field throttle_device_element = { .decode = json_object,
							   .table = &throttle_device_table };

#define THROTTLE(key, member)                                                               \
	{ JSON_LIST(key, struct oci_resources, block_io.member.items, block_io.member.count, \
		    throttle_device_element) }

static const struct json_field block_io_fields[] = {
	WEIGHT("weight", struct oci_resources, block_io.weight),
	WEIGHT("leafWeight", struct oci_resources, block_io.leaf_weight),
	{ JSON_LIST("weightDevice", struct oci_resources, block_io.weight_devices,
		    block_io.weight_device_count, weight_device_element) },
	THROTTLE("throttleReadBpsDevice", read_bps),
	THROTTLE("throttleWriteBpsDevice", write_bps),
	THROTTLE("throttleReadIOPSDevice", read_iops),
	THROTTLE("throttleWriteIOPSDevice", write_iops),
};
static const struct json_table block_io_table = JSON_TABLE(block_io_fields);

/* --- huge pages, network, RDMA, unified ------------------------------------------------------ */

static int decode_page_size(const struct json_value *value, const struct json_field *field,
			    void *to)
{
	const char *size = NULL;
	size_t digits;
	int r = json_string(value, field, &size);

	if (r < 0)
		return r;
	digits = strspn(size, "0123456789");
	if (digits == 0 || size[0] == '0' || !size[digits] || !strchr("KMG", size[digits]) ||
	    strcmp(size + digits + 1, "B") != 0)
		return json_fail(value, "'%.60s' is not a size as '2MB'", size);
	*(const char **)to = size;
	return 0;
}

static const struct json_field hugepage_fields[] = {
	{ JSON_MEMBER("pageSize", struct oci_hugepage_limit, page_size, decode_page_size),
	  .required = true,
	  .most_bytes = 16 },
	{ JSON_MEMBER("limit", struct oci_hugepage_limit, limit, json_u64), .required = true },
};
static const struct json_table hugepage_table = JSON_TABLE(hugepage_fields);
static const struct json_field hugepage_element = { .decode = json_object,
						    .table = &hugepage_table };

/* As it is written into a file of words. */
static bool is_word(const char *text)
{
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == '/')
			return false;
	return text[0];
}

static int decode_word(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *word = NULL;
	int r = json_string(value, field, &word);

	if (r < 0)
		return r;
	if (!is_word(word))
		return json_fail(value, "'%.60s' has a character that is not allowed", word);
	*(const char **)to = word;
	return 0;
}

static const struct json_field priority_fields[] = {
	{ JSON_MEMBER("name", struct oci_interface_priority, name, decode_word),
	  .required = true,
	  .most_bytes = IFNAMSIZ - 1 },
	{ JSON_MEMBER("priority", struct oci_interface_priority, priority, json_u32),
	  .required = true },
};
static const struct json_table priority_table = JSON_TABLE(priority_fields);
static const struct json_field priority_element = { .decode = json_object,
						    .table = &priority_table };

static const struct json_field network_fields[] = {
	{ NUMBER("classID", network.class_id), .most = UINT32_MAX },
	{ JSON_LIST("priorities", struct oci_resources, network.priorities, network.priority_count,
		    priority_element) },
};
static const struct json_table network_table = JSON_TABLE(network_fields);

static const struct json_field rdma_fields[] = {
	{ JSON_MEMBER("hcaHandles", struct oci_rdma_limit, hca_handles, json_number),
	  .most = UINT32_MAX },
	{ JSON_MEMBER("hcaObjects", struct oci_rdma_limit, hca_objects, json_number),
	  .most = UINT32_MAX },
};
static const struct json_table rdma_table = JSON_TABLE(rdma_fields);

/* RDMA devices are the members' names of an object of objects. */
static int decode_rdma_device(const struct json_value *member, struct oci_resources *resources)
{
	struct oci_rdma_limit *limit = &resources->rdma[resources->rdma_count];

	if (!is_word(member->name))
		return json_fail(member, "not a name that is allowed here");
	for (size_t i = 0; i < resources->rdma_count; i++)
		if (strcmp(resources->rdma[i].device, member->name) == 0)
			return json_fail(member, "stands there twice");
	limit->device = member->name;
	resources->rdma_count++;
	return json_members(member, &rdma_table, limit);
}

enum { RDMA_DEVICES_MAX = 256 };

static int decode_rdma(const struct json_value *value, const struct json_field *field, void *to)
{
	struct oci_resources *resources = to;
	const int count = cJSON_GetArraySize(value->item);
	struct json_value member = { .reader = value->reader, .parent = value };
	int r = 0;

	(void)field;
	if (!cJSON_IsObject(value->item))
		return json_fail(value, "not an object");
	if (count > RDMA_DEVICES_MAX)
		return json_fail(value, "more than %d members", RDMA_DEVICES_MAX);
	resources->rdma = arena_alloc(value->reader->arena,
				      ((size_t)count + 1) * sizeof(resources->rdma[0]));
	if (!resources->rdma)
		return json_fail_memory(value);
	for (member.item = value->item->child; member.item && r == 0;
	     member.item = member.item->next) {
		member.name = member.item->string;
		r = decode_rdma_device(&member, resources);
	}
	return r;
}

/* Members are files of the cgroup's folder. */
static bool is_cgroup_file(const char *name)
{
	return !strchr(name, '/') && name[0] != '.' && strlen(name) <= NAME_MAX;
}

/* --- all ------------------------------------------------------------------------------------- */

static const struct json_field resource_fields[] = {
	{ JSON_LIST("devices", struct oci_resources, devices, device_count, rule_element),
	  .most_items = 4096 },
	{ .name = "memory", .decode = json_object, .table = &memory_table },
	{ .name = "cpu", .decode = json_object, .table = &cpu_table },
	{ .name = "pids", .decode = json_object, .table = &pids_table },
	{ .name = "blockIO", .decode = json_object, .table = &block_io_table },
	{ JSON_LIST("hugepageLimits", struct oci_resources, hugepages, hugepage_count,
		    hugepage_element),
	  .most_items = 64 },
	{ .name = "network", .decode = json_object, .table = &network_table },
	{ .name = "rdma", .decode = decode_rdma },
	{ JSON_MEMBER("unified", struct oci_resources, unified, json_pairs),
	  .allows_name = is_cgroup_file },
};
const struct json_table resources_table = JSON_TABLE(resource_fields);
