/* Power states, booting, and what the guest's agent shows of it. */
#include "azure.h"

#include <stdlib.h>

#define HEARTBEAT_MS 30000

const char *const az_power_names[] = {"running", "stopped", "deallocated", "starting", "stopping", "deallocating"};

bool az_disk_is_bad(const struct sim *sim, const struct az_disk *disk)
{
	if (disk == NULL)
		return false;
	if (disk->image != NULL && sim->hooks.image_is_bad != NULL)
		return sim->hooks.image_is_bad(sim->hooks.arg, disk->image) != 0;
	return disk->bad;
}

/* Azure Disk Encryption: the platform presents the key that the disk's record names. */
static bool without_key(const struct az_vm *vm)
{
	return vm->ade && vm->os_disk.disk != NULL && vm->os_disk.disk->ade == NULL;
}

void az_boot(struct sim *sim, struct az_vm *vm)
{
	vm->power = AZ_RUNNING;
	vm->booted_ms = sim->now_ms;
	vm->boots = !az_disk_is_bad(sim, vm->os_disk.disk) && !without_key(vm);
	vm->starts++;
	az_check_vm(sim, vm);
}

/* Running, it is up or comes up. */
static bool is_well(const struct az_vm *vm)
{
	return vm->agent_mode == AZ_AGENT_READY || (vm->agent_mode == AZ_AGENT_AUTO && vm->boots);
}

/*
 * A machine that boot-loops runs, its agent does not answer. What was shown before a start stays for as long as booting
 * takes: a Ready that is stale (recorded: vm_power_states); it is the time in it that tells.
 */
enum az_agent az_agent_now(const struct sim *sim, const struct azure *az, const struct az_vm *vm, int64_t *time_ms)
{
	int64_t up_ms = vm->booted_ms + az->latency[AZ_L_BOOT];

	*time_ms = vm->shown_ms;
	if (vm->agent_mode == AZ_AGENT_NONE || vm->power == AZ_DEALLOCATED)
		return AZ_NO_AGENT;
	if (vm->power != AZ_RUNNING && vm->power != AZ_STOPPING && vm->power != AZ_DEALLOCATING)
		return vm->shown;
	if (sim->now_ms < up_ms) {
		if (vm->shown == AZ_AGENT_IS_SICK)
			*time_ms = sim->now_ms;
		return vm->shown;
	}
	if (!is_well(vm)) {
		*time_ms = sim->now_ms;
		return AZ_AGENT_IS_SICK;
	}
	*time_ms = up_ms + (sim->now_ms - up_ms) / HEARTBEAT_MS * HEARTBEAT_MS;
	return AZ_AGENT_IS_READY;
}

void az_agent_freeze(const struct sim *sim, const struct azure *az, struct az_vm *vm)
{
	int64_t time_ms;
	enum az_agent agent = az_agent_now(sim, az, vm, &time_ms);

	vm->shown = agent;
	vm->shown_ms = time_ms;
}

/* What must hold of a machine at any moment. */
void az_check_vm(struct sim *sim, const struct az_vm *vm)
{
	const struct az_disk *d = vm->os_disk.disk;

	if (d == NULL || vm->family == NULL)
		return;
	if (vm->power == AZ_RUNNING && !ff_strcaseeq(d->family, vm->family))
		sim_violation(sim, "'%s' runs with OS disk '%s', which is neither its own nor a copy of it", vm->name,
			d->name);
	if (vm->power == AZ_RUNNING && without_key(vm))
		sim_violation(
			sim, "'%s' runs with OS disk '%s', whose encryption settings are lost", vm->name, d->name);
	if (d->vm != vm)
		sim_violation(sim, "'%s' has OS disk '%s', which is attached to '%s'", vm->name, d->name,
			d->vm != NULL ? d->vm->name : "nothing");
	for (size_t i = 0; i < vm->data_count; i++)
		if (vm->data[i].disk == d || vm->data[i].disk->vm != vm)
			sim_violation(sim, "disk '%s' is attached twice", vm->data[i].disk->name);
}

/* ---- requests */

struct action {
	const char *kind;
	enum az_latency latency;
	enum az_power going, after;
	bool stops;
};

/* Azure accepts what has nothing to do, and does nothing. */
static bool idle(const struct az_vm *vm, const struct action *a)
{
	if (a->after == AZ_RUNNING)
		return vm->power == AZ_RUNNING && !a->stops;
	return vm->power == a->after || (a->after == AZ_STOPPED && vm->power == AZ_DEALLOCATED);
}

static void note_stop(struct az_call *c, struct az_vm *vm, const char *kind)
{
	int64_t time_ms;
	bool up = az_agent_now(c->sim, c->az, vm, &time_ms) == AZ_AGENT_IS_READY ||
		  (is_well(vm) && c->sim->now_ms - vm->booted_ms >= SIM_SEEN_MS);

	vm->stops++;
	if (!vm->demanded && !az_disk_is_bad(c->sim, vm->os_disk.disk) && up)
		sim_violation(c->sim, "'%s' was healthy when it was asked to %s", vm->name, kind);
}

static void power(struct az_call *c, const struct action *a)
{
	struct az_vm *vm = az_vm_of(c);
	struct az_job *job;

	if (vm == NULL || az_vm_free(c, vm) < 0)
		return;
	az_note_mutation(c, vm, a->kind);
	job = az_job(AZ_J_POWER, vm, NULL);
	job->before = vm->power;
	job->after = vm->power;
	if (!idle(vm, a)) {
		if (a->stops && vm->power == AZ_RUNNING)
			note_stop(c, vm, a->kind);
		job->after = a->after;
		job->boots = a->after == AZ_RUNNING;
		vm->power = a->going;
	}
	vm->op = az_begin(c, a->kind, c->az->latency[a->latency], job, AZ_H_ASYNC | AZ_H_LOCATION, false);
	az_reply(c, 202, NULL);
}

void az_power_off(struct az_call *c)
{
	static const struct action a = {"powerOff", AZ_L_POWER_OFF, AZ_STOPPING, AZ_STOPPED, true};

	power(c, &a);
}

void az_deallocate(struct az_call *c)
{
	static const struct action a = {"deallocate", AZ_L_DEALLOCATE, AZ_DEALLOCATING, AZ_DEALLOCATED, true};

	power(c, &a);
}

/* Does it get another OS disk just now? */
static bool is_swapped(const struct az_vm *vm)
{
	return vm->op != NULL && ((const struct az_job *)vm->op->job)->goal.os != NULL;
}

void az_start(struct az_call *c)
{
	static const struct action a = {"start", AZ_L_START, AZ_STARTING, AZ_RUNNING, false};
	struct az_vm *vm = az_vm_of(c);

	if (vm == NULL)
		return;
	if (is_swapped(vm))
		sim_violation(c->sim, "'%s' was asked to start while its OS disk is swapped", vm->name);
	if (vm->generalized)
		az_refuse(c, 409, "OperationNotAllowed",
			"Operation 'start' is not allowed on VM '%s' since the VM is generalized.", vm->name);
	else
		power(c, &a);
}

void az_restart(struct az_call *c)
{
	static const struct action a = {"restart", AZ_L_RESTART, AZ_STOPPING, AZ_RUNNING, true};

	power(c, &a);
}

void az_carry_out_power(struct sim *sim, const struct azure *az, struct az_job *job)
{
	struct az_vm *vm = job->vm;

	if (job->before == AZ_RUNNING)
		az_agent_freeze(sim, az, vm);
	vm->power = job->after;
	if (job->after == AZ_DEALLOCATED && job->before != AZ_DEALLOCATED) {
		vm->shown = AZ_NO_AGENT;
		vm->deallocations++;
		vm->lost_ip |= ff_streq(vm->public_ip, "dynamic");
	}
	if (job->boots)
		az_boot(sim, vm);
}
