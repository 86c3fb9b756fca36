/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities for people.
 */
#include "format.h"

#include <stddef.h>
#include <stdio.h>

#include "cleanup.h"
#include "vm_state.h"

struct unit {
	const char *name;
	uint64_t size; /* in the smallest unit */
};

/* The largest unit of the table (ascending) that is not larger than the value. */
static void format_unit(uint64_t value, const struct unit *units, size_t count,
			char text[FORMAT_BYTES])
{
	size_t i = count - 1;

	while (i > 0 && value < units[i].size)
		i--;
	if (value % units[i].size == 0)
		(void)snprintf(text, FORMAT_BYTES, "%llu %s",
			       (unsigned long long)(value / units[i].size), units[i].name);
	else
		(void)snprintf(text, FORMAT_BYTES, "%.*f %s", value < 10 * units[i].size ? 2 : 1,
			       (double)value / (double)units[i].size, units[i].name);
}

void format_size(uint64_t bytes, char text[FORMAT_BYTES])
{
	static const struct unit units[] = {
		{"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};

	format_unit(bytes, units, ARRAY_SIZE(units), text);
}

void format_age(uint64_t seconds, char text[FORMAT_BYTES])
{
	static const struct unit units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};

	format_unit(seconds, units, ARRAY_SIZE(units), text);
}

void format_ns(uint64_t ns, char text[FORMAT_BYTES])
{
	static const struct unit units[] = {
		{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};

	format_unit(ns, units, ARRAY_SIZE(units), text);
}

const char *cpu_template_name(uint32_t cpu_template)
{
	static const char *const names[] = {
		[CPU_TEMPLATE_PORTABLE] = "portable",
		[CPU_TEMPLATE_HOST] = "host",
	};

	return cpu_template < ARRAY_SIZE(names) ? names[cpu_template] : "unknown";
}
