/* What a job does to its disk, in JSON and in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "job.h"

#define DEEDS_MAX      200	   /* told one by one */
#define DEEDS_TEXT_MAX (64 * 1024) /* together */

bool job_keeps(const struct victim *victim)
{
	return !victim->absent && victim->act != RECIPE_DELETE && victim->act != RECIPE_RENAME;
}

static json_t *victim_json(const struct job *job, const struct victim *v)
{
	ff_auto_free char *path = job_victim_path(job, v);
	int64_t mtime_ms = v->mtime_s * 1000 + v->mtime_ns / 1000000;
	json_t *entry = json_object();
	char text[FF_TIME_BYTES];

	ff_json_set_str(entry, "path", path);
	ff_json_set_int(entry, "size", v->size);
	ff_json_set_str(entry, "mtime", ff_time_format(mtime_ms, mtime_ms % 1000 != 0, text));
	ff_json_set_str(entry, "sha256", v->sha256);
	return entry;
}

json_t *job_victims_json(const struct job *job, bool gone_only)
{
	json_t *list = json_array();

	for (size_t i = 0; i < job->victim_count; i++) {
		const struct victim *v = &job->victims[i];

		if (job_keeps(v) && (v->gone || !gone_only) && json_array_append_new(list, victim_json(job, v)) != 0)
			ff_oom();
	}
	return list;
}

/* ---------------------------------------------------------------- one by one */

/* "remove '/x'", "removed '/x'"; NULL for a hive, whose edits are told instead. The caller frees. */
static char *victim_deed(const struct job *job, const struct victim *v, bool past)
{
	ff_auto_free char *path = job_victim_path(job, v), *to = NULL;
	char stamp[FF_TIME_BYTES];

	switch (v->act) {
	case RECIPE_QUARANTINE:
	case RECIPE_DELETE:
		return ff_printf("%s%s '%s' (%" PRId64 " bytes of %s)", v->act == RECIPE_DELETE ? "delete" : "remove",
			past ? "d" : "", path, v->size, ff_time_format(v->mtime_s * 1000, 0, stamp));
	case RECIPE_RENAME:
		to = ff_printable(v->rule->to);
		return ff_printf("rename%s '%s' to '%s'", past ? "d" : "", path, to);
	case RECIPE_WRITE:
		return ff_printf("%s%s '%s' (%zu bytes)", v->absent ? (past ? "made" : "make") : "replace",
			past && !v->absent ? "d" : "", path, v->rule->content_len);
	default:
		return NULL;
	}
}

static char *edit_deed(const struct edit *e)
{
	ff_auto_buf key = {0};
	ff_auto_free char *shown = NULL, *name = ff_printable(e->value->name), *now = NULL;

	for (size_t i = 0; i < e->keys.count; i++)
		ff_buf_addf(&key, "/%s", e->keys.items[i]); /* a backslash would be shown as \\x5c */
	shown = ff_printable(key.text);
	if (!e->value->remove)
		now = recipe_value_text(e->value->type, e->value->data, e->value->data_len);
	return ff_printf("%s %s%s value %s%s%s (was %s)", e->value->remove ? "delete" : "set", e->value->hive, shown,
		*name != '\0' ? name : "(default)", now ? " to " : "", now ? now : "", e->old);
}

/* Take the text over while there is room for it. */
static void add_deed(json_t *list, size_t *bytes, char *text_owned)
{
	ff_auto_free char *text = text_owned, *clean = text ? ff_printable(text) : NULL;

	if (clean == NULL || json_array_size(list) >= DEEDS_MAX || *bytes + strlen(clean) > DEEDS_TEXT_MAX)
		return;
	*bytes += strlen(clean);
	if (json_array_append_new(list, json_string(clean)) != 0)
		ff_oom();
}

json_t *job_deeds_json(const struct job *job, bool done_only)
{
	json_t *list = json_array();
	size_t bytes = 0;

	for (size_t i = 0; i < job->victim_count; i++) {
		const struct victim *v = &job->victims[i];

		if (!done_only || (v->gone && v->act != RECIPE_QUARANTINE))
			add_deed(list, &bytes, victim_deed(job, v, done_only));
	}
	for (size_t i = 0; i < job->edit_count; i++)
		if (!done_only || job->edits[i].done)
			add_deed(list, &bytes, edit_deed(&job->edits[i]));
	return list;
}

/* ---------------------------------------------------------------- all in one line */

static const struct {
	const char *past, *present;
} verbs[] = {
	[RECIPE_QUARANTINE] = {"removed", "remove"},
	[RECIPE_DELETE] = {"deleted", "delete"},
	[RECIPE_RENAME] = {"renamed", "rename"},
	[RECIPE_WRITE] = {"wrote", "write"},
};

/* "/Windows/..." when all victims of that kind stand there. */
static const char *only_place(const struct job *job, enum recipe_act act)
{
	const struct victim *first = NULL;

	for (size_t i = 0; i < job->victim_count; i++) {
		const struct victim *v = &job->victims[i];

		if (v->act != act)
			continue;
		if (first != NULL && v->place != first->place)
			return "several directories";
		first = first ? first : v;
	}
	return first ? job->places[first->place].dir : "";
}

char *job_summary(const struct job *job, bool past)
{
	struct ff_buf text = {0};

	for (enum recipe_act act = RECIPE_QUARANTINE; act <= RECIPE_WRITE; act++) {
		size_t count = 0;

		for (size_t i = 0; i < job->victim_count; i++)
			count += job->victims[i].act == act;
		if (count > 0)
			ff_buf_addf(&text, "%s%s %zu file%s %s %s", text.len > 0 ? ", " : "",
				past ? verbs[act].past : verbs[act].present, count, count == 1 ? "" : "s",
				act == RECIPE_QUARANTINE || act == RECIPE_DELETE ? "from" : "in", only_place(job, act));
	}
	if (job->edit_count > 0)
		ff_buf_addf(&text, "%s%s %zu registry value%s", text.len > 0 ? ", " : "", past ? "changed" : "change",
			job->edit_count, job->edit_count == 1 ? "" : "s");
	return ff_buf_take(&text);
}
