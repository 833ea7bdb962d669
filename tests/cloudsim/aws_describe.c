/* What EC2 tells of machines: the list. */
#include "aws.h"

#include <stdlib.h>

static const struct aw_seen *power_seen(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_INSTANCES]);
}

static const json_t *tags(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_past_at(c->sim, &vm->tags, c->aws->lag[AW_LAG_TAGS])->tags;
}

void aw_mapping_xml(struct aw_call *c, const struct aw_vm *vm)
{
	aw_open(c, "blockDeviceMapping");
	for (size_t i = 0; i < vm->known_count; i++) {
		const struct aw_vol *vol = vm->known[i];
		const struct aw_seen *held = aw_past_at(c->sim, &vol->held, c->aws->lag[AW_LAG_INSTANCES]);

		if (held->vm != vm || vol->gone)
			continue;
		aw_open(c, "item");
		aw_text(c, "deviceName", held->device);
		aw_open(c, "ebs");
		aw_text(c, "volumeId", vol->id);
		aw_text(c, "status", held->state == AW_BUSY ? "detaching" : aw_held_names[held->state]);
		aw_time(c, "attachTime", held->attach_ms);
		aw_flag(c, "deleteOnTermination", held->delete_on_termination);
		aw_close(c, "ebs");
		aw_close(c, "item");
	}
	aw_close(c, "blockDeviceMapping");
}

static bool has_address(const struct aw_vm *vm, int power)
{
	return vm->public_ip && (vm->elastic_ip || power == AW_RUNNING || power == AW_PENDING);
}

static void network_xml(struct aw_call *c, const struct aw_vm *vm, int power)
{
	ff_auto_free char *ip = ff_printf("203.0.113.%u", vm->ip);

	aw_open(c, "networkInterfaceSet");
	aw_open(c, "item");
	ff_buf_addf(&c->out, "<networkInterfaceId>eni-0%s</networkInterfaceId>", vm->id + 3);
	aw_text(c, "status", "in-use");
	if (has_address(vm, power)) {
		aw_open(c, "association");
		aw_text(c, "ipOwnerId", vm->elastic_ip ? c->aws->account : "amazon");
		aw_text(c, "publicIp", ip);
		aw_close(c, "association");
	}
	aw_close(c, "item");
	aw_close(c, "networkInterfaceSet");
	if (has_address(vm, power))
		aw_text(c, "ipAddress", ip);
}

/* Marketplace codes travel with the root volume. */
static void codes_xml(struct aw_call *c, const struct aw_vm *vm)
{
	const struct aw_vol *root = aw_at_device(c->sim, vm, vm->root_device, c->aws->lag[AW_LAG_INSTANCES]);

	aw_open(c, "productCodes");
	if (root != NULL ? root->marketplace : vm->root == NULL && vm->marketplace) {
		aw_open(c, "item");
		aw_text(c, "productCode", "abcdefghijklmnopqrstuvwxy");
		aw_text(c, "type", "marketplace");
		aw_close(c, "item");
	}
	aw_close(c, "productCodes");
}

static void kind_xml(struct aw_call *c, const struct aw_vm *vm)
{
	if (vm->windows)
		aw_text(c, "platform", "windows");
	aw_text(c, "platformDetails", vm->windows ? "Windows" : "Linux/UNIX");
	aw_text(c, "usageOperation", vm->windows ? "RunInstances:0002" : "RunInstances");
	aw_text(c, "architecture", "x86_64");
	aw_text(c, "rootDeviceType", vm->root != NULL ? "ebs" : "instance-store");
	aw_text(c, "rootDeviceName", vm->root_device);
	aw_text(c, "virtualizationType", "hvm");
	aw_text(c, "hypervisor", "xen");
	if (vm->spot)
		aw_text(c, "instanceLifecycle", "spot");
	aw_open(c, "hibernationOptions");
	aw_flag(c, "configured", vm->hibernation);
	aw_close(c, "hibernationOptions");
	if (vm->tpm)
		aw_text(c, "tpmSupport", "v2.0");
	aw_text(c, "currentInstanceBootMode", vm->tpm ? "uefi" : "legacy-bios");
	if (vm->managed) {
		aw_open(c, "operator");
		aw_flag(c, "managed", true);
		aw_close(c, "operator");
	}
}

static void vm_xml(struct aw_call *c, const struct aw_vm *vm)
{
	const struct aw_seen *power = power_seen(c, vm);

	aw_open(c, "item");
	aw_text(c, "instanceId", vm->id);
	aw_text(c, "imageId", "ami-0abcdef1234567890");
	aw_state_xml(c, "instanceState", power->state);
	if (power->code != NULL) {
		aw_open(c, "stateReason");
		aw_text(c, "code", power->code);
		aw_text(c, "message", power->message);
		aw_close(c, "stateReason");
	}
	aw_text(c, "instanceType", vm->type->name);
	aw_time(c, "launchTime", vm->launched_ms);
	aw_open(c, "placement");
	aw_text(c, "availabilityZone", vm->zone);
	aw_text(c, "tenancy", "default");
	aw_close(c, "placement");
	kind_xml(c, vm);
	codes_xml(c, vm);
	aw_mapping_xml(c, vm);
	network_xml(c, vm, power->state);
	aw_tag_set(c, tags(c, vm));
	aw_close(c, "item");
}

static const char *const instance_filters[] = {"instance-id", "instance-state-name", "instance-state-code", "platform",
	"platform-details", "availability-zone", "instance-type", "root-device-name", "root-device-type",
	"instance-lifecycle", "block-device-mapping.volume-id", "product-code.type", NULL};

static void instance_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	const struct aw_vm *vm = item;
	int power = power_seen(c, vm)->state;

	if (aw_tag_values(tags(c, vm), name, out))
		return;
	if (ff_streq(name, "instance-id"))
		ff_strv_add(out, vm->id);
	else if (ff_streq(name, "instance-state-name"))
		ff_strv_add(out, aw_power_names[power]);
	else if (ff_streq(name, "instance-state-code"))
		ff_strv_addf(out, "%d", aw_power_codes[power]);
	else if (ff_streq(name, "platform") && vm->windows)
		ff_strv_add(out, "windows");
	else if (ff_streq(name, "platform-details"))
		ff_strv_add(out, vm->windows ? "Windows" : "Linux/UNIX");
	else if (ff_streq(name, "availability-zone"))
		ff_strv_add(out, vm->zone);
	else if (ff_streq(name, "instance-type"))
		ff_strv_add(out, vm->type->name);
	else if (ff_streq(name, "root-device-name"))
		ff_strv_add(out, vm->root_device);
	else if (ff_streq(name, "root-device-type"))
		ff_strv_add(out, vm->root != NULL ? "ebs" : "instance-store");
	else if (ff_streq(name, "instance-lifecycle") && vm->spot)
		ff_strv_add(out, "spot");
	else if (ff_streq(name, "product-code.type") && vm->marketplace)
		ff_strv_add(out, "marketplace");
	else if (ff_streq(name, "block-device-mapping.volume-id"))
		for (size_t i = 0; i < vm->known_count; i++)
			if (aw_past_at(c->sim, &vm->known[i]->held, c->aws->lag[AW_LAG_INSTANCES])->vm == vm)
				ff_strv_add(out, vm->known[i]->id);
}

void aw_describe_instances(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "InstanceId");
	size_t from, max, shown = 0;

	if (aw_page(c, "InstanceId", &from, &max) < 0 || aw_check_filters(c, instance_filters) < 0 ||
		aw_known_vms(c, &ids) < 0)
		goto end;
	aw_begin(c);
	aw_open(c, "reservationSet");
	for (; from < c->aws->vm_count && shown < max; from++) {
		const struct aw_vm *vm = c->aws->vms[from];

		if ((ids.count > 0 && !ff_strv_has(&ids, vm->id)) || !aw_filter(c, vm, instance_values))
			continue;
		aw_open(c, "item"); /* a reservation each */
		ff_buf_addf(&c->out, "<reservationId>r-0%s</reservationId>", vm->id + 3);
		aw_text(c, "ownerId", c->aws->account);
		aw_open(c, "instancesSet");
		vm_xml(c, vm);
		aw_close(c, "instancesSet");
		aw_close(c, "item");
		shown++;
	}
	aw_close(c, "reservationSet");
	if (from < c->aws->vm_count)
		aw_next(c, from);
	aw_end(c);
end:
	ff_strv_free(&ids);
}
