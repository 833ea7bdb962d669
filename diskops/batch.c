#include "batch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixfleet/json.h"
#include "fixfleet/worker.h"
#include "lane.h"

#define LANES_MAX      4   /* unless the operator says otherwise */
#define LANE_DISKS_MIN 4   /* fewer do not pay for a launch of their own */
#define LISTEN_MS      100 /* between looks whether the lanes have ended */

/* MemAvailable of /proc/meminfo in MiB; 0 when it cannot be told. */
static int64_t memory_free_mb(void)
{
	char line[256], number[32];
	int64_t kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %31s kB", number) == 1 && ff_parse_i64(number, 0, INT64_MAX, &kb) == 0)
			break;
	if (f != NULL)
		fclose(f);
	return kb / 1024;
}

size_t batch_lanes(size_t disks, long processors, int64_t free_mb, const struct launcher *launcher)
{
	size_t lanes = disks / LANE_DISKS_MIN;

	if (lanes > LANES_MAX)
		lanes = LANES_MAX;
	if (processors > 0 && lanes > (size_t)processors)
		lanes = (size_t)processors;
	/* half of what is free: qemu itself needs some beyond the guest's memory, and others live here too */
	while (lanes > 1 && (int64_t)lanes * appliance_memory_mb(launcher, disks / lanes + 1) > free_mb / 2)
		lanes--;
	return lanes > 0 ? lanes : 1;
}

static size_t lanes_for(const struct worker *w, size_t disks)
{
	if (w->lanes_max > 0)
		return disks < w->lanes_max ? (disks > 0 ? disks : 1) : w->lanes_max;
	return batch_lanes(disks, sysconf(_SC_NPROCESSORS_ONLN), memory_free_mb(), &w->launcher);
}

size_t batch_room(const struct worker *w)
{
	size_t room = w->disks_max * lanes_for(w, (size_t)w->disks_max * FF_WORKER_APPLIANCES_MAX);

	return room < BATCH_JOBS_MAX ? room : BATCH_JOBS_MAX;
}

static size_t still_running(struct worker *w)
{
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = w->lanes_running;
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* Neighbours in the order they came share a lane, in equal parts. */
static size_t start_lanes(struct worker *w, struct lane *lanes, size_t lane_count, struct job **jobs, size_t count)
{
	size_t from = 0, started = 0;

	for (size_t i = 0; i < lane_count; i++) {
		size_t to = count * (i + 1) / lane_count;
		struct lane *lane = &lanes[started];

		*lane = (struct lane){.w = w, .jobs = jobs + from, .count = to - from, .neighbours = lane_count};
		w->lanes_running++;
		if (pthread_create(&lane->thread, NULL, lane_run, lane) == 0) {
			started++;
		} else {
			lane_run(lane); /* no thread to be had: then one after the other */
		}
		from = to;
	}
	return started;
}

void batch_run(struct worker *w, struct job **jobs, size_t count)
{
	struct lane lanes[FF_WORKER_APPLIANCES_MAX];
	size_t started;

	pthread_mutex_lock(&w->lock);
	w->batch = jobs;
	w->batch_count = count;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < count; i++)
		outbox_send(&w->out, outbox_event("begin", jobs[i]));
	started = start_lanes(w, lanes, lanes_for(w, count), jobs, count);
	while (still_running(w) > 0) {
		worker_listen(w, LISTEN_MS);
		for (size_t i = 0; i < started; i++)
			lane_watch(&lanes[i]);
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(lanes[i].thread, NULL);
	pthread_mutex_lock(&w->lock);
	w->batch = NULL;
	w->batch_count = 0;
	pthread_mutex_unlock(&w->lock);
}
