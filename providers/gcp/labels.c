/*
 * Claims: labels on the VM and on its disk. setLabels replaces all labels, so all are sent; the fingerprint makes it a
 * real compare-and-set. The rows of VM and disk share these functions, the step tells which is meant.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

/* What a claim or release speaks of. */
struct target {
	const char *path;
	const char *what;     /* for people */
	const json_t *labels; /* as recorded; NULL: none */
	const char *fingerprint;
	bool disk;
	const char *fact; /* the member of facts that records the disk */
};

static struct target target_of(const struct ff_member *m)
{
	bool new = m->step == GCP_RELEASE_NEW, disk = new || m->step == GCP_CLAIM_DISK || m->step == GCP_RELEASE_DISK;
	const json_t *at = disk ? json_object_get(m->facts, new ? "new" : "disk") : m->facts;

	return (struct target){
		.path = disk ? gcp_disk_path(m) : gcp_vm_path(m),
		.what = disk ? "its disk" : "it",
		.labels = json_object_get(at, "labels"),
		.fingerprint = ff_json_str(at, "fingerprint"),
		.disk = disk,
		.fact = new ? "new" : "disk",
	};
}

/* Record fresh labels. Top-level members are replaced whole, so the disk's record is copied. */
static void remember(const struct ff_member *m, struct ff_verdict *v, const struct target *t, const json_t *resource)
{
	const json_t *labels = json_object_get(resource, "labels");
	json_t *at = t->disk ? json_deep_copy(json_object_get(m->facts, t->fact)) : json_incref(gcp_patch(v));

	ff_json_set_new(at, "labels", json_is_object(labels) ? json_deep_copy(labels) : json_object());
	ff_json_set_str(at, "fingerprint", ff_json_str(resource, "labelFingerprint"));
	if (t->disk)
		ff_json_set_new(gcp_patch(v), t->fact, at);
	else
		json_decref(at);
}

static int look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	struct target t = target_of(m);

	if (*t.path == '\0')
		return ff_fail(err, FF_E_BUG, "no path is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", t.path, "");
	return 0;
}

/* Another resource of the same name is none of ours. */
static bool same_id(const struct ff_member *m, const struct target *t, const json_t *resource)
{
	const char *was = ff_json_str(t->disk ? json_object_get(m->facts, t->fact) : m->facts, "id");
	const char *is = ff_json_str(resource, "id");

	return was == NULL || ff_streq(was, is);
}

static int set_labels(
	struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, json_t *labels, struct ff_err *err)
{
	struct target t = target_of(m);
	json_t *body = json_object();
	char tail[80];

	if (*t.path == '\0' || json_object_size(labels) > GCP_LABELS_MAX) {
		bool full = *t.path != '\0';

		json_decref(labels);
		json_decref(body);
		return full ? ff_fail(err, FF_E_PERMANENT, "%s has %d labels already: there is no room for a claim",
				      t.what, GCP_LABELS_MAX)
			    : ff_fail(err, FF_E_BUG, "no path is recorded");
	}
	ff_json_set_new(body, "labels", labels);
	ff_json_set_str(body, "labelFingerprint", t.fingerprint);
	snprintf(tail, sizeof(tail), "/setLabels?requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", t.path, tail);
	gcp_ask_json(ask, body);
	return 0;
}

static json_t *copy_labels(const struct target *t)
{
	return json_is_object(t->labels) ? json_deep_copy(t->labels) : json_object();
}

/* ---------------------------------------------------------------- claim */

static void foreign(struct ff_verdict *v, const struct target *t, const char *run, const char *by)
{
	ff_auto_free char *clean = ff_printable(run), *whose = ff_printable(by ? by : "");

	gcp_failed(v, FF_E_CONFLICT,
		"%s is claimed by run '%.63s'%s%.63s (label " GCP_LABEL_RUN
		"): if that run is dead, its own resume goes on with it, or --take-over",
		t->what, clean, by ? " of " : "", whose);
}

/* "ops@bastion.example" is "ops_bastion_example": lower case, digits, '_' and '-', at most 63. The caller frees. */
static char *label_of(const char *by)
{
	char *label = ff_strndup(by, strnlen(by, 63));

	for (char *c = label; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
		else if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
			*c = '_';
	}
	return label;
}

int gcp_claim_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	return look(cloud, m, ask, err);
}

void gcp_claim_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	struct target t = target_of(m);
	ff_auto_json json_t *resource = NULL;
	enum ff_class class;
	const char *run;

	(void)cloud;
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &resource, &v->err);
	if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
		return;
	}
	if (!same_id(m, &t, resource)) {
		gcp_failed(v, FF_E_GONE, "%s was deleted and made again since it was found", t.what);
		return;
	}
	remember(m, v, &t, resource);
	run = ff_json_str(resource, "labels/" GCP_LABEL_RUN);
	if (ff_streq(run, m->run))
		gcp_done(m, v);
	else if (run != NULL && !ff_may_replace_claim(m, run))
		foreign(v, &t, run, ff_json_str(resource, "labels/" GCP_LABEL_BY));
	else
		gcp_not_done(m, wall_ms, v);
}

GCP_ACT(claim)
{
	struct target t = target_of(m);
	const char *run = ff_json_str(t.labels, GCP_LABEL_RUN);
	ff_auto_free char *by = m->by ? label_of(m->by) : NULL;
	json_t *labels;

	(void)n;
	if (run != NULL && !ff_streq(run, m->run) && !ff_may_replace_claim(m, run)) {
		struct ff_verdict v = {0};

		foreign(&v, &t, run, ff_json_str(t.labels, GCP_LABEL_BY));
		*err = v.err;
		return -1;
	}
	labels = copy_labels(&t);
	gcp_labels_clear(labels); /* of a run that is taken over nothing stays */
	ff_json_set_str(labels, GCP_LABEL_RUN, m->run);
	if (t.disk)
		ff_json_set_str(labels, GCP_LABEL_VM, gcp_last(gcp_vm_path(m)));
	/* as far as there is room: a repair does not depend on what a lost journal would need */
	if (t.disk)
		gcp_record_write(labels, json_object_get(m->facts, "boot"));
	else if (json_object_size(labels) < GCP_LABELS_MAX)
		ff_json_set_str(labels, GCP_LABEL_WAS, m->vm->running ? "running" : "stopped");
	if (by != NULL && json_object_size(labels) < GCP_LABELS_MAX) /* it would be good to know, no more */
		ff_json_set_str(labels, GCP_LABEL_BY, by);
	return set_labels(cloud, m, ask, labels, err);
}

/* ---------------------------------------------------------------- release */

int gcp_release_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (gcp_pending_look(cloud, m, ask))
		return 0;
	return look(cloud, m, ask, err);
}

/*
 * No claim is to be seen, and the labels are as they were when it was asked for: one of which no answer came may be
 * under way still. Any change of them since has settled it, for the fingerprint it was sent with is no longer theirs.
 */
static bool claim_may_come(const struct ff_member *m, const struct target *t, const json_t *resource, int64_t wall_ms,
	struct ff_verdict *v)
{
	const char *is = ff_json_str(resource, "labelFingerprint");

	if (ff_json_str(resource, "labels/" GCP_LABEL_RUN) != NULL || !ff_streq(is, t->fingerprint))
		return false;
	return is != NULL && gcp_unheard(m, wall_ms, v);
}

void gcp_release_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	struct target t = target_of(m);
	ff_auto_json json_t *resource = NULL;
	enum ff_class class;

	(void)cloud;
	if (gcp_pending_looked(m, answer, v))
		return;
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &resource, &v->err);
	if (class == FF_E_GONE) {
		gcp_done(m, v); /* nothing is left to release */
	} else if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
	} else if (!same_id(m, &t, resource)) {
		gcp_done(m, v);
	} else if (ff_streq(ff_json_str(resource, "labels/" GCP_LABEL_RUN), m->run)) {
		remember(m, v, &t, resource);
		gcp_not_done(m, wall_ms, v);
	} else if (!claim_may_come(m, &t, resource, wall_ms, v)) {
		gcp_done(m, v); /* no claim, or not ours */
	}
}

GCP_ACT(release)
{
	struct target t = target_of(m);
	json_t *labels = copy_labels(&t);

	(void)n;
	gcp_labels_clear(labels);
	return set_labels(cloud, m, ask, labels, err);
}
