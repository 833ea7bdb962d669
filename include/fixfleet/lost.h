/*
 * A run whose folder is lost: which one it is, and on which VMs its recovery may act, by the claims that discovery has
 * read (ff_scope_options.claims).
 *
 *   [find] -> ff_lost_find -> ff_engine_name(engine, lost.run) -> [ask the operator]
 *   -> ff_engine_repair(engine, lost.vms, lost.count, ...) -> ff_lost_release
 */
#ifndef FIXFLEET_LOST_H
#define FIXFLEET_LOST_H

#include <jansson.h>
#include <stddef.h>

#include "fixfleet/engine.h"
#include "fixfleet/err.h"
#include "fixfleet/mem.h"

/* A VM that bears the run's claim, and cannot be brought home by it. */
struct ff_lost_vm {
	size_t scope;
	struct ff_vm *vm;
	struct ff_err why;
};

/* All zero at the begin, but for the run where the operator has named it. */
struct ff_lost {
	const char *run;	 /* borrowed of the operator's words, or of a VM's facts */
	struct ff_selected *vms; /* for ff_engine_repair(); their facts are those below */
	json_t **facts;
	size_t count;
	struct ff_lost_vm *not_offered;
	size_t not_offered_count;
};
/** Frees what is in it; its VMs' facts, too: not before the engine has them. */
void ff_lost_release(struct ff_lost *lost);

/**
 * Find the VMs that bear the run's claim, in every scope that could be read and has a recovery. Of those that are taken
 * `running` is made what the claim says of the time before the run. Asks no cloud.
 * @engine  in FF_PHASE_FOUND; a run that is not named is the one that VMs in its scopes are claimed by
 * @return  0, also where there is no such VM; or -1 with FF_E_USAGE: it is not said which run it is, or that is no
 *          run's id
 */
int ff_lost_find(struct ff_lost *lost, struct ff_engine *engine, struct ff_err *err);

/**
 * The commands that bring such a VM's disk home, where it is known which: appended, in order. Whether it ran is not
 * known then: the command that starts it is among them.
 */
void ff_lost_by_hand(
	const struct ff_lost *lost, struct ff_engine *engine, const struct ff_lost_vm *one, struct ff_strv *commands);

#endif
