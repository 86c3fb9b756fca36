/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of an image's "config" object that we know, between JSON and struct image. The
 * store's record has the same object.
 */
#pragma once

#include <cjson/cJSON.h>

#include "image_priv.h"

int config_fields_decode(const cJSON *config, struct image *image, struct err *err);
/* Adds them to `config`; false when out of memory. */
bool config_fields_encode(const struct image *image, cJSON *config);
