/*
 * What must be true after a rollback or a cleanup, by the model's state before all, before this run, and now: who was
 * rolled back has its disk of before the repair, attached as it was; what is deleted bore the tag of the run that was
 * cleaned up after, was attached to nothing, and belonged to a VM that was proved; everybody and everything else is as
 * it was.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

/* The things that a run leaves or makes. */
static const struct kind {
	const char *cloud, *list, *id, *holder, *tags; /* holder NULL: it is attached to nothing, ever */
} kinds[] = {
	{"azure", "disks", "id", "managed_by", "tags"},
	{"aws", "volumes", "id", "attached_to", "tags"},
	{"aws", "snapshots", "id", NULL, "tags"},
	{"gcp", "disks", "id", "attached_to", "labels"},
	{"gcp", "snapshots", "name", NULL, "labels"},
};

static const json_t *list_of(const json_t *state, const struct kind *kind)
{
	return ff_json_at(ff_json_at(state, kind->cloud), kind->list);
}

static const json_t *thing_with(const json_t *list, const char *member, const char *value)
{
	const json_t *thing;
	size_t k;

	json_array_foreach ((json_t *)list, k, thing)
		if (ff_streq(ff_json_str(thing, member), value))
			return thing;
	return NULL;
}

static const char *holder_of(const struct kind *kind, const json_t *thing)
{
	return kind->holder != NULL ? ff_json_str(thing, kind->holder) : NULL;
}

static const char *tag_of(const struct kind *kind, const json_t *thing, const char *key)
{
	const json_t *value = json_object_get(json_object_get(thing, kind->tags), key);

	return json_string_value(value);
}

/* ---------------------------------------------------------------- what is said of a VM */

/* By its name, its id, or an id that ends with its name. */
static bool is_it(const struct ff_ended *e, const char *cloud, const char *what)
{
	const char *last = what != NULL ? strrchr(what, '/') : NULL;

	return what != NULL && ff_streq(e->provider, cloud) &&
	       (ff_streq(e->vm->name, last != NULL ? last + 1 : what) || ff_streq(e->vm->id, what));
}

static const struct ff_ended *end_of(const struct ff_result *r, const char *cloud, const char *what)
{
	for (size_t k = 0; k < r->count; k++)
		if (is_it(&r->ended[k], cloud, what))
			return &r->ended[k];
	return NULL;
}

/* ---------------------------------------------------------------- things */

static const struct ff_past_vm *past_of(const struct ff_past *past, const struct ff_ended *e)
{
	for (size_t k = 0; k < past->count; k++)
		if (ff_streq(past->vms[k].provider, e->provider) && ff_strcaseeq(past->vms[k].id, e->vm->id))
			return &past->vms[k];
	return NULL;
}

static bool was_proved(const struct ff_past *past, const struct ff_ended *e)
{
	const struct ff_past_vm *vm = past_of(past, e);
	enum ff_outcome o = vm != NULL ? ff_outcome_from_name(vm->outcome) : FF_O_NONE;

	return o == FF_O_REPAIRED || o == FF_O_ROLLED_BACK || o == FF_O_CLEAN;
}

/* The run of before has said that this snapshot failed: it made another one, which is what is cleaned up. */
static bool was_told(const struct ff_past *past, const struct ff_ended *e, const char *id)
{
	const struct ff_past_vm *vm = past_of(past, e);
	ff_auto_free char *words = ff_printf("'%s' has failed and is left over", id);

	return vm != NULL && vm->where != NULL && strstr(vm->where, words) != NULL;
}

static void judge_gone(struct vw_incident *i, const struct vw_later *later, const struct ff_result *r,
	const struct kind *kind, const json_t *thing)
{
	const char *id = ff_json_str(thing, kind->id), *holder = holder_of(kind, thing);
	const struct ff_ended *e = end_of(r, kind->cloud, tag_of(kind, thing, "fixfleet-vm"));

	if (later->flow != FF_FLOW_CLEANUP)
		vw_wrong(i, "%s: %s '%s' is gone after a rollback", kind->cloud, kind->list, id);
	else if (!ff_streq(tag_of(kind, thing, "fixfleet-run"), later->past->run))
		vw_wrong(i, "%s: %s '%s' is gone, which bears no tag of '%s'", kind->cloud, kind->list, id,
			later->past->run);
	else if (holder != NULL)
		vw_wrong(i, "%s: %s '%s' is gone, which was attached to '%s'", kind->cloud, kind->list, id, holder);
	else if (e == NULL || (e->outcome != FF_O_CLEANED && e->outcome != FF_O_FAILED_HOME))
		vw_wrong(i, "%s: %s '%s' is gone, and nobody says so: %s", kind->cloud, kind->list, id,
			e != NULL ? e->reason : "");
	else if (!was_proved(later->past, e))
		vw_wrong(i, "%s: %s '%s' is gone, and its VM was not proved", kind->cloud, kind->list, id);
}

/* What is not attached is said to be left, unless a human has detached it. */
static void judge_new(struct vw_incident *i, const struct vw_later *later, const struct ff_result *r,
	const struct kind *kind, const json_t *thing)
{
	const char *id = ff_json_str(thing, kind->id), *vm = tag_of(kind, thing, "fixfleet-vm");
	const struct ff_ended *e = end_of(r, kind->cloud, vm);

	if (later->flow != FF_FLOW_ROLLBACK || ff_streq(kind->list, "snapshots"))
		vw_wrong(i, "%s: %s '%s' was made by a %s", kind->cloud, kind->list, id, ff_flow_name(later->flow));
	else if (holder_of(kind, thing) == NULL && !i->revoked && i->touched_by_hand.count == 0 &&
		 !vw_says(e, "made") && !vw_says(e, "make") && (e == NULL || e->outcome != FF_O_STUCK))
		vw_wrong(i, "%s: '%s' of '%s' is left over, and nobody says so: %s", kind->cloud, id, vm ? vm : "?",
			e != NULL ? e->reason : "");
}

/* Of whom it is said that all is deleted. */
static void judge_cleaned(struct vw_incident *i, const struct vw_later *later, const struct ff_ended *e,
	const struct kind *kind, const json_t *now, size_t *gone)
{
	const json_t *thing;
	size_t k;

	json_array_foreach ((json_t *)list_of(later->before, kind), k, thing) {
		const char *id = ff_json_str(thing, kind->id);

		if (!ff_streq(tag_of(kind, thing, "fixfleet-run"), later->past->run) ||
			!is_it(e, kind->cloud, tag_of(kind, thing, "fixfleet-vm")) || holder_of(kind, thing) != NULL)
			continue;
		if (thing_with(list_of(now, kind), kind->id, id) == NULL)
			++*gone;
		else if (e->outcome == FF_O_CLEANED && !was_told(later->past, e, id))
			vw_wrong(i, "%s %s: said to be cleaned, and '%s' is there", kind->cloud, e->vm->name, id);
	}
}

static void judge_things(
	struct vw_incident *i, const struct vw_later *later, const struct ff_result *r, const json_t *now)
{
	const json_t *thing;
	size_t k;

	for (size_t n = 0; n < FF_COUNT(kinds); n++) {
		const json_t *before = list_of(later->before, &kinds[n]), *after = list_of(now, &kinds[n]);

		json_array_foreach ((json_t *)before, k, thing)
			if (thing_with(after, kinds[n].id, ff_json_str(thing, kinds[n].id)) == NULL)
				judge_gone(i, later, r, &kinds[n], thing);
		json_array_foreach ((json_t *)after, k, thing)
			if (thing_with(before, kinds[n].id, ff_json_str(thing, kinds[n].id)) == NULL)
				judge_new(i, later, r, &kinds[n], thing);
	}
	for (size_t n = 0; later->flow == FF_FLOW_CLEANUP && n < r->count; n++) {
		size_t gone = 0;

		for (size_t m = 0; m < FF_COUNT(kinds); m++)
			if (ff_streq(kinds[m].cloud, r->ended[n].provider))
				judge_cleaned(i, later, &r->ended[n], &kinds[m], now, &gone);
		if (gone != 1 && r->ended[n].outcome == FF_O_CLEANED)
			vw_wrong(i, "%s %s: said to be cleaned, and %zu things are gone", r->ended[n].provider,
				r->ended[n].vm->name, gone);
	}
}

/* Is that what the deletion names? The path ends with it, or the form has it. */
static bool is_named(const struct ff_ask *ask, const char *id)
{
	const char *name = strrchr(id, '/') != NULL ? strrchr(id, '/') + 1 : id, *last;
	ff_auto_free char *path = ff_strndup(ask->url, strcspn(ask->url, "?"));
	ff_auto_free char *member = ff_printf("VolumeId=%s", id);

	last = strrchr(path, '/');
	return (last != NULL && ff_strcaseeq(last + 1, name)) || (ask->body != NULL && strstr(ask->body, member));
}

void vw_later_hear(
	struct vw_incident *i, const struct vw_later *later, const struct vw_host *host, const struct ff_ask *ask)
{
	ff_auto_json json_t *now = NULL;
	const json_t *thing;
	size_t k;

	if (later->host != host || later->flow != FF_FLOW_CLEANUP)
		return;
	if (!ff_streq(ask->method, "DELETE") && (ask->body == NULL || strstr(ask->body, "Action=Delete") == NULL))
		vw_wrong(i, "%s: a cleanup changes something: %s %s", host->run, ask->method, ask->url);
	now = sim_state(i->vw->sim);
	for (size_t n = 0; n < FF_COUNT(kinds); n++)
		json_array_foreach ((json_t *)list_of(now, &kinds[n]), k, thing)
			if (holder_of(&kinds[n], thing) != NULL && is_named(ask, ff_json_str(thing, kinds[n].id)))
				vw_wrong(i, "%s: '%s' is to be deleted, and is attached to '%s'", host->run,
					ff_json_str(thing, kinds[n].id), holder_of(&kinds[n], thing));
}

/* ---------------------------------------------------------------- VMs */

static bool same(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, const char *member)
{
	const json_t *a = json_object_get(was, member), *b = json_object_get(is, member);
	ff_auto_free char *x = NULL, *y = NULL;

	if (a == b || (a != NULL && b != NULL && json_equal((json_t *)a, (json_t *)b)))
		return true;
	x = a != NULL ? ff_json_text(a) : ff_strdup("-");
	y = b != NULL ? ff_json_text(b) : ff_strdup("-");
	vw_wrong(i, "%s %s: nobody says that it was touched, and %s is %s, was %s", cloud, ff_json_str(was, "name"),
		member, y, x);
	return false;
}

static void judge_untouched(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is)
{
	static const char *const members[] = {
		"power", "stops", "starts", "own_disk", "os_disk", "root", "boot", "data_disks", "tags", "labels"};

	if (vw_by_hand(i, cloud, ff_json_str(was, "name")))
		return;
	for (size_t k = 0; k < FF_COUNT(members) && same(i, cloud, was, is, members[k]); k++)
		;
}

static json_t *tags_of_others(const json_t *thing, const char *kind)
{
	json_t *tags = json_copy(json_object_get(thing, kind));
	const char *key;
	json_t *value;
	void *next;

	if (tags == NULL)
		return json_object();
	json_object_foreach_safe (tags, next, key, value)
		if (ff_has_prefix(key, "fixfleet"))
			json_object_del(tags, key);
	return tags;
}

/* A disk that was made of the snapshot that the run of before took of this one, and is like it. */
static void judge_made(struct vw_incident *i, const struct vw_later *later, const struct kind *kind, const json_t *now,
	const json_t *old, const json_t *made)
{
	static const char *const alike[] = {
		"type", "iops", "throughput", "size_gib", "size_gb", "zone", "kms_key", "kms"};
	bool aws = ff_streq(kind->cloud, "aws");
	const char *id = ff_json_str(made, kind->id);
	const json_t *snapshots = ff_json_at(ff_json_at(now, kind->cloud), "snapshots");
	const json_t *snapshot = thing_with(snapshots, aws ? "id" : "name", ff_json_str(made, "snapshot"));
	ff_auto_json json_t *a = tags_of_others(old, kind->tags), *b = tags_of_others(made, kind->tags);
	const char *source = ff_json_str(snapshot, aws ? "volume" : "source_disk"), *of = ff_json_str(old, kind->id);

	if (snapshot == NULL || source == NULL || strstr(of, source) == NULL ||
		!ff_streq(ff_json_str(snapshot, "created_by_run"), later->past->run))
		vw_wrong(i, "%s: '%s' is not of the snapshot that '%s' took of '%s'", kind->cloud, id, later->past->run,
			of);
	for (size_t k = 0; k < FF_COUNT(alike); k++) {
		const json_t *x = json_object_get(old, alike[k]), *y = json_object_get(made, alike[k]);

		if (x != y && (x == NULL || y == NULL || !json_equal((json_t *)x, (json_t *)y)))
			vw_wrong(i, "%s: %s of '%s' is not as that of '%s'", kind->cloud, alike[k], id, of);
	}
	if (!json_equal(a, b))
		vw_wrong(i, "%s: %s of '%s' are not those of '%s'", kind->cloud, kind->tags, id, of);
}

/* It has its disk of before the repair again. */
static void judge_original(struct vw_incident *i, const struct vw_later *later, const char *cloud, const json_t *first,
	const json_t *is, const json_t *now)
{
	bool aws = ff_streq(cloud, "aws");
	const struct kind *kind = &kinds[aws ? 1 : 3];
	const char *member = aws ? "root/volume" : "boot/disk", *name = ff_json_str(is, "name");
	const struct vw_disk *content = vw_content_of(i, is);
	const json_t *old, *made;

	vw_judge_attached(i, cloud, first, is, false);
	if (i->second == 0 && (content == NULL || !content->bad || content->half || content->mends > 0))
		vw_wrong(i, "%s %s: rolled back, and what is on its disk is not what was on it", cloud, name);
	if (ff_streq(cloud, "azure")) {
		if (i->second == 0 && !ff_streq(ff_json_str(first, "os_disk/name"), ff_json_str(is, "os_disk/name")))
			vw_wrong(i, "azure %s: rolled back, and its OS disk is '%s'", name,
				ff_json_str(is, "os_disk/name"));
		return;
	}
	old = thing_with(list_of(later->first, kind), aws ? "id" : "name", ff_json_str(first, member));
	made = thing_with(list_of(now, kind), aws ? "id" : "name", ff_json_str(is, member));
	if (old == NULL || made == NULL)
		vw_wrong(i, "%s %s: its disk is not to be found", cloud, name);
	else
		judge_made(i, later, kind, now, old, made);
}

static void judge_rolled_back(struct vw_incident *i, const struct vw_later *later, const struct ff_ended *e,
	const json_t *first, const json_t *was, const json_t *is, const json_t *now)
{
	static const char *const disks[] = {"os_disk", "root", "boot"};
	const char *cloud = e->provider, *name = e->vm->name;
	bool hand = vw_by_hand(i, cloud, name), runs = ff_streq(ff_json_str(is, "power"), "running");
	bool ran = ff_streq(ff_json_str(was, "power"), "running");

	if (e->outcome == FF_O_STUCK) {
		vw_judge_stuck(i, cloud, is, e);
		return;
	}
	if (!ff_json_bool(is, "own_disk", false)) {
		i->r->disks_lost += !hand;
		if (!hand)
			vw_wrong(i, "%s %s: its disk is not home, and it is said to be %s: %s", cloud, name,
				ff_outcome_name(e->outcome), e->reason);
		return;
	}
	vw_judge_tags(i, cloud, was, is, e);
	if (e->outcome == FF_O_ROLLED_BACK || vw_says(e, "its original disk is home"))
		judge_original(i, later, cloud, first, is, now);
	else
		for (size_t k = 0; k < FF_COUNT(disks); k++)
			same(i, cloud, was, is, disks[k]);
	if (e->outcome != FF_O_ROLLED_BACK && e->outcome != FF_O_FAILED_HOME)
		vw_wrong(i, "%s %s: a rollback says that it is %s", cloud, name, ff_outcome_name(e->outcome));
	if (!hand && runs != ran && (e->outcome == FF_O_ROLLED_BACK || runs || (!i->revoked && !vw_says(e, "start"))))
		vw_wrong(i, "%s %s: %s, and it is %s, was %s: %s", cloud, name, ff_outcome_name(e->outcome),
			ff_json_str(is, "power"), ff_json_str(was, "power"), e->reason);
}

/* ---------------------------------------------------------------- all of it */

static void judge_vms(struct vw_incident *i, const struct vw_later *later, const struct ff_result *r, const json_t *now)
{
	for (size_t c = 0; c < i->vw->sim->part_count; c++) {
		const char *cloud = i->vw->sim->parts[c].cloud->name;
		const json_t *first = ff_json_at(ff_json_at(later->first, cloud), "vms"),
			     *before = ff_json_at(ff_json_at(later->before, cloud), "vms"),
			     *after = ff_json_at(ff_json_at(now, cloud), "vms"), *was;
		size_t k;

		json_array_foreach ((json_t *)before, k, was) {
			const char *name = ff_json_str(was, "name");
			const struct ff_ended *e = end_of(r, cloud, ff_json_str(was, "id"));
			const json_t *is = vw_vm_named(after, name);

			if (is == NULL)
				vw_wrong(i, "%s %s is gone", cloud, name);
			else if (e == NULL || e->outcome == FF_O_SKIPPED || later->flow == FF_FLOW_CLEANUP)
				judge_untouched(i, cloud, was, is);
			else
				judge_rolled_back(i, later, e, vw_vm_named(first, name), was, is, now);
		}
	}
}

/* By a third run; what the run that is rolled back has left of its claim bars nobody. */
static bool is_claimed(const struct vw_later *later, const json_t *cloud, const json_t *vm)
{
	const json_t *disk = thing_with(json_object_get(cloud, "disks"), "name", ff_json_str(vm, "boot/disk"));
	const char *const claims[] = {ff_json_str(vm, "labels/fixfleet-run"), ff_json_str(vm, "tags/fixfleet-run"),
		ff_json_str(disk, "labels/fixfleet-run")};

	for (size_t k = 0; k < FF_COUNT(claims); k++)
		if (claims[k] != NULL && *claims[k] != '\0' && !ff_streq(claims[k], later->past->run))
			return true;
	return false;
}

/* What a rollback has left could not be tagged as its own, and it said so: its cleanup leaves that alone. */
static bool is_unmarked(const struct vw_later *later, const struct ff_ended *e)
{
	const struct ff_past_vm *vm = past_of(later->past, e);

	return later->flow == FF_FLOW_CLEANUP && vm != NULL && vm->reason != NULL &&
	       strstr(vm->reason, "mark: ") != NULL;
}

/*
 * Before this run: a third run's claim, the snapshot of the run of before failed after it had been begun, or what it
 * has left is not marked.
 */
static bool is_barred(const struct vw_later *later, const struct ff_ended *e)
{
	const json_t *cloud = ff_json_at(later->before, e->provider), *snapshot;
	const json_t *vm = vw_vm_named(ff_json_at(cloud, "vms"), e->vm->name);
	size_t k;

	json_array_foreach ((json_t *)ff_json_at(cloud, "snapshots"), k, snapshot)
		if (ff_streq(ff_json_str(snapshot, "tags/fixfleet-vm"), e->vm->id) &&
			ff_streq(ff_json_str(snapshot, "created_by_run"), later->past->run) &&
			ff_streq(ff_json_str(snapshot, "status"), "error"))
			return true;
	return is_claimed(later, cloud, vm) || is_unmarked(later, e);
}

/* Where hardly anything went wrong, and for each that was mended and is meant. */
static void judge_ends(struct vw_incident *i, const struct vw_later *later, const struct ff_result *r)
{
	enum ff_outcome good = later->flow == FF_FLOW_CLEANUP ? FF_O_CLEANED : FF_O_ROLLED_BACK;

	for (size_t k = 0; k < r->count; k++)
		if (r->ended[k].outcome != good && vw_was_mild(i) && !vw_says(&r->ended[k], "--max-failures") &&
			!is_barred(later, &r->ended[k]))
			vw_wrong(i, "%s %s: could have been %s, and is %s: %s", r->ended[k].provider,
				r->ended[k].vm->name, ff_outcome_name(good), ff_outcome_name(r->ended[k].outcome),
				r->ended[k].reason);
	/* what could not be read is left alone, and a run that was cut off before its plan says how many are missing */
	for (size_t k = 0; later->all && !vw_any_fault(i) && k < later->past->count; k++) {
		const struct ff_past_vm *vm = &later->past->vms[k];

		if ((later->meant >> k % 64 & 1) && ff_outcome_from_name(vm->outcome) == FF_O_REPAIRED &&
			end_of(r, vm->provider, vm->id) == NULL)
			vw_wrong(i, "%s %s: was repaired, and the %s passes it over", vm->provider, vm->name,
				ff_flow_name(later->flow));
	}
}

void vw_judge_later(struct vw_incident *i, const struct vw_later *later)
{
	ff_auto_json json_t *now = sim_state(i->vw->sim);
	const struct ff_result *r = ff_engine_result(later->host->engine);

	vw_judge_step(i);
	judge_vms(i, later, r, now);
	judge_things(i, later, r, now);
	judge_ends(i, later, r);
}
