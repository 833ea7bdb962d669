/*
 * A worker on a rescue VM, as fixfleet/worker.h describes it: disks that are there when no appliance runs go together
 * into the next one; what is removed is kept first, and nothing is written before "kept".
 */
#include "vw.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixfleet/json.h"

#define LOOK_MS 250 /* how often it looks for a device */
/* As in diskops/worker.c: after a job, for the next one; and how long ready disks wait for those not yet there. */
#define GATHER_MS     200
#define GATHER_MAX_MS 3000

enum job_state { JOB_WAITS, JOB_READY, JOB_IN, JOB_KEPT };

struct job {
	char *number;
	json_t *paths;
	char *image;
	int64_t bytes, until_ms;
	enum job_state state;
	bool asked, dropped; /* asked: "keep-end" was said */
	struct job *next;
};

struct vw_worker {
	struct vw_host *host;
	char *rescue;
	unsigned life; /* of this process: what an earlier one would have said is not heard */
	bool runs, looking;
	int64_t last_job_ms, ready_since_ms; /* ready: 0 for none */
	struct job *jobs;		     /* all, in the order of their coming */
	struct job **batch;
	size_t batch_count, at; /* at: the disk that is being mended */
	bool up;		/* the appliance of the batch */
};

struct word {
	struct vw_event event;
	struct vw_worker *w;
	unsigned life, host_life;
	json_t *line;			   /* said to the controller */
	void (*then)(struct vw_worker *w); /* or done by itself */
	char *why;			   /* or its end */
};

static void word_free(struct vw_event *event)
{
	struct word *word = (struct word *)event;

	json_decref(word->line);
	free(word->why);
	free(word);
}

static void word_comes(struct vw *vw, struct vw_event *event)
{
	struct word *word = (struct word *)event;
	struct vw_worker *w = word->w;
	struct ff_err why;

	(void)vw;
	if (w->host->engine != NULL && w->host->life == word->host_life && w->life == word->life) {
		if (word->then != NULL) {
			word->then(w);
		} else if (word->line != NULL) {
			ff_engine_worker_line(w->host->engine, w->rescue, word->line);
			w->host->dirty = true;
		}
	}
	if (word->why != NULL && w->host->engine != NULL && w->host->life == word->host_life) {
		ff_fail(&why, FF_E_LOCAL, "%s", word->why);
		ff_engine_worker_gone(w->host->engine, w->rescue, &why);
		w->host->dirty = true;
	}
	event->free(event);
}

static struct word *word_new(struct vw_worker *w, int64_t after_ms)
{
	struct word *word = ff_calloc(1, sizeof(*word));

	word->event.run = word_comes;
	word->event.free = word_free;
	word->w = w;
	word->life = w->life;
	word->host_life = w->host->life;
	vw_event_add(w->host->vw, &word->event, w->host->vw->now_ms + after_ms);
	return word;
}

static void later(struct vw_worker *w, int64_t after_ms, void (*then)(struct vw_worker *w))
{
	word_new(w, after_ms)->then = then;
}

/* A line to the controller; `line` is stolen. */
static void say(struct vw_worker *w, json_t *line)
{
	word_new(w, 1)->line = line;
}

static json_t *about(const struct job *job, const char *event)
{
	return json_pack("{s:s, s:s}", "event", event, "job", job->number);
}

/* ---------------------------------------------------------------- jobs */

static void job_free(struct job *job)
{
	free(job->number);
	json_decref(job->paths);
	free(job->image);
	free(job);
}

static void job_remove(struct vw_worker *w, struct job *job)
{
	struct job **link = &w->jobs;

	for (size_t i = 0; i < w->batch_count; i++)
		if (w->batch[i] == job)
			w->batch[i] = NULL;
	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job_free(job);
}

static void job_done(struct vw_worker *w, struct job *job, const char *result, const char *class, const char *reason)
{
	json_t *line = about(job, "done");

	ff_json_set_str(line, "result", result);
	ff_json_set_str(line, "class", class);
	ff_json_set_str(line, "reason", reason);
	ff_json_set_new(line, "removed", json_array());
	ff_json_set_int(line, "ms", 1000);
	say(w, line);
	job_remove(w, job);
}

/* ---------------------------------------------------------------- a batch */

static void look_for_disks(struct vw_worker *w);
static void next_disk(struct vw_worker *w);

#define BAD_FILE "/Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000032.sys"
/* "hello" in base64, and its hash */
#define BAD_DATA "aGVsbG8="
#define BAD_HASH "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static json_t *files(void)
{
	return json_pack("[{s:s, s:i, s:s, s:s}]", "path", BAD_FILE, "size", 5, "mtime", "2024-07-19T04:09:00Z",
		"sha256", BAD_HASH);
}

static void finish_repaired(struct vw_worker *w, struct job *job)
{
	json_t *line = about(job, "done");

	ff_json_set_str(line, "result", "repaired");
	ff_json_set_new(line, "removed", files());
	ff_json_set_int(line, "ms", 1000);
	say(w, line);
	job_remove(w, job);
}

/* The appliance is shut down: the disks of the batch are closed. */
static void closed(struct vw_worker *w)
{
	for (size_t i = 0; i < w->batch_count; i++) {
		struct job *job = w->batch[i];
		struct vw_disk *disk = job != NULL ? vw_disk_of(w->host->vw, job->image) : NULL;

		if (job == NULL)
			continue;
		if (disk == NULL)
			job_done(w, job, "failed", "disk", "the device is gone");
		else if (job->state == JOB_KEPT)
			finish_repaired(w, job);
		else if (job->dropped)
			job_done(w, job, "failed", "local", "dropped");
		else
			job_done(w, job, "clean", NULL, "nothing to remove: 1 good file stamped 2024-07-19T05:27:00Z");
	}
	w->batch_count = 0;
	w->up = false;
	look_for_disks(w);
}

/* Goes wrong now? It dies, hangs or says nonsense. */
static bool fails_now(struct vw_worker *w)
{
	struct vw *vw = w->host->vw;

	if (vw_worker_fault(vw, VW_F_WORKER_DIES)) {
		vw_worker_kill(w->host, w->rescue, "killed by signal 9");
		return true;
	}
	if (vw_worker_fault(vw, VW_F_WORKER_GARBAGE))
		say(w, vw_random(vw) % 2 ? json_string("garbage")
					 : json_pack("{s:s, s:s}", "event", "mended", "job", "1"));
	return vw_worker_fault(vw, VW_F_WORKER_HANGS);
}

static void mended(struct vw_worker *w)
{
	struct job *job = w->at < w->batch_count ? w->batch[w->at] : NULL;
	struct vw_disk *disk = job != NULL ? vw_disk_of(w->host->vw, job->image) : NULL;

	if (fails_now(w))
		return;
	if (disk != NULL) {
		disk->half = disk->bad = false;
		disk->files = 0;
		say(w, about(job, "mended"));
	}
	w->at++;
	next_disk(w);
}

static void next_disk(struct vw_worker *w)
{
	struct job *job;
	struct vw_disk *disk;
	json_t *line;

	if (fails_now(w))
		return;
	while (w->at < w->batch_count && (w->batch[w->at] == NULL || w->batch[w->at]->dropped))
		w->at++;
	if (w->at >= w->batch_count) {
		later(w, w->host->vw->times.close_ms, closed);
		return;
	}
	job = w->batch[w->at];
	disk = vw_disk_of(w->host->vw, job->image);
	if (disk != NULL && (disk->unreadable || vw_worker_fault(w->host->vw, VW_F_DISK_UNREADABLE))) {
		w->at++;
		job_done(w, job, "failed", "disk", "no Windows was found on it");
		later(w, w->host->vw->times.disk_ms, next_disk);
		return;
	}
	if (disk == NULL || !disk->bad) {
		w->at++;
		later(w, w->host->vw->times.disk_ms, next_disk);
		return;
	}
	line = about(job, "keep");
	ff_json_set_int(line, "index", 0);
	ff_json_set_str(line, "path", BAD_FILE);
	ff_json_set_int(line, "offset", 0);
	ff_json_set_str(line, "data", BAD_DATA);
	say(w, line);
	line = about(job, "keep-end");
	ff_json_set_new(line, "files", files());
	say(w, line);
	job->asked = true; /* goes on when "kept" has come */
}

static void appliance_up(struct vw_worker *w)
{
	w->up = true;
	w->at = 0;
	next_disk(w);
}

/* Begin an appliance, if there is something for one. false: it is worth waiting for more disks. */
static bool begin_batch(struct vw_worker *w)
{
	size_t n = 0, max = w->host->vw->times.disks_max;
	int64_t now = w->host->vw->now_ms;
	bool waits = false;

	for (struct job *job = w->jobs; job != NULL; job = job->next) {
		n += n < max && job->state == JOB_READY;
		waits = waits || job->state == JOB_WAITS;
	}
	if (n == 0 || w->batch_count > 0)
		return true;
	if (n < max && now - w->ready_since_ms < GATHER_MAX_MS && (waits || now - w->last_job_ms < GATHER_MS))
		return false;
	w->batch = ff_realloc(w->batch, n, sizeof(struct job *));
	for (struct job *job = w->jobs; job != NULL && w->batch_count < n; job = job->next) {
		if (job->state != JOB_READY)
			continue;
		job->state = JOB_IN;
		w->batch[w->batch_count++] = job;
		say(w, about(job, "begin"));
	}
	w->ready_since_ms = 0;
	later(w, w->host->vw->times.appliance_ms, appliance_up);
	return true;
}

/* ---------------------------------------------------------------- devices */

static void look_for(struct vw_worker *w, struct job *job)
{
	const char *image = vw_image_at(w->host->vw, w->rescue, job->paths);
	const struct vw_disk *disk = vw_disk_of(w->host->vw, image);

	if (disk != NULL &&
		((job->bytes > 0 && disk->bytes != job->bytes) || vw_worker_fault(w->host->vw, VW_F_WRONG_DISK))) {
		job_done(w, job, "failed", "disk", "the device has another size: it is not the disk");
	} else if (disk != NULL) {
		job->image = ff_strdup(image);
		job->state = JOB_READY;
		w->ready_since_ms = w->ready_since_ms ? w->ready_since_ms : w->host->vw->now_ms;
	} else if (w->host->vw->now_ms >= job->until_ms) {
		job_done(w, job, "failed", "disk", "no such device appeared");
	}
}

static void look_again(struct vw_worker *w)
{
	w->looking = false;
	look_for_disks(w);
}

static void look_for_disks(struct vw_worker *w)
{
	struct job *next;
	bool more = false;

	for (struct job *job = w->jobs; job != NULL; job = next) {
		next = job->next;
		if (job->state == JOB_WAITS)
			look_for(w, job);
	}
	for (struct job *job = w->jobs; job != NULL; job = job->next)
		more = more || job->state == JOB_WAITS;
	more = !begin_batch(w) || more;
	if (!more || w->looking)
		return;
	w->looking = true;
	later(w, LOOK_MS, look_again);
}

/* ---------------------------------------------------------------- what it hears */

static void say_ready(struct vw_worker *w)
{
	if (vw_worker_fault(w->host->vw, VW_F_WORKER_UNABLE)) {
		say(w, json_pack(
			       "{s:s, s:s, s:s}", "event", "unable", "class", "local", "reason", "no appliance here"));
		return;
	}
	say(w, json_pack("{s:s, s:s, s:s}", "event", "ready", "libguestfs", "1.48.6", "acceleration", "tcg"));
}

static void take(struct vw_worker *w, const json_t *line)
{
	struct job *job = ff_calloc(1, sizeof(*job)), **last = &w->jobs;

	job->number = ff_strdup(ff_json_str(line, "job"));
	job->paths = json_incref(json_object_get(line, "paths"));
	job->bytes = ff_json_int(line, "size_bytes", 0);
	job->until_ms = w->host->vw->now_ms + ff_json_int(line, "wait_ms", 0);
	while (*last != NULL)
		last = &(*last)->next;
	*last = job;
	w->last_job_ms = w->host->vw->now_ms;
	look_for_disks(w);
}

static struct job *job_of(const struct vw_worker *w, const json_t *line)
{
	struct job *job = w->jobs;

	while (job != NULL && !ff_streq(job->number, ff_json_str(line, "job")))
		job = job->next;
	return job;
}

static void kept(struct vw_worker *w, struct job *job)
{
	struct vw_disk *disk = vw_disk_of(w->host->vw, job->image);

	if (!job->asked || job->state != JOB_IN)
		return;
	job->state = JOB_KEPT;
	if (disk != NULL) {
		disk->half = true; /* until it is proved that the files are gone */
		disk->mends++;
	}
	later(w, w->host->vw->times.disk_ms, mended);
}

static void drop(struct vw_worker *w, struct job *job)
{
	if (job->state == JOB_WAITS || job->state == JOB_READY) {
		job_done(w, job, "failed", "local", "dropped");
		return;
	}
	if (job->state != JOB_IN)
		return;
	job->dropped = true;
	if (w->up && w->batch[w->at] == job && job->asked)
		later(w, 1, next_disk);
}

static void worker_free(void *value)
{
	struct vw_worker *w = value;

	while (w->jobs != NULL)
		job_remove(w, w->jobs);
	free(w->batch);
	free(w->rescue);
	free(w);
}

static struct vw_worker *worker_of(struct vw_host *host, const char *rescue)
{
	struct vw_worker *w = ff_table_get(&host->workers, rescue);

	if (w == NULL) {
		w = ff_calloc(1, sizeof(*w));
		w->host = host;
		w->rescue = ff_strdup(rescue);
		ff_table_set(&host->workers, rescue, w);
	}
	return w;
}

void vw_worker_hear(struct vw_host *host, const char *rescue, const json_t *line)
{
	struct vw_worker *w = worker_of(host, rescue);
	const char *op = ff_json_str(line, "op");
	struct job *job = job_of(w, line);

	if (!w->runs) {
		w->runs = true;
		say(w, json_pack("{s:s, s:i, s:s}", "event", "hello", "version", 1, "program", "fixfleet sim"));
	}
	if (ff_streq(op, "probe"))
		later(w, host->vw->times.appliance_ms, say_ready);
	else if (ff_streq(op, "mend"))
		take(w, line);
	else if (job != NULL && ff_streq(op, "kept"))
		kept(w, job);
	else if (job != NULL && ff_streq(op, "drop"))
		drop(w, job);
}

static void stop(struct vw_worker *w)
{
	w->life++;
	w->runs = w->looking = w->up = false;
	w->ready_since_ms = 0;
	while (w->jobs != NULL)
		job_remove(w, w->jobs);
	w->batch_count = 0;
}

void vw_worker_kill(struct vw_host *host, const char *rescue, const char *why)
{
	struct vw_worker *w = ff_table_get(&host->workers, rescue);

	if (w == NULL || !w->runs)
		return;
	stop(w);
	if (host->engine != NULL)
		word_new(w, 1)->why = ff_strdup(why);
}

static bool stop_one(void *arg, void *value)
{
	(void)arg;
	stop(value);
	return true;
}

void vw_workers_stop(struct vw_host *host)
{
	ff_table_sweep(&host->workers, stop_one, NULL, worker_free);
}

void vw_workers_free(struct vw_host *host)
{
	ff_table_free(&host->workers, worker_free);
}
