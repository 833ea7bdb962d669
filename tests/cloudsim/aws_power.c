/* Starting, stopping, and the one attribute that matters here. One bad id fails the whole call. */
#include "aws.h"

#include <stdlib.h>

const char *const aw_power_names[] = {"pending", "running", "shutting-down", "terminated", "stopping", "stopped"};
const int aw_power_codes[] = {0, 16, 32, 48, 64, 80};

struct batch {
	struct aw_vm **vms;
	size_t count;
};

void aw_state_xml(struct aw_call *c, const char *name, int power)
{
	aw_open(c, name);
	aw_int(c, "code", aw_power_codes[power]);
	aw_text(c, "name", aw_power_names[power]);
	aw_close(c, name);
}

static int read_batch(struct aw_call *c, struct batch *batch)
{
	struct ff_strv ids = aw_list(c, "InstanceId");
	int rc = 0;

	if (ids.count == 0)
		rc = aw_refuse(c, 400, "MissingParameter", "The request must contain the parameter InstanceId");
	batch->vms = ff_calloc(ids.count + 1, sizeof(struct aw_vm *));
	for (size_t i = 0; i < ids.count && rc == 0; i++) {
		batch->vms[batch->count++] = aw_find_vm(c, ids.items[i]);
		rc = batch->vms[batch->count - 1] != NULL ? 0 : -1;
	}
	ff_strv_free(&ids);
	return rc;
}

/* One answer for all; each begins what it has to. */
static void carry_out(struct aw_call *c, const struct batch *batch, void (*begin)(struct aw_call *c, struct aw_vm *vm))
{
	aw_begin(c);
	aw_open(c, "instancesSet");
	for (size_t i = 0; i < batch->count; i++) {
		int before = aw_now(&batch->vms[i]->power)->state;

		begin(c, batch->vms[i]);
		aw_open(c, "item");
		aw_text(c, "instanceId", batch->vms[i]->id);
		aw_state_xml(c, "currentState", aw_now(&batch->vms[i]->power)->state);
		aw_state_xml(c, "previousState", before);
		aw_close(c, "item");
	}
	aw_close(c, "instancesSet");
	aw_end(c);
}

/* ---- stop */

static int may_stop(struct aw_call *c, const struct aw_vm *vm)
{
	int power = aw_now(&vm->power)->state;

	if (power == AW_PENDING)
		return aw_refuse(c, 400, "IncorrectInstanceState",
			"Instance '%s' cannot be stopped as it has never reached the 'running' state.", vm->id);
	if (power == AW_TERMINATED || power == AW_SHUTTING_DOWN)
		return aw_refuse(c, 400, "IncorrectInstanceState",
			"This instance '%s' is not in a state from which it can be stopped.", vm->id);
	if (vm->managed)
		return aw_refuse(c, 400, "UnsupportedOperation",
			"The instance '%s' is managed by another service and cannot be stopped.", vm->id); /* made up */
	if (vm->root == NULL)
		return aw_refuse(c, 400, "UnsupportedOperation",
			"The instance '%s' does not have an 'ebs' root device type and cannot be stopped.", vm->id);
	if (vm->spot)
		return aw_refuse(c, 400, "UnsupportedOperation",
			"You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance "
			"request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
			vm->id);
	if (vm->stop_protection)
		return aw_refuse(c, 400, "OperationNotPermitted",
			"The instance '%s' may not be stopped. Modify its 'disableApiStop' instance attribute and try "
			"again.",
			vm->id);
	return 0;
}

/* By force what hangs goes on; else it stays as it is. */
static void hurry(struct aw_call *c, struct aw_vm *vm, bool force)
{
	int64_t due = c->sim->now_ms + c->aws->latency[AW_L_FORCE];

	if (force && vm->op != NULL && vm->op->due_ms > due)
		vm->op->due_ms = due;
}

/* It passes its status check, or will: it boots. */
static bool is_well(const struct aw_call *c, const struct aw_vm *vm)
{
	enum aw_status status = aw_status_now(c->sim, c->aws, vm, 0);

	return status == AW_OK ||
	       (status == AW_INITIALIZING && vm->boots && c->sim->now_ms - vm->booted_ms >= SIM_SEEN_MS);
}

static void begin_stop(struct aw_call *c, struct aw_vm *vm)
{
	bool force = ff_streq(aw_get(c, "Force"), "true");

	if (!aw_is(vm, AW_RUNNING)) {
		hurry(c, vm, force && aw_is(vm, AW_STOPPING));
		return;
	}
	aw_note_vm(c, vm);
	if (!vm->demanded && is_well(c, vm) && !aw_vol_is_bad(c->sim, vm->root))
		sim_violation(c->sim, "'%s' was healthy when it was asked to stop", vm->name);
	vm->stops++;
	aw_set_power(c->sim, vm, AW_STOPPING, "Client.UserInitiatedShutdown",
		"Client.UserInitiatedShutdown: User initiated shutdown");
	vm->op = aw_begin_job(c->sim, c->aws, "stop", AW_L_STOP, (struct aw_job){.kind = AW_J_STOP, .vm = vm});
	if (vm->stop_hangs)
		vm->op->due_ms = INT64_MAX;
	hurry(c, vm, force);
}

void aw_stop(struct aw_call *c)
{
	struct batch batch = {0};
	bool force = false, hibernate = false, skip = false;
	int rc = read_batch(c, &batch);

	if (rc == 0 && (aw_bool(c, "Force", &force) < 0 || aw_bool(c, "Hibernate", &hibernate) < 0 ||
			       aw_bool(c, "SkipOsShutdown", &skip) < 0))
		rc = -1;
	for (size_t i = 0; i < batch.count && rc == 0; i++) {
		if (hibernate) {
			sim_violation(c->sim, "'%s' was asked to hibernate", batch.vms[i]->name);
			rc = aw_refuse(c, 400, "UnsupportedHibernationConfiguration",
				"The instance '%s' is not enabled for hibernation.", batch.vms[i]->id);
		} else {
			rc = may_stop(c, batch.vms[i]);
		}
	}
	if (rc == 0)
		carry_out(c, &batch, begin_stop);
	free(batch.vms);
}

/* ---- start */

static int may_start(struct aw_call *c, struct aw_vm *vm)
{
	const struct aw_vol *root = aw_at_device(c->sim, vm, vm->root_device, 0);
	int power = aw_now(&vm->power)->state;

	if (power == AW_RUNNING || power == AW_PENDING)
		return 0;
	if (power != AW_STOPPED)
		return aw_refuse(c, 400, "IncorrectInstanceState",
			"The instance '%s' is not in a state from which it can be started.", vm->id);
	if (root == NULL || aw_now(&root->held)->state != AW_ATTACHED) {
		sim_violation(c->sim, "'%s' was asked to start while its root volume is not attached", vm->name);
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Invalid value '%s' for instanceId. Instance does not have a volume attached at root (%s)",
			vm->id, vm->root_device);
	}
	if (vm->start_fault == AW_REFUSED_CAPACITY && vm->start_faults_left > 0) {
		vm->start_faults_left--;
		return aw_refuse(c, 500, "InsufficientInstanceCapacity",
			"We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). "
			"Our system will be working on provisioning additional capacity.",
			vm->type->name, vm->zone);
	}
	return 0;
}

/* A volume's key is used anew when its machine is started. */
static bool keys_can_be_used(const struct aw_call *c, const struct aw_vm *vm)
{
	for (size_t i = 0; i < vm->known_count; i++) {
		const struct aw_vol *vol = vm->known[i];

		if (aw_now(&vol->held)->vm == vm && vol->encrypted &&
			!ff_streq(aw_key_state(c->aws, vol->kms_key), "Enabled"))
			return false;
	}
	return true;
}

static void begin_start(struct aw_call *c, struct aw_vm *vm)
{
	bool no_grant = vm->start_faults_left > 0 && vm->start_fault == AW_NO_GRANT;
	struct aw_job job = {.kind = AW_J_START, .vm = vm};

	if (!aw_is(vm, AW_STOPPED))
		return;
	aw_note_vm(c, vm);
	if (no_grant || !keys_can_be_used(c, vm)) {
		job.code = "Client.InternalError";
		job.message = "Client.InternalError: Client error on launch";
	} else if (vm->start_faults_left > 0 && vm->start_fault == AW_NO_CAPACITY) {
		job.code = "Server.InsufficientInstanceCapacity";
		job.message = "Server.InsufficientInstanceCapacity: There was insufficient capacity available to "
			      "satisfy the StartInstances request";
	}
	if (job.code != NULL && vm->start_faults_left > 0)
		vm->start_faults_left--;
	aw_set_power(c->sim, vm, AW_PENDING, NULL, NULL);
	vm->launched_ms = c->sim->now_ms;
	vm->op = aw_begin_job(c->sim, c->aws, "start", AW_L_START, job);
}

void aw_start(struct aw_call *c)
{
	struct batch batch = {0};
	int rc = read_batch(c, &batch);

	for (size_t i = 0; i < batch.count && rc == 0; i++)
		rc = may_start(c, batch.vms[i]);
	if (rc == 0)
		carry_out(c, &batch, begin_start);
	free(batch.vms);
}

/* ---- ModifyInstanceAttribute */

static int set_delete(struct aw_call *c, struct aw_vm *vm, size_t i, bool check_only)
{
	const char *device = aw_getf(c, "BlockDeviceMapping.%zu.DeviceName", i);
	ff_auto_free char *flag = ff_printf("BlockDeviceMapping.%zu.Ebs.DeleteOnTermination", i);
	struct aw_vol *vol = device != NULL ? aw_at_device(c->sim, vm, device, 0) : NULL;
	bool delete_it = true; /* omitted means true */
	const struct aw_seen *held;

	if (aw_bool(c, flag, &delete_it) < 0)
		return -1;
	if (vol == NULL)
		return aw_refuse(c, 400, "InvalidInstanceAttributeValue", "No device is currently mapped at %s",
			device != NULL ? device : "null");
	if (check_only)
		return 0;
	held = aw_now(&vol->held);
	aw_note_vol(c, vol, vm);
	aw_hold_at(c->sim, c->aws, vol, vm, held->device, delete_it, (enum aw_held)held->state);
	return 0;
}

void aw_modify_attribute(struct aw_call *c)
{
	const char *id = aw_need(c, "InstanceId");
	struct aw_vm *vm = id != NULL ? aw_find_vm(c, id) : NULL;
	bool mapping = aw_has(c, "BlockDeviceMapping"), protection = aw_has(c, "DisableApiStop");

	if (vm == NULL)
		return;
	if (mapping == protection) {
		aw_refuse(c, 400, "InvalidParameterCombination", "%s",
			mapping ? "Fields for multiple attribute types specified" : "No attributes specified.");
		return;
	}
	if (protection) {
		bool on = vm->stop_protection;

		if (aw_bool(c, "DisableApiStop.Value", &on) < 0)
			return;
		sim_violation(c->sim, "the stop protection of '%s' was changed", vm->name);
		vm->stop_protection = on;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 1;; i++) {
			ff_auto_free char *item = ff_printf("BlockDeviceMapping.%zu", i);

			if (!aw_has(c, item))
				break;
			if (set_delete(c, vm, i, pass == 0) < 0)
				return;
		}
	}
	aw_return_true(c);
}
