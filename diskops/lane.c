#include "lane.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bitlocker.h"
#include "device.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "mend.h"
#include "windows.h"

#define KEPT_MS 120000 /* how long the controller may take to make kept files durable */
#define LOOK_MS 1000   /* between looks whether that time has passed */

/* ---------------------------------------------------------------- what the controller wants by now */

static bool stopped(struct worker *w, struct ff_err *why)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stopping;
	if (stop && why != NULL)
		*why = w->why;
	pthread_mutex_unlock(&w->lock);
	if (!stop && outbox_broken(&w->out)) {
		stop = true;
		ff_fail(why, FF_E_LOCAL, "nobody reads what this worker writes");
	}
	return stop;
}

static bool dropped(struct worker *w, struct job *job)
{
	struct ff_err err;
	bool drop;

	pthread_mutex_lock(&w->lock);
	drop = job->dropped;
	pthread_mutex_unlock(&w->lock);
	if (drop) {
		ff_fail(&err, FF_E_LOCAL, "dropped by the controller: nothing was removed");
		job_fail(job, &err);
	}
	return drop;
}

static void fail_all(struct job *const *jobs, size_t count, const struct ff_err *err)
{
	for (size_t i = 0; i < count; i++)
		job_fail(jobs[i], err);
}

/* ---------------------------------------------------------------- time limits */

static void set_current(struct lane *lane, struct job *job)
{
	pthread_mutex_lock(&lane->w->lock);
	lane->current = job;
	lane->since_ms = worker_now_ms();
	pthread_mutex_unlock(&lane->w->lock);
}

static void set_pid(struct lane *lane, int pid)
{
	pthread_mutex_lock(&lane->w->lock);
	lane->appliance_pid = pid;
	pthread_mutex_unlock(&lane->w->lock);
}

static bool timed_out(struct worker *w, const struct job *job)
{
	bool late;

	pthread_mutex_lock(&w->lock);
	late = job->timed_out;
	pthread_mutex_unlock(&w->lock);
	return late;
}

void lane_watch(struct lane *lane)
{
	struct worker *w = lane->w;
	struct job *job;

	pthread_mutex_lock(&w->lock);
	job = lane->current;
	if (job != NULL && job->timeout_ms > 0 && !job->timed_out && lane->appliance_pid > 0 &&
		worker_now_ms() - lane->since_ms > job->timeout_ms) {
		job->timed_out = true;
		kill(lane->appliance_pid, SIGKILL);
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---------------------------------------------------------------- one disk */

static void ask_to_keep(struct worker *w, struct job *job)
{
	json_t *event = outbox_event("keep-end", job);

	ff_json_set_new(event, "files", job_victims_json(job, false));
	pthread_mutex_lock(&w->lock);
	job->asked = true; /* before it is sent: the answer may be quick */
	pthread_mutex_unlock(&w->lock);
	job->asked_mono_ms = worker_now_ms();
	outbox_send(&w->out, event);
}

static void scan(struct worker *w, struct appliance *a, struct job *job)
{
	ff_auto_free char *text = NULL;
	struct ff_err err;

	if (device_prove(job, &err) < 0 || windows_scan(a, &w->out, job, &err) < 0) {
		if (appliance_alive(a))
			job_fail(job, &err); /* otherwise bury() knows better than the call that broke */
		return;
	}
	if (job->victim_count == 0) {
		job_end(job, JOB_CLEAN, ff_printable(job->list ? "listed" : job->nothing));
		return;
	}
	text = job_summary(job, false);
	if (job->scan_only)
		job_end(job, JOB_CLEAN, ff_printf("would %s: only looked", text));
	else
		ask_to_keep(w, job);
}

static void mend(struct worker *w, struct appliance *a, struct job *job)
{
	ff_auto_free char *text = job_summary(job, false), *reason = job_summary(job, true);
	struct ff_err err;

	outbox_stage(&w->out, job, "now to %s", text);
	if (mend_disk(a, job, &err) < 0) {
		if (timed_out(w, job))
			ff_wrap(&err, "given up: it took too long to be mended");
		job_fail(job, &err);
		return;
	}
	outbox_send(&w->out, outbox_event("mended", job));
	job_end(job, JOB_REPAIRED, ff_printable(reason));
}

/* ---------------------------------------------------------------- a dead appliance */

/*
 * It died of `culprit`'s disk (NULL: not known). Those not yet looked at start over in another one, once; those whose
 * files were sent do not: the controller would be sent them twice.
 */
static void bury(struct worker *w, struct job *const *jobs, size_t count, const struct job *culprit)
{
	char limit[FF_TIME_BYTES];
	struct ff_err err;

	for (size_t i = 0; i < count; i++) {
		struct job *job = jobs[i];

		if (job->state == JOB_ENDED)
			continue;
		if (job == culprit && timed_out(w, job)) {
			ff_fail(&err, FF_E_DISK, "given up: looking at it took longer than %s: nothing was removed",
				ff_duration(job->timeout_ms, limit));
			job_fail(job, &err);
		} else if (job == culprit || job->retried || job->asked) {
			ff_fail(&err, job == culprit ? FF_E_DISK : FF_E_LOCAL, "the appliance died while it %s: %s",
				job == culprit ? "looked at this disk" : "held this disk", "nothing was removed");
			job_fail(job, &err);
		} else {
			job_reset(job);
			job->retried = true;
			job->state = JOB_WAITING;
		}
	}
}

/* ---------------------------------------------------------------- all disks */

static bool scan_all(struct lane *lane, struct appliance *a, struct job *const *jobs, size_t count)
{
	struct worker *w = lane->w;
	bool alive = true;

	for (size_t i = 0; i < count && alive && !stopped(w, NULL); i++) {
		if (dropped(w, jobs[i]))
			continue;
		jobs[i]->state = JOB_OPEN;
		set_current(lane, jobs[i]);
		scan(w, a, jobs[i]);
		set_current(lane, NULL);
		alive = appliance_alive(a);
		if (!alive)
			bury(w, jobs, count, jobs[i]);
	}
	return alive;
}

/* Has the controller left, or taken too long? Called with the lock held. */
static bool given_up(const struct worker *w, const struct job *job, struct ff_err *err)
{
	if (w->ended)
		ff_fail(err, FF_E_LOCAL, "the controller left before the files were kept: nothing was removed");
	else if (worker_now_ms() - job->asked_mono_ms >= KEPT_MS)
		ff_fail(err, FF_E_LOCAL, "the files were not kept within %d s: nothing was removed", KEPT_MS / 1000);
	else
		return false;
	return true;
}

static void wait_for_news(struct worker *w)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_MS / 1000;
	pthread_cond_timedwait(&w->news, &w->lock, &until);
}

/* The next job whose files are kept; NULL when none is left that may become so. Fails those that were given up. */
static struct job *next_kept(struct worker *w, struct job *const *jobs, size_t count)
{
	struct job *kept = NULL;
	bool any = true;

	pthread_mutex_lock(&w->lock);
	while (kept == NULL && any && !w->stopping) {
		any = false;
		for (size_t i = 0; i < count && kept == NULL; i++) {
			struct ff_err err;

			if (jobs[i]->state == JOB_ENDED || !jobs[i]->asked || jobs[i]->dropped)
				continue;
			if (jobs[i]->kept)
				kept = jobs[i];
			else if (given_up(w, jobs[i], &err))
				job_fail(jobs[i], &err);
			else
				any = true;
		}
		if (kept == NULL && any)
			wait_for_news(w);
	}
	pthread_mutex_unlock(&w->lock);
	return kept;
}

static void mend_all(struct lane *lane, struct appliance *a, struct job *const *jobs, size_t count)
{
	struct worker *w = lane->w;
	struct job *job;

	while (!stopped(w, NULL) && (job = next_kept(w, jobs, count)) != NULL) {
		set_current(lane, job);
		if (!stopped(w, NULL))
			mend(w, a, job);
		set_current(lane, NULL);
		if (!appliance_alive(a)) {
			bury(w, jobs, count, NULL);
			return;
		}
	}
	for (size_t i = 0; i < count; i++)
		dropped(w, jobs[i]);
}

/* A disk that was written and not proved flushed is not mended, whatever was seen in the appliance. */
static void close_all(struct appliance *a, struct job *const *jobs, size_t count)
{
	struct ff_err err;

	bool flushed = appliance_shutdown(a, &err) == 0;

	appliance_close(a);
	for (size_t i = 0; i < count; i++) {
		struct ff_err mine = err;
		bool locked = bitlocker_close(jobs[i], &mine) == 0;

		if (jobs[i]->state != JOB_ENDED || jobs[i]->result != JOB_REPAIRED || (flushed && locked))
			continue;
		ff_wrap(&mine, "files were removed, but it is not certain that this reached the disk");
		jobs[i]->result = JOB_FAILED;
		jobs[i]->err = mine;
		free(jobs[i]->reason);
		jobs[i]->reason = ff_printable(mine.text);
	}
}

static void run_open(struct lane *lane, struct appliance *a, struct job *const *jobs, size_t count)
{
	struct ff_err why;

	set_pid(lane, guestfs_get_pid(a->g));
	if (scan_all(lane, a, jobs, count))
		mend_all(lane, a, jobs, count);
	if (stopped(lane->w, &why))
		fail_all(jobs, count, &why);
	set_pid(lane, 0);
	close_all(a, jobs, count);
}

/* Tell what became of them; those that start over go back. */
static void hand_back(struct worker *w, struct job **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct job *job = jobs[i];

		if (job->state == JOB_ENDED)
			outbox_done(&w->out, job, worker_now_ms());
		pthread_mutex_lock(&w->lock);
		jobs[i] = NULL;
		if (job->state == JOB_ENDED)
			w->job_count--;
		else
			TAILQ_INSERT_TAIL(&w->waiting, job, next);
		pthread_mutex_unlock(&w->lock);
		if (job->state == JOB_ENDED)
			job_free(job);
	}
}

/* ---------------------------------------------------------------- launching */

/* Launch with what the process knows, and let it know what was learnt. */
static int launch(struct lane *lane, struct appliance *a, struct job *const *jobs, size_t count, struct ff_err *err)
{
	struct worker *w = lane->w;
	struct launcher mine;
	int rc;

	pthread_mutex_lock(&w->lock);
	mine = w->launcher;
	pthread_mutex_unlock(&w->lock);
	mine.note = NULL;
	mine.neighbours = lane->neighbours;
	rc = appliance_launch(a, &mine, jobs, count, err);
	pthread_mutex_lock(&w->lock);
	if (mine.note != NULL && (mine.force_tcg > w->launcher.force_tcg || mine.plain > w->launcher.plain))
		outbox_stage(&w->out, jobs[0], "%s", mine.note); /* the first to find out says it */
	w->launcher.force_tcg |= mine.force_tcg;
	w->launcher.plain |= mine.plain;
	pthread_mutex_unlock(&w->lock);
	free(mine.note);
	return rc;
}

/* Would an appliance without any of these disks launch? If not, there is no point in looking for a bad disk. */
static bool launches_empty(void)
{
	struct launcher emulated = {.force_tcg = true};
	struct appliance a;
	struct ff_err err;

	if (appliance_launch(&a, &emulated, NULL, 0, &err) < 0)
		return false;
	appliance_close(&a);
	return true;
}

/* Launch with these, or halve them until those that can be launched with are told from those that cannot. */
static void run_or_halve(struct lane *lane, struct job **jobs, size_t count, bool halved)
{
	struct worker *w = lane->w;
	struct appliance a;
	struct ff_err err;

	if (launch(lane, &a, jobs, count, &err) == 0) {
		run_open(lane, &a, jobs, count);
		hand_back(w, jobs, count);
		return;
	}
	if (stopped(w, &err) || count == 1 || (!halved && !launches_empty())) {
		fail_all(jobs, count, &err);
		hand_back(w, jobs, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		free(jobs[i]->device);
		jobs[i]->device = NULL;
	}
	run_or_halve(lane, jobs, count / 2, true);
	run_or_halve(lane, jobs + count / 2, count - count / 2, true);
}

void *lane_run(void *arg)
{
	struct lane *lane = arg;
	struct worker *w = lane->w;

	for (size_t i = 0; i < lane->count; i++)
		bitlocker_open(&w->out, lane->jobs[i]);
	run_or_halve(lane, lane->jobs, lane->count, false);
	pthread_mutex_lock(&w->lock);
	w->lanes_running--;
	pthread_mutex_unlock(&w->lock);
	return lane;
}
