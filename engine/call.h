/* What call.c and budgets.c share: a request on its way. */
#ifndef ENGINE_CALL_H
#define ENGINE_CALL_H

#include "state.h"

enum ff_call_stage {
	FF_CALL_GOING,	  /* to be sent, as soon as budgets, token and room allow */
	FF_CALL_ANSWERED, /* to be judged */
	FF_CALL_FAILED,	  /* `failure` says why it is not sent */
};

struct ff_call {
	struct ff_task task;
	struct ff_engine *e;
	struct ff_call *next;		      /* in one queue at a time */
	struct ff_call *all_next, **all_link; /* in engine->calls */
	struct ff_call_options o;
	struct ff_ask ask; /* as the asker made it: never with credentials, which are put on a copy */
	struct ff_answer answer;
	struct ff_err *failure;
	enum ff_call_stage stage;
	size_t drawn;	/* tokens drawn for this sending, of ask.cost_count */
	unsigned tries; /* repeats so far */
	unsigned login_number;
	bool left, signed_again, has_room, out;
	int64_t sent_ms, throttled_ms; /* throttled_ms: when the first throttling answer came; 0: none did */
	int64_t hold_ms, held_ms;      /* since when it waits by order, 0: not; how long it did in all */
};

void ff_call_queue_add(struct ff_call_queue *q, struct ff_call *call);
void ff_call_queue_add_first(struct ff_call_queue *q, struct ff_call *call);
struct ff_call *ff_call_queue_take(struct ff_call_queue *q);

/** From now on it waits by order (a budget, a token, Retry-After), which is not held against it. */
void ff_call_hold(struct ff_call *call);
/** It is not out any more: the next one of its scope may go. */
void ff_call_give_room(struct ff_engine *e, struct ff_call *call);
/** It will not be sent: its asker hears of it from the call's own task. */
void ff_call_fail_later(struct ff_engine *e, struct ff_call *call, const struct ff_err *why);

#endif
