/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsnapshot: templates on disk, and VMs captured into them and restored from them.
 *
 * A template is a folder: manifest.json (committed last), and the files it names: a state file, one
 * memory layer, and optionally a working-set record, a base and an image. With a base, the layer
 * holds only the extents that the manifest lists, and the rest of memory is the base's: the whole
 * memory layer of another template. Base and image are hard links, so a template is complete by
 * itself and all that have them share them in the page cache. docs/snapshot-format.md is the
 * normative description. A template is immutable: replacing one means new files and a new manifest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "lumper.h"

#define SNAPSHOT_FORMAT_VERSION 2u

enum {
	SNAPSHOT_NAME_MAX = 64, /* of a file in a template, NUL included */
	SNAPSHOT_TEXT_MAX = 256,
	SNAPSHOT_STATE_MAX_BYTES = 1 << 20,
	SNAPSHOT_MANIFEST_MAX_BYTES = 64 << 10,
	WORKING_SET_MAX = 4096, /* entries */
	SNAPSHOT_EXTENTS_MAX = 64,
};

/* --- manifest ----------------------------------------------------------------------------- */

struct snapshot_file {
	char name[SNAPSHOT_NAME_MAX]; /* plain file name inside the folder; empty: absent */
	uint64_t bytes;
	uint64_t digest[2]; /* XXH3-128, low and high half; a memory layer's is over its data */
};

/* Page-aligned, ascending, not touching each other. */
struct snapshot_extent {
	uint64_t offset, bytes; /* of guest memory, and of the layer's file alike */
};

struct manifest {
	uint32_t format_version;
	char function[SNAPSHOT_NAME_MAX]; /* what it is a template of; may be empty */
	char created[32];		  /* UTC, RFC 3339 */
	char tool[SNAPSHOT_NAME_MAX];	  /* who made it: "quark 0.1.0" */
	char kernel[SNAPSHOT_TEXT_MAX];	  /* for people: kernel image's base name */
	char cmdline[SNAPSHOT_TEXT_MAX * 2];
	uint32_t cpu_template;	/* enum cpu_template */
	uint32_t vcpus;
	uint64_t memory_bytes;
	uint64_t mailbox_gpa;
	uint64_t realtime_ns;	/* host CLOCK_REALTIME at capture */
	uint64_t nonzero_pages; /* of the memory layer */
	char inputs[SNAPSHOT_NAME_MAX]; /* digest of all that went into the build; may be empty */
	char wake[16];			/* "run0" or "direct"; empty in a base: no function */
	struct snapshot_file state, memory, working_set;
	struct snapshot_file base;	/* absent: `memory` is whole */
	struct snapshot_file image;	/* mapped at GUEST_IMAGE_GPA; absent: none */
	uint32_t extent_count;		/* 0 without a base */
	struct snapshot_extent extents[SNAPSHOT_EXTENTS_MAX];
};

/* Pure, bounded: fuzzed. The text ends in a checksum over all before it. */
int manifest_encode(const struct manifest *manifest, char **ret_text, size_t *ret_bytes,
		    struct err *err);
int manifest_decode(struct manifest *ret_manifest, const char *text, size_t bytes, struct err *err);

/* --- state -------------------------------------------------------------------------------- */

/* Pure, bounded: fuzzed. Sections with type, version, instance, length and checksum each; the error
 * names the section. Decoding checks everything, then fills; on failure *ret_state is undefined. */
int state_encode(const struct vm_state *state, uint8_t *buf, size_t cap, size_t *ret_bytes,
		 struct err *err);
int state_decode(struct vm_state *ret_state, const uint8_t *buf, size_t bytes, struct err *err);

/* --- working set -------------------------------------------------------------------------- */

struct working_set_entry {
	uint64_t offset; /* of the page in guest memory; with WORKING_SET_IMAGE: in the image */
	uint64_t gva;	 /* where the function sees it; 0: kernel or page-table page */
	uint32_t flags;	 /* WORKING_SET_* */
};
#define WORKING_SET_WRITTEN 1u
#define WORKING_SET_IMAGE 2u

struct working_set {
	uint32_t count;
	struct working_set_entry entries[WORKING_SET_MAX]; /* memory, then image; each ascending */
};

/* Whether the page lies in hot memory (GUEST_HOT_START), where shells have it ready. */
bool working_set_is_hot(const struct working_set_entry *entry);

int working_set_encode(const struct working_set *set, uint8_t *buf, size_t cap, size_t *ret_bytes);
int working_set_decode(struct working_set *ret_set, uint64_t memory_bytes, uint64_t image_bytes,
		       const uint8_t *buf, size_t bytes, struct err *err);

/* --- page I/O ----------------------------------------------------------------------------- */

/* One extent of a batch: `bytes` at `buf` <-> `offset` of the file. */
struct page_extent {
	void *buf;
	size_t bytes;
	uint64_t offset;
};

/* Two implementations behind one table: io_uring batches, and plain pread/pwrite. */
struct page_io;
struct page_io_ops {
	const char *name; /* "io_uring", "sync" */
	int (*open)(struct page_io **ret_io, unsigned int depth);
	int (*read)(struct page_io *io, int fd, const struct page_extent *extents, size_t count);
	int (*write)(struct page_io *io, int fd, const struct page_extent *extents, size_t count);
	void (*close)(struct page_io *io);
};
extern const struct page_io_ops page_io_uring_ops, page_io_sync_ops;

/* io_uring where the kernel allows it, else sync. */
const struct page_io_ops *page_io_default(void);

/* --- capture ------------------------------------------------------------------------------ */

/* A file that a template shares with others: linked into its folder, or copied where that is
 * another file system. */
struct shared_file {
	int fd; /* borrowed */
	uint64_t bytes;
	uint64_t digest[2];
};

struct capture_config {
	const char *folder;		    /* made when absent; its template is replaced */
	const struct manifest *description; /* names and texts; sizes and digests are filled here */
	const struct page_io_ops *page_io;  /* NULL: default */
	const struct working_set *working_set; /* NULL: none */
	/* A whole memory layer of the VM's size; NULL: none. The new layer gets few extents, so
	 * that pages that are equal lie in them, too, where little would be saved. */
	const struct shared_file *base;
	const struct shared_file *image; /* NULL: none */
	const struct shared_file *mapped; /* what the VM's memory is a private mapping of, with or
					   * without a base: its holes need not be read. NULL: not
					   * known */

	/* For tests of crash safety: called with the name of each step before it; may be NULL. */
	void (*step)(void *context, const char *name);
	void *step_context;
};

/* Writes the stopped VM. Order: state, base, image, memory, working set, each fsynced; manifest
 * under a temporary name, fsync, rename, fsync of the folder; then the files of the replaced
 * template are removed. At every moment the folder holds the old template or the new one, complete.
 * Blocking; the mailbox is left out of the memory layer. -EBUSY while another process writes into
 * the folder. */
int snapshot_capture(struct vm *vm, const struct capture_config *config, struct err *err);

/* Adds or replaces the working-set record of a committed template, by the same commit order. */
int template_set_working_set(const char *folder, const struct working_set *set, struct err *err);

/* --- opening ------------------------------------------------------------------------------ */

struct template;

/* Opens and checks manifest, state (checksums, decoding) and the sizes of memory layer, base and
 * image. The page contents are only checked by template_verify. Positive results never occur. */
int template_open(struct template **ret_template, const char *folder, struct err *err);
struct template *template_free(struct template *template);

static inline void cleanup_template_p(struct template **template)
{
	(void)template_free(*template);
}
#define cleanup_template __attribute__((cleanup(cleanup_template_p)))

const char *template_folder(const struct template *template); /* as it was opened; borrowed */
const struct manifest *template_manifest(const struct template *template);
const struct vm_state *template_state(const struct template *template);
const struct working_set *template_working_set(const struct template *template); /* or NULL */
int template_memory_fd(const struct template *template); /* borrowed, read-only */
int template_state_fd(const struct template *template);	 /* borrowed, read-only */
int template_working_set_fd(const struct template *template); /* borrowed, or -1 */
int template_base_fd(const struct template *template);	/* borrowed, read-only, or -1 */
int template_image_fd(const struct template *template); /* borrowed, read-only, or -1 */

/* Digest and size of a file that is to be shared, such as an image: XXH3-128 over its bytes. Of a
 * base, the digest is that of its own template's memory layer. */
int shared_file_digest(int fd, struct shared_file *ret_file, struct err *err);

/* Reads everything and compares every digest. 0, or -EBADMSG naming the file. */
int template_verify(const struct template *template, struct err *err);

/* --- restore ------------------------------------------------------------------------------ */

struct restore_config {
	int memory_fd;			/* borrowed */
	const struct vm_state *state;	/* borrowed for the call */
	const struct working_set *working_set; /* NULL: none */
	int mailbox_fd; /* borrowed: 2 MiB memfd to map over the mailbox; -1: private memory */
	enum vm_timers timers;
	bool has_base;	/* base_fd is a whole layer, memory_fd holds the extents */
	int base_fd;	/* borrowed */
	const struct snapshot_extent *extents; /* borrowed for the call */
	uint32_t extent_count;
	bool has_image; /* image_fd is mapped too */
	int image_fd;	/* borrowed */
	uint64_t image_bytes;
	struct preparation *preparation; /* of this VM; NULL: none */
	bool has_pack;	/* used with a preparation only */
	int pack_fd;	/* borrowed */
};

/* Fills memory, base, image and extents of `config` from a template; the other members are left as
 * they are. */
void restore_config_of(const struct template *template, struct restore_config *ret_config);

/* Maps the memory layer, or base and extents, copy-on-write over the VM's range, maps the image,
 * and loads the state. The VM must be empty and of the same shape (memory, vCPUs, CPU template).
 * With extents, its range is unmapped for a moment, so no other thread may map anything meanwhile;
 * after a failure the VM is unusable. */
int snapshot_map_memory(struct vm *vm, const struct restore_config *config, struct err *err);
int snapshot_restore(struct vm *vm, const struct restore_config *config, struct err *err);

/* --- preparing for a base ------------------------------------------------------------------- */

/* Does before a template is known what the templates of one base have in common: maps the base,
 * keeps memory ready for the pages that any of them changes, and, after the jail is shut and the VM
 * rehearsed, lets the guest's side touch both. `like` is a template with that base and a working
 * set; it is not needed any longer afterwards. The VM is empty to snapshot_restore. A template with
 * another base, or none, is restored as without preparation.
 *
 * After a restore the memory may be incomplete (vm_memory_incomplete): no pointer of
 * vm_memory_base is to be followed before vm_memory_complete, and memory_fd of the restore has to
 * stay open until then. The preparation must live as long as its VM is used. */
struct preparation;
int preparation_new(struct preparation **ret_preparation, struct vm *vm,
		    const struct template *like, int mailbox_fd, struct err *err);
int preparation_touch(struct preparation *preparation, struct err *err);
struct preparation *preparation_free(struct preparation *preparation);

/* After a restore that used it, when there is time: gives back memory that was ready for a larger
 * template. */
void preparation_trim(struct preparation *preparation);

/* Makes copies of the pages that VMs prepared with this calibration are filled with, in a file in
 * memory. Who keeps the template open makes it once, for restore_config. */
int pack_new(const struct template *template, const struct template *calibration, int *ret_fd,
	     struct err *err);

/* The ioctl requests of a restore with a preparation, for a syscall filter; zero-terminated. */
extern const unsigned long preparation_ioctls[];

/* --- recording a working set -------------------------------------------------------------- */

/* Watches which pages of an empty VM are touched, and serves them from a template's files,
 * one by one (userfaultfd). Use: recorder_new, vm_state_set, run one request, recorder_finish while
 * the function is at its DONE.
 * Needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd, because KVM's own accesses count too. The
 * recorder has a thread of its own and must outlive every access to the VM's memory. */
struct recorder;
int recorder_new(struct recorder **ret_recorder, struct vm *vm, const struct template *template,
		 struct err *err);
int recorder_finish(struct recorder *recorder, struct working_set *ret_set, struct err *err);
struct recorder *recorder_free(struct recorder *recorder);

/* The ioctl requests that recording makes, for a syscall filter; zero-terminated. */
extern const unsigned long recorder_ioctls[];

/* Fills in, for every page of the set that a user mapping of the guest shows, its guest-virtual
 * address, by walking the guest's page tables from `cr3`, and marks as written what is mapped
 * writable and the tables on the way. A page that was written but is mapped read-only gets no
 * address. Bounded; page tables are hostile. */
void guest_walk_assign(const struct vm *vm, uint64_t cr3, struct working_set *set);
