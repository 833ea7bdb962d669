/*
 * The workers, one conversation a rescue VM. A worker that dies may have died of a disk: the disks that were open are
 * tried once more, one at a time, and nobody else's beside them, so that only the culprit pays.
 */
#include "state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixfleet/worker.h"

/* So often in a row without a disk being to blame: there is something wrong with the worker itself. */
#define DEATHS_MAX 3

void ff_job_list_add(struct ff_job **list, struct ff_job *job)
{
	job->list = list;
	job->prev = NULL;
	job->next = *list;
	if (*list != NULL)
		(*list)->prev = job;
	*list = job;
}

void ff_job_list_remove(struct ff_job *job)
{
	if (job->list == NULL)
		return;
	if (job->prev != NULL)
		job->prev->next = job->next;
	else
		*job->list = job->next;
	if (job->next != NULL)
		job->next->prev = job->prev;
	job->next = job->prev = NULL;
	job->list = NULL;
}

struct ff_worker *ff_worker_find(struct ff_engine *e, const char *name)
{
	for (size_t i = 0; i < e->worker_count; i++)
		if (ff_streq(e->workers[i]->name, name))
			return e->workers[i];
	return NULL;
}

static void probe_late(struct ff_engine *e, struct ff_task *task)
{
	struct ff_worker *w = FF_OWNER(task, struct ff_worker, task);

	if (w->state == FF_WORKER_PROBING)
		ff_worker_distrust(e, w, "no appliance after %d minutes", FF_PROBE_PATIENCE_MS / 60000);
}

struct ff_worker *ff_worker_of(struct ff_engine *e, const char *name)
{
	struct ff_worker *w = ff_worker_find(e, name);

	if (w != NULL)
		return w;
	w = ff_calloc(1, sizeof(*w));
	w->name = ff_strdup(name);
	w->task.run = probe_late;
	e->workers = ff_realloc(e->workers, e->worker_count + 1, sizeof(struct ff_worker *));
	e->workers[e->worker_count++] = w;
	return w;
}

void ff_workers_free(struct ff_engine *e)
{
	for (size_t i = 0; i < e->worker_count; i++) {
		free(e->workers[i]->name);
		free(e->workers[i]);
	}
	free(e->workers);
}

int ff_worker_say(struct ff_engine *e, struct ff_worker *w, const json_t *line, struct ff_err *err)
{
	return e->world->worker_send(e->world->self, w->name, line, err);
}

/* All jobs of the list, failed. */
static void fail_all(struct ff_engine *e, struct ff_job **list, const char *why)
{
	while (*list != NULL)
		ff_job_fail(e, *list, FF_E_LOCAL, why);
}

/* ---------------------------------------------------------------- probing */

static void probed(struct ff_engine *e, struct ff_worker *w, enum ff_worker_state state)
{
	if (w->state != FF_WORKER_PROBING)
		return;
	w->state = state;
	e->probing--;
	e->admit = true;
	ff_task_cancel(&e->tasks, &w->task);
	if (state == FF_WORKER_UNUSABLE) {
		ff_say(e, FF_EV_WARN, NULL, NULL, "rescue VM '%s' cannot be used: %s", w->name, w->why.text);
		ff_worker_lost(e, w);
		fail_all(e, &w->held, w->why.text);
	} else {
		ff_worker_go_on(e, w);
	}
}

void ff_worker_probe(struct ff_engine *e, struct ff_worker *w)
{
	ff_auto_json json_t *line = json_object();

	w->state = FF_WORKER_PROBING;
	e->probing++;
	ff_json_set_str(line, "op", "probe");
	if (ff_worker_say(e, w, line, &w->why) < 0)
		probed(e, w, FF_WORKER_UNUSABLE);
	else
		ff_task_at(&e->tasks, &w->task, ff_now(e) + FF_PROBE_PATIENCE_MS);
}

void ff_worker_distrust(struct ff_engine *e, struct ff_worker *w, const char *fmt, ...)
{
	ff_auto_free char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_fail(&w->why, FF_E_LOCAL, "worker: %s", what);
	ff_say(e, FF_EV_WARN, NULL, NULL, "rescue VM '%s': %s: the worker is ended", w->name, w->why.text);
	w->killed = true;
	e->world->worker_kill(e->world->self, w->name);
}

/* ---------------------------------------------------------------- its jobs */

void ff_worker_take(struct ff_engine *e, struct ff_worker *w, struct ff_job *job)
{
	if (w->state == FF_WORKER_UNUSABLE) {
		ff_job_fail(e, job, FF_E_LOCAL, w->why.text);
		return;
	}
	if (w->state == FF_WORKER_PROBING || w->testing != NULL || w->suspects != NULL || w->killed)
		ff_job_list_add(&w->held, job);
	else
		ff_job_send(e, job);
}

void ff_worker_go_on(struct ff_engine *e, struct ff_worker *w)
{
	struct ff_job *job;

	if (w->killed || w->state != FF_WORKER_READY)
		return;
	/* while a suspect is open nothing else is */
	if (w->suspects != NULL) {
		if (w->testing != NULL)
			return;
		w->testing = job = w->suspects;
		ff_job_list_remove(job);
		ff_job_send(e, job);
		return;
	}
	while (w->testing == NULL && w->suspects == NULL && !w->killed && (job = w->held) != NULL) {
		ff_job_list_remove(job);
		ff_job_send(e, job);
	}
}

static void unusable(struct ff_engine *e, struct ff_worker *w)
{
	w->state = FF_WORKER_UNUSABLE;
	ff_say(e, FF_EV_WARN, NULL, NULL, "rescue VM '%s' cannot be used any more: %s", w->name, w->why.text);
	ff_worker_lost(e, w);
	fail_all(e, &w->jobs, w->why.text);
	fail_all(e, &w->suspects, w->why.text);
	fail_all(e, &w->held, w->why.text);
}

static void orphans(struct ff_engine *e, struct ff_worker *w)
{
	bool begun = false, had_jobs = w->jobs != NULL;
	struct ff_job *job, *jobs = NULL;

	while ((job = w->jobs) != NULL) {
		begun = begun || job->begun;
		ff_job_list_remove(job);
		ff_job_list_add(&jobs, job);
	}
	if (had_jobs && !begun)
		w->deaths++;
	while ((job = jobs) != NULL) {
		ff_job_list_remove(job);
		ff_job_list_add(&w->jobs, job); /* so that it is somewhere when it fails */
		if (w->deaths < DEATHS_MAX)
			ff_job_orphaned(e, job, &w->why);
	}
	if (w->deaths >= DEATHS_MAX)
		unusable(e, w);
}

void ff_engine_worker_gone(struct ff_engine *e, const char *rescue_name, const struct ff_err *why)
{
	struct ff_worker *w = ff_worker_find(e, rescue_name);

	if (w == NULL || e->stopped || e->broken.class != FF_E_NONE)
		return;
	if (!w->killed)
		ff_fail(&w->why, FF_E_LOCAL, "worker: %s", why && why->text[0] ? why->text : "it ended");
	w->killed = w->hello = false;
	w->testing = NULL;
	if (w->state == FF_WORKER_PROBING)
		probed(e, w, FF_WORKER_UNUSABLE);
	else if (w->state == FF_WORKER_READY)
		orphans(e, w);
	ff_worker_go_on(e, w);
}

/* ---------------------------------------------------------------- what it says */

static void hello(struct ff_engine *e, struct ff_worker *w, const json_t *line)
{
	int64_t version = ff_json_int(line, "version", -1);

	if (version == FF_WORKER_VERSION)
		w->hello = true;
	else
		ff_worker_distrust(e, w,
			"it speaks version %" PRId64 ", this program %d: install the same fixfleet there", version,
			FF_WORKER_VERSION);
}

static void unable(struct ff_engine *e, struct ff_worker *w, const json_t *line)
{
	const char *reason = ff_json_str(line, "reason");

	if (w->state != FF_WORKER_PROBING)
		return;
	ff_fail(&w->why, FF_E_LOCAL, "%s", reason ? reason : "its worker is unable to work");
	probed(e, w, FF_WORKER_UNUSABLE);
}

static void ready(struct ff_engine *e, struct ff_worker *w, const json_t *line)
{
	const char *note = ff_json_str(line, "note");

	if (w->state == FF_WORKER_PROBING && note != NULL && note[0] != '\0')
		ff_say(e, FF_EV_NOTE, NULL, NULL, "rescue VM '%s': %s", w->name, note);
	probed(e, w, FF_WORKER_READY);
}

void ff_engine_worker_line(struct ff_engine *e, const char *rescue_name, const json_t *line)
{
	struct ff_worker *w = ff_worker_find(e, rescue_name);
	const char *event = ff_json_str(line, "event");

	if (w == NULL || w->killed || e->stopped || e->broken.class != FF_E_NONE)
		return;
	if (event == NULL)
		ff_worker_distrust(e, w, "it said something that is no event");
	else if (ff_streq(event, "hello"))
		hello(e, w, line);
	else if (!w->hello)
		ff_worker_distrust(e, w, "it did not say hello first");
	else if (ff_streq(event, "ready"))
		ready(e, w, line);
	else if (ff_streq(event, "unable"))
		unable(e, w, line);
	else
		ff_job_line(e, w, event, line);
}
