/* Snapshots: made of disks, global. */
#include "gcp.h"

#include <stdlib.h>

/* A disk has only so many an hour. Those that are being made count. */
static int may_make(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	ff_auto_free char *path = gc_disk_path(gc, job->disk);
	int64_t since = sim->now_ms - sim_scaled(sim, 3600000), count = 0;

	if (job->key < 0)
		return gc_refuse_key(r, path, job->key);
	if (gc_disk_status_of(job->disk) != GC_READY)
		return gc_object(r, 400, "resourceNotReady", "The resource '%s' is not ready", path);
	for (size_t i = 0; i < gc->snapshot_count; i++)
		count += gc->snapshots[i] != job->snapshot && gc->snapshots[i]->source_id == job->disk->id &&
			 gc->snapshots[i]->created_ms > since;
	if (gc->quota[GC_Q_SNAPSHOTS] == 0 || count < gc->quota[GC_Q_SNAPSHOTS])
		return 0;
	return gc_object(r, 429, "resourceOperationRateExceeded",
		"Operation rate exceeded for resource '%s'. Too frequent operations from the source resource.", path);
}

int gc_may_snapshot(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	ff_auto_free char *path = gc_snapshot_path(gc, job->snapshot);

	if (job->kind == GC_J_SNAPSHOT)
		return may_make(sim, gc, job, r);
	if (job->snapshot->gone)
		return gc_object(r, 404, "notFound", "The resource '%s' was not found", path);
	if (job->snapshot->status == GC_S_CREATING)
		return gc_object(r, 400, "resourceNotReady", "The resource '%s' is not ready", path);
	return 0;
}

void gc_do_snapshot(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	struct gc_snapshot *s = job->snapshot;

	if (job->kind == GC_J_SNAPSHOT_DELETE) {
		s->gone = true;
		if (s->image != NULL)
			sim_effect(sim, 0, SIM_DELETE_IMAGE, NULL, s->image, NULL, -1);
		return;
	}
	s->status = GC_S_UPLOADING;
	s->ready_ms = sim->now_ms + gc->latency[GC_L_UPLOAD];
}

/* ---- requests */

static struct gc_snapshot *new_snapshot(struct gc_call *c, const struct gc_disk *d, const char *name)
{
	struct gc_snapshot *s = ff_calloc(1, sizeof(*s));
	const char *place = ff_json_str(c->body, "storageLocations/0");
	ff_auto_free char *region = gc_region_of(d->zone);
	const json_t *labels = json_object_get(c->body, "labels");

	s->name = ff_strdup(name);
	s->source = ff_strdup(d->name);
	s->source_zone = ff_strdup(d->zone);
	s->source_id = d->id;
	s->csek_sha256 = ff_strdup(d->csek_sha256);
	s->location = ff_strdup(place != NULL ? place : region);
	s->id = sim_random(c->sim) >> 1;
	s->labels = json_is_object(labels) ? json_deep_copy(labels) : json_object();
	s->run = ff_strdup(ff_json_str(s->labels, "fixfleet-run"));
	s->size_gb = d->size_gb;
	s->bad = d->bad;
	if (d->image != NULL && c->sim->hooks.image_name != NULL) { /* its point in time is the request */
		s->image = c->sim->hooks.image_name(c->sim->hooks.arg, s->name, ++c->gc->images);
		sim_effect(c->sim, 0, SIM_COPY_IMAGE, d->image, s->image, NULL, -1);
	}
	s->created_ms = c->sim->now_ms;
	c->gc->snapshots = ff_realloc(c->gc->snapshots, c->gc->snapshot_count + 1, sizeof(*c->gc->snapshots));
	c->gc->snapshots[c->gc->snapshot_count++] = s;
	return s;
}

/* The name is fine and free, and the caller may make it? */
static int check_new(struct gc_call *c, const char *name)
{
	ff_auto_free char *path = NULL;

	if (name == NULL)
		return gc_refuse(c, 400, "required", "Required field 'resource.name' not specified");
	if (!gc_name_is_fine(name))
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.name': '%s'. Must be a match of regex "
			"'(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'",
			name);
	path = ff_printf("projects/%s/global/snapshots/%s", c->gc->project, name);
	if (gc_allowed(c, "compute.snapshots.create", path) < 0)
		return -1;
	if (gc_find_snapshot(c->gc, name) != NULL)
		return gc_refuse(c, 409, "alreadyExists", "The resource '%s' already exists", path);
	return gc_query_bool(c, "guestFlush") < 0 ? -1 : 0;
}

void gc_snapshot_create(struct gc_call *c)
{
	struct gc_disk *d = gc_disk_of(c);
	const char *name = ff_json_str(c->body, "name");
	struct gc_snapshot *s;
	struct gc_job *job;

	if (d == NULL || check_new(c, name) < 0)
		return;
	s = new_snapshot(c, d, name);
	job = gc_job(GC_J_SNAPSHOT, NULL, d, s);
	job->key = gc_key_fits(d, ff_json_at(c->body, "sourceDiskEncryptionKey"));
	job = gc_begin(c, "createSnapshot", c->gc->latency[GC_L_SNAPSHOT], job);
	if (job == NULL) {
		s->gone = true;
		s->created_ms = 0; /* what was refused does not count */
		return;
	}
	gc_note_mutation(c->sim, d->victim, "createSnapshot of its boot disk");
}

void gc_snapshot_get(struct gc_call *c)
{
	struct gc_snapshot *s = gc_find_snapshot(c->gc, c->name);

	if (s == NULL)
		gc_not_found(c, c->resource);
	else
		gc_reply(c, 200, gc_snapshot_json(c->gc, s, c->sim->now_ms));
}

void gc_snapshot_delete(struct gc_call *c)
{
	struct gc_snapshot *s = gc_find_snapshot(c->gc, c->name);
	struct gc_job *job;

	if (s == NULL) {
		gc_not_found(c, c->resource);
		return;
	}
	job = gc_begin(c, "delete", c->gc->latency[GC_L_SNAPSHOT_DELETE], gc_job(GC_J_SNAPSHOT_DELETE, NULL, NULL, s));
	if (job != NULL && s->run == NULL)
		sim_violation(c->sim, "snapshot '%s' was deleted, which no run has made", s->name);
}
