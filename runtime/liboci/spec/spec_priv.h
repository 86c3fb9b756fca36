/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder's parts to each other.
 */
#pragma once

#include <sys/types.h>

#include "spec/json_fields.h"
#include "spec/spec.h"

/* Members of struct oci_linux, struct oci_resources, and struct oci_spec's hooks. */
extern const struct json_table linux_table, resources_table, hooks_table;

json_decode_fn decode_process; /* struct oci_process *, in the arena */
json_decode_fn decode_seccomp; /* struct oci_seccomp *, in the arena */

/* A list of struct oci_mount, for JSON_LIST. */
extern const struct json_field mount_element;

/* A list of struct oci_id_mapping; the kernel takes 340 lines. */
extern const struct json_field id_mapping_element;
enum { ID_MAPPINGS_MAX = 340 };

/* unsigned long, MS_SHARED and the like. */
json_decode_fn decode_propagation;

/* What no single member shows, once all are decoded. */
int check_linux(const struct json_value *root, const struct oci_spec *spec);

/* Names for `features`, NULL-terminated by name. */
extern const struct json_name namespace_names[];
extern const char *const capability_names[];
/* The option's name, NULL behind the last. Those that name `defaults` and the like are included. */
const char *mount_option_name(size_t index);
