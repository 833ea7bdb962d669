/* What the controller says, one line after the other. */
#include <stdlib.h>

#include "batch.h"
#include "bitlocker.h"
#include "fixfleet/json.h"
#include "fixfleet/log.h"

#define JOBS_MAX 4096 /* a rescue VM has some dozens of slots */

/* What came is not the protocol: whoever speaks may mean anything, so nothing more is done for them. */
static void break_off(struct worker *w, const struct ff_err *err)
{
	ff_log(FF_LOG_ERROR, "worker", "%s", err->text);
	ff_fail(&w->why, FF_E_BUG, "the worker stopped: %s", err->text);
	w->stopping = true;
	w->status = 1;
}

static struct job *find_job(struct worker *w, const char *id)
{
	struct job *job;

	for (size_t i = 0; i < w->batch_count; i++)
		if (w->batch[i] != NULL && ff_streq(w->batch[i]->id, id))
			return w->batch[i];
	TAILQ_FOREACH (job, &w->waiting, next)
		if (ff_streq(job->id, id))
			return job;
	return NULL;
}

static void take_mend(struct worker *w, const json_t *line)
{
	struct job *job = job_parse(line, worker_now_ms());
	struct ff_err err;

	if (job == NULL || find_job(w, job->id) != NULL) {
		ff_fail(&err, FF_E_BUG, job ? "a job of that name is under way" : "mend: no usable job");
		job_free(job);
		break_off(w, &err);
		return;
	}
	if (w->job_count >= JOBS_MAX) {
		ff_fail(&err, FF_E_LOCAL, "more than %d jobs", JOBS_MAX);
		job_fail(job, &err);
	}
	w->job_count++;
	w->last_job_ms = job->accepted_mono_ms;
	TAILQ_INSERT_TAIL(&w->waiting, job, next);
}

/* A job may have ended before these arrive; that is no mistake of the controller. */
static void take_kept(struct worker *w, const json_t *line)
{
	struct job *job = find_job(w, ff_json_str(line, "job"));

	if (job != NULL && job->asked)
		job->kept = true;
}

/* Nor is a key that nobody waits for any more. */
static void take_key(struct worker *w, const json_t *line)
{
	struct job *job = find_job(w, ff_json_str(line, "job"));

	if (job != NULL && job->state == JOB_LOCKED)
		bitlocker_take(job, line);
}

static void take_drop(struct worker *w, const json_t *line)
{
	struct job *job = find_job(w, ff_json_str(line, "job"));

	if (job != NULL)
		job->dropped = true;
}

static void take_line(struct worker *w, const json_t *line)
{
	const char *op = ff_json_str(line, "op");
	ff_auto_free char *shown = ff_printable(op);
	struct ff_err err;

	if (ff_streq(op, "probe")) {
		w->probe_wanted = true;
	} else if (ff_streq(op, "mend")) {
		take_mend(w, line);
	} else if (ff_streq(op, "kept")) {
		take_kept(w, line);
	} else if (ff_streq(op, "key")) {
		take_key(w, line);
	} else if (ff_streq(op, "drop")) {
		take_drop(w, line);
	} else {
		ff_fail(&err, FF_E_BUG, "unknown op '%.64s'", shown);
		break_off(w, &err);
	}
}

static void take_item(struct worker *w, const struct inbox_item *item)
{
	pthread_mutex_lock(&w->lock);
	switch (item->kind) {
	case INBOX_NOTHING:
		break;
	case INBOX_LINE:
		take_line(w, item->json);
		break;
	case INBOX_END:
		w->ended = true;
		break;
	case INBOX_BROKEN:
		break_off(w, &item->err);
		break;
	case INBOX_HANGUP:
		w->status = 1;
		/* fall through */
	case INBOX_STOP:
		w->why = item->err;
		w->stopping = true;
		break;
	}
	pthread_cond_broadcast(&w->news);
	pthread_mutex_unlock(&w->lock);
}

void worker_listen(struct worker *w, int timeout_ms)
{
	struct inbox_item item;

	do {
		inbox_next(w->inbox, w->stopping ? 0 : timeout_ms, &item);
		timeout_ms = 0;
		take_item(w, &item);
		json_decref(item.json);
	} while (item.kind == INBOX_LINE && !w->stopping);
}
