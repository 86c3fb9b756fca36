/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and verifying a template.
 *
 * Opening checks all that is cheap: the manifest, the state file whole, the working set whole, and
 * the sizes of memory layer, base and image; verifying reads these, too. Everything is opened
 * relative to one descriptor of the folder, regular files only, never through a symbolic link. A
 * struct template does not change after it was opened; threads may share it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "snapshot_priv.h"

enum { OPEN_TRIES = 5 };

struct template {
	char *folder; /* owned */
	struct manifest manifest;
	struct vm_state *state;		 /* owned */
	struct working_set *working_set; /* owned; NULL: none */
	int state_fd, memory_fd;		 /* owned */
	int working_set_fd, base_fd, image_fd;	 /* owned; -1: none */
};

/* --- files against the manifest -------------------------------------------------------------- */

/* Opens a file that the manifest names; its size has to be as the manifest says. */
static int open_sized(int folder_fd, const struct snapshot_file *file, struct err *err)
{
	cleanup_fd int fd = folder_open_file(folder_fd, file->name, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot stat '%s': %s", file->name, strerror(errno));
	if ((uint64_t)st.st_size != file->bytes)
		return err_set(err, -EBADMSG, "'%s' has %lld bytes instead of %" PRIu64,
			       file->name, (long long)st.st_size, file->bytes);
	return TAKE_FD(fd);
}

static int read_sized(int fd, const struct snapshot_file *file, uint8_t **ret_data,
		      struct err *err)
{
	size_t bytes;
	int r = file_read_fd(fd, file->bytes, ret_data, &bytes);

	if (r == -EFBIG || (r == 0 && bytes != file->bytes)) {
		if (r == 0) {
			free(*ret_data);
			*ret_data = NULL;
		}
		return err_set(err, -EBADMSG, "'%s' changed its size", file->name);
	}
	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", file->name, strerror(-r));
	return 0;
}

static int compare_digest(const struct snapshot_file *file, const uint64_t digest[2],
			  struct err *err)
{
	if (memcmp(file->digest, digest, sizeof(file->digest)) != 0)
		return err_set(err, -EBADMSG, "'%s' is damaged (its digest differs)", file->name);
	return 0;
}

static int check_digest(const struct snapshot_file *file, const uint8_t *data, struct err *err)
{
	uint64_t digest[2];

	digest128(data, file->bytes, digest);
	return compare_digest(file, digest, err);
}

/* --- opening --------------------------------------------------------------------------------- */

/* Decoding before the digest, because it names the section that is damaged. */
static int open_state(struct template *template, int folder_fd, struct err *err)
{
	const struct snapshot_file *file = &template->manifest.state;
	cleanup_free uint8_t *data = NULL;
	int r;

	template->state_fd = open_sized(folder_fd, file, err);
	if (template->state_fd < 0)
		return template->state_fd;
	r = read_sized(template->state_fd, file, &data, err);
	if (r < 0)
		return r;
	template->state = malloc(sizeof(*template->state));
	if (!template->state)
		return err_set(err, -ENOMEM, "out of memory");
	r = state_decode(template->state, data, file->bytes, err);
	if (r < 0)
		return err_prefix(err, r, "'%s'", file->name);
	return check_digest(file, data, err);
}

/* Files of which only the size is looked at. */
static int open_large(int folder_fd, const struct snapshot_file *file, int *ret_fd,
		      struct err *err)
{
	int fd;

	if (!file->name[0])
		return 0;
	fd = open_sized(folder_fd, file, err);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int open_working_set(struct template *template, int folder_fd, struct err *err)
{
	const struct snapshot_file *file = &template->manifest.working_set;
	cleanup_free uint8_t *data = NULL;
	int r;

	if (!file->name[0])
		return 0;
	template->working_set_fd = open_sized(folder_fd, file, err);
	if (template->working_set_fd < 0)
		return template->working_set_fd;
	r = read_sized(template->working_set_fd, file, &data, err);
	if (r < 0)
		return r;
	template->working_set = malloc(sizeof(*template->working_set));
	if (!template->working_set)
		return err_set(err, -ENOMEM, "out of memory");
	r = working_set_decode(template->working_set, template->manifest.memory_bytes,
			       template->manifest.image.bytes, data, file->bytes, err);
	if (r < 0)
		return err_prefix(err, r, "'%s'", file->name);
	return check_digest(file, data, err);
}

/* A state file from another template passes every checksum of its own. */
static int check_agreement(const struct template *template, struct err *err)
{
	const struct manifest *manifest = &template->manifest;
	const struct vm_state *state = template->state;
	const struct {
		const char *what;
		uint64_t manifest, state;
	} facts[] = {
		{"memory size", manifest->memory_bytes, state->memory_bytes},
		{"number of vCPUs", manifest->vcpus, state->vcpu_count},
		{"mailbox address", manifest->mailbox_gpa, state->mailbox_gpa},
		{"CPU template", manifest->cpu_template, state->cpu_template},
		{"time of capture", manifest->realtime_ns, state->realtime_ns},
	};

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		if (facts[i].manifest != facts[i].state)
			return err_set(err, -EBADMSG,
				       "%s and '%s' disagree about the %s: %" PRIu64
				       " and %" PRIu64,
				       MANIFEST_NAME, manifest->state.name, facts[i].what,
				       facts[i].manifest, facts[i].state);
	return 0;
}

static int open_files(struct template *template, int folder_fd, struct err *err)
{
	const struct manifest *manifest = &template->manifest;
	int r = folder_read_manifest(folder_fd, &template->manifest, err);

	if (r == 0)
		r = open_state(template, folder_fd, err);
	if (r == 0)
		r = check_agreement(template, err);
	if (r == 0)
		r = open_large(folder_fd, &manifest->memory, &template->memory_fd, err);
	if (r == 0)
		r = open_large(folder_fd, &manifest->base, &template->base_fd, err);
	if (r == 0)
		r = open_large(folder_fd, &manifest->image, &template->image_fd, err);
	if (r == 0)
		r = open_working_set(template, folder_fd, err);
	return r;
}

static int open_once(struct template **ret_template, const char *folder, int folder_fd,
		     struct err *err)
{
	cleanup_template struct template *template = calloc(1, sizeof(*template));
	int r;

	if (!template)
		return err_set(err, -ENOMEM, "out of memory");
	template->state_fd = template->memory_fd = template->working_set_fd = -1;
	template->base_fd = template->image_fd = -1;
	template->folder = strdup(folder);
	if (!template->folder)
		return err_set(err, -ENOMEM, "out of memory");
	r = open_files(template, folder_fd, err);
	if (r < 0)
		return r;
	*ret_template = TAKE_PTR(template);
	return 0;
}

int template_open(struct template **ret_template, const char *folder, struct err *err)
{
	cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = -ENOENT;

	if (fd < 0)
		return err_set(err, -errno, "cannot open template '%s': %s", folder,
			       strerror(errno));
	/* Replaced between reading the manifest and opening its files? Then there is a new one. */
	for (int i = 0; r == -ENOENT && i < OPEN_TRIES; i++)
		r = open_once(ret_template, folder, fd, err);
	if (r < 0)
		return err_prefix(err, r, "template '%s'", folder);
	return 0;
}

struct template *template_free(struct template *template)
{
	if (template) {
		(void)fd_close(template->state_fd);
		(void)fd_close(template->memory_fd);
		(void)fd_close(template->working_set_fd);
		(void)fd_close(template->base_fd);
		(void)fd_close(template->image_fd);
		free(template->state);
		free(template->working_set);
		free(template->folder);
		free(template);
	}
	return NULL;
}

const char *template_folder(const struct template *template)
{
	return template->folder;
}

const struct manifest *template_manifest(const struct template *template)
{
	return &template->manifest;
}

const struct vm_state *template_state(const struct template *template)
{
	return template->state;
}

const struct working_set *template_working_set(const struct template *template)
{
	return template->working_set;
}

int template_memory_fd(const struct template *template)
{
	return template->memory_fd;
}

int template_state_fd(const struct template *template)
{
	return template->state_fd;
}

int template_working_set_fd(const struct template *template)
{
	return template->working_set_fd;
}

int template_base_fd(const struct template *template)
{
	return template->base_fd;
}

int template_image_fd(const struct template *template)
{
	return template->image_fd;
}

/* --- verifying ------------------------------------------------------------------------------- */

static int verify_small(int fd, const struct snapshot_file *file, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	int r = read_sized(fd, file, &data, err);

	return r < 0 ? r : check_digest(file, data, err);
}

/* A memory layer: the template's own with its extents, or its base, which is whole. */
static int verify_layer(int fd, const struct snapshot_file *file,
			const struct snapshot_extent *extents, uint32_t count,
			uint64_t *ret_nonzero_pages, struct err *err)
{
	struct memory_summary summary;
	int r = memory_layer_read(fd, file->bytes, extents, count, &summary, err);

	if (r < 0)
		return err_prefix(err, r, "'%s'", file->name);
	*ret_nonzero_pages = summary.nonzero_pages;
	return compare_digest(file, summary.digest, err);
}

static int verify_memory(const struct template *template, struct err *err)
{
	const struct manifest *manifest = &template->manifest;
	uint64_t pages;
	int r;

	r = verify_layer(template->memory_fd, &manifest->memory, manifest->extents,
			 manifest->extent_count, &pages, err);
	if (r == 0 && pages != manifest->nonzero_pages)
		r = err_set(err, -EBADMSG,
			    "'%s' has %" PRIu64 " non-zero pages, %s says %" PRIu64,
			    manifest->memory.name, pages, MANIFEST_NAME, manifest->nonzero_pages);
	if (r == 0 && template->base_fd >= 0)
		r = verify_layer(template->base_fd, &manifest->base, NULL, 0, &pages, err);
	return r;
}

static int verify_image(const struct template *template, struct err *err)
{
	const struct snapshot_file *file = &template->manifest.image;
	uint64_t digest[2];
	int r;

	if (template->image_fd < 0)
		return 0;
	r = digest128_fd(template->image_fd, file->bytes, digest);
	if (r < 0)
		return err_set(err, r == -ENODATA ? -EBADMSG : r, "cannot read '%s': %s",
			       file->name, strerror(-r));
	return compare_digest(file, digest, err);
}

int template_verify(const struct template *template, struct err *err)
{
	int r = verify_small(template->state_fd, &template->manifest.state, err);

	if (r == 0 && template->working_set_fd >= 0)
		r = verify_small(template->working_set_fd, &template->manifest.working_set, err);
	if (r == 0)
		r = verify_memory(template, err);
	if (r == 0)
		r = verify_image(template, err);
	if (r < 0)
		return err_prefix(err, r, "template '%s'", template->folder);
	return 0;
}
