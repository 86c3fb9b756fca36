/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the lumper program share. The verbs are one file each (cmd_*.c) and rows of the
 * table in main.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "exit_codes.h"
#include "lumper.h"

/* --- verbs -------------------------------------------------------------------------------- */

int cmd_boot(int argc, char **argv);
int cmd_build(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_shell(int argc, char **argv);

/* --- options.c ---------------------------------------------------------------------------- */

struct option;

/* Hands each option to `set`, which returns false after having said what is wrong. Returns an exit
 * code (EXIT_OK after having printed `help` for --help, 'h'), or -1: optind is the first
 * argument. */
int options_parse(int argc, char **argv, const struct option *rows, const char *help,
		  bool (*set)(void *context, int option), void *context);

/* The shape of a VM, as all verbs take it. */
struct shape_options {
	uint64_t memory_bytes;
	unsigned int vcpus;
	enum cpu_template cpu_template;
};

/* Parse one value; false after having printed what is wrong with `text`. */
bool option_number(const char *name, const char *text, uint64_t least, uint64_t most,
		   uint64_t *ret_value);
bool option_memory(const char *text, uint64_t *ret_bytes); /* MiB, or with suffix K, M, G */
bool option_cpu(const char *text, enum cpu_template *ret_template);

/* The text itself, or of "@FILE" the file's contents; at most what a mailbox takes. The caller
 * frees *ret_data. */
int option_data(const char *text, uint8_t **ret_data, size_t *ret_bytes, struct err *err);

/* "lumper: MESSAGE" on stderr, without control characters, cut at 4 KiB. Returns `code`. */
__attribute__((format(printf, 2, 3))) int fail(enum exit_code code, const char *format, ...);

/* The exit code for the event that ended a VM; prints its name and report, unless the code is 0. */
int end_of_vm(const struct vm_event *event);

/* --- signals.c ---------------------------------------------------------------------------- */

struct console;

/* From now on SIGINT, SIGTERM, SIGUSR1 and, after `timeout_s` unless 0, SIGALRM kick the VM. */
void signals_catch(struct vm *vm, unsigned int timeout_s);
void signals_release(void); /* before the VM goes */

/* True once for each SIGUSR1 (or run of them). */
bool signals_take_capture(void);

/* After VM_EVENT_KICKED: the exit code when time is up or somebody wants an end, else -1. */
int end_by_signal(const struct console *console);

/* --- jail.c ------------------------------------------------------------------------------- */

enum jail_profile {
	JAIL_SHELL, /* memory, KVM and one socket; opens nothing */
	JAIL_BOOT,  /* also files, to write a snapshot and to read what goes into it */
};

/* Gives up every capability for good and shuts the syscall filter, for all threads. */
int jail_enter(enum jail_profile profile, struct err *err);

/* --- console.c ---------------------------------------------------------------------------- */

/* Writes guest output to `fd`; with `input`, feeds stdin to the guest from a thread (raw mode when
 * stdin is a terminal; Ctrl-A x ends the VM). */
int console_new(struct console **ret_console, int fd, struct err *err);
void console_write(void *console, const uint8_t *data, size_t bytes);
int console_start_input(struct console *console, struct vm *vm, struct err *err);
bool console_wants_exit(const struct console *console);
/* To be called before the VM goes; console_free does it, too. */
void console_stop_input(struct console *console);
struct console *console_free(struct console *console);
