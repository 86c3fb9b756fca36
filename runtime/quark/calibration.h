/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibrations: for each base a template of the smallest function, made right after the base, in
 * HOME/bases/DIGEST/calibration. Its working set tells what all starts on that base have in common;
 * shells are prepared with it before they know which template they will get (ADR 21).
 */
#pragma once

#include "base.h"
#include "cli.h"
#include "err.h"
#include "snapshot.h"

#define CALIBRATION_NAME "calibration" /* folder in the base's */

/* Makes the calibration of a base that is there, unless it has one. The caller holds the lock of
 * the bases. Returns an exit code, having said what is wrong. */
int calibration_ensure(const struct cli *cli, const struct base *base, const char *workdir,
		       unsigned int timeout_s);

/* Opens the calibration of the base that the template has; NULL when there is none (any more). */
int calibration_find(const struct paths *paths, const struct template *template,
		     struct template **ret_calibration, struct err *err);
