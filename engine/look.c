/*
 * Looks: what is true in the cloud now. One VM a request, or many where the row's looks() can tell of many.
 *
 * Rows with the same looks() of one scope share a pool. Who is to look waits there, ordered by when; a request takes
 * all that are due, and those that would be within a moment. From then on they are due together, so a fleet that waits
 * for its VMs to come up falls into step. A request that is refused because one id in it is unknown tells nothing about
 * the others: each looks alone then, and who is unknown also alone goes on alone, or it would spoil every request.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD_MS 250 /* who is due so soon comes along */

struct ff_pool {
	struct ff_task task;
	struct ff_scope *scope;
	struct ff_one_queue due;  /* by due_ms */
	struct ff_looking *front; /* gathered, and not yet left: who becomes due meanwhile joins it */
};

/* A request that is out. */
struct ff_looking {
	struct ff_scope *scope;
	struct ff_pool *pool;			 /* NULL: each row's own look() */
	struct ff_looking *all_next, **all_link; /* in engine->lookings */
	struct ff_one **ones;
	size_t count;
	int64_t left_ms;
};

static bool gathers(const struct ff_step *row)
{
	return row->look_max > 1 && row->looks != NULL;
}

bool ff_row_looks(const struct ff_step *row)
{
	return row->look != NULL || gathers(row);
}

static struct ff_looking *looking_new(struct ff_engine *e, struct ff_scope *scope, struct ff_pool *pool, size_t room)
{
	struct ff_looking *l = ff_calloc(1, sizeof(*l));

	l->scope = scope;
	l->pool = pool;
	l->ones = ff_calloc(room, sizeof(struct ff_one *));
	l->all_next = e->lookings;
	l->all_link = &e->lookings;
	if (e->lookings != NULL)
		e->lookings->all_link = &l->all_next;
	e->lookings = l;
	return l;
}

static void looking_free(struct ff_looking *l)
{
	*l->all_link = l->all_next;
	if (l->all_next != NULL)
		l->all_next->all_link = l->all_link;
	free(l->ones);
	free(l);
}

static void pool_wake(struct ff_engine *e, struct ff_pool *pool)
{
	if (pool->due.head == NULL || pool->front != NULL)
		ff_task_cancel(&e->tasks, &pool->task);
	else if (pool->due.head->due_ms <= ff_now(e))
		ff_task_queue(&e->tasks, &pool->task, FF_LANE_LATE);
	else
		ff_task_at(&e->tasks, &pool->task, pool->due.head->due_ms);
}

/* It takes nobody in any more. */
static void looking_close(struct ff_engine *e, struct ff_looking *l)
{
	if (l->pool == NULL || l->pool->front != l)
		return;
	l->pool->front = NULL;
	pool_wake(e, l->pool);
}

static struct ff_member *members_of(struct ff_engine *e, const struct ff_looking *l)
{
	struct ff_member *m = ff_calloc(l->count, sizeof(*m));

	for (size_t i = 0; i < l->count; i++)
		ff_one_member(e, l->ones[i], &m[i]);
	return m;
}

/* ---------------------------------------------------------------- answers */

/* Each by itself, once. */
static void look_alone(struct ff_engine *e, struct ff_one *one)
{
	one->look_alone = true;
	ff_one_look(e, one);
}

static void read_answer(
	struct ff_engine *e, const struct ff_looking *l, const struct ff_reply *reply, struct ff_verdict *v)
{
	ff_auto_free struct ff_member *m = members_of(e, l);
	const struct ff_step *row = ff_one_row(l->ones[0]);
	int64_t wall_ms = e->world->wall_ms(e->world->self);

	if (l->pool != NULL)
		row->lookeds(l->scope->cloud, m, l->count, wall_ms, reply->answer, v);
	else
		row->looked(l->scope->cloud, m, wall_ms, reply->answer, v);
	if (l->pool != NULL && l->count == 1 && v->meaning == FF_M_SPLIT) /* there is nobody else to blame */
		v->meaning = FF_M_FAILED;
}

static void settle(struct ff_engine *e, const struct ff_looking *l, struct ff_verdict *v)
{
	for (size_t i = 0; i < l->count; i++) {
		l->ones[i]->looked_ms = l->left_ms;
		ff_one_learn(l->ones[i], &v[i], i == 0);
	}
	ff_record_result(e, "look", l->ones, l->count, v);
	for (size_t i = 0; i < l->count; i++) {
		if (v[i].meaning == FF_M_SPLIT && l->count > 1)
			look_alone(e, l->ones[i]);
		else
			ff_one_looked(e, l->ones[i], &v[i]);
		ff_verdict_release(&v[i]);
	}
}

static void looked(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_looking *l = owner;
	ff_auto_free struct ff_verdict *v = ff_calloc(l->count, sizeof(*v));
	bool readable = reply->answer != NULL && reply->answer->transport == FF_T_OK &&
			reply->class != FF_E_THROTTLED && reply->class != FF_E_TRANSIENT && reply->class != FF_E_AUTH;
	bool gone = readable && reply->class == FF_E_GONE;

	looking_close(e, l); /* it may never have left */
	for (size_t i = 0; i < l->count; i++) {
		l->ones[i]->until_ms += reply->held_ms;
		l->ones[i]->look_alone = gone;
		if (!readable)
			v[i] = (struct ff_verdict){.meaning = FF_M_FAILED, .err = reply->err};
		else if (gone && l->count > 1)
			v[i] = (struct ff_verdict){.meaning = FF_M_SPLIT, .err = reply->err};
	}
	if (readable && !(gone && l->count > 1))
		read_answer(e, l, reply, v);
	settle(e, l, v);
	looking_free(l);
}

/* ---------------------------------------------------------------- requests */

static int build(struct ff_engine *e, const struct ff_looking *l, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free struct ff_member *m = members_of(e, l);
	const struct ff_step *row = ff_one_row(l->ones[0]);
	int rc;

	*ask = (struct ff_ask){0};
	rc = l->pool ? row->looks(l->scope->cloud, m, l->count, ask, err) : row->look(l->scope->cloud, m, ask, err);
	if (rc < 0)
		ff_ask_release(ask);
	return rc;
}

/* From `from` on they cannot be asked about together with the others. */
static void scatter(struct ff_engine *e, struct ff_looking *l, size_t from)
{
	for (size_t i = from; i < l->count; i++)
		look_alone(e, l->ones[i]);
	l->count = from;
}

/* Take who is due, or nearly. Returns how many. */
static size_t gather(struct ff_engine *e, struct ff_looking *l, size_t max)
{
	size_t before = l->count;
	struct ff_one *one;

	while ((one = l->pool->due.head) != NULL && l->count < max && one->due_ms <= ff_now(e) + AHEAD_MS) {
		ff_look_forget(e, one);
		if (ff_now(e) > one->due_ms)
			one->until_ms += ff_now(e) - one->due_ms; /* its turn had not come */
		one->state = FF_ONE_LOOKING;
		l->ones[l->count++] = one;
	}
	return l->count - before;
}

/* It waited for its budget, perhaps: who became due meanwhile comes along. */
static int leaving(struct ff_engine *e, void *owner, struct ff_ask *ask, struct ff_err *err)
{
	struct ff_looking *l = owner;
	size_t before = l->count, max = ff_one_row(l->ones[0])->look_max;
	struct ff_ask fuller;

	l->left_ms = ff_now(e);
	if (l->pool == NULL || l->pool->front != l)
		return 0;
	gather(e, l, max);
	looking_close(e, l);
	if (l->count == before)
		return 0;
	if (build(e, l, &fuller, err) == 0) {
		ff_ask_release(ask);
		*ask = fuller;
	} else {
		scatter(e, l, before);
	}
	return 0;
}

static void looking_send(struct ff_engine *e, struct ff_looking *l)
{
	int64_t until_ms = 0;
	struct ff_ask ask;
	struct ff_err err = {0};

	if (build(e, l, &ask, &err) < 0) {
		looking_close(e, l);
		if (l->count > 1)
			scatter(e, l, 0);
		else
			ff_one_fail(e, l->ones[0], &err);
		looking_free(l);
		return;
	}
	for (size_t i = 0; i < l->count; i++)
		until_ms = l->ones[i]->until_ms > until_ms ? l->ones[i]->until_ms : until_ms;
	ff_call_start(e,
		&(struct ff_call_options){.scope = l->scope,
			.vm = l->ones[0]->vm,
			.what = ff_one_row(l->ones[0])->name,
			.sign = true,
			.until_ms = until_ms,
			.leaving = leaving,
			.replied = looked,
			.owner = l},
		&ask);
}

/* ---------------------------------------------------------------- pools */

static void pool_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_pool *pool = FF_OWNER(task, struct ff_pool, task);

	struct ff_looking *l;
	size_t max;

	if (pool->front == NULL && pool->due.head != NULL && pool->due.head->due_ms <= ff_now(e)) {
		max = ff_one_row(pool->due.head)->look_max;
		l = pool->front = looking_new(e, pool->scope, pool, max);
		gather(e, l, max);
		looking_send(e, l);
	}
	pool_wake(e, pool); /* those beyond the limit: when it has left */
}

/* One pool for all rows of a scope with that looks(): kept under the first such row's number. */
static struct ff_pool *pool_of(const struct ff_one *one)
{
	struct ff_scope *scope = one->scope;
	const struct ff_provider *p = scope->provider;
	struct ff_pool *pool;
	size_t i = 0;

	while (!gathers(&p->steps[i]) || p->steps[i].looks != ff_one_row(one)->looks)
		i++;
	if (scope->pools == NULL)
		scope->pools = ff_calloc(p->step_count, sizeof(struct ff_pool *));
	pool = scope->pools[i];
	if (pool == NULL) {
		pool = ff_calloc(1, sizeof(*pool));
		pool->task.run = pool_run;
		pool->scope = scope;
		scope->pools[i] = pool;
	}
	return pool;
}

/* Nearly always at the end: most waits are equally long. */
static void insert(struct ff_one_queue *q, struct ff_one *one)
{
	struct ff_one *after = q->tail;

	while (after != NULL && after->due_ms > one->due_ms)
		after = after->prev;
	one->prev = after;
	one->next = after ? after->next : q->head;
	if (one->next != NULL)
		one->next->prev = one;
	else
		q->tail = one;
	if (after != NULL)
		after->next = one;
	else
		q->head = one;
	q->count++;
}

void ff_look_at(struct ff_engine *e, struct ff_one *one, int64_t at_ms)
{
	one->state = FF_ONE_PAUSED;
	one->then_act = false;
	if (!gathers(ff_one_row(one)) || one->look_alone) {
		ff_task_at(&e->tasks, &one->task, at_ms);
		return;
	}
	one->pool = pool_of(one);
	one->due_ms = at_ms;
	insert(&one->pool->due, one);
	pool_wake(e, one->pool);
}

void ff_look_forget(struct ff_engine *e, struct ff_one *one)
{
	struct ff_pool *pool = one->pool;

	if (pool == NULL)
		return;
	one->pool = NULL;
	ff_one_queue_remove(&pool->due, one);
	pool_wake(e, pool);
}

void ff_one_look(struct ff_engine *e, struct ff_one *one)
{
	const struct ff_step *row = ff_one_row(one);
	struct ff_looking *l;

	if (!ff_row_looks(row)) { /* safe to repeat at any time */
		ff_one_act(e, one);
		return;
	}
	if (gathers(row) && !one->look_alone) {
		ff_look_at(e, one, ff_now(e));
		return;
	}
	l = looking_new(e, one->scope, gathers(row) ? pool_of(one) : NULL, 1);
	l->ones[l->count++] = one;
	one->state = FF_ONE_LOOKING;
	looking_send(e, l);
}

void ff_looks_free(struct ff_engine *e)
{
	while (e->lookings != NULL)
		looking_free(e->lookings);
	for (size_t s = 0; s < e->scope_count; s++) {
		struct ff_scope *scope = e->scopes[s];

		for (size_t i = 0; scope->pools != NULL && i < scope->provider->step_count; i++)
			free(scope->pools[i]);
		free(scope->pools);
	}
}
