/* Stopping, starting and booting of machines. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define SPOT_MS 30000 /* Spot machines get half a minute to shut down */

bool gc_is_rescue(const struct gc_vm *vm)
{
	return vm->rescue || ff_streq(ff_json_str(vm->labels, "fixfleet-role"), "rescue");
}

bool gc_disk_is_bad(const struct sim *sim, const struct gc_disk *disk)
{
	if (disk == NULL)
		return false;
	if (disk->image != NULL && sim->hooks.image_is_bad != NULL)
		return sim->hooks.image_is_bad(sim->hooks.arg, disk->image) != 0;
	return disk->bad;
}

bool gc_is_well(const struct sim *sim, const struct gcp *gc, const struct gc_vm *vm)
{
	return vm->status == GC_RUNNING && vm->boots && sim->now_ms >= vm->booted_ms + gc->latency[GC_L_BOOT];
}

void gc_note_mutation(struct sim *sim, const struct gc_vm *vm, const char *what)
{
	if (vm != NULL && !gc_is_rescue(vm) && ff_json_str(vm->labels, "fixfleet-run") == NULL)
		sim_violation(sim, "'%s' was changed (%s) without a claim on it", vm->name, what);
}

void gc_take_address(struct gcp *gc, struct gc_vm *vm)
{
	ff_auto_free char *ip = NULL;

	if (!vm->wants_ip || vm->address != NULL)
		return;
	gc->addresses++;
	ip = ff_printf("34.66.%u.%u", (gc->addresses >> 8) & 0xFF, gc->addresses & 0xFF);
	gc_set(&vm->nat_ip, ip);
}

/* ---- booting */

/* What must hold of a machine that is about to run. */
static void check_machine(struct sim *sim, const struct gcp *gc, const struct gc_vm *vm)
{
	const struct gc_attached *boot = gc_boot_disk(vm), *was = &vm->as_was;
	size_t users = 0;

	if (vm->own == NULL || vm->recreated)
		return;
	if (boot == NULL || !gc_is_successor(boot->disk, vm->own)) {
		sim_violation(sim, "'%s' runs with boot disk '%s', which is not its own", vm->name,
			boot != NULL && boot->disk != NULL ? boot->disk->name : "(none)");
		return;
	}
	gc_user_of(gc, vm->own, &users);
	if (users > 1)
		sim_violation(sim, "disk '%s' is attached twice", vm->own->name);
	if (boot->auto_delete != was->auto_delete || !ff_streq(boot->device_name, was->device_name) ||
		!ff_streq(boot->mode, was->mode) || !ff_streq(boot->interface, was->interface))
		sim_violation(sim,
			"'%s' is started with another attachment of its boot disk: autoDelete %s, deviceName '%s', "
			"mode %s, "
			"interface %s",
			vm->name, boot->auto_delete ? "true" : "false", boot->device_name, boot->mode, boot->interface);
}

void gc_boot(struct sim *sim, struct gcp *gc, struct gc_vm *vm)
{
	const struct gc_attached *boot = gc_boot_disk(vm);

	vm->status = GC_RUNNING;
	vm->booted_ms = sim->now_ms;
	vm->boots = boot != NULL && !gc_disk_is_bad(sim, boot->disk);
	vm->starts++;
	gc_take_address(gc, vm);
	gc_serial_restart(gc, vm);
	check_machine(sim, gc, vm);
}

/* ---- may it be done */

/* Each disk with a customer-supplied key needs that key at a start. */
static int may_unlock(const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	for (size_t i = 0; i < job->vm->disk_count; i++) {
		const struct gc_disk *d = job->vm->disks[i].disk;
		ff_auto_free char *path = NULL;

		if (d == NULL || d->csek_sha256 == NULL)
			continue;
		path = gc_disk_path(gc, d);
		if (!ff_strv_has(&job->key_disks, path))
			return gc_refuse_key(r, path, -1);
	}
	return 0;
}

static bool has_local_ssd(const struct gc_vm *vm)
{
	for (size_t i = 0; i < vm->disk_count; i++)
		if (vm->disks[i].disk == NULL)
			return true;
	return false;
}

static int not_ready(const struct gcp *gc, const struct gc_vm *vm, struct gc_refusal *r)
{
	ff_auto_free char *path = gc_vm_path(gc, vm);

	return gc_object(r, 400, "resourceNotReady", "The resource '%s' is not ready", path);
}

int gc_may_power(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_vm *vm = job->vm;

	(void)sim;
	if (vm->status == GC_REPAIRING || (vm->status == GC_SUSPENDED && job->kind == GC_J_START))
		return not_ready(gc, vm, r);
	if (job->kind == GC_J_STOP)
		return has_local_ssd(vm) && !job->discard_ssd && vm->status == GC_RUNNING
			       ? gc_object(r, 400, "invalid", "undefined value for discard-local-ssd")
			       : 0;
	if (vm->status == GC_RUNNING)
		return 0;
	if (vm->start_restricted) /* text UNVERIFIED */
		return gc_object(r, 403, "forbidden", "Starting of instance '%s' is restricted.", vm->name);
	if (gc_boot_disk(vm) == NULL) /* text UNVERIFIED */
		return gc_object(r, 400, "invalidResourceUsage",
			"Invalid resource usage: 'The instance has no boot disk attached.'.");
	return may_unlock(gc, job, r);
}

void gc_do_power(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	struct gc_vm *vm = job->vm;

	if (job->kind == GC_J_START) {
		if (vm->status != GC_RUNNING)
			gc_boot(sim, gc, vm);
		return;
	}
	if (vm->status == GC_TERMINATED)
		return;
	gc_serial_write(sim, gc, vm);
	vm->status = GC_TERMINATED;
	vm->stopped_ms = sim->now_ms;
	if (vm->wants_ip && vm->address == NULL) {
		gc_set(&vm->nat_ip, NULL);
		vm->lost_ip = true;
	}
	for (size_t i = vm->disk_count; i-- > 0;)
		if (vm->disks[i].disk == NULL && job->discard_ssd)
			gc_detach_now(sim, gc, vm, &vm->disks[i]);
	gc_note_member_stopped(sim, gc, vm);
}

/* ---- requests */

void gc_vm_get(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);

	if (vm != NULL)
		gc_reply(c, 200, gc_vm_json(c->gc, vm, c->sim->now_ms));
}

/* How long a stop takes: a guest that does not answer is switched off after two minutes. */
static int64_t stop_ms(const struct gc_call *c, const struct gc_vm *vm)
{
	int64_t ms;

	if (vm->status == GC_TERMINATED)
		return 0;
	if (gc_is_well(c->sim, c->gc, vm))
		return c->gc->latency[GC_L_STOP];
	ms = c->gc->latency[GC_L_STOP_HUNG];
	return vm->spot && ms > sim_scaled(c->sim, SPOT_MS) ? sim_scaled(c->sim, SPOT_MS) : ms;
}

void gc_stop(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	int discard = gc_query_bool(c, "discardLocalSsd"), hard = gc_query_bool(c, "noGracefulShutdown");
	bool idle = vm != NULL && vm->op == NULL;
	int64_t grace = vm != NULL && hard == 0 && vm->status == GC_RUNNING ? vm->graceful_ms : 0;
	struct gc_job *job;
	bool up;

	if (vm == NULL || discard < 0 || hard < 0)
		return;
	if (gc_is_well(c->sim, c->gc, vm))
		grace = 0; /* a guest that answers is done with its work at once */
	job = gc_job(GC_J_STOP, vm, NULL, NULL);
	job->discard_ssd = discard == 1;
	job = gc_begin(c, "stop", grace + stop_ms(c, vm), job);
	if (job == NULL)
		return;
	gc_note_mutation(c->sim, vm, "stop");
	if (vm->status != GC_RUNNING)
		return;
	vm->stops++;
	up = gc_is_well(c->sim, c->gc, vm) || (vm->boots && c->sim->now_ms - vm->booted_ms >= SIM_SEEN_MS);
	if (!vm->demanded && !gc_disk_is_bad(c->sim, vm->own) && up)
		sim_violation(c->sim, "'%s' was healthy when it was asked to stop", vm->name);
	if (!idle || (has_local_ssd(vm) && !job->discard_ssd))
		return;
	vm->status = GC_STOPPING;
	vm->staged_ms = c->sim->now_ms + grace;
	job->moved = true;
}

static void start(struct gc_call *c, struct gc_vm *vm, const char *type, struct gc_job *job)
{
	struct gc_refusal r = {0};
	bool idle = vm->op == NULL, runs = vm->status == GC_RUNNING;

	if (vm->own != NULL && gc_boot_disk(vm) == NULL)
		sim_violation(c->sim, "'%s' was asked to start while its boot disk is not attached", vm->name);
	job = gc_begin(c, type, runs && idle ? 0 : c->gc->latency[GC_L_START], job);
	if (job == NULL)
		return;
	gc_note_mutation(c->sim, vm, "start");
	if (idle && vm->status == GC_TERMINATED && gc_may_power(c->sim, c->gc, job, &r) == 0) {
		vm->status = GC_STAGING;
		job->moved = true;
	}
	free(r.message);
}

void gc_start(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);

	if (vm != NULL)
		start(c, vm, "start", gc_job(GC_J_START, vm, NULL, NULL));
}

/* One entry of "disks": which disk of this VM, and its key. 0, or -1 with the refusal sent. */
static int read_key(struct gc_call *c, const struct gc_vm *vm, const json_t *entry, struct ff_strv *paths)
{
	static const char *const members[] = {"source", "diskEncryptionKey", NULL};
	const char *source = ff_json_str(entry, "source");
	const struct gc_disk *d = gc_disk_by_url(c->gc, source);
	ff_auto_free char *path = NULL;
	struct gc_refusal r = {0};
	int why;

	if (gc_known(c, entry, "resource.disks[]", members) < 0)
		return -1;
	if (d == NULL || gc_user_of(c->gc, d, NULL) != vm) /* text UNVERIFIED, as the next */
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.disks[].source': '%s'. The disk is not attached to the "
			"instance.",
			source != NULL ? source : "");
	path = gc_disk_path(c->gc, d);
	if (d->csek_sha256 == NULL)
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'resource.disks[].source': '%s'. The disk is not protected with a "
			"customer "
			"supplied encryption key.",
			source);
	why = gc_key_fits(d, ff_json_at(entry, "diskEncryptionKey"));
	if (why < 0) {
		gc_refuse_key(&r, path, why);
		gc_refuse(c, r.status, r.reason, "%s", r.message);
		free(r.message);
		return -1;
	}
	ff_strv_add(paths, path);
	return 0;
}

void gc_start_with_key(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	struct gc_job *job;
	size_t i;
	json_t *entry;

	if (vm == NULL)
		return;
	job = gc_job(GC_J_START, vm, NULL, NULL);
	json_array_foreach (json_object_get(c->body, "disks"), i, entry) {
		if (read_key(c, vm, entry, &job->key_disks) < 0) {
			gc_free_job(job);
			return;
		}
	}
	start(c, vm, "startWithEncryptionKey", job);
}
