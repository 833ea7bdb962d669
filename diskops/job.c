#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "bitlocker.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"

#define ID_BYTES_MAX   128
#define PATHS_MAX      16
#define PATH_BYTES_MAX 4096
#define WAIT_MS_MAX    (30 * 60 * 1000)

#define TIMEOUT_MS_DEFAULT (10 * 60 * 1000)
#define TIMEOUT_MS_MAX	   (24 * 60 * 60 * 1000)

static int read_id(struct job *job, const json_t *line)
{
	const json_t *id = json_object_get(line, "job");
	size_t len = json_string_length(id);

	if (!json_is_string(id) || len == 0 || len > ID_BYTES_MAX || strlen(json_string_value(id)) != len)
		return -1;
	job->id = ff_strdup(json_string_value(id));
	return 0;
}

/* Below dev_root and nowhere else: no way up, not absolute. */
static bool is_below(const char *path)
{
	if (path == NULL || *path == '\0' || *path == '/' || strlen(path) > PATH_BYTES_MAX)
		return false;
	while (path != NULL) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.')
			return false;
		path = path[len] == '/' ? path + len + 1 : NULL;
	}
	return true;
}

static int read_paths(struct job *job, const json_t *paths, struct ff_err *err)
{
	const json_t *path;
	size_t i;

	if (!json_is_array(paths) || json_array_size(paths) == 0 || json_array_size(paths) > PATHS_MAX)
		return ff_fail(err, FF_E_BUG, "paths: not an array of 1 to %d paths", PATHS_MAX);
	json_array_foreach (paths, i, path) {
		if (!is_below(json_string_value(path)))
			return ff_fail(err, FF_E_BUG, "paths/%zu: not a path below dev_root", i);
		ff_strv_add(&job->paths, json_string_value(path));
	}
	return 0;
}

static int read_recipes(struct job *job, const json_t *recipes, struct ff_err *err)
{
	const json_t *recipe;
	size_t i, n = json_array_size(recipes);

	if (!json_is_array(recipes) || n == 0 || n > RECIPES_MAX)
		return ff_fail(err, FF_E_BUG, "recipes: not an array of 1 to %d recipes", RECIPES_MAX);
	job->recipes = ff_calloc(n, sizeof(*job->recipes));
	json_array_foreach (recipes, i, recipe)
		if (recipe_parse(&job->recipes[job->recipe_count++], recipe, err) < 0)
			return ff_wrap(err, "recipes/%zu", i);
	return 0;
}

static int read_job(struct job *job, const json_t *line, struct ff_err *err)
{
	const json_t *serial = json_object_get(line, "serial");
	const char *dev_root = ff_json_str(line, "dev_root");
	int64_t size = ff_json_int(line, "size_bytes", 0);

	if (dev_root == NULL || *dev_root != '/' || strlen(dev_root) > PATH_BYTES_MAX)
		return ff_fail(err, FF_E_BUG, "dev_root: not an absolute path");
	if (size < 0)
		return ff_fail(err, FF_E_BUG, "size_bytes: negative");
	if (serial != NULL && !json_is_null(serial) && !json_is_string(serial))
		return ff_fail(err, FF_E_BUG, "serial: not a text");
	job->dev_root = ff_strdup(dev_root);
	job->size_bytes = (uint64_t)size;
	job->serial = ff_strdup(json_string_value(serial));
	job->name = ff_printable(ff_json_str(line, "name"));
	job->wait_ms = ff_json_int(line, "wait_ms", 0);
	if (job->wait_ms < 0 || job->wait_ms > WAIT_MS_MAX)
		return ff_fail(err, FF_E_BUG, "wait_ms: not in 0..%d", WAIT_MS_MAX);
	job->keys = ff_json_bool(line, "keys", false);
	job->list = ff_json_bool(line, "list", false);
	job->scan_only = job->list || ff_json_bool(line, "scan_only", false);
	job->any_format = ff_json_bool(line, "any_format", false);
	job->discard_hibernation = ff_json_bool(line, "discard_hibernation", false);
	job->timeout_ms = ff_json_int(line, "timeout_ms", TIMEOUT_MS_DEFAULT);
	if (job->timeout_ms < 0 || job->timeout_ms > TIMEOUT_MS_MAX)
		return ff_fail(err, FF_E_BUG, "timeout_ms: not in 0..%d", TIMEOUT_MS_MAX);
	if (read_paths(job, json_object_get(line, "paths"), err) < 0)
		return -1;
	if (job->list)
		return 0;
	return read_recipes(job, json_object_get(line, "recipes"), err);
}

struct job *job_parse(const json_t *line, int64_t now_mono_ms)
{
	struct job *job = ff_calloc(1, sizeof(*job));
	struct ff_err err;

	if (read_id(job, line) < 0) {
		job_free(job);
		return NULL;
	}
	job->accepted_mono_ms = now_mono_ms;
	if (read_job(job, line, &err) < 0) {
		ff_wrap(&err, "unusable job");
		job_fail(job, &err);
	}
	return job;
}

void job_reset(struct job *job)
{
	bitlocker_forget(job);
	for (size_t i = 0; i < job->place_count; i++) {
		free(job->places[i].partition);
		free(job->places[i].dir);
		ff_strv_free(&job->places[i].names);
		free(job->places[i].taken);
	}
	for (size_t i = 0; i < job->victim_count; i++)
		free(job->victims[i].name);
	for (size_t i = 0; i < job->edit_count; i++) {
		ff_strv_free(&job->edits[i].keys);
		free(job->edits[i].old);
	}
	free(job->places);
	free(job->victims);
	free(job->edits);
	free(job->device);
	free(job->path);
	free(job->nothing);
	json_decref(job->listing);
	job->listing = NULL;
	job->format = NULL;
	ff_strv_free(&job->windows);
	ff_strv_free(&job->notes);
	for (size_t i = 0; i < job->root_count; i++) {
		free(job->roots[i].partition);
		free(job->roots[i].dir);
	}
	free(job->roots);
	job->roots = NULL;
	job->places = NULL;
	job->victims = NULL;
	job->edits = NULL;
	job->device = job->path = job->nothing = NULL;
	job->place_count = job->victim_count = job->edit_count = job->kept_count = job->root_count = 0;
	job->victim_bytes = 0;
}

void job_free(struct job *job)
{
	if (job == NULL)
		return;
	job_reset(job);
	for (size_t i = 0; i < job->recipe_count; i++)
		recipe_release(&job->recipes[i]);
	free(job->recipes);
	ff_strv_free(&job->paths);
	free(job->id);
	free(job->name);
	free(job->dev_root);
	free(job->serial);
	free(job->reason);
	free(job);
}

void job_end(struct job *job, enum job_result result, char *reason_owned)
{
	if (job->state == JOB_ENDED) {
		free(reason_owned);
		return;
	}
	job->state = JOB_ENDED;
	job->result = result;
	job->reason = reason_owned;
}

void job_fail(struct job *job, const struct ff_err *err)
{
	if (job->state == JOB_ENDED)
		return;
	job->err = *err;
	job_end(job, JOB_FAILED, ff_printable(err->text));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Where the place says whether the name is a victim; NULL: it has no such name. */
static size_t *slot_of(const struct place *p, const char *name)
{
	char **at = NULL;

	if (p->names.count > 0)
		at = bsearch(&name, p->names.items, p->names.count, sizeof(*p->names.items), by_text);
	return at != NULL ? &p->taken[at - p->names.items] : NULL;
}

void job_take(struct job *job, size_t victim)
{
	const struct victim *v = &job->victims[victim];
	size_t *slot = slot_of(&job->places[v->place], v->name);

	if (slot != NULL)
		*slot = victim + 1;
}

struct victim *job_victim(const struct job *job, size_t place, const char *name)
{
	const size_t *slot = slot_of(&job->places[place], name);

	if (slot != NULL)
		return *slot > 0 ? &job->victims[*slot - 1] : NULL;
	for (size_t i = 0; i < job->victim_count; i++) /* one that is to be made */
		if (job->victims[i].absent && job->victims[i].place == place && strcmp(job->victims[i].name, name) == 0)
			return &job->victims[i];
	return NULL;
}

char *job_victim_path(const struct job *job, const struct victim *victim)
{
	const struct place *place = &job->places[victim->place];
	ff_auto_free char *path =
		ff_printf("%s%s%s", place->dir, strcmp(place->dir, "/") == 0 ? "" : "/", victim->name);
	ff_auto_free char *shown = ff_printable(path);

	/* the same path may stand on several partitions; the first is named plainly */
	if (!ff_streq(place->partition, job->places[job->victims[0].place].partition))
		return ff_printf("partition %u:%s", place->part_number, shown);
	return FF_STEAL(shown);
}
