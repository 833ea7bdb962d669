/*
 * What must be true of disks and snapshots after a rollback or a cleanup, and what a second operator did meanwhile:
 * what is gone bore the tag of the run that was cleaned up after, was attached to nothing, belonged to a VM that was
 * proved, and a cleanup tells of it; what is new is somebody's who makes such a thing, and is in use or told of.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

#define LOOKED_MS 25000 /* a look is good for 5 s, and did not show yet what another had asked for so long ago */

static const struct vw_kind kinds[] = {
	{"azure", "disks", "id", "managed_by", "tags"},
	{"aws", "volumes", "id", "attached_to", "tags"},
	{"gcp", "disks", "id", "attached_to", "labels"},
	{"aws", "snapshots", "id", NULL, "tags"},
	{"gcp", "snapshots", "name", NULL, "labels"},
};

const struct vw_kind *vw_disks_of(const char *cloud)
{
	for (size_t k = 0; k < FF_COUNT(kinds); k++)
		if (ff_streq(kinds[k].cloud, cloud))
			return &kinds[k];
	return NULL;
}

static const json_t *list_of(const json_t *state, const struct vw_kind *kind)
{
	return ff_json_at(ff_json_at(state, kind->cloud), kind->list);
}

const json_t *vw_thing(const json_t *state, const struct vw_kind *kind, const char *member, const char *value)
{
	const json_t *thing;
	size_t k;

	json_array_foreach ((json_t *)list_of(state, kind), k, thing)
		if (ff_streq(ff_json_str(thing, member), value))
			return thing;
	return NULL;
}

static const char *holder_of(const struct vw_kind *kind, const json_t *thing)
{
	return kind->holder != NULL ? ff_json_str(thing, kind->holder) : NULL;
}

static const char *tag_of(const struct vw_kind *kind, const json_t *thing, const char *key)
{
	return json_string_value(json_object_get(json_object_get(thing, kind->tags), key));
}

/* ---------------------------------------------------------------- gone */

static bool was_proved(const struct ff_past *past, const struct ff_ended *e)
{
	const struct ff_past_vm *vm = vw_past_of(past, e);
	enum ff_outcome o = vm != NULL ? ff_outcome_from_name(vm->outcome) : FF_O_NONE;

	return o == FF_O_REPAIRED || o == FF_O_ROLLED_BACK || o == FF_O_CLEAN;
}

/* The run of before has said that this snapshot failed: it made another one, which is what is cleaned up. */
static bool was_told(const struct ff_past *past, const struct ff_ended *e, const char *id)
{
	const struct ff_past_vm *vm = vw_past_of(past, e);
	ff_auto_free char *words = ff_printf("'%s' has failed and is left over", id);

	return vm != NULL && vm->where != NULL && strstr(vm->where, words) != NULL;
}

/* Of a cleanup that tells of a deletion, of two the one that says that it is done; NULL: none does. */
static const struct ff_ended *who_tells(const struct vw_later *later, const char *cloud, const char *vm)
{
	const struct ff_ended *tells = NULL;

	for (size_t n = 0; n < later->count; n++) {
		const struct ff_ended *e = vw_later_end(later, n, cloud, vm);

		if (later->by[n].flow == FF_FLOW_CLEANUP && e != NULL &&
			(e->outcome == FF_O_CLEANED || (tells == NULL && e->outcome == FF_O_FAILED_HOME)))
			tells = e;
	}
	return tells;
}

static void judge_gone(
	struct vw_incident *i, const struct vw_later *later, const struct vw_kind *kind, const json_t *thing)
{
	const char *id = ff_json_str(thing, kind->id), *holder = holder_of(kind, thing);
	const struct ff_ended *e = who_tells(later, kind->cloud, tag_of(kind, thing, "fixfleet-vm"));

	if (!ff_streq(tag_of(kind, thing, "fixfleet-run"), later->past->run))
		vw_wrong(i, "%s: %s '%s' is gone, which bears no tag of '%s'", kind->cloud, kind->list, id,
			later->past->run);
	else if (holder != NULL)
		vw_wrong(i, "%s: %s '%s' is gone, which was attached to '%s'", kind->cloud, kind->list, id, holder);
	else if (e == NULL)
		vw_wrong(i, "%s: %s '%s' is gone, and no cleanup says so", kind->cloud, kind->list, id);
	else if (!was_proved(later->past, e))
		vw_wrong(i, "%s: %s '%s' is gone, and its VM was not proved", kind->cloud, kind->list, id);
}

/* Of whom it is said that all is deleted. */
static void judge_cleaned(struct vw_incident *i, const struct vw_later *later, const struct ff_ended *e,
	const struct vw_kind *kind, const json_t *now, size_t *gone)
{
	const json_t *thing;
	size_t k;

	json_array_foreach ((json_t *)list_of(later->before, kind), k, thing) {
		const char *id = ff_json_str(thing, kind->id);

		if (!ff_streq(tag_of(kind, thing, "fixfleet-run"), later->past->run) ||
			!vw_is_it(e, kind->cloud, tag_of(kind, thing, "fixfleet-vm")) || holder_of(kind, thing) != NULL)
			continue;
		if (vw_thing(now, kind, kind->id, id) == NULL)
			++*gone;
		else if (e->outcome == FF_O_CLEANED && !was_told(later->past, e, id))
			vw_wrong(i, "%s %s: said to be cleaned, and '%s' is there", kind->cloud, e->vm->name, id);
	}
}

/* One thing is gone; none where a cleanup of before had deleted it already. */
static void judge_cleanup(
	struct vw_incident *i, const struct vw_later *later, const struct ff_result *r, const json_t *now)
{
	for (size_t n = 0; n < r->count; n++) {
		const struct ff_ended *e = &r->ended[n];
		ff_auto_free char *key = ff_printf("%s %s %s", later->past->run, e->provider, e->vm->name);
		size_t gone = 0;

		for (size_t m = 0; m < FF_COUNT(kinds); m++)
			if (ff_streq(kinds[m].cloud, e->provider))
				judge_cleaned(i, later, e, &kinds[m], now, &gone);
		if (e->outcome == FF_O_CLEANED && gone != 1 && (gone > 0 || !ff_table_get(&i->cleaned, key)))
			vw_wrong(i, "%s %s: said to be cleaned, and %zu things are gone", e->provider, e->vm->name,
				gone);
	}
}

static void note_cleaned(struct vw_incident *i, const struct vw_later *later, const struct ff_result *r)
{
	for (size_t n = 0; n < r->count; n++) {
		const struct ff_ended *e = &r->ended[n];
		ff_auto_free char *key = ff_printf("%s %s %s", later->past->run, e->provider, e->vm->name);

		if (e->outcome == FF_O_CLEANED || e->outcome == FF_O_FAILED_HOME)
			ff_table_set(&i->cleaned, key, i);
	}
}

/* ---------------------------------------------------------------- new */

/* A repair takes snapshots, or makes Azure's copies; a rollback makes disks, but on Azure. */
static bool makes(enum ff_flow flow, const struct vw_kind *kind)
{
	bool azure = ff_streq(kind->cloud, "azure"), snapshots = ff_streq(kind->list, "snapshots");

	return flow == FF_FLOW_REPAIR ? azure || snapshots : flow == FF_FLOW_ROLLBACK && !azure && !snapshots;
}

/* Whose run that is; later->count: none of theirs. */
static size_t operator_of(const struct vw_later *later, const char *run)
{
	size_t n = 0;

	while (n < later->count && !ff_streq(later->by[n].host->run, run))
		n++;
	return n;
}

/* A rollback takes its tag off the disk that it has put in, and a repair may put its own on it since. */
static bool is_maker(const struct vw_later *later, size_t n, const struct vw_kind *kind, const json_t *thing)
{
	const char *created = ff_json_str(thing, "created_by_run"), *tag = tag_of(kind, thing, "fixfleet-run");
	size_t tagged = operator_of(later, tag);

	if (!makes(later->by[n].flow, kind))
		return false;
	if (created != NULL || tagged == n)
		return ff_streq(created != NULL ? created : tag, later->by[n].host->run);
	return tagged < later->count ? later->by[tagged].flow == FF_FLOW_REPAIR
				     : tag == NULL && holder_of(kind, thing) != NULL;
}

static bool tells_of_new(const struct ff_ended *e, enum ff_flow flow)
{
	if (e != NULL && e->outcome == FF_O_STUCK)
		return true;
	return flow == FF_FLOW_REPAIR ? vw_says(e, "copy") || vw_says(e, "detach")
				      : vw_says(e, "made") || vw_says(e, "make");
}

/* A disk that is not attached is said to be left, unless a human has detached it. */
static void judge_new(
	struct vw_incident *i, const struct vw_later *later, const struct vw_kind *kind, const json_t *thing)
{
	const char *id = ff_json_str(thing, kind->id), *vm = tag_of(kind, thing, "fixfleet-vm");
	size_t n = 0, teller = operator_of(later, tag_of(kind, thing, "fixfleet-run"));
	const struct ff_ended *e;

	while (n < later->count && !is_maker(later, n, kind, thing))
		n++;
	if (n == later->count) {
		vw_wrong(i, "%s: %s '%s' was made by nobody who makes such", kind->cloud, kind->list, id);
		return;
	}
	teller = teller < later->count ? teller : n;
	e = vw_later_end(later, teller, kind->cloud, vm);
	if (kind->holder != NULL && holder_of(kind, thing) == NULL && !i->revoked && i->touched_by_hand.count == 0 &&
		!tells_of_new(e, later->by[teller].flow))
		vw_wrong(i, "%s: '%s' of '%s' is left over, and nobody says so: %s", kind->cloud, id, vm ? vm : "?",
			e != NULL ? e->reason : "");
}

void vw_judge_things(struct vw_incident *i, const struct vw_later *later, const json_t *now)
{
	const json_t *thing;
	size_t k;

	for (size_t n = 0; n < FF_COUNT(kinds); n++) {
		const char *id = kinds[n].id;

		json_array_foreach ((json_t *)list_of(later->before, &kinds[n]), k, thing)
			if (vw_thing(now, &kinds[n], id, ff_json_str(thing, id)) == NULL)
				judge_gone(i, later, &kinds[n], thing);
		json_array_foreach ((json_t *)list_of(now, &kinds[n]), k, thing)
			if (vw_thing(later->before, &kinds[n], id, ff_json_str(thing, id)) == NULL)
				judge_new(i, later, &kinds[n], thing);
	}
	for (size_t n = 0; n < later->count; n++)
		if (later->by[n].flow == FF_FLOW_CLEANUP)
			judge_cleanup(i, later, later->by[n].r, now);
	for (size_t n = 0; n < later->count; n++)
		if (later->by[n].flow == FF_FLOW_CLEANUP)
			note_cleaned(i, later, later->by[n].r);
}

/* ---------------------------------------------------------------- of a lost rollback */

void vw_judge_lost_things(struct vw_incident *i, const struct vw_later *later, const json_t *now)
{
	const json_t *thing;
	size_t k;

	for (size_t n = 0; n < FF_COUNT(kinds) && i->touched_by_hand.count == 0; n++) {
		const char *id = kinds[n].id;

		json_array_foreach ((json_t *)list_of(later->before, &kinds[n]), k, thing)
			if (vw_thing(now, &kinds[n], id, ff_json_str(thing, id)) == NULL)
				vw_wrong(i, "%s: %s '%s' is gone by a rollback whose folder was lost", kinds[n].cloud,
					kinds[n].list, ff_json_str(thing, id));
		json_array_foreach ((json_t *)list_of(now, &kinds[n]), k, thing) {
			const json_t *was = vw_thing(later->before, &kinds[n], id, ff_json_str(thing, id));
			bool left = was == NULL || holder_of(&kinds[n], was) != NULL;

			if (kinds[n].holder != NULL && left && holder_of(&kinds[n], thing) == NULL &&
				tag_of(&kinds[n], thing, "fixfleet-run") == NULL)
				vw_wrong(i, "%s: '%s' is left over by a rollback whose folder was lost, without a tag",
					kinds[n].cloud, ff_json_str(thing, id));
		}
	}
}

/* ---------------------------------------------------------------- deletions leave */

/* Is that what the deletion names? The path ends with it, or the form has it. */
static bool is_named(const struct ff_ask *ask, const char *id)
{
	const char *name = strrchr(id, '/') != NULL ? strrchr(id, '/') + 1 : id, *last;
	ff_auto_free char *path = ff_strndup(ask->url, strcspn(ask->url, "?"));
	ff_auto_free char *member = ff_printf("VolumeId=%s", id);

	last = strrchr(path, '/');
	return (last != NULL && ff_strcaseeq(last + 1, name)) || (ask->body != NULL && strstr(ask->body, member));
}

/* The other operator may have put it in since it was looked at: then the cloud refuses, and nobody can know better. */
static bool just_put_in(const struct vw_incident *i, const struct vw_later *later, const struct vw_host *host,
	const struct vw_kind *kind, const json_t *now, const char *holder)
{
	const json_t *vm = vw_vm_named(ff_json_at(ff_json_at(now, kind->cloud), "vms"), holder);

	for (size_t n = 0; n < later->count; n++) {
		const struct vw_host *other = later->by[n].host;

		if (other != host && i->vw->now_ms - LOOKED_MS < vw_waves_named_ms(&i->waves[other->number],
									 kind->cloud, holder, ff_json_str(vm, "id")))
			return true;
	}
	return false;
}

static bool cleans_up(const struct vw_later *later, const struct vw_host *host)
{
	for (size_t n = 0; n < later->count; n++)
		if (later->by[n].host == host)
			return later->by[n].flow == FF_FLOW_CLEANUP;
	return false;
}

void vw_later_hear(
	struct vw_incident *i, const struct vw_later *later, const struct vw_host *host, const struct ff_ask *ask)
{
	ff_auto_json json_t *now = NULL;
	const json_t *thing;
	size_t k;

	if (!cleans_up(later, host))
		return;
	if (!ff_streq(ask->method, "DELETE") && (ask->body == NULL || strstr(ask->body, "Action=Delete") == NULL))
		vw_wrong(i, "%s: a cleanup changes something: %s %s", host->run, ask->method, ask->url);
	now = sim_state(i->vw->sim);
	for (size_t n = 0; n < FF_COUNT(kinds); n++)
		json_array_foreach ((json_t *)list_of(now, &kinds[n]), k, thing) {
			const char *id = ff_json_str(thing, kinds[n].id), *holder = holder_of(&kinds[n], thing);

			if (holder != NULL && is_named(ask, id) && !just_put_in(i, later, host, &kinds[n], now, holder))
				vw_wrong(
					i, "%s: '%s' is to be deleted, and is attached to '%s'", host->run, id, holder);
		}
}
