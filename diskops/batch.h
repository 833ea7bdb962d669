/*
 * The jobs that go together: over one appliance, or a few side by side where there are processors for them. Each is a
 * lane, a thread of its own: launch, look at all its disks, mend each when its files are kept, close, tell. libguestfs
 * works on one call at a time, so a second processor is of use to a second appliance only.
 *
 * What threads share is under worker.lock: the flags of struct worker marked so, the lists, and the flags `asked`,
 * `kept` and `dropped` of a job. All else of a job belongs to its lane until the lane hands it back.
 */
#ifndef DISKOPS_BATCH_H
#define DISKOPS_BATCH_H

#include <pthread.h>

#include "appliance.h"
#include "inbox.h"
#include "outbox.h"

/* What the worker is while it lives; see worker.c. */
struct worker {
	struct inbox *inbox; /* of the main thread alone */
	struct outbox out;
	unsigned disks_max; /* in one appliance */
	unsigned lanes_max; /* appliances side by side; 0: by the machine */
	bool probe_wanted;
	int64_t last_job_ms;	/* when the last one came */
	int64_t ready_since_ms; /* when the first of those that are READY became so; 0: none is */
	int status;		/* exit status */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t news;  /* a flag changed, or a lane ended */
	struct launcher launcher;
	struct job_list waiting; /* WAITING for their device, READY, or ENDED and not yet told */
	size_t job_count;	 /* in `waiting` and in the batch */
	struct job **batch;	 /* the jobs under way; NULL entries are done with */
	size_t batch_count, lanes_running;
	bool ended;	   /* end of input: nothing new comes, nothing is kept any more */
	bool stopping;	   /* close everything, tell, leave */
	struct ff_err why; /* of stopping */
};

/** Lanes for so many disks: by processors and memory, and so that each lane has disks enough to pay for its launch. */
size_t batch_lanes(size_t disks, long processors, int64_t memory_free_mb, const struct launcher *launcher);

/** Jobs that one batch may take: disks_max for each lane. */
size_t batch_room(const struct worker *w);

/**
 * Take READY jobs, at most batch_room(), through appliances and tell what became of them; those that must start over go
 * back to waiting. Listens to the controller meanwhile. The main thread's.
 */
void batch_run(struct worker *w, struct job **jobs, size_t count);

#define BATCH_JOBS_MAX 512 /* in one batch */

/* ---- of lines.c and worker.c */

/** Take what the controller sent, waiting at most `timeout_ms` (-1: for ever) for the first of it. Main thread only. */
void worker_listen(struct worker *w, int timeout_ms);
/** Milliseconds of a clock that only goes forward. */
int64_t worker_now_ms(void);

#endif
