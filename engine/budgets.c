/*
 * The buckets that requests draw on, found by name, each with its own line of waiting requests and one timer. Clouds,
 * accounts and operation classes have different names, so none waits for another.
 */
#include "call.h"

#include <stdlib.h>

#define SWEEP_FROM 1024

struct ff_bucket {
	struct ff_budget budget;
	struct ff_task task;
	struct ff_call_queue line;
};

static void bucket_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_bucket *b = FF_OWNER(task, struct ff_bucket, task);
	int64_t now = ff_now(e), wait_ms = 0;

	while (b->line.head != NULL && (wait_ms = ff_budget_wait_ms(&b->budget, now)) == 0) {
		struct ff_call *call = ff_call_queue_take(&b->line);

		/* who has to look again first does so at this pace, and has its token when it comes back: otherwise all
		 * that wait would look again and again, more often the longer the line is */
		ff_budget_take(&b->budget, now);
		call->drawn++;
		ff_task_queue(&e->tasks, &call->task, FF_LANE_NOW);
	}
	if (b->line.head != NULL)
		ff_task_at(&e->tasks, &b->task, now + wait_ms);
}

/* A full bucket that learned nothing is the same as a new one. */
static bool worth_keeping(void *arg, void *value)
{
	struct ff_bucket *b = value;
	int64_t now = *(int64_t *)arg;

	ff_budget_wait_ms(&b->budget, now);
	return b->line.head != NULL || b->budget.at_ms > now || b->budget.rate < b->budget.refill_per_s ||
	       b->budget.level < b->budget.capacity;
}

/* Every VM brings buckets of its own; of those whose VM is done long ago nothing need stay. */
static struct ff_bucket *bucket_of(struct ff_engine *e, const struct ff_cost *cost)
{
	struct ff_bucket *b = ff_table_get(&e->budgets, cost->key);
	int64_t now = ff_now(e);

	if (b != NULL)
		return b;
	if (e->budgets.count >= e->budgets_sweep_at) {
		ff_table_sweep(&e->budgets, worth_keeping, &now, free);
		e->budgets_sweep_at = e->budgets.count * 2 > SWEEP_FROM ? e->budgets.count * 2 : SWEEP_FROM;
	}
	b = ff_calloc(1, sizeof(*b));
	b->task.run = bucket_run;
	ff_budget_init(&b->budget, cost->capacity, cost->refill_per_s, now);
	ff_table_set(&e->budgets, cost->key, b);
	return b;
}

int ff_budgets_draw(struct ff_engine *e, struct ff_call *call, size_t i)
{
	struct ff_bucket *b = bucket_of(e, &call->ask.costs[i]);
	int64_t now = ff_now(e);
	bool first = b->line.head == NULL;

	if (first && ff_budget_wait_ms(&b->budget, now) == 0) {
		ff_budget_take(&b->budget, now);
		return 0;
	}
	if (call->tries > 0) /* it has waited its turn before */
		ff_call_queue_add_first(&b->line, call);
	else
		ff_call_queue_add(&b->line, call);
	if (first)
		ff_task_at(&e->tasks, &b->task, now + ff_budget_wait_ms(&b->budget, now));
	return 1;
}

bool ff_budgets_closed(struct ff_engine *e, const struct ff_call *call)
{
	for (size_t i = 0; i < call->drawn; i++)
		if (bucket_of(e, &call->ask.costs[i])->budget.at_ms > ff_now(e))
			return true;
	return false;
}

void ff_budgets_learn(
	struct ff_engine *e, const struct ff_ask *ask, enum ff_class class, const struct ff_hint *hint, int64_t sent_ms)
{
	int64_t now = ff_now(e);
	bool all = hint->bucket < 0 || (size_t)hint->bucket >= ask->cost_count;

	for (size_t i = 0; i < ask->cost_count; i++) {
		struct ff_budget *b = &bucket_of(e, &ask->costs[i])->budget;

		if (class != FF_E_THROTTLED)
			ff_budget_succeeded(b, now, sent_ms);
		else if (all || (size_t)hint->bucket == i)
			ff_budget_throttled(b, now, sent_ms, hint->retry_after_ms);
		ff_budget_left(b, now, hint->left[i]);
	}
}

void ff_budgets_free(struct ff_engine *e)
{
	ff_table_free(&e->budgets, free);
}
