/*
 * One thread with one appliance at a time.
 */
#ifndef DISKOPS_LANE_H
#define DISKOPS_LANE_H

#include "batch.h"

struct lane {
	struct worker *w;
	struct job **jobs; /* a part of worker.batch; entries become NULL as they are handed back */
	size_t count;
	size_t neighbours; /* lanes at work, this one included: they share the processors */
	pthread_t thread;

	/* under worker.lock: what is under way, for lane_watch() */
	struct job *current;
	int64_t since_ms;
	int appliance_pid; /* 0: none is open */
};

/** The thread: takes the lane's jobs to their end. Takes and returns a struct lane. */
void *lane_run(void *lane);

/**
 * Has the disk under way taken longer than it may? Then its appliance is killed, whatever call it hangs in; the lane
 * sees that it died of this disk. Called by the main thread now and then.
 */
void lane_watch(struct lane *lane);

#endif
