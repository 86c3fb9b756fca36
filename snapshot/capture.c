/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture: a stopped VM into a template's folder. State, base and image, memory, working set, then
 * the manifest; the steps and their order are folder.c's and memory_layer.c's, this file puts them
 * together.
 *
 * Blocking; called by the thread that owns the VM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "mailbox.h"
#include "snapshot_priv.h"

static void cleanup_writer_p(struct folder_writer *writer)
{
	folder_writer_close(writer);
}
#define cleanup_writer __attribute__((cleanup(cleanup_writer_p)))

/* Empty texts get what can be said without the caller. */
static void manifest_defaults(struct manifest *manifest)
{
	time_t seconds = (time_t)(manifest->realtime_ns / 1000000000u);
	struct tm utc;

	if (!manifest->created[0] && gmtime_r(&seconds, &utc))
		(void)strftime(manifest->created, sizeof(manifest->created), "%Y-%m-%dT%H:%M:%SZ",
			       &utc);
}

static void manifest_fill(struct manifest *manifest, const struct manifest *description,
			  const struct vm_state *state)
{
	*manifest = description ? *description : (struct manifest){};
	manifest->format_version = SNAPSHOT_FORMAT_VERSION;
	manifest->cpu_template = state->cpu_template;
	manifest->vcpus = state->vcpu_count;
	manifest->memory_bytes = state->memory_bytes;
	manifest->mailbox_gpa = state->mailbox_gpa;
	manifest->realtime_ns = state->realtime_ns;
	manifest->working_set = manifest->base = manifest->image = (struct snapshot_file){};
	manifest->extent_count = 0;
	manifest_defaults(manifest);
}

static void batch_step(void *context)
{
	folder_writer_step(context, "write");
}

static int write_layer(struct folder_writer *writer, const struct memory_source *source,
		       struct manifest *manifest, struct err *err)
{
	struct memory_summary summary;
	cleanup_fd int fd = -1;
	int r;

	fd = folder_create_file(writer, "memory", manifest->memory.name, err);
	if (fd < 0)
		return fd;
	r = memory_layer_write(fd, source, batch_step, writer, &summary, err);
	if (r < 0)
		return err_prefix(err, r, "'%s/%s'", writer->folder, manifest->memory.name);
	manifest->memory.bytes = source->bytes;
	memcpy(manifest->memory.digest, summary.digest, sizeof(summary.digest));
	manifest->nonzero_pages = summary.nonzero_pages;
	manifest->extent_count = source->extent_count;
	memcpy(manifest->extents, source->extents, sizeof(manifest->extents));
	return folder_sync_file(writer, fd, manifest->memory.name, err);
}

static int write_memory(struct folder_writer *writer, const struct vm_state *state,
			const void *memory, const struct capture_config *config,
			struct manifest *manifest, struct err *err)
{
	struct memory_source source = {
		.base = memory,
		.bytes = state->memory_bytes,
		.page_io = config->page_io ? config->page_io : page_io_default(),
		.has_mapped = config->mapped,
		.mapped_fd = config->mapped ? config->mapped->fd : -1,
	};
	int r = 0;

	if (state->mailbox_gpa) {
		(void)guest_gpa_to_offset(source.bytes, state->mailbox_gpa, &source.skip_offset);
		source.skip_bytes = MAILBOX_BYTES;
	}
	if (config->base)
		r = memory_diff(&source, config->base->fd, err);
	return r < 0 ? r : write_layer(writer, &source, manifest, err);
}

/* The sizes are the manifest's to refuse, too; but then everything would have been written. */
static int share_files(struct folder_writer *writer, const struct capture_config *config,
		       struct manifest *manifest, struct err *err)
{
	int r = 0;

	if (config->base && config->base->bytes != manifest->memory_bytes)
		return err_set(err, -EINVAL, "the base is not of the VM's memory size");
	if (config->image && !image_bytes_are_valid(config->image->bytes))
		return err_set(err, -EINVAL, "an image cannot have %llu bytes",
			       (unsigned long long)config->image->bytes);
	if (config->base)
		r = folder_share_file(writer, "base", config->base, &manifest->base, err);
	if (r == 0 && config->image)
		r = folder_share_file(writer, "image", config->image, &manifest->image, err);
	return r;
}

static int write_state(struct folder_writer *writer, const struct vm_state *state,
		       struct manifest *manifest, struct err *err)
{
	cleanup_free uint8_t *buf = malloc(SNAPSHOT_STATE_MAX_BYTES);
	size_t bytes;
	int r;

	if (!buf)
		return err_set(err, -ENOMEM, "out of memory");
	r = state_encode(state, buf, SNAPSHOT_STATE_MAX_BYTES, &bytes, err);
	if (r < 0)
		return r;
	return folder_write_file(writer, "state", buf, bytes, &manifest->state, err);
}

static int write_working_set(struct folder_writer *writer, const struct working_set *set,
			     struct manifest *manifest, struct err *err)
{
	cleanup_free uint8_t *buf = malloc(WORKING_SET_FILE_MAX_BYTES);
	size_t bytes;
	int r;

	if (!buf)
		return err_set(err, -ENOMEM, "out of memory");
	r = working_set_encode(set, buf, WORKING_SET_FILE_MAX_BYTES, &bytes);
	if (r < 0 || !working_set_fits(set, manifest->memory_bytes, manifest->image.bytes))
		return err_set(err, -EINVAL, "cannot encode the working set: malformed entries");
	return folder_write_file(writer, "working_set", buf, bytes, &manifest->working_set, err);
}

int capture_write(const struct vm_state *state, const void *memory,
		  const struct capture_config *config, struct err *err)
{
	cleanup_writer struct folder_writer writer = {
		.folder = config->folder,
		.fd = -1,
		.step = config->step,
		.step_context = config->step_context,
	};
	struct manifest manifest;
	int r;

	manifest_fill(&manifest, config->description, state);
	r = folder_writer_open(&writer, true, err);
	if (r < 0)
		return r;
	/* The state first: encoding it checks the numbers that the memory layer relies on. */
	r = write_state(&writer, state, &manifest, err);
	if (r < 0)
		return r;
	r = share_files(&writer, config, &manifest, err);
	if (r < 0)
		return r;
	r = write_memory(&writer, state, memory, config, &manifest, err);
	if (r < 0)
		return r;
	if (config->working_set) {
		r = write_working_set(&writer, config->working_set, &manifest, err);
		if (r < 0)
			return r;
	}
	return folder_commit(&writer, &manifest, err);
}

int snapshot_capture(struct vm *vm, const struct capture_config *config, struct err *err)
{
	cleanup_free struct vm_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return err_set(err, -ENOMEM, "out of memory");
	r = vm_state_get(vm, state, err);
	if (r < 0)
		return r;
	return capture_write(state, vm_memory_base(vm), config, err);
}

int template_set_working_set(const char *folder, const struct working_set *set, struct err *err)
{
	cleanup_writer struct folder_writer writer = {.folder = folder, .fd = -1};
	struct manifest manifest;
	int r;

	r = folder_writer_open(&writer, false, err);
	if (r < 0)
		return r;
	r = folder_read_manifest(writer.fd, &manifest, err);
	if (r < 0)
		return err_prefix(err, r, "template '%s'", folder);
	r = write_working_set(&writer, set, &manifest, err);
	if (r < 0)
		return r;
	return folder_commit(&writer, &manifest, err);
}
