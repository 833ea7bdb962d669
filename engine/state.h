/*
 * What the engine keeps, and what its files offer one another. One file a topic:
 *
 *   engine.c    the calling sequence of fixfleet/engine.h and the turn
 *   session.c   signing in and discovery, a scope each     see.c      evidence: what can be seen from outside
 *   call.c      one request's life: budgets, answers, repeats          send.c     signing and sending
 *   budgets.c   the buckets that requests wait for
 *   driver.c    a VM's way through the table: look, act, poll          verdict.c  what a verdict does to a VM
 *   look.c      looks, one VM or many in a request
 *   act.c       groups of VMs in one request, and its operation        home.c     going home, and ends
 *   repair.c    a VM's disk at the worker                              keep.c     the files it removes
 *   worker.c    the workers themselves                             keys.c     keys for encrypted volumes
 *   schedule.c  rescue VMs, slots, admission                           record.c   the journal's records
 *   wave.c      canaries, doubling, too many failures
 *   resume.c    going on with a run: its VMs and the cloud             replay.c   its records, one after the other
 *   later.c     whom a rollback or a cleanup is done to
 *   lost.c      whom the recovery of a run without its folder is done to
 */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "table.h"
#include "tasks.h"

#include "fixfleet/engine.h"
#include "fixfleet/journal.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define FF_PATIENCE_MS	       (15 * 60 * 1000) /* of a step, unless its row says otherwise */
#define FF_REPAIR_PATIENCE_MS  (30 * 60 * 1000) /* of the worker for one disk */
#define FF_PROBE_PATIENCE_MS   (5 * 60 * 1000)	/* of the worker's first appliance */
#define FF_FINDING_PATIENCE_MS 20000		/* of a request while nothing was begun: the operator sits there */
#define FF_IN_FLIGHT_MAX       128		/* requests of one scope at once */
#define FF_HELD_MAX	       256		/* beside them, those whose answers the cloud holds back */
#define FF_ROUNDS_MAX	       8		/* uncertain looks, and acts that had no effect, in one step */
#define FF_ROWS_MAX	       64		/* of a table: the sets below are bits of a uint64_t */

struct ff_call;
struct ff_call_queue {
	struct ff_call *head, *tail;
};

/* One open cloud. */
struct ff_scope {
	const struct ff_provider *provider;
	struct ff_cloud *cloud;
	size_t number;
	struct ff_task task; /* signing in, then discovery */
	enum { FF_SCOPE_FINDING, FF_SCOPE_FOUND, FF_SCOPE_FAILED } state;
	struct ff_err error;
	/* signing in */
	bool signed_in, signing_in;
	bool refused; /* the last signing in failed for good; `error_login` says why */
	struct ff_err error_login;
	unsigned login_number;	     /* counts successes: which token a request carried */
	int64_t renew_not_before_ms; /* mono: a cloud that hands out short tokens must not keep us signing in */
	int64_t login_began_ms;
	unsigned login_tries, login_asks; /* of this signing in */
	bool login_out;			  /* one of its requests is out */
	size_t asks_out;		  /* of discovery */
	struct ff_call_queue for_login;
	/* room for requests: [1] for those whose answers are held back, which the others never wait for */
	struct ff_room {
		unsigned in_flight;
		struct ff_call_queue waiting;
	} room[2];
	/* the table */
	const int *order;	/* of the flow's rows */
	int count;		/* of them */
	int repair_at;		/* index into order of the row that repairs; -1: none */
	int slot_row;		/* the row that frees the rescue slot; FF_STEP_NONE */
	struct ff_pool **pools; /* by row; see look.c; NULL before the first */
	struct ff_wave *wave;
};

/* How far a provider has come, over all its scopes. */
struct ff_wave {
	const struct ff_provider *provider;
	size_t selected, under_way, well, failures; /* well: came to a good end */
	bool closed;				    /* too many of them: those who waited have been told */
};

struct ff_one;
struct ff_one_queue {
	struct ff_one *head, *tail;
	size_t count;
};

/* A worker process, known by its rescue VM's name. */
enum ff_worker_state { FF_WORKER_UNKNOWN, FF_WORKER_PROBING, FF_WORKER_READY, FF_WORKER_UNUSABLE };
struct ff_worker {
	char *name;
	enum ff_worker_state state;
	bool hello;	     /* the first line came from the process that runs now */
	bool killed;	     /* we ended it, and wait to hear of it */
	unsigned deaths;     /* without a job done in between */
	struct ff_task task; /* the probe's patience */
	struct ff_err why;
	struct ff_job *jobs, *suspects; /* at the worker; to be tried again, one at a time */
	struct ff_job *held;		/* new ones that wait until no suspect is left */
	struct ff_job *testing;		/* the suspect that is open now; also in `jobs` */
};

/* A disk at the worker. */
struct ff_job {
	struct ff_one *one;
	struct ff_worker *worker;
	struct ff_job *next, *prev, **list;
	struct ff_task task; /* patience */
	bool begun;	     /* its appliance is up: if the worker dies, this disk may be why */
	bool alone;	     /* tried again, with no other disk beside it */
	bool hung;	     /* it had its chance: not again */
	bool kept_sent;	     /* the worker may write to the copy now */
	bool mended, dropped;
	char *drop_why;
	json_t *manifest; /* of keep-end; owned; NULL before */
	json_t *keeping;  /* array of {path,size,sha256}: what came so far */
	void *digest;	  /* EVP_MD_CTX of the file that is coming */
	int64_t kept_bytes;
	struct ff_job *next_kept; /* waiting for the journal before "kept" is said */
};

/* A rescue VM. */
struct ff_rescue {
	struct ff_scope *scope;
	const struct ff_vm *vm;
	size_t number; /* from 1: as the journal names it */
	json_t *facts; /* owned; shared by all VMs on it */
	struct ff_worker *worker;
	bool usable, recorded;
	bool proven; /* its worker has mended a disk, or seen that there was nothing to mend */
	uint8_t used[FF_SLOTS_MAX];
	unsigned slots, free, planned;
	unsigned slots_usable, slots_lost; /* free at the start; of those, left occupied by a VM that ended */
	struct ff_one_queue waiting;
	struct ff_one_queue door; /* begun ahead of a free slot, and ready for one */
	unsigned ahead;		  /* begun, and have no slot yet; those at the door are among them */
	struct ff_one *mates;	  /* under way on it: admitted, and not ended */
};

enum ff_one_state {
	FF_ONE_WAITING, /* for a slot */
	FF_ONE_LOOKING, /* a look is out */
	FF_ONE_QUEUED,	/* in its group */
	FF_ONE_ACTING,	/* an act or its operation is out */
	FF_ONE_PAUSED,	/* its task says when it goes on */
	FF_ONE_REPAIR,	/* at the worker */
	FF_ONE_ENDED,
	FF_ONE_LEFT, /* resumed: its cloud could not be read, so it stays as it is */
};

/* One selected VM on its way. 10,000 of them are normal: texts only where there is one. */
struct ff_one {
	struct ff_task task;
	struct ff_scope *scope;
	const struct ff_vm *vm;
	const struct ff_vm *found; /* resumed while under way: as it was found now; NULL: not found, or begun now */
	json_t *facts;		   /* owned */
	json_t *removed;
	json_t *by_hand; /* stuck: commands; owned; NULL otherwise */
	json_t *kept; /* resumed: files that the worker may have removed before; owned; NULL: it surely removed none */
	struct ff_rescue *rescue;
	struct ff_one *next, *prev;	      /* in the rescue VM's, the group's or the pool's queue */
	struct ff_one *mate_next, *mate_prev; /* under way on the same rescue VM */
	struct ff_group *group;		      /* while queued */
	struct ff_pool *pool;		      /* while it waits to look together with others, */
	int64_t due_ms;			      /* at that time */
	struct ff_job *job;
	char *reason; /* why it goes home, with what was left over */
	char *last;   /* what the cloud said last in this step, for when patience ends */
	int64_t began_ms, until_ms, queued_ms;
	int64_t looked_ms; /* when the last look of this row left */
	int64_t took_ms;
	uint64_t attempted; /* order's indexes whose effect may be there */
	uint64_t undone;    /* undo rows that ran */
	unsigned number;    /* from 1: as the journal and the worker name it */
	int slot;
	int16_t at, row;	      /* index into order; row of the table, FF_STEP_NONE before the first */
	uint8_t state;		      /* enum ff_one_state */
	uint8_t outcome, goal, class; /* class: enum ff_class, why it turned home or was skipped */
	uint8_t rounds, pauses, unseen;
	uint8_t kept_times; /* resumed: how often files were kept before */
	uint8_t drawn;	    /* tokens that this row's next act has: it looks again when its turn has come */
	bool planned : 1;
	bool homeward : 1;   /* walking back */
	bool tail : 1;	     /* its disk is home, something after failed: only what tidies up is still done */
	bool touched : 1;    /* a mutating request may have had an effect */
	bool repaired : 1;   /* the worker mended the disk */
	bool put_back : 1;   /* the mended disk is home */
	bool away : 1;	     /* its disk is not, by the last look, where it has to be by now */
	bool confirmed : 1;  /* act or its operation said done; LOOK_AFTER is still to agree */
	bool same_token : 1; /* the last act's effect is unknown: a repeat is the same request */
	bool alone : 1;	     /* not in a group: it was refused with others */
	bool look_alone : 1; /* looks by itself */
	bool then_act : 1;   /* after the pause act, not look */
	bool busy : 1;	     /* the last act met another operation: the next one does not count as a round */
	bool no_slot : 1;    /* begun ahead of a free slot: it counts as `ahead` of its rescue VM */
	bool at_door : 1;    /* ready for a slot, and waits for one in the rescue VM's queue or has just got it */
	bool slot_held : 1;  /* the slot is its own */
	bool slot_used : 1;  /* something may be attached there */
	bool late : 1;	     /* patience ended */
	bool told : 1;	     /* said why this row takes so long */
	bool turning : 1;    /* the operator wants it home when this step is over */
	uint16_t attempts;
	char token[37];
};

/* Acts with equal keys, one at a time. */
struct ff_group {
	struct ff_task task;
	struct ff_scope *scope;
	char *key; /* in engine->groups */
	struct ff_one_queue ready;
	bool busy;
};

struct ff_engine {
	const struct ff_world *world;
	char *run, *run_dir, *dev_root, *of, *by;
	bool take_over;
	enum ff_flow flow;
	const json_t *recipes;
	const struct ff_key_source *keys;
	size_t key_source_count;
	char *key_secret;
	struct ff_hunt *hunts; /* keys that are being looked for */
	bool journal;
	unsigned parallel, max_failures, max_failures_percent, canary;
	struct ff_wave **waves;
	size_t wave_count;
	int64_t verify_ms, disk_timeout_ms;
	bool discard_hibernation;
	void (*event)(void *arg, const struct ff_event *event);
	void *event_arg;

	enum ff_phase phase;
	struct ff_tasks tasks;
	struct ff_scope **scopes;
	size_t scope_count;
	struct ff_rescue **rescues;
	size_t rescue_count;
	struct ff_one_queue ready; /* waiting, and no rescue VM is needed */
	struct ff_worker **workers;
	size_t worker_count, probing;
	struct ff_one *ones;
	size_t one_count, under_way, waiting;
	size_t ended[FF_O_STUCK + 1];
	bool admit;	       /* something became free: look for whom to begin */
	bool forsake;	       /* a rescue VM cannot be used any more */
	struct ff_call *calls; /* all, for the end of the engine */
	struct ff_act *acts;
	struct ff_looking *lookings;
	struct ff_seeing *seeings;
	size_t seeing_count, seeing; /* VMs looked at from outside; of them, not yet seen */
	ff_exhibit_fn *exhibit;
	void *exhibit_arg;

	struct ff_table budgets, groups;
	size_t budgets_sweep_at;
	struct ff_call_queue outbox; /* to be sent at the end of the turn */
	struct ff_job *kept_head, *kept_tail;

	struct ff_chain chain;
	struct ff_buf lines; /* records not yet appended */
	bool unsynced;	     /* records appended and not yet durable, or still in `lines` */

	unsigned interrupts;
	bool interrupt_heard; /* by the VMs */
	json_t *no_files;     /* an empty array, for results */
	bool stopped;	      /* nothing is sent any more */
	bool started;	      /* a mutating request left */
	struct ff_err broken;
	struct ff_result result;
	size_t missing;		 /* selected VMs that the journal does not name */
	struct ff_vm **past_vms; /* resumed: VMs as the journal tells them */
	size_t past_count;
};

#define FF_PROGRAM "fixfleet " FF_VERSION

static inline int64_t ff_now(const struct ff_engine *e)
{
	return e->world->mono_ms(e->world->self);
}

/* ---------------------------------------------------------------- engine.c */

void ff_say(struct ff_engine *e, enum ff_event_kind kind, const struct ff_scope *scope, const struct ff_vm *vm,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/** The run cannot go on. The first reason counts. */
void ff_engine_break(struct ff_engine *e, const struct ff_err *why);
/** Free what the VM owns; it is to be written anew or forgotten. */
void ff_one_release(struct ff_engine *e, struct ff_one *one);
/** Free what is kept of VMs. */
void ff_engine_forget_ones(struct ff_engine *e);
/** A key for a table of VMs, ids without case as Azure needs it. The caller frees. */
char *ff_vm_key(const char *whose, const char *id);
/** A random number in [0, below); below > 0. */
uint64_t ff_engine_random(struct ff_engine *e, uint64_t below);

/* ---------------------------------------------------------------- call.c, send.c */

/* What came of a request, for the one who asked. Borrowed for the call. */
struct ff_reply {
	enum ff_class class; /* FF_E_NONE: success. Retries, where they were right, are done */
	struct ff_err err;
	const struct ff_ask *ask;
	const struct ff_answer *answer; /* NULL: it was never sent (`err` says why) */
	int64_t held_ms;		/* it waited that long by order: budgets, Retry-After, signing in */
	size_t drawn;			/* never sent: tokens of the ask's first costs that it has drawn */
};
typedef void ff_replied_fn(struct ff_engine *e, void *owner, const struct ff_reply *reply);

struct ff_call_options {
	struct ff_scope *scope;
	const struct ff_vm *vm; /* for what is said about it; may be NULL */
	const char *what;	/* "stop", "sign in"; borrowed, static */
	bool sign;		/* false: signing in itself */
	size_t drawn;		/* tokens of the first costs that were drawn for it already */
	int64_t until_ms;	/* patience for repeats; waits by order prolong it */
	/**
	 * Called once, when nothing but the journal keeps it from leaving: may change the ask (more members), and
	 * writes the intent. 0, or -1 with err: it does not leave. NULL: nothing to do.
	 */
	int (*leaving)(struct ff_engine *e, void *owner, struct ff_ask *ask, struct ff_err *err);
	/**
	 * Asked before each sending, repeats too: must it not leave any more? Then it ends without an answer, and the
	 * reply says what it has drawn: that is for the request that comes instead. NULL: never.
	 */
	bool (*stale)(struct ff_engine *e, void *owner);
	ff_replied_fn *replied; /* called once, from a task of its own */
	void *owner;
};
/** Begin a request; `ask` is moved. Never calls back before it returns. */
void ff_call_start(struct ff_engine *e, const struct ff_call_options *options, struct ff_ask *ask);
/** The calls that waited for this scope's signing in go on: it succeeded, or with why it did not. */
void ff_calls_signed_in(struct ff_engine *e, struct ff_scope *scope, const struct ff_err *why);
/** Send what waits in the outbox, after making the journal durable where that is needed. */
void ff_calls_send(struct ff_engine *e);
void ff_calls_release(struct ff_engine *e);
/** Full jitter: a random wait up to base doubled `tries` times, at most cap. */
int64_t ff_jitter_ms(struct ff_engine *e, unsigned tries);

/* ---------------------------------------------------------------- budgets.c */

struct ff_bucket;
/** 0: the token of ask->costs[i] is taken. 1: the call waits, and is queued when it is its turn. */
int ff_budgets_draw(struct ff_engine *e, struct ff_call *call, size_t i);
/** Was one of the buckets it drew on closed by a Retry-After since? */
bool ff_budgets_closed(struct ff_engine *e, const struct ff_call *call);
/** Let the buckets learn from an answer. `class` is what judge() said. */
void ff_budgets_learn(struct ff_engine *e, const struct ff_ask *ask, enum ff_class class, const struct ff_hint *hint,
	int64_t sent_ms);
void ff_budgets_free(struct ff_engine *e);

/* ---------------------------------------------------------------- session.c */

void ff_session_begin(struct ff_engine *e, struct ff_scope *scope);
/** A request needs a token: true when there is a good one; otherwise signing in was begun (or goes on). */
bool ff_session_ready(struct ff_engine *e, struct ff_scope *scope);
/** A token was refused. `login_number` is the one it was sent with. */
void ff_session_refused(struct ff_engine *e, struct ff_scope *scope, unsigned login_number);

/* ---------------------------------------------------------------- see.c */

void ff_seeings_free(struct ff_engine *e);

/* ---------------------------------------------------------------- driver.c, verdict.c */

const struct ff_step *ff_one_row(const struct ff_one *one);
static inline bool ff_row_is_repair(const struct ff_one *one)
{
	return ff_one_row(one)->kind == FF_STEP_REPAIR;
}

void ff_one_member(struct ff_engine *e, const struct ff_one *one, struct ff_member *m);
/** Its slot is there: begin. */
void ff_one_begin(struct ff_engine *e, struct ff_one *one);
/** The row is done (or passed over): on to the next, in the direction it goes. */
void ff_one_next(struct ff_engine *e, struct ff_one *one);
/** After that many milliseconds (0: the back-off) look again, or act again. Fails the step when patience is over. */
void ff_one_pause(struct ff_engine *e, struct ff_one *one, int64_t wait_ms, bool then_act);
/** The task of a VM: its pause is over. */
void ff_one_run(struct ff_engine *e, struct ff_task *task);
void ff_one_step_done(struct ff_engine *e, struct ff_one *one);
/** With the row it stands in done: is the mended disk home? Is nothing of it on the rescue VM any more? */
bool ff_one_puts_disk_back(const struct ff_one *one);
bool ff_one_frees_slot(const struct ff_one *one);
/** A request of the row it stands in leaves: its effect may be there from now on. */
void ff_one_attempt(struct ff_one *one);
/** The row's effect was there already: it may have to be taken back on the way home, whoever did it. */
void ff_one_found_done(struct ff_one *one);
/** Resumed, in the middle of a row: look, then decide. */
void ff_one_go_on(struct ff_engine *e, struct ff_one *one);
/** Is a row with the act of `row` ahead of it, with no run of the worker in between? */
bool ff_one_comes_soon(struct ff_engine *e, const struct ff_one *one, const struct ff_step *row);
/** Patience is over: -1, and why in words. */
int ff_one_late(struct ff_engine *e, struct ff_one *one, struct ff_err *err);
/** Remember what the cloud said, for when patience ends. */
void ff_one_heard(struct ff_one *one, const struct ff_err *err);

void ff_one_looked(struct ff_engine *e, struct ff_one *one, struct ff_verdict *v);
/** After act or poll, once the VM has left the act: not for STARTED and WAIT of a poll. */
void ff_one_acted(struct ff_engine *e, struct ff_one *one, const struct ff_verdict *v, bool from_poll);
void ff_verdict_release(struct ff_verdict *v);
/** Merge the patches of a verdict into the facts; `first`: those of the rescue VM count. */
void ff_one_learn(struct ff_one *one, const struct ff_verdict *v, bool first);

/* ---------------------------------------------------------------- look.c */

/** Can the cloud be asked whether the row's effect is there? */
bool ff_row_looks(const struct ff_step *row);
/** Look now, alone or with others; where the row has no look: act. */
void ff_one_look(struct ff_engine *e, struct ff_one *one);
/** Pause until then (mono), and look. */
void ff_look_at(struct ff_engine *e, struct ff_one *one, int64_t at_ms);
/** It does not wait to look any more; nothing happens when it did not. Its task is the caller's. */
void ff_look_forget(struct ff_engine *e, struct ff_one *one);
void ff_looks_free(struct ff_engine *e);

/* ---------------------------------------------------------------- act.c */

/** Act on it, alone or with its group. */
void ff_one_act(struct ff_engine *e, struct ff_one *one);
/** Out of the group's queue again; only while FF_ONE_QUEUED. */
void ff_one_leave_group(struct ff_engine *e, struct ff_one *one);
void ff_acts_free(struct ff_engine *e);

/* ---------------------------------------------------------------- home.c */

/** The step failed for good. Decides between ending, going on and going home; the rules are in home.c. */
void ff_one_fail(struct ff_engine *e, struct ff_one *one, const struct ff_err *err);
/** Walk back from the row it stands in. */
void ff_one_turn_home(
	struct ff_engine *e, struct ff_one *one, enum ff_outcome goal, enum ff_class class, const char *why);
bool ff_is_failure(enum ff_outcome outcome);
void ff_one_end(struct ff_engine *e, struct ff_one *one, enum ff_outcome outcome, const char *reason);
/** May the operator still have it home as it was? Not once the disk that it keeps is mended or in place. */
bool ff_one_may_turn(const struct ff_engine *e, const struct ff_one *one);
/** The row that takes the VM down was attempted, or one behind it: it is not what it was found as any more. */
bool ff_one_taken_down(const struct ff_one *one);
/** The operator wants what is not mended home. */
void ff_one_interrupt(struct ff_engine *e, struct ff_one *one);

/* ---------------------------------------------------------------- repair.c, keep.c, worker.c */

void ff_job_start(struct ff_engine *e, struct ff_one *one);
void ff_job_drop(struct ff_engine *e, struct ff_one *one);
/** The worker mended its disk; `files` is what it removed, borrowed. */
void ff_one_mended(struct ff_one *one, json_t *files);
/** Tell the worker to leave the disk alone; the VM goes home with `why` when it has answered. */
void ff_job_give_up(struct ff_engine *e, struct ff_job *job, const char *why);
/** "keep" and "keep-end" lines. */
void ff_keep_piece(struct ff_engine *e, struct ff_job *job, const json_t *line);
void ff_keep_end(struct ff_engine *e, struct ff_job *job, const json_t *line);
/** Both lists of files as one; who is in both is told as in the second. Either may be NULL. A new array. */
json_t *ff_kept_with(const json_t *before, const json_t *now);
/** As if the worker had said nothing yet. */
void ff_keep_reset(struct ff_job *job);
/** It does not wait for "kept" any more. */
void ff_keep_forget(struct ff_engine *e, struct ff_job *job);
void ff_job_line(struct ff_engine *e, struct ff_worker *w, const char *event, const json_t *line);
/** Its worker is gone: `why`. Tried again, or its VM goes home. */
void ff_job_orphaned(struct ff_engine *e, struct ff_job *job, const struct ff_err *why);
/** Say "kept" to those whose keep-end is durable now. */
void ff_jobs_say_kept(struct ff_engine *e);
void ff_job_free(struct ff_engine *e, struct ff_job *job);
/** Hand it to the worker now. */
void ff_job_send(struct ff_engine *e, struct ff_job *job);
void ff_job_fail(struct ff_engine *e, struct ff_job *job, enum ff_class class, const char *why);

struct ff_worker *ff_worker_of(struct ff_engine *e, const char *name);
struct ff_worker *ff_worker_find(struct ff_engine *e, const char *name);
void ff_worker_probe(struct ff_engine *e, struct ff_worker *w);
/** Take the job: now, or when no suspect is left. */
void ff_worker_take(struct ff_engine *e, struct ff_worker *w, struct ff_job *job);
/** A job was answered or given up: the next suspect, or those that were held. */
void ff_worker_go_on(struct ff_engine *e, struct ff_worker *w);
int ff_worker_say(struct ff_engine *e, struct ff_worker *w, const json_t *line, struct ff_err *err);
/** What it says makes no sense: end it. */
void ff_worker_distrust(struct ff_engine *e, struct ff_worker *w, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ff_workers_free(struct ff_engine *e);
void ff_job_list_add(struct ff_job **list, struct ff_job *job);
void ff_job_list_remove(struct ff_job *job);

/* ---------------------------------------------------------------- keys.c */

/** The worker needs a key for a volume of that disk. */
void ff_key_wanted(struct ff_engine *e, struct ff_job *job, const json_t *line);
void ff_hunts_free(struct ff_engine *e);
/** Is there any source that would be asked for a key of this VM's volumes? */
bool ff_keys_asked(const struct ff_engine *e, const struct ff_one *one);

/* ---------------------------------------------------------------- schedule.c */

/** Know all rescue VMs of the found scopes; once. */
void ff_rescues_find(struct ff_engine *e);
void ff_rescues_free(struct ff_engine *e);
/** A rescue VM that discovery does not show; no VM is begun on it. `vm` is borrowed. */
struct ff_rescue *ff_rescue_restore(struct ff_engine *e, struct ff_scope *scope, const struct ff_vm *vm);
/** Assign the fitting rescue VM with the most room, or NULL with the reason (why owned). */
struct ff_rescue *ff_rescue_choose(struct ff_engine *e, struct ff_scope *scope, const struct ff_vm *vm, char **why);
/** The VM needs no rescue VM: it is begun when --parallel allows. */
void ff_ready_enlist(struct ff_engine *e, struct ff_one *one);
/** The VM waits for a slot of it; its worker is probed when it was not yet. */
void ff_rescue_enlist(struct ff_engine *e, struct ff_rescue *rescue, struct ff_one *one);
/** A rescue VM that cannot be used any more: who waits for it goes to another, or ends as skipped. */
void ff_worker_lost(struct ff_engine *e, struct ff_worker *w);
/** Give those who wait for a rescue VM that is lost to another, or end them as skipped. */
void ff_schedule_forsake(struct ff_engine *e);
/** Begin whom slots, --parallel and --max-failures allow. */
void ff_schedule_admit(struct ff_engine *e);
/** The slot that it has by the journal is its own again, or was and is lost. */
void ff_slot_retake(struct ff_one *one);
/** Its worker did what it is for. */
void ff_rescue_proven(struct ff_engine *e, struct ff_rescue *rescue);
/** It comes to the row that needs its slot: true when it has one; otherwise its task runs when it has. */
bool ff_slot_enter(struct ff_engine *e, struct ff_one *one);
/** It goes another way, or ends: it wants no slot any more. */
void ff_slot_forget(struct ff_one *one);
void ff_slot_release(struct ff_engine *e, struct ff_one *one);
/** Nothing may be put there in this run: something may still be attached. */
void ff_slot_lose(struct ff_engine *e, struct ff_one *one);

/** It is under way on its rescue VM; it is not any more. */
void ff_mates_join(struct ff_one *one);
void ff_mates_leave(struct ff_one *one);

void ff_one_queue_add(struct ff_one_queue *q, struct ff_one *one);
void ff_one_queue_remove(struct ff_one_queue *q, struct ff_one *one);

/* ---------------------------------------------------------------- wave.c */

/** The wave of that provider, made when it is the first of its scopes. */
struct ff_wave *ff_wave_of(struct ff_engine *e, const struct ff_provider *provider);
void ff_waves_free(struct ff_engine *e);
/** May one more of its VMs begin? */
bool ff_wave_lets(const struct ff_engine *e, const struct ff_wave *wave);
/** It is under way; it is not any more. */
void ff_wave_join(struct ff_one *one);
void ff_wave_leave(struct ff_one *one);
/** What came of it; when it ends now, with what there is to say. */
void ff_wave_count(struct ff_wave *wave, enum ff_outcome outcome);
void ff_wave_ended(struct ff_engine *e, const struct ff_one *one, enum ff_outcome outcome);
/** End those who wait where too many failed. */
void ff_waves_close(struct ff_engine *e);
/* Is it one that nothing was changed of yet, and now nothing may be? Then ff_wave_bar() is its end. */
bool ff_wave_bars(const struct ff_engine *e, const struct ff_one *one);
void ff_wave_bar(struct ff_engine *e, struct ff_one *one);

/* ---------------------------------------------------------------- resume.c */

void ff_past_vms_free(struct ff_engine *e);

/* ---------------------------------------------------------------- record.c */

/** Write the record at the end of the turn; `record` is stolen. */
void ff_record(struct ff_engine *e, json_t *record);
/** A new record of that kind; with a VM's number when one is given. */
json_t *ff_record_new(const char *kind, const struct ff_one *one);
/** Append what was written, and make it durable. 0, or -1 and the engine is broken. */
int ff_record_flush(struct ff_engine *e, bool durable);
/** After each of many records: append them when there are too many to keep. Not durable before the next flush. */
void ff_record_relieve(struct ff_engine *e);
void ff_record_run(struct ff_engine *e, const json_t *info);
void ff_record_rescue(struct ff_engine *e, struct ff_rescue *rescue);
void ff_record_plan(struct ff_engine *e, const struct ff_one *one);
void ff_record_admit(struct ff_engine *e, const struct ff_one *one);
void ff_record_slot(struct ff_engine *e, const struct ff_one *one);
void ff_record_intent(struct ff_engine *e, struct ff_one *const *ones, size_t n, const struct ff_ask *ask);
/** `of` is "look", "act" or "poll". */
void ff_record_result(
	struct ff_engine *e, const char *of, struct ff_one *const *ones, size_t n, const struct ff_verdict *v);
void ff_record_lost(
	struct ff_engine *e, const char *of, struct ff_one *const *ones, size_t n, const struct ff_err *why);
void ff_record_step(struct ff_engine *e, const struct ff_one *one);
void ff_record_turn(struct ff_engine *e, const struct ff_one *one, enum ff_class class, const char *why);
/** The row failed, and the VM goes on without it. */
void ff_record_miss(struct ff_engine *e, const struct ff_one *one, const struct ff_err *err);
void ff_record_end(struct ff_engine *e, const struct ff_one *one);
void ff_record_resume(struct ff_engine *e);
/** Whose resources its cloud has; NULL: not known. Borrowed. */
const char *ff_scope_account(const struct ff_scope *scope);
void ff_record_finish(struct ff_engine *e);
/** Which disk is where now; owned. */
char *ff_one_where(struct ff_engine *e, const struct ff_one *one);
/** The commands that bring it home; a new array of strings. */
json_t *ff_one_by_hand(struct ff_engine *e, const struct ff_one *one);
const char *ff_meaning_name(enum ff_meaning meaning);

#endif
