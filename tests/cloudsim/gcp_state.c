/* What tests look at, and what humans do behind everybody's back. */
#include "gcp.h"

#include <stdlib.h>

static const char *power_word(enum gc_status status)
{
	static const char *const words[] = {
		"running", "stopped", "starting", "stopping", "stopping", "suspended", "repairing"};

	return words[status];
}

static json_t *attached_state(const struct gc_attached *a)
{
	return json_pack("{s:s,s:s,s:b,s:s,s:s}", "disk", a->disk != NULL ? a->disk->name : "", "device_name",
		a->device_name, "auto_delete", a->auto_delete, "mode", a->mode, "interface", a->interface);
}

static json_t *vm_state(const struct sim *sim, const struct gcp *gc, const struct gc_vm *vm)
{
	const struct gc_attached *boot = gc_boot_disk(vm);
	ff_auto_free char *path = gc_vm_path(gc, vm);
	json_t *o = json_object(), *data = json_array();

	ff_json_set_str(o, "name", vm->name);
	ff_json_set_str(o, "id", path);
	ff_json_set_str(o, "power", power_word(vm->status));
	ff_json_set_str(o, "agent", gc_is_well(sim, gc, vm) ? "ready" : "not-ready");
	ff_json_set_bool(o, "bad", gc_disk_is_bad(sim, boot != NULL ? boot->disk : vm->own));
	ff_json_set_bool(o, "own_disk", boot != NULL && gc_is_successor(boot->disk, vm->own));
	ff_json_set_int(o, "stops", vm->stops);
	ff_json_set_int(o, "starts", vm->starts);
	ff_json_set_new(o, "labels", json_deep_copy(vm->labels));
	if (boot != NULL) {
		json_t *b = attached_state(boot);

		ff_json_set_str(b, "image", boot->disk != NULL ? boot->disk->image : NULL);
		ff_json_set_new(o, "boot", b);
	}
	for (size_t i = 0; i < vm->disk_count; i++)
		if (!vm->disks[i].boot)
			json_array_append_new(data, attached_state(&vm->disks[i]));
	ff_json_set_new(o, "data_disks", data);
	ff_json_set_bool(o, "lost_ip", vm->lost_ip);
	ff_json_set_bool(o, "recreated", vm->recreated);
	ff_json_set_bool(o, "busy", vm->op != NULL);
	return o;
}

static json_t *disk_state(const struct sim *sim, const struct gcp *gc, const struct gc_disk *d)
{
	const struct gc_vm *user = gc_user_of(gc, d, NULL);
	ff_auto_free char *path = gc_disk_path(gc, d);
	json_t *o = json_object();

	ff_json_set_str(o, "name", d->name);
	ff_json_set_str(o, "id", path);
	ff_json_set_str(o, "image", d->image);
	ff_json_set_str(o, "attached_to", user != NULL ? user->name : NULL);
	ff_json_set_new(o, "labels", json_deep_copy(d->labels));
	ff_json_set_bool(o, "bad", gc_disk_is_bad(sim, d));
	ff_json_set_str(o, "type", d->type);
	ff_json_set_int(o, "size_gb", d->size_gb);
	ff_json_set_int(o, "iops", d->iops);
	ff_json_set_str(o, "kms", d->kms);
	ff_json_set_str(o, "snapshot", d->snapshot);
	return o;
}

json_t *gc_state(const struct sim *sim, const void *self)
{
	const struct gcp *gc = self;
	json_t *vms = json_array(), *disks = json_array(), *snapshots = json_array();

	for (size_t i = 0; i < gc->vm_count; i++)
		if (!gc->vms[i]->gone)
			json_array_append_new(vms, vm_state(sim, gc, gc->vms[i]));
	for (size_t i = 0; i < gc->disk_count; i++)
		if (gc_find_disk(gc, gc->disks[i]->zone, gc->disks[i]->name) == gc->disks[i])
			json_array_append_new(disks, disk_state(sim, gc, gc->disks[i]));
	for (size_t i = 0; i < gc->snapshot_count; i++) {
		const struct gc_snapshot *s = gc->snapshots[i];
		json_t *o;

		if (s->gone)
			continue;
		o = json_pack("{s:s,s:s,s:O}", "name", s->name, "source_disk", s->source, "labels", s->labels);
		ff_json_set_str(o, "created_by_run", s->run);
		json_array_append_new(snapshots, o);
	}
	return json_pack("{s:o,s:o,s:o,s:I}", "vms", vms, "disks", disks, "snapshots", snapshots, "throttled",
		(json_int_t)gc->throttled);
}

/* ---- humans */

static int detach_by_hand(struct sim *sim, struct gcp *gc, struct gc_vm *vm, const char *disk, struct ff_err *err)
{
	size_t before = vm->disk_count;

	for (size_t i = vm->disk_count; i-- > 0;)
		if (!vm->disks[i].boot &&
			(disk == NULL || (vm->disks[i].disk != NULL && ff_streq(vm->disks[i].disk->name, disk))))
			gc_detach_now(sim, gc, vm, &vm->disks[i]);
	return before != vm->disk_count ? 0 : ff_fail(err, FF_E_USAGE, "nothing to detach from '%s'", vm->name);
}

static void touch_labels(struct gc_vm *vm, const json_t *labels)
{
	if (labels != NULL)
		ff_json_merge(vm->labels, labels);
	else
		ff_json_set_str(vm->labels, "touched-by", "human");
}

/* The VM goes, and with it the disks that are said to go. */
static void delete_vm(struct sim *sim, struct gcp *gc, struct gc_vm *vm)
{
	for (size_t i = vm->disk_count; i-- > 0;) {
		const struct gc_disk *d = vm->disks[i].disk;
		bool lost = vm->disks[i].auto_delete && d != NULL;

		gc_detach_now(sim, gc, vm, &vm->disks[i]);
		if (lost) {
			ff_auto_free char *key = ff_printf("%s/%s", d->zone, d->name);

			sim_index_drop(gc->disk_index, key);
		}
	}
	vm->gone = true;
}

static void switch_by_hand(struct sim *sim, struct gcp *gc, struct gc_vm *vm, bool on)
{
	if (on && vm->status != GC_RUNNING) {
		gc_boot(sim, gc, vm);
	} else if (!on && vm->status == GC_RUNNING) {
		vm->status = GC_TERMINATED;
		vm->stopped_ms = sim->now_ms;
	}
}

int gc_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err)
{
	static const char *const members[] = {"op", "vm", "disk", "tags", NULL};
	static const char *const ops[] = {"start", "stop", "detach", "touch-tags", "delete", "demand", NULL};
	struct gcp *gc = self;
	const char *name = NULL, *disk = NULL;
	const json_t *labels;
	struct gc_vm *vm;
	int op = -1;

	if (sim_only(act, "human", members, err) < 0 || sim_word(act, "human", "op", ops, &op, err) < 0 ||
		sim_text(act, "human", "vm", &name, err) < 0 || sim_text(act, "human", "disk", &disk, err) < 0 ||
		sim_object(act, "human", "tags", &labels, err) < 0)
		return -1;
	vm = name != NULL ? gc_vm_named(gc, name) : NULL;
	if (op < 0 || vm == NULL)
		return ff_fail(err, FF_E_USAGE, "human: no 'op', or no VM '%s'", name != NULL ? name : "");
	if (op == 5) {
		vm->demanded = true;
		return 0;
	}
	if (op == 2)
		return detach_by_hand(sim, gc, vm, disk, err);
	if (vm->op != NULL && op != 3)
		sim_op_fail(sim, vm->op, 400, "resourceNotReady", "The operation was cancelled by another one.");
	if (op == 3)
		touch_labels(vm, labels);
	else if (op == 4)
		delete_vm(sim, gc, vm);
	else
		switch_by_hand(sim, gc, vm, op == 0);
	return 0;
}

int gc_set_bad(void *self, const char *disk_name, bool bad)
{
	struct gcp *gc = self;
	int found = -1;

	for (size_t i = 0; i < gc->disk_count; i++) {
		if (!ff_streq(gc->disks[i]->name, disk_name))
			continue;
		gc->disks[i]->bad = bad;
		found = 0;
	}
	return found;
}
