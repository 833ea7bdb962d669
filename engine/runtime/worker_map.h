/*
 * Which rescue VM a worker's line is for. A worker of its own serves one; a shared worker (--worker local) serves all,
 * and the engine still wants to see one conversation a rescue VM, as if each had its own process: hello first, one
 * ready or unable for each probe, and a job's lines under the rescue VM that sent the job.
 */
#ifndef FF_RT_WORKER_MAP_H
#define FF_RT_WORKER_MAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A rescue VM that sent something. */
struct rt_served {
	char *name;
	bool greeted; /* was given the hello */
	bool probing; /* sent a probe that is not yet answered */
	bool owed;    /* its probe was answered before it asked: the answer is in `ready` */
};
struct rt_job {
	char *job;
	size_t served; /* index */
};
/* All zero is an empty one. */
struct rt_worker_map {
	struct rt_served *served;
	size_t served_count;
	struct rt_job *jobs;
	size_t job_count;
	json_t *hello, *ready; /* the last of each that the worker said; NULL: not yet */
};

/**
 * Note that `rescue` sends this line.
 * @return  must it be written to the worker? A probe need not while one is under way or after a "ready".
 */
bool rt_worker_map_sent(struct rt_worker_map *map, const char *rescue, const json_t *line);

/** Call `deliver` for each rescue VM that this line from the worker is for. None: nobody sent that job. */
void rt_worker_map_line(struct rt_worker_map *map, const json_t *line,
	void (*deliver)(void *arg, const char *rescue, const json_t *line), void *arg);

/** Deliver the hello and ready lines that were said before somebody asked. */
void rt_worker_map_greet(
	struct rt_worker_map *map, void (*deliver)(void *arg, const char *rescue, const json_t *line), void *arg);
/** Is there such a line? */
bool rt_worker_map_owes(const struct rt_worker_map *map);

void rt_worker_map_free(struct rt_worker_map *map);

#endif
