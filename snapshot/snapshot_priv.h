/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of libsnapshot share, and its unit tests.
 *
 * Error codes of everything that reads a template: -EBADMSG for contents that are damaged or
 * malformed, -EPROTONOSUPPORT for a version or feature that this build does not know, -ENOENT for a
 * file that is missing, else the errno of the system call that failed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

enum {
	STATE_VERSION = 1,

	WORKING_SET_VERSION = 2,
	WORKING_SET_HEADER_BYTES = 24,
	WORKING_SET_ENTRY_BYTES = 24,
	WORKING_SET_FILE_MAX_BYTES = WORKING_SET_HEADER_BYTES +
				     WORKING_SET_MAX * WORKING_SET_ENTRY_BYTES + 8,
};

/* --- shape: what manifest and state both say about a machine -------------------------------- */

struct shape {
	uint64_t memory_bytes;
	uint64_t mailbox_gpa;
	uint32_t vcpus;
	uint32_t cpu_template;
};

/* 0, or -EBADMSG naming the value that no machine of ours can have. */
int shape_check(const struct shape *shape, struct err *err);

/* Of an image: a multiple of the alignment, not empty, at most the maximum. */
bool image_bytes_are_valid(uint64_t bytes);

/* --- digests --------------------------------------------------------------------------------- */

/* XXH3-64 with seed 0. */
uint64_t checksum64(const void *data, size_t bytes);

/* XXH3-128 with seed 0, low and high half. */
void digest128(const void *data, size_t bytes, uint64_t ret_digest[2]);

/* The same over the first `bytes` bytes of a file. 0, -errno, or -ENODATA when it is shorter. */
int digest128_fd(int fd, uint64_t bytes, uint64_t ret_digest[2]);

/* The digest of a memory layer: XXH3-128 over its size (u64), offset and size of every extent (u64
 * each; a whole layer has none), and then, for every page that holds a non-zero byte, in ascending
 * order, its offset (u64) and its 4096 bytes. Therefore equal for equal contents, wherever the
 * holes are, and its cost follows the data. NULL: out of memory. */
struct memory_digest;
struct memory_digest *memory_digest_new(uint64_t memory_bytes,
					const struct snapshot_extent *extents, uint32_t count);
struct memory_digest *memory_digest_free(struct memory_digest *digest);
void memory_digest_page(struct memory_digest *digest, uint64_t offset, const void *page);
void memory_digest_end(const struct memory_digest *digest, uint64_t ret_digest[2]);

bool page_is_zero(const void *page);

/* --- sparse files ---------------------------------------------------------------------------- */

/* The next range of data of the file at or after *start, page-aligned; false when only holes
 * follow up to `bytes`. A file system that cannot tell holes says that all is data. */
bool sparse_next(int fd, uint64_t bytes, uint64_t *start, uint64_t *ret_end);

/* Copies `bytes` bytes into the empty file `to`, pages of zeros as holes. 0 or -errno. */
int sparse_copy(int to, int from, uint64_t bytes);

/* --- residency: what is known of the pages of a mapping without touching them ---------------- */

struct residency;

enum page_kind {
	PAGE_UNKNOWN,
	PAGE_ZERO,    /* private anonymous memory that was never written */
	PAGE_OF_FILE, /* of a private mapping of the file, and not yet copied */
};

/* Never fails for want of /proc: then every page is unknown. `base` is page-aligned. `file_fd`, or
 * -1: the file whose pages are to be known, where they are mapped at base + their offset. */
int residency_open(struct residency **ret_residency, const void *base, uint64_t bytes, int file_fd,
		   struct err *err);
struct residency *residency_free(struct residency *residency);

enum { RESIDENCY_BLOCK_PAGES = 512 };

/* The block of RESIDENCY_BLOCK_PAGES pages at `offset`. */
void residency_block(struct residency *residency, uint64_t offset,
		     enum page_kind ret_kinds[RESIDENCY_BLOCK_PAGES]);

/* --- extents --------------------------------------------------------------------------------- */

/* What a layer costs: an extent is 16,000 instructions at every restore, of which a request to an
 * empty shell has some 300,000 in all. So there are few, each for 2 MiB that are not stored again
 * at the least. */
enum { EXTENTS_CHOSEN_MAX = 16, EXTENT_GAP_MIN_PAGES = 64 };

/* 0, or -EBADMSG: page-aligned, not empty, ascending, not touching each other, within memory. */
int extents_check(const struct snapshot_extent *extents, uint32_t count, uint64_t memory_bytes,
		  struct err *err);

/* The extent that holds the offset, or else the first behind it, or else NULL. */
const struct snapshot_extent *extent_from(const struct snapshot_extent *extents, uint32_t count,
					  uint64_t offset);
bool extents_hold(const struct snapshot_extent *extents, uint32_t count, uint64_t offset);

struct page_facts {
	bool differs; /* from the base */
	bool stored;  /* the base has data there, no hole */
};

struct extent_limits {
	uint32_t max;		/* 1 to SNAPSHOT_EXTENTS_MAX */
	uint64_t gap_min_pages; /* of stored pages in a gap between two extents; at least 1 */
};

/* Extents that hold all pages that differ, and of the others as few stored ones as the limits
 * allow. Returns how many. */
uint32_t extents_choose(const struct page_facts *pages, uint64_t count, struct extent_limits limits,
			struct snapshot_extent ret_extents[]);

/* --- memory layer ---------------------------------------------------------------------------- */

struct memory_source {
	const uint8_t *base; /* borrowed */
	uint64_t bytes;
	uint64_t skip_offset, skip_bytes; /* counts as zeros: the mailbox */
	const struct page_io_ops *page_io;
	bool has_mapped; /* memory is a private mapping of mapped_fd: holes of that are not read */
	int mapped_fd;	 /* borrowed */
	bool has_extents; /* only they are written */
	uint32_t extent_count;
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
};

struct memory_summary {
	uint64_t digest[2];
	uint64_t nonzero_pages;
};

/* Fills in the extents in which the source differs from the whole memory layer `base_fd`. */
int memory_diff(struct memory_source *source, int base_fd, struct err *err);

/* Writes the source into the empty file `fd`: its size exactly, zero pages as holes. `batch` (may
 * be NULL) is called before each batch of writes. */
int memory_layer_write(int fd, const struct memory_source *source, void (*batch)(void *context),
		       void *context, struct memory_summary *ret_summary, struct err *err);

/* Reads a layer of `bytes` bytes: holes are skipped. The extents go into the digest only; a page
 * beside them is read like any other, so that the digest shows it. */
int memory_layer_read(int fd, uint64_t bytes, const struct snapshot_extent *extents, uint32_t count,
		      struct memory_summary *ret_summary, struct err *err);

/* --- working set ----------------------------------------------------------------------------- */

/* Whether all entries lie within memory and image. */
bool working_set_fits(const struct working_set *set, uint64_t memory_bytes, uint64_t image_bytes);

/* The order of a working set: memory before image, each by offset. */
int working_set_order(const struct working_set_entry *a, const struct working_set_entry *b);

/* --- folder: names, opening, committing ------------------------------------------------------ */

#define MANIFEST_NAME "manifest.json"

/* A plain file name: [A-Za-z0-9._-]+, no leading dot, shorter than SNAPSHOT_NAME_MAX. */
bool file_name_is_plain(const char *name);

/* Opens a regular file inside the folder, never through a symbolic link. Returns the fd. */
int folder_open_file(int folder_fd, const char *name, struct err *err);

/* Reads and decodes the committed manifest. */
int folder_read_manifest(int folder_fd, struct manifest *ret_manifest, struct err *err);

/* Removes what our own writers left and `committed` (NULL: nothing) does not name. Best effort. */
void folder_clean(int folder_fd, const struct manifest *committed);

/* Writing a template. The caller sets the first members and fd to -1, and always closes. */
struct folder_writer {
	const char *folder;			       /* borrowed */
	void (*step)(void *context, const char *name); /* may be NULL */
	void *step_context;
	int fd;		/* owned; holds the folder's lock */
	char id[17];	/* of the files of this writer, hexadecimal */
	bool created;	/* the folder is ours to remove on failure */
	bool committed; /* manifest.json names our files */
};

/* Locks the folder (-EBUSY when another writer has it), which is made when absent if `create`, and
 * removes what killed writers left in it. */
int folder_writer_open(struct folder_writer *writer, bool create, struct err *err);
/* Unlocks; without a commit, removes all that this writer made. */
void folder_writer_close(struct folder_writer *writer);
void folder_writer_step(const struct folder_writer *writer, const char *name);

/* "<kind>-<id>"; removed again by folder_writer_close if nothing is committed. */
void folder_name_file(const struct folder_writer *writer, const char *kind,
		      char ret_name[SNAPSHOT_NAME_MAX]);

/* Names a file "<kind>-<id>" and creates it, empty. Returns the fd. */
int folder_create_file(const struct folder_writer *writer, const char *kind,
		       char ret_name[SNAPSHOT_NAME_MAX], struct err *err);
int folder_sync_file(const struct folder_writer *writer, int fd, const char *name, struct err *err);
/* All in one: created, written, synced. */
int folder_write_file(const struct folder_writer *writer, const char *kind, const void *data,
		      size_t bytes, struct snapshot_file *ret_file, struct err *err);
/* Links a shared file into the folder as "<kind>-<id>", or copies it where no link can be. */
int folder_share_file(const struct folder_writer *writer, const char *kind,
		      const struct shared_file *shared, struct snapshot_file *ret_file,
		      struct err *err);

/* Makes `manifest` the committed one, durably, and removes the files it does not name. */
int folder_commit(struct folder_writer *writer, const struct manifest *manifest, struct err *err);

/* --- pack ------------------------------------------------------------------------------------ */

struct pack {
	uint8_t *room; /* owned address range; NULL: none */
	uint64_t room_bytes;
	const struct pack_header *header; /* in it; NULL: nothing is mapped */
};

/* Address space for the largest pack, so that mapping one needs no search, and can be aligned. */
int pack_reserve(struct pack *ret_pack, struct err *err);
int pack_map(struct pack *pack, int fd, struct err *err);
void pack_release(struct pack *pack);
const uint8_t *pack_page(const struct pack *pack, uint64_t offset); /* NULL: not in it */
/* Copies a page by the processor: the kernel would use a string instruction. */
void page_copy(uint8_t *to, const uint8_t *from);
/* Copies those of its pages that lie in [start, end) to the same offsets of `memory`. */
void pack_copy(const struct pack *pack, uint64_t start, uint64_t end, uint8_t *memory);

/* --- hot memory ------------------------------------------------------------------------------ */

/* Hot memory, GUEST_HOT_START to GUEST_HOT_END, of a VM whose guest memory lies at `memory` and
 * that has so much. */
bool hot_memory_holds(uint64_t offset);

/* Puts private memory there, and into it what the base has. */
int hot_memory_map(uint8_t *memory, int base_fd, struct err *err);

/* Brings a template's contents: from the pack, or the layer when there is none. */
int hot_memory_load(uint8_t *memory, const struct snapshot_extent *extents, uint32_t count,
		    int layer_fd, const struct pack *pack, struct err *err);

/* Gives back what holds zeros, which it does without a page, too. */
void hot_memory_trim(uint8_t *memory);

/* --- preparation ----------------------------------------------------------------------------- */

/* Whether the template of the restore has the base that the VM was prepared for. */
bool preparation_serves(const struct preparation *preparation, const struct restore_config *config);
/* Maps and fills what is special to the template. Once. */
int preparation_load(struct preparation *preparation, const struct restore_config *config,
		     struct err *err);
/* Whether the mailbox is mapped there already. */
bool preparation_has_mailbox(const struct preparation *preparation, uint64_t gpa);

/* --- capture --------------------------------------------------------------------------------- */

/* snapshot_capture's file part: `memory` has state->memory_bytes bytes. */
int capture_write(const struct vm_state *state, const void *memory,
		  const struct capture_config *config, struct err *err);
