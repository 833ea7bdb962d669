/* What a verdict does to a VM: the one place where a meaning becomes a next move. */
#include "state.h"

#include <stdlib.h>

/* The cloud confirmed an act, but does not show its effect: that often it is only slow. */
#define UNSEEN_MAX 3

void ff_verdict_release(struct ff_verdict *v)
{
	json_decref(v->facts);
	json_decref(v->rescue_facts);
	*v = (struct ff_verdict){0};
}

/* Until it learns something a VM shares the facts that it was found with: most of ten thousand wait, or have ended. */
static void own_facts(struct ff_one *one)
{
	json_t *shared = one->facts;

	if (shared->refcount == 1)
		return;
	one->facts = json_copy(shared);
	json_decref(shared);
}

void ff_one_learn(struct ff_one *one, const struct ff_verdict *v, bool first)
{
	if (v->facts != NULL) {
		own_facts(one);
		ff_json_merge(one->facts, v->facts);
	}
	if (first && v->rescue_facts != NULL && one->rescue != NULL)
		ff_json_merge(one->rescue->facts, v->rescue_facts);
}

/* Another round of looking or acting; false when there were too many, and the step has failed. */
static bool next_round(struct ff_engine *e, struct ff_one *one)
{
	struct ff_err err;

	if (++one->rounds <= FF_ROUNDS_MAX)
		return true;
	ff_fail(&err, FF_E_CONFLICT, "still uncertain after %d looks%s%s", FF_ROUNDS_MAX, one->last ? ": " : "",
		one->last ? one->last : "");
	ff_one_fail(e, one, &err);
	return false;
}

/* The effect is not there, and it is safe to act. */
static void not_done(struct ff_engine *e, struct ff_one *one, const struct ff_verdict *v)
{
	if (ff_one_row(one)->act == NULL) {
		ff_one_pause(e, one, v->wait_ms, false);
		return;
	}
	if (one->confirmed && one->unseen++ < UNSEEN_MAX) {
		ff_one_pause(e, one, v->wait_ms, false);
		return;
	}
	one->confirmed = false;
	one->unseen = 0;
	if (one->busy || one->attempts == 0 || next_round(e, one)) {
		one->busy = false;
		ff_one_act(e, one);
	}
}

/* Another operation is under way there: it ends, or patience does. */
static void busy(struct ff_engine *e, struct ff_one *one, const struct ff_verdict *v)
{
	one->busy = true;
	ff_one_pause(e, one, v->wait_ms, !ff_row_looks(ff_one_row(one)));
}

static void uncertain(struct ff_engine *e, struct ff_one *one, bool at_once)
{
	if (!next_round(e, one))
		return;
	if (at_once && one->rounds == 1 && ff_row_looks(ff_one_row(one)))
		ff_one_look(e, one);
	else
		ff_one_pause(e, one, 0, false);
}

static void nonsense(struct ff_engine *e, struct ff_one *one, const char *of, enum ff_meaning meaning)
{
	struct ff_err err;

	ff_fail(&err, FF_E_BUG, "%s says '%s', which it must not", of, ff_meaning_name(meaning));
	ff_one_fail(e, one, &err);
}

/* The operator wants it home: this step needs no further looking. A failure is told by its own name. */
static bool turned(struct ff_engine *e, struct ff_one *one, const struct ff_verdict *v)
{
	if (!one->turning || !ff_one_may_turn(e, one) || v->meaning == FF_M_FAILED)
		return false;
	ff_one_interrupt(e, one);
	return true;
}

void ff_one_attempt(struct ff_one *one)
{
	if (one->homeward)
		return;
	one->attempted |= (uint64_t)1 << one->at;
	if (ff_one_row(one)->undo == one->scope->slot_row && one->scope->slot_row != FF_STEP_NONE)
		one->slot_used = true;
}

void ff_one_found_done(struct ff_one *one)
{
	if (one->homeward || ff_one_row(one)->act == NULL)
		return;
	ff_one_attempt(one);
	one->touched = true;
}

void ff_one_looked(struct ff_engine *e, struct ff_one *one, struct ff_verdict *v)
{
	ff_one_heard(one, &v->err);
	one->away = v->away;
	if (v->meaning == FF_M_DONE)
		ff_one_found_done(one);
	if (turned(e, one, v))
		return;
	switch (v->meaning) {
	case FF_M_DONE:
		ff_one_step_done(e, one);
		break;
	case FF_M_NOT_DONE:
		not_done(e, one, v);
		break;
	case FF_M_WAIT:
		ff_one_pause(e, one, v->wait_ms, false);
		break;
	case FF_M_LOOK:
		uncertain(e, one, false);
		break;
	case FF_M_FAILED:
		ff_one_fail(e, one, &v->err);
		break;
	default:
		nonsense(e, one, "look", v->meaning);
	}
}

void ff_one_acted(struct ff_engine *e, struct ff_one *one, const struct ff_verdict *v, bool from_poll)
{
	const struct ff_step *row = ff_one_row(one);

	ff_one_heard(one, &v->err);
	if (turned(e, one, v))
		return;
	switch (v->meaning) {
	case FF_M_DONE:
		if ((row->flags & FF_LOOK_AFTER) != 0 && ff_row_looks(row)) {
			one->confirmed = true;
			ff_one_look(e, one);
		} else {
			ff_one_step_done(e, one);
		}
		break;
	case FF_M_NOT_DONE: /* of a poll: the operation ended without effect */
	case FF_M_LOOK:
		if (v->busy)
			busy(e, one, v);
		else
			uncertain(e, one, true);
		break;
	case FF_M_WAIT:
		ff_one_pause(e, one, v->wait_ms, true);
		break;
	case FF_M_SPLIT:
		if (one->alone || from_poll) {
			ff_one_fail(e, one, &v->err);
		} else {
			one->alone = true;
			ff_one_act(e, one);
		}
		break;
	case FF_M_FAILED:
		ff_one_fail(e, one, &v->err);
		break;
	default:
		nonsense(e, one, from_poll ? "poll" : "act", v->meaning);
	}
}
