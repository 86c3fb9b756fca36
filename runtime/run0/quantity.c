/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers with units. Pure functions of argv's text.
 */
#include "quantity.h"

#include <string.h>

#include "cleanup.h"
#include "number.h"

static const char byte_units[] = "bkmgtp"; /* each 1024 times the one before */

bool quantity_bytes(const char *text, int64_t *ret_bytes)
{
	const char *unit;
	uint64_t value;
	int64_t bytes;
	char *end;

	if (!number_take(text, &end, &value) || value > INT64_MAX)
		return false;
	bytes = (int64_t)value;
	unit = *end ? strchr(byte_units, *end | 0x20) : byte_units;
	if (!unit || !*unit)
		return false;
	if (*end && unit > byte_units)
		end += end[1] == 'i' && (end[2] | 0x20) == 'b' ? 2 : (end[1] | 0x20) == 'b' ? 1 : 0;
	if (*end && end[1])
		return false;
	for (; unit > byte_units; unit--)
		if (__builtin_mul_overflow(bytes, 1024, &bytes))
			return false;
	*ret_bytes = bytes;
	return true;
}

static const uint64_t NS_PER_MS = 1000000;

/* Longer names before those that they begin with. */
static const struct {
	const char *name;
	uint64_t ns;
} time_units[] = {
	{ "ms", 1000000 },   { "ns", 1 },          { "us", 1000 },         { "µs", 1000 },
	{ "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
};

/* The unit that *at begins with, which is stepped over; 0 when there is none. */
static uint64_t take_time_unit(const char **at)
{
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++) {
		const size_t bytes = strlen(time_units[i].name);

		if (strncmp(*at, time_units[i].name, bytes) == 0) {
			*at += bytes;
			return time_units[i].ns;
		}
	}
	return 0;
}

/* Digits after a point, as a part of a thousand millions. */
static bool take_fraction(const char **at, uint64_t *ret_billionths)
{
	uint64_t scale = 100000000;
	const char *digit = *at;

	*ret_billionths = 0;
	if (*digit != '.')
		return true;
	for (digit++; *digit >= '0' && *digit <= '9'; digit++, scale /= 10)
		*ret_billionths += scale * (uint64_t)(*digit - '0');
	if (digit == *at + 1)
		return false;
	*at = digit;
	return true;
}

/* One "1.5s" of a span. No number here comes near 64 bits: a day has 86,400,000,000,000 ns. */
static bool take_part(const char **at, bool is_first, uint64_t *total_ns)
{
	static const uint64_t DAY_NS = 86400000000000;
	uint64_t whole, billionths, unit_ns;
	char *end;

	if (!number_take(*at, &end, &whole))
		return false;
	*at = end;
	if (!take_fraction(at, &billionths))
		return false;
	unit_ns = is_first && !**at ? 1000000000 : take_time_unit(at);
	if (unit_ns == 0 || whole > DAY_NS / unit_ns)
		return false;
	*total_ns += whole * unit_ns + billionths * (unit_ns / 1000) / 1000000;
	return *total_ns <= DAY_NS;
}

bool quantity_duration_ms(const char *text, int *ret_ms)
{
	const char *at = text;
	uint64_t ns = 0;

	do {
		if (!take_part(&at, at == text, &ns))
			return false;
	} while (*at);
	if (ns < NS_PER_MS)
		return false;
	*ret_ms = (int)(ns / NS_PER_MS);
	return true;
}
