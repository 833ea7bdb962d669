/*
 * What must be true of VMs after a rollback or a cleanup, and what a second operator did meanwhile, by the model's
 * state before the run that is taken back or cleaned up after, before all this, and now: who was rolled back has its
 * disk of before the repair, attached as it was, and who was repaired after that is mended; whom nobody has acted on is
 * as it was. What became of disks and snapshots is judged in judge_things.c.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

/* ---------------------------------------------------------------- what is said of a VM */

bool vw_is_it(const struct ff_ended *e, const char *cloud, const char *what)
{
	const char *last = what != NULL ? strrchr(what, '/') : NULL;

	return what != NULL && ff_streq(e->provider, cloud) &&
	       (ff_streq(e->vm->name, last != NULL ? last + 1 : what) || ff_streq(e->vm->id, what));
}

const struct ff_ended *vw_later_end(const struct vw_later *later, size_t n, const char *cloud, const char *what)
{
	const struct ff_result *r = later->by[n].r;

	for (size_t k = 0; k < r->count; k++)
		if (vw_is_it(&r->ended[k], cloud, what))
			return &r->ended[k];
	return NULL;
}

const struct ff_past_vm *vw_past_of(const struct ff_past *past, const struct ff_ended *e)
{
	for (size_t k = 0; k < past->count; k++)
		if (ff_streq(past->vms[k].provider, e->provider) && ff_strcaseeq(past->vms[k].id, e->vm->id))
			return &past->vms[k];
	return NULL;
}

/* How much a word is worth, against another operator's on the same VM. */
enum worth {
	NOTHING,  /* it says that it did nothing */
	GAVE_WAY, /* claimed it at most */
	ACTED,	  /* and left it as it was */
	PUT_IN,	  /* another disk, or another content */
	HOLDS,	  /* its disk is not home: nobody else can have been at it since */
};

struct words {
	const struct ff_ended *by[VW_LATER_MAX];
	const struct ff_ended *end; /* whose word counts; NULL: nobody did anything */
	enum ff_flow flow;	    /* of that run */
	enum worth worth;
	int64_t changed_ms;
	const struct ff_ended *rolled_back; /* who says that it has its disk of before; NULL: nobody */
	bool written; /* by a repair that then went home as failed: what is on the disk nobody knows, but on Azure */
};

static bool says_rolled_back(const struct ff_ended *e)
{
	return e->outcome == FF_O_ROLLED_BACK || vw_says(e, "its original disk is home");
}

static enum worth worth_of(const struct ff_ended *e, enum ff_flow flow)
{
	if (e == NULL || flow == FF_FLOW_CLEANUP || e->outcome == FF_O_SKIPPED || e->outcome == FF_O_NONE)
		return NOTHING;
	if (e->outcome == FF_O_STUCK)
		return HOLDS;
	if (says_rolled_back(e) || e->outcome == FF_O_REPAIRED || vw_says(e, "mended and home"))
		return PUT_IN;
	return ff_has_prefix(e->reason, "claim") || ff_has_prefix(e->reason, "check") ? GAVE_WAY : ACTED;
}

/* Where each of them acted, the word of him counts who changed it last, unless he left all as the other one had made
 * it. When they said so tells nothing: who has crashed, or waits for an answer, says late what he did long before. */
static void ask_all(
	struct vw_incident *i, const struct vw_later *later, const char *cloud, const char *id, struct words *w)
{
	*w = (struct words){0};
	for (size_t n = 0; n < later->count; n++) {
		const struct vw_doing *by = &later->by[n];
		const struct ff_ended *e = vw_later_end(later, n, cloud, id);
		enum worth worth = worth_of(e, by->flow);
		int64_t changed_ms;

		w->by[n] = e;
		if (worth == NOTHING)
			continue;
		changed_ms = vw_waves_named_ms(&i->waves[by->host->number], cloud, e->vm->name, e->vm->id);
		if (by->flow == FF_FLOW_ROLLBACK && says_rolled_back(e)) {
			if (w->rolled_back != NULL)
				vw_wrong(i, "%s %s: two say that they have rolled it back", cloud, e->vm->name);
			w->rolled_back = e;
		}
		w->written = w->written || ff_has_prefix(e->reason, "repair: ");
		if (w->end == NULL || worth > w->worth || (worth == w->worth && changed_ms > w->changed_ms)) {
			w->end = e;
			w->flow = by->flow;
			w->worth = worth;
			w->changed_ms = changed_ms;
		}
	}
}

/* Who is to tell of the claim that is on it: whose it is, else whose word counts. */
static const struct ff_ended *teller_of(
	const struct vw_later *later, const struct words *w, const char *cloud, const json_t *is)
{
	const char *run = ff_json_str(is, ff_streq(cloud, "gcp") ? "labels/fixfleet-run" : "tags/fixfleet-run");

	for (size_t n = 0; n < later->count; n++)
		if (ff_streq(run, later->by[n].host->run) && w->by[n] != NULL)
			return w->by[n];
	return w->end;
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

/* Who turned home at its claim may have said that it could not take it back. */
static bool is_of_claims(const char *member, const struct words *w)
{
	bool said = false;

	for (size_t n = 0; n < VW_LATER_MAX; n++)
		said = said || vw_says(w->by[n], "release");
	return said && (ff_streq(member, "tags") || ff_streq(member, "labels"));
}

static void judge_untouched(
	struct vw_incident *i, const char *cloud, const struct words *w, const json_t *was, const json_t *is)
{
	static const char *const members[] = {
		"power", "stops", "starts", "own_disk", "os_disk", "root", "boot", "data_disks", "tags", "labels"};

	if (vw_by_hand(i, cloud, ff_json_str(was, "name")))
		return;
	for (size_t k = 0; k < FF_COUNT(members); k++)
		if (!is_of_claims(members[k], w) && !same(i, cloud, was, is, members[k]))
			return;
}

/* While somebody repairs, disks come to a rescue VM and go. */
static void judge_rescue(
	struct vw_incident *i, const struct vw_later *later, const char *cloud, const json_t *was, const json_t *is)
{
	const char *name = ff_json_str(was, "name");
	bool told = false;

	for (size_t n = 0; n < later->count; n++) {
		const struct ff_result *r = later->by[n].r;

		for (size_t k = 0; later->by[n].flow == FF_FLOW_REPAIR && k < r->count; k++)
			told = told || r->ended[k].outcome == FF_O_STUCK || vw_says(&r->ended[k], "detach") ||
			       vw_says(&r->ended[k], "delete-copy");
	}
	if (!told && !vw_by_hand(i, cloud, name) && ff_table_get(&i->touched_by_hand, cloud) == NULL)
		same(i, cloud, was, is, "data_disks");
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

/* It may have been cleaned up since. */
static const json_t *snapshot_with(
	const struct vw_later *later, const char *cloud, const char *member, const char *value)
{
	const json_t *snapshot;
	size_t k;

	json_array_foreach ((json_t *)ff_json_at(ff_json_at(later->before, cloud), "snapshots"), k, snapshot)
		if (ff_streq(ff_json_str(snapshot, member), value))
			return snapshot;
	return NULL;
}

/* A disk that was made of the snapshot that the run of before took of this one, and is like it. */
static void judge_made(struct vw_incident *i, const struct vw_later *later, const struct vw_kind *kind,
	const json_t *old, const json_t *made)
{
	static const char *const alike[] = {
		"type", "iops", "throughput", "size_gib", "size_gb", "zone", "kms_key", "kms"};
	bool aws = ff_streq(kind->cloud, "aws");
	const char *id = ff_json_str(made, kind->id);
	const json_t *snapshot = snapshot_with(later, kind->cloud, aws ? "id" : "name", ff_json_str(made, "snapshot"));
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

/* The disk that it had before the run of before, by that run's own record; on Azure, where no other is made. */
static const char *disk_before(const struct vw_later *later, const struct ff_ended *e)
{
	const struct ff_past_vm *vm = vw_past_of(later->past, e);

	return vm != NULL ? ff_json_str(vm->facts, "os_disk/managedDisk/id") : NULL;
}

/* It has its disk of before the run of before again. */
static void judge_original(struct vw_incident *i, const struct vw_later *later, const struct ff_ended *e,
	const json_t *first, const json_t *is, const json_t *now)
{
	const char *cloud = e->provider, *name = ff_json_str(is, "name");
	bool aws = ff_streq(cloud, "aws");
	const struct vw_kind *kind = vw_disks_of(cloud);
	const char *member = aws ? "root/volume" : "boot/disk";
	const json_t *old, *made;

	vw_judge_attached(i, cloud, first, is, false);
	if (ff_streq(cloud, "azure")) {
		if (!ff_strcaseeq(disk_before(later, e), ff_json_str(is, "os_disk/id")) ||
			(i->second == 0 &&
				!ff_streq(ff_json_str(first, "os_disk/name"), ff_json_str(is, "os_disk/name"))))
			vw_wrong(i, "azure %s: rolled back, and its OS disk is '%s'", name,
				ff_json_str(is, "os_disk/name"));
		return;
	}
	old = vw_thing(later->first, kind, aws ? "id" : "name", ff_json_str(first, member));
	made = vw_thing(now, kind, aws ? "id" : "name", ff_json_str(is, member));
	if (old == NULL || made == NULL)
		vw_wrong(i, "%s %s: its disk is not to be found", cloud, name);
	else
		judge_made(i, later, kind, old, made);
}

/* What a repair had mended is as bad as it was, what a rollback had taken back as it was mended; unless somebody else
 * has mended it, then it is either. */
static void judge_content(struct vw_incident *i, const struct vw_later *later, const struct words *w, const json_t *is)
{
	const struct vw_disk *content = vw_content_of(i, is);
	const char *cloud = w->end->provider;
	bool bad = ff_flow_from_name(later->past->flow) == FF_FLOW_REPAIR;
	ff_auto_free char *key = ff_printf("%s %s", cloud, ff_json_str(is, "name"));

	if (content != NULL && ff_table_get(&i->mended_by_hand, key) != NULL)
		bad = content->bad;
	if (i->second == 0 && (!w->written || ff_streq(cloud, "azure")) &&
		(content == NULL || content->bad != bad || content->half || (bad && content->mends > 0)))
		vw_wrong(i, "%s %s: rolled back, and what is on its disk is not what was on it", cloud,
			ff_json_str(is, "name"));
}

/* Its claim on the disk itself, where there is one, is given back as well. On Azure a copy is its run's by its tag. */
static void judge_claim_of_disk(
	struct vw_incident *i, const struct vw_later *later, const struct words *w, const json_t *is, const json_t *now)
{
	const char *cloud = w->end->provider;
	bool aws = ff_streq(cloud, "aws");
	const json_t *disk = vw_thing(
		now, vw_disks_of(cloud), aws ? "id" : "name", ff_json_str(is, aws ? "root/volume" : "boot/disk"));
	const char *run = ff_json_str(disk, aws ? "tags/fixfleet-run" : "labels/fixfleet-run");

	if (ff_streq(cloud, "azure") || i->revoked)
		return;
	for (size_t n = 0; n < later->count; n++)
		if (ff_streq(run, later->by[n].host->run) && !vw_says(w->by[n], "release"))
			vw_wrong(i, "%s %s: its disk is claimed still by '%s', and nobody says so: %s", cloud,
				ff_json_str(is, "name"), run, w->by[n] != NULL ? w->by[n]->reason : "");
}

/* One of those who were at it brought it to no good end and says why it does not run; or he was not permitted to. */
static bool is_told_stopped(const struct vw_incident *i, const struct vw_later *later, const struct words *w)
{
	for (size_t n = 0; n < later->count; n++) {
		const struct ff_ended *e = w->by[n];

		if (worth_of(e, later->by[n].flow) > GAVE_WAY && e->outcome != FF_O_ROLLED_BACK &&
			e->outcome != FF_O_REPAIRED &&
			(i->revoked || vw_says(e, "start") || vw_says(e, "not finished")))
			return true;
	}
	return false;
}

static void judge_rolled_back(struct vw_incident *i, const struct vw_later *later, const struct words *w,
	const json_t *first, const json_t *was, const json_t *is, const json_t *now)
{
	static const char *const disks[] = {"os_disk", "root", "boot"};
	const struct ff_ended *e = w->end;
	const char *cloud = e->provider, *name = e->vm->name;
	bool hand = vw_by_hand(i, cloud, name), runs = ff_streq(ff_json_str(is, "power"), "running");
	bool ran = ff_streq(ff_json_str(was, "power"), "running");

	if (says_rolled_back(e)) {
		judge_original(i, later, e, first, is, now);
		judge_content(i, later, w, is);
	} else {
		for (size_t k = 0; k < FF_COUNT(disks); k++)
			same(i, cloud, was, is, disks[k]);
	}
	if (e->outcome != FF_O_ROLLED_BACK && e->outcome != FF_O_FAILED_HOME)
		vw_wrong(i, "%s %s: a rollback says that it is %s", cloud, name, ff_outcome_name(e->outcome));
	if (!hand && runs != ran && (runs || !is_told_stopped(i, later, w)))
		vw_wrong(i, "%s %s: %s, and it is %s, was %s: %s", cloud, name, ff_outcome_name(e->outcome),
			ff_json_str(is, "power"), ff_json_str(was, "power"), e->reason);
}

/* By a second operator, who found it affected; after it was rolled back, perhaps. */
static void judge_repaired(struct vw_incident *i, const struct vw_later *later, const struct words *w,
	const json_t *first, const json_t *was, const json_t *is, const json_t *now)
{
	static const char *const disks[] = {"os_disk", "root", "boot"};
	const struct ff_ended *e = w->end;
	const char *cloud = e->provider, *name = e->vm->name;
	const struct vw_disk *content = vw_content_of(i, is);
	bool hand = vw_by_hand(i, cloud, name), runs = ff_streq(ff_json_str(is, "power"), "running");
	bool azure = ff_streq(cloud, "azure"), mended = w->worth == PUT_IN;

	vw_judge_attached(i, cloud, first, is, false);
	if (content == NULL || (azure && content->half))
		vw_wrong(i, "%s %s: its disk is half mended, or nobody knows what is on it", cloud, name);
	else if (e->outcome == FF_O_REPAIRED && (content->bad || content->half))
		vw_wrong(i, "%s %s: said to be repaired, and its disk is bad", cloud, name);
	if (w->rolled_back != NULL && !(azure && mended))
		judge_original(i, later, w->rolled_back, first, is, now);
	else if (w->rolled_back == NULL && !mended)
		for (size_t k = 0; k < FF_COUNT(disks); k++)
			same(i, cloud, was, is, disks[k]);
	if (!runs && !hand && !is_told_stopped(i, later, w))
		vw_wrong(i, "%s %s: %s, and it is %s: %s", cloud, name, ff_outcome_name(e->outcome),
			ff_json_str(is, "power"), e->reason);
}

static void judge_acted_on(struct vw_incident *i, const struct vw_later *later, const struct words *w,
	const json_t *first, const json_t *was, const json_t *is, const json_t *now)
{
	const char *cloud = w->end->provider, *name = w->end->vm->name;

	if (w->end->outcome == FF_O_STUCK) {
		vw_judge_stuck(i, cloud, is, w->end);
		return;
	}
	if (!ff_json_bool(is, "own_disk", false)) {
		if (vw_by_hand(i, cloud, name))
			return;
		i->r->disks_lost++;
		vw_wrong(i, "%s %s: its disk is not home, and it is said to be %s: %s", cloud, name,
			ff_outcome_name(w->end->outcome), w->end->reason);
		return;
	}
	vw_judge_tags(i, cloud, was, is, teller_of(later, w, cloud, is));
	judge_claim_of_disk(i, later, w, is, now);
	if (w->flow == FF_FLOW_REPAIR)
		judge_repaired(i, later, w, first, was, is, now);
	else
		judge_rolled_back(i, later, w, first, was, is, now);
}

/* ---------------------------------------------------------------- all of it */

static void judge_vms(struct vw_incident *i, const struct vw_later *later, const json_t *now)
{
	for (size_t c = 0; c < i->vw->sim->part_count; c++) {
		const char *cloud = i->vw->sim->parts[c].cloud->name;
		const json_t *first = ff_json_at(ff_json_at(later->first, cloud), "vms"),
			     *before = ff_json_at(ff_json_at(later->before, cloud), "vms"),
			     *after = ff_json_at(ff_json_at(now, cloud), "vms"), *was;
		size_t k;

		json_array_foreach ((json_t *)before, k, was) {
			const char *name = ff_json_str(was, "name");
			const json_t *is = vw_vm_named(after, name);
			struct words w;

			ask_all(i, later, cloud, ff_json_str(was, "id"), &w);
			if (is == NULL)
				vw_wrong(i, "%s %s is gone", cloud, name);
			else if (ff_has_prefix(name, "rescue"))
				judge_rescue(i, later, cloud, was, is);
			else if (w.end == NULL)
				judge_untouched(i, cloud, &w, was, is);
			else
				judge_acted_on(i, later, &w, vw_vm_named(first, name), was, is, now);
		}
	}
}

/* By a third run; what the run that is rolled back has left of its claim bars nobody. */
static bool is_claimed(const struct vw_later *later, const json_t *vm)
{
	const json_t *disk = vw_thing(later->before, vw_disks_of("gcp"), "name", ff_json_str(vm, "boot/disk"));
	const char *const claims[] = {ff_json_str(vm, "labels/fixfleet-run"), ff_json_str(vm, "tags/fixfleet-run"),
		ff_json_str(disk, "labels/fixfleet-run")};

	for (size_t k = 0; k < FF_COUNT(claims); k++)
		if (claims[k] != NULL && *claims[k] != '\0' && !ff_streq(claims[k], later->past->run))
			return true;
	return false;
}

/* What a rollback has left could not be tagged as its own, and it said so: its cleanup leaves that alone. */
static bool is_unmarked(const struct vw_later *later, enum ff_flow flow, const struct ff_ended *e)
{
	const struct ff_past_vm *vm = vw_past_of(later->past, e);

	return flow == FF_FLOW_CLEANUP && vm != NULL && vm->reason != NULL && strstr(vm->reason, "mark: ") != NULL;
}

/*
 * Before this run: a third run's claim, the snapshot of the run of before failed after it had been begun, or what it
 * has left is not marked.
 */
static bool is_barred(const struct vw_later *later, enum ff_flow flow, const struct ff_ended *e)
{
	const json_t *cloud = ff_json_at(later->before, e->provider), *snapshot;
	const json_t *vm = vw_vm_named(ff_json_at(cloud, "vms"), e->vm->name);
	size_t k;

	json_array_foreach ((json_t *)ff_json_at(cloud, "snapshots"), k, snapshot)
		if (ff_streq(ff_json_str(snapshot, "tags/fixfleet-vm"), e->vm->id) &&
			ff_streq(ff_json_str(snapshot, "created_by_run"), later->past->run) &&
			ff_streq(ff_json_str(snapshot, "status"), "error"))
			return true;
	return is_claimed(later, vm) || is_unmarked(later, flow, e);
}

/*
 * The other operator stood in the way: he had claimed the VM, or put another disk in, or deleted what was to come back.
 * Nobody bars a cleanup but who takes on Azure the very disk back that it would delete.
 */
static bool is_crossed(const struct vw_later *later, size_t n, const struct ff_ended *e)
{
	for (size_t k = 0; k < later->count; k++) {
		const struct ff_ended *other = vw_later_end(later, k, e->provider, e->vm->id);
		enum ff_flow flow = later->by[k].flow;

		if (k == n || other == NULL)
			continue;
		if (later->by[n].flow == FF_FLOW_CLEANUP &&
			(flow != FF_FLOW_ROLLBACK || !ff_streq(e->provider, "azure")))
			continue;
		if (worth_of(other, flow) > GAVE_WAY || (flow == FF_FLOW_CLEANUP && other->outcome != FF_O_SKIPPED))
			return true;
	}
	return false;
}

/* Each that was mended and is meant; each that is found sick. Who is claimed already is none of a repair's. */
static bool is_to_end_well(
	const struct vw_incident *i, const struct vw_later *later, size_t n, const struct ff_ended *e)
{
	enum ff_flow flow = later->by[n].flow;
	ff_auto_free char *key = ff_printf("%s %s", e->provider, e->vm->name);

	if (vw_says(e, "--max-failures") || is_barred(later, flow, e) || is_crossed(later, n, e))
		return false;
	return flow != FF_FLOW_REPAIR || (ff_table_get(&i->sick, key) != NULL && e->outcome != FF_O_SKIPPED);
}

/* Where hardly anything went wrong. */
static void judge_ends(struct vw_incident *i, const struct vw_later *later, size_t n)
{
	static const enum ff_outcome well[FF_FLOW_COUNT] = {[FF_FLOW_REPAIR] = FF_O_REPAIRED,
		[FF_FLOW_ROLLBACK] = FF_O_ROLLED_BACK,
		[FF_FLOW_CLEANUP] = FF_O_CLEANED};
	enum ff_outcome good = well[later->by[n].flow];
	const struct ff_result *r = later->by[n].r;

	for (size_t k = 0; vw_was_mild(i) && k < r->count; k++)
		if (r->ended[k].outcome != good && is_to_end_well(i, later, n, &r->ended[k]))
			vw_wrong(i, "%s %s: could have been %s, and is %s: %s", r->ended[k].provider,
				r->ended[k].vm->name, ff_outcome_name(good), ff_outcome_name(r->ended[k].outcome),
				r->ended[k].reason);
}

/* What could not be read is left alone, and a run that was cut off before its plan says how many are missing. */
static void judge_passed_over(struct vw_incident *i, const struct vw_later *later)
{
	for (size_t k = 0; later->all && !vw_any_fault(i) && k < later->past->count; k++) {
		const struct ff_past_vm *vm = &later->past->vms[k];

		if ((later->by[0].meant >> k % 64 & 1) && ff_outcome_from_name(vm->outcome) == FF_O_REPAIRED &&
			vw_later_end(later, 0, vm->provider, vm->id) == NULL)
			vw_wrong(i, "%s %s: was repaired, and the %s passes it over", vm->provider, vm->name,
				ff_flow_name(later->by[0].flow));
	}
}

/* ---------------------------------------------------------------- a rollback whose folder is lost */

/* One of the two disks is its root again, attached as it was, and it runs if it ran, or its run says more. */
static void judge_lost_one(struct vw_incident *i, const struct vw_later *later, size_t n, const char *cloud,
	const json_t *was, const json_t *is)
{
	const struct ff_ended *e = vw_later_end(later, n, cloud, ff_json_str(was, "id"));
	const char *name = ff_json_str(was, "name"), *tags = ff_streq(cloud, "gcp") ? "labels" : "tags";
	bool ran = ff_streq(ff_json_str(was, "power"), "running");

	if (vw_by_hand(i, cloud, name) || (e == NULL && !ff_json_bool(was, "own_disk", false)))
		return; /* that the run of before left it stuck is that run's to tell */
	if (e != NULL && e->outcome == FF_O_STUCK) {
		vw_judge_stuck(i, cloud, is, e);
		return;
	}
	if (!ff_json_bool(is, "own_disk", false)) {
		i->r->disks_lost++;
		vw_wrong(i, "%s %s: the folder of its rollback was lost, and its disk is not home: %s", cloud, name,
			e != NULL ? e->reason : "nobody says anything");
		return;
	}
	vw_judge_attached(i, cloud, was, is, false);
	if (e != NULL || !json_equal(json_object_get(was, tags), json_object_get(is, tags)))
		vw_judge_tags(i, cloud, was, is, e); /* of whom nobody speaks it may have what the run of before left */
	if (ran && !ff_streq(ff_json_str(is, "power"), "running") && !i->revoked && !vw_says(e, "start"))
		vw_wrong(i, "%s %s: the folder of its rollback was lost, and it does not run: %s", cloud, name,
			e != NULL ? e->reason : "nobody says anything");
}

static void judge_lost(struct vw_incident *i, const struct vw_later *later, size_t n, const json_t *now)
{
	for (size_t c = 0; c < i->vw->sim->part_count; c++) {
		const char *cloud = i->vw->sim->parts[c].cloud->name;
		const json_t *before = ff_json_at(ff_json_at(later->before, cloud), "vms"),
			     *after = ff_json_at(ff_json_at(now, cloud), "vms"), *was;
		size_t k;

		json_array_foreach ((json_t *)before, k, was)
			if (!ff_has_prefix(ff_json_str(was, "name"), "rescue"))
				judge_lost_one(i, later, n, cloud, was, vw_vm_named(after, ff_json_str(was, "name")));
	}
}

/* ---------------------------------------------------------------- all of it */

void vw_judge_later(struct vw_incident *i, struct vw_later *later)
{
	ff_auto_json json_t *now = sim_state(i->vw->sim);

	vw_judge_step(i);
	for (size_t n = 0; n < later->count; n++) /* each call makes it anew */
		later->by[n].r = ff_engine_result(later->by[n].host->engine);
	if (i->lost[later->by[0].host->number]) {
		judge_lost(i, later, 0, now);
		vw_judge_lost_things(i, later, now);
		return;
	}
	judge_vms(i, later, now);
	vw_judge_things(i, later, now);
	for (size_t n = 0; n < later->count; n++)
		judge_ends(i, later, n);
	judge_passed_over(i, later);
}
