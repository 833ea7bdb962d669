/* A run's journal, replayed into the engine's own structures. Used by resume.c alone. */
#ifndef ENGINE_REPLAY_H
#define ENGINE_REPLAY_H

#include "state.h"

/* What is to be known of a VM only until it goes on. */
struct ff_replayed {
	struct ff_vm *vm; /* as the journal tells it; of e->past_vms */
	bool within;	  /* in the row; otherwise between it and the next one */
	bool unknown;	  /* the last request's effect is not known, or it goes on: its repeat is the same request */
	int64_t begun_ms; /* wall, when it was admitted; 0: it was not */
};

struct ff_replay {
	struct ff_engine *e;
	struct ff_replayed *vms; /* one a VM, as e->ones */
	size_t room, scopes;	 /* scopes: how many were named */
	int64_t planned;	 /* VMs of the run by its first record; -1: no record yet */
	bool finished;
};

/** One record after the other, for ff_journal_read(); `replay` is the argument. */
int ff_replay_record(void *replay, const struct ff_node *record, struct ff_err *err);
/** Free what the replay owns; the engine keeps its VMs. */
void ff_replay_release(struct ff_replay *r);

#endif
