/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the text that names a source means: a layout's folder, an archive, or a reference to a
 * registry; and which texts are names.
 */
#include <errno.h>
#include <unistd.h>

#include "image_priv.h"

#define DOCKER_SCHEME "docker://"

bool image_name_is_valid(const char *name)
{
	static const char alphanumeric[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				  "._/:@+-";

	return *name && strchr(alphanumeric, *name) && strlen(name) < IMAGE_NAME_BYTES &&
	       strspn(name, all) == strlen(name);
}

void image_name_set(char to[IMAGE_NAME_BYTES], const char *name)
{
	const bool valid = image_name_is_valid(name);

	memcpy(to, valid ? name : "", valid ? strlen(name) + 1 : 1);
}

/* 1 and *ret_kind when something of ours is at the path; 0 when nothing is. */
static int look_at(const char *path, enum source_kind *ret_kind, struct err *err)
{
	char layout[PATH_MAX];
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG
			       ? 0
			       : err_set(err, -errno, "cannot look at '%s': %s", SHOWN(path),
					 strerror(errno));
	if (S_ISREG(st.st_mode)) {
		*ret_kind = SOURCE_ARCHIVE;
		return 1;
	}
	if (snprintf(layout, sizeof(layout), "%s/oci-layout", path) >= (int)sizeof(layout))
		return 0;
	*ret_kind = SOURCE_LAYOUT;
	return S_ISDIR(st.st_mode) && access(layout, F_OK) == 0;
}

static int take(struct reference *reference, enum source_kind kind, const char *path, size_t bytes,
		const char *tag, struct err *err)
{
	reference->kind = kind;
	reference->path = strndup(path, bytes);
	reference->tag = tag ? strdup(tag) : NULL;
	if (reference->path && (!tag || reference->tag))
		return 0;
	reference_done(reference);
	return err_set(err, -ENOMEM, "out of memory");
}

/* PATH:TAG; returns 0 when it is none. */
static int try_tagged(const char *text, struct reference *reference, struct err *err)
{
	const char *colon = strrchr(text, ':');
	enum source_kind kind = SOURCE_LAYOUT;
	cleanup_free char *path = NULL;
	int r;

	if (!colon || colon == text || !colon[1])
		return 0;
	path = strndup(text, (size_t)(colon - text));
	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	r = look_at(path, &kind, err);
	if (r <= 0)
		return r;
	r = take(reference, kind, path, strlen(path), colon + 1, err);
	return r < 0 ? r : 1;
}

static bool is_path(const char *text)
{
	return *text == '/' || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 ||
	       strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0;
}

int reference_parse(const char *text, struct reference *ret_reference, struct err *err)
{
	const size_t scheme = strlen(DOCKER_SCHEME);
	enum source_kind kind = SOURCE_LAYOUT;
	int r;

	*ret_reference = (struct reference){ .path = NULL };
	if (strncmp(text, DOCKER_SCHEME, scheme) == 0) {
		text += scheme;
		r = 0;
	} else {
		r = look_at(text, &kind, err);
		if (r == 0) {
			r = try_tagged(text, ret_reference, err);
			if (r != 0)
				return r < 0 ? r : 0;
		}
	}
	if (r < 0)
		return r;
	if (r > 0)
		return take(ret_reference, kind, text, strlen(text), NULL, err);
	if (is_path(text))
		return err_set(err, -ENOENT,
			       "no image is there: neither a file nor a folder with 'oci-layout'");
	if (!image_name_is_valid(text))
		return err_set(err, -EINVAL, "it is no file, no OCI layout, and no reference");
	return take(ret_reference, SOURCE_REGISTRY, text, strlen(text), NULL, err);
}

void reference_done(struct reference *reference)
{
	free(reference->path);
	free(reference->tag);
	*reference = (struct reference){ .path = NULL };
}
