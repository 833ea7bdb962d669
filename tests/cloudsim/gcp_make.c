/* Disks made of snapshots, and deleted ones. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

bool gc_is_successor(const struct gc_disk *d, const struct gc_disk *own)
{
	while (d != NULL && d != own)
		d = d->made_by_run ? d->origin : NULL;
	return d != NULL;
}

void gc_forget_disk(struct gcp *gc, const struct gc_disk *d)
{
	ff_auto_free char *key = ff_printf("%s/%s", d->zone, d->name);

	sim_index_drop(gc->disk_index, key);
}

/* ---- may it be done now, and doing it */

int gc_may_make(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_vm *user = job->kind == GC_J_DELETE ? gc_user_of(gc, job->disk, NULL) : NULL;
	ff_auto_free char *disk = gc_disk_path(gc, job->disk), *vm = user != NULL ? gc_vm_path(gc, user) : NULL;

	(void)sim;
	if (user != NULL)
		return gc_object(r, 400, "resourceInUseByAnotherResource",
			"The disk resource '%s' is already being used by '%s'", disk, vm);
	return 0;
}

void gc_do_make(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	struct gc_disk *d = job->disk;

	if (job->kind == GC_J_CREATE) {
		d->status = GC_READY;
		return;
	}
	gc_forget_disk(gc, d);
	d->status = GC_DELETING;
	if (d->image != NULL)
		sim_effect(sim, 0, SIM_DELETE_IMAGE, NULL, d->image, NULL, -1);
}

/* ---- disks.insert */

static struct gc_snapshot *source(struct gc_call *c)
{
	const char *url = ff_json_str(c->body, "sourceSnapshot"), *name = url != NULL ? strrchr(url, '/') : NULL;
	struct gc_snapshot *s = name != NULL ? gc_find_snapshot(c->gc, name + 1) : NULL;
	ff_auto_free char *path = s != NULL ? gc_snapshot_path(c->gc, s) : NULL;

	if (url == NULL) { /* other sources are not simulated */
		gc_refuse(c, 400, "required", "Required field 'resource.sourceSnapshot' not specified");
	} else if (s == NULL || strstr(url, path) == NULL) {
		const char *from = strstr(url, "projects/");

		gc_not_found(c, from != NULL ? from : url);
		s = NULL;
	} else if (gc_allowed(c, "compute.snapshots.useReadOnly", path) < 0) {
		s = NULL;
	} else if (s->status == GC_S_CREATING || c->sim->now_ms < s->ready_ms) {
		gc_refuse(c, 400, "resourceNotReady", "The resource '%s' is not ready", path);
		s = NULL;
	}
	return s;
}

/* int64 comes as a string of digits, or as a number. */
static int number(struct gc_call *c, const char *member, int64_t *out)
{
	const json_t *value = json_object_get(c->body, member);

	if (value == NULL)
		return 0;
	if (json_is_integer(value) && json_integer_value(value) > 0) {
		*out = json_integer_value(value);
		return 0;
	}
	if (json_is_string(value) && ff_parse_i64(json_string_value(value), 1, INT64_MAX >> 31, out) == 0)
		return 0;
	return gc_refuse(c, 400, "invalid", "Invalid value for field 'resource.%s'", member);
}

/* Name and sizes, as far as the snapshot and the type allow them. */
static int check_wish(struct gc_call *c, const struct gc_snapshot *s, struct gc_disk *wish)
{
	const char *name = ff_json_str(c->body, "name"), *type = ff_json_str(c->body, "type");
	ff_auto_free char *path = NULL;
	const char *slash = type != NULL ? strrchr(type, '/') : NULL;

	if (name == NULL)
		return gc_refuse(c, 400, "required", "Required field 'resource.name' not specified");
	if (!gc_name_is_fine(name))
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.name': '%s'. Must be a match of regex "
			"'(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'",
			name);
	path = ff_printf("projects/%s/zones/%s/disks/%s", c->gc->project, c->zone, name);
	if (gc_allowed(c, "compute.disks.create", path) < 0)
		return -1;
	if (gc_find_disk(c->gc, c->zone, name) != NULL)
		return gc_refuse(c, 409, "alreadyExists", "The resource '%s' already exists", path);
	if (ff_json_str(c->body, "diskEncryptionKey/rawKey") != NULL) {
		ff_auto_free char *sha256 = gc_key_sha256(ff_json_at(c->body, "diskEncryptionKey"));

		if (sha256 == NULL)
			return gc_refuse(c, 400, "invalid", /* text UNVERIFIED */
				"Invalid value for field 'resource.diskEncryptionKey.rawKey': not a base64 encoded 256 "
				"bit key.");
	}
	wish->size_gb = s->size_gb;
	if (number(c, "sizeGb", &wish->size_gb) < 0 || number(c, "provisionedIops", &wish->iops) < 0 ||
		number(c, "provisionedThroughput", &wish->throughput) < 0)
		return -1;
	if (wish->size_gb < s->size_gb) /* text UNVERIFIED */
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.sizeGb': '%lld'. Disk size cannot be smaller than the "
			"snapshot size of %lld GB.",
			(long long)wish->size_gb, (long long)s->size_gb);
	wish->type = (char *)(slash != NULL ? slash + 1 : type != NULL ? type : "pd-standard");
	if (wish->iops > 0 && !ff_has_prefix(wish->type, "hyperdisk-") && !ff_streq(wish->type, "pd-extreme"))
		return gc_refuse(c, 400, "invalid", /* text UNVERIFIED */
			"Invalid value for field 'resource.provisionedIops': '%lld'. Cannot specify provisioned iops "
			"with "
			"disk type %s.",
			(long long)wish->iops, wish->type);
	return 0;
}

static void take_bytes(struct gc_call *c, struct gc_disk *d, const struct gc_snapshot *s)
{
	const struct sim_hooks *h = &c->sim->hooks;

	d->bad = s->bad;
	for (size_t i = 0; i < c->gc->disk_count && d->origin == NULL; i++)
		if (c->gc->disks[i]->id == s->source_id)
			d->origin = c->gc->disks[i];
	if (d->origin != NULL) {
		json_decref(d->features);
		json_decref(d->licenses);
		d->features = json_deep_copy(d->origin->features);
		d->licenses = json_deep_copy(d->origin->licenses);
		gc_set(&d->architecture, d->origin->architecture);
	}
	if (s->image == NULL || h->image_name == NULL)
		return;
	d->image = h->image_name(h->arg, d->name, ++c->gc->images);
	sim_effect(c->sim, 0, SIM_COPY_IMAGE, s->image, d->image, NULL, -1);
}

static struct gc_disk *make(struct gc_call *c, const struct gc_snapshot *s, const struct gc_disk *wish)
{
	const json_t *labels = json_object_get(c->body, "labels");
	struct gc_disk *d = gc_add_disk(c->sim, c->gc, c->zone, ff_json_str(c->body, "name"));

	gc_set(&d->type, wish->type);
	d->size_gb = wish->size_gb;
	d->iops = wish->iops;
	d->throughput = wish->throughput;
	d->snapshot = ff_strdup(s->name);
	d->kms = ff_strdup(ff_json_str(c->body, "diskEncryptionKey/kmsKeyName"));
	d->csek_sha256 = gc_key_sha256(ff_json_at(c->body, "diskEncryptionKey"));
	json_decref(d->labels);
	d->labels = json_is_object(labels) ? json_deep_copy(labels) : json_object();
	d->made_by_run = json_object_get(d->labels, "fixfleet-run") != NULL;
	d->status = GC_CREATING;
	take_bytes(c, d, s);
	return d;
}

void gc_disk_insert(struct gc_call *c)
{
	struct gc_snapshot *s = source(c);
	struct gc_disk wish = {0}, *d;

	if (s == NULL || check_wish(c, s, &wish) < 0)
		return;
	d = make(c, s, &wish);
	if (gc_begin(c, "insert", c->gc->latency[GC_L_CREATE], gc_job(GC_J_CREATE, NULL, d, NULL)) == NULL)
		gc_forget_disk(c->gc, d);
	else if (!d->made_by_run)
		sim_violation(c->sim, "disk '%s' was made without the label of a run", d->name);
}

/* ---- disks.delete */

enum gc_disk_status gc_disk_status_of(const struct gc_disk *d)
{
	bool under_way = d->op != NULL && d->op->state == SIM_OP_RUNNING;

	return under_way && ((const struct gc_job *)d->op->job)->kind == GC_J_DELETE ? GC_DELETING : d->status;
}

/* Whose boot disk it is or was made to be; NULL: nobody's. */
static const struct gc_vm *vm_of(const struct gc_disk *d)
{
	while (d->victim == NULL && d->made_by_run && d->origin != NULL)
		d = d->origin;
	return d->victim;
}

/* The machine has another one, or had one last that is away and will come back. */
static bool is_replaced(const struct gc_vm *vm, const struct gc_disk *d)
{
	const struct gc_attached *boot = gc_boot_disk(vm);

	return boot != NULL ? boot->disk != d && gc_is_successor(boot->disk, vm->own) : vm->last_boot != d;
}

/* Only what bears a run's label may go, and no machine's own disk while that machine has no other. */
static void watch_delete(struct gc_call *c, const struct gc_disk *d)
{
	const struct gc_vm *vm = vm_of(d);

	if (json_object_get(d->labels, "fixfleet-run") == NULL)
		sim_violation(c->sim, "disk '%s' was deleted, which bears no run's label", d->name);
	if (vm != NULL && !is_replaced(vm, d))
		sim_violation(c->sim, "disk '%s' was deleted while '%s' has no other boot disk", d->name, vm->name);
}

void gc_disk_delete(struct gc_call *c)
{
	struct gc_disk *d = gc_disk_of(c);

	if (d != NULL && gc_begin(c, "delete", c->gc->latency[GC_L_DELETE], gc_job(GC_J_DELETE, NULL, d, NULL)) != NULL)
		watch_delete(c, d);
}
