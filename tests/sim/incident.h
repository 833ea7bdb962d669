/*
 * An incident: a fleet, what goes wrong, and what must be true all the while and at the end. Made of one seed.
 */
#ifndef TESTS_SIM_INCIDENT_H
#define TESTS_SIM_INCIDENT_H

#include "vw.h"

struct vw_incident_options {
	bool story;	  /* tell every request, fault and record */
	const char *only; /* a random fleet in this cloud alone; NULL: in any */
	/* tried exhaustively: a small fleet of one cloud, and nothing but this. cloud NULL: random, made of the seed */
	const char *cloud;
	enum ff_flow after[2]; /* what comes after the repair; only the last of them is disturbed then */
	unsigned after_count;
	struct vw_break crash;
	bool lost; /* its folder is gone after that */
	struct {
		uint64_t number;
		enum vw_fault_kind kind;
	} faults[2];
	unsigned vms;
	void (*at_request)(struct vw *vw, const struct vw_host *host, bool mutates); /* as in struct vw */
};

struct vw_incident_result {
	bool failed;
	struct ff_buf why; /* texts, a line each */
	uint64_t counts[VW_F_COUNT];
	uint64_t requests, vms, disks_lost;
	uint64_t sends, appends, syncs; /* of the last run: the one that exhaustively tried faults meet */
};

/** Run it. `result` all zero before; free `why` after. */
void vw_incident(uint64_t seed, const struct vw_incident_options *options, struct vw_incident_result *result);

/* ---------------------------------------------------------------- inside: judge.c */

struct vw_incident {
	struct vw *vw;
	const struct vw_incident_options *o;
	struct vw_incident_result *r;
	uint64_t random;		 /* of what is planned, apart from the world's */
	json_t *before;			 /* the model's state at the begin */
	struct ff_table cleaned;	 /* "run cloud name": a cleanup after that run has deleted, or may have */
	struct ff_table touched_by_hand; /* "cloud name" of VMs that a human touched */
	struct ff_table mended_by_hand;	 /* of those, whose bad files a human removed; in all of the incident */
	char *hand;			 /* of those that a human touched, the last one; owned */
	int64_t hand_ms;		 /* when */
	struct ff_table sick;		 /* and of those that can be mended, and are to be */
	bool revoked;
	bool operations_lost;		     /* before the faults were counted anew: some of them end late or never */
	unsigned second;		     /* run of a second operator, in the repair */
	bool beside;			     /* two operators are at it now */
	bool lost[VW_HOSTS_MAX];	     /* its folder is, or was: it is brought home by its tags */
	struct ff_table words[VW_HOSTS_MAX]; /* "cloud name" -> struct vw_words: of what has crashed */
	struct vw_ends { /* when each VM of a run ended, for who was the last: 1, 2, ..; 0: not (yet) */
		unsigned *order;
		size_t count, ended;
	} ends[VW_HOSTS_MAX];
	unsigned last_end;
	struct vw_waves { /* what each operator asked for, and whom his run has begun */
		unsigned canary, max_failures, max_failures_percent;
		struct ff_table known, begun; /* "cloud name" of all that its changes named, to when; "cloud id" */
	} waves[VW_HOSTS_MAX];
};
/* What a run that crashed had to say of a VM until then. Of `ended` only outcome, reason and step are there. */
struct vw_words {
	struct ff_ended ended; /* without an outcome: it was under way at this step */
	char *reason;	       /* owned */
	unsigned order;
};
#define VW_LATER_MAX 2
/* What comes after a run: who does what then, one operator or two, and the model's state before it. */
struct vw_later {
	const struct ff_past *past; /* of the run of before */
	bool all;	     /* nobody else had a hand in it: each that is meant and was repaired is to be taken */
	const json_t *first; /* the model's state before the run of before */
	json_t *before;
	struct vw_doing {
		enum ff_flow flow; /* a rollback of that run or a cleanup after it; a new repair of the fleet */
		uint64_t meant;	   /* not of a repair */
		const struct vw_host *host;
		const struct ff_result *r; /* at rest */
	} by[VW_LATER_MAX];
	size_t count;
};

void vw_wrong(struct vw_incident *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** After every step: the model's own violations, requests without intent. */
void vw_judge_step(struct vw_incident *i);
/** At rest after a repair. */
void vw_judge_end(struct vw_incident *i);
/** Is the disk, when `same_disk`, and its attachment as they were? false: said. */
bool vw_judge_attached(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, bool same_disk);
/** No tag of others is lost, and no claim is left but what `e` says. */
void vw_judge_tags(
	struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, const struct ff_ended *e);
/** A VM that is said to be stuck: is there a cause? */
void vw_judge_stuck(struct vw_incident *i, const char *cloud, const json_t *is, const struct ff_ended *e);
/** A lost run's claim that may have been carried out long after: only its journal would have known of it. */
bool vw_is_late(const struct vw_incident *i, const char *run);
bool vw_by_hand(const struct vw_incident *i, const char *cloud, const char *name);
bool vw_says(const struct ff_ended *e, const char *word);
/** So little went wrong that everything is to come to its good end. */
bool vw_was_mild(const struct vw_incident *i);
bool vw_any_fault(const struct vw_incident *i);
struct vw_disk *vw_content_of(const struct vw_incident *i, const json_t *vm);
const json_t *vw_vm_named(const json_t *vms, const char *name);

/* ---------------------------------------------------------------- inside: judge_later.c */

/** At rest after a rollback or a cleanup, and what a second operator did meanwhile. */
void vw_judge_later(struct vw_incident *i, struct vw_later *later);
/** What the n-th operator's run says of the VM with that id, or of that name; NULL: nothing. Borrowed. */
const struct ff_ended *vw_later_end(const struct vw_later *later, size_t n, const char *cloud, const char *what);
/** What the run of before says of it; NULL: nothing. Borrowed. */
const struct ff_past_vm *vw_past_of(const struct ff_past *past, const struct ff_ended *e);
/** Is it the VM with that name, that id, or an id that ends with its name? */
bool vw_is_it(const struct ff_ended *e, const char *cloud, const char *what);

/* ---------------------------------------------------------------- inside: judge_things.c */

/* A list of things that runs leave or make, in the model's state. */
struct vw_kind {
	const char *cloud, *list, *id, *holder, *tags; /* holder NULL: it is attached to nothing, ever */
};
/** Of the disks that VMs of that cloud have. */
const struct vw_kind *vw_disks_of(const char *cloud);
/** Borrowed; NULL: none. */
const json_t *vw_thing(const json_t *state, const struct vw_kind *kind, const char *member, const char *value);
/** A change leaves: of a cleanup's hosts only deletions do, of what is attached to nothing. */
void vw_later_hear(
	struct vw_incident *i, const struct vw_later *later, const struct vw_host *host, const struct ff_ask *ask);
/** What is gone and what is new, by the state as it is now. */
void vw_judge_things(struct vw_incident *i, const struct vw_later *later, const json_t *now);
/** Of a rollback whose folder was lost: nothing is gone, and what is left over can be found by its tag. */
void vw_judge_lost_things(struct vw_incident *i, const struct vw_later *later, const json_t *now);

/* ---------------------------------------------------------------- inside: lost.c */

/** The host is about to crash: what has its run said of its VMs? */
void vw_lost_note(struct vw_incident *i, const struct vw_host *host);
/** Its folder is gone, too: from here on the run is brought home by its tags. */
void vw_lost_begin(struct vw_incident *i, struct vw_host *host);
void vw_lost_free(struct vw_incident *i);
/** What the run of a lost folder had said of the VM; NULL: nothing, or its folder is there. Borrowed. */
const struct vw_words *vw_lost_words(const struct vw_incident *i, size_t h, const char *cloud, const char *name);
/** It was under way, and nobody can say any more whether its claim was given back. */
bool vw_lost_was_released(const struct vw_words *words);
/** The recovery is about to begin: is every VM that bears the claim taken? */
void vw_lost_judge_found(struct vw_incident *i, const struct vw_host *host);
/** At rest, of a VM that a lost run had begun: is what it has as its OS disk a whole one, and without a claim? */
void vw_lost_judge_home(struct vw_incident *i, const char *cloud, const json_t *is);
void vw_lost_judge_disk(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is,
	const struct ff_ended *e, const json_t *state);
/** A snapshot that a lost run has made is found by its tag alone. */
void vw_lost_judge_snapshot(struct vw_incident *i, const char *cloud, const json_t *snapshot);
/** Is that what it may end as, where hardly anything went wrong? NULL: nobody says anything of it. */
bool vw_lost_is_well(const struct vw_incident *i, const struct ff_ended *e);

/* ---------------------------------------------------------------- inside: plan.c */

/** A number below that, of the plan's own: what the engine draws does not change the plan. */
uint64_t vw_draw(struct vw_incident *i, uint64_t below);
bool vw_chance(struct vw_incident *i, unsigned percent);
/** A scenario; its disks are made, and i->sick is filled. Owned. */
json_t *vw_plan_fleet(struct vw_incident *i, uint64_t seed);
void vw_plan_waves(struct vw_incident *i, struct vw_waves *w);
/** Faults at requests and workers, and a permission that is revoked. `later`: for what comes after a repair. */
void vw_plan_faults(struct vw_incident *i, bool later);

/* ---------------------------------------------------------------- inside: waves.c */

/** A change leaves: whom does it begin, and may it? */
void vw_waves_hear(struct vw_incident *i, const struct vw_host *host, const char *cloud, const struct ff_ask *ask);
/** When a change that names that VM left the host last; INT64_MIN: none did. */
int64_t vw_waves_named_ms(const struct vw_waves *w, const char *cloud, const char *name, const char *id);
/** Did so many of that cloud's VMs fail in the host's run, of which that is the result, that none of them may be begun
 * any more? */
bool vw_waves_closed(const struct vw_incident *i, size_t h, const struct ff_result *r, const char *cloud);

#endif
