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

#include <openssl/evp.h>

#define FILES_MAX	 65536
#define PIECE_BYTES_MAX	 (512 * 1024)
#define KEPT_BYTES_MAX	 ((int64_t)4 << 30) /* of one VM */
#define WAIT_MS		 60000		    /* for the device to appear */
#define DROP_PATIENCE_MS 120000

/* ---------------------------------------------------------------- a job's life */

static void job_reset(struct ff_job *job)
{
	json_decref(job->keeping);
	json_decref(job->manifest);
	EVP_MD_CTX_free(job->digest);
	job->keeping = job->manifest = NULL;
	job->digest = NULL;
	job->kept_bytes = 0;
	job->begun = job->kept_sent = job->mended = false;
}

static void kept_forget(struct ff_engine *e, struct ff_job *job)
{
	struct ff_job **link = &e->kept_head, *last = NULL;

	for (; *link != NULL; last = *link, link = &(*link)->next_kept) {
		if (*link != job)
			continue;
		*link = job->next_kept;
		if (e->kept_tail == job)
			e->kept_tail = last;
		return;
	}
}

void ff_job_free(struct ff_engine *e, struct ff_job *job)
{
	if (job->worker->testing == job)
		job->worker->testing = NULL;
	kept_forget(e, job);
	ff_job_list_remove(job);
	ff_task_cancel(&e->tasks, &job->task);
	job_reset(job);
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

	ff_fail(&err, dropped ? FF_E_LOCAL : class, "%s", dropped ? job->drop_why : why);
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
	kept_forget(e, job);
	ff_job_list_remove(job);
	ff_task_cancel(&e->tasks, &job->task);
	job->alone = job->begun;
	ff_job_list_add(job->begun ? &w->suspects : &w->held, job);
	job_reset(job);
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

static void drop(struct ff_engine *e, struct ff_job *job, const char *why)
{
	ff_auto_json json_t *line = json_object();
	char number[16];
	struct ff_err err;

	if (job->dropped)
		return;
	job->dropped = true;
	job->drop_why = ff_strdup(why);
	kept_forget(e, job);
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
		drop(e, one->job, "interrupted before it was mended");
}

/* ---------------------------------------------------------------- keeping */

/* Names the VM's folder in the quarantine; the world makes it safe. */
static char *key_of(const struct ff_one *one)
{
	return ff_printf("%u-%s", one->number, one->vm->name);
}

/* The digest of the file that just ended goes to its entry. */
static void end_file(struct ff_job *job)
{
	json_t *entry = json_array_get(job->keeping, json_array_size(job->keeping) - 1);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

	if (entry == NULL || job->digest == NULL)
		return;
	if (EVP_DigestFinal_ex(job->digest, sum, &len) != 1)
		ff_oom();
	for (unsigned i = 0; i < len; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", sum[i]);
	EVP_MD_CTX_free(job->digest);
	job->digest = NULL;
	ff_json_set_str(entry, "sha256", hex);
}

static void begin_file(struct ff_job *job, const char *path)
{
	json_t *entry = json_object();

	end_file(job);
	ff_json_set_str(entry, "path", path);
	ff_json_set_int(entry, "size", 0);
	json_array_append_new(job->keeping, entry);
	job->digest = EVP_MD_CTX_new();
	if (job->digest == NULL || EVP_DigestInit_ex(job->digest, EVP_sha256(), NULL) != 1)
		ff_oom();
}

/* Does this piece follow what came before? Its entry, begun when it is the first of its file; NULL: it does not. */
static json_t *entry_for(struct ff_job *job, int64_t index, int64_t offset, const char *path)
{
	int64_t count;
	json_t *last;

	if (job->keeping == NULL)
		job->keeping = json_array();
	count = (int64_t)json_array_size(job->keeping);
	if (index == count && offset == 0 && count < FILES_MAX) {
		begin_file(job, path);
		return json_array_get(job->keeping, (size_t)index);
	}
	last = count > 0 && index == count - 1 ? json_array_get(job->keeping, (size_t)index) : NULL;
	if (last == NULL || ff_json_int(last, "size", -1) != offset || !ff_streq(ff_json_str(last, "path"), path))
		return NULL;
	return last;
}

static void keep(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	const char *path = ff_json_str(line, "path"), *data = ff_json_str(line, "data");
	int64_t index = ff_json_int(line, "index", -1), offset = ff_json_int(line, "offset", -1);
	ff_auto_free char *key = key_of(job->one);
	ff_auto_free void *bytes = NULL;
	struct ff_err err = {0};
	json_t *entry = NULL;
	size_t len = 0;

	if (job->manifest == NULL && path != NULL && data != NULL && offset >= 0)
		bytes = data[0] != '\0' ? ff_base64_decode(data, &len) : ff_calloc(1, 1);
	if (bytes != NULL && len <= PIECE_BYTES_MAX && job->kept_bytes + (int64_t)len <= KEPT_BYTES_MAX)
		entry = entry_for(job, index, offset, path);
	if (entry == NULL) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u: a piece of a file that cannot be", job->one->number);
		return;
	}
	if (job->dropped)
		return;
	if (EVP_DigestUpdate(job->digest, bytes, len) != 1)
		ff_oom();
	ff_json_set_int(entry, "size", offset + (int64_t)len);
	job->kept_bytes += (int64_t)len;
	if (e->world->keep(e->world->self, key, (unsigned)index, path, offset, bytes, len, &err) < 0) {
		ff_wrap(&err, "cannot keep '%s'", path);
		drop(e, job, err.text);
	}
}

/* Is this list what was kept, file by file? A new array of it, or NULL. */
static json_t *manifest_of(struct ff_job *job, const json_t *files)
{
	json_t *manifest = json_array(), *entry;
	size_t i;

	end_file(job);
	/* nothing to keep is fine: a recipe may only change settings */
	if (!json_is_array(files) || json_array_size(files) != json_array_size(job->keeping))
		goto wrong;
	json_array_foreach ((json_t *)files, i, entry) {
		const json_t *kept = json_array_get(job->keeping, i);
		json_t *item = json_object();

		json_array_append_new(manifest, item);
		if (!ff_streq(ff_json_str(entry, "path"), ff_json_str(kept, "path")) ||
			ff_json_int(entry, "size", -1) != ff_json_int(kept, "size", -2) ||
			!ff_strcaseeq(ff_json_str(entry, "sha256"), ff_json_str(kept, "sha256")))
			goto wrong;
		ff_json_set_str(item, "path", ff_json_str(entry, "path"));
		ff_json_set_int(item, "size", ff_json_int(entry, "size", 0));
		ff_json_set_str(item, "mtime", ff_json_str(entry, "mtime"));
		ff_json_set_str(item, "sha256", ff_json_str(kept, "sha256"));
	}
	return manifest;
wrong:
	json_decref(manifest);
	return NULL;
}

static void keep_end(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	ff_auto_free char *key = key_of(job->one);
	struct ff_err err = {0};
	json_t *record;

	if (job->manifest != NULL || (job->manifest = manifest_of(job, ff_json_at(line, "files"))) == NULL) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u: the list of files is not what was sent", job->one->number);
		return;
	}
	if (job->dropped)
		return;
	if (e->world->keep_sync(e->world->self, key, job->manifest, &err) < 0) {
		ff_wrap(&err, "cannot keep the removed files");
		drop(e, job, err.text);
		return;
	}
	record = ff_record_new("keep-end", job->one);
	ff_json_set_new(record, "files", json_deep_copy(job->manifest));
	ff_record(e, record);
	job->next_kept = NULL;
	if (e->kept_tail != NULL)
		e->kept_tail->next_kept = job;
	else
		e->kept_head = job;
	e->kept_tail = job;
}

void ff_jobs_say_kept(struct ff_engine *e)
{
	struct ff_job *job;

	while ((job = e->kept_head) != NULL) {
		ff_auto_json json_t *line = json_object();
		char number[16];
		struct ff_err err;

		e->kept_head = job->next_kept;
		if (e->kept_head == NULL)
			e->kept_tail = NULL;
		snprintf(number, sizeof(number), "%u", job->one->number);
		ff_json_set_str(line, "op", "kept");
		ff_json_set_str(line, "job", number);
		job->kept_sent = true; /* also when it may not have been heard */
		ff_worker_say(e, job->worker, line, &err);
	}
}

/* ---------------------------------------------------------------- the end */

static void record_done(struct ff_engine *e, const struct ff_job *job, const json_t *line)
{
	static const char *const members[] = {"result", "class", "reason", "windows", "notes", "ms"};
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

static void repaired(struct ff_engine *e, struct ff_job *job)
{
	struct ff_one *one = job->one;
	size_t count = json_array_size(job->manifest);

	one->repaired = true;
	json_decref(one->removed);
	one->removed = json_incref(job->manifest);
	free(one->reason);
	one->reason = ff_printf("%zu %s removed", count, count == 1 ? "file" : "files");
	ff_job_free(e, job);
	ff_one_step_done(e, one);
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
		repaired(e, job);
	} else if (ff_streq(result, "clean")) {
		ff_job_free(e, job);
		ff_one_turn_home(e, one, FF_O_CLEAN, FF_E_NONE, reason && reason[0] ? reason : "nothing to mend");
	} else {
		const char *class = ff_json_str(line, "class");

		ff_job_fail(e, job, class ? ff_class_from_name(class) : FF_E_DISK, reason ? reason : "no reason given");
	}
	ff_worker_go_on(e, w);
}

static void mended(struct ff_engine *e, struct ff_job *job)
{
	if (!job->kept_sent) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u was mended before its files were kept", job->one->number);
		return;
	}
	job->mended = true;
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
		job->begun = true;
	else if (ff_streq(event, "stage"))
		ff_say(e, FF_EV_STEP, job->one->scope, job->one->vm, "%s", text ? text : "");
	else if (ff_streq(event, "keep"))
		keep(e, job, line);
	else if (ff_streq(event, "keep-end"))
		keep_end(e, job, line);
	else if (ff_streq(event, "mended"))
		mended(e, job);
	else if (ff_streq(event, "done"))
		job_done(e, job, line);
	else
		ff_worker_distrust(e, w, "it said '%s', which is no event", event);
}
