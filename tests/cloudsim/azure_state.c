/* What tests look at, and what humans do behind everybody's back. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000

static const char *agent_word(const struct sim *sim, const struct azure *az, const struct az_vm *vm)
{
	int64_t time_ms;

	switch (az_agent_now(sim, az, vm, &time_ms)) {
	case AZ_AGENT_IS_READY:
		return "ready";
	case AZ_AGENT_IS_SICK:
		return "not-ready";
	default:
		return "none";
	}
}

static json_t *vm_state(const struct sim *sim, const struct azure *az, const struct az_vm *vm)
{
	json_t *o = json_object(), *data = json_array();
	const struct az_disk *d = vm->os_disk.disk;

	ff_json_set_str(o, "name", vm->name);
	ff_json_set_str(o, "id", vm->id);
	ff_json_set_str(o, "power", az_power_names[vm->power]);
	ff_json_set_str(o, "agent", agent_word(sim, az, vm));
	ff_json_set_bool(o, "bad", az_disk_is_bad(sim, d));
	ff_json_set_bool(o, "own_disk", d == NULL || ff_strcaseeq(d->family, vm->family));
	if (d != NULL) {
		json_t *os = json_object();

		ff_json_set_str(os, "id", d->id);
		ff_json_set_str(os, "name", d->name);
		ff_json_set_str(os, "image", d->image);
		ff_json_set_bool(os, "original", d->source == NULL);
		ff_json_set_str(os, "caching", vm->os_disk.caching);
		ff_json_set_str(os, "delete_option", vm->os_disk.delete_option);
		ff_json_set_new(o, "os_disk", os);
	}
	for (size_t i = 0; i < vm->data_count; i++)
		json_array_append_new(data,
			json_pack("{s:I,s:s}", "lun", (json_int_t)vm->data[i].lun, "disk", vm->data[i].disk->name));
	ff_json_set_new(o, "data_disks", data);
	ff_json_set_new(o, "tags", json_deep_copy(vm->tags));
	ff_json_set_new(o, "identity", vm->identity != NULL ? json_deep_copy(vm->identity) : json_null());
	ff_json_set_int(o, "stops", vm->stops);
	ff_json_set_int(o, "starts", vm->starts);
	ff_json_set_int(o, "deallocations", vm->deallocations);
	ff_json_set_bool(o, "lost_ip", vm->lost_ip);
	ff_json_set_bool(o, "busy", vm->op != NULL);
	return o;
}

static json_t *disk_state(const struct az_disk *d)
{
	json_t *o = json_object();

	ff_json_set_str(o, "name", d->name);
	ff_json_set_str(o, "id", d->id);
	ff_json_set_bool(o, "snapshot", d->snapshot);
	ff_json_set_str(o, "image", d->image);
	ff_json_set_str(o, "managed_by", d->vm != NULL ? d->vm->name : NULL);
	ff_json_set_str(o, "state", az_disk_state(d));
	ff_json_set_str(o, "generation", d->generation);
	ff_json_set_new(o, "tags", json_deep_copy(d->tags));
	ff_json_set_str(o, "source", d->source);
	ff_json_set_str(o, "created_by_run", d->run);
	ff_json_set_bool(o, "bad", d->bad);
	return o;
}

json_t *az_state(const struct sim *sim, const void *self)
{
	const struct azure *az = self;
	json_t *vms = json_array(), *disks = json_array();

	for (size_t i = 0; i < az->vm_count; i++)
		json_array_append_new(vms, vm_state(sim, az, az->vms[i]));
	for (size_t i = 0; i < az->disk_count; i++)
		if (!az->disks[i]->gone)
			json_array_append_new(disks, disk_state(az->disks[i]));
	return json_pack("{s:o,s:o}", "vms", vms, "disks", disks);
}

/* ---- humans */

static int detach_by_hand(struct sim *sim, struct az_vm *vm, const char *disk, struct ff_err *err)
{
	size_t before = vm->data_count;

	for (size_t i = vm->data_count; i-- > 0;)
		if (disk == NULL || ff_strcaseeq(vm->data[i].disk->name, disk))
			az_detach_now(sim, vm, vm->data[i].disk);
	vm->etag++;
	return before != vm->data_count ? 0 : ff_fail(err, FF_E_USAGE, "nothing to detach from '%s'", vm->name);
}

static void touch_tags(struct az_vm *vm, const json_t *tags, int64_t now_ms)
{
	vm->etag++;
	vm->changed_ms = now_ms;
	if (tags != NULL)
		ff_json_merge(vm->tags, tags);
	else
		ff_json_set_str(vm->tags, "touched-by", "human");
}

int az_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err)
{
	static const char *const members[] = {"op", "vm", "disk", "tags", NULL};
	static const char *const ops[] = {"start", "stop", "detach", "touch-tags", "demand", "age", NULL};
	struct azure *az = self;
	const char *name = NULL, *disk = NULL;
	const json_t *tags;
	struct az_vm *vm;
	int op = -1;

	if (sim_only(act, "human", members, err) < 0 || sim_word(act, "human", "op", ops, &op, err) < 0 ||
		sim_text(act, "human", "vm", &name, err) < 0 || sim_text(act, "human", "disk", &disk, err) < 0 ||
		sim_object(act, "human", "tags", &tags, err) < 0)
		return -1;
	vm = name != NULL ? az_vm_named(az, name) : NULL;
	if (op < 0 || vm == NULL)
		return ff_fail(err, FF_E_USAGE, "human: no 'op', or no VM '%s'", name != NULL ? name : "");
	if (op == 2)
		return detach_by_hand(sim, vm, disk, err);
	if (op == 3) {
		touch_tags(vm, tags, sim->now_ms);
		return 0;
	}
	if (op == 4) {
		vm->demanded = true;
		return 0;
	}
	if (op == 5) {
		vm->booted_ms -= DAY_MS;
		vm->changed_ms -= DAY_MS;
		return 0;
	}
	if (vm->op != NULL)
		sim_op_fail(sim, vm->op, 409, "OperationPreempted",
			"Operation execution has been preempted by a more recent operation.");
	vm->failed = false;
	vm->changed_ms = sim->now_ms;
	if (vm->power == AZ_RUNNING)
		az_agent_freeze(sim, az, vm);
	if (op == 0)
		az_boot(sim, vm);
	else
		vm->power = AZ_STOPPED;
	return 0;
}

int az_set_bad(void *self, const char *disk_name, bool bad)
{
	struct azure *az = self;
	int found = -1;

	for (size_t i = 0; i < az->disk_count; i++) {
		if (az->disks[i]->gone || !ff_strcaseeq(az->disks[i]->name, disk_name))
			continue;
		az->disks[i]->bad = bad;
		found = 0;
	}
	return found;
}
