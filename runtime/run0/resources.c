/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits as JSON. Every value is checked to be of its kind before it is written, so nothing in it
 * needs escaping.
 */
#include "resources.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "json_text.h"
#include "number.h"
#include "quantity.h"

enum kind { NUMBER, BYTES, CPU_LIST };

/* Rows of one object stand together. Ranges are those of the specification's types. */
#define AT(member) offsetof(struct resource_options, member)
static const struct row {
	const char *option;
	size_t offset;
	const char *object, *member;
	enum kind kind;
	bool or_minus_one; /* which stands for "no limit" */
	uint64_t least, most;
} rows[] = {
	{ "blkio-weight", AT(blkio_weight), "blockIO", "weight", NUMBER, false, 10, 1000 },
	{ "cpu-share", AT(cpu_share), "cpu", "shares", NUMBER, false, 0, UINT64_MAX },
	{ "cpu-quota", AT(cpu_quota), "cpu", "quota", NUMBER, true, 0, INT64_MAX },
	{ "cpu-burst", AT(cpu_burst), "cpu", "burst", NUMBER, false, 0, UINT64_MAX },
	{ "cpu-period", AT(cpu_period), "cpu", "period", NUMBER, false, 0, UINT64_MAX },
	{ "cpu-rt-runtime", AT(cpu_rt_runtime), "cpu", "realtimeRuntime", NUMBER, true, 0,
	  INT64_MAX },
	{ "cpu-rt-period", AT(cpu_rt_period), "cpu", "realtimePeriod", NUMBER, false, 0,
	  UINT64_MAX },
	{ "cpu-idle", AT(cpu_idle), "cpu", "idle", NUMBER, false, 0, 1 },
	{ "cpuset-cpus", AT(cpuset_cpus), "cpu", "cpus", CPU_LIST, false, 0, 0 },
	{ "cpuset-mems", AT(cpuset_mems), "cpu", "mems", CPU_LIST, false, 0, 0 },
	{ "memory", AT(memory), "memory", "limit", BYTES, true, 0, 0 },
	{ "memory-reservation", AT(memory_reservation), "memory", "reservation", BYTES, true, 0,
	  0 },
	{ "memory-swap", AT(memory_swap), "memory", "swap", BYTES, true, 0, 0 },
	{ "pids-limit", AT(pids_limit), "pids", "limit", NUMBER, true, 0, INT64_MAX },
};
#undef AT

static int bad_value(const struct row *row, const char *text, const char *wanted, struct err *err)
{
	return err_set(err, -EINVAL, "option --%s: '%s' is not %s%s", row->option, text, wanted,
		       row->or_minus_one ? ", nor -1" : "");
}

static int add_number(struct json_text *json, const struct row *row, const char *text,
		      struct err *err)
{
	char wanted[80];
	uint64_t value;

	if (number_parse(text, row->least, row->most, &value)) {
		json_add(json, "%" PRIu64, value);
		return 0;
	}
	(void)snprintf(wanted, sizeof(wanted), "a number from %" PRIu64 " to %" PRIu64, row->least,
		       row->most);
	return bad_value(row, text, wanted, err);
}

static int add_bytes(struct json_text *json, const struct row *row, const char *text,
		     struct err *err)
{
	int64_t bytes;

	if (!quantity_bytes(text, &bytes))
		return bad_value(row, text, "a number of bytes", err);
	json_add(json, "%" PRId64, bytes);
	return 0;
}

static int add_cpu_list(struct json_text *json, const struct row *row, const char *text,
			struct err *err)
{
	const size_t bytes = strlen(text);

	if (bytes > CPU_LIST_MAX || strspn(text, "0123456789,-") != bytes)
		return bad_value(row, text, "a list such as 0-3,7", err);
	json_add(json, "\"%s\"", text);
	return 0;
}

static int add_value(struct json_text *json, const struct row *row, const char *text,
		     struct err *err)
{
	static int (*const adders[])(struct json_text *, const struct row *, const char *,
				     struct err *) = {
		[NUMBER] = add_number,
		[BYTES] = add_bytes,
		[CPU_LIST] = add_cpu_list,
	};

	if (!row->or_minus_one || strcmp(text, "-1") != 0)
		return adders[row->kind](json, row, text, err);
	json_add(json, "-1");
	return 0;
}

int resources_json(const struct resource_options *options, char json[RESOURCES_JSON_BYTES],
		   size_t *ret_bytes, struct err *err)
{
	struct json_text text = json_text_to(json, RESOURCES_JSON_BYTES);
	const char *object = NULL; /* that is open */
	int r;

	json_add(&text, "{");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const char *value = *(const char *const *)((const char *)options + row->offset);

		if (!value)
			continue;
		if (!object || strcmp(object, row->object) != 0)
			json_add(&text, "%s\"%s\":{", object ? "}," : "", row->object);
		else
			json_add(&text, ",");
		object = row->object;
		json_add(&text, "\"%s\":", row->member);
		r = add_value(&text, row, value, err);
		if (r < 0)
			return r;
	}
	json_add(&text, "%s}", object ? "}" : "");
	if (text.is_full)
		return err_set(err, -E2BIG, "the limits are too long");
	*ret_bytes = text.bytes;
	return 0;
}
