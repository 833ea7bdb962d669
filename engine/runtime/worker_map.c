#include "worker_map.h"

#include <stdlib.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

static size_t find_served(struct rt_worker_map *map, const char *rescue)
{
	for (size_t i = 0; i < map->served_count; i++)
		if (ff_streq(map->served[i].name, rescue))
			return i;
	map->served = ff_realloc(map->served, map->served_count + 1, sizeof(*map->served));
	map->served[map->served_count] = (struct rt_served){.name = ff_strdup(rescue)};
	return map->served_count++;
}

static struct rt_job *find_job(struct rt_worker_map *map, const char *job)
{
	for (size_t i = 0; i < map->job_count; i++)
		if (ff_streq(map->jobs[i].job, job))
			return &map->jobs[i];
	return NULL;
}

static void note_job(struct rt_worker_map *map, const char *job, size_t served)
{
	struct rt_job *known = find_job(map, job);

	if (known != NULL) {
		known->served = served;
		return;
	}
	map->jobs = ff_realloc(map->jobs, map->job_count + 1, sizeof(*map->jobs));
	map->jobs[map->job_count++] = (struct rt_job){.job = ff_strdup(job), .served = served};
}

static void forget_job(struct rt_worker_map *map, struct rt_job *job)
{
	free(job->job);
	*job = map->jobs[--map->job_count];
}

bool rt_worker_map_sent(struct rt_worker_map *map, const char *rescue, const json_t *line)
{
	const char *job = ff_json_str(line, "job");
	size_t served = find_served(map, rescue);
	bool under_way = false;

	if (job != NULL)
		note_job(map, job, served);
	if (!ff_streq(ff_json_str(line, "op"), "probe"))
		return true;
	for (size_t i = 0; i < map->served_count; i++)
		under_way |= map->served[i].probing;
	map->served[served].probing = true;
	map->served[served].owed = map->ready != NULL;
	return map->ready == NULL && !under_way;
}

/* A line about the worker itself. */
static void line_for_all(struct rt_worker_map *map, const json_t *line,
	void (*deliver)(void *arg, const char *rescue, const json_t *line), void *arg)
{
	const char *event = ff_json_str(line, "event");
	bool hello = ff_streq(event, "hello"), ready = ff_streq(event, "ready");
	bool answer = ready || ff_streq(event, "unable");

	if (hello || ready) {
		json_t **last = hello ? &map->hello : &map->ready;

		json_decref(*last);
		*last = json_deep_copy(line);
	}
	for (size_t i = 0; i < map->served_count; i++) {
		struct rt_served *s = &map->served[i];

		if (answer && !s->probing)
			continue;
		s->greeted |= hello;
		if (answer)
			s->probing = s->owed = false;
		deliver(arg, s->name, line);
	}
}

void rt_worker_map_line(struct rt_worker_map *map, const json_t *line,
	void (*deliver)(void *arg, const char *rescue, const json_t *line), void *arg)
{
	const char *name = ff_json_str(line, "job");
	struct rt_job *job;

	if (name == NULL) {
		line_for_all(map, line, deliver, arg);
		return;
	}
	job = find_job(map, name);
	if (job == NULL)
		return;
	deliver(arg, map->served[job->served].name, line);
	if (ff_streq(ff_json_str(line, "event"), "done"))
		forget_job(map, find_job(map, name)); /* looked up again: deliver may have sent a job */
}

void rt_worker_map_greet(
	struct rt_worker_map *map, void (*deliver)(void *arg, const char *rescue, const json_t *line), void *arg)
{
	for (size_t i = 0; i < map->served_count; i++) {
		if (!map->served[i].greeted && map->hello != NULL) {
			map->served[i].greeted = true;
			deliver(arg, map->served[i].name, map->hello);
		}
		if (map->served[i].owed && map->ready != NULL) {
			map->served[i].owed = map->served[i].probing = false;
			deliver(arg, map->served[i].name, map->ready);
		}
	}
}

bool rt_worker_map_owes(const struct rt_worker_map *map)
{
	for (size_t i = 0; i < map->served_count; i++)
		if ((!map->served[i].greeted && map->hello != NULL) || (map->served[i].owed && map->ready != NULL))
			return true;
	return false;
}

void rt_worker_map_free(struct rt_worker_map *map)
{
	for (size_t i = 0; i < map->served_count; i++)
		free(map->served[i].name);
	for (size_t i = 0; i < map->job_count; i++)
		free(map->jobs[i].job);
	free(map->served);
	free(map->jobs);
	json_decref(map->hello);
	json_decref(map->ready);
	*map = (struct rt_worker_map){0};
}
