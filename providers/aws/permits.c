/*
 * May this identity do what a repair will do? Asked with DryRun before anything is touched, of one affected VM for all:
 * a policy that lacks AttachVolume would otherwise show when the volume is detached, and keep it from coming home.
 *
 * DryRun=true only checks permissions, changes nothing and always answers with an error: DryRunOperation where the
 * action is allowed, UnauthorizedOperation where it is not (facts section 4).
 */
#include "aws.h"

enum { OF_VM, OF_VOLUME, OF_BOTH, OF_RESCUE };

static const struct {
	const char *action;
	int of;
} permits[] = {
	{"StopInstances", OF_VM}, {"StartInstances", OF_VM}, {"DetachVolume", OF_BOTH}, {"AttachVolume", OF_RESCUE},
	{"DetachVolume", OF_RESCUE}, {"AttachVolume", OF_BOTH}, {"ModifyInstanceAttribute", OF_VM},
	{"CreateSnapshot", OF_VOLUME}, /* the last: not wanted with --backup none */
};

size_t aws_permit_count(const struct ff_cloud *cloud)
{
	return FF_COUNT(permits) - cloud->no_backup;
}

/* A rescue VM that would take its volume. */
static const struct aws_vm *rescue_for(const struct aws_found *found, const struct aws_vm *vm)
{
	struct ff_err err;

	for (size_t i = 0; i < found->count; i++)
		if (found->items[i]->asked && ff_streq(found->items[i]->vm.state, "running") &&
			aws_fits(&vm->vm, &found->items[i]->vm, &err) == 0)
			return found->items[i];
	return NULL;
}

struct aws_vm *aws_permit_vm(const struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;

	for (size_t i = 0; i < found->count; i++) {
		struct aws_vm *vm = found->items[i];

		if (vm->vm.health == FF_AFFECTED && !vm->asked && !aws_is_skipped(cloud, vm) &&
			rescue_for(found, vm) != NULL)
			return vm;
	}
	return NULL;
}

void aws_permit_form(const struct ff_cloud *cloud, size_t n, struct ff_buf *form)
{
	const struct aws_vm *vm = aws_permit_vm(cloud);
	const struct aws_vm *at = permits[n].of == OF_RESCUE ? rescue_for(cloud->found, vm) : vm;
	bool attach = ff_streq(permits[n].action, "AttachVolume"), many = permits[n].action[0] == 'S';

	aws_form(form, AWS_EC2, permits[n].action);
	ff_form_add(form, "DryRun", "true");
	if (permits[n].of != OF_VM)
		ff_form_add(form, "VolumeId", vm->vm.disk_id);
	if (permits[n].of != OF_VOLUME)
		ff_form_add(form, many ? "InstanceId.1" : "InstanceId", at->vm.id);
	if (attach)
		ff_form_add(form, "Device", at == vm ? vm->root_device : "/dev/sdf");
	if (ff_streq(permits[n].action, "ModifyInstanceAttribute")) {
		ff_form_add(form, "BlockDeviceMapping.1.DeviceName", vm->root_device);
		ff_form_add(form, "BlockDeviceMapping.1.Ebs.DeleteOnTermination", vm->root_delete ? "true" : "false");
	}
}

void aws_permit_read(struct aws_found *found, const struct aws_reply *reply)
{
	/* anything else does not speak of permissions: the flow will meet it */
	if (reply->class == FF_E_DENIED && found->denied == NULL)
		found->denied = ff_printf("permission is missing: %s", reply->err.text);
}
