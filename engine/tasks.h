/*
 * The run queue and the timer heap: the only two places from which anything in the engine is run. Whatever can wait (a
 * VM, a request, a budget, a worker) holds a task. An event stores its result and queues the task; nothing is called
 * back on the spot, so nothing recurses, and a turn costs what is ready, not what exists.
 */
#ifndef ENGINE_TASKS_H
#define ENGINE_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ff_engine;
struct ff_task;
typedef void ff_task_fn(struct ff_engine *engine, struct ff_task *task);

enum ff_task_lane {
	FF_LANE_NONE, /* not queued */
	FF_LANE_NOW,
	FF_LANE_LATE, /* run when nothing else is ready: groups, so that all that is ready in a turn joins */
};

/* Filled by the owner: run. The rest zero. */
struct ff_task {
	ff_task_fn *run;
	struct ff_task *next, *prev;
	int64_t at_ms;
	uint32_t heap_at; /* 1-based; 0: no timer */
	uint8_t lane;
};

/* The task's owner, as container_of() of the kernel. */
#define FF_OWNER(task, type, member) ((type *)(void *)((char *)(task)-offsetof(type, member)))

struct ff_tasks {
	struct ff_task *head[3], *tail[3]; /* by lane; [0] unused */
	struct ff_task **heap;
	size_t count, room;
	uint64_t ran; /* tasks run so far: what the tests call work */
};

/** Run it soon; its timer is taken off. Queued already: nothing changes. */
void ff_task_queue(struct ff_tasks *tasks, struct ff_task *task, enum ff_task_lane lane);
/** Queue it at that time (mono). A second call replaces the time. */
void ff_task_at(struct ff_tasks *tasks, struct ff_task *task, int64_t at_ms);
/** Take it out of queue and heap; before its owner is freed. */
void ff_task_cancel(struct ff_tasks *tasks, struct ff_task *task);
/** Queue what is due. */
void ff_tasks_due(struct ff_tasks *tasks, int64_t now_ms);
/** The next task to run, taken off; NULL when nothing is ready. */
struct ff_task *ff_tasks_next(struct ff_tasks *tasks);
/** When the first timer is due; INT64_MAX: none. */
int64_t ff_tasks_wake_at(const struct ff_tasks *tasks);
void ff_tasks_release(struct ff_tasks *tasks);

#endif
