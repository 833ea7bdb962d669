/* What stands against touching a VM: section 3 of the facts. Decided before anything is touched. */
#include "found.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The hazards of one VM while they are gathered. The first decisive one is the reason to skip. */
struct hazards {
	const struct ff_cloud *cloud;
	const struct gcp_vm *at;
	struct ff_strv *list;
	char *skip;
};

static void hazard(struct hazards *h, bool decisive, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void hazard(struct hazards *h, bool decisive, const char *word, const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_strv_addf(h->list, "%s: %s", word, text);
	if (decisive && h->skip == NULL)
		h->skip = ff_strdup(text);
}

/* ---------------------------------------------------------------- the VM */

/* created-by is UNVERIFIED and only a hint; the groups' own lists are sure. */
static const char *group_of(const struct hazards *h)
{
	const char *group = json_string_value(json_object_get(h->cloud->found->groups, h->at->vm.id));
	const json_t *item;
	size_t i;

	if (group != NULL)
		return group;
	json_array_foreach (ff_json_at(h->at->raw, "metadata/items"), i, item) {
		const char *value = ff_json_str(item, "value");

		if (ff_streq(ff_json_str(item, "key"), "created-by") && value != NULL &&
			strstr(value, "/instanceGroupManagers/") != NULL)
			return gcp_last(value);
	}
	return NULL;
}

static void state(struct hazards *h)
{
	const char *is = h->at->vm.state;

	if (ff_streq(is, "suspended") || ff_streq(is, "suspending"))
		hazard(h, true, "suspended", "is suspended: its memory image would undo the repair");
	else if (!ff_streq(is, "running") && !ff_streq(is, "terminated") && !ff_streq(is, "stopped"))
		hazard(h, true, "changing", "is %.40s: try again when that is over", *is ? is : "in no state");
}

static void scheduling(struct hazards *h)
{
	const json_t *s = json_object_get(h->at->raw, "scheduling");
	const char *model = ff_json_str(s, "provisioningModel");

	if (ff_json_bool(s, "preemptible", false) || ff_streq(model, "SPOT"))
		hazard(h, true, "spot", "is a Spot VM: stopped, it may not start again");
	else if (ff_streq(model, "FLEX_START"))
		hazard(h, true, "spot", "is a Flex-start VM: stopped, it may not start again");
	if (ff_streq(ff_json_str(s, "instanceTerminationAction"), "DELETE"))
		hazard(h, true, "deleted-on-stop",
			"is deleted when its time ends: instanceTerminationAction is DELETE");
	else if (json_is_object(json_object_get(s, "maxRunDuration")))
		hazard(h, true, "max-run-duration", "has a maximum run duration that a stop would begin anew");
}

static void restrictions(struct hazards *h)
{
	const json_t *raw = h->at->raw;

	if (ff_json_bool(raw, "startRestricted", false))
		hazard(h, true, "start-restricted", "may not be started: Google has restricted it");
	if (ff_streq(ff_json_str(raw, "keyRevocationActionType"), "STOP") ||
		ff_streq(ff_json_str(raw, "postKeyRevocationActionType"), "STOP"))
		hazard(h, true, "key-revocation", "is stopped when its key is revoked: it might not start again");
	if (ff_json_bool(raw, "deletionProtection", false))
		hazard(h, false, "deletion-protection", "is protected from deletion, which does not hinder a repair");
	if (json_array_size(json_object_get(raw, "resourcePolicies")) > 0)
		hazard(h, false, "resource-policies",
			"has resource policies: a schedule may start or stop it meanwhile");
}

static void claim(struct hazards *h)
{
	const char *run = ff_json_str(h->at->vm.tags, GCP_LABEL_RUN);

	if (run != NULL)
		hazard(h, false, "claimed", "is claimed by run '%.63s'", run);
}

/* Without the list of reserved addresses nobody knows. */
static void address(struct hazards *h)
{
	const json_t *nic;
	size_t i;

	if (h->cloud->found->addresses == NULL)
		return;
	json_array_foreach (json_object_get(h->at->raw, "networkInterfaces"), i, nic) {
		const char *ip = ff_json_str(nic, "accessConfigs/0/natIP");

		if (ip == NULL || json_object_get(h->cloud->found->addresses, ip) != NULL)
			continue;
		hazard(h, false, "external-ip", "its external address %.45s is not reserved: it changes at start", ip);
		return;
	}
}

/* ---------------------------------------------------------------- its disks */

static void key_of(struct hazards *h, const json_t *attached)
{
	const char *sha256 = ff_json_str(attached, "diskEncryptionKey/sha256"), *source;
	const struct gcp_key *key;

	if (sha256 == NULL || ff_json_str(attached, "diskEncryptionKey/kmsKeyName") != NULL)
		return;
	source = ff_json_str(attached, "source");
	key = gcp_key_for(&h->cloud->keys, source);
	if (key == NULL)
		hazard(h, true, "csek",
			"its disk '%.63s' has a customer-supplied key that --csek-key-file does not give",
			gcp_last(source));
	else if (!gcp_key_fits(key, sha256))
		hazard(h, true, "csek", "the key given for its disk '%.63s' is not the disk's", gcp_last(source));
}

static void attached_disks(struct hazards *h)
{
	const json_t *attached;
	unsigned scratch = 0;
	size_t i;

	json_array_foreach (json_object_get(h->at->raw, "disks"), i, attached) {
		scratch += ff_streq(ff_json_str(attached, "type"), "SCRATCH");
		key_of(h, attached);
	}
	if (scratch == 0)
		return;
	hazard(h, !h->cloud->discard_local_ssd, "local-ssd",
		h->cloud->discard_local_ssd ? "the content of its %u local SSD(s) is lost"
					    : "the content of its %u local SSD(s) would be lost (--discard-local-ssd)",
		scratch);
}

static void boot_disk(struct hazards *h, const json_t *disk)
{
	const char *status = ff_json_str(disk, "status"), *access = ff_json_str(disk, "accessMode");
	const json_t *users = json_object_get(disk, "users");

	if (json_array_size(users) > 1 || ff_streq(access, "READ_WRITE_MANY") || ff_streq(access, "READ_ONLY_MANY"))
		hazard(h, true, "shared-disk", "its boot disk is attached to %zu VMs or may be",
			json_array_size(users));
	if (status != NULL && !ff_streq(status, "READY"))
		hazard(h, true, "busy-disk", "its boot disk is in state %.40s", status);
	if (ff_json_bool(disk, "enableConfidentialCompute", false))
		hazard(h, true, "confidential-disk", "its boot disk is a confidential one: no other VM can read it");
	if (json_array_size(json_object_get(disk, "resourcePolicies")) > 0)
		hazard(h, false, "snapshot-schedule",
			"its boot disk has resource policies, such as a snapshot schedule");
}

static void boot(struct hazards *h)
{
	const json_t *disk = h->at->disk;
	const char *mode = ff_json_str(h->at->boot, "mode");

	if (h->at->boot == NULL) {
		hazard(h, true, "no-boot-disk", "has no boot disk");
		return;
	}
	if (*h->at->vm.disk_id == '\0') {
		hazard(h, true, "no-boot-disk", "its boot disk is no disk that can be detached");
		return;
	}
	if (strstr(h->at->vm.disk_id, "/regions/") != NULL)
		hazard(h, true, "regional-disk", "its boot disk is a regional one, which fixfleet does not move");
	if (mode != NULL && !ff_streq(mode, "READ_WRITE"))
		hazard(h, true, "read-only-disk", "its boot disk is attached read-only");
	if (ff_json_str(h->at->boot, "deviceName") == NULL || ff_json_str(h->at->raw, "id") == NULL)
		hazard(h, true, "unknown-disk", "how its boot disk is attached is not said");
	if (ff_streq(h->at->vm.disk_encryption, "cmek"))
		hazard(h, false, "cmek",
			"its boot disk's key is in Cloud KMS, where the Compute service agent must reach it");
	if (disk == NULL)
		hazard(h, true, "unknown-disk", "its boot disk cannot be read");
	else
		boot_disk(h, disk);
}

char *gcp_hazards(const struct ff_cloud *cloud, struct gcp_vm *vm)
{
	struct hazards h = {.cloud = cloud, .at = vm, .list = &vm->vm.hazards};
	const char *group = group_of(&h);

	if (group != NULL)
		hazard(&h, true, "instance-group",
			"is in the managed instance group '%.63s', which replaces members that fail or stop: "
			"recreating it "
			"from the template may be the right repair",
			group);
	state(&h);
	scheduling(&h);
	restrictions(&h);
	attached_disks(&h);
	boot(&h);
	claim(&h);
	address(&h);
	return h.skip;
}

/* ---------------------------------------------------------------- rescue VMs */

/*
 * Machine series that take only Hyperdisk, and those that take none, as far as they are known
 * (cloud.google.com/compute/docs/disks/hyperdisks; N4: pd-csi-driver#1819). Where the table is silent the cloud
 * decides.
 */
static bool takes_only_hyperdisk(const char *series)
{
	static const char *const names[] = {"n4", "n4a", "n4d", "c4", "c4a", "c4d", "m4", "x4", "h4d", "a4", "a4x"};

	for (size_t i = 0; i < FF_COUNT(names); i++)
		if (ff_streq(series, names[i]))
			return true;
	return false;
}

static bool takes_no_hyperdisk(const char *series)
{
	return ff_streq(series, "f1") || ff_streq(series, "g1");
}

int gcp_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err)
{
	const char *type = ff_json_str(vm->facts, "disk/type"), *machine = ff_json_str(rescue->facts, "machine");
	ff_auto_free char *series = machine ? ff_strndup(machine, strcspn(machine, "-")) : NULL;

	if (!ff_streq(vm->scope, rescue->scope))
		return ff_fail(err, FF_E_USAGE, "'%s' is in project '%s', not in '%s'", rescue->name, rescue->scope,
			vm->scope);
	if (!ff_streq(vm->zone, rescue->zone))
		return ff_fail(
			err, FF_E_USAGE, "'%s' is in zone '%s', not in '%s'", rescue->name, rescue->zone, vm->zone);
	if (type == NULL || series == NULL)
		return 0;
	if (ff_has_prefix(type, "hyperdisk-") ? takes_no_hyperdisk(series)
					      : ff_has_prefix(type, "pd-") && takes_only_hyperdisk(series))
		return ff_fail(err, FF_E_USAGE, "'%s' is of the series '%s', which takes no disk of type '%s'",
			rescue->name, series, type);
	return 0;
}
