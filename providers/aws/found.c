/* What discovery found: instances, volumes, statuses, types, read from their XML. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define GIB	((int64_t)1 << 30)
#define GIB_MAX 65536 /* 64 TiB is the largest EBS volume there is */

struct aws_found *aws_found_new(void)
{
	struct aws_found *found = ff_calloc(1, sizeof(*found));

	found->by_id = json_object();
	found->by_volume = json_object();
	found->types = json_object();
	found->encrypted = json_object();
	found->keys = json_object();
	found->queue_end = &found->queue;
	return found;
}

static void vm_free(struct aws_vm *vm)
{
	char *texts[] = {vm->vm.id, vm->vm.name, vm->vm.scope, vm->vm.region, vm->vm.zone, vm->vm.os, vm->vm.state,
		vm->vm.reason, vm->vm.disk_id, vm->vm.disk_encryption, vm->type, vm->root_type, vm->root_device,
		vm->root_state, vm->lifecycle, vm->reason_code, vm->asg, vm->asg_state, vm->instance_status,
		vm->system_status};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		free(texts[i]);
	ff_strv_free(&vm->vm.evidence);
	ff_strv_free(&vm->vm.hazards);
	ff_strv_free(&vm->devices);
	ff_strv_free(&vm->data);
	json_decref(vm->vm.tags);
	json_decref(vm->vm.facts);
	json_decref(vm->claim);
	free(vm);
}

void aws_found_free(struct aws_found *found)
{
	if (found == NULL)
		return;
	aws_batches_free(found);
	for (size_t i = 0; i < found->count; i++)
		vm_free(found->items[i]);
	free(found->items);
	free(found->vms);
	json_decref(found->by_id);
	json_decref(found->by_volume);
	json_decref(found->types);
	json_decref(found->encrypted);
	json_decref(found->keys);
	free(found->denied);
	free(found->unsure);
	ff_strv_free(&found->notes);
	free(found);
}

size_t aws_vms(const struct ff_cloud *cloud, struct ff_vm ***vms)
{
	*vms = cloud->found->vms;
	return cloud->found->count;
}

const struct ff_strv *aws_notes(const struct ff_cloud *cloud)
{
	return &cloud->found->notes;
}

static struct aws_vm *look_up(const struct aws_found *found, const json_t *index, const char *key)
{
	json_int_t i = json_integer_value(json_object_get(index, key));

	/* stored as index + 1, so that "not there" is 0 */
	return i > 0 && (size_t)i <= found->count ? found->items[i - 1] : NULL;
}

struct aws_vm *aws_found_by_id(const struct aws_found *found, const char *id)
{
	return look_up(found, found->by_id, id);
}

static void replace(char **text, const char *with)
{
	free(*text);
	*text = ff_strdup(with);
}

/* ---------------------------------------------------------------- an instance */

static char *lower_dup(const char *text)
{
	char *copy = ff_strdup(text);

	for (char *p = copy; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	return copy;
}

static char *os_of(const xmlNode *node)
{
	const char *details = aws_xml_str(node, "platformDetails");

	if (ff_strcaseeq(aws_xml_str(node, "platform"), "windows") || ff_contains_nocase(details, "windows"))
		return ff_strdup("windows");
	return ff_strdup(ff_contains_nocase(details, "linux") || ff_contains_nocase(details, "unix") ? "linux" : "");
}

static json_t *tags_of(const xmlNode *node)
{
	json_t *tags = json_object();

	for (const xmlNode *tag = aws_xml_at(node, "tagSet/item"); tag != NULL; tag = aws_xml_next(tag))
		ff_json_set_str(tags, aws_xml_str(tag, "key"), aws_xml_str(tag, "value"));
	return tags;
}

static void read_devices(struct aws_vm *vm, const xmlNode *node)
{
	const xmlNode *item = aws_xml_at(node, "blockDeviceMapping/item");

	for (; item != NULL; item = aws_xml_next(item)) {
		const char *name = aws_xml_str(item, "deviceName"), *volume = aws_xml_str(item, "ebs/volumeId");

		ff_strv_add(&vm->devices, name);
		if (name[0] == '\0' || !ff_streq(name, vm->root_device)) {
			if (volume[0] != '\0')
				ff_strv_add(&vm->data, volume);
			continue;
		}
		replace(&vm->vm.disk_id, volume);
		replace(&vm->root_state, aws_xml_str(item, "ebs/status"));
		vm->root_delete = aws_xml_true(item, "ebs/deleteOnTermination");
		vm->managed = vm->managed || aws_xml_true(item, "ebs/operator/managed");
	}
}

/* A public address that is nobody's Elastic IP is another one after the next start. */
static void read_network(struct aws_vm *vm, const xmlNode *node)
{
	const xmlNode *item = aws_xml_at(node, "networkInterfaceSet/item");
	bool address = aws_xml_str(node, "ipAddress")[0] != '\0';

	for (; item != NULL; item = aws_xml_next(item)) {
		vm->interfaces++;
		if (address && ff_streq(aws_xml_str(item, "association/ipOwnerId"), "amazon"))
			vm->lost_address = true;
	}
}

static bool has_marketplace_code(const xmlNode *node)
{
	const xmlNode *item = aws_xml_at(node, "productCodes/item");

	for (; item != NULL; item = aws_xml_next(item))
		if (ff_streq(aws_xml_str(item, "type"), "marketplace"))
			return true;
	return false;
}

static void read_identity(const struct ff_cloud *cloud, struct aws_vm *vm, const xmlNode *node)
{
	const char *name;

	vm->vm.tags = tags_of(node);
	name = ff_json_str(vm->vm.tags, "Name");
	vm->vm.id = ff_strdup(aws_xml_str(node, "instanceId"));
	vm->vm.name = ff_strdup(name && name[0] ? name : vm->vm.id);
	vm->vm.scope = ff_strdup(cloud->region);
	vm->vm.region = ff_strdup(cloud->region);
	vm->vm.zone = ff_strdup(aws_xml_str(node, "placement/availabilityZone"));
	vm->vm.os = os_of(node);
	vm->vm.state = lower_dup(aws_xml_str(node, "instanceState/name"));
	vm->vm.running = ff_streq(vm->vm.state, "running") || ff_streq(vm->vm.state, "pending");
	vm->vm.reason = ff_strdup("");
	vm->vm.disk_id = ff_strdup("");
	vm->vm.disk_encryption = ff_strdup("");
	vm->vm.facts = json_object();
	vm->vm.health = FF_SUSPECT;
}

static struct aws_vm *vm_new(const struct ff_cloud *cloud, const xmlNode *node)
{
	struct aws_vm *vm = ff_calloc(1, sizeof(*vm));

	read_identity(cloud, vm, node);
	vm->type = ff_strdup(aws_xml_str(node, "instanceType"));
	vm->root_type = ff_strdup(aws_xml_str(node, "rootDeviceType"));
	vm->root_device = ff_strdup(aws_xml_str(node, "rootDeviceName"));
	vm->root_state = ff_strdup("");
	vm->lifecycle = ff_strdup(aws_xml_str(node, "instanceLifecycle"));
	vm->reason_code = ff_strdup(aws_xml_str(node, "stateReason/code"));
	vm->asg = ff_strdup(ff_json_str(vm->vm.tags, "aws:autoscaling:groupName"));
	if (vm->asg == NULL)
		vm->asg = ff_strdup("");
	vm->asg_state = ff_strdup("");
	vm->instance_status = ff_strdup("");
	vm->system_status = ff_strdup("");
	vm->marketplace = has_marketplace_code(node);
	vm->managed = aws_xml_true(node, "operator/managed");
	vm->hibernation = aws_xml_true(node, "hibernationOptions/configured");
	read_devices(vm, node);
	read_network(vm, node);
	return vm;
}

static void append(struct aws_found *found, struct aws_vm *vm)
{
	if ((found->count & (found->count - 1)) == 0) {
		size_t room = found->count ? found->count * 2 : 1;

		found->items = ff_realloc(found->items, room, sizeof(*found->items));
		found->vms = ff_realloc(found->vms, room, sizeof(*found->vms));
	}
	found->items[found->count] = vm;
	found->vms[found->count] = &vm->vm;
	found->count++;
	ff_json_set_int(found->by_id, vm->vm.id, (int64_t)found->count);
	if (vm->vm.disk_id[0] != '\0')
		ff_json_set_int(found->by_volume, vm->vm.disk_id, (int64_t)found->count);
}

struct aws_vm *aws_found_instance(struct ff_cloud *cloud, const xmlNode *node)
{
	const char *id = aws_xml_str(node, "instanceId"), *state = aws_xml_str(node, "instanceState/name");
	struct aws_vm *vm = aws_found_by_id(cloud->found, id);

	if (vm != NULL)
		return vm;
	if (id[0] == '\0' || ff_streq(state, "terminated") || ff_streq(state, "shutting-down"))
		return NULL;
	vm = vm_new(cloud, node);
	append(cloud->found, vm);
	return vm;
}

/* ---------------------------------------------------------------- the rest */

void aws_found_status(struct aws_found *found, const xmlNode *node)
{
	struct aws_vm *vm = aws_found_by_id(found, aws_xml_str(node, "instanceId"));

	if (vm == NULL)
		return;
	replace(&vm->instance_status, aws_xml_str(node, "instanceStatus/status"));
	replace(&vm->system_status, aws_xml_str(node, "systemStatus/status"));
}

void aws_found_volume(struct aws_found *found, const xmlNode *node)
{
	const char *id = aws_xml_str(node, "volumeId");
	struct aws_vm *vm = look_up(found, found->by_volume, id);
	bool encrypted = aws_xml_true(node, "encrypted");
	const xmlNode *attachment = aws_xml_at(node, "attachmentSet/item");
	int64_t gib = 0;

	if (encrypted)
		ff_json_set_str(found->encrypted, id, aws_xml_str(node, "kmsKeyId"));
	if (vm == NULL) /* no root */
		return;
	vm->volume_seen = true;
	replace(&vm->vm.disk_encryption, encrypted ? "kms" : "none");
	vm->multi_attach = aws_xml_true(node, "multiAttachEnabled") || (attachment && aws_xml_next(attachment));
	vm->managed = vm->managed || aws_xml_true(node, "operator/managed");
	vm->marketplace = vm->marketplace || has_marketplace_code(node);
	if (ff_parse_i64(aws_xml_str(node, "size"), 1, GIB_MAX, &gib) == 0)
		vm->vm.disk_bytes = gib * GIB;
}

/* Slots: maximumEbsAttachments; disks: instance-store volumes. */
void aws_found_type(struct aws_found *found, const xmlNode *node)
{
	const char *type = aws_xml_str(node, "instanceType");
	const xmlNode *disk = aws_xml_at(node, "instanceStorageInfo/disks/item");
	int64_t limit = 0, disks = 0, count;
	json_t *entry;

	if (type[0] == '\0')
		return;
	for (; disk != NULL; disk = aws_xml_next(disk))
		if (ff_parse_i64(aws_xml_str(disk, "count"), 0, 1000, &count) == 0)
			disks += count;
	if (disks == 0 && aws_xml_true(node, "instanceStorageSupported"))
		disks = 1;
	if (ff_parse_i64(aws_xml_str(node, "ebsInfo/maximumEbsAttachments"), 0, 10000, &limit) < 0)
		limit = 0;
	entry = json_object();
	ff_json_set_int(entry, "limit", limit);
	ff_json_set_bool(entry, "dedicated", ff_streq(aws_xml_str(node, "ebsInfo/attachmentLimitType"), "dedicated"));
	ff_json_set_bool(entry, "xen", ff_streq(aws_xml_str(node, "hypervisor"), "xen"));
	ff_json_set_int(entry, "disks", disks);
	ff_json_set_new(found->types, type, entry);
}

void aws_found_member(struct aws_found *found, const xmlNode *node)
{
	struct aws_vm *vm = aws_found_by_id(found, aws_xml_str(node, "InstanceId"));

	if (vm == NULL)
		return;
	replace(&vm->asg, aws_xml_str(node, "AutoScalingGroupName"));
	replace(&vm->asg_state, aws_xml_str(node, "LifecycleState"));
}
