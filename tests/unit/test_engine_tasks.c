/* The run queue, the timer heap and the table, each against the plainest thing that does the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/table.h"
#include "engine/tasks.h"

#define COUNT 500

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static int64_t earliest(const struct ff_task *tasks, const bool *set)
{
	int64_t at = INT64_MAX;

	for (int i = 0; i < COUNT; i++)
		if (set[i] && tasks[i].at_ms < at)
			at = tasks[i].at_ms;
	return at;
}

Test(engine_tasks, timers_come_due_in_order_whatever_is_set_moved_and_cancelled)
{
	static struct ff_task tasks[COUNT];
	static bool set[COUNT];
	struct ff_tasks all = {0};
	int64_t now = 0;

	for (int round = 0; round < 20000; round++) {
		size_t i = any(COUNT);

		if (any(4) == 0) {
			ff_task_cancel(&all, &tasks[i]);
			set[i] = false;
		} else {
			ff_task_at(&all, &tasks[i], now + 1 + (int64_t)any(1000));
			set[i] = true;
		}
		cr_assert_eq(ff_tasks_wake_at(&all), earliest(tasks, set), "round %d", round);
		if (any(50) != 0 || ff_tasks_wake_at(&all) == INT64_MAX)
			continue;
		now = ff_tasks_wake_at(&all);
		ff_tasks_due(&all, now);
		for (struct ff_task *due; (due = ff_tasks_next(&all)) != NULL;) {
			cr_assert_eq(due->at_ms, now);
			cr_assert(set[due - tasks]);
			set[due - tasks] = false;
		}
	}
	ff_tasks_release(&all);
}

Test(engine_tasks, tasks_run_in_order_and_late_ones_last)
{
	struct ff_task a = {0}, b = {0}, late = {0};
	struct ff_tasks all = {0};

	ff_task_queue(&all, &late, FF_LANE_LATE);
	ff_task_queue(&all, &a, FF_LANE_NOW);
	ff_task_queue(&all, &b, FF_LANE_NOW);
	ff_task_queue(&all, &a, FF_LANE_NOW); /* is queued already */
	cr_expect_eq(ff_tasks_next(&all), &a);
	ff_task_queue(&all, &a, FF_LANE_NOW);
	cr_expect_eq(ff_tasks_next(&all), &b);
	cr_expect_eq(ff_tasks_next(&all), &a);
	cr_expect_eq(ff_tasks_next(&all), &late);
	cr_expect_null(ff_tasks_next(&all));
	cr_expect_eq(all.ran, 4);
}

Test(engine_tasks, queueing_takes_the_timer_off_and_cancelling_both)
{
	struct ff_task a = {0}, b = {0};
	struct ff_tasks all = {0};

	ff_task_at(&all, &a, 10);
	ff_task_queue(&all, &a, FF_LANE_NOW);
	cr_expect_eq(ff_tasks_wake_at(&all), INT64_MAX);
	ff_task_queue(&all, &b, FF_LANE_NOW);
	ff_task_cancel(&all, &a);
	cr_expect_eq(ff_tasks_next(&all), &b);
	cr_expect_null(ff_tasks_next(&all));
	ff_tasks_release(&all);
}

static bool keep_odd(void *arg, void *value)
{
	(void)arg;
	return *(int *)value % 2 != 0;
}

Test(engine_tasks, a_table_finds_what_was_set_and_forgets_what_was_removed)
{
	struct ff_table t = {0};
	char key[32];

	cr_expect_null(ff_table_get(&t, "nothing"));
	cr_expect_null(ff_table_remove(&t, "nothing"));
	for (int i = 0; i < 3000; i++) {
		int *value = malloc(sizeof(*value));

		*value = i;
		snprintf(key, sizeof(key), "key %d", i);
		ff_table_set(&t, key, value);
	}
	cr_expect_eq(t.count, 3000);
	for (int i = 0; i < 3000; i += 3) {
		snprintf(key, sizeof(key), "key %d", i);
		free(ff_table_remove(&t, key));
	}
	ff_table_sweep(&t, keep_odd, NULL, free);
	for (int i = 0; i < 3000; i++) {
		int *value;

		snprintf(key, sizeof(key), "key %d", i);
		value = ff_table_get(&t, key);
		cr_assert_eq(value != NULL, i % 3 != 0 && i % 2 != 0, "%d", i);
		cr_assert(value == NULL || *value == i);
	}
	cr_expect_eq(t.count, 1000);
	ff_table_free(&t, free);
}
