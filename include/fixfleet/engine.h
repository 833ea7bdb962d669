/*
 * The engine: runs every VM through its provider's table. No sockets, no clock, no libguestfs, no threads: it is
 * turned.
 *
 * Calling sequence:
 *   ff_engine_new -> ff_engine_add_scope (once a --provider) -> turn until phase is FF_PHASE_FOUND (or FAILED)
 *   -> [look at ff_engine_vms(), ask the operator] -> [ff_engine_see] -> ff_engine_repair(selection) -> turn until
 * FF_PHASE_ENDED
 *   -> ff_engine_result() -> ff_engine_free
 * After a crash, on this or another machine: the same with ff_engine_resume(journal) in the place of
 * ff_engine_repair().
 *
 * "Turn" is ff_engine_turn(): it does everything that can be done now, makes the journal durable once, then lets the
 * requests go whose intents it holds. The world calls it after it delivered anything, and at the time of wake_at().
 */
#ifndef FIXFLEET_ENGINE_H
#define FIXFLEET_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"
#include "fixfleet/journal.h"
#include "fixfleet/keys.h"
#include "fixfleet/provider.h"
#include "fixfleet/world.h"

struct ff_engine;

enum ff_outcome {
	FF_O_NONE = 0,
	FF_O_REPAIRED,	  /* mended, home, started, proved up (where it ran before) */
	FF_O_CLEAN,	  /* nothing to mend; as it was, started */
	FF_O_SKIPPED,	  /* not touched; the reason says why */
	FF_O_ROLLED_BACK, /* it has its original disk again, and was started (where it ran) */
	FF_O_CLEANED,	  /* what a run had left over of it is deleted */
	FF_O_FAILED_HOME, /* not mended, or not proved; its disk is home; the reason says why and what is left over */
	FF_O_STUCK,	  /* its disk is not home: where it is and what brings it home */
};
/** "repaired", "clean", "skipped", "rolled-back", "cleaned", "failed-home", "stuck"; "" */
const char *ff_outcome_name(enum ff_outcome outcome);
/** The outcome of that name; FF_O_NONE for NULL and for any other text. */
enum ff_outcome ff_outcome_from_name(const char *name);
/** Is it one of a flow that comes after a repair? Totals name it only when there are any. */
bool ff_outcome_is_later(enum ff_outcome outcome);

/* What happens, for the terminal and the log. Texts borrowed for the call, not yet safe to print. */
enum ff_event_kind {
	FF_EV_STEP,  /* VM entered a step: `text` is the row's "doing" */
	FF_EV_RETRY, /* a request waits: text says why, how often, how long */
	FF_EV_END,   /* VM ended: outcome and text (reason) */
	FF_EV_NOTE,  /* anything else worth a line; vm may be NULL */
	FF_EV_WARN,
};
struct ff_event {
	enum ff_event_kind kind;
	const char *provider;	/* may be NULL */
	const struct ff_vm *vm; /* may be NULL */
	enum ff_outcome outcome;
	const char *text;
};

struct ff_engine_config {
	const char *run;     /* run id, [a-z0-9-]{1,40}; copied */
	enum ff_flow flow;   /* what is done to the VMs */
	const char *of;	     /* rollback and cleanup: id of the run that is taken back or cleaned up after; copied */
	const char *by;	     /* who runs it, "user@host", for claims; copied; NULL: not said */
	bool take_over;	     /* claims of other runs are replaced: the operator says that they are dead */
	const char *run_dir; /* for the results only; copied; NULL for list */
	json_t *recipes;     /* array of recipe objects for the worker; borrowed for the engine's life; NULL for list */
	/* where keys of encrypted volumes come from, in order; borrowed for the engine's life; may be NULL */
	const struct ff_key_source *keys;
	size_t key_source_count;
	const char *key_secret; /* pattern of names in the VMs' clouds' secret stores, asked last; copied; NULL: none */
	const char *dev_root;	/* "/dev", or with {rescue} in it; copied */
	bool discard_hibernation; /* a saved session of Windows may be lost */
	int64_t disk_timeout_ms;  /* how long the worker may take over one disk; 0: its own default */
	bool journal;		  /* false for list: nothing is appended, and no mutating ask may leave */
	unsigned parallel;	  /* VMs under way at once over all; 0: as the rescue slots allow */
	/*
	 * Begin no further VM of a provider after so many of them failed, or so many percent of those that were
	 * selected: the greater of both. Both 0: no limit.
	 */
	unsigned max_failures, max_failures_percent;
	unsigned canary;   /* so many VMs of a provider are done well before others begin, then twice as many each
			      time; 0: all at once */
	int64_t verify_ms; /* how long a VM may take to prove that it came up; 0: 15 minutes */
	void (*event)(void *arg, const struct ff_event *event); /* may be NULL; must not call the engine */
	void *event_arg;
};

/** A new engine. `world` borrowed for its life. Never NULL. */
struct ff_engine *ff_engine_new(const struct ff_world *world, const struct ff_engine_config *config);
void ff_engine_free(struct ff_engine *engine); /* NULL is fine; closes the clouds */

/** Take over an open cloud (closed with the engine). Signing in and discovery begin at the next turn. Returns its
 * number. */
size_t ff_engine_add_scope(struct ff_engine *engine, const struct ff_provider *provider, struct ff_cloud *cloud);

/** The run's id, where it is known only after finding; before ff_engine_repair(). Copied. */
void ff_engine_name(struct ff_engine *engine, const char *run);

enum ff_phase {
	FF_PHASE_FINDING, /* signing in and discovering */
	FF_PHASE_FOUND,	  /* every scope is found or failed: see ff_engine_scope_error() */
	FF_PHASE_WORKERS, /* repair: the workers are being probed (libguestfs can launch); nothing was changed yet */
	FF_PHASE_RUNNING,
	FF_PHASE_ENDED, /* every selected VM has an outcome, or the run was stopped: see result->interrupted, ->broken
			 */
};
enum ff_phase ff_engine_phase(const struct ff_engine *engine);
/** Why a scope could not be found (class AUTH, DENIED, TRANSIENT for unreachable, ...); NULL when it was. Borrowed. */
const struct ff_err *ff_engine_scope_error(const struct ff_engine *engine, size_t scope);
const struct ff_provider *ff_engine_scope_provider(const struct ff_engine *engine, size_t scope);
struct ff_cloud *ff_engine_scope_cloud(const struct ff_engine *engine, size_t scope);
size_t ff_engine_scope_count(const struct ff_engine *engine);

/* One selected VM, and the scope it is of. */
struct ff_selected {
	size_t scope;
	struct ff_vm *vm;
	json_t *facts; /* of ff_provider.recall(), borrowed; NULL: the VM's own */
};

/**
 * What stands against repairing these VMs now: assigns each a fitting rescue VM, or says in `why` (one text a VM, NULL
 * when it can be repaired; array of n owned texts, free each) that none fits. Returns how many can be repaired. Changes
 * nothing.
 */
size_t ff_engine_plan(struct ff_engine *engine, const struct ff_selected *selected, size_t n, char **why);

/* A file of evidence of one VM. Borrowed for the call; must not call the engine. */
typedef void ff_exhibit_fn(void *arg, const char *provider, const struct ff_vm *vm, const struct ff_exhibit *exhibit);

/**
 * Ask the clouds what can be seen of these VMs from outside, and hand each file to `keep`. The phase is FINDING until
 * all was answered, then FOUND again. What cannot be had is said as a warning. Reads only; not after a repair began.
 */
void ff_engine_see(
	struct ff_engine *engine, const struct ff_selected *selected, size_t n, ff_exhibit_fn *keep, void *arg);

/**
 * Begin the flow: journals run and plan, probes the workers, then admits VMs as rescue slots allow. VMs of health
 * FF_SKIPPED and VMs without a fitting rescue VM end as skipped. A flow that repairs nothing needs neither workers nor
 * slots, and takes VMs of any health.
 * @info  what the operator asked for (an object without secrets), written into the run record; borrowed
 */
int ff_engine_repair(
	struct ff_engine *engine, const struct ff_selected *selected, size_t n, const json_t *info, struct ff_err *err);

/**
 * Go on with a run: replay its journal into the engine, let every VM under way look at the cloud, and go on as if
 * nothing had happened. Called instead of ff_engine_repair() when the phase is FF_PHASE_FOUND, with the same scopes
 * added in the same order and config.run and config.recipes as the journal's run record tells them. Records that it
 * writes follow those of the journal: a torn tail has to be cut off the file first, see `sound` of ff_journal_read().
 *
 * VMs that ended stay ended and are part of the result. VMs not yet begun are looked at anew: who is gone, healthy by
 * now or must not be touched ends as skipped. VMs under way go on by what was recorded of them, whatever discovery
 * says of them by now (without its disk a VM looks like one that must not be touched). VMs of a scope that could not
 * be found now stay open. A finished run is at its end at once, and nothing is written.
 *
 * @journal  a torn last record is passed over. Borrowed for the call
 * @return   0, or -1 with err and nothing done: the journal is damaged (byte offset), of another version, program or
 *           run; a scope is of another provider or account (subscription, project) than the recorded one; a
 *           record contradicts those before it
 */
int ff_engine_resume(struct ff_engine *engine, struct ff_source journal, struct ff_err *err);

/** Do everything that can be done now. Never blocks except for the journal's sync. */
void ff_engine_turn(struct ff_engine *engine);

/**
 * The operator's Ctrl-C. First: no new VM is begun, those not yet mended go home, those mended go on; second: nothing
 * further is sent once what is being written is durable.
 */
void ff_engine_interrupt(struct ff_engine *engine);

/** A line from a worker (one JSON value, parsed), and its end. Called by the world. */
void ff_engine_worker_line(struct ff_engine *engine, const char *rescue_name, const json_t *line);
void ff_engine_worker_gone(struct ff_engine *engine, const char *rescue_name, const struct ff_err *why);

/* What became of one selected VM. */
struct ff_ended {
	const char *provider; /* borrowed */
	const struct ff_vm *vm;
	enum ff_outcome outcome;
	const char *reason;    /* borrowed; never NULL */
	const json_t *removed; /* array of {path,size,mtime,sha256}; never NULL */
	const json_t *by_hand; /* stuck: array of commands that bring its disk home, in order; NULL otherwise */
	int64_t took_ms;       /* from its first step to its end */
	enum ff_class class;   /* why it turned home, or was skipped after it was begun; FF_E_NONE otherwise */
	const char *step;      /* where it stands when it has no outcome (interrupted); NULL otherwise */
};
struct ff_result {
	size_t count;
	struct ff_ended *ended;
	bool interrupted;     /* the operator stopped it; some may have no outcome */
	struct ff_err broken; /* class != NONE: the run could not go on (journal, workers); nothing was sent after */
	bool nothing_started; /* no mutating request left */
	size_t missing; /* selected, but the run was cut off before its journal named them: nothing is done to them */
};
/** Valid until the engine is freed; made anew at each call. */
const struct ff_result *ff_engine_result(struct ff_engine *engine);

/* Counts for the live view. */
struct ff_counts {
	size_t selected, waiting, under_way, ended[FF_O_STUCK + 1];
};
void ff_engine_counts(const struct ff_engine *engine, struct ff_counts *counts);

#endif
