/* Volumes made of snapshots, and deleted ones. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

/* What CreateVolume is asked for, checked. */
struct wish {
	const char *zone, *type, *kms_key, *token;
	struct aw_snap *snap;
	int64_t gib, iops, throughput;
	bool encrypted;
};

static int number(struct aw_call *c, const char *name, int64_t *out)
{
	const char *text = aw_get(c, name);

	if (text != NULL && ff_parse_i64(text, 1, 300000, out) < 0)
		return aw_refuse(
			c, 400, "InvalidParameterValue", "Value (%s) for parameter %s is invalid.", text, name);
	return 0;
}

/* EC2's texts where public issues show them; of sizes and rates no recorded answer was found: made up. */
static int check_snapshot(struct aw_call *c, struct wish *w)
{
	const char *id = aw_get(c, "SnapshotId");

	if (id == NULL)
		return aw_refuse(c, 400, "MissingParameter",
			"The request must contain the parameter size or snapshotId"); /* empty volumes are not simulated
										       */
	w->snap = aw_snap(c->aws, id);
	if (w->snap == NULL)
		return aw_refuse(c, 400, "InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id);
	if (!w->snap->completed)
		return aw_refuse(c, 400, "IncorrectState", "Snapshot is in invalid state - pending");
	w->gib = w->snap->size_gib;
	if (number(c, "Size", &w->gib) < 0)
		return -1;
	if (w->gib < w->snap->size_gib)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Volume of %lldGiB is smaller than snapshot '%s', expect size >= %lldGiB", (long long)w->gib,
			id, (long long)w->snap->size_gib);
	return 0;
}

static int check_rates(struct aw_call *c, struct wish *w)
{
	static const char *const known[] = {"gp2", "gp3", "io1", "io2", "standard", "st1", "sc1"};
	bool gp3 = ff_streq(w->type, "gp3"), io = ff_has_prefix(w->type, "io"), is = false;

	for (size_t i = 0; i < FF_COUNT(known); i++)
		is = is || ff_streq(w->type, known[i]);
	if (!is)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Value (%s) for parameter volumeType is invalid. Unknown volume type.", w->type);
	w->iops = gp3 ? 3000 : 0;
	w->throughput = gp3 ? 125 : 0;
	if (aw_get(c, "Iops") != NULL && !gp3 && !io)
		return aw_refuse(c, 400, "InvalidParameterCombination",
			"The parameter iops is not supported for %s volumes.", w->type);
	if (aw_get(c, "Throughput") != NULL && !gp3)
		return aw_refuse(c, 400, "InvalidParameterCombination",
			"The parameter throughput is not supported for %s volumes.", w->type);
	if (io && aw_get(c, "Iops") == NULL)
		return aw_refuse(
			c, 400, "MissingParameter", "The parameter iops must be specified for %s volumes.", w->type);
	return number(c, "Iops", &w->iops) < 0 || number(c, "Throughput", &w->throughput) < 0 ? -1 : 0;
}

static int read_wish(struct aw_call *c, struct wish *w)
{
	ff_auto_free char *region = NULL;

	w->zone = aw_need(c, "AvailabilityZone");
	if (w->zone == NULL)
		return -1;
	region = ff_strndup(w->zone, strlen(w->zone) - 1);
	if (!ff_streq(region, c->aws->region))
		return aw_refuse(c, 400, "InvalidZone.NotFound", "The zone '%s' does not exist.", w->zone);
	w->type = aw_get(c, "VolumeType") != NULL ? aw_get(c, "VolumeType") : "gp2";
	w->token = aw_get(c, "ClientToken");
	w->kms_key = aw_get(c, "KmsKeyId");
	if (aw_bool(c, "Encrypted", &w->encrypted) < 0)
		return -1;
	if (w->kms_key != NULL && !w->encrypted)
		return aw_refuse(c, 400, "InvalidParameterDependency",
			"The parameter KmsKeyId requires the parameter Encrypted to be set.");
	return check_snapshot(c, w) < 0 || check_rates(c, w) < 0 ? -1 : 0;
}

static void take_bytes(struct aw_call *c, struct aw_vol *vol, const struct aw_snap *s)
{
	const struct sim_hooks *h = &c->sim->hooks;

	vol->bad = s->bad;
	for (size_t i = 0; i < c->aws->vol_count && vol->origin == NULL; i++) /* also of one that is gone */
		if (ff_streq(c->aws->vols[i]->id, s->volume))
			vol->origin = c->aws->vols[i];
	if (s->image == NULL || h->image_name == NULL)
		return;
	vol->image = h->image_name(h->arg, vol->id, ++c->aws->images);
	sim_effect(c->sim, 0, SIM_COPY_IMAGE, s->image, vol->image, NULL, -1);
}

static struct aw_vol *make(struct aw_call *c, const struct wish *w, json_t *tags)
{
	struct aws *aws = c->aws;
	struct aw_vol *vol = ff_calloc(1, sizeof(*vol));

	vol->id = ff_printf("vol-0%016llx", (unsigned long long)sim_random(c->sim));
	vol->zone = ff_strdup(w->zone);
	vol->type = ff_strdup(w->type);
	vol->snapshot = ff_strdup(w->snap->id);
	vol->encrypted = w->encrypted || w->snap->encrypted;
	vol->kms_key = w->kms_key != NULL ? ff_strdup(w->kms_key)
		       : vol->encrypted	  ? ff_printf("arn:aws:kms:%s:%s:key/11111111-2222-4333-8444-555555555555",
						    aws->region, aws->account)
					  : NULL;
	vol->client_token = ff_strdup(w->token);
	vol->size_bytes = w->gib << 30;
	vol->iops = w->iops;
	vol->throughput = w->throughput;
	vol->created_ms = c->sim->now_ms;
	vol->ready_ms = c->sim->now_ms + aws->latency[AW_L_CREATE];
	vol->made_by_run = json_object_get(tags, AW_CLAIM) != NULL;
	take_bytes(c, vol, w->snap);
	aw_past_add(c->sim, &vol->held, (struct aw_seen){.state = AW_FREE});
	aw_set_tags(c->sim, &vol->tags, tags);
	aws->vols = ff_realloc(aws->vols, aws->vol_count + 1, sizeof(*aws->vols));
	sim_index_put(aws->index, vol->id, aws->vol_count);
	aws->vols[aws->vol_count++] = vol;
	return vol;
}

static struct aw_vol *made_before(const struct aw_call *c, const char *token)
{
	for (size_t i = 0; token != NULL && i < c->aws->vol_count; i++)
		if (ff_streq(c->aws->vols[i]->client_token, token))
			return c->aws->vols[i];
	return NULL;
}

void aw_create_volume(struct aw_call *c)
{
	struct wish w = {0};
	struct aw_vol *vol;
	json_t *tags;

	if (read_wish(c, &w) < 0 || w.snap == NULL)
		return;
	vol = made_before(c, w.token);
	if (vol != NULL && (!ff_streq(vol->snapshot, w.snap->id) || !ff_streq(vol->zone, w.zone))) {
		aw_refuse(c, 400, "IdempotentParameterMismatch",
			"The client token you have provided is associated with a resource that is of a different set "
			"of "
			"parameters.");
		return;
	}
	if (vol == NULL) {
		tags = aw_new_tags(c, "volume");
		if (tags == NULL)
			return;
		if (json_object_get(tags, AW_CLAIM) == NULL)
			sim_violation(c->sim, "a volume was made of '%s' without the tag of a run", w.snap->id);
		vol = make(c, &w, tags);
	}
	aw_begin(c);
	aw_volume_members(c, vol, aw_now(&vol->held), aw_now(&vol->tags)->tags);
	aw_end(c);
}

/* ---- DeleteVolume */

/* Whose root it is or was made to be; NULL: nobody's. */
static const struct aw_vm *home_of(const struct aw_vol *vol)
{
	while (vol->home == NULL && vol->made_by_run && vol->origin != NULL)
		vol = vol->origin;
	return vol->home;
}

/* The machine has another one, or had one last that is away and will come back. */
static bool is_replaced(const struct sim *sim, const struct aw_vm *vm, const struct aw_vol *vol)
{
	const struct aw_vol *root = aw_at_device(sim, vm, vm->root_device, 0);

	return root != NULL ? aw_is_successor(root, vm->root) : vm->last_root != vol;
}

/* Only what a run has made or marked may go, and no machine's own root while that machine has no other. */
static void watch_delete(struct aw_call *c, const struct aw_vol *vol)
{
	const struct aw_vm *home = home_of(vol);

	if (json_object_get(aw_now(&vol->tags)->tags, AW_CLAIM) == NULL)
		sim_violation(c->sim, "volume '%s' was deleted, which bears no run's tag", vol->id);
	if (home != NULL && !is_replaced(c->sim, home, vol))
		sim_violation(c->sim, "volume '%s' was deleted while '%s' has no other root", vol->id, home->name);
}

void aw_delete_volume(struct aw_call *c)
{
	const char *id = aw_need(c, "VolumeId");
	struct aw_vol *vol = id != NULL ? aw_find_vol(c, id) : NULL;
	const struct aw_seen *held;

	if (vol == NULL)
		return;
	held = aw_now(&vol->held);
	if (held->vm != NULL) {
		aw_refuse(c, 400, "VolumeInUse", "Volume %s is currently attached to %s", vol->id, held->vm->id);
		return;
	}
	watch_delete(c, vol);
	vol->gone = true;
	if (vol->image != NULL)
		sim_effect(c->sim, 0, SIM_DELETE_IMAGE, NULL, vol->image, NULL, -1);
	aw_return_true(c);
}
