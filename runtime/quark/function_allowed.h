/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the strings of a function's config may be. They come from strangers, and end in the argument
 * lists of a compiler and of the guest's programs: none may look like an option, lead out of the
 * folder, or reach what quark itself says.
 */
#pragma once

#include <stdbool.h>

bool path_allowed(const char *path);	   /* relative, inside the folder */
bool source_allowed(const char *path);	   /* such a path of a C file */
bool lib_allowed(const char *name);	   /* for -l */
bool cflag_allowed(const char *flag);
bool handler_allowed(const char *handler); /* MODULE.FUNCTION, or a file of the folder */
bool image_allowed(const char *image);	   /* a path or a reference */
bool argument_allowed(const char *argument); /* of a command: any text */
bool env_allowed(const char *item);	   /* NAME=VALUE; QUARK_* are taken */
