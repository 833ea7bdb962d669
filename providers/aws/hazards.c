/*
 * Judging what was found: evidence and health, hazards (facts section 3), and what a VM or a rescue VM begins with.
 */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without DescribeInstanceTypes: what every Nitro type shares between volumes and network cards. */
#define SHARED_LIMIT 27
#define XEN_LIMIT    40

/* ---------------------------------------------------------------- evidence */

static void say(struct aws_vm *vm, enum ff_health health, const char *reason)
{
	vm->vm.health = health;
	free(vm->vm.reason);
	vm->vm.reason = ff_strdup(reason);
}

static void weigh_running(struct aws_vm *vm)
{
	const char *instance = vm->instance_status, *system = vm->system_status;

	if (instance[0] != '\0')
		ff_strv_addf(&vm->vm.evidence, "instance status check is %s", instance);
	if (system[0] != '\0')
		ff_strv_addf(&vm->vm.evidence, "system status check is %s", system);
	if (ff_streq(instance, "impaired") && ff_streq(system, "ok"))
		say(vm, FF_AFFECTED, "runs, but fails its instance status check while the host is well");
	else if (ff_streq(instance, "impaired"))
		say(vm, FF_SUSPECT, "fails its instance status check, but its host is not well either");
	else if (ff_streq(instance, "ok"))
		say(vm, FF_HEALTHY, "passes its instance status check");
	else if (ff_streq(instance, "initializing"))
		say(vm, FF_SUSPECT, "its status checks have only begun");
	else
		say(vm, FF_SUSPECT, "its status checks say nothing yet");
}

void aws_weigh(struct aws_vm *vm)
{
	ff_strv_free(&vm->vm.evidence);
	if (ff_streq(vm->vm.state, "running")) {
		weigh_running(vm);
	} else {
		ff_auto_free char *text = ff_printf("is %s, so its status checks say nothing", vm->vm.state);

		say(vm, FF_SUSPECT, text);
	}
}

/* ---------------------------------------------------------------- hazards */

static bool standby_possible(const struct aws_vm *vm)
{
	return ff_streq(vm->asg_state, "InService") || ff_streq(vm->asg_state, "Standby");
}

static int64_t local_disks(const struct ff_cloud *cloud, const struct aws_vm *vm)
{
	return ff_json_int(json_object_get(cloud->found->types, vm->type), "disks", 0);
}

enum hazard {
	H_MARKETPLACE,
	H_ROOT_TYPE,
	H_ROOT_MISSING,
	H_ROOT_STATE,
	H_VOLUME,
	H_HIBERNATED,
	H_SPOT,
	H_MANAGED,
	H_MULTI_ATTACH,
	H_SCALING,
	H_PROTECTED,
	H_KEY,
	H_LOCAL_DISKS,
	H_CLAIMED,
	H_ADDRESS,
	H_ENCRYPTED,
	H_KEY_UNSURE,
	H_HIBERNATION,
	H_STANDBY,
	H_COUNT
};

static const struct {
	const char *text; /* "word: sentence" */
	bool decides;
} hazards[H_COUNT] = {
	[H_MARKETPLACE] = {"marketplace: a volume with a Marketplace product code cannot be attached to a running VM",
		true},
	[H_ROOT_TYPE] = {"instance-store-root: its root device is no EBS volume", true},
	[H_ROOT_MISSING] = {"no-root: no volume is attached at its root device name", true},
	[H_ROOT_STATE] = {"root-state: its root volume is just being attached or detached", true},
	[H_VOLUME] = {"no-volume: its root volume could not be read", true},
	[H_HIBERNATED] = {"hibernated: its memory image would undo what is mended on the disk", true},
	[H_SPOT] = {"spot: a Spot instance may not come back after a stop", true},
	[H_MANAGED] = {"managed: it is managed by an AWS service, which alone may change it", true},
	[H_MULTI_ATTACH] = {"multi-attach: its root volume may be attached elsewhere too", true},
	[H_SCALING] = {"auto-scaling: its Auto Scaling group would replace it when it stops (see --asg standby)", true},
	[H_PROTECTED] = {"stop-protection: it may not be stopped (attribute disableApiStop)", true},
	[H_KEY] = {"key", true}, /* and which: aws_key_trouble() */
	[H_LOCAL_DISKS] = {"instance-store: its instance store volumes lose their content when it stops", true},
	[H_CLAIMED] = {"claimed: it carries the tag " AWS_TAG_RUN " of another run", false},
	[H_ADDRESS] = {"public-ip: its public address is no Elastic IP and changes with the next start", false},
	[H_ENCRYPTED] = {"encrypted: whoever runs this needs kms:CreateGrant on the keys of its volumes", false},
	[H_KEY_UNSURE] = {"key-unknown: whether the keys of its volumes can be used shows when they are attached",
		false},
	[H_HIBERNATION] = {"hibernation: it is set up for hibernation; it will be stopped, not hibernated", false},
	[H_STANDBY] = {"auto-scaling: it leaves its Auto Scaling group for Standby until it is up again", false},
};

static bool applies(const struct ff_cloud *cloud, const struct aws_vm *vm, enum hazard hazard)
{
	ff_auto_free char *trouble = NULL;
	bool member = vm->asg[0] != '\0', root = vm->vm.disk_id[0] != '\0', ebs = ff_streq(vm->root_type, "ebs");

	switch (hazard) {
	case H_MARKETPLACE:
		return vm->marketplace;
	case H_ROOT_TYPE:
		return !ebs;
	case H_ROOT_MISSING:
		return ebs && !root;
	case H_ROOT_STATE:
		return root && !ff_streq(vm->root_state, "attached");
	case H_VOLUME:
		return root && !vm->volume_seen;
	case H_HIBERNATED:
		return !vm->vm.running && ff_streq(vm->reason_code, "Client.UserInitiatedHibernate");
	case H_SPOT:
		return ff_streq(vm->lifecycle, "spot");
	case H_MANAGED:
		return vm->managed;
	case H_MULTI_ATTACH:
		return vm->multi_attach;
	case H_SCALING:
		return member && !(cloud->asg_standby && standby_possible(vm));
	case H_PROTECTED:
		return vm->stop_protected;
	case H_KEY:
		trouble = aws_key_trouble(cloud->found, vm);
		return trouble != NULL;
	case H_LOCAL_DISKS:
		return vm->vm.running && !cloud->discard_local && local_disks(cloud, vm) > 0;
	case H_CLAIMED:
		return ff_json_str(vm->vm.tags, AWS_TAG_RUN) != NULL;
	case H_ADDRESS:
		return vm->vm.running && vm->lost_address;
	case H_ENCRYPTED:
		return aws_key_needed(cloud->found, vm);
	case H_KEY_UNSURE:
		return aws_key_unsure(cloud->found, vm);
	case H_HIBERNATION:
		return vm->hibernation;
	case H_STANDBY:
		return member && cloud->asg_standby && ff_streq(vm->asg_state, "InService");
	case H_COUNT:
		break;
	}
	return false;
}

bool aws_is_skipped(const struct ff_cloud *cloud, const struct aws_vm *vm)
{
	for (int h = 0; h < H_COUNT; h++)
		if (hazards[h].decides && applies(cloud, vm, (enum hazard)h))
			return true;
	return false;
}

static char *text_of(const struct ff_cloud *cloud, const struct aws_vm *vm, enum hazard hazard)
{
	ff_auto_free char *trouble = hazard == H_KEY ? aws_key_trouble(cloud->found, vm) : NULL;

	return trouble ? ff_printf("%s: %s", hazards[hazard].text, trouble) : ff_strdup(hazards[hazard].text);
}

void aws_hazards(const struct ff_cloud *cloud, struct aws_vm *vm)
{
	if (vm->asked) {
		say(vm, FF_SKIPPED, "is a rescue VM");
		return;
	}
	if (vm->vm.health == FF_AFFECTED && cloud->found->denied != NULL)
		say(vm, FF_SKIPPED, cloud->found->denied);
	for (int h = 0; h < H_COUNT; h++) {
		ff_auto_free char *text = NULL;

		if (!applies(cloud, vm, (enum hazard)h))
			continue;
		text = text_of(cloud, vm, (enum hazard)h);
		ff_strv_add(&vm->vm.hazards, text);
		if (hazards[h].decides && vm->vm.health != FF_SKIPPED)
			say(vm, FF_SKIPPED, strstr(text, ": ") + 2);
	}
}

/* ---------------------------------------------------------------- what they begin with */

/* Volumes that may be attached in all, the root included. */
static unsigned volume_limit(const struct ff_cloud *cloud, const struct aws_vm *vm)
{
	const json_t *type = json_object_get(cloud->found->types, vm->type);
	int64_t limit = ff_json_int(type, "limit", 0);

	if (limit == 0)
		limit = ff_json_bool(type, "xen", false) ? XEN_LIMIT : SHARED_LIMIT;
	/* a shared limit counts the first network card already; further cards and local NVMe disks take from it */
	if (!ff_json_bool(type, "dedicated", false)) {
		limit -= vm->interfaces > 1 ? vm->interfaces - 1 : 0;
		limit -= ff_json_int(type, "disks", 0);
	}
	return limit > 0 ? (unsigned)limit : 0;
}

static void settle_rescue(const struct ff_cloud *cloud, struct aws_vm *vm)
{
	json_t *devices = json_array();
	unsigned limit = volume_limit(cloud, vm);

	if (limit > aws_device_count() / 2) /* so that each slot has names to rotate through */
		limit = aws_device_count() / 2;
	if (limit > FF_SLOTS_MAX)
		limit = FF_SLOTS_MAX;
	vm->vm.rescue = ff_streq(vm->vm.state, "running");
	vm->vm.slots_max = limit;
	for (size_t i = 0; i < vm->devices.count && i < limit; i++)
		vm->vm.slots_used[i] = 1; /* slots are counts, not places: those in use are the first */
	for (size_t i = 0; i < vm->devices.count; i++)
		json_array_append_new(devices, json_string(vm->devices.items[i]));
	ff_json_set_new(vm->vm.facts, "devices", devices);
}

static void settle_victim(const struct ff_cloud *cloud, struct aws_vm *vm)
{
	json_t *root = json_object();
	ff_auto_free char *pool = ff_printf("%s %s", vm->vm.zone, vm->type);

	ff_json_set_str(root, "volume", vm->vm.disk_id);
	ff_json_set_str(root, "device", vm->root_device);
	ff_json_set_bool(root, "delete", vm->root_delete);
	ff_json_set_int(root, "size_gib", vm->vm.disk_bytes >> 30);
	ff_json_set_new(vm->vm.facts, "root", root);
	ff_json_set_str(vm->vm.facts, "pool", pool);
	if (cloud->asg_standby && vm->asg[0] != '\0' && ff_streq(vm->asg_state, "InService"))
		ff_json_set_str(vm->vm.facts, "asg", vm->asg);
	if (cloud->no_backup)
		ff_json_set_bool(vm->vm.facts, "no_backup", true);
	if (cloud->claims)
		aws_settle_claim(vm);
}

void aws_settle(const struct ff_cloud *cloud, struct aws_vm *vm)
{
	if (vm->asked)
		settle_rescue(cloud, vm);
	else
		settle_victim(cloud, vm);
}

int aws_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err)
{
	if (ff_streq(vm->id, rescue->id))
		return ff_fail(err, FF_E_CONFLICT, "it cannot be its own rescue VM");
	if (!ff_streq(vm->zone, rescue->zone))
		return ff_fail(
			err, FF_E_PERMANENT, "it is in another availability zone (%s, not %s)", rescue->zone, vm->zone);
	/* Windows would give a disk whose signature it knows a new one, and the VM would not boot from it */
	if (ff_streq(rescue->os, "windows"))
		return ff_fail(err, FF_E_PERMANENT, "it runs Windows, which may rewrite a disk's signature");
	return 0;
}

/* ---------------------------------------------------------------- device names */

/*
 * /dev/sd[f-p] is what AWS recommends for EBS; /dev/xvd[b-d][a-z] are allowed too on HVM Linux
 * (docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html). /dev/xvdf and the like would be /dev/sdf on Xen.
 */
#define SD_NAMES  11
#define XVD_NAMES (3 * 26)

unsigned aws_device_count(void)
{
	return SD_NAMES + XVD_NAMES;
}

static void nth_name(unsigned n, char out[AWS_DEVICE_BYTES])
{
	if (n < SD_NAMES)
		snprintf(out, AWS_DEVICE_BYTES, "/dev/sd%c", (char)('f' + n));
	else
		snprintf(out, AWS_DEVICE_BYTES, "/dev/xvd%c%c", (char)('b' + (n - SD_NAMES) / 26),
			(char)('a' + (n - SD_NAMES) % 26));
}

static const char *after_prefix(const char *name)
{
	static const char *const prefixes[] = {"/dev/xvd", "/dev/sd", "xvd", "sd"};

	for (size_t i = 0; i < FF_COUNT(prefixes); i++)
		if (ff_has_prefix(name, prefixes[i]))
			return name + strlen(prefixes[i]);
	return name;
}

static bool in_use(const json_t *devices, const char *name)
{
	size_t i;
	json_t *device;

	json_array_foreach ((json_t *)devices, i, device)
		if (json_is_string(device) && ff_streq(after_prefix(json_string_value(device)), after_prefix(name)))
			return true;
	return false;
}

const char *aws_device_name(
	const json_t *devices, unsigned slot, unsigned slots, unsigned used, char out[AWS_DEVICE_BYTES])
{
	unsigned rounds = slots > 0 ? aws_device_count() / slots : 0;

	for (unsigned i = 0; i < rounds && slot < slots; i++) {
		nth_name(slot + (used + i) % rounds * slots, out);
		if (!in_use(devices, out))
			return out;
	}
	out[0] = '\0';
	return out;
}
