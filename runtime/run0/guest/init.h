/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's PID 1, as its own files see it.
 *
 * One process, one thread. `struct init` belongs to main(). It has three phases: the machine is
 * made fit (machine.c, modules.c, doorbell.c), orders of the host make files and one container
 * (orders.c, files.c, root.c, container.c), and then it wakes that container's function after each
 * restore (wake.c), or reports its end (children.c).
 *
 * Functions return 0 or -errno with `err` filled. Whatever fails ends in one line to the host and
 * a machine that is off (main.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "mailbox.h"

struct init {
	int doorbell_fd, mailbox_fd; /* owned; both go into the container */
	volatile uint32_t *bell;     /* mapped for good, as is the mailbox; NULL: not yet */
	uint8_t *mailbox;
	uint64_t mailbox_gpa;
	bool mailbox_registered;

	int random_fd;	  /* owned: /dev/random, for reseeding */
	char *machine_id; /* the file's one page, mapped for good */

	/* The container; 0 and -1 while there is none. */
	pid_t function;
	/* Owned: of its cgroup, -1 when it has none. */
	int memory_events_fd, memory_max_fd, memory_current_fd;
	uint64_t created_by;		     /* sequence number of the CREATE order */
	uint64_t created_generation;	     /* of the machine that carried it out */
	uint32_t create_flags;
	bool was_ready;	    /* PID 1 has rung READY for the function */
	uint32_t ends_seen; /* children_ended when all that had ended was reaped */
};

/* --- orders.c: the host's orders, copied and checked ---------------------------------------- */

struct order {
	uint32_t kind; /* enum mailbox_order */
	uint32_t offset, bytes; /* of request_*, inside one of the mailbox's two areas */
	uint64_t generation, sequence;
};

/* Copies the header's order and checks the copy. -EPROTO. */
int order_read(const uint8_t *mailbox, struct order *ret_order, struct err *err);

enum { FILE_PATH_MAX = 4095, FILE_MODE_BITS = 07777 };

/* A FILE order. `data` stays in the mailbox: it has no inner structure that could be checked. */
struct file_order {
	struct mailbox_file head;
	char path[FILE_PATH_MAX + 1];
	const uint8_t *data;
};

int file_order_read(const uint8_t *mailbox, const struct order *order,
		    struct file_order *ret_file, struct err *err);

/* A CREATE order, its configuration still in the mailbox. */
struct create_order {
	struct mailbox_create head;
	const uint8_t *config;
};

int create_order_read(const uint8_t *mailbox, const struct order *order,
		      struct create_order *ret_create, struct err *err);

/* --- machine.c, modules.c, doorbell.c: the machine ------------------------------------------ */

/* The initramfs as a mount that a container can be pivoted away from, and all file systems. */
int machine_mount(struct init *init, struct err *err);
int machine_console(struct init *init, struct err *err);
int machine_hostname(struct init *init, struct err *err);
int machine_loopback(struct init *init, struct err *err);
int machine_limits(struct init *init, struct err *err);
/* settle.c: last of all; never fails. */
int machine_settle(struct init *init, struct err *err);
int machine_clock(struct init *init, struct err *err);

/* Files of /proc, /sys and the like. `ret_text` gets a string of less than `size` bytes. */
#define CGROUP_FOLDER "/sys/fs/cgroup"
int text_write(const char *path, const char *text);
int text_read(const char *path, char *ret_text, size_t size);

/* Loads the modules of that kind, "boot" or "image", in the order of /modules/order. */
int modules_load(const char *kind, struct err *err);

int doorbell_open(struct init *init, struct err *err);
int mailbox_make(struct init *init, struct err *err);
int mailbox_register(struct init *init, struct err *err);

/* Puts the guest's mark on the mailbox, and a message for DOORBELL_FAILED into it. */
void mailbox_sign(struct init *init);
void mailbox_put_failure(struct init *init, const char *message);

/* --- files.c, root.c, container.c: what orders make ------------------------------------------ */

#define FILES_FOLDER "/files"
#define FILES_UPPER FILES_FOLDER "/upper"
#define FILES_WORK FILES_FOLDER "/work"
#define ROOT_FOLDER "/rootfs"
#define IMAGE_FOLDER "/image"

int files_mount(struct init *init, struct err *err);
int file_put(const struct file_order *file, int root_fd, struct err *err);

/* The container's root at ROOT_FOLDER. */
int root_mount(bool has_image, struct err *err);

/* Makes and starts the container; afterwards this process is in its UTS namespace. */
int container_create(struct init *init, const struct create_order *create, struct err *err);

/* Files of the machine's identity, which the configuration binds into the container. */
int identity_make(struct init *init, struct err *err);

/* --- children.c: ends of processes ----------------------------------------------------------- */

/* Ends of children so far: a number to wait on with a futex. */
extern uint32_t children_ended;

int children_watch(struct init *init, struct err *err);

/* Runs a program to its end; 0 when that was exit(0). */
/* Whether ends of processes interrupt. */
void children_signal_block(bool block);

int child_run(const struct init *init, char *const argv[], int *ret_status);

/* Reaps all that has ended. 1: the function has, *ret_status is as wait's. */
int children_reap(const struct init *init, int *ret_status);

/* Why the function ended, as part of a sentence: "exited with status 3". */
void children_describe_end(const struct init *init, int status, char *text, size_t size);

/* --- gather.c, stopped.c: before a capture ---------------------------------------------------- */

/* Moves the pages that the order in the mailbox lists to hot memory, as far as there is room: those
 * that processes have mapped, PID 1 apart. They notice no more of it than of a debugger: a system
 * call that waits may return EINTR. 0 or -errno. */
int gather(const struct init *init);

/* A process of which no thread runs. */
enum { STOPPED_THREADS_MAX = 256 };
struct stopped {
	int threads[STOPPED_THREADS_MAX]; /* the first is the one that stopped_call uses */
	size_t count;
	unsigned long syscall_address; /* of such an instruction; 0: it cannot make calls */
};

/* 0, or -errno when it cannot be stopped; then it runs. -ETIMEDOUT: it may stop any time. */
int stopped_begin(struct stopped *ret_stopped, int pid);
void stopped_end(struct stopped *stopped);

struct stopped_arguments {
	long number;
	unsigned long a, b, c;
};

/* Has one that can make a system call, past its seccomp filters. 0 with the call's result, or
 * -errno when it is not known what has become of it. */
int stopped_call(const struct stopped *stopped, const struct stopped_arguments *arguments,
		 long *ret_result);

/* --- wake.c: after each restore --------------------------------------------------------------- */

/* What a clone must have of its own: entropy of the host's, names. Once before the function is
 * started, and at each wake. Returns the failed step's -errno, and its name. */
int identity_renew(struct init *init, const char **ret_step);

/* Stops at the doorbell whenever the function has arrived at next(), and wakes it. Returns when the
 * function has ended (0, with its status), or fails. */
int wake_loop(struct init *init, int *ret_status, struct err *err);
