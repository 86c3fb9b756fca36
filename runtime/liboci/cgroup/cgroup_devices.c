/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a container may open and make: linux.resources.devices.
 *
 * The rules are taken in order, the last that matches an access counts, and what no rule allows is
 * refused. Behind the config's come rules for the devices without which programs do not work, the
 * same that runc and crun add: any node may be made, and the default devices, terminals and tun be
 * used.
 *
 * v2 has the rules as a program (cgroup_bpf.c). v1 keeps a default and a list of exceptions to it;
 * here the rules are played through to know those, so that one that v1 would take without effect
 * (denying a part of what was allowed as a range) is an error instead.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup_priv.h"
#include "cleanup.h"
#include "err.h"

#define ANY {.set = false}
#define ONE(number) {.set = true, .value = (number)}
#define FULL .read = true, .write = true, .mknod = true

static const struct oci_device_rule usual_rules[] = {
	{.allow = true, .type = 'a', .major = ANY, .minor = ANY, .mknod = true},
	{.allow = true, .type = 'c', .major = ONE(1), .minor = ONE(3), FULL}, /* null */
	{.allow = true, .type = 'c', .major = ONE(1), .minor = ONE(5), FULL}, /* zero */
	{.allow = true, .type = 'c', .major = ONE(1), .minor = ONE(7), FULL}, /* full */
	{.allow = true, .type = 'c', .major = ONE(1), .minor = ONE(8), FULL}, /* random */
	{.allow = true, .type = 'c', .major = ONE(1), .minor = ONE(9), FULL}, /* urandom */
	{.allow = true, .type = 'c', .major = ONE(5), .minor = ONE(0), FULL}, /* tty */
	{.allow = true, .type = 'c', .major = ONE(5), .minor = ONE(1), FULL}, /* console */
	{.allow = true, .type = 'c', .major = ONE(5), .minor = ONE(2), FULL}, /* ptmx */
	{.allow = true, .type = 'c', .major = ONE(136), .minor = ANY, FULL},  /* pts */
	{.allow = true, .type = 'c', .major = ONE(10), .minor = ONE(200), FULL}, /* net/tun */
};

static bool number_is_valid(const struct oci_number *number)
{
	return !number->set || (number->value >= 0 && number->value <= UINT32_MAX);
}

static int check_rule(const struct oci_device_rule *rule, size_t index, struct err *err)
{
	if (!number_is_valid(&rule->major) || !number_is_valid(&rule->minor))
		return err_set(err, -EINVAL,
			       "linux.resources.devices[%zu]: not the number of a device", index);
	if (rule->type != 'a' && rule->type != 'b' && rule->type != 'c')
		return err_set(err, -EINVAL, "linux.resources.devices[%zu].type: not a, b or c",
			       index);
	return 0;
}

int cgroup_device_rules(const struct oci_resources *resources, struct oci_device_rule **ret_rules,
			size_t *ret_count, struct err *err)
{
	size_t own = resources ? resources->device_count : 0;
	cleanup_free struct oci_device_rule *rules = NULL;
	int r;

	if (own > CGROUP_DEVICE_RULES)
		return err_set(err, -E2BIG, "linux.resources.devices: more than %d rules",
			       CGROUP_DEVICE_RULES);
	rules = calloc(own + ARRAY_SIZE(usual_rules), sizeof(*rules));
	if (!rules)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < own; i++) {
		r = check_rule(&resources->devices[i], i, err);
		if (r < 0)
			return r;
		rules[i] = resources->devices[i];
	}
	memcpy(rules + own, usual_rules, sizeof(usual_rules));
	*ret_rules = TAKE_PTR(rules);
	*ret_count = own + ARRAY_SIZE(usual_rules);
	return 0;
}

static bool is_total(const struct oci_device_rule *rule)
{
	return rule->type == 'a' && !rule->major.set && !rule->minor.set && rule->read &&
	       rule->write && rule->mknod;
}

bool cgroup_rules_allow_all(const struct oci_device_rule *rules, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		if (!rules[i].allow)
			return false;
		if (is_total(&rules[i]))
			return true;
	}
	return false;
}

/* --- v1 ------------------------------------------------------------------------------------ */

struct device_list {
	bool allow; /* what no exception names */
	struct oci_device_rule *exceptions; /* borrowed from the caller */
	size_t count, capacity;
};

static bool covers(const struct oci_number *wide, const struct oci_number *narrow)
{
	return !wide->set || (narrow->set && narrow->value == wide->value);
}

static bool overlaps(const struct oci_number *a, const struct oci_number *b)
{
	return !a->set || !b->set || a->value == b->value;
}

static bool rule_is_empty(const struct oci_device_rule *rule)
{
	return !rule->read && !rule->write && !rule->mknod;
}

static bool same_device(const struct oci_device_rule *a, const struct oci_device_rule *b)
{
	return a->type == b->type && a->major.set == b->major.set && a->minor.set == b->minor.set &&
	       (!a->major.set || a->major.value == b->major.value) &&
	       (!a->minor.set || a->minor.value == b->minor.value);
}

static int add_exception(struct device_list *list, const struct oci_device_rule *rule)
{
	for (size_t i = 0; i < list->count; i++) {
		struct oci_device_rule *old = &list->exceptions[i];

		if (same_device(old, rule)) {
			old->read |= rule->read;
			old->write |= rule->write;
			old->mknod |= rule->mknod;
			return 0;
		}
	}
	if (list->count == list->capacity)
		return -E2BIG;
	list->exceptions[list->count++] = *rule;
	return 0;
}

/* Takes the rule's accesses out of all exceptions that it covers. -ENOTSUP when it would have to be
 * taken out of a part of one. */
static int cut_exceptions(struct device_list *list, const struct oci_device_rule *rule)
{
	for (size_t i = 0; i < list->count; i++) {
		struct oci_device_rule *old = &list->exceptions[i];
		bool shares = (old->read && rule->read) || (old->write && rule->write) ||
			      (old->mknod && rule->mknod);

		if (old->type != rule->type || !shares || !overlaps(&rule->major, &old->major) ||
		    !overlaps(&rule->minor, &old->minor))
			continue;
		if (!covers(&rule->major, &old->major) || !covers(&rule->minor, &old->minor))
			return -ENOTSUP;
		old->read &= !rule->read;
		old->write &= !rule->write;
		old->mknod &= !rule->mknod;
	}
	return 0;
}

static int play_rule(struct device_list *list, const struct oci_device_rule *rule)
{
	struct oci_device_rule half = *rule;
	int r = 0;

	if (is_total(rule)) {
		list->allow = rule->allow;
		list->count = 0;
		return 0;
	}
	for (const char *type = rule->type == 'a' ? "bc" : "-"; *type && r == 0; type++) {
		half.type = rule->type == 'a' ? *type : rule->type;
		if (rule_is_empty(rule))
			continue;
		r = rule->allow == list->allow ? cut_exceptions(list, &half) :
						 add_exception(list, &half);
	}
	return r;
}

static int number_text(char *text, size_t bytes, const struct oci_number *number)
{
	return number->set ? snprintf(text, bytes, "%" PRId64, number->value) :
			     snprintf(text, bytes, "*");
}

enum { LINE_BYTES = 48 };

static size_t exception_line(char line[LINE_BYTES], const struct oci_device_rule *rule, char sign)
{
	char major[24], minor[24];

	(void)number_text(major, sizeof(major), &rule->major);
	(void)number_text(minor, sizeof(minor), &rule->minor);
	return (size_t)snprintf(line, LINE_BYTES, "%c%c %.10s:%.10s %s%s%s\n", sign, rule->type,
				major, minor, rule->read ? "r" : "", rule->write ? "w" : "",
				rule->mknod ? "m" : "");
}

static int list_lines(const struct device_list *list, char **ret_lines)
{
	size_t bytes = (list->count + 1) * LINE_BYTES + 1;
	char *lines = malloc(bytes);
	size_t used;

	if (!lines)
		return -ENOMEM;
	used = (size_t)snprintf(lines, bytes, "%ca\n", list->allow ? '+' : '-');
	for (size_t i = 0; i < list->count; i++)
		if (!rule_is_empty(&list->exceptions[i]))
			used += exception_line(lines + used, &list->exceptions[i],
					       list->allow ? '-' : '+');
	*ret_lines = lines;
	return 0;
}

int cgroup_device_lines(const struct oci_device_rule *rules, size_t count, char **ret_lines,
			struct err *err)
{
	size_t most = 2 * count + 1; /* a rule of type 'a' makes two */
	cleanup_free struct oci_device_rule *exceptions = calloc(most, sizeof(*exceptions));
	struct device_list list = {.exceptions = exceptions, .capacity = most};
	int r = exceptions ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = play_rule(&list, &rules[i]);
		if (r == -ENOTSUP)
			return err_set(err, r,
				       "linux.resources.devices[%zu]: cgroup v1 cannot except a "
				       "part of what an earlier rule names", i);
	}
	if (r == 0)
		r = list_lines(&list, ret_lines);
	return r < 0 ? err_set(err, r, "linux.resources.devices: %s", strerror(-r)) : 0;
}

static int write_line(int dir, const char *file, const char *line, struct err *err)
{
	int r = cgroup_file_write(dir, file, line);

	return r < 0 ? err_set(err, r, "linux.resources.devices: cannot write '%s' to %s: %s", line,
			       file, strerror(-r)) : 0;
}

/* Whether `line`, without a newline, is one of `lines`, behind a '+'. */
static bool has_line(const char *lines, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = strchr(lines, '\n'); at && at[1]; at = strchr(at + 1, '\n'))
		if (at[1] == '+' && strncmp(at + 2, line, length) == 0 && at[2 + length] == '\n')
			return true;
	return false;
}

/* A change from one list of what is allowed to another: only what is in the old alone is taken
 * away, so that a running container does not lose /dev/null for a moment. False when one of them
 * allows by default, of which the kernel does not tell the exceptions: then all is set anew. */
static bool take_away(int dir, const char *lines)
{
	cleanup_free char *old = malloc(CGROUP_STAT_BYTES);
	ssize_t n = old ? cgroup_file_read(dir, "devices.list", old, CGROUP_STAT_BYTES) : -1;
	char *line, *rest;

	if (n < 0 || n == CGROUP_STAT_BYTES - 1 || *lines != '-' || *old == 'a')
		return false;
	for (line = strtok_r(old, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!has_line(lines, line) && cgroup_file_write(dir, "devices.deny", line) < 0)
			return false;
	return true;
}

static int apply_v1(int dir, const struct oci_device_rule *rules, size_t count, struct err *err)
{
	cleanup_free char *lines = NULL;
	char *line, *rest;
	int r = cgroup_device_lines(rules, count, &lines, err);

	if (r < 0)
		return r;
	line = strtok_r(take_away(dir, lines) ? strchr(lines, '\n') : lines, "\n", &rest);
	for (; line && r == 0; line = strtok_r(NULL, "\n", &rest))
		r = write_line(dir, *line == '+' ? "devices.allow" : "devices.deny", line + 1, err);
	return r;
}

/* --- both ---------------------------------------------------------------------------------- */

static int apply_v2(const struct cgroup *cgroup, int dir, const struct oci_device_rule *rules,
		    size_t count, struct err *err)
{
	cleanup_free struct bpf_insn *program = NULL;
	size_t length;
	int r;

	if (cgroup->fresh && cgroup_rules_allow_all(rules, count))
		return 0;
	r = cgroup_bpf_program(rules, count, &program, &length);
	if (r == 0)
		r = cgroup_bpf_attach(dir, program, length, !cgroup->fresh);
	return r < 0 ? err_set(err, r, "linux.resources.devices: cannot load the eBPF program: %s",
			       strerror(-r)) : 0;
}

/* Without privileges over devices nobody can give the container more of them than he has himself,
 * and its user namespace keeps it from making nodes: the rules are left out, as runc and crun
 * do. */
static bool may_leave_out(const struct cgroup *cgroup, int r)
{
	return cgroup->rootless && (r == -EPERM || r == -EACCES);
}

int cgroup_devices_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
			 struct err *err)
{
	const struct cgroup_hierarchy *home = cgroup_home(cgroup, CGROUP_DEVICES);
	cleanup_free struct oci_device_rule *rules = NULL;
	size_t count;
	int r;

	if (!home)
		return cgroup->rootless || !resources || resources->device_count == 0 ?
			       0 : err_set(err, -ENOTSUP, "linux.resources.devices: there is no "
					   "cgroup with the controller devices");
	r = cgroup_device_rules(resources, &rules, &count, err);
	if (r == 0)
		r = home->v2 ? apply_v2(cgroup, home->dir, rules, count, err) :
			       apply_v1(home->dir, rules, count, err);
	return r < 0 && may_leave_out(cgroup, r) ? 0 : r;
}
