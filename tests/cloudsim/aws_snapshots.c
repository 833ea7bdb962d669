/* Snapshots: made at the call, complete later; a new one is not seen at once. */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_VOLUME_MS 15000 /* one snapshot per volume in so long: AWS's figure for SSD volumes is one at a time */

static const char *const filters[] = {
	"volume-id", "status", "snapshot-id", "description", "owner-id", "volume-size", "encrypted", "progress", NULL};

static const char *status(const struct aw_snap *s)
{
	return s->failed ? "error" : s->completed ? "completed" : "pending";
}

static void values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	const struct aw_snap *s = item;

	if (aw_tag_values(aw_past_at(c->sim, &s->tags, c->aws->lag[AW_LAG_TAGS])->tags, name, out))
		return;
	if (ff_streq(name, "volume-id"))
		ff_strv_add(out, s->volume);
	else if (ff_streq(name, "status"))
		ff_strv_add(out, status(s));
	else if (ff_streq(name, "snapshot-id"))
		ff_strv_add(out, s->id);
	else if (ff_streq(name, "description"))
		ff_strv_add(out, s->description);
	else if (ff_streq(name, "owner-id"))
		ff_strv_add(out, c->aws->account);
	else if (ff_streq(name, "volume-size"))
		ff_strv_addf(out, "%lld", (long long)s->size_gib);
	else if (ff_streq(name, "encrypted"))
		ff_strv_add(out, s->encrypted ? "true" : "false");
	else
		ff_strv_add(out, s->completed ? "100%" : "0%");
}

/* The members that both the list and the answer to CreateSnapshot have. */
static void snapshot_members(struct aw_call *c, const struct aw_snap *s, const json_t *tags)
{
	aw_text(c, "snapshotId", s->id);
	aw_text(c, "volumeId", s->volume);
	aw_text(c, "status", status(s));
	aw_time(c, "startTime", s->started_ms);
	aw_text(c, "progress", s->completed ? "100%" : "");
	aw_text(c, "ownerId", c->aws->account);
	aw_int(c, "volumeSize", s->size_gib);
	aw_text(c, "description", s->description);
	aw_tag_set(c, tags);
	aw_flag(c, "encrypted", s->encrypted);
}

static bool visible(const struct aw_call *c, const struct aw_snap *s)
{
	return !s->gone && c->sim->now_ms >= s->started_ms + c->aws->lag[AW_LAG_SNAPSHOTS];
}

static struct aw_snap *find(struct aw_call *c, const char *id, bool reading)
{
	struct aw_snap *s = aw_snap(c->aws, id);

	if (s != NULL && (!reading || visible(c, s)))
		return s;
	if (!ff_has_prefix(id, "snap-"))
		aw_refuse(c, 400, "InvalidSnapshotID.Malformed", "Invalid id: \"%s\" (expecting \"snap-...\")", id);
	else
		aw_refuse(c, 400, "InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id);
	return NULL;
}

/* Snapshots of others do not exist here. */
static bool owner_fits(const struct aw_call *c)
{
	struct ff_strv owners = aw_list(c, "Owner");
	bool ours = owners.count == 0 || ff_strv_has(&owners, "self") || ff_strv_has(&owners, c->aws->account);

	ff_strv_free(&owners);
	return ours;
}

void aw_describe_snapshots(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "SnapshotId");
	size_t from, max, shown = 0;
	int rc = aw_page(c, "SnapshotId", &from, &max) < 0 || aw_check_filters(c, filters) < 0 ? -1 : 0;

	for (size_t i = 0; i < ids.count && rc == 0; i++)
		rc = find(c, ids.items[i], true) != NULL ? 0 : -1;
	if (rc < 0)
		goto end;
	aw_begin(c);
	aw_open(c, "snapshotSet");
	for (; from < c->aws->snap_count && shown < max; from++) {
		const struct aw_snap *s = c->aws->snaps[from];

		if (!visible(c, s) || (ids.count > 0 && !ff_strv_has(&ids, s->id)) || !owner_fits(c) ||
			!aw_filter(c, s, values))
			continue;
		aw_open(c, "item");
		snapshot_members(c, s, aw_past_at(c->sim, &s->tags, c->aws->lag[AW_LAG_TAGS])->tags);
		aw_close(c, "item");
		shown++;
	}
	aw_close(c, "snapshotSet");
	if (from < c->aws->snap_count)
		aw_next(c, from);
	aw_end(c);
end:
	ff_strv_free(&ids);
}

/* ---- making */

struct aw_snap *aw_new_snap(struct sim *sim, struct aws *aws, const char *volume, const char *id)
{
	struct aw_snap *s = ff_calloc(1, sizeof(*s));

	s->id = id != NULL ? ff_strdup(id) : ff_printf("snap-0%016llx", (unsigned long long)sim_random(sim));
	s->volume = ff_strdup(volume);
	s->description = ff_strdup("");
	s->started_ms = sim->now_ms;
	aws->snaps = ff_realloc(aws->snaps, aws->snap_count + 1, sizeof(*aws->snaps));
	sim_index_put(aws->index, s->id, aws->snap_count);
	aws->snaps[aws->snap_count++] = s;
	return s;
}

json_t *aw_new_tags(struct aw_call *c, const char *resource_type)
{
	ff_auto_json json_t *tags = json_object();
	const char *type, *key;

	for (size_t i = 1; (type = aw_getf(c, "TagSpecification.%zu.ResourceType", i)) != NULL; i++) {
		if (!ff_streq(type, resource_type)) {
			aw_refuse(c, 400, "InvalidParameterValue", "'%s' is not a valid taggable resource type", type);
			return NULL;
		}
		for (size_t k = 1; (key = aw_getf(c, "TagSpecification.%zu.Tag.%zu.Key", i, k)) != NULL; k++) {
			const char *value = aw_getf(c, "TagSpecification.%zu.Tag.%zu.Value", i, k);

			if (ff_has_prefix(key, "aws:")) {
				aw_refuse(c, 400, "InvalidParameterValue",
					"Tag keys starting with 'aws:' are reserved for internal use");
				return NULL;
			}
			ff_json_set_str(tags, key, value != NULL ? value : "");
		}
	}
	return FF_STEAL(tags);
}

static int check_rate(struct aw_call *c, const struct aw_vol *vol)
{
	int64_t since = c->sim->now_ms - sim_scaled(c->sim, PER_VOLUME_MS);

	for (size_t i = 0; i < c->aws->snap_count; i++)
		if (ff_streq(c->aws->snaps[i]->volume, vol->id) && c->aws->snaps[i]->started_ms > since)
			return aw_refuse(c, 400, "SnapshotCreationPerVolumeRateExceeded",
				"The maximum per volume CreateSnapshot request rate has been exceeded. Use an "
				"increasing or variable sleep interval between requests.");
	return 0;
}

/* Its point in time is the request. */
static void keep_bytes(struct aw_call *c, struct aw_snap *s, const struct aw_vol *vol)
{
	const struct sim_hooks *h = &c->sim->hooks;

	s->bad = vol->bad;
	if (vol->image == NULL || h->image_name == NULL)
		return;
	s->image = h->image_name(h->arg, s->id, ++c->aws->images);
	sim_effect(c->sim, 0, SIM_COPY_IMAGE, vol->image, s->image, NULL, -1);
}

void aw_create_snapshot(struct aw_call *c)
{
	const char *id = aw_need(c, "VolumeId"), *description = aw_get(c, "Description");
	struct aw_vol *vol = id != NULL ? aw_find_vol(c, id) : NULL;
	json_t *tags = vol != NULL ? aw_new_tags(c, "snapshot") : NULL;
	struct aw_snap *s;

	if (tags == NULL)
		return;
	if (check_rate(c, vol) < 0) {
		json_decref(tags);
		return;
	}
	aw_note_vol(c, vol, NULL);
	s = aw_new_snap(c->sim, c->aws, vol->id, NULL);
	free(s->description);
	s->description = ff_strdup(description != NULL ? description : "");
	s->size_gib = (vol->size_bytes + ((int64_t)1 << 30) - 1) >> 30;
	s->encrypted = vol->encrypted;
	keep_bytes(c, s, vol);
	s->run = ff_strdup(ff_json_str(tags, AW_CLAIM));
	if (s->run == NULL)
		sim_violation(c->sim, "a snapshot of volume '%s' was made without the tag of a run", vol->id);
	aw_set_tags(c->sim, &s->tags, tags);
	aw_begin_job(c->sim, c->aws, "snapshot", AW_L_SNAPSHOT, (struct aw_job){.kind = AW_J_SNAPSHOT, .snap = s});
	aw_begin(c);
	snapshot_members(c, s, tags);
	aw_end(c);
}

void aw_delete_snapshot(struct aw_call *c)
{
	const char *id = aw_need(c, "SnapshotId");
	struct aw_snap *s = id != NULL ? find(c, id, false) : NULL;

	if (s == NULL)
		return;
	if (s->run == NULL)
		sim_violation(c->sim, "snapshot '%s' was deleted, which no run had made", s->id);
	s->gone = true;
	if (s->image != NULL)
		sim_effect(c->sim, 0, SIM_DELETE_IMAGE, NULL, s->image, NULL, -1);
	aw_return_true(c);
}
