#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "mend.h"
#include "windows.h"

#define KEPT_MS 120000 /* how long the controller may take to make kept files durable */

/* ---------------------------------------------------------------- one disk */

static void ask_to_keep(struct worker *w, struct job *job)
{
	json_t *event = outbox_event("keep-end", job);

	ff_json_set_new(event, "files", job_victims_json(job, false));
	outbox_send(&w->out, event);
	job->state = JOB_ASKED;
	job->asked_mono_ms = worker_now_ms();
}

static char *removed_text(const struct job *job)
{
	bool one_place = true;

	for (size_t i = 1; i < job->victim_count; i++)
		one_place &= job->victims[i].place == job->victims[0].place;
	return ff_printf("%zu file%s from %s", job->victim_count, job->victim_count == 1 ? "" : "s",
		one_place ? job->places[job->victims[0].place].dir : "several directories");
}

static void scan(struct worker *w, struct appliance *a, struct job *job, char *const *partitions)
{
	ff_auto_free char *text = NULL;
	struct ff_err err;

	if (windows_scan(a, &w->out, job, partitions, &err) < 0) {
		job_fail(job, &err);
		return;
	}
	if (job->victim_count == 0) {
		job_end(job, JOB_CLEAN, ff_printable(job->nothing));
		return;
	}
	text = removed_text(job);
	if (job->scan_only)
		job_end(job, JOB_CLEAN, ff_printf("would remove %s: only looked", text));
	else
		ask_to_keep(w, job);
}

static void mend(struct worker *w, struct appliance *a, struct job *job)
{
	ff_auto_free char *text = removed_text(job), *reason = ff_printf("removed %s", text);
	struct ff_err err;

	outbox_stage(&w->out, job, "removing %s", text);
	if (mend_disk(a, job, &err) < 0) {
		job_fail(job, &err);
		return;
	}
	outbox_send(&w->out, outbox_event("mended", job));
	job_end(job, JOB_REPAIRED, ff_printable(reason));
}

/* ---------------------------------------------------------------- a dead appliance */

/* It died of `culprit`'s disk. The others start over in another one, once; what was asked for is not asked twice. */
static void bury(struct job *const *jobs, size_t count, const struct job *culprit)
{
	struct ff_err err;

	for (size_t i = 0; i < count; i++) {
		struct job *job = jobs[i];

		if (job->state == JOB_ENDED)
			continue;
		if (job == culprit || job->retried || job->state == JOB_ASKED) {
			ff_fail(&err, job == culprit ? FF_E_DISK : FF_E_LOCAL,
				"the appliance died%s: nothing was removed",
				job == culprit ? " while it looked at this disk" : " while it held this disk");
			job_fail(job, &err);
		} else {
			job_reset(job);
			job->retried = true;
			job->state = JOB_WAITING;
		}
	}
}

/* ---------------------------------------------------------------- all disks */

static bool any_asked(struct job *const *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (jobs[i]->state == JOB_ASKED)
			return true;
	return false;
}

static void fail_all(struct job *const *jobs, size_t count, const struct ff_err *err)
{
	for (size_t i = 0; i < count; i++)
		job_fail(jobs[i], err);
}

static bool scan_all(struct worker *w, struct appliance *a, struct job *const *jobs, size_t count)
{
	char **partitions = guestfs_list_partitions(a->g);
	struct ff_err err;
	bool alive = true;

	if (partitions == NULL) {
		appliance_fail(a, &err, FF_E_LOCAL, "cannot list partitions");
		fail_all(jobs, count, &err);
		return false;
	}
	for (size_t i = 0; i < count && alive; i++) {
		worker_listen(w, 0);
		if (w->stopping || w->out.broken)
			break;
		if (jobs[i]->state != JOB_OPEN)
			continue; /* dropped */
		scan(w, a, jobs[i], partitions);
		alive = appliance_alive(a);
		if (!alive)
			bury(jobs, count, jobs[i]);
	}
	appliance_free_list(partitions);
	return alive;
}

static void give_up_waiting(const struct worker *w, struct job *const *jobs, size_t count)
{
	struct ff_err err;

	for (size_t i = 0; i < count; i++) {
		if (jobs[i]->state != JOB_ASKED || jobs[i]->kept)
			continue;
		if (w->ended)
			ff_fail(&err, FF_E_LOCAL,
				"the controller left before the files were kept: nothing was removed");
		else if (worker_now_ms() - jobs[i]->asked_mono_ms >= KEPT_MS)
			ff_fail(&err, FF_E_LOCAL, "the files were not kept within %d s: nothing was removed",
				KEPT_MS / 1000);
		else
			continue;
		job_fail(jobs[i], &err);
	}
}

static void mend_all(struct worker *w, struct appliance *a, struct job *const *jobs, size_t count)
{
	while (any_asked(jobs, count) && !w->stopping && !w->out.broken) {
		bool mended = false;

		for (size_t i = 0; i < count && appliance_alive(a); i++) {
			worker_listen(w, 0);
			if (jobs[i]->state != JOB_ASKED || !jobs[i]->kept || w->stopping)
				continue;
			mend(w, a, jobs[i]);
			mended = true;
		}
		if (!appliance_alive(a)) {
			bury(jobs, count, NULL);
			return;
		}
		if (mended)
			continue;
		give_up_waiting(w, jobs, count);
		if (any_asked(jobs, count))
			worker_listen(w, 1000);
	}
}

/* A disk that was written and not proved flushed is not mended, whatever was seen in the appliance. */
static void close_all(struct appliance *a, struct job *const *jobs, size_t count)
{
	struct ff_err err;
	bool alive = appliance_alive(a);

	if (alive && appliance_shutdown(a, &err) == 0) {
		appliance_close(a);
		return;
	}
	if (!alive)
		ff_fail(&err, FF_E_LOCAL, "the appliance died");
	ff_wrap(&err, "files were removed, but it is not certain that this reached the disk");
	for (size_t i = 0; i < count; i++) {
		if (jobs[i]->state != JOB_ENDED || jobs[i]->result != JOB_REPAIRED)
			continue;
		jobs[i]->result = JOB_FAILED;
		jobs[i]->err = err;
		free(jobs[i]->reason);
		jobs[i]->reason = ff_printable(err.text);
	}
	appliance_close(a);
}

static void run_open(struct worker *w, struct appliance *a, struct job *const *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (jobs[i]->state == JOB_READY)
			jobs[i]->state = JOB_OPEN;
	if (scan_all(w, a, jobs, count))
		mend_all(w, a, jobs, count);
	if (w->stopping || w->out.broken)
		fail_all(jobs, count, &w->why);
	close_all(a, jobs, count);
}

/* Tell what became of them; those that start over go back. */
static void hand_back(struct worker *w, struct job **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (jobs[i]->state == JOB_ENDED) {
			outbox_done(&w->out, jobs[i], worker_now_ms());
			job_free(jobs[i]);
			w->job_count--;
		} else {
			jobs[i]->state = JOB_WAITING;
			TAILQ_INSERT_TAIL(&w->waiting, jobs[i], next);
		}
		jobs[i] = NULL;
	}
}

/* Would an appliance without any of these disks launch? If not, there is no point in looking for a bad disk. */
static bool launches_empty(struct worker *w)
{
	struct appliance a;
	struct ff_err err;

	if (appliance_launch(&a, &w->launcher, NULL, 0, &err) < 0)
		return false;
	appliance_close(&a);
	return true;
}

static void tell_note(struct worker *w, const struct job *job)
{
	if (w->launcher.note == NULL)
		return;
	outbox_stage(&w->out, job, "%s", w->launcher.note);
	free(w->launcher.note);
	w->launcher.note = NULL;
}

/* Launch with these, or halve them until those that can be launched with are told from those that cannot. */
static void run_or_halve(struct worker *w, struct job **jobs, size_t count, bool halved)
{
	struct appliance a;
	struct ff_err err;

	if (appliance_launch(&a, &w->launcher, jobs, count, &err) == 0) {
		tell_note(w, jobs[0]);
		run_open(w, &a, jobs, count);
		hand_back(w, jobs, count);
		return;
	}
	worker_listen(w, 0);
	if (count == 1 || w->stopping || w->out.broken || (!halved && !launches_empty(w))) {
		fail_all(jobs, count, w->stopping ? &w->why : &err);
		hand_back(w, jobs, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		free(jobs[i]->device);
		jobs[i]->device = NULL;
	}
	run_or_halve(w, jobs, count / 2, true);
	run_or_halve(w, jobs + count / 2, count - count / 2, true);
}

void batch_run(struct worker *w, struct job **jobs, size_t count)
{
	w->batch = jobs;
	w->batch_count = count;
	for (size_t i = 0; i < count; i++)
		outbox_send(&w->out, outbox_event("begin", jobs[i]));
	run_or_halve(w, jobs, count, false);
	w->batch = NULL;
	w->batch_count = 0;
}
