/*
 * One request's life. It waits for its budgets, for a good token and for room; a mutating one for its intent to be
 * durable; then it is signed and sent, and its answer judged:
 *
 *   throttled              waits as long as the cloud says, else with jitter; no failure for a long time
 *   401                    signs in once and is sent once more
 *   not sent               nothing happened: again, with jitter, until patience ends
 *   transient, broken      a read: again. A mutation never: its asker looks first
 *   certificate, too large, everything else: the asker's
 */
#include "call.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define JITTER_BASE_MS 500
#define JITTER_CAP_MS  60000
/* Being throttled is no failure, but an hour of nothing else is. */
#define THROTTLED_PATIENCE_MS (4 * (int64_t)FF_PATIENCE_MS)

void ff_call_queue_add(struct ff_call_queue *q, struct ff_call *call)
{
	call->next = NULL;
	if (q->tail != NULL)
		q->tail->next = call;
	else
		q->head = call;
	q->tail = call;
}

void ff_call_queue_add_first(struct ff_call_queue *q, struct ff_call *call)
{
	call->next = q->head;
	q->head = call;
	if (q->tail == NULL)
		q->tail = call;
}

struct ff_call *ff_call_queue_take(struct ff_call_queue *q)
{
	struct ff_call *call = q->head;

	if (call != NULL) {
		q->head = call->next;
		if (q->head == NULL)
			q->tail = NULL;
		call->next = NULL;
	}
	return call;
}

int64_t ff_jitter_ms(struct ff_engine *e, unsigned tries)
{
	int64_t most = tries < 7 ? (int64_t)JITTER_BASE_MS << tries : JITTER_CAP_MS;

	return (int64_t)ff_engine_random(e, (uint64_t)(most < JITTER_CAP_MS ? most : JITTER_CAP_MS) + 1);
}

/* ---------------------------------------------------------------- waiting by order */

void ff_call_hold(struct ff_call *call)
{
	if (call->hold_ms == 0)
		call->hold_ms = ff_now(call->e) + 1; /* + 1: the clock may stand at 0 */
}

static void unhold(struct ff_call *call)
{
	int64_t held_ms = call->hold_ms ? ff_now(call->e) + 1 - call->hold_ms : 0;

	call->hold_ms = 0;
	call->held_ms += held_ms;
	call->o.until_ms += held_ms;
}

/* ---------------------------------------------------------------- going */

static void call_free(struct ff_call *call)
{
	*call->all_link = call->all_next;
	if (call->all_next != NULL)
		call->all_next->all_link = call->all_link;
	ff_answer_release(&call->answer, call->ask.secret);
	ff_ask_release(&call->ask);
	free(call->failure);
	free(call);
}

void ff_calls_release(struct ff_engine *e)
{
	while (e->calls != NULL)
		call_free(e->calls);
}

static void finish(struct ff_engine *e, struct ff_call *call, enum ff_class class, const struct ff_err *err)
{
	struct ff_reply reply = {.class = class, .ask = &call->ask, .held_ms = call->held_ms, .drawn = call->drawn};

	if (err != NULL)
		reply.err = *err;
	if (call->stage == FF_CALL_ANSWERED)
		reply.answer = &call->answer;
	call->o.replied(e, call->o.owner, &reply);
	call_free(call);
}

void ff_call_give_room(struct ff_engine *e, struct ff_call *call)
{
	struct ff_room *room = &call->o.scope->room[call->ask.held];
	struct ff_call *next;

	if (!call->has_room)
		return;
	call->has_room = false;
	room->in_flight--;
	next = ff_call_queue_take(&room->waiting);
	if (next != NULL)
		ff_task_queue(&e->tasks, &next->task, FF_LANE_NOW);
}

/* Not to be sent: its asker hears of it from the call's own task. */
void ff_call_fail_later(struct ff_engine *e, struct ff_call *call, const struct ff_err *why)
{
	call->stage = FF_CALL_FAILED;
	call->failure = ff_calloc(1, sizeof(*call->failure));
	*call->failure = *why;
	ff_task_queue(&e->tasks, &call->task, FF_LANE_NOW);
}

static bool stale(struct ff_engine *e, const struct ff_call *call)
{
	return call->o.stale != NULL && call->o.stale(e, call->o.owner);
}

/* Nothing but the journal keeps it: its asker writes the intent. */
static int leave(struct ff_engine *e, struct ff_call *call, struct ff_err *err)
{
	if (call->ask.mutates && !e->journal)
		return ff_fail(err, FF_E_BUG, "%s would change something without a journal", call->o.what);
	if (call->left || call->o.leaving == NULL)
		return 0;
	call->left = true;
	return call->o.leaving(e, call->o.owner, &call->ask, err);
}

static void go(struct ff_engine *e, struct ff_call *call)
{
	struct ff_scope *scope = call->o.scope;
	struct ff_err err = {0};

	if (stale(e, call)) {
		unhold(call);
		ff_call_give_room(e, call);
		ff_fail(&err, FF_E_TRANSIENT, "%s waited too long", call->o.what);
		finish(e, call, err.class, &err);
		return;
	}
	/* it drew, waited for a token or for room, and meanwhile the cloud said to wait: that is for it, too */
	if (ff_budgets_closed(e, call)) {
		ff_call_give_room(e, call);
		call->drawn = 0;
	}
	for (; call->drawn < call->ask.cost_count; call->drawn++) {
		if (ff_budgets_draw(e, call, call->drawn) != 0) {
			ff_call_hold(call);
			return;
		}
	}
	if (call->o.sign && !ff_session_ready(e, scope)) {
		ff_call_hold(call);
		ff_call_queue_add(&scope->for_login, call);
		return;
	}
	if (call->o.sign && !call->has_room) {
		struct ff_room *room = &scope->room[call->ask.held];

		if (room->in_flight >= (call->ask.held ? FF_HELD_MAX : FF_IN_FLIGHT_MAX)) {
			ff_call_hold(call);
			ff_call_queue_add(&room->waiting, call);
			return;
		}
		room->in_flight++;
		call->has_room = true;
	}
	unhold(call);
	if (leave(e, call, &err) < 0) {
		ff_call_give_room(e, call);
		finish(e, call, err.class, &err);
		return;
	}
	ff_call_queue_add(&e->outbox, call);
}

/* ---------------------------------------------------------------- answers */

static enum ff_class transport_class(const struct ff_call *call, struct ff_err *err)
{
	const struct ff_answer *a = &call->answer;
	static const enum ff_class classes[] = {
		[FF_T_NOT_SENT] = FF_E_TRANSIENT,
		[FF_T_UNTRUSTED] = FF_E_PERMANENT,
		[FF_T_BROKEN] = FF_E_TRANSIENT,
		[FF_T_LOCAL] = FF_E_LOCAL,
	};
	enum ff_class class;

	if (a->transport == FF_T_TOO_LARGE)
		class = call->ask.mutates ? FF_E_TRANSIENT : FF_E_PERMANENT;
	else
		class = (unsigned)a->transport < FF_COUNT(classes) ? classes[a->transport] : FF_E_BUG;
	if (call->ask.kind == FF_ASK_HTTP) {
		ff_auto_free char *host = ff_url_host(call->ask.url);

		ff_fail(err, class, "%s %s: %s", call->ask.method, host ? host : "?", a->why);
	} else {
		ff_fail(err, class, "%s", a->why);
	}
	return class;
}

static enum ff_class judge(struct ff_engine *e, struct ff_call *call, struct ff_hint *hint, struct ff_err *err)
{
	const struct ff_scope *scope = call->o.scope;
	enum ff_class class;

	*hint = (struct ff_hint){.retry_after_ms = -1, .bucket = -1, .left = {-1, -1, -1}};
	if (call->answer.transport != FF_T_OK)
		return transport_class(call, err);
	if (call->ask.kind != FF_ASK_HTTP)
		return FF_E_NONE;
	class = scope->provider->judge(
		scope->cloud, e->world->wall_ms(e->world->self), &call->ask, &call->answer, hint, err);
	ff_budgets_learn(e, &call->ask, class, hint, call->sent_ms);
	return class;
}

/* May a failure of that class be repeated without looking first? */
static bool repeatable(const struct ff_call *call, enum ff_class class)
{
	bool no_answer = call->answer.transport != FF_T_OK;

	if (class != FF_E_TRANSIENT)
		return false;
	/* a metadata service that is not there is not there: the next source of credentials is tried at once */
	if (no_answer && call->ask.direct)
		return false;
	return call->answer.transport == FF_T_NOT_SENT || !call->ask.mutates;
}

static void pause_call(struct ff_engine *e, struct ff_call *call, int64_t wait_ms, bool by_order, const char *why)
{
	char wait[FF_TIME_BYTES];

	call->tries++;
	call->drawn = 0;
	call->stage = FF_CALL_GOING;
	ff_answer_release(&call->answer, call->ask.secret);
	ff_say(e, FF_EV_RETRY, call->o.scope, call->o.vm, "%s: %s; again (%u) in %s", call->o.what, why, call->tries,
		ff_duration(wait_ms, wait));
	if (by_order)
		ff_call_hold(call);
	if (wait_ms > 0)
		ff_task_at(&e->tasks, &call->task, ff_now(e) + wait_ms);
	else
		ff_task_queue(&e->tasks, &call->task, FF_LANE_NOW);
}

/* Throttled. false: for so long that it counts as a failure. */
static bool wait_throttled(struct ff_engine *e, struct ff_call *call, const struct ff_hint *hint, const char *why)
{
	int64_t now = ff_now(e);

	if (call->throttled_ms == 0)
		call->throttled_ms = now + 1;
	if (now - call->throttled_ms >= THROTTLED_PATIENCE_MS)
		return false;
	pause_call(e, call, hint->retry_after_ms >= 0 ? hint->retry_after_ms : ff_jitter_ms(e, call->tries), true, why);
	return true;
}

static bool again(struct ff_engine *e, struct ff_call *call, enum ff_class class, const struct ff_hint *hint,
	const struct ff_err *err)
{
	int64_t wait_ms;

	if (class == FF_E_AUTH && call->o.sign && !call->signed_again) {
		call->signed_again = true;
		ff_session_refused(e, call->o.scope, call->login_number);
		pause_call(e, call, 0, true, err->text);
		return true;
	}
	if (class == FF_E_THROTTLED)
		return wait_throttled(e, call, hint, err->text);
	call->throttled_ms = 0;
	if (!repeatable(call, class))
		return false;
	wait_ms = hint->retry_after_ms >= 0 ? hint->retry_after_ms : ff_jitter_ms(e, call->tries);
	if (ff_now(e) + wait_ms > call->o.until_ms)
		return false;
	pause_call(e, call, wait_ms, false, err->text);
	return true;
}

static void receive(struct ff_engine *e, struct ff_call *call)
{
	struct ff_err err = {0};
	struct ff_hint hint;
	enum ff_class class = judge(e, call, &hint, &err);

	ff_call_give_room(e, call);
	if (class == FF_E_NONE) {
		finish(e, call, class, NULL);
		return;
	}
	if (again(e, call, class, &hint, &err))
		return;
	if (call->tries > 0) {
		size_t len = strlen(err.text);

		snprintf(err.text + len, sizeof(err.text) - len, " (after %u attempts)", call->tries + 1);
	}
	finish(e, call, class, &err);
}

static void call_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_call *call = FF_OWNER(task, struct ff_call, task);

	switch (call->stage) {
	case FF_CALL_GOING:
		go(e, call);
		break;
	case FF_CALL_ANSWERED:
		receive(e, call);
		break;
	case FF_CALL_FAILED:
		finish(e, call, call->failure->class, call->failure);
		break;
	}
}

void ff_call_start(struct ff_engine *e, const struct ff_call_options *options, struct ff_ask *ask)
{
	struct ff_call *call = ff_calloc(1, sizeof(*call));

	call->task.run = call_run;
	call->e = e;
	call->o = *options;
	call->ask = *ask;
	*ask = (struct ff_ask){0};
	call->drawn = options->drawn < call->ask.cost_count ? options->drawn : call->ask.cost_count;
	call->stage = FF_CALL_GOING;
	call->all_next = e->calls;
	call->all_link = &e->calls;
	if (e->calls != NULL)
		e->calls->all_link = &call->all_next;
	e->calls = call;
	ff_task_queue(&e->tasks, &call->task, FF_LANE_NOW);
}

void ff_calls_signed_in(struct ff_engine *e, struct ff_scope *scope, const struct ff_err *why)
{
	struct ff_call *call;

	while ((call = ff_call_queue_take(&scope->for_login)) != NULL) {
		if (why == NULL) {
			ff_task_queue(&e->tasks, &call->task, FF_LANE_NOW);
		} else {
			ff_call_give_room(e, call);
			ff_call_fail_later(e, call, why);
		}
	}
}
