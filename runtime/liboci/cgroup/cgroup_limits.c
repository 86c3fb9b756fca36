/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each limit gets from the specification's value to the text that the kernel wants.
 *
 * The specification's values are those of cgroup v1; for v2 they are converted as runc and crun do
 * it, so that a container gets the same share under each of them.
 */
#include "cgroup/cgroup_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"

enum { MEMBER_BYTES = 96, TEXT_BYTES = 128 };

/* --- writing ------------------------------------------------------------------------------- */

/* A file that is missing may be that of a v2 controller which is not enabled: then the parents are
 * asked, once for all limits. */
static int put_quietly(struct setting *setting, const char *file, const char *text)
{
	int r = cgroup_file_write(setting->dir, file, text);

	if (r != -ENOENT || !setting->v2 || !setting->controllers)
		return r;
	setting->enable_error = cgroup_enable(setting->cgroup, setting->controllers);
	setting->controllers = 0;
	return cgroup_file_write(setting->dir, file, text);
}

/* Text of the config in a message of one line. */
static const char *quotable(char *quoted, size_t bytes, const char *text)
{
	size_t i;

	for (i = 0; i < bytes - 1 && text[i]; i++)
		quoted[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
	quoted[i] = '\0';
	return quoted;
}

static int put_error(const struct setting *setting, int r, const char *member, const char *file,
		     const char *text)
{
	char quoted[64];

	/* Not -ENOENT, by which callers know a container that does not exist. */
	if (r == -ENOENT && setting->enable_error < 0)
		return err_set(setting->err, -ENOTSUP,
			       "linux.resources.%s: the controller of %s cannot be enabled: %s",
			       member, file, strerror(-setting->enable_error));
	if (r == -ENOENT)
		return err_set(setting->err, -ENOTSUP,
			       "linux.resources.%s: there is no %s in this kernel's cgroups",
			       member, file);
	return err_set(setting->err, r, "linux.resources.%s: cannot write '%s' to %s: %s", member,
		       quotable(quoted, sizeof(quoted), text), file, strerror(-r));
}

static int put_as(struct setting *setting, const char *member, const char *file, const char *text)
{
	int r = put_quietly(setting, file, text);

	return r < 0 ? put_error(setting, r, member, file, text) : 0;
}

static int put(struct setting *setting, const char *text)
{
	return put_as(setting, setting->limit->member, setting->file, text);
}

/* What has another name with the BFQ scheduler than without. */
static int put_either(struct setting *setting, const char *const files[2],
		      const char *const texts[2])
{
	int r = put_quietly(setting, files[0], texts[0]);

	if (r == -ENOENT)
		return put_as(setting, setting->limit->member, files[1], texts[1]);
	return r < 0 ? put_error(setting, r, setting->limit->member, files[0], texts[0]) : 0;
}

static int invalid(struct setting *setting, const char *why)
{
	return err_set(setting->err, -EINVAL, "linux.resources.%s: %s", setting->limit->member,
		       why);
}

struct change {
	const char *member, *file;
	char text[TEXT_BYTES];
	bool done;
};

/* Limits that bind each other (swap is never below memory, burst never above quota) can be written
 * in one order when they rise and in the other when they fall: the kernel says which, by EINVAL. */
static int put_all(struct setting *setting, struct change *changes, size_t count)
{
	bool progress = true;
	size_t left = count;
	int r = 0;

	while (left > 0 && progress) {
		progress = false;
		for (size_t i = 0; i < count; i++) {
			if (changes[i].done)
				continue;
			r = put_quietly(setting, changes[i].file, changes[i].text);
			if (r < 0 && r != -EINVAL)
				return put_error(setting, r, changes[i].member, changes[i].file,
						 changes[i].text);
			changes[i].done = r == 0;
			progress |= r == 0;
			left -= r == 0;
		}
	}
	for (size_t i = 0; i < count; i++)
		if (!changes[i].done)
			return put_error(setting, -EINVAL, changes[i].member, changes[i].file,
					 changes[i].text);
	return 0;
}

/* --- plain values -------------------------------------------------------------------------- */

static const void *value_at(const struct setting *setting, size_t at)
{
	return (const char *)setting->resources + at;
}

static int64_t number_of(const struct setting *setting)
{
	const struct oci_number *number = value_at(setting, setting->limit->at);

	return number->value;
}

static void decimal(char text[TEXT_BYTES], int64_t value)
{
	(void)snprintf(text, TEXT_BYTES, "%" PRId64, value);
}

int limit_set_number(struct setting *setting)
{
	char text[TEXT_BYTES];

	decimal(text, number_of(setting));
	return put(setting, text);
}

/* A size in the words of the version; -EINVAL for what is none. */
static int size_text(const struct setting *setting, char text[TEXT_BYTES], int64_t value)
{
	if (value < -1)
		return -EINVAL;
	if (value == -1)
		(void)snprintf(text, TEXT_BYTES, "%s", setting->v2 ? "max" : "-1");
	else
		decimal(text, value);
	return 0;
}

int limit_set_size(struct setting *setting)
{
	char text[TEXT_BYTES];

	if (size_text(setting, text, number_of(setting)) < 0)
		return invalid(setting, "not a size");
	return put(setting, text);
}

int limit_set_flag(struct setting *setting)
{
	const struct oci_flag *flag = value_at(setting, setting->limit->at);

	return put(setting, flag->value ? "1" : "0");
}

int limit_set_text(struct setting *setting)
{
	const char *const *text = value_at(setting, setting->limit->at);

	if (strlen(*text) >= CGROUP_FILE_BYTES)
		return invalid(setting, "too long");
	return put(setting, *text);
}

/* A text of one word in a file that has several on a line. */
static bool is_word(const char *text, size_t most)
{
	size_t length = strnlen(text, most + 1);

	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return length > 0 && length <= most;
}

/* --- memory -------------------------------------------------------------------------------- */

static bool wants(const struct oci_number *number)
{
	return number->set && number->value != 0;
}

int cgroup_swap_without_memory(int64_t swap, int64_t limit, int64_t *ret_swap)
{
	if (swap < -1 || limit < -1)
		return -EINVAL;
	if (swap != -1 && (limit <= 0 || swap < limit))
		return -EINVAL;
	*ret_swap = swap == -1 ? -1 : swap - limit;
	return 0;
}

int limit_set_memory_v1(struct setting *setting)
{
	const struct oci_number *limit = &setting->resources->memory.limit;
	const struct oci_number *swap = &setting->resources->memory.swap;
	/* An unlimited memory below a limited sum of both would be refused. */
	bool lift = wants(limit) && limit->value == -1 && !wants(swap) && !setting->cgroup->fresh;
	struct change changes[2] = {
		{.member = "memory.limit", .file = "memory.limit_in_bytes"},
		{.member = "memory.swap", .file = "memory.memsw.limit_in_bytes"},
	};

	if (setting->has_memory)
		return 0;
	setting->has_memory = true;
	changes[0].done = !wants(limit);
	changes[1].done = !wants(swap) && !lift;
	if (size_text(setting, changes[0].text, limit->value) < 0 ||
	    size_text(setting, changes[1].text, lift ? -1 : swap->value) < 0)
		return invalid(setting, "not a size");
	if (lift && cgroup_file_write(setting->dir, changes[1].file, "-1") == -ENOENT)
		changes[1].done = true;
	return put_all(setting, changes, ARRAY_SIZE(changes));
}

int limit_set_swap_v1(struct setting *setting)
{
	return limit_set_memory_v1(setting);
}

/* v2 makes room for a lower limit by killing; memory.checkBeforeUpdate wants v1's refusal
 * instead. */
static int check_usage(struct setting *setting, int64_t limit)
{
	uint64_t usage;

	if (!setting->resources->memory.check_before_update.value || limit < 0 ||
	    cgroup_file_read_number(setting->dir, "memory.current", &usage) < 0 ||
	    usage <= (uint64_t)limit)
		return 0;
	return err_set(setting->err, -EBUSY,
		       "linux.resources.memory.limit: %" PRId64 " is less than the %" PRIu64
		       " bytes in use", limit, usage);
}

/* A limit of -1 alone lifts swap's too, as in v1. */
int limit_set_memory_v2(struct setting *setting)
{
	const struct oci_number *limit = &setting->resources->memory.limit;
	char text[TEXT_BYTES];
	int r;

	if (size_text(setting, text, limit->value) < 0)
		return invalid(setting, "not a size");
	r = check_usage(setting, limit->value);
	if (r == 0)
		r = put(setting, text);
	if (r == 0 && limit->value == -1 && !wants(&setting->resources->memory.swap)) {
		r = put_quietly(setting, "memory.swap.max", "max");
		r = r == -ENOENT ? 0 : r;
		if (r < 0)
			return put_error(setting, r, "memory.limit", "memory.swap.max", "max");
	}
	return r;
}

int limit_set_swap_v2(struct setting *setting)
{
	char text[TEXT_BYTES];
	int64_t swap;
	int r = cgroup_swap_without_memory(number_of(setting),
					   setting->resources->memory.limit.value, &swap);

	if (r < 0)
		return invalid(setting, "needs a memory.limit, and is not less than that");
	(void)size_text(setting, text, swap);
	r = put_quietly(setting, setting->file, text);
	/* Where the kernel has no swap, none and any are what it does anyway. */
	if (r == -ENOENT && swap <= 0)
		return 0;
	return r < 0 ? put_error(setting, r, setting->limit->member, setting->file, text) : 0;
}

/* --- CPU ----------------------------------------------------------------------------------- */

/* 2..262144 onto 1..10000, linearly. */
uint64_t cgroup_weight_from_shares(uint64_t shares)
{
	if (shares < 2)
		shares = 2;
	if (shares > 262144)
		shares = 262144;
	return 1 + (shares - 2) * 9999 / 262142;
}

/* The kernel takes no weight for a cgroup that is idle: that ends first. */
int limit_set_shares(struct setting *setting)
{
	const struct oci_number *idle = &setting->resources->cpu.idle;
	int64_t shares = number_of(setting);
	char text[TEXT_BYTES];

	if (shares < 0)
		return invalid(setting, "negative");
	if (idle->set && idle->value == 0)
		(void)put_quietly(setting, "cpu.idle", "0");
	decimal(text, setting->v2 ? (int64_t)cgroup_weight_from_shares((uint64_t)shares) : shares);
	return put(setting, text);
}

int limit_set_idle(struct setting *setting)
{
	char text[TEXT_BYTES];
	int r;

	decimal(text, number_of(setting));
	r = put_quietly(setting, setting->file, text);
	if (r == -ENOENT && number_of(setting) == 0)
		return 0;
	return r < 0 ? put_error(setting, r, setting->limit->member, setting->file, text) : 0;
}

int limit_set_bandwidth_v1(struct setting *setting)
{
	const struct oci_resources *resources = setting->resources;
	const struct oci_number *numbers[] = {&resources->cpu.period, &resources->cpu.quota,
					      &resources->cpu.burst};
	struct change changes[] = {
		{.member = "cpu.period", .file = "cpu.cfs_period_us"},
		{.member = "cpu.quota", .file = "cpu.cfs_quota_us"},
		{.member = "cpu.burst", .file = "cpu.cfs_burst_us"},
	};

	if (setting->has_bandwidth)
		return 0;
	setting->has_bandwidth = true;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		changes[i].done = i < 2 ? !wants(numbers[i]) : !numbers[i]->set;
		decimal(changes[i].text, numbers[i]->value);
	}
	return put_all(setting, changes, ARRAY_SIZE(changes));
}

/* cpu.max is "QUOTA PERIOD", or "QUOTA" alone. A new period alone keeps the quota that is there. */
static void cpu_max_text(const struct setting *setting, char text[TEXT_BYTES])
{
	const struct oci_number *quota = &setting->resources->cpu.quota;
	const struct oci_number *period = &setting->resources->cpu.period;
	char old[64] = "max";
	char number[TEXT_BYTES];
	int n;

	if (wants(quota) && quota->value > 0)
		decimal(number, quota->value);
	else if (wants(quota) || setting->cgroup->fresh)
		(void)snprintf(number, sizeof(number), "max");
	else {
		if (cgroup_file_read(setting->dir, "cpu.max", old, sizeof(old)) <= 0)
			(void)snprintf(old, sizeof(old), "max");
		(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(old, " \n"), old);
	}
	n = snprintf(text, TEXT_BYTES, "%.40s", number);
	if (wants(period))
		(void)snprintf(text + n, TEXT_BYTES - (size_t)n, " %" PRId64, period->value);
}

int limit_set_bandwidth_v2(struct setting *setting)
{
	const struct oci_resources *resources = setting->resources;
	const struct oci_number *burst = &resources->cpu.burst;
	bool has_max = wants(&resources->cpu.quota) || wants(&resources->cpu.period);
	struct change changes[] = {
		{.member = wants(&resources->cpu.quota) ? "cpu.quota" : "cpu.period",
		 .file = "cpu.max", .done = !has_max},
		{.member = "cpu.burst", .file = "cpu.max.burst", .done = !burst->set},
	};

	if (setting->has_bandwidth)
		return 0;
	setting->has_bandwidth = true;
	if (has_max)
		cpu_max_text(setting, changes[0].text);
	decimal(changes[1].text, burst->value);
	return put_all(setting, changes, ARRAY_SIZE(changes));
}

/* --- processes and I/O --------------------------------------------------------------------- */

int limit_set_pids(struct setting *setting)
{
	char text[TEXT_BYTES] = "max";

	if (number_of(setting) > 0)
		decimal(text, number_of(setting));
	return put(setting, text);
}

/* 10..1000, what CFQ and BFQ take, onto 1..10000 of io.weight, linearly. */
uint64_t cgroup_io_weight(uint64_t weight)
{
	return 1 + (weight - 10) * 9999 / 990;
}

static bool io_weight_is_valid(int64_t weight)
{
	return weight >= 10 && weight <= 1000;
}

static const char *const weight_files_v1[2] = {"blkio.bfq.weight", "blkio.weight"};
static const char *const weight_files_v2[2] = {"io.bfq.weight", "io.weight"};

int limit_set_io_weight(struct setting *setting)
{
	int64_t weight = number_of(setting);
	char raw[TEXT_BYTES], converted[TEXT_BYTES];
	const char *const texts[2] = {raw, setting->v2 ? converted : raw};

	if (!io_weight_is_valid(weight))
		return invalid(setting, "not from 10 to 1000");
	decimal(raw, weight);
	decimal(converted, (int64_t)cgroup_io_weight((uint64_t)weight));
	return put_either(setting, setting->v2 ? weight_files_v2 : weight_files_v1, texts);
}

static const char *const device_weight_files_v1[2] = {"blkio.bfq.weight_device",
						      "blkio.weight_device"};

static int set_device_weight(struct setting *setting, const struct oci_weight_device *device)
{
	int64_t weight = device->weight.value;
	char raw[TEXT_BYTES], converted[TEXT_BYTES];
	const char *const texts[2] = {raw, setting->v2 ? converted : raw};

	if (!io_weight_is_valid(weight))
		return invalid(setting, "a weight is not from 10 to 1000");
	(void)snprintf(raw, sizeof(raw), "%" PRId64 ":%" PRId64 " %" PRId64, device->major,
		       device->minor, weight);
	(void)snprintf(converted, sizeof(converted), "%" PRId64 ":%" PRId64 " %" PRIu64,
		       device->major, device->minor, cgroup_io_weight((uint64_t)weight));
	return put_either(setting, setting->v2 ? weight_files_v2 : device_weight_files_v1, texts);
}

static int set_device_leaf_weight(struct setting *setting, const struct oci_weight_device *device)
{
	char text[TEXT_BYTES];

	if (setting->v2)
		return invalid(setting, "cgroup v2 has no leafWeight");
	(void)snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %" PRId64, device->major,
		       device->minor, device->leaf_weight.value);
	return put_as(setting, setting->limit->member, "blkio.leaf_weight_device", text);
}

int limit_set_io_weights(struct setting *setting)
{
	const struct oci_resources *resources = setting->resources;
	int r = 0;

	for (size_t i = 0; i < resources->block_io.weight_device_count && r == 0; i++) {
		const struct oci_weight_device *device = &resources->block_io.weight_devices[i];

		if (wants(&device->weight))
			r = set_device_weight(setting, device);
		if (r == 0 && wants(&device->leaf_weight))
			r = set_device_leaf_weight(setting, device);
	}
	return r;
}

/* A rate of 0 is none, which v2 wants in a word. */
int limit_set_throttle(struct setting *setting)
{
	const struct oci_throttle_devices *devices = value_at(setting, setting->limit->items);
	int r = 0;

	for (size_t i = 0; i < devices->count && r == 0; i++) {
		const struct oci_throttle_device *device = &devices->items[i];
		char rate[24] = "max";
		char text[TEXT_BYTES];

		if (device->rate > 0 || !setting->v2)
			(void)snprintf(rate, sizeof(rate), "%" PRIu64, device->rate);
		(void)snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %s%s%s", device->major,
			       device->minor, setting->v2 ? setting->limit->key : "",
			       setting->v2 ? "=" : "", rate);
		r = put(setting, text);
	}
	return r;
}

/* --- huge pages, network, RDMA ------------------------------------------------------------- */

/* "2MB": it becomes part of a file's name. */
static bool page_size_is_valid(const char *size)
{
	size_t digits = strspn(size, "0123456789");

	return digits > 0 && digits <= 8 && strchr("KMG", size[digits]) && size[digits] &&
	       strcmp(size + digits + 1, "B") == 0;
}

/* The reservation is limited too, where the kernel can (5.7): then mmap fails, instead of a SIGBUS
 * at the page's first use. */
static int set_hugepage(struct setting *setting, size_t index)
{
	const struct oci_hugepage_limit *limit = &setting->resources->hugepages[index];
	char member[MEMBER_BYTES], file[64], text[TEXT_BYTES];
	int r;

	(void)snprintf(member, sizeof(member), "hugepageLimits[%zu].limit", index);
	if (!page_size_is_valid(limit->page_size))
		return err_set(setting->err, -EINVAL,
			       "linux.resources.hugepageLimits[%zu].pageSize: not a page size",
			       index);
	(void)snprintf(text, sizeof(text), "%" PRIu64, limit->limit);
	(void)snprintf(file, sizeof(file), "hugetlb.%s.%s", limit->page_size, setting->file);
	r = put_as(setting, member, file, text);
	if (r < 0)
		return r;
	(void)snprintf(file, sizeof(file), "hugetlb.%s.rsvd.%s", limit->page_size, setting->file);
	r = put_quietly(setting, file, text);
	return r < 0 && r != -ENOENT ? put_error(setting, r, member, file, text) : 0;
}

int limit_set_hugepages(struct setting *setting)
{
	int r = 0;

	for (size_t i = 0; i < setting->resources->hugepage_count && r == 0; i++)
		r = set_hugepage(setting, i);
	return r;
}

int limit_set_priorities(struct setting *setting)
{
	const struct oci_resources *resources = setting->resources;
	int r = 0;

	for (size_t i = 0; i < resources->network.priority_count && r == 0; i++) {
		const struct oci_interface_priority *priority = &resources->network.priorities[i];
		char text[TEXT_BYTES];

		if (!is_word(priority->name, 15))
			return invalid(setting, "not the name of an interface");
		(void)snprintf(text, sizeof(text), "%s %" PRIu32, priority->name,
			       priority->priority);
		r = put(setting, text);
	}
	return r;
}

static int set_rdma(struct setting *setting, size_t index)
{
	const struct oci_rdma_limit *limit = &setting->resources->rdma[index];
	char member[MEMBER_BYTES], text[TEXT_BYTES];
	int n;

	(void)snprintf(member, sizeof(member), "rdma[%zu]", index);
	if (!is_word(limit->device, 63))
		return invalid(setting, "not the name of a device");
	n = snprintf(text, sizeof(text), "%s", limit->device);
	if (limit->hca_handles.set)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " hca_handle=%" PRId64,
			      limit->hca_handles.value);
	if (limit->hca_objects.set)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, " hca_object=%" PRId64,
			       limit->hca_objects.value);
	return put_as(setting, member, setting->file, text);
}

int limit_set_rdma(struct setting *setting)
{
	int r = 0;

	for (size_t i = 0; i < setting->resources->rdma_count && r == 0; i++)
		r = set_rdma(setting, i);
	return r;
}

/* --- unified ------------------------------------------------------------------------------- */

/* Not limits, but commands: they would move, end or stop processes. */
static const char *const unified_refused[] = {"cgroup.procs", "cgroup.threads", "cgroup.kill",
					      "cgroup.freeze", "cgroup.type"};

bool cgroup_unified_name_is_valid(const char *name)
{
	size_t length = strnlen(name, 65);

	if (length > 64 || *name == '.' || !strchr(name, '.'))
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] == '/' || name[i] <= ' ' || name[i] > '~')
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(unified_refused); i++)
		if (strcmp(name, unified_refused[i]) == 0)
			return false;
	return true;
}

uint32_t limit_unified_controller(const char *name)
{
	size_t length = strcspn(name, ".");

	for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
		const char *controller = cgroup_controller_name(i, true);

		if (controller && strlen(controller) == length &&
		    memcmp(controller, name, length) == 0)
			return 1u << i;
	}
	return 0;
}

/* Files such as io.max take one line a write. */
static int put_lines(struct setting *setting, const char *name, const char *value)
{
	char member[MEMBER_BYTES], line[CGROUP_FILE_BYTES];
	int r = 0;

	(void)snprintf(member, sizeof(member), "unified.%s", name);
	do {
		size_t length = strcspn(value, "\n");

		if (length >= sizeof(line))
			return err_set(setting->err, -EINVAL, "linux.resources.%s: too long",
				       member);
		memcpy(line, value, length);
		line[length] = '\0';
		r = put_as(setting, member, name, line);
		value += length + (value[length] == '\n');
	} while (r == 0 && *value);
	return r;
}

int limit_set_unified(struct setting *setting)
{
	const struct oci_pairs *unified = &setting->resources->unified;
	const struct cgroup_hierarchy *hierarchy = cgroup_unified(setting->cgroup);
	int r = 0;

	if (unified->count == 0)
		return 0;
	if (!hierarchy || hierarchy->dir < 0)
		return err_set(setting->err, -ENOTSUP,
			       "linux.resources.unified: there is no v2 cgroup here");
	setting->dir = hierarchy->dir;
	setting->v2 = true;
	for (size_t i = 0; i < unified->count && r == 0; i++) {
		const struct oci_pair *pair = &unified->items[i];

		if (!cgroup_unified_name_is_valid(pair->name))
			return err_set(setting->err, -EINVAL,
				       "linux.resources.unified: member %zu is not the name of a "
				       "limit's file", i);
		r = put_lines(setting, pair->name, pair->value);
	}
	return r;
}
