#include "tasks.h"

#include <stdlib.h>

#include "fixfleet/mem.h"

static void put(struct ff_tasks *tasks, size_t at, struct ff_task *task)
{
	tasks->heap[at - 1] = task;
	task->heap_at = (uint32_t)at;
}

static void sift_up(struct ff_tasks *tasks, size_t at)
{
	struct ff_task *task = tasks->heap[at - 1];

	while (at > 1 && tasks->heap[at / 2 - 1]->at_ms > task->at_ms) {
		put(tasks, at, tasks->heap[at / 2 - 1]);
		at /= 2;
	}
	put(tasks, at, task);
}

static void sift_down(struct ff_tasks *tasks, size_t at)
{
	struct ff_task *task = tasks->heap[at - 1];

	for (size_t child = at * 2; child <= tasks->count; child = at * 2) {
		if (child < tasks->count && tasks->heap[child]->at_ms < tasks->heap[child - 1]->at_ms)
			child++;
		if (tasks->heap[child - 1]->at_ms >= task->at_ms)
			break;
		put(tasks, at, tasks->heap[child - 1]);
		at = child;
	}
	put(tasks, at, task);
}

static void timer_off(struct ff_tasks *tasks, struct ff_task *task)
{
	size_t at = task->heap_at;
	struct ff_task *last;

	if (at == 0)
		return;
	task->heap_at = 0;
	last = tasks->heap[--tasks->count];
	if (last == task)
		return;
	put(tasks, at, last);
	sift_down(tasks, at);
	sift_up(tasks, last->heap_at);
}

static void unqueue(struct ff_tasks *tasks, struct ff_task *task)
{
	if (task->lane == FF_LANE_NONE)
		return;
	if (task->prev != NULL)
		task->prev->next = task->next;
	else
		tasks->head[task->lane] = task->next;
	if (task->next != NULL)
		task->next->prev = task->prev;
	else
		tasks->tail[task->lane] = task->prev;
	task->next = task->prev = NULL;
	task->lane = FF_LANE_NONE;
}

void ff_task_queue(struct ff_tasks *tasks, struct ff_task *task, enum ff_task_lane lane)
{
	timer_off(tasks, task);
	if (task->lane != FF_LANE_NONE)
		return;
	task->lane = (uint8_t)lane;
	task->prev = tasks->tail[lane];
	task->next = NULL;
	if (task->prev != NULL)
		task->prev->next = task;
	else
		tasks->head[lane] = task;
	tasks->tail[lane] = task;
}

void ff_task_at(struct ff_tasks *tasks, struct ff_task *task, int64_t at_ms)
{
	timer_off(tasks, task);
	if (tasks->count == tasks->room) {
		tasks->room = tasks->room ? tasks->room * 2 : 64;
		tasks->heap = ff_realloc(tasks->heap, tasks->room, sizeof(*tasks->heap));
	}
	task->at_ms = at_ms;
	tasks->count++;
	put(tasks, tasks->count, task);
	sift_up(tasks, tasks->count);
}

void ff_task_cancel(struct ff_tasks *tasks, struct ff_task *task)
{
	timer_off(tasks, task);
	unqueue(tasks, task);
}

void ff_tasks_due(struct ff_tasks *tasks, int64_t now_ms)
{
	while (tasks->count > 0 && tasks->heap[0]->at_ms <= now_ms)
		ff_task_queue(tasks, tasks->heap[0], FF_LANE_NOW);
}

struct ff_task *ff_tasks_next(struct ff_tasks *tasks)
{
	struct ff_task *task = tasks->head[FF_LANE_NOW] ? tasks->head[FF_LANE_NOW] : tasks->head[FF_LANE_LATE];

	if (task != NULL) {
		unqueue(tasks, task);
		tasks->ran++;
	}
	return task;
}

int64_t ff_tasks_wake_at(const struct ff_tasks *tasks)
{
	return tasks->count > 0 ? tasks->heap[0]->at_ms : INT64_MAX;
}

void ff_tasks_release(struct ff_tasks *tasks)
{
	free(tasks->heap);
	*tasks = (struct ff_tasks){0};
}
