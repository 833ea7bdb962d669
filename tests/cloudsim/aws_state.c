/* What tests look at, and what humans do behind everybody's back. */
#include "aws.h"

#include <stdlib.h>

#include "fixfleet/clock.h"

static json_t *root_state(const struct sim *sim, const struct aw_vm *vm)
{
	const struct aw_vol *vol = aw_at_device(sim, vm, vm->root_device, 0);
	const struct aw_seen *held;
	json_t *o;

	if (vol == NULL)
		return json_null();
	held = aw_now(&vol->held);
	o = json_pack("{s:s,s:s,s:s,s:b}", "volume", vol->id, "device", held->device, "status",
		aw_held_names[held->state], "delete_on_termination", (int)held->delete_on_termination);
	ff_json_set_str(o, "image", vol->image);
	return o;
}

static json_t *other_volumes(const struct aw_vm *vm)
{
	json_t *list = json_array();

	for (size_t i = 0; i < vm->known_count; i++) {
		const struct aw_seen *held = aw_now(&vm->known[i]->held);

		if (held->vm == vm && !vm->known[i]->gone && !ff_streq(held->device, vm->root_device))
			json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "volume", vm->known[i]->id, "device",
							    held->device, "status", aw_held_names[held->state]));
	}
	return list;
}

static json_t *vm_state(const struct sim *sim, const struct aws *aws, const struct aw_vm *vm)
{
	const struct aw_vol *root = aw_at_device(sim, vm, vm->root_device, 0);
	const struct aw_seen *power = aw_now(&vm->power);
	json_t *o = json_object();

	ff_json_set_str(o, "name", vm->name);
	ff_json_set_str(o, "id", vm->id);
	ff_json_set_str(o, "power", aw_power_names[power->state]);
	ff_json_set_str(o, "reason", power->code);
	ff_json_set_str(o, "agent", aw_status_names[aw_status_now(sim, aws, vm, 0)]);
	ff_json_set_bool(o, "bad", aw_vol_is_bad(sim, root));
	ff_json_set_bool(o, "own_disk", vm->root != NULL ? aw_is_successor(root, vm->root) : root == NULL);
	ff_json_set_new(o, "root", root_state(sim, vm));
	ff_json_set_new(o, "data_disks", other_volumes(vm));
	ff_json_set_new(o, "tags", json_deep_copy(aw_now(&vm->tags)->tags));
	ff_json_set_int(o, "stops", vm->stops);
	ff_json_set_int(o, "starts", vm->starts);
	ff_json_set_bool(o, "lost_ip", vm->lost_ip);
	ff_json_set_str(o, "life", vm->asg != NULL ? aw_life_names[vm->life] : NULL);
	ff_json_set_bool(o, "busy", vm->op != NULL);
	return o;
}

static json_t *volume_state(const struct sim *sim, const struct aw_vol *vol)
{
	const struct aw_seen *held = aw_now(&vol->held);
	json_t *o = json_object();

	ff_json_set_str(o, "id", vol->id);
	ff_json_set_str(o, "status", sim->now_ms < vol->ready_ms ? "creating" : aw_held_names[held->state]);
	ff_json_set_str(o, "type", vol->type);
	ff_json_set_int(o, "iops", vol->iops);
	ff_json_set_int(o, "throughput", vol->throughput);
	ff_json_set_int(o, "size_gib", (vol->size_bytes + ((int64_t)1 << 30) - 1) >> 30);
	ff_json_set_str(o, "zone", vol->zone);
	ff_json_set_str(o, "kms_key", vol->kms_key);
	ff_json_set_str(o, "snapshot", vol->snapshot);
	ff_json_set_str(o, "attached_to", held->vm != NULL ? held->vm->name : NULL);
	ff_json_set_str(o, "device", held->vm != NULL ? held->device : NULL);
	ff_json_set_bool(o, "delete_on_termination", held->delete_on_termination);
	ff_json_set_str(o, "image", vol->image);
	ff_json_set_str(o, "home", vol->home != NULL ? vol->home->name : NULL);
	ff_json_set_bool(o, "bad", aw_vol_is_bad(sim, vol));
	ff_json_set_new(o, "tags", json_deep_copy(aw_now(&vol->tags)->tags));
	return o;
}

static json_t *snapshot_state(const struct aw_snap *s)
{
	json_t *o = json_object();

	ff_json_set_str(o, "id", s->id);
	ff_json_set_str(o, "volume", s->volume);
	ff_json_set_str(o, "status", s->failed ? "error" : s->completed ? "completed" : "pending");
	ff_json_set_new(o, "tags", json_deep_copy(aw_now(&s->tags)->tags));
	ff_json_set_str(o, "created_by_run", s->run);
	return o;
}

json_t *aw_state(const struct sim *sim, const void *self)
{
	const struct aws *aws = self;
	json_t *vms = json_array(), *volumes = json_array(), *snapshots = json_array();

	for (size_t i = 0; i < aws->vm_count; i++)
		json_array_append_new(vms, vm_state(sim, aws, aws->vms[i]));
	for (size_t i = 0; i < aws->vol_count; i++)
		if (!aws->vols[i]->gone)
			json_array_append_new(volumes, volume_state(sim, aws->vols[i]));
	for (size_t i = 0; i < aws->snap_count; i++)
		if (!aws->snaps[i]->gone)
			json_array_append_new(snapshots, snapshot_state(aws->snaps[i]));
	return json_pack("{s:o,s:o,s:o}", "vms", vms, "volumes", volumes, "snapshots", snapshots);
}

/* ---- humans */

static void touch_tags(const struct sim *sim, struct aw_past *past, const json_t *change)
{
	json_t *tags = json_copy(aw_now(past)->tags);

	if (change != NULL)
		ff_json_merge(tags, change);
	else
		ff_json_set_str(tags, "touched-by", "human");
	aw_set_tags(sim, past, tags);
}

static int detach_by_hand(struct sim *sim, struct aws *aws, struct aw_vm *vm, const char *id, struct ff_err *err)
{
	size_t found = 0;

	for (size_t i = 0; i < aws->vol_count; i++) {
		struct aw_vol *vol = aws->vols[i];
		const struct aw_seen *held = aw_now(&vol->held);

		if (held->vm != vm || aw_is_successor(vol, vm->root) || (id != NULL && !ff_streq(vol->id, id)))
			continue;
		if (vol->op != NULL)
			sim_op_fail(sim, vol->op, 409, "Cancelled", "It was given up.");
		if (aw_now(&vol->held)->vm != NULL)
			aw_release_volume(sim, aws, vol);
		found++;
	}
	return found > 0 ? 0 : ff_fail(err, FF_E_USAGE, "nothing to detach from '%s'", vm->name);
}

/* What was busy comes off when it is no longer mounted. */
static void unmount(struct sim *sim, struct aws *aws, struct aw_vm *vm)
{
	vm->mounted = false;
	for (size_t i = 0; i < aws->vol_count; i++) {
		const struct aw_seen *held = aw_now(&aws->vols[i]->held);

		if (held->vm == vm && held->state == AW_BUSY)
			aw_release_volume(sim, aws, aws->vols[i]);
	}
}

static void power_by_hand(struct sim *sim, struct aws *aws, struct aw_vm *vm, bool start)
{
	if (vm->op != NULL)
		sim_op_fail(sim, vm->op, 409, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown");
	if (start)
		aw_boot(sim, aws, vm);
	else
		aw_stopped(sim, aws, vm);
}

int aw_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err)
{
	static const char *const members[] = {"op", "vm", "disk", "tags", NULL};
	static const char *const ops[] = {"start", "stop", "detach", "touch-tags", "mount", "unmount", "demand", NULL};
	struct aws *aws = self;
	const char *name = NULL, *disk = NULL;
	const json_t *tags;
	struct aw_vm *vm;
	int op = -1;

	if (sim_only(act, "human", members, err) < 0 || sim_word(act, "human", "op", ops, &op, err) < 0 ||
		sim_text(act, "human", "vm", &name, err) < 0 || sim_text(act, "human", "disk", &disk, err) < 0 ||
		sim_object(act, "human", "tags", &tags, err) < 0)
		return -1;
	vm = name != NULL ? aw_vm_named(aws, name) : NULL;
	if (op < 0 || vm == NULL)
		return ff_fail(err, FF_E_USAGE, "human: no 'op', or no VM '%s'", name != NULL ? name : "");
	switch (op) {
	case 2:
		return detach_by_hand(sim, aws, vm, disk, err);
	case 3:
		touch_tags(sim, &vm->tags, tags);
		break;
	case 4:
		vm->mounted = true;
		break;
	case 5:
		unmount(sim, aws, vm);
		break;
	case 6:
		vm->demanded = true;
		break;
	default:
		power_by_hand(sim, aws, vm, op == 0);
	}
	return 0;
}

int aw_set_bad(void *self, const char *disk, bool bad)
{
	struct aws *aws = self;
	int found = -1;

	for (size_t i = 0; i < aws->vol_count; i++) {
		struct aw_vol *vol = aws->vols[i];

		if (!ff_streq(vol->id, disk) && (vol->home == NULL || !ff_streq(vol->home->name, disk)))
			continue;
		vol->bad = bad;
		found = 0;
	}
	return found;
}
