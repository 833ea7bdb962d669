/* What EC2 tells of machines: the list, its status checks, single attributes, types. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define IDS_MAX 100

/* Limits and sizes from AWS's tables; attachments shared with network interfaces leave 27 for volumes. */
const struct aw_type aw_types[] = {
	{"t2.medium", 2, 4096, 39, false, true, 0},
	{"t3.micro", 2, 1024, 27, false, false, 0},
	{"t3.large", 2, 8192, 27, false, false, 0},
	{"m4.large", 2, 8192, 39, false, true, 0},
	{"m5.large", 2, 8192, 27, false, false, 0},
	{"m5.xlarge", 4, 16384, 27, false, false, 0},
	{"m5.2xlarge", 8, 32768, 27, false, false, 0},
	{"m5.4xlarge", 16, 65536, 27, false, false, 0},
	{"m5d.large", 2, 8192, 26, false, false, 75},
	{"c5.large", 2, 4096, 27, false, false, 0},
	{"c5.xlarge", 4, 8192, 27, false, false, 0},
	{"r5.large", 2, 16384, 27, false, false, 0},
	{"m7i.large", 2, 8192, 32, true, false, 0},
	{"m7i.4xlarge", 16, 65536, 32, true, false, 0},
	{"i3.large", 2, 15616, 26, false, false, 475},
};
const size_t aw_type_count = FF_COUNT(aw_types);

const struct aw_type *aw_type(const char *name)
{
	for (size_t i = 0; i < aw_type_count; i++)
		if (ff_streq(aw_types[i].name, name))
			return &aw_types[i];
	return NULL;
}

static const struct aw_seen *power_seen(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_INSTANCES]);
}

static const json_t *tags(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_past_at(c->sim, &vm->tags, c->aws->lag[AW_LAG_TAGS])->tags;
}

static void state_xml(struct aw_call *c, const char *name, int power)
{
	aw_open(c, name);
	aw_int(c, "code", aw_power_codes[power]);
	aw_text(c, "name", aw_power_names[power]);
	aw_close(c, name);
}

/* ---- DescribeInstances */

static void mapping_xml(struct aw_call *c, const struct aw_vm *vm)
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

void aw_vm_xml(struct aw_call *c, const struct aw_vm *vm)
{
	const struct aw_seen *power = power_seen(c, vm);

	aw_open(c, "item");
	aw_text(c, "instanceId", vm->id);
	aw_text(c, "imageId", "ami-0abcdef1234567890");
	state_xml(c, "instanceState", power->state);
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
	mapping_xml(c, vm);
	network_xml(c, vm, power->state);
	aw_tag_set(c, tags(c, vm));
	aw_close(c, "item");
}

static const char *const instance_filters[] = {"instance-id", "instance-state-name", "instance-state-code", "platform",
	"platform-details", "availability-zone", "instance-type", "root-device-name", "root-device-type",
	"instance-lifecycle", "block-device-mapping.volume-id", "product-code.type", NULL};

static int instance_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	const struct aw_vm *vm = item;
	int power = power_seen(c, vm)->state;

	if (aw_tag_values(tags(c, vm), name, out))
		return 0;
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
	return 0;
}

/* All ids are known? Else the whole call fails. */
static int check_ids(struct aw_call *c, const struct ff_strv *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		if (aw_find_vm(c, ids->items[i]) == NULL)
			return -1;
	return 0;
}

void aw_describe_instances(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "InstanceId");
	size_t from, max, shown = 0;

	if (aw_page(c, "InstanceId", &from, &max) < 0 || aw_check_filters(c, instance_filters) < 0 ||
		check_ids(c, &ids) < 0)
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
		aw_vm_xml(c, vm);
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

/* ---- DescribeInstanceStatus */

const char *const aw_status_names[] = {"auto", "ok", "impaired", "initializing", "insufficient-data", "not-applicable"};

enum aw_status aw_status_now(const struct sim *sim, const struct aws *aws, const struct aw_vm *vm, int64_t lag_ms)
{
	if (aw_past_at(sim, &vm->power, lag_ms)->state != AW_RUNNING)
		return AW_NOT_APPLICABLE;
	if (vm->status != AW_AUTO)
		return (enum aw_status)vm->status;
	if (sim->now_ms < vm->booted_ms + aws->latency[AW_L_BOOT])
		return AW_INITIALIZING;
	return vm->boots ? AW_OK : AW_IMPAIRED;
}

static enum aw_status status_of(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_status_now(c->sim, c->aws, vm, c->aws->lag[AW_LAG_STATUS]);
}

static void summary(struct aw_call *c, const char *name, enum aw_status status, int64_t since_ms)
{
	static const char *const details[] = {"", "passed", "failed", "initializing", "insufficient-data", ""};

	aw_open(c, name);
	aw_text(c, "status", aw_status_names[status]);
	if (status != AW_NOT_APPLICABLE) {
		aw_open(c, "details");
		aw_open(c, "item");
		aw_text(c, "name", "reachability");
		aw_text(c, "status", details[status]);
		if (status == AW_IMPAIRED)
			aw_time(c, "impairedSince", since_ms);
		aw_close(c, "item");
		aw_close(c, "details");
	}
	aw_close(c, name);
}

/* The host is well all the time; at boot its check is not done yet either. */
static enum aw_status system_status(enum aw_status instance)
{
	return instance == AW_NOT_APPLICABLE || instance == AW_INITIALIZING ? instance : AW_OK;
}

static void status_xml(struct aw_call *c, const struct aw_vm *vm)
{
	enum aw_status status = status_of(c, vm);

	aw_open(c, "item");
	aw_text(c, "instanceId", vm->id);
	aw_text(c, "availabilityZone", vm->zone);
	state_xml(c, "instanceState", aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state);
	summary(c, "systemStatus", system_status(status), 0);
	summary(c, "instanceStatus", status, vm->impaired_ms);
	summary(c, "attachedEbsStatus", system_status(status), 0);
	aw_close(c, "item");
}

static const char *const status_filters[] = {"instance-status.status", "instance-status.reachability",
	"system-status.status", "system-status.reachability", "attached-ebs-status.status", "instance-state-name",
	"instance-state-code", "availability-zone", NULL};

static int status_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	static const char *const reach[] = {"", "passed", "failed", "initializing", "insufficient-data", ""};
	const struct aw_vm *vm = item;
	int power = aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state;
	enum aw_status status = status_of(c, vm);
	enum aw_status which = ff_has_prefix(name, "instance-status.") ? status : system_status(status);

	if (ff_streq(name, "instance-state-name"))
		ff_strv_add(out, aw_power_names[power]);
	else if (ff_streq(name, "instance-state-code"))
		ff_strv_addf(out, "%d", aw_power_codes[power]);
	else if (ff_streq(name, "availability-zone"))
		ff_strv_add(out, vm->zone);
	else if (ff_has_suffix(name, ".reachability"))
		ff_strv_add(out, reach[which]);
	else
		ff_strv_add(out, aw_status_names[which]);
	return 0;
}

static bool status_shown(struct aw_call *c, const struct aw_vm *vm, const struct ff_strv *ids, bool all)
{
	int power = aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state;

	return (all || power == AW_RUNNING) && (ids->count == 0 || ff_strv_has(ids, vm->id)) &&
	       aw_filter(c, vm, status_values);
}

/* Without ids: of every machine there is. */
void aw_describe_status(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "InstanceId");
	size_t from, max, shown = 0;
	bool all = false;

	if (aw_bool(c, "IncludeAllInstances", &all) < 0 || aw_page(c, "InstanceId", &from, &max) < 0 ||
		aw_check_filters(c, status_filters) < 0)
		goto end;
	if (ids.count > IDS_MAX) { /* text unverified */
		aw_refuse(c, 400, "InvalidParameterValue", "No more than %d instance IDs may be specified.", IDS_MAX);
		goto end;
	}
	if (check_ids(c, &ids) < 0)
		goto end;
	aw_begin(c);
	aw_open(c, "instanceStatusSet");
	for (; from < c->aws->vm_count && shown < max; from++) {
		if (!status_shown(c, c->aws->vms[from], &ids, all))
			continue;
		status_xml(c, c->aws->vms[from]);
		shown++;
	}
	aw_close(c, "instanceStatusSet");
	if (from < c->aws->vm_count)
		aw_next(c, from);
	aw_end(c);
end:
	ff_strv_free(&ids);
}

/* ---- DescribeInstanceAttribute, DescribeInstanceTypes */

static void attribute(struct aw_call *c, const char *name, const char *value)
{
	aw_open(c, name);
	aw_text(c, "value", value);
	aw_close(c, name);
}

void aw_describe_attribute(struct aw_call *c)
{
	const char *id = aw_need(c, "InstanceId"), *name = id != NULL ? aw_need(c, "Attribute") : NULL;
	const struct aw_vm *vm = name != NULL ? aw_find_vm(c, id) : NULL;
	static const char *const known[] = {"disableApiStop", "rootDeviceName", "instanceType", "blockDeviceMapping"};
	size_t i = 0;

	if (vm == NULL)
		return;
	while (i < FF_COUNT(known) && !ff_streq(known[i], name))
		i++;
	if (i == FF_COUNT(known)) {
		aw_refuse(c, 400, "InvalidParameterValue",
			"Value (%s) for parameter attribute is invalid. Unknown attribute.", name);
		return;
	}
	aw_begin(c);
	aw_text(c, "instanceId", vm->id);
	if (i == 0)
		attribute(c, name, vm->stop_protection ? "true" : "false");
	else if (i == 1)
		attribute(c, name, vm->root_device);
	else if (i == 2)
		attribute(c, name, vm->type->name);
	else
		mapping_xml(c, vm);
	aw_end(c);
}

static void type_xml(struct aw_call *c, const struct aw_type *t)
{
	aw_open(c, "item");
	aw_text(c, "instanceType", t->name);
	aw_text(c, "hypervisor", t->xen ? "xen" : "nitro");
	aw_open(c, "vCpuInfo");
	aw_int(c, "defaultVCpus", t->vcpus);
	aw_close(c, "vCpuInfo");
	aw_open(c, "memoryInfo");
	aw_int(c, "sizeInMiB", t->memory_mib);
	aw_close(c, "memoryInfo");
	aw_flag(c, "instanceStorageSupported", t->store_gb > 0);
	if (t->store_gb > 0) {
		aw_open(c, "instanceStorageInfo");
		aw_int(c, "totalSizeInGB", t->store_gb);
		aw_close(c, "instanceStorageInfo");
	}
	aw_open(c, "ebsInfo");
	aw_text(c, "ebsOptimizedSupport", t->xen ? "unsupported" : "default");
	aw_text(c, "encryptionSupport", "supported");
	aw_text(c, "nvmeSupport", t->xen ? "unsupported" : "required");
	aw_int(c, "maximumEbsAttachments", t->ebs_max);
	aw_text(c, "attachmentLimitType", t->dedicated ? "dedicated" : "shared");
	aw_close(c, "ebsInfo");
	aw_close(c, "item");
}

static const char *const type_filters[] = {"instance-type", NULL};

static int type_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	(void)c;
	(void)name;
	ff_strv_add(out, ((const struct aw_type *)item)->name);
	return 0;
}

void aw_describe_types(struct aw_call *c)
{
	struct ff_strv names = aw_list(c, "InstanceType");
	size_t from, max;
	int rc = aw_page(c, "InstanceType", &from, &max) < 0 || aw_check_filters(c, type_filters) < 0 ? -1 : 0;

	if (rc == 0 && names.count > IDS_MAX)
		rc = aw_refuse(
			c, 400, "InvalidParameterValue", "No more than %d instance types may be specified.", IDS_MAX);
	for (size_t i = 0; i < names.count && rc == 0; i++)
		if (aw_type(names.items[i]) == NULL)
			rc = aw_refuse(c, 400, "InvalidInstanceType",
				"The following supplied instance types do not exist: [%s]", names.items[i]);
	if (rc == 0) {
		aw_begin(c);
		aw_open(c, "instanceTypeSet");
		for (size_t i = 0; i < aw_type_count; i++)
			if ((names.count == 0 || ff_strv_has(&names, aw_types[i].name)) &&
				aw_filter(c, &aw_types[i], type_values))
				type_xml(c, &aw_types[i]);
		aw_close(c, "instanceTypeSet");
		aw_end(c);
	}
	ff_strv_free(&names);
}
