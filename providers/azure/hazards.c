/* What speaks against touching a VM, and what its health is. Sections 2, 3 and 8 of the facts. */
#include "found.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void set_reason(struct ff_vm *vm, enum ff_health health, const char *text)
{
	vm->health = health;
	free(vm->reason);
	vm->reason = ff_strdup(text);
}

/* The first reason to skip it is the one that is told. */
static void skip(struct ff_vm *vm, const char *text)
{
	if (vm->health != FF_SKIPPED)
		set_reason(vm, FF_SKIPPED, text);
}

void azure_hazard(struct ff_vm *vm, bool forbids, const char *word, const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_strv_addf(&vm->hazards, "%s: %s", word, text);
	if (forbids)
		skip(vm, text);
}

/* ---------------------------------------------------------------- the VM's model */

static void disk_hazards_of_vm(struct ff_vm *vm, const json_t *os)
{
	struct azure_id id;

	if (ff_json_at(os, "diffDiskSettings/option") != NULL)
		azure_hazard(vm, true, "ephemeral-os-disk",
			"the OS disk is ephemeral, it can neither be copied nor swapped: reimage the VM");
	else if (ff_json_str(os, "managedDisk/id") == NULL)
		azure_hazard(vm, true, "unmanaged-disk", "the OS disk is not a managed disk");
	else if (azure_id_parse(vm->disk_id, &id) < 0)
		azure_hazard(vm, true, "unknown-disk", "the OS disk's id is not that of a managed disk");
	else
		azure_id_release(&id);
	if (ff_json_bool(os, "encryptionSettings/enabled", false))
		azure_hazard(vm, true, "ade-dual-pass",
			"dual-pass Azure Disk Encryption is on, and Azure refuses to swap such an OS disk");
	if (ff_strcaseeq(ff_json_str(os, "managedDisk/securityProfile/securityEncryptionType"), "DiskWithVMGuestState"))
		azure_hazard(vm, true, "confidential", "the OS disk is encrypted with a key of this VM's own vTPM");
}

static void claim_hazard(struct ff_vm *vm, const char *run, const char *by, bool take_over)
{
	bool known = by != NULL && *by != '\0';

	azure_hazard(vm, !take_over, "claimed", "it is claimed by run '%.64s'%s%.128s%s", run, known ? " of " : "",
		known ? by : "", take_over ? ", and will be taken over" : "");
}

void azure_hazards_of_vm(struct ff_vm *vm, const json_t *model, bool take_over, const char *own_run)
{
	const char *state = ff_json_str(model, "properties/provisioningState");
	const char *priority = ff_json_str(model, "properties/priority"), *run = azure_tag(vm->tags, AZ_TAG_RUN);

	disk_hazards_of_vm(vm, ff_json_at(model, "properties/storageProfile/osDisk"));
	if (ff_json_str(model, "properties/virtualMachineScaleSet/id") != NULL ||
		ff_json_str(model, "managedBy") != NULL)
		azure_hazard(vm, true, "scale-set", "it belongs to a scale set, which replaces its members itself");
	if (ff_strcaseeq(priority, "Spot") || ff_strcaseeq(priority, "Low"))
		azure_hazard(vm, true, "spot", "it is a spot VM: once stopped it may not start again");
	if (ff_json_bool(model, "properties/additionalCapabilities/hibernationEnabled", false))
		azure_hazard(vm, false, "hibernation", "it may hibernate; a hibernated VM would be skipped");
	if (ff_strcaseeq(state, "Creating") || ff_strcaseeq(state, "Deleting"))
		azure_hazard(vm, true, "provisioning", "its provisioning state is %s", state);
	if (run != NULL && *run != '\0' && ff_streq(run, own_run))
		return; /* gone on with: it has its claim */
	if (run != NULL && *run != '\0')
		claim_hazard(vm, run, azure_tag(vm->tags, AZ_TAG_BY), take_over);
	else if (json_object_size(vm->tags) >= AZ_TAGS_MAX)
		azure_hazard(vm, true, "tags", "it has %zu tags, there is no room for the claim",
			json_object_size(vm->tags));
}

/* ---------------------------------------------------------------- the instance view */

static bool has_status(const json_t *view, const char *word)
{
	const json_t *status;
	size_t i;

	json_array_foreach (ff_json_at(view, "statuses"), i, status)
		if (ff_strcaseeq(ff_json_str(status, "code"), word))
			return true;
	return false;
}

void azure_hazards_of_view(struct ff_vm *vm, const json_t *view)
{
	const char *os_name = ff_json_str(vm->facts, "os_disk/name");
	const json_t *disk, *settings;
	bool encrypted = false;
	size_t i, k;

	if (has_status(view, "OSState/generalized"))
		azure_hazard(vm, true, "generalized", "it is generalized and cannot be started");
	if (has_status(view, "HibernationState/Hibernated"))
		azure_hazard(vm, true, "hibernated", "it is hibernated: its memory image would undo the repair");
	json_array_foreach (ff_json_at(view, "disks"), i, disk) {
		if (!ff_strcaseeq(ff_json_str(disk, "name"), os_name))
			continue;
		json_array_foreach (ff_json_at(disk, "encryptionSettings"), k, settings)
			if (ff_json_bool(settings, "enabled", false))
				encrypted = true;
		if (encrypted)
			ff_json_set_new(
				vm->facts, "ade", azure_ade_reduce(ff_json_at(disk, "encryptionSettings"), NULL));
	}
}

/* ---------------------------------------------------------------- the OS disk */

static const char *encryption_word(const char *type)
{
	static const char *const words[][2] = {
		{"EncryptionAtRestWithPlatformKey", "platform"},
		{"EncryptionAtRestWithCustomerKey", "customer"},
		{"EncryptionAtRestWithPlatformAndCustomerKeys", "platform+customer"},
	};

	for (size_t i = 0; i < FF_COUNT(words); i++)
		if (ff_strcaseeq(words[i][0], type))
			return words[i][1];
	return type ? "other" : "";
}

static bool disk_busy(const char *state)
{
	static const char *const words[] = {"ActiveSAS", "ActiveSASFrozen", "ReadyToUpload", "ActiveUpload", "Frozen"};

	for (size_t i = 0; i < FF_COUNT(words); i++)
		if (ff_strcaseeq(words[i], state))
			return true;
	return false;
}

static void disk_hazards(struct ff_vm *vm, const json_t *disk)
{
	const char *security = ff_json_str(disk, "security"), *state = ff_json_str(disk, "state");
	ff_auto_free char *sku = azure_lower(ff_json_str(disk, "sku"));
	ff_auto_free char *lower = azure_lower(security);

	if (ff_has_prefix(lower, "confidentialvm_diskencryptedwith"))
		azure_hazard(vm, true, "confidential", "the OS disk is a confidential one, bound to this VM's vTPM");
	if (ff_strcaseeq(security, "TrustedLaunch"))
		azure_hazard(vm, false, "trusted-launch",
			"a BitLocker volume sealed to its vTPM would need the recovery password");
	if (disk_busy(state))
		azure_hazard(vm, true, "disk-busy", "the OS disk is in use elsewhere, its state is %s", state);
	if (ff_has_prefix(sku, "premium"))
		azure_hazard(vm, false, "premium-disk", "the rescue VM's size must support premium disks");
}

/* The disk's record joins the facts, as far as its copy needs it. */
static void take_disk(struct ff_vm *vm, json_t *disk)
{
	disk_hazards(vm, disk);
	vm->disk_bytes = ff_json_int(disk, "bytes", 0) > 0 ? ff_json_int(disk, "bytes", 0) : vm->disk_bytes;
	if (*vm->disk_encryption == '\0') {
		free(vm->disk_encryption);
		vm->disk_encryption = ff_strdup(encryption_word(ff_json_str(disk, "encryption")));
	}
	if (ff_json_str(disk, "generation") == NULL) /* old disks do not say; the VM's view does */
		ff_json_set_str(disk, "generation", ff_json_str(vm->facts, "generation"));
	json_object_del(disk, "state");
	json_object_del(disk, "security");
	json_object_del(disk, "bytes");
	ff_json_set_new(vm->facts, "disk", json_incref(disk));
}

/*
 * Azure Disk Encryption: single-pass (1.1) keeps where the keys are with the disk, so that a copy of it boots as it
 * did. Dual-pass (1.0) keeps it with the VM, and the swap is refused.
 */
static void ade_hazards(const struct ff_cloud *cloud, struct ff_vm *vm)
{
	const json_t *settings = azure_ade_settings(vm->facts);
	ff_auto_free char *host = NULL, *why = NULL;

	if (settings == NULL)
		return;
	free(vm->disk_encryption);
	vm->disk_encryption = ff_strdup("ade");
	for (size_t i = 0; i < vm->hazards.count; i++)
		if (ff_has_prefix(vm->hazards.items[i], "ade-dual-pass:"))
			return;
	why = azure_ade_refusal(cloud, settings, &host);
	if (ff_streq(ff_json_str(settings, "version"), "1.0"))
		azure_hazard(vm, true, "ade-dual-pass",
			"dual-pass Azure Disk Encryption is on, and Azure refuses to swap such an OS disk");
	else if (why != NULL)
		azure_hazard(vm, true, "ade", "the OS disk is encrypted by Azure Disk Encryption, and %s", why);
	else
		azure_hazard(vm, false, "ade",
			"the OS disk is encrypted by Azure Disk Encryption; its key is asked of key vault %s", host);
	/* github.com/Azure/azure-powershell/pull/11037; only the disk's own record has a version */
	if (ff_json_at(vm->facts, "disk/ade/keys/0") != NULL && ff_json_str(settings, "version") == NULL)
		azure_hazard(vm, false, "ade-no-version",
			"the OS disk's encryption settings have no version: Azure may refuse to attach its copy");
}

/* ---------------------------------------------------------------- what lies around it */

static void lock_hazards(const struct azure_found *f, struct ff_vm *vm)
{
	const json_t *lock;
	size_t i;
	bool read_only = false, no_delete = false;

	json_array_foreach (f->locks, i, lock) {
		const char *scope = ff_json_str(lock, "scope"), *level = ff_json_str(lock, "level");
		bool on_vm = azure_id_within(vm->id, scope), on_disk = azure_id_within(vm->disk_id, scope);
		bool resource = strstr(scope, "/providers/") != NULL;

		read_only = read_only || ((on_vm || on_disk) && ff_strcaseeq(level, "ReadOnly"));
		/* one on the VM or its disk does not reach the copy */
		no_delete = no_delete || (on_vm && !resource && ff_strcaseeq(level, "CanNotDelete"));
	}
	if (read_only)
		azure_hazard(vm, true, "read-only-lock", "a ReadOnly lock forbids to stop it or to swap its disk");
	if (no_delete)
		azure_hazard(vm, false, "can-not-delete-lock",
			"a CanNotDelete lock keeps the disk copy from being deleted afterwards");
}

static void deallocation_hazards(const struct azure_found *f, struct ff_vm *vm, const struct azure_side *side)
{
	ff_auto_free char *size = azure_lower(side->size);
	bool dynamic = false;

	for (size_t i = 0; i < side->nics.count; i++) {
		ff_auto_free char *nic = azure_lower(side->nics.items[i]);

		dynamic = dynamic || json_object_get(f->dynamic, nic) != NULL;
	}
	if (dynamic)
		azure_hazard(
			vm, false, "dynamic-public-ip", "its public address is lost if the VM has to be deallocated");
	if (dynamic || f->addresses_unknown)
		ff_json_set_bool(vm->facts, "dynamic_ip", true);
	if (ff_json_int(json_object_get(f->sizes, size), "temp_mb", 0) > 0)
		azure_hazard(
			vm, false, "temp-disk", "the temporary disk's content is lost if the VM has to be deallocated");
}

/* ---------------------------------------------------------------- health */

static void judge_health(struct ff_vm *vm, const struct azure_side *side)
{
	ff_auto_free char *text = NULL;

	if (vm->health == FF_SKIPPED)
		return;
	if (*vm->state == '\0') {
		set_reason(vm, FF_SUSPECT, "its power state is not known");
	} else if (!ff_streq(vm->state, "running")) {
		text = ff_printf("it is %s", vm->state);
		set_reason(vm, FF_SUSPECT, text);
	} else if (side->agent == AZ_AGENT_SICK) {
		set_reason(vm, FF_AFFECTED, "it is running and its VM agent does not answer");
	} else if (side->agent == AZ_AGENT_NOT_YET) { /* the claim waits until it can be known */
		set_reason(vm, FF_AFFECTED,
			"it is running and its VM agent does not answer; it was started or changed less than five "
			"minutes ago and may be booting: its turn waits until that is known");
	} else if (side->agent == AZ_AGENT_READY) {
		set_reason(vm, FF_HEALTHY, "it is running and its VM agent is ready");
	} else if (side->agent == AZ_AGENT_STALE) {
		set_reason(vm, FF_SUSPECT, "its VM agent was ready once, but has not been heard of lately");
	} else {
		set_reason(vm, FF_SUSPECT, "it is running, and nothing is known of a VM agent");
	}
}

static void judge_vm(const struct ff_cloud *cloud, struct ff_vm *vm, const struct azure_side *side)
{
	struct azure_found *f = cloud->found;
	ff_auto_free char *key = azure_lower(vm->disk_id);
	json_t *disk = json_object_get(f->disks, key);

	if (*vm->os == '\0' && ff_json_str(disk, "osType") != NULL) {
		free(vm->os);
		vm->os = azure_lower(ff_json_str(disk, "osType"));
	}
	if (side->candidate || ff_strcaseeq(azure_tag(vm->tags, AZ_TAG_ROLE), "rescue"))
		skip(vm, "it is a rescue VM");
	if (!ff_streq(vm->os, "windows"))
		skip(vm, *vm->os ? "it is not a Windows VM" : "its operating system is not known");
	if (disk != NULL)
		take_disk(vm, disk);
	ade_hazards(cloud, vm);
	lock_hazards(f, vm);
	deallocation_hazards(f, vm, side);
	if (side->unread != NULL)
		skip(vm, side->unread);
	else if (disk == NULL)
		skip(vm, "its OS disk was not found");
	json_object_del(vm->facts, "generation");
	judge_health(vm, side);
}

/* ---------------------------------------------------------------- rescue VMs */

static bool read_only(const struct ff_vm *vm)
{
	for (size_t i = 0; i < vm->hazards.count; i++)
		if (ff_has_prefix(vm->hazards.items[i], "read-only-lock:"))
			return true;
	return false;
}

static void judge_rescue(struct azure_found *f, struct ff_vm *vm, const struct azure_side *side)
{
	ff_auto_free char *size = azure_lower(side->size);
	int64_t disks = ff_json_int(json_object_get(f->sizes, size), "disks", 0);

	if (!side->candidate)
		return;
	vm->slots_max = disks < 0 ? 0 : disks > FF_SLOTS_MAX ? FF_SLOTS_MAX : (unsigned)disks;
	vm->rescue = ff_streq(vm->state, "running") && !read_only(vm);
	if (!vm->rescue)
		ff_strv_addf(&f->notes, "rescue VM '%s' is not used: %s", vm->name,
			side->unread			  ? side->unread
			: !ff_streq(vm->state, "running") ? "it is not running"
							  : "a ReadOnly lock is on it");
	else if (vm->slots_max == 0)
		ff_strv_addf(&f->notes, "rescue VM '%s': how many disks its size '%s' takes is not known", vm->name,
			side->size);
}

void azure_found_judge(const struct ff_cloud *cloud)
{
	struct azure_found *f = cloud->found;

	if (f->addresses_unknown)
		ff_strv_add(&f->notes,
			"no VM is deallocated without --allow-deallocate, since public addresses are not known");
	for (size_t i = 0; i < f->count; i++) {
		judge_vm(cloud, f->vms[i], &f->sides[i]);
		judge_rescue(f, f->vms[i], &f->sides[i]);
		azure_found_share(f, f->vms[i]);
	}
}

/* ---------------------------------------------------------------- which rescue VM takes which disk */

int azure_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err)
{
	ff_auto_free char *sku = azure_lower(ff_json_str(vm->facts, "disk/sku"));
	const char *zone = ff_json_str(vm->facts, "disk/zones/0");

	if (!ff_strcaseeq(vm->region, rescue->region))
		return ff_fail(err, FF_E_PERMANENT, "rescue VM '%s' is in region %s, the VM in %s", rescue->name,
			rescue->region, vm->region);
	if (strncasecmp(vm->id, rescue->id, strlen("/subscriptions/") + 36) != 0)
		return ff_fail(err, FF_E_PERMANENT, "rescue VM '%s' is in another subscription", rescue->name);
	if (ff_has_suffix(sku, "_zrs")) /* attaches anywhere in its region */
		return 0;
	if (zone != NULL && !ff_streq(zone, rescue->zone))
		return ff_fail(err, FF_E_PERMANENT, "its OS disk is in zone %s, rescue VM '%s' %s%s", zone,
			rescue->name, *rescue->zone ? "in zone " : "in none", rescue->zone);
	if (zone == NULL && *rescue->zone != '\0')
		return ff_fail(err, FF_E_PERMANENT, "its OS disk is in no zone, rescue VM '%s' is in zone %s",
			rescue->name, rescue->zone);
	if (zone == NULL && ff_json_bool(rescue->facts, "availability_set", false))
		return ff_fail(err, FF_E_PERMANENT,
			"its OS disk is in no zone, and rescue VM '%s' is in an availability set", rescue->name);
	return 0;
}
