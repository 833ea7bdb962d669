/* Managed instance groups: a member that is stopped is made again from the template, its disk with it. */
#include "gcp.h"

#include <stdlib.h>

struct gc_group *gc_group_of(const struct gcp *gc, const struct gc_vm *vm)
{
	ff_auto_free char *region = gc_region_of(vm->zone);

	for (size_t i = 0; i < gc->group_count && vm->group != NULL; i++) {
		struct gc_group *g = &gc->groups[i];

		if (ff_streq(g->name, vm->group) && ff_streq(g->zone, g->regional ? region : vm->zone))
			return g;
	}
	return NULL;
}

void gc_group_get(struct gc_call *c)
{
	for (size_t i = 0; i < c->gc->group_count; i++) {
		if (ff_streq(c->gc->groups[i].name, c->name) && ff_streq(c->gc->groups[i].zone, c->zone)) {
			gc_reply(c, 200, gc_group_json(c->gc, &c->gc->groups[i]));
			return;
		}
	}
	gc_not_found(c, c->resource);
}

void gc_note_member_stopped(struct sim *sim, struct gcp *gc, struct gc_vm *vm)
{
	const struct gc_group *group = gc_group_of(gc, vm);

	if (group == NULL)
		return;
	sim_violation(sim, "'%s' is a member of managed instance group '%s' and was stopped", vm->name, group->name);
	if (!group->repairs)
		return;
	vm->status = GC_REPAIRING;
	gc_begin_own(sim, gc, "recreateInstancesInInstanceGroup", gc->latency[GC_L_RECREATE],
		gc_job(GC_J_RECREATE, vm, NULL, NULL));
}

static void delete_disk(struct sim *sim, struct gcp *gc, const struct gc_disk *d)
{
	ff_auto_free char *key = ff_printf("%s/%s", d->zone, d->name);

	sim_index_drop(gc->disk_index, key);
	if (d->victim != NULL)
		sim_violation(sim, "boot disk '%s' of '%s' was deleted", d->name, d->victim->name);
}

/* The same name, everything else new. */
void gc_recreate(struct sim *sim, struct gcp *gc, struct gc_vm *vm)
{
	struct gc_disk *d;
	const struct gc_attached how = {.mode = "READ_WRITE", .interface = "SCSI", .boot = true, .auto_delete = true};
	ff_auto_free char *name = ff_printf("%s-%08x", vm->name, (unsigned)sim_random(sim));

	while (vm->disk_count > 0) {
		struct gc_disk *old = vm->disks[0].disk;
		bool lost = vm->disks[0].auto_delete;

		gc_detach_now(sim, gc, vm, &vm->disks[0]);
		if (old != NULL && lost)
			delete_disk(sim, gc, old);
	}
	vm->id = sim_random(sim) >> 1;
	vm->recreated = true;
	d = gc_add_disk(sim, gc, vm->zone, name);
	gc_attach_now(sim, gc, vm, d, &how);
	gc_boot(sim, gc, vm);
}
