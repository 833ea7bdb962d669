/* The swap of an OS disk: what of the new disk has to fit, and when. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

static int check_swap_power(struct az_call *c, const struct az_vm *vm, struct az_goal *goal)
{
	if (vm->power == AZ_DEALLOCATED || (vm->power == AZ_STOPPED && !c->az->swap_needs_deallocate))
		return 0;
	if (vm->power == AZ_STOPPED)
		return az_refuse(c, 409, "OperationNotAllowed",
			"OS Disk change is not allowed when the VM '%s' is currently allocated. Please deallocate and "
			"try again.",
			vm->name);
	/* Azure has been seen to accept it and reboot the machine (azure-powershell#4892) */
	goal->reboot = c->az->swap_on_running == 1;
	return goal->reboot
		       ? 0
		       : az_refuse(c, 409, "OperationNotAllowed",
				 "Swapping OS Disk is not supported when the VM '%s' is in state '%s'. Stop the VM and "
				 "try again.",
				 vm->name, az_power_names[vm->power]);
}

static const char *plain_security(const char *type)
{
	return type != NULL && ff_has_prefix(type, "ConfidentialVM") ? "ConfidentialVM" : type;
}

/* Is this disk one that this machine can boot from? */
static int check_swap_disk(struct az_call *c, const struct az_vm *vm, const struct az_disk *d, const json_t *body)
{
	const char *sku = ff_json_str(body, "managedDisk/storageAccountType");

	if (!ff_strcaseeq(d->os, vm->os))
		return az_refuse_change(c, "osDisk.osType");
	if (!ff_strcaseeq(d->generation, vm->generation))
		return az_refuse(c, 409, "PropertyChangeNotAllowed",
			"Swapping OS Disk is not supported since HyperVisor property on the OSDisk and VM do not "
			"match. "
			"Please make sure the HyperVisor property on the OSDisk is HyperVisor Generation '%s'",
			vm->generation);
	if (!ff_streq(plain_security(d->security_type), plain_security(vm->security_type)))
		return az_refuse(c, 409, "BadRequest",
			"Security type of VM is not compatible with the security type of attached OS Disk.");
	if (!ff_strcaseeq(d->encryption_set, vm->os_disk.disk->encryption_set))
		return az_refuse(c, 409, "BadRequest",
			"If disks are using Disk Encryption Sets, both disks should belong to same Disk Encryption "
			"set");
	if (sku != NULL && !ff_strcaseeq(sku, d->sku))
		return az_refuse_change(c, "osDisk.managedDisk.storageAccountType");
	return 0;
}

/* What must stay as it is, whether the disk changes or not. */
static int check_shape(struct az_call *c, const struct az_vm *vm, const json_t *body, const struct az_disk *d)
{
	const char *create = ff_json_str(body, "createOption"), *os = ff_json_str(body, "osType");
	int64_t bytes = az_bytes(body, "diskSizeGB");

	if (create == NULL)
		return az_refuse(
			c, 400, "InvalidParameter", "Required parameter 'osDisk.createOption' is missing (null).");
	if (!ff_strcaseeq(create, vm->os_disk.create_option))
		return az_refuse_change(c, "osDisk.createOption");
	if (os != NULL && !ff_strcaseeq(os, vm->os))
		return az_refuse_change(c, "osDisk.osType");
	if (d != NULL && bytes >= 0 && bytes < d->size_bytes)
		return az_refuse(c, 400, "BadRequest", "Disk '%s' cannot be resized down.", d->name);
	return 0;
}

static void take_shape(struct az_job *job, const json_t *body)
{
	const struct az_os_disk *now = &job->vm->os_disk;
	const char *caching = ff_json_str(body, "caching"), *option = ff_json_str(body, "deleteOption");
	struct az_os_disk *shape = &job->goal.shape;

	shape->caching = ff_strdup(caching != NULL ? caching : now->caching);
	shape->delete_option = ff_strdup(option != NULL ? option : now->delete_option);
	shape->create_option = ff_strdup(now->create_option);
	shape->write_accelerator = ff_json_bool(body, "writeAcceleratorEnabled", now->write_accelerator);
}

static int plan_swap(struct az_call *c, struct az_job *job, const json_t *body, const char *id, bool put)
{
	struct az_vm *vm = job->vm;
	const char *name = ff_json_str(body, "name");
	struct az_disk *d;

	if (vm->ade_dual)
		return az_refuse(c, 409, "OSDiskSwapNotSupportedForVMsUsingDiskEncryption",
			"Swapping OS Disk is not supported for VMs using disk encryption.");
	if (vm->ephemeral || vm->unmanaged)
		return az_refuse_change(c, "osDisk");
	if (check_swap_power(c, vm, &job->goal) < 0)
		return -1;
	d = az_attachable(c, vm, id);
	if (d == NULL)
		return -1;
	/* both must change (azure-libraries-for-java#275); a PATCH that names none is reported to work */
	if ((name == NULL && put) || (name != NULL && !ff_strcaseeq(name, d->name)))
		return az_refuse_change(c, "osDisk.name");
	if (check_shape(c, vm, body, d) < 0 || check_swap_disk(c, vm, d, body) < 0)
		return -1;
	take_shape(job, body);
	if (c->az->swap_ignored) /* answered well, changed nothing (azure-docs#23224) */
		return 0;
	job->goal.os = d;
	job->goal.shape.disk = d;
	d->to = vm;
	return 0;
}

int az_plan_os(struct az_call *c, struct az_job *job, const json_t *body, bool put)
{
	struct az_vm *vm = job->vm;
	const struct az_disk *d = vm->os_disk.disk;
	const char *id = ff_json_str(body, "managedDisk/id"), *name = ff_json_str(body, "name");

	if (d != NULL && id != NULL && !ff_strcaseeq(id, d->id))
		return plan_swap(c, job, body, id, put);
	if (d != NULL && name != NULL && !ff_strcaseeq(name, d->name))
		return az_refuse_change(c, "osDisk.name");
	if (check_shape(c, vm, body, d) < 0)
		return -1;
	take_shape(job, body);
	job->goal.shape.disk = vm->os_disk.disk;
	return 0;
}
