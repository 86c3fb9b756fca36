/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders as locks: who changes what is in one holds it meanwhile.
 */
#pragma once

#include "cli.h"
#include "err.h"

/* Makes the folder when it is missing, and waits until nobody else holds it, which it says.
 * *ret_lock is to be closed. */
int folder_lock(const struct cli *cli, const char *folder, int *ret_lock, struct err *err);
