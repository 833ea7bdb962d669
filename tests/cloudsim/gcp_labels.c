/* Labels: setLabels replaces all of them, if the fingerprint is that of those that are there. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 64
#define LABEL_MAX  63

static json_t **labels_of(const struct gc_job *job)
{
	if (job->vm != NULL)
		return &job->vm->labels;
	return job->disk != NULL ? &job->disk->labels : &job->snapshot->labels;
}

/* Bytes may come back in either alphabet of base64: gcloud sends the one for URLs. */
static bool same_fingerprint(const char *now, const char *sent)
{
	size_t n = 0, m = 0;
	ff_auto_free unsigned char *a = ff_base64_decode(now, &n);
	ff_auto_free unsigned char *b = sent != NULL ? ff_base64_decode(sent, &m) : NULL;

	return a != NULL && b != NULL && n == m && memcmp(a, b, n) == 0;
}

int gc_may_labels(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	ff_auto_free char *now = gc_fingerprint(*labels_of(job));

	(void)sim;
	(void)gc;
	return same_fingerprint(now, job->fingerprint)
		       ? 0
		       : gc_object(r, 412, "conditionNotMet",
				 "Labels fingerprint either invalid or resource labels have changed");
}

static bool ours(const char *key)
{
	return ff_has_prefix(key, "fixfleet-") && !ff_streq(key, "fixfleet-role");
}

/* What a client that keeps the promises does not do. */
static void check_change(struct sim *sim, const char *name, const json_t *before, const json_t *after)
{
	const char *run = ff_json_str(before, "fixfleet-run"), *now = ff_json_str(after, "fixfleet-run");
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)before, key, value) {
		if (!ours(key) && !json_equal(value, json_object_get(after, key)))
			sim_violation(sim, "'%s' lost the label '%s' of somebody else", name, key);
	}
	json_object_foreach ((json_t *)after, key, value) {
		if (!ours(key) && json_object_get(before, key) == NULL)
			sim_violation(sim, "'%s' got the label '%s', which is not fixfleet's", name, key);
	}
	if (run != NULL && now != NULL && !ff_streq(run, now))
		sim_violation(sim, "'%s' was claimed by '%s' when '%s' took it", name, run, now);
}

void gc_do_labels(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	json_t **labels = labels_of(job);
	const char *name = job->vm != NULL ? job->vm->name : job->disk != NULL ? job->disk->name : job->snapshot->name;

	(void)gc;
	check_change(sim, name, *labels, job->labels);
	json_decref(*labels);
	*labels = json_deep_copy(job->labels);
}

/* ---- requests */

static bool label_is_fine(const char *text, bool key)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz", digits[] = "0123456789_-";

	if (strlen(text) > LABEL_MAX || (key && (*text == '\0' || strchr(letters, *text) == NULL)))
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (strchr(letters, *p) == NULL && strchr(digits, *p) == NULL)
			return false; /* letters of other scripts are allowed there; nobody here sends them */
	return true;
}

static int check_labels(struct gc_call *c, const json_t *labels)
{
	const char *key;
	json_t *value;

	if (labels != NULL && !json_is_object(labels))
		return gc_refuse(c, 400, "invalid", "Invalid value at 'resource.labels': not a map.");
	if (json_object_size(labels) > LABELS_MAX) /* text UNVERIFIED */
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.labels': ''. A resource can have at most 64 labels.");
	json_object_foreach ((json_t *)labels, key, value) {
		if (!label_is_fine(key, true))
			return gc_refuse(c, 400, "invalid",
				"Invalid value for field 'resource.labels': ''. Label key '%s' violates format "
				"constraints. The "
				"key must start with a lowercase character, can only contain lowercase letters, "
				"numeric "
				"characters, underscores and dashes. The key can be at most 63 characters long. "
				"International "
				"characters are allowed.",
				key);
		if (!json_is_string(value) || !label_is_fine(json_string_value(value), false))
			return gc_refuse(c, 400, "invalid",
				"Invalid value for field 'resource.labels': ''. Label value '%s' violates format "
				"constraints. "
				"The value can only contain lowercase letters, numeric characters, underscores and "
				"dashes. The "
				"value can be at most 63 characters long. International characters are allowed.",
				json_is_string(value) ? json_string_value(value) : "");
	}
	return 0;
}

static void set(struct gc_call *c, struct gc_vm *vm, struct gc_disk *disk, struct gc_snapshot *snapshot)
{
	const json_t *labels = json_object_get(c->body, "labels");
	struct gc_job *job;

	if (check_labels(c, labels) < 0)
		return;
	job = gc_job(GC_J_LABELS, vm, disk, snapshot);
	job->labels = labels != NULL ? json_deep_copy(labels) : json_object();
	job->fingerprint = ff_strdup(ff_json_str(c->body, "labelFingerprint"));
	gc_begin(c, "setLabels", c->gc->latency[GC_L_LABELS], job);
}

void gc_vm_labels(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);

	if (vm != NULL)
		set(c, vm, NULL, NULL);
}

void gc_disk_labels(struct gc_call *c)
{
	struct gc_disk *d = gc_disk_of(c);

	if (d != NULL)
		set(c, NULL, d, NULL);
}

void gc_snapshot_labels(struct gc_call *c)
{
	struct gc_snapshot *s = gc_find_snapshot(c->gc, c->name);

	if (s == NULL)
		gc_not_found(c, c->resource);
	else
		set(c, NULL, NULL, s);
}
