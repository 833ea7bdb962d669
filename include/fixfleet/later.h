/*
 * What comes after a repair: on which VMs a rollback or a cleanup may act, by the journal of the run of before and by
 * what was found now.
 *
 *   ff_past_read -> ff_later_check -> [find] -> ff_later_take (each VM that is wanted)
 *   -> ff_engine_repair(engine, later.vms, later.count, ...) -> ff_later_release
 */
#ifndef FIXFLEET_LATER_H
#define FIXFLEET_LATER_H

#include <jansson.h>
#include <stddef.h>

#include "fixfleet/engine.h"
#include "fixfleet/err.h"
#include "fixfleet/journal.h"
#include "fixfleet/provider.h"

/* Whom it is done to. All zero but the flow at the begin. */
struct ff_later {
	enum ff_flow flow;	 /* FF_FLOW_ROLLBACK or FF_FLOW_CLEANUP */
	struct ff_selected *vms; /* for ff_engine_repair(); their facts are those below */
	struct ff_left *left;	 /* one a VM: cleanup: what is to be deleted */
	json_t **facts;
	size_t count;
	struct ff_table *found; /* what was found now, by provider and id; made at the first that is taken */
};
/** Frees what is in it; its VMs' facts, too: not before the engine has them. */
void ff_later_release(struct ff_later *later);

/**
 * May anything follow this run? 0, or -1 with FF_E_USAGE: it is not finished, or of a kind that nothing follows.
 * @named  what `fixfleet resume` takes it by: its id or folder
 */
int ff_later_check(const struct ff_past *past, const char *named, struct ff_err *err);

enum ff_later_verdict {
	FF_LATER_TAKEN,	     /* it is among later->vms now */
	FF_LATER_LEFT_ALONE, /* something was done to it, and what is there now forbids to act: `why` */
	FF_LATER_NOTHING,    /* a cleanup, and there was nothing to mend on it: no thing is left. `why` */
	FF_LATER_NOT_MENDED, /* the run did not mend it, or nobody proved it: it is not touched */
};
/**
 * Take one VM of the run, if it may be. Asks no cloud.
 * @engine  in FF_PHASE_FOUND, with the scopes of the run
 * @vm      one of past->vms
 * @why     filled unless it is TAKEN or NOT_MENDED
 */
enum ff_later_verdict ff_later_take(struct ff_later *later, struct ff_engine *engine, const struct ff_past *past,
	const struct ff_past_vm *vm, struct ff_err *why);

#endif
