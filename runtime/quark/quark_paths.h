/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where quark finds its programs and keeps its state.
 *
 * Programs lie beside this one: PREFIX/bin/quark, PREFIX/libexec/quark/rig, and so on, in a build
 * tree as after installation. State lies under the home folder, which is made when it is first
 * needed.
 */
#pragma once

#include <stdbool.h>

#include "err.h"

struct paths {
	char *home;	 /* owned, absolute, as are all below */
	char *rig_home;	 /* state of our rigs */
	char *rig_state; /* state of the one that quark keeps up */

	char *prefix;
	char *quark;
	char *lumper;
	char *guest;	/* the guest's initramfs, without modules */
	char *calibration; /* program of the function that bases are calibrated with */
	char *rig;	/* the tool, a script */
	char *rig_call; /* what the tool runs to enter a rig */
	char *kernel_fetch;
	char *include; /* for functions: quark.h */
	char *lib;     /* for functions: libquark.a */
	char *samples; /* what `quark new` copies, a folder a language */
};

/* `home` may be NULL: then $QUARK_HOME, $XDG_DATA_HOME/quark or ~/.local/share/quark. */
int paths_init(struct paths *paths, const char *home, struct err *err);
void paths_done(struct paths *paths);

/* Fresh "home/a" or "home/a/b" (b may be NULL); NULL when out of memory. */
char *paths_in_home(const struct paths *paths, const char *a, const char *b);

/* Makes the folder and what is above it, mode 0700; an existing one is left as it is. */
int make_folders(const char *path, struct err *err);

/* Template and rig names: [a-z0-9][a-z0-9._-]{0,62}. Such a name is safe as a file name. */
bool name_is_valid(const char *name);
int name_check(const char *name, struct err *err);

#define TEMPLATES_FOLDER "templates"
#define BASES_FOLDER "bases"
#define IMAGES_FOLDER "images"
#define RIG_NAME "quark"
