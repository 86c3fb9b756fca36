/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registries, by skopeo.
 *
 * The image is copied to a folder in skopeo's "dir:" form and not to an OCI layout: that would
 * convert the manifests of Docker's schema 2, and with the bytes the digest, by which an image is
 * known here and there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "image_priv.h"

#define PULLED_FOLDER "pulled"
#define MANIFEST_FILE "manifest"

static const char *verify(bool insecure, bool copies)
{
	if (copies)
		return insecure ? "--src-tls-verify=false" : "--src-tls-verify=true";
	return insecure ? "--tls-verify=false" : "--tls-verify=true";
}

/* What the registry has under the reference: a manifest, or an index. */
static int fetch_manifest(const char *source, bool insecure, struct workspace *workspace,
			  uint8_t **ret_text, size_t *ret_bytes, struct err *err)
{
	const char *const args[] = { "inspect", "--raw", verify(insecure, false), source, NULL };
	cleanup_fd int fd = openat(workspace->fd, MANIFEST_FILE,
				   O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct program skopeo = {
		.name = "skopeo", .package = "skopeo", .args = args, .out = fd
	};
	int r;

	if (fd < 0)
		return err_set(err, -errno, "cannot make a file: %s", strerror(errno));
	r = program_run(&skopeo, workspace, err);
	return r < 0 ? r : file_read_in(workspace->fd, MANIFEST_FILE, ret_text, ret_bytes, err);
}

int registry_id(const char *reference, bool insecure, struct workspace *workspace,
		char ret_id[IMAGE_ID_BYTES], struct err *err)
{
	cleanup_manifest struct manifest manifest = { .count = 0 };
	const struct descriptor *descriptor = NULL;
	cleanup_free uint8_t *text = NULL;
	cleanup_free char *source = NULL;
	struct digest digest;
	size_t bytes = 0;
	int r;

	if (asprintf(&source, "docker://%s", reference) < 0) {
		source = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	r = fetch_manifest(source, insecure, workspace, &text, &bytes, err);
	if (r == 0)
		r = image_manifest_decode((const char *)text, bytes, MEDIA_NONE, &manifest, err);
	if (r == 0 && manifest.kind == MEDIA_INDEX)
		r = manifest_select(&manifest, false, NULL, &descriptor, err);
	else if (r == 0)
		r = digest_sha256(text, bytes, &digest, err);
	if (r < 0)
		return r;
	if (descriptor)
		digest = descriptor->digest;
	/* An id is a SHA-256; one that is not cannot be there yet. */
	if (strlen(digest_hex(&digest)) == IMAGE_ID_BYTES - 1)
		memcpy(ret_id, digest_hex(&digest), IMAGE_ID_BYTES);
	return 0;
}

static int pull(const char *reference, bool insecure, struct workspace *workspace, struct err *err)
{
	cleanup_free char *source = NULL;
	int r;

	if (asprintf(&source, "docker://%s", reference) < 0) {
		source = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	{
		const char *const args[] = { "--override-os",	"linux", "--override-arch",
					     "amd64",		"copy",	 "--quiet",
					     verify(insecure, true), source,
					     ("dir:" PULLED_FOLDER), NULL };
		const struct program skopeo = {
			.name = "skopeo", .package = "skopeo", .args = args, .out = -1
		};

		r = program_run(&skopeo, workspace, err);
	}
	return r;
}

int registry_open(const char *reference, bool insecure, struct workspace *workspace,
		  struct source *source, struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	size_t bytes = 0;
	int r = pull(reference, insecure, workspace, err);

	if (r < 0)
		return r;
	source->layout = BLOBS_DIR;
	source->fd = openat(workspace->fd, PULLED_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source->fd < 0)
		return err_set(err, -errno, "cannot open what skopeo copied: %s", strerror(errno));
	r = file_read_in(source->fd, "manifest.json", &text, &bytes, err);
	if (r == 0)
		r = oci_manifest_open(source, (const char *)text, bytes, MEDIA_NONE, err);
	if (r == 0)
		image_name_set(source->name, reference);
	return r;
}
