/*
 * A disk at the worker: what it is told, and what is believed of what it says. Its bytes come from a process that
 * parses what an attacker may have written, so every line is checked against what must have come before it. A line that
 * cannot be ends that worker.
 *
 * The copy may be written only after "kept" was said, and "kept" is said only after every removed byte is in the
 * quarantine and the record of it is durable. A worker that dies before that left the copy as it was, and the disk is
 * tried again; after that the copy may be half mended, and must not go home.
 */
#include "state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS		 60000 /* for the device to appear */
#define DROP_PATIENCE_MS 120000

/* ---------------------------------------------------------------- a job's life */

void ff_job_free(struct ff_engine *e, struct ff_job *job)
{
	if (job->worker->testing == job)
		job->worker->testing = NULL;
	ff_keep_forget(e, job);
	ff_job_list_remove(job);
	ff_task_cancel(&e->tasks, &job->task);
	ff_keep_reset(job);
	free(job->drop_why);
	job->one->job = NULL;
	free(job);
}

/* The job is over without the disk being mended. */
void ff_job_fail(struct ff_engine *e, struct ff_job *job, enum ff_class class, const char *why)
{
	struct ff_one *one = job->one;
	struct ff_err err;
	bool dropped = job->dropped;
	size_t told = job->kept_sent ? json_array_size(job->manifest) : 0;

	ff_fail(&err, dropped ? FF_E_LOCAL : class, "%s", dropped ? job->drop_why : why);
	if (told > 0) { /* where the disk itself goes home, its owner must know */
		size_t len = strlen(err.text);

		snprintf(err.text + len, sizeof(err.text) - len,
			"; it had been told to remove %zu file%s, which %s in the quarantine", told,
			told == 1 ? "" : "s", told == 1 ? "is" : "are");
	}
	ff_job_free(e, job);
	if (dropped && one->turning)
		ff_one_interrupt(e, one);
	else
		ff_one_fail(e, one, &err);
}

void ff_job_orphaned(struct ff_engine *e, struct ff_job *job, const struct ff_err *why)
{
	struct ff_worker *w = job->worker;
	char text[FF_ERR_TEXT_BYTES];

	snprintf(text, sizeof(text), "%.1000s", why->text);
	if (job->hung || job->kept_sent || job->alone || job->dropped) {
		ff_job_fail(e, job, FF_E_LOCAL, text);
		return;
	}
	ff_say(e, FF_EV_NOTE, job->one->scope, job->one->vm, "%s: tried again", text);
	ff_keep_forget(e, job);
	ff_job_list_remove(job);
	ff_task_cancel(&e->tasks, &job->task);
	job->alone = job->begun;
	ff_job_list_add(job->begun ? &w->suspects : &w->held, job);
	ff_keep_reset(job);
}

static void job_late(struct ff_engine *e, struct ff_task *task)
{
	struct ff_job *job = FF_OWNER(task, struct ff_job, task);
	struct ff_worker *w = job->worker;

	job->hung = true;
	if (w->killed || job->list != &w->jobs)
		return;
	ff_worker_distrust(e, w, "job %u of '%s' does not come to an end", job->one->number, job->one->vm->name);
}

/* ---------------------------------------------------------------- sending */

/* `{rescue}` in it is the rescue VM's name, which the cloud chose: never a way to another folder. */
static char *dev_root_of(const struct ff_engine *e, const struct ff_one *one, struct ff_err *err)
{
	const char *name = one->rescue->vm->name, *hole = strstr(e->dev_root, "{rescue}");

	if (hole == NULL)
		return ff_strdup(e->dev_root);
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
		ff_fail(err, FF_E_USAGE, "the rescue VM's name '%s' cannot be part of a path", name);
		return NULL;
	}
	return ff_printf("%.*s%s%s", (int)(hole - e->dev_root), e->dev_root, name, hole + sizeof("{rescue}") - 1);
}

static json_t *mend_line(
	const struct ff_engine *e, const struct ff_job *job, const struct ff_disk_place *place, const char *dev_root)
{
	json_t *line = json_object(), *paths = json_array();
	char number[16];

	snprintf(number, sizeof(number), "%u", job->one->number);
	for (size_t i = 0; i < place->paths.count; i++)
		json_array_append_new(paths, json_string(place->paths.items[i]));
	ff_json_set_str(line, "op", "mend");
	ff_json_set_str(line, "job", number);
	ff_json_set_str(line, "name", job->one->vm->name);
	ff_json_set_str(line, "dev_root", dev_root);
	ff_json_set_new(line, "paths", paths);
	ff_json_set_int(line, "size_bytes", place->size_bytes);
	ff_json_set_new(line, "serial", place->serial ? json_string(place->serial) : json_null());
	ff_json_set_int(line, "wait_ms", WAIT_MS);
	ff_json_set_new(line, "recipes", e->recipes ? json_incref((json_t *)e->recipes) : json_array());
	ff_json_set_bool(line, "scan_only", false);
	if (ff_keys_asked(e, job->one))
		ff_json_set_bool(line, "keys", true);
	if (e->discard_hibernation)
		ff_json_set_bool(line, "discard_hibernation", true);
	if (e->disk_timeout_ms > 0)
		ff_json_set_int(line, "timeout_ms", e->disk_timeout_ms);
	return line;
}

static int mend(struct ff_engine *e, struct ff_job *job, struct ff_err *err)
{
	struct ff_one *one = job->one;
	ff_auto_free char *dev_root = dev_root_of(e, one, err);
	ff_auto_json json_t *line = NULL;
	struct ff_disk_place place = {0};
	struct ff_member m;

	if (dev_root == NULL)
		return -1;
	ff_one_member(e, one, &m);
	if (one->scope->provider->place(one->scope->cloud, &m, &place, err) < 0)
		return -1;
	line = mend_line(e, job, &place, dev_root);
	ff_disk_place_release(&place);
	return ff_worker_say(e, job->worker, line, err);
}

void ff_job_send(struct ff_engine *e, struct ff_job *job)
{
	int64_t patience_ms = ff_one_row(job->one)->patience_ms;
	struct ff_err err = {0};

	ff_job_list_add(&job->worker->jobs, job);
	if (mend(e, job, &err) < 0) {
		struct ff_worker *w = job->worker;

		ff_job_fail(e, job, err.class, err.text);
		ff_worker_go_on(e, w);
		return;
	}
	ff_record(e, ff_record_new("job", job->one));
	ff_task_at(&e->tasks, &job->task, ff_now(e) + (patience_ms > 0 ? patience_ms : FF_REPAIR_PATIENCE_MS));
}

void ff_job_start(struct ff_engine *e, struct ff_one *one)
{
	struct ff_job *job = ff_calloc(1, sizeof(*job));

	job->one = one;
	job->worker = one->rescue->worker;
	job->task.run = job_late;
	one->job = job;
	one->state = FF_ONE_REPAIR;
	ff_worker_take(e, job->worker, job);
}

void ff_job_give_up(struct ff_engine *e, struct ff_job *job, const char *why)
{
	ff_auto_json json_t *line = json_object();
	char number[16];
	struct ff_err err;

	if (job->dropped)
		return;
	job->dropped = true;
	job->drop_why = ff_strdup(why);
	ff_keep_forget(e, job);
	if (job->list != &job->worker->jobs) { /* never sent */
		ff_job_fail(e, job, FF_E_LOCAL, why);
		return;
	}
	snprintf(number, sizeof(number), "%u", job->one->number);
	ff_json_set_str(line, "op", "drop");
	ff_json_set_str(line, "job", number);
	ff_worker_say(e, job->worker, line, &err); /* when it cannot be told it is gone, which is told as well */
	ff_task_at(&e->tasks, &job->task, ff_now(e) + DROP_PATIENCE_MS);
}

void ff_job_drop(struct ff_engine *e, struct ff_one *one)
{
	if (one->job != NULL && !one->job->mended)
		ff_job_give_up(e, one->job, "interrupted before it was mended");
}

/* ---------------------------------------------------------------- the end */

static void record_done(struct ff_engine *e, const struct ff_job *job, const json_t *line)
{
	static const char *const members[] = {"result", "class", "reason", "windows", "changed", "notes", "ms"};
	json_t *record = ff_record_new("done", job->one), *value;

	for (size_t i = 0; i < FF_COUNT(members); i++) {
		value = json_object_get(line, members[i]);
		if (value != NULL)
			ff_json_set_new(record, members[i], json_deep_copy(value));
	}
	ff_record(e, record);
}

static void say_notes(struct ff_engine *e, const struct ff_job *job, const json_t *line)
{
	json_t *note;
	size_t i;

	json_array_foreach (json_object_get(line, "notes"), i, note)
		if (json_is_string(note))
			ff_say(e, FF_EV_NOTE, job->one->scope, job->one->vm, "%s", json_string_value(note));
}

static void repaired(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	struct ff_one *one = job->one;
	ff_auto_json json_t *files = ff_kept_with(one->kept, job->manifest);

	ff_one_mended(one, files);
	/* the worker's own words where it did more than remove */
	if (json_array_size(json_object_get(line, "changed")) > 0 && ff_json_str(line, "reason") != NULL) {
		free(one->reason);
		one->reason = ff_printable(ff_json_str(line, "reason"));
	}
	ff_job_free(e, job);
	ff_one_step_done(e, one);
}

void ff_one_mended(struct ff_one *one, json_t *files)
{
	size_t count = json_array_size(files);

	one->repaired = true;
	json_decref(one->removed);
	one->removed = json_incref(files);
	free(one->reason);
	one->reason = ff_printf("%zu %s removed", count, count == 1 ? "file" : "files");
}

/* What the worker says of the end, as far as it fits what it said before. */
static const char *contradiction(const struct ff_job *job, const char *result, const json_t *line)
{
	if (ff_streq(result, "repaired"))
		return !job->mended ? "it says 'repaired', but never said 'mended'"
		       : json_array_size(json_object_get(line, "removed")) != json_array_size(job->manifest)
			       ? "what it removed is not what it kept"
			       : NULL;
	if (ff_streq(result, "clean"))
		return job->kept_sent ? "it says 'clean', but was told to remove" : NULL;
	return ff_streq(result, "failed") ? NULL : "it ends with no result";
}

static void job_done(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	const char *result = ff_json_str(line, "result"), *reason = ff_json_str(line, "reason");
	const char *wrong = contradiction(job, result, line);
	struct ff_worker *w = job->worker;
	struct ff_one *one = job->one;

	say_notes(e, job, line);
	record_done(e, job, line);
	w->deaths = 0;
	if (wrong != NULL) {
		ff_auto_free char *text = ff_printf("the worker contradicts itself: %s", wrong);

		ff_job_fail(e, job, FF_E_BUG, text);
	} else if (ff_streq(result, "repaired")) {
		repaired(e, job, line);
	} else if (ff_streq(result, "clean") && one->kept != NULL) {
		repaired(e, job, line); /* nothing is left to remove: a worker before a crash did it */
	} else if (ff_streq(result, "clean")) {
		ff_rescue_proven(e, one->rescue);
		ff_job_free(e, job);
		ff_one_turn_home(e, one, FF_O_CLEAN, FF_E_NONE, reason && reason[0] ? reason : "nothing to mend");
	} else {
		const char *class = ff_json_str(line, "class");

		ff_job_fail(e, job, class ? ff_class_from_name(class) : FF_E_DISK, reason ? reason : "no reason given");
	}
	ff_worker_go_on(e, w);
}

/* Its appliance is launched, perhaps once more because another disk took the first one down: then all that was sent
 * before does not count. */
static void begun(struct ff_engine *e, struct ff_job *job)
{
	if (job->kept_sent) {
		job->hung = true;
		ff_worker_distrust(
			e, job->worker, "job %u was begun again after its files were kept", job->one->number);
		return;
	}
	ff_keep_forget(e, job);
	ff_keep_reset(job);
	job->begun = true;
}

static void mended(struct ff_engine *e, struct ff_job *job)
{
	if (!job->kept_sent) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u was mended before its files were kept", job->one->number);
		return;
	}
	job->mended = true;
	ff_rescue_proven(e, job->one->rescue);
	ff_record(e, ff_record_new("mended", job->one));
}

/* A line about a job; NULL when this worker has no such job (any more): a late word of one that was given up. */
static struct ff_job *job_of(struct ff_engine *e, struct ff_worker *w, const json_t *line)
{
	int64_t number;
	struct ff_job *job;

	if (ff_parse_i64(ff_json_str(line, "job"), 1, (int64_t)e->one_count, &number) < 0)
		return NULL;
	job = e->ones[number - 1].job;
	return job != NULL && job->worker == w && job->list == &w->jobs ? job : NULL;
}

void ff_job_line(struct ff_engine *e, struct ff_worker *w, const char *event, const json_t *line)
{
	struct ff_job *job = job_of(e, w, line);
	const char *text = ff_json_str(line, "text");

	if (job == NULL)
		return;
	if (ff_streq(event, "begin"))
		begun(e, job);
	else if (ff_streq(event, "stage"))
		ff_say(e, FF_EV_STEP, job->one->scope, job->one->vm, "%s", text ? text : "");
	else if (ff_streq(event, "key-wanted"))
		ff_key_wanted(e, job, line);
	else if (ff_streq(event, "keep"))
		ff_keep_piece(e, job, line);
	else if (ff_streq(event, "keep-end"))
		ff_keep_end(e, job, line);
	else if (ff_streq(event, "mended"))
		mended(e, job);
	else if (ff_streq(event, "done"))
		job_done(e, job, line);
	else
		ff_worker_distrust(e, w, "it said '%s', which is no event", event);
}
