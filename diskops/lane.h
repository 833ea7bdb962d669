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
};

/** The thread: takes the lane's jobs to their end. Takes and returns a struct lane. */
void *lane_run(void *lane);

#endif
