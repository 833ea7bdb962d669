/*
 * The runtime: a world made of libuv (loop, timers, processes, signals), libcurl (multi interface) and files with
 * fsync. Known to cmd/ alone, which hands its world to the engine.
 */
#ifndef FIXFLEET_RUNTIME_H
#define FIXFLEET_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "fixfleet/engine.h"
#include "fixfleet/err.h"
#include "fixfleet/journal.h"
#include "fixfleet/mem.h"
#include "fixfleet/world.h"

struct ff_runtime;

struct ff_runtime_options {
	const char *ca_file;	    /* NULL: CURL_CA_BUNDLE, SSL_CERT_FILE, then the system's; borrowed for its life */
	const char *user_agent;	    /* "fixfleet/0.1.0" */
	struct ff_strv worker_argv; /* {rescue} in an argument is the rescue VM's name; borrowed */
	bool worker_shared;	    /* one worker process serves all rescue VMs (--worker local) */
	unsigned connections;	    /* at once to one host; 0: 64 */
};

/** NULL with err. Ignores SIGPIPE for the process. */
struct ff_runtime *ff_runtime_new(const struct ff_runtime_options *options, struct ff_err *err);
void ff_runtime_free(struct ff_runtime *rt); /* NULL is fine; ends workers (end of input, then SIGTERM, then SIGKILL) */

const struct ff_world *ff_runtime_world(struct ff_runtime *rt);

/**
 * Open the run's folder (made when missing, mode 0700), lock it and create its journal.
 * FF_E_LOCAL: not writable, locked by another fixfleet (its pid named), holds a journal already.
 */
int ff_runtime_open_run(struct ff_runtime *rt, const char *run_dir, struct ff_err *err);

/**
 * Keep a file of evidence: RUN_DIR/evidence/VM/NAME, folders made when missing (mode 0700), the VM's folder named by
 * its name and some of its id's hash. An older file of that name is replaced. It needs no open run. 0, or -1 with
 * FF_E_LOCAL.
 */
int ff_runtime_keep_evidence(const char *run_dir, const char *provider, const struct ff_vm *vm,
	const struct ff_exhibit *exhibit, struct ff_err *err);

/**
 * Open the folder of a run that was begun, lock it and read its journal. Nothing is changed: a torn last record is cut
 * off before the first record is appended.
 * @journal  its sound part, to be read as long as the folder is open
 * FF_E_LOCAL: no such run, not writable, locked by another fixfleet (its pid named), damaged, of another version.
 */
int ff_runtime_reopen_run(struct ff_runtime *rt, const char *run_dir, struct ff_source *journal, struct ff_err *err);

/**
 * The journal of a run, to look at while it may be written. Nothing is locked.
 * @fd  the caller closes it, and reads the journal before
 * 0, or -1 with FF_E_LOCAL.
 */
int ff_runtime_look(const char *run_dir, int *fd, struct ff_source *journal, struct ff_err *err);

/**
 * Turn the engine until its phase is at least `until`. SIGINT and SIGTERM reach ff_engine_interrupt(). `tick`, when not
 * NULL, is called about ten times a second (terminal view).
 */
void ff_runtime_run(
	struct ff_runtime *rt, struct ff_engine *engine, enum ff_phase until, void (*tick)(void *arg), void *arg);

/** Did a signal come while no engine ran or before? For a prompt that was interrupted. */
bool ff_runtime_interrupted(const struct ff_runtime *rt);

#endif
