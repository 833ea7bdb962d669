/*
 * Acts: one mutating request for one VM or for a group, and the operation that it starts.
 *
 * Members of a group gather while the key is busy, or while the request still waits for its budget, and leave together
 * (group commit, as a journal does it). At an idle key the first one lingers a moment for those that will come to the
 * same act before long: going ahead of them it would keep the rescue VM busy for a whole operation. The key stays busy
 * until the operation is over for every member: clouds refuse a second change of the same resource meanwhile. Where
 * only requests must not overlap (FF_KEY_FREE) it is free again when the request is answered.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS   2000
#define POLL_MS	    2000
#define POLL_MAX_MS 15000

struct ff_act {
	struct ff_task task; /* the next poll */
	struct ff_scope *scope;
	struct ff_group *group;		     /* whose key it holds; NULL: none, or not any more */
	struct ff_act *all_next, **all_link; /* in engine->acts */
	struct ff_one **ones;
	size_t count;
	unsigned polls;
	bool stale; /* it was not sent: what it was to be done upon was seen too long ago, or is not to be begun */
};

static const struct ff_step *row_of(const struct ff_act *act)
{
	return ff_one_row(act->ones[0]);
}

static size_t group_max(const struct ff_one *one)
{
	unsigned max = ff_one_row(one)->group_max;

	return one->alone || max < 1 ? 1 : max;
}

static struct ff_member *members_of(struct ff_engine *e, const struct ff_act *act)
{
	struct ff_member *m = ff_calloc(act->count, sizeof(*m));

	for (size_t i = 0; i < act->count; i++)
		ff_one_member(e, act->ones[i], &m[i]);
	return m;
}

static int64_t until_of(const struct ff_act *act)
{
	int64_t until_ms = 0;

	for (size_t i = 0; i < act->count; i++)
		if (act->ones[i]->until_ms > until_ms)
			until_ms = act->ones[i]->until_ms;
	return until_ms;
}

/* Random, version 4: what the clouds ask for (RFC 9562 section 5.4). */
static void new_token(struct ff_engine *e, struct ff_one *one)
{
	uint64_t a = e->world->random(e->world->self), b = e->world->random(e->world->self);

	snprintf(one->token, sizeof(one->token), "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
		(unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 48 & 0x3fff) | 0x8000,
		b & 0xffffffffffff);
}

/* ---------------------------------------------------------------- the end of an act */

static void act_forget(struct ff_act *act)
{
	*act->all_link = act->all_next;
	if (act->all_next != NULL)
		act->all_next->all_link = act->all_link;
	free(act->ones);
	free(act);
}

static void release_key(struct ff_engine *e, struct ff_act *act)
{
	struct ff_group *group = act->group;

	if (group == NULL)
		return;
	act->group = NULL;
	group->busy = false;
	ff_task_queue(&e->tasks, &group->task, FF_LANE_LATE); /* the next ones, or its end */
}

/* Rows of one act may differ in this: the strictest counts. */
static bool key_free(const struct ff_act *act)
{
	for (size_t i = 0; i < act->count; i++)
		if ((ff_one_row(act->ones[i])->flags & FF_KEY_FREE) == 0)
			return false;
	return true;
}

static void act_free(struct ff_engine *e, struct ff_act *act)
{
	release_key(e, act);
	ff_task_cancel(&e->tasks, &act->task);
	act_forget(act);
}

/* All members, with the same words. */
static void act_failed(struct ff_engine *e, struct ff_act *act, const char *of, const struct ff_err *err)
{
	ff_record_lost(e, of, act->ones, act->count, err);
	for (size_t i = 0; i < act->count; i++)
		ff_one_fail(e, act->ones[i], err);
	act_free(e, act);
}

static void poll_again(struct ff_engine *e, struct ff_act *act, int64_t wait_ms)
{
	if (wait_ms <= 0) {
		wait_ms = act->polls < 3 ? (int64_t)POLL_MS << act->polls : POLL_MAX_MS;
		act->polls++;
	}
	ff_task_at(&e->tasks, &act->task, ff_now(e) + wait_ms);
}

/* Does the operation go on for this member? When its patience has ended it does not: v says so then. */
static bool stays(struct ff_engine *e, struct ff_one *one, struct ff_verdict *v, bool from_poll)
{
	if (v->meaning != FF_M_STARTED && !(from_poll && v->meaning == FF_M_WAIT))
		return false;
	ff_one_heard(one, &v->err);
	if (ff_now(e) < one->until_ms)
		return true;
	v->meaning = FF_M_FAILED;
	ff_one_late(e, one, &v->err);
	return false;
}

/* Each member goes its way; those whose operation goes on stay together. */
static void settle(struct ff_engine *e, struct ff_act *act, struct ff_verdict *v, bool from_poll)
{
	size_t count = act->count, kept = 0;
	int64_t wait_ms = 0;

	for (size_t i = 0; i < count; i++)
		ff_one_learn(act->ones[i], &v[i], i == 0);
	ff_record_result(e, from_poll ? "poll" : "act", act->ones, count, v);
	for (size_t i = 0; i < count; i++) {
		struct ff_one *one = act->ones[i];

		if (stays(e, one, &v[i], from_poll)) {
			act->ones[kept++] = one;
			if (v[i].wait_ms > wait_ms)
				wait_ms = v[i].wait_ms;
		} else {
			ff_one_acted(e, one, &v[i], from_poll);
		}
		ff_verdict_release(&v[i]);
	}
	act->count = kept;
	if (kept == 0) {
		act_free(e, act);
		return;
	}
	if (key_free(act))
		release_key(e, act);
	poll_again(e, act, wait_ms);
}

/* ---------------------------------------------------------------- polling */

static void polled(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_act *act = owner;
	bool readable = reply->answer != NULL && reply->answer->transport == FF_T_OK &&
			reply->class != FF_E_THROTTLED && reply->class != FF_E_TRANSIENT && reply->class != FF_E_AUTH;
	ff_auto_free struct ff_verdict *v = NULL;
	ff_auto_free struct ff_member *m = NULL;

	for (size_t i = 0; i < act->count; i++)
		act->ones[i]->until_ms += reply->held_ms;
	if (!readable) {
		act_failed(e, act, "poll", &reply->err);
		return;
	}
	v = ff_calloc(act->count, sizeof(*v));
	m = members_of(e, act);
	act->scope->provider->polled(
		act->scope->cloud, m, act->count, e->world->wall_ms(e->world->self), reply->answer, v);
	settle(e, act, v, true);
}

static void act_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_act *act = FF_OWNER(task, struct ff_act, task);
	ff_auto_free struct ff_member *m = members_of(e, act);
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	if (act->scope->provider->poll(act->scope->cloud, m, act->count, &ask, &err) < 0) {
		ff_ask_release(&ask);
		act_failed(e, act, "poll", &err);
		return;
	}
	ff_call_start(e,
		&(struct ff_call_options){.scope = act->scope,
			.vm = act->ones[0]->vm,
			.what = row_of(act)->name,
			.sign = true,
			.until_ms = until_of(act),
			.replied = polled,
			.owner = act},
		&ask);
}

/* ---------------------------------------------------------------- acting */

/* The request had no effect, whatever it asked for. */
static bool surely_without_effect(const struct ff_reply *reply)
{
	if (reply->answer == NULL || reply->class == FF_E_AUTH || reply->class == FF_E_THROTTLED)
		return true;
	return reply->answer->transport == FF_T_NOT_SENT || reply->answer->transport == FF_T_UNTRUSTED ||
	       reply->answer->transport == FF_T_LOCAL;
}

static bool refused(enum ff_class class)
{
	return class != FF_E_NONE && class != FF_E_TRANSIENT;
}

static bool stale(struct ff_engine *e, void *owner)
{
	struct ff_act *act = owner;

	for (size_t i = 0; i < act->count; i++) {
		int64_t fresh_ms = ff_one_row(act->ones[i])->fresh_ms;

		act->stale = act->stale || ff_wave_bars(e, act->ones[i]) ||
			     (fresh_ms > 0 && ff_now(e) - act->ones[i]->looked_ms > fresh_ms);
	}
	return act->stale;
}

/* The request's turn in its budgets is kept for the one that comes instead. */
static void look_again(struct ff_engine *e, struct ff_act *act, size_t drawn)
{
	act->ones[0]->drawn = (uint8_t)drawn;
	for (size_t i = 0; i < act->count; i++) {
		if (ff_wave_bars(e, act->ones[i]))
			ff_wave_bar(e, act->ones[i]);
		else
			ff_one_look(e, act->ones[i]);
	}
	act_free(e, act);
}

static void acted(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_act *act = owner;
	ff_auto_free struct ff_verdict *v = NULL;
	ff_auto_free struct ff_member *m = NULL;

	for (size_t i = 0; i < act->count; i++) {
		act->ones[i]->until_ms += reply->held_ms;
		act->ones[i]->same_token = reply->class == FF_E_TRANSIENT;
		if (!surely_without_effect(reply) && !refused(reply->class))
			act->ones[i]->touched = true;
	}
	if (act->stale && reply->answer == NULL) {
		look_again(e, act, reply->drawn);
		return;
	}
	if (surely_without_effect(reply)) {
		act_failed(e, act, "act", &reply->err);
		return;
	}
	v = ff_calloc(act->count, sizeof(*v));
	m = members_of(e, act);
	row_of(act)->acted(act->scope->cloud, m, act->count, e->world->wall_ms(e->world->self), reply->answer, v);
	settle(e, act, v, false);
}

static int build(struct ff_engine *e, const struct ff_act *act, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free struct ff_member *m = members_of(e, act);

	*ask = (struct ff_ask){0};
	if (row_of(act)->act(act->scope->cloud, m, act->count, ask, err) < 0) {
		ff_ask_release(ask);
		return -1;
	}
	ask->mutates = true;
	return 0;
}

/* Take ready ones of the group into the act. Returns how many. */
static size_t gather(struct ff_engine *e, struct ff_act *act, size_t max)
{
	struct ff_one *one, *next;
	size_t before = act->count;

	act->ones = ff_realloc(act->ones, max, sizeof(*act->ones));
	for (one = act->group->ready.head; one != NULL && act->count < max; one = next) {
		next = one->next;
		if (one->alone && act->count > 0)
			continue;
		ff_one_leave_group(e, one);
		one->state = FF_ONE_ACTING;
		if (!one->same_token)
			new_token(e, one);
		act->ones[act->count++] = one;
		if (one->alone)
			break;
	}
	return act->count - before;
}

/* It cannot even be asked for together: each alone, the culprit will say so. */
static void scatter(struct ff_engine *e, struct ff_act *act, size_t from)
{
	for (size_t i = from; i < act->count; i++) {
		act->ones[i]->alone = true;
		ff_one_act(e, act->ones[i]);
	}
	act->count = from;
}

/* The request is about to leave: who became ready meanwhile comes along, and the intent is written. */
static int leaving(struct ff_engine *e, void *owner, struct ff_ask *ask, struct ff_err *err)
{
	struct ff_act *act = owner;
	size_t before = act->count, max = group_max(act->ones[0]);
	struct ff_ask fuller;

	if (act->group != NULL && before < max && gather(e, act, max) > 0) {
		if (build(e, act, &fuller, err) == 0) {
			ff_ask_release(ask);
			*ask = fuller;
		} else {
			scatter(e, act, before);
		}
	}
	for (size_t i = 0; i < act->count; i++) {
		act->ones[i]->attempts++;
		ff_one_attempt(act->ones[i]);
	}
	ff_record_intent(e, act->ones, act->count, ask);
	return 0;
}

static size_t take_drawn(const struct ff_act *act)
{
	size_t drawn = 0;

	for (size_t i = 0; i < act->count; i++) {
		drawn = act->ones[i]->drawn > drawn ? act->ones[i]->drawn : drawn;
		act->ones[i]->drawn = 0;
	}
	return drawn;
}

static void act_send(struct ff_engine *e, struct ff_act *act)
{
	struct ff_ask ask;
	struct ff_err err = {0};

	if (build(e, act, &ask, &err) < 0) {
		if (act->count > 1) {
			scatter(e, act, 0);
			act_free(e, act);
		} else {
			act_failed(e, act, "act", &err);
		}
		return;
	}
	ff_call_start(e,
		&(struct ff_call_options){.scope = act->scope,
			.vm = act->ones[0]->vm,
			.what = row_of(act)->name,
			.sign = true,
			.drawn = take_drawn(act),
			.until_ms = until_of(act),
			.leaving = leaving,
			.stale = stale,
			.replied = acted,
			.owner = act},
		&ask);
}

static struct ff_act *act_new(struct ff_engine *e, struct ff_scope *scope, struct ff_group *group)
{
	struct ff_act *act = ff_calloc(1, sizeof(*act));

	act->task.run = act_run;
	act->scope = scope;
	act->group = group;
	act->all_next = e->acts;
	act->all_link = &e->acts;
	if (e->acts != NULL)
		e->acts->all_link = &act->all_next;
	e->acts = act;
	return act;
}

/* ---------------------------------------------------------------- groups */

/* Is it worth waiting for others? Never for long, counted from the first one's arrival, and only while somebody on the
 * same rescue VM is still to come. */
static bool lingers(struct ff_engine *e, const struct ff_group *group)
{
	const struct ff_one *first = group->ready.head;
	bool waits = false, leaves = false;

	if (first->alone || group->ready.count >= group_max(first) || ff_now(e) >= first->queued_ms + LINGER_MS)
		return false;
	for (const struct ff_one *mate = first->rescue ? first->rescue->mates : NULL; mate != NULL;
		mate = mate->mate_next) {
		if (ff_one_comes_soon(e, mate, ff_one_row(first)))
			return true;
		waits = waits || mate->at_door;
		leaves = leaves || (mate->row == mate->scope->slot_row && mate->state == FF_ONE_LOOKING);
	}
	return waits && leaves; /* who is at the door comes when the look has shown that a slot is free */
}

static void group_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_group *group = FF_OWNER(task, struct ff_group, task);
	struct ff_act *act;

	if (group->ready.head == NULL) {
		ff_table_remove(&e->groups, group->key);
		free(group->key);
		free(group);
		return;
	}
	if (lingers(e, group)) { /* each one that joins runs this again */
		ff_task_at(&e->tasks, &group->task, group->ready.head->queued_ms + LINGER_MS);
		return;
	}
	group->busy = true;
	act = act_new(e, group->scope, group);
	gather(e, act, group_max(group->ready.head));
	act_send(e, act);
}

/* Rows of the same act share a group: attach and detach of one rescue VM go in one request. */
static struct ff_group *group_of(struct ff_engine *e, const struct ff_one *one, const char *key)
{
	int (*function)(struct ff_cloud *, const struct ff_member *, size_t, struct ff_ask *, struct ff_err *) =
		ff_one_row(one)->act;
	ff_auto_free char *full = NULL;
	struct ff_group *group;
	uintptr_t which;

	memcpy(&which, &function, sizeof(which));
	full = ff_printf("%zu/%" PRIxPTR "/%s", one->scope->number, which, key);
	group = ff_table_get(&e->groups, full);
	if (group == NULL) {
		group = ff_calloc(1, sizeof(*group));
		group->task.run = group_run;
		group->scope = one->scope;
		ff_table_set(&e->groups, full, group);
		group->key = FF_STEAL(full);
	}
	return group;
}

void ff_one_act(struct ff_engine *e, struct ff_one *one)
{
	const struct ff_step *row = ff_one_row(one);
	const char *key = NULL;
	struct ff_member m;
	struct ff_act *act;

	if (row->group != NULL) {
		ff_one_member(e, one, &m);
		key = row->group(&m);
	}
	if (key != NULL) {
		one->group = group_of(e, one, key);
		one->state = FF_ONE_QUEUED;
		one->queued_ms = ff_now(e);
		ff_one_queue_add(&one->group->ready, one);
		if (!one->group->busy)
			ff_task_queue(&e->tasks, &one->group->task, FF_LANE_LATE);
		return;
	}
	act = act_new(e, one->scope, NULL);
	act->ones = ff_calloc(1, sizeof(*act->ones));
	act->ones[act->count++] = one;
	one->state = FF_ONE_ACTING;
	if (!one->same_token)
		new_token(e, one);
	act_send(e, act);
}

void ff_one_leave_group(struct ff_engine *e, struct ff_one *one)
{
	ff_one_queue_remove(&one->group->ready, one);
	one->group = NULL;
	one->until_ms += ff_now(e) - one->queued_ms; /* its turn had not come */
}

static void group_free(void *value)
{
	struct ff_group *group = value;

	free(group->key);
	free(group);
}

void ff_acts_free(struct ff_engine *e)
{
	while (e->acts != NULL)
		act_forget(e->acts);
	ff_table_free(&e->groups, group_free);
}
