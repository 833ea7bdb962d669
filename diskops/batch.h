/*
 * The jobs that go together through one appliance: launch, look at all, mend each when its files are kept, close, tell.
 */
#ifndef DISKOPS_BATCH_H
#define DISKOPS_BATCH_H

#include "appliance.h"
#include "inbox.h"
#include "outbox.h"

/* What the worker is while it lives; see worker.c. */
struct worker {
	struct inbox *inbox;
	struct outbox out;
	struct launcher launcher;
	unsigned disks_max;
	bool probe_wanted;
	struct job_list waiting; /* WAITING for their device, READY, or ENDED and not yet told */
	size_t job_count;	 /* in `waiting` and in the batch */
	int64_t last_job_ms;	 /* when the last one came */
	int64_t ready_since_ms;	 /* when the first of those that are READY became so; 0: none is */
	bool ended;		 /* end of input: nothing new comes, nothing is kept any more */
	bool stopping;		 /* close everything, tell, leave */
	struct ff_err why;	 /* of stopping */
	int status;		 /* exit status */
	struct job **batch;	 /* the jobs under way in an appliance; NULL entries are done with */
	size_t batch_count;
};

/** Take READY jobs through an appliance and tell what became of them; those that must start over go back to waiting. */
void batch_run(struct worker *w, struct job **jobs, size_t count);

/* ---- of worker.c, for the batch */

/** Take what the controller sent, waiting at most `timeout_ms` for the first of it. */
void worker_listen(struct worker *w, int timeout_ms);
/** Milliseconds of a clock that only goes forward. */
int64_t worker_now_ms(void);

#endif
