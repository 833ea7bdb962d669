/* Refusals that several actions share, and what must never happen. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static size_t number(const struct aws *aws, const char *id)
{
	size_t i;

	return id != NULL && sim_index_get(aws->index, id, &i) ? i : SIZE_MAX;
}

struct aw_vm *aw_vm(const struct aws *aws, const char *id)
{
	size_t i = id != NULL && ff_has_prefix(id, "i-") ? number(aws, id) : SIZE_MAX;

	return i < aws->vm_count ? aws->vms[i] : NULL;
}

struct aw_vol *aw_vol(const struct aws *aws, const char *id)
{
	size_t i = id != NULL && ff_has_prefix(id, "vol-") ? number(aws, id) : SIZE_MAX;

	return i < aws->vol_count && !aws->vols[i]->gone ? aws->vols[i] : NULL;
}

struct aw_snap *aw_snap(const struct aws *aws, const char *id)
{
	size_t i = id != NULL && ff_has_prefix(id, "snap-") ? number(aws, id) : SIZE_MAX;

	return i < aws->snap_count && !aws->snaps[i]->gone ? aws->snaps[i] : NULL;
}

struct aw_vm *aw_vm_named(const struct aws *aws, const char *name)
{
	for (size_t i = 0; i < aws->vm_count; i++)
		if (ff_streq(aws->vms[i]->name, name) || ff_streq(aws->vms[i]->id, name))
			return aws->vms[i];
	return NULL;
}

struct aw_group *aw_group(struct aws *aws, const char *name)
{
	for (size_t i = 0; i < aws->group_count; i++)
		if (ff_streq(aws->groups[i].name, name))
			return &aws->groups[i];
	return NULL;
}

static bool well_formed(const char *id, const char *prefix)
{
	size_t len = strlen(prefix);

	return ff_has_prefix(id, prefix) && id[len] != '\0' && strspn(id + len, "0123456789abcdef") == strlen(id) - len;
}

struct aw_vm *aw_find_vm(struct aw_call *c, const char *id)
{
	struct aw_vm *vm = aw_vm(c->aws, id);

	if (vm == NULL && !well_formed(id, "i-"))
		aw_refuse(c, 400, "InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id);
	else if (vm == NULL)
		aw_refuse(c, 400, "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id);
	return vm;
}

struct aw_vol *aw_find_vol(struct aw_call *c, const char *id)
{
	struct aw_vol *vol = aw_vol(c->aws, id);

	if (vol == NULL && !well_formed(id, "vol-"))
		aw_refuse(c, 400, "InvalidParameterValue",
			"Value (%s) for parameter volumeId is invalid. Expected: 'vol-...'.", id);
	else if (vol == NULL)
		aw_refuse(c, 400, "InvalidVolume.NotFound", "The volume '%s' does not exist.", id);
	return vol;
}

int aw_known_vms(struct aw_call *c, const struct ff_strv *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		if (aw_find_vm(c, ids->items[i]) == NULL)
			return -1;
	return 0;
}

struct aw_vol *aw_at_device(const struct sim *sim, const struct aw_vm *vm, const char *device, int64_t lag_ms)
{
	for (size_t i = 0; i < vm->known_count; i++) {
		const struct aw_seen *held = aw_past_at(sim, &vm->known[i]->held, lag_ms);

		if (held->vm == vm && !vm->known[i]->gone && ff_streq(held->device, device))
			return vm->known[i];
	}
	return NULL;
}

bool aw_vol_is_bad(const struct sim *sim, const struct aw_vol *vol)
{
	if (vol == NULL)
		return false;
	if (vol->image != NULL && sim->hooks.image_is_bad != NULL)
		return sim->hooks.image_is_bad(sim->hooks.arg, vol->image) != 0;
	return vol->bad;
}

/* ---- what must never happen */

static const char *claim_of(const struct aw_past *tags)
{
	return ff_json_str(aw_now(tags)->tags, AW_CLAIM);
}

/* EC2 lets a second run write its claim over the first one's. Then only that one may change it. */
static void note_whose(struct aw_call *c, const char *name, const struct aw_past *tags)
{
	const char *claim = claim_of(tags);

	if (claim != NULL && c->req->run != NULL && !ff_streq(claim, c->req->run))
		sim_violation(c->sim, "'%s' was changed (%s) by run '%s' and is claimed by run '%s'", name,
			c->action->name, c->req->run, claim);
}

void aw_note_vm(struct aw_call *c, const struct aw_vm *vm)
{
	note_whose(c, vm->name, &vm->tags);
	if (claim_of(&vm->tags) == NULL && !vm->rescue)
		sim_violation(c->sim, "'%s' was changed (%s) without a claim on it", vm->name, c->action->name);
}

void aw_note_vol(struct aw_call *c, const struct aw_vol *vol, const struct aw_vm *vm)
{
	note_whose(c, vol->id, &vol->tags);
	if (claim_of(&vol->tags) == NULL && (vol->home == NULL || claim_of(&vol->home->tags) == NULL))
		sim_violation(c->sim, "volume '%s' was changed (%s) without a claim on it", vol->id, c->action->name);
	if (vm != NULL)
		aw_note_vm(c, vm);
}

bool aw_is_successor(const struct aw_vol *vol, const struct aw_vol *root)
{
	while (vol != NULL && vol != root)
		vol = vol->made_by_run ? vol->origin : NULL;
	return vol != NULL;
}

/* Of a machine that runs, at every change. */
void aw_check_running(struct sim *sim, const struct aw_vm *vm)
{
	const struct aw_vol *root = aw_at_device(sim, vm, vm->root_device, 0);
	const struct aw_seen *power = aw_now(&vm->power);

	if (vm->root == NULL || (power->state != AW_RUNNING && power->state != AW_PENDING))
		return;
	if (root != vm->root && !aw_is_successor(root, vm->root)) {
		sim_violation(sim, "'%s' runs without its own root: %s is at %s", vm->name,
			root != NULL ? root->id : "nothing", vm->root_device);
		return;
	}
	if (aw_now(&root->held)->delete_on_termination != vm->root_delete)
		sim_violation(sim, "'%s' runs with DeleteOnTermination %s of its root, it was %s", vm->name,
			vm->root_delete ? "false" : "true", vm->root_delete ? "true" : "false");
}
