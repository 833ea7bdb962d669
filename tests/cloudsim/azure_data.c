/* Data disks: what may be attached where, attaching and detaching, in batches or by the whole list. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

/* A disk's zone must be the machine's; ZRS disks fit everywhere. */
static int check_zone(struct az_call *c, const struct az_vm *vm, const struct az_disk *d)
{
	if (ff_has_suffix(d->sku, "_ZRS") || ff_streq(d->zone, vm->zone))
		return 0;
	if (d->zone == NULL)
		return az_refuse(c, 400, "BadRequest",
			"Disk %s cannot be attached to the VM because it is not in zone '%s'.", d->id, vm->zone);
	return az_refuse(c, 400, "BadRequest",
		"Disk %s cannot be attached to the VM because it is not in the same zone as the VM. VM zone: '%s'. "
		"Disk "
		"zone: '%s'.",
		d->id, vm->zone != NULL ? vm->zone : "", d->zone);
}

struct az_disk *az_attachable(struct az_call *c, const struct az_vm *vm, const char *disk_id)
{
	struct az_disk *d = az_find_disk(c->az, disk_id);

	if (d == NULL || d->snapshot) {
		az_refuse(c, 404, "NotFound", "Disk %s is not found.", disk_id);
	} else if (!d->ready) {
		az_refuse(c, 409, "OperationNotAllowed", "Disk %s is still being created.", d->id);
	} else if (az_disk_is_going(d)) { /* text UNVERIFIED */
		az_refuse(c, 409, "OperationNotAllowed", "Disk %s is being deleted.", d->id);
	} else if (d->detaching) {
		az_refuse(c, 409, "AttachDiskWhileBeingDetached",
			"Cannot attach data disk '%s' to VM '%s' because the disk is currently being detached or the "
			"last detach operation failed. Please wait until the disk is completely detached and then try "
			"again or delete/detach the disk explicitly again.",
			d->name, vm->name);
	} else if (d->vm != NULL || d->to != NULL) {
		az_refuse(c, 409, "ConflictingUserInput",
			"Disk '%s' cannot be attached as the disk is already owned by VM '%s'.", d->id,
			d->vm != NULL ? d->vm->id : d->to->id);
	} else if (d->state_override != NULL) {
		az_refuse(c, 409, "OperationNotAllowed", "Disk %s cannot be attached: it is in state '%s'.", d->id,
			d->state_override);
	} else if (!ff_strcaseeq(d->location, vm->location)) {
		az_refuse(c, 400, "InvalidParameter",
			"Disk %s is in location '%s', which is different from the location '%s' of the VM.", d->id,
			d->location, vm->location);
	} else if (check_zone(c, vm, d) == 0) {
		return d;
	}
	return NULL;
}

static bool lun_used(const struct az_vm *vm, const struct az_job *job, int64_t lun)
{
	for (size_t i = 0; i < vm->data_count; i++)
		if (vm->data[i].lun == lun && !vm->data[i].disk->detaching)
			return true;
	for (size_t i = 0; i < job->change_count; i++)
		if (!job->changes[i].detach && job->changes[i].lun == lun)
			return true;
	return false;
}

static size_t disks_after(const struct az_vm *vm, const struct az_job *job)
{
	size_t n = vm->data_count;

	for (size_t i = 0; i < job->change_count; i++)
		n += job->changes[i].detach ? (size_t)-1 : 1;
	return n;
}

static int check_kind(struct az_call *c, const struct az_vm *vm, const struct az_disk *d)
{
	if (ff_has_prefix(d->sku, "Premium") && !az_size_premium(vm->size))
		return az_refuse(c, 400, "InvalidParameter",
			"Requested operation cannot be performed because the VM size %s does not support the storage "
			"account type %s of disk '%s'. Consider updating the VM to a size that supports Premium "
			"storage.",
			vm->size, d->sku, d->name);
	/* what a confidential disk meets elsewhere is not published; that it is refused is well known */
	if (d->security_type != NULL && strstr(d->security_type, "_DiskEncrypted") != NULL)
		return az_refuse(c, 409, "OperationNotAllowed",
			"Disk '%s' with security type '%s' cannot be attached as a data disk.", d->name,
			d->security_type);
	if (d->ade != NULL && c->az->ade_attach_refused)
		return az_refuse(c, 409, "NotSupported",
			"Disk '%s' contains encryption settings and cannot be used as a data disk.", d->name);
	return 0;
}

static struct az_change *add_change(struct az_job *job, struct az_disk *d, bool detach, int64_t lun)
{
	struct az_change *change;

	job->changes = ff_realloc(job->changes, job->change_count + 1, sizeof(*job->changes));
	change = &job->changes[job->change_count++];
	*change = (struct az_change){.disk = d, .detach = detach, .lun = lun};
	return change;
}

int az_plan_attach(struct az_call *c, struct az_vm *vm, struct az_job *job, const char *disk_id, int64_t lun,
	const char *caching, const char *delete_option)
{
	struct az_disk *d = az_attachable(c, vm, disk_id);
	struct az_change *change;

	if (d == NULL || check_kind(c, vm, d) < 0)
		return -1;
	if (disks_after(vm, job) >= (size_t)vm->max_data_disks)
		return az_refuse(c, 409, "OperationNotAllowed",
			"The maximum number of data disks allowed to be attached to a VM of this size is %lld.",
			(long long)vm->max_data_disks);
	if (lun < 0)
		for (lun = 0; lun_used(vm, job, lun);)
			lun++;
	else if (lun >= vm->max_data_disks)
		return az_refuse(c, 400, "InvalidParameter",
			"The value '%lld' of parameter 'dataDisk.lun' is out of range. Value '%lld' must be between "
			"'0' and '%lld' inclusive.",
			(long long)lun, (long long)lun, (long long)vm->max_data_disks - 1);
	else if (lun_used(vm, job, lun))
		return az_refuse(c, 400, "InvalidParameter", "A disk at LUN %lld already exists.", (long long)lun);
	change = add_change(job, d, false, lun);
	change->caching = ff_strdup(caching != NULL ? caching : ff_has_prefix(d->sku, "Premium") ? "ReadOnly" : "None");
	change->delete_option = ff_strdup(delete_option != NULL ? delete_option : "Detach");
	d->to = vm;
	return 0;
}

int az_plan_detach(struct az_call *c, struct az_vm *vm, struct az_job *job, const char *disk_id)
{
	struct az_disk *d = az_find_disk(c->az, disk_id);

	for (size_t i = 0; d != NULL && i < vm->data_count; i++) {
		if (vm->data[i].disk != d || d->detaching)
			continue;
		add_change(job, d, true, vm->data[i].lun);
		d->detaching = true;
		return 0;
	}
	/* the text of this refusal is not published */
	return az_refuse(c, 400, "InvalidParameter", "Disk '%s' is not attached to VM '%s'.", disk_id, vm->name);
}

void az_unplan(struct az_job *job)
{
	for (size_t i = 0; i < job->change_count; i++) {
		struct az_disk *d = job->changes[i].disk;

		if (job->changes[i].detach && d->vm == job->vm)
			d->detaching = false;
		else if (!job->changes[i].detach && d->to == job->vm)
			d->to = NULL;
	}
}

void az_detach_now(struct sim *sim, struct az_vm *vm, struct az_disk *disk)
{
	for (size_t i = 0; i < vm->data_count; i++) {
		if (vm->data[i].disk != disk)
			continue;
		sim_effect(sim, 0, SIM_UNLINK, NULL, disk->image, vm->name, (int)vm->data[i].lun);
		free(vm->data[i].caching);
		free(vm->data[i].delete_option);
		memmove(&vm->data[i], &vm->data[i + 1], (--vm->data_count - i) * sizeof(vm->data[0]));
		disk->vm = NULL;
		disk->detaching = false;
		return;
	}
}

static void attach_now(struct sim *sim, const struct azure *az, struct az_vm *vm, const struct az_change *change)
{
	struct az_disk *d = change->disk;
	struct az_data_disk *slot;

	d->to = NULL;
	if (d->vm != NULL) {
		sim_violation(sim, "disk '%s' is attached twice: '%s' and '%s'", d->name, d->vm->name, vm->name);
		return;
	}
	vm->data = ff_realloc(vm->data, vm->data_count + 1, sizeof(*vm->data));
	slot = &vm->data[vm->data_count++];
	*slot = (struct az_data_disk){d, change->lun, ff_strdup(change->caching), ff_strdup(change->delete_option)};
	d->vm = vm;
	sim_effect(sim, az->link_delay_ms, SIM_LINK, NULL, d->image, vm->name, (int)change->lun);
}

void az_carry_out_data(struct sim *sim, const struct azure *az, struct az_job *job)
{
	struct az_vm *vm = job->vm;

	for (size_t i = 0; i < job->change_count; i++)
		if (job->changes[i].detach)
			az_detach_now(sim, vm, job->changes[i].disk);
	for (size_t i = 0; i < job->change_count; i++)
		if (!job->changes[i].detach)
			attach_now(sim, az, vm, &job->changes[i]);
	az_check_vm(sim, vm);
}

/* ---- attachDetachDataDisks */

/* One refusal refuses all, or (as the scenario says) only its own disk: whether Azure does so is not published. */
static int refused(struct az_call *c, struct az_job *job)
{
	ff_auto_json json_t *body = NULL;

	if (c->az->attach_batch == 0)
		return -1;
	body = ff_json_parse(c->ans->body, c->ans->body_len, 65536, NULL);
	if (job->code == NULL) {
		job->code = ff_strdup(ff_json_str(body, "error/code"));
		job->message = ff_strdup(ff_json_str(body, "error/message"));
		job->status = c->ans->status;
	}
	free(c->ans->body);
	c->ans->body = NULL;
	c->ans->body_len = 0;
	return 0;
}

static int plan_batch(struct az_call *c, struct az_vm *vm, struct az_job *job)
{
	static const char *const members[] = {"dataDisksToAttach", "dataDisksToDetach", NULL};
	struct ff_err err = {0};
	size_t i;
	json_t *e;

	if (sim_only(c->body, "attachDetachDataDisks", members, &err) < 0)
		return az_refuse(c, 400, "BadRequest", "Could not find member on object: %s", err.text);
	json_array_foreach (ff_json_at(c->body, "dataDisksToDetach"), i, e) {
		const char *id = ff_json_str(e, "diskId");

		if (az_plan_detach(c, vm, job, id != NULL ? id : "") < 0 && refused(c, job) < 0)
			return -1;
	}
	json_array_foreach (ff_json_at(c->body, "dataDisksToAttach"), i, e) {
		const char *id = ff_json_str(e, "diskId");

		if (az_plan_attach(c, vm, job, id != NULL ? id : "", ff_json_int(e, "lun", -1),
			    ff_json_str(e, "caching"), ff_json_str(e, "deleteOption")) < 0 &&
			refused(c, job) < 0)
			return -1;
	}
	if (job->change_count == 0 && job->code == NULL)
		return az_refuse(
			c, 400, "InvalidParameter", "Required parameter 'dataDisksToAttach' is missing (null).");
	return 0;
}

void az_attach_detach(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);
	struct az_job *job;

	if (vm == NULL)
		return;
	if (c->az->attach_refusal != 0) {
		/* texts as in azure-rest-api-specs#27476; code and status are not published */
		az_refuse(c, 400, "BadRequest",
			c->az->attach_refusal == 1
				? "The subscription is not enabled for using the attach detach data disks API."
				: "The attach detach data disks API is not enabled for the region.");
		return;
	}
	if (az_vm_free(c, vm) < 0)
		return;
	job = az_job(AZ_J_DATA, vm, NULL);
	if (plan_batch(c, vm, job) < 0) {
		az_unplan(job);
		az_free_job(job);
		return;
	}
	az_note_mutation(c, vm, "attach");
	vm->etag++;
	vm->op = az_begin(c, "attachDetachDataDisks", c->az->latency[AZ_L_ATTACH], job, AZ_H_LOCATION, false);
	az_reply(c, 202, NULL);
}
