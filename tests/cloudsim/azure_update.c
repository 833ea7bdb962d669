/* Changing a machine's model: tags, the swap of its OS disk, its list of data disks. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

int az_refuse_change(struct az_call *c, const char *property)
{
	return az_refuse(c, 409, "PropertyChangeNotAllowed", "Changing property '%s' is not allowed.", property);
}

static int check_etag(struct az_call *c, const struct az_vm *vm)
{
	const char *match = ff_headers_get(&c->req->headers, "If-Match");
	const char *none = ff_headers_get(&c->req->headers, "If-None-Match");
	ff_auto_free char *etag = ff_printf("\"%lld\"", (long long)vm->etag);

	if ((match != NULL && !ff_streq(match, "*") && !ff_streq(match, etag)) || ff_streq(none, "*"))
		return az_refuse(c, 412, "PreconditionFailed",
			"The etag provided in the if-match header does not match the resource.");
	return 0;
}

/* ---- data disks: the list replaces what is there */

static const json_t *entry_of(const json_t *list, const struct az_disk *d)
{
	size_t i;
	json_t *e;

	json_array_foreach (list, i, e) {
		if (ff_strcaseeq(ff_json_str(e, "managedDisk/id"), d->id))
			return e;
	}
	return NULL;
}

static bool has(const struct az_vm *vm, const char *id)
{
	for (size_t i = 0; i < vm->data_count; i++)
		if (ff_strcaseeq(vm->data[i].disk->id, id))
			return true;
	return false;
}

static int plan_data(struct az_call *c, struct az_job *job, const json_t *list)
{
	struct az_vm *vm = job->vm;
	size_t i;
	json_t *e;

	for (i = 0; i < vm->data_count; i++) {
		const json_t *kept = entry_of(list, vm->data[i].disk);

		if (kept == NULL || ff_json_bool(kept, "toBeDetached", false)) {
			if (az_plan_detach(c, vm, job, vm->data[i].disk->id) < 0)
				return -1;
		} else if (ff_json_int(kept, "lun", -1) != vm->data[i].lun) {
			return az_refuse_change(c, "dataDisk.lun");
		}
	}
	json_array_foreach (list, i, e) {
		const char *id = ff_json_str(e, "managedDisk/id");
		int64_t lun = ff_json_int(e, "lun", -1);

		if (id == NULL || lun < 0 || !ff_strcaseeq(ff_json_str(e, "createOption"), "Attach"))
			return az_refuse(c, 400, "InvalidParameter",
				"Required parameter 'dataDisk' is missing lun, createOption or managedDisk.id.");
		if (!has(vm, id) && az_plan_attach(c, vm, job, id, lun, ff_json_str(e, "caching"),
					    ff_json_str(e, "deleteOption")) < 0)
			return -1;
	}
	return 0;
}

/* ---- tags and what a PUT leaves out */

static bool ours(const char *tag)
{
	return strncasecmp(tag, "fixfleet", 8) == 0;
}

/* A client that changes tags has to keep everybody else's, and another run's claim. */
static void watch_tags(struct az_call *c, const struct az_vm *vm, const json_t *now)
{
	const char *key, *claim = ff_json_str(vm->tags, "fixfleet-run"), *next = ff_json_str(now, "fixfleet-run");
	json_t *value;

	json_object_foreach (vm->tags, key, value) {
		if (!ours(key) && !json_equal(json_object_get(now, key), value))
			sim_violation(c->sim, "'%s' lost its tag '%s'", vm->name, key);
	}
	/* an empty value is a claim given back, where PATCH merges tags */
	if (claim != NULL && *claim != '\0' && next != NULL && *next != '\0' && !ff_streq(claim, next))
		sim_violation(c->sim, "the claim of run '%s' on '%s' was overwritten by '%s'", claim, vm->name, next);
}

static int plan_tags(struct az_call *c, struct az_job *job, bool put)
{
	const json_t *tags = json_object_get(c->body, "tags");
	const char *key;
	json_t *value;

	if (tags == NULL && !put)
		return 0;
	if (tags != NULL && !json_is_object(tags))
		return az_refuse(
			c, 400, "InvalidRequestContent", "The request content was invalid: 'tags' is no object.");
	if (json_object_size(tags) > 50)
		return az_refuse(c, 400, "InvalidTags", "The number of tags exceeds the maximum of 50.");
	json_object_foreach ((json_t *)tags, key, value) {
		if (!json_is_string(value) || json_string_length(value) > 256 || strlen(key) > 512)
			return az_refuse(c, 400, "InvalidTagValue", "The tag '%.64s' is not valid.", key);
	}
	job->goal.tags = tags != NULL ? json_deep_copy(tags) : json_object();
	if (!put && c->az->patch_tags == 1) {
		json_t *merged = json_deep_copy(job->vm->tags);

		json_object_update(merged, job->goal.tags);
		json_decref(job->goal.tags);
		job->goal.tags = merged;
	}
	return 0;
}

/* A PUT is the whole model: what it leaves out is taken away or refused. */
static int check_put(struct az_call *c, struct az_job *job)
{
	const struct az_vm *vm = job->vm;
	const char *zone = ff_json_str(c->body, "zones/0"),
		   *size = ff_json_str(c->body, "properties/hardwareProfile/vmSize");
	ff_auto_free char *nic = ff_printf("%s-nic", vm->name);
	ff_auto_free char *nic_id = az_id(c->az, vm->group, "Microsoft.Network/networkInterfaces", nic);

	if (!ff_strcaseeq(ff_json_str(c->body, "location"), vm->location))
		return az_refuse(c, 409, "InvalidResourceLocation",
			"The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the "
			"same name cannot be created in another location. Please select a new resource name.",
			vm->name, vm->location, vm->group);
	if (!ff_streq(zone, vm->zone))
		return az_refuse_change(c, "zones");
	if (size != NULL && !ff_strcaseeq(size, vm->size))
		return az_refuse(c, 409, "OperationNotAllowed", "Resizing VM '%s' is not simulated.", vm->name);
	if (vm->plan != NULL && !json_equal(json_object_get(c->body, "plan"), vm->plan))
		return az_refuse_change(c, "plan");
	if (ff_json_at(c->body, "properties/storageProfile/osDisk") == NULL)
		return az_refuse(c, 400, "InvalidParameter", "Required parameter 'osDisk' is missing (null).");
	job->goal.drop_identity = vm->identity != NULL && ff_json_str(c->body, "identity/type") == NULL;
	return az_allowed(c, "Microsoft.Network/networkInterfaces/join/action", nic_id,
		"Microsoft.Compute/virtualMachines/write");
}

/* ---- the update */

/* The machine as it will be, for the answer. */
static json_t *goal_json(struct az_call *c, const struct az_job *job)
{
	struct az_vm will_be = *job->vm;
	json_t *out;

	will_be.data = ff_calloc(job->vm->data_count + job->change_count + 1, sizeof(*will_be.data));
	will_be.data_count = 0;
	for (size_t i = 0; i < job->vm->data_count; i++)
		if (!job->vm->data[i].disk->detaching)
			will_be.data[will_be.data_count++] = job->vm->data[i];
	for (size_t i = 0; i < job->change_count; i++) {
		const struct az_change *ch = &job->changes[i];

		if (!ch->detach)
			will_be.data[will_be.data_count++] =
				(struct az_data_disk){ch->disk, ch->lun, ch->caching, ch->delete_option};
	}
	if (job->goal.tags != NULL)
		will_be.tags = job->goal.tags;
	if (job->goal.shape.disk != NULL)
		will_be.os_disk = job->goal.shape;
	out = az_vm_json(c, &will_be, false, false);
	free(will_be.data);
	return out;
}

static int plan(struct az_call *c, struct az_job *job, bool put)
{
	const json_t *os = ff_json_at(c->body, "properties/storageProfile/osDisk");
	const json_t *data = ff_json_at(c->body, "properties/storageProfile/dataDisks");

	if (put && check_put(c, job) < 0)
		return -1;
	if (plan_tags(c, job, put) < 0 || (json_is_object(os) && az_plan_os(c, job, os, put) < 0))
		return -1;
	return json_is_array(data) ? plan_data(c, job, data) : 0;
}

static void watch(struct az_call *c, const struct az_job *job)
{
	bool claims = ff_json_str(job->goal.tags, "fixfleet-run") != NULL;
	bool data = json_is_array(ff_json_at(c->body, "properties/storageProfile/dataDisks")); /* changed or not */

	if (!claims)
		az_note_mutation(c, job->vm, data && job->goal.os == NULL ? "attach" : "update");
	if (job->goal.tags != NULL)
		watch_tags(c, job->vm, job->goal.tags);
	if (job->goal.drop_identity)
		sim_violation(c->sim, "'%s' lost its identity to a PUT without it", job->vm->name);
}

static void update(struct az_call *c, struct az_vm *vm, bool put)
{
	struct az_job *job;
	bool small;

	if (check_etag(c, vm) < 0 || az_vm_free(c, vm) < 0)
		return;
	job = az_job(AZ_J_UPDATE, vm, NULL);
	if (plan(c, job, put) < 0) {
		az_unplan(job);
		if (job->goal.os != NULL)
			job->goal.os->to = NULL;
		az_free_job(job);
		return;
	}
	watch(c, job);
	small = !put && job->goal.shape.caching == NULL && job->change_count == 0;
	vm->etag++;
	vm->op = az_begin(c, put ? "PUT VM" : "PATCH VM", c->az->latency[small ? AZ_L_VM_TAGS : AZ_L_VM_PUT], job,
		AZ_H_ASYNC, false);
	az_reply(c, 200, goal_json(c, job));
}

void az_vm_patch(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);

	if (vm != NULL)
		update(c, vm, false);
}

void az_vm_put(struct az_call *c)
{
	struct az_vm *vm = az_find_vm(c->az, c->scope);

	if (vm != NULL) {
		update(c, vm, true);
		return;
	}
	if (ff_headers_get(&c->req->headers, "If-Match") != NULL) {
		az_refuse(c, 412, "PreconditionFailed", "The resource does not exist.");
		return;
	}
	/* Azure would make it anew from this body (kubernetes/kubernetes#81208) */
	sim_violation(c->sim, "a PUT without If-Match would have created VM '%s'", c->name);
	az_refuse(c, 400, "InvalidParameter", "Creating VM '%s' is not simulated.", c->name);
}

static void swap(struct sim *sim, struct az_vm *vm, struct az_goal *goal)
{
	struct az_disk *old = vm->os_disk.disk, *new = goal->os;

	if (new->vm != NULL)
		sim_violation(sim, "disk '%s' is attached twice: '%s' and '%s'", new->name, new->vm->name, vm->name);
	old->vm = NULL;
	new->to = NULL;
	new->vm = vm;
	vm->os_disk.disk = new;
}

void az_carry_out_update(struct sim *sim, struct azure *az, struct az_job *job)
{
	struct az_vm *vm = job->vm;
	struct az_goal *goal = &job->goal;

	if (goal->tags != NULL) {
		json_decref(vm->tags);
		vm->tags = json_incref(goal->tags);
	}
	if (goal->drop_identity) {
		json_decref(vm->identity);
		vm->identity = NULL;
	}
	if (goal->shape.caching != NULL) {
		az_set(&vm->os_disk.caching, goal->shape.caching);
		az_set(&vm->os_disk.delete_option, goal->shape.delete_option);
		vm->os_disk.write_accelerator = goal->shape.write_accelerator;
	}
	if (goal->os != NULL)
		swap(sim, vm, goal);
	if (job->change_count > 0)
		az_carry_out_data(sim, az, job);
	if (goal->reboot)
		az_boot(sim, vm);
	az_check_vm(sim, vm);
}
