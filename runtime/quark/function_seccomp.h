/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that a function may make.
 */
#pragma once

/* A linux.seccomp object. */
extern const char function_seccomp[];
